//! Looking from outside: what an address serves to a TLS client, and what it answers to a CA's http-01 request.
//!
//! Nothing here judges trust: the engine compares what is served with what was deployed. A handshake still proves that
//! the peer holds the leaf's private key.

mod connection;
mod http01;
mod redirect;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use certferry_core::observed::ServedChain;
use certferry_core::port::{HttpAnswer, Probe};
use certferry_core::{Identifier, KeyFamily};

/// A probe over the network.
#[derive(Clone, Debug)]
pub struct NetworkProbe {
    tls: tls::Clients,
    limits: ProbeLimits,
}

/// How long a probe waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeLimits {
    /// For a connection to be made, the TLS handshake included.
    pub connect: Duration,
    /// For the answer to one HTTP request.
    pub answer: Duration,
}

impl Default for ProbeLimits {
    /// 5 s to connect, 10 s for an answer, which is about as long as CAs wait.
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(10) }
    }
}

impl NetworkProbe {
    /// A probe with the usual limits.
    pub fn new() -> Self {
        Self::with_limits(ProbeLimits::default())
    }

    /// A probe with limits of the caller's.
    pub fn with_limits(limits: ProbeLimits) -> Self {
        Self { tls: tls::Clients::new(), limits }
    }
}

impl Default for NetworkProbe {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Probe for NetworkProbe {
    async fn tls(
        &self,
        address: SocketAddr,
        server_name: &Identifier,
        family: Option<KeyFamily>,
    ) -> Result<ServedChain, String> {
        tls::served(self, address, server_name, family).await
    }

    async fn http01(&self, address: SocketAddr, name: &Identifier, token: &str) -> Result<HttpAnswer, String> {
        http01::fetch(self, address, name, token).await
    }
}
