//! The look from outside.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use certferry_core::observed::ServedChain;
use certferry_core::port::{HttpAnswer, Probe};
use certferry_core::{Identifier, KeyFamily};
use certferry_engine::{CHALLENGE_PATH, Responder};

use super::SimulatedLoadBalancer;

/// Looks at simulated load balancers.
pub(crate) struct SimulatedProbe {
    load_balancers: Vec<Arc<SimulatedLoadBalancer>>,
    responder: Arc<Mutex<Responder>>,
}

impl SimulatedProbe {
    pub(crate) fn new(load_balancers: Vec<Arc<SimulatedLoadBalancer>>, responder: Arc<Mutex<Responder>>) -> Self {
        Self { load_balancers, responder }
    }
}

#[async_trait]
impl Probe for SimulatedProbe {
    async fn tls(
        &self,
        address: SocketAddr,
        server_name: &Identifier,
        _family: Option<KeyFamily>,
    ) -> Result<ServedChain, String> {
        if server_name.is_wildcard() {
            return Err(format!("`{server_name}` cannot be sent as a server name"));
        }
        let served = self.load_balancers.iter().find_map(|load_balancer| load_balancer.served_at(address));
        served.ok_or_else(|| "connection refused".to_owned())
    }

    async fn http01(&self, address: SocketAddr, _name: &Identifier, token: &str) -> Result<HttpAnswer, String> {
        let carried = self.load_balancers.iter().any(|load_balancer| load_balancer.carries_challenges(address));
        let body =
            carried.then(|| self.responder.lock().unwrap().answer(&format!("{CHALLENGE_PATH}{token}"))).flatten();
        let (status, body) = body.map_or((404, "nothing here".to_owned()), |body| (200, body));
        Ok(HttpAnswer { status, body, redirects: Vec::new(), server: Some("simulated".to_owned()) })
    }
}
