//! The Load Balancer service, as one load balancer's client.

use std::sync::Arc;

use certferry_core::{Clock, Error, LoadBalancerName};

use super::auth::Principals;
use super::config::{Limits, LoadBalancerId, OciConfig};
use super::hint::Caller;
use super::session::{Call, Failed, Session, Target};
use crate::http::Answer;

/// The service, as one load balancer's client.
pub(super) struct Api {
    name: LoadBalancerName,
    id: LoadBalancerId,
    session: Session,
    pub(super) limits: Limits,
}

impl Api {
    /// Reads the credential and prepares the client. No call is made.
    pub(super) fn new(
        name: LoadBalancerName,
        config: &OciConfig,
        clock: Arc<dyn Clock>,
        principals: &Principals,
    ) -> Result<Self, Error> {
        let id = config.load_balancer_id.clone();
        let caller = Caller::LoadBalancer(name.clone(), id.clone());
        let session = Session::open(caller, &config.access, clock, principals)?;
        Ok(Self { name, id, session, limits: config.access.limits })
    }

    /// The load balancer's name in the config.
    pub(super) fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    /// The region as the OCID has it.
    pub(super) fn region(&self) -> &str {
        self.id.region()
    }

    /// Something below the load balancer.
    pub(super) fn target<'a>(&'a self, path: impl IntoIterator<Item = &'a str>) -> Target<'a> {
        Target::below([VERSION, "loadBalancers", self.id.as_str()].into_iter().chain(path))
    }

    /// A work request, which is not below its load balancer.
    pub(super) fn work_request<'a>(&'a self, id: &'a str) -> Target<'a> {
        Target::below([VERSION, "loadBalancerWorkRequests", id])
    }

    /// An object of this load balancer, for people.
    pub(super) fn subject(&self, object: &str) -> String {
        self.session.subject(object)
    }

    /// As [`Session::send`].
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer, Failed> {
        self.session.send(call).await
    }

    /// As [`Session::read`].
    pub(super) async fn read<T: serde::de::DeserializeOwned>(
        &self,
        call: &Call<'_>,
        object: &str,
    ) -> Result<(T, Answer), Error> {
        self.session.read(call, object).await
    }

    /// As [`Session::error`].
    pub(super) fn error(&self, operation: &str, object: &str, failed: &Failed) -> Error {
        self.session.error(operation, object, failed)
    }
}

const VERSION: &str = "20170115";
