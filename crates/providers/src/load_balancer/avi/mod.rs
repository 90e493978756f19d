//! Avi Load Balancer (NSX Advanced Load Balancer): `sslkeyandcertificate` objects on virtual services of one tenant, by the
//! controller's REST API, from outside.
//!
//! Every change is a pure function of the tenant's objects as they were read (`certificate`, `bind`, `http01`). It is made,
//! the objects are read again, and the function decides again, until it finds nothing to do (`mutation`). A certificate is
//! replaced in its object, so that virtual services need no change; virtual services are only ever patched, so that all
//! that is not named stays.
//!
//! What certferry made says so in `created_by`. Nothing else is overwritten or removed.

mod bind;
mod certificate;
mod change;
mod client;
mod config;
mod control_script;
mod http01;
mod inventory;
mod key_request;
mod log_search;
mod lookup;
mod model;
mod mutation;
mod objects;
mod observe;
mod permissions;
mod policy;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod read;
mod request_log;
mod resolve;
mod retry;
mod session;
mod tenant;
mod version;
mod warning_days;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use certferry_core::inventory::Inventory;
use certferry_core::observed::{Http01Change, Observation, Place};
use certferry_core::port::{Bundle, Capabilities, Http01Challenge, InCommon, KeyRequest, LoadBalancer, Replacement};
use certferry_core::{BundleName, Clock, Error, ErrorKind, Identifier, ListenerName, LoadBalancerName};
use jiff::{SignedDuration, Timestamp};

use client::Api;
pub use config::{AviConfig, ConfigError, Credential, Http01Config, Limits, Lookup, Port80};
pub use control_script::{
    ControlScriptSetup, SetupAction, SetupField, SetupStep, SetupUser, control_script_text, printed,
};
use model::Collection;
pub use permissions::MissingPermission;
pub use policy::{policy, role};
pub use request_log::{RequestLogQuery, ValidationRequest};

/// One tenant of an Avi controller.
pub struct AviTenant {
    api: Api,
    clock: Arc<dyn Clock>,
    listeners: BTreeSet<ListenerName>,
    http01: Option<Http01Config>,
}

impl AviTenant {
    /// Prepares the client; makes no call. `clock` reads dates in Retry-After.
    ///
    /// # Errors
    /// Trusted roots that are no certificates; a tenant that no header can name.
    pub fn new(name: LoadBalancerName, config: AviConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let api = Api::new(name, &config, Arc::clone(&clock))?;
        Ok(Self { api, clock, listeners: config.listeners, http01: config.http01 })
    }

    fn refused(&self, operation: &str, object: &str, said: &str, hint: &str) -> Error {
        Error::new(ErrorKind::Invalid, operation, self.api.subject(object)).said(said).with_hint(hint)
    }

    fn http01(&self, object: &str) -> Result<&Http01Config, Error> {
        let (said, hint) = ("the config has no http01 for this load balancer", "add `http01:` to it in the config");
        self.http01.as_ref().ok_or_else(|| self.refused("answering http-01", object, said, hint))
    }
}

#[async_trait]
impl LoadBalancer for AviTenant {
    fn name(&self) -> &LoadBalancerName {
        self.api.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            replacement: Replacement::InPlace(InCommon::Nothing),
            needs_common_name: true,
            creates_listeners: false,
            answers_challenges: true,
        }
    }

    async fn observe(&self) -> Result<Observation, Error> {
        let reading = if self.http01.is_some() { &EVERYTHING[..] } else { &DELIVERY[..] };
        let tenant = self.api.tenant(reading).await?;
        Ok(observe::observation(&tenant, &self.listeners, self.http01.as_ref()))
    }

    async fn inventory(&self) -> Result<Inventory, Error> {
        let tenant = self.api.tenant(&DELIVERY).await?;
        Ok(inventory::inventory(&tenant, &self.listeners))
    }

    async fn upload(&self, bundle: &Bundle) -> Result<(), Error> {
        self.api.converge(&CERTIFICATES, |tenant| certificate::upload(tenant, bundle)).await
    }

    async fn bind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error> {
        self.api.converge(&DELIVERY, |tenant| bind::bind(tenant, place, bundle.as_str())).await
    }

    async fn unbind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error> {
        self.api.converge(&DELIVERY, |tenant| bind::unbind(tenant, place, bundle.as_str())).await
    }

    async fn create_listener(&self, listener: &ListenerName, _bundle: &BundleName) -> Result<(), Error> {
        Err(self.refused(
            "POST virtualservice",
            &format!("listener `{listener}`"),
            "certferry makes no virtual services that serve certificates",
            "make it on the controller, with any certificate, and name it in the config",
        ))
    }

    async fn delete(&self, bundle: &BundleName) -> Result<(), Error> {
        self.api.converge(&CERTIFICATES, |tenant| certificate::delete(tenant, bundle.as_str())).await
    }

    /// Makes all that is to be kept, whichever part of it was named: it was listed together, and is of no use in parts.
    async fn prepare_http01(&self, change: &Http01Change) -> Result<(), Error> {
        let config = self.http01(&change.object)?;
        self.api.converge(&CHALLENGES, |tenant| http01::prepare(tenant, config)).await
    }

    async fn present(&self, name: &Identifier, challenge: &Http01Challenge) -> Result<Vec<SocketAddr>, Error> {
        let config = self.http01("the challenge")?;
        self.api.hosts.add(name);
        let at = Mutex::new(Vec::new());
        let decide = |tenant: &_| {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = http01::presented_at(tenant, config, name);
            http01::present(tenant, config, name, challenge)
        };
        self.api.converge(&CHALLENGES, decide).await?;
        Ok(at.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn withdraw(&self, token: &str) -> Result<(), Error> {
        let keep = self.http01.as_ref().is_some_and(|config| config.keep);
        let reading = [Collection::VirtualServices, Collection::PolicySets];
        self.api.converge(&reading, |tenant| http01::withdraw(tenant, keep, token)).await
    }

    async fn key_request(&self, bundle: &BundleName, request: &KeyRequest) -> Result<Vec<u8>, Error> {
        let csr = Mutex::new(None);
        let decide = |tenant: &_| {
            *csr.lock().unwrap_or_else(PoisonError::into_inner) = key_request::csr(tenant, bundle.as_str());
            key_request::create(tenant, bundle.as_str(), request)
        };
        self.api.converge(&CERTIFICATES, decide).await?;
        csr.into_inner().unwrap_or_else(PoisonError::into_inner).ok_or_else(|| {
            Error::new(
                ErrorKind::Unexpected,
                "GET sslkeyandcertificate",
                self.api.subject(&format!("bundle `{bundle}`")),
            )
            .said("its CSR is no PEM")
            .with_hint("remove the object on the controller, so that a new key is made")
        })
    }

    async fn check_rights(&self) -> Result<(), Error> {
        AviTenant::check_rights(self).await
    }

    async fn challenge_requests(&self, name: &Identifier, since: Timestamp) -> Result<Vec<String>, Error> {
        let within = self.clock.now().duration_since(since) + LOG_MARGIN;
        let query = RequestLogQuery {
            virtual_services: Vec::new(),
            within: Duration::try_from(within).unwrap_or_default(),
            host: Some(name.clone()),
            token: None,
            limit: REQUESTS_QUOTED,
        };
        let requests = self.validation_requests(&query).await?;
        if requests.is_empty() {
            return Ok(vec![format!("no request for a challenge of {name} was logged; did the CA reach it at all?")]);
        }
        Ok(requests.iter().map(ValidationRequest::to_string).collect())
    }

    async fn warning_days(&self) -> Result<Option<Vec<u16>>, Error> {
        AviTenant::warning_days(self).await
    }

    async fn close(&self) {
        self.api.log_out().await;
    }
}

/// How many requests an error quotes.
const REQUESTS_QUOTED: usize = 10;

/// The controller's clock may differ from this machine's.
const LOG_MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// What certificates depend on.
const CERTIFICATES: [Collection; 2] = [Collection::Certificates, Collection::VirtualServices];

/// What bindings depend on.
const DELIVERY: [Collection; 4] =
    [Collection::VirtualServices, Collection::VsVips, Collection::ApplicationProfiles, Collection::Certificates];

/// What answers to challenges depend on.
const CHALLENGES: [Collection; 4] =
    [Collection::VirtualServices, Collection::VsVips, Collection::ApplicationProfiles, Collection::PolicySets];

const EVERYTHING: [Collection; 5] = [
    Collection::VirtualServices,
    Collection::VsVips,
    Collection::ApplicationProfiles,
    Collection::Certificates,
    Collection::PolicySets,
];
