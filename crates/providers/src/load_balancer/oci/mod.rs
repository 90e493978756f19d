//! OCI Load Balancer: certificate bundles (`certificateName`) on listeners and backend sets, by the service's own API
//! (<https://docs.oracle.com/iaas/api/#/en/loadbalancer/20170115/>), or certificates of the Certificates service
//! (`certificateIds`, see `certificates_service`).
//!
//! Reading is one GetLoadBalancer. Every change is a pure function of what was read (`change`), sent with If-Match so
//! that another writer's change is never undone, and waited for (`mutation`). UpdateListener and UpdateBackendSet
//! replace the whole object, so the whole object is sent back, fields unknown to certferry included.

mod auth;
mod bind;
mod bundle;
mod certificates_service;
mod change;
mod cipher_suite;
mod client;
mod config;
mod hint;
mod http01;
mod inventory;
mod model;
mod mutation;
mod observe;
mod policy;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
mod region;
mod retry;
mod session;
mod signature;
mod work_request;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use certferry_core::inventory::Inventory;
use certferry_core::observed::{Http01Change, Observation, Place};
use certferry_core::port::{Bundle, Capabilities, Http01Challenge, InCommon, LoadBalancer, Replacement};
use certferry_core::{BundleName, Clock, Error, ErrorKind, Identifier, KeyType, ListenerName, LoadBalancerName};
use serde_json::Value;
use tokio::sync::OnceCell;

pub use auth::{ApiKeyFile, Auth, CustomRegions, InstancePrincipal, Principals, ResourcePrincipal, SessionTokenFile};
use bind::ToServe;
use certificates_service::{Holdings, Service};
use client::Api;
pub use config::{
    ConfigError, HealthCheck, Hold, Http01Config, Limits, LoadBalancerId, NewListener, OciAccess, OciConfig,
};
pub(crate) use hint::Caller;
use model::{Collection, Reference, text};
use mutation::Detail;
pub use policy::{PolicyScope, dynamic_group, policy};
pub(crate) use session::{Call, Failed, Session, Target};

/// One OCI load balancer.
pub struct OciLoadBalancer {
    api: Api,
    /// `None` where the load balancer itself holds the certificates.
    certificates: Option<Certificates>,
    http01: Option<Http01Config>,
    create: BTreeMap<ListenerName, NewListener>,
}

/// The Certificates service, where it holds the certificates.
struct Certificates {
    service: Service,
    /// The OCID of the compartment that they are in; empty until it is known, where it is the load balancer's own.
    compartment: OnceCell<String>,
}

impl OciLoadBalancer {
    /// Reads the credential that the config names, as far as it lies on this machine; makes no call. `clock` dates the
    /// requests, whose signatures are good for five minutes, and tells when a token ends.
    ///
    /// # Errors
    /// Config file or key file that cannot be read, used or kept private; a region or realm that is not known; an
    /// environment that describes no resource principal.
    pub fn new(name: LoadBalancerName, config: OciConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::sharing(name, config, clock, &Principals::default())
    }

    /// The same, with the instance's token shared by all load balancers that are given the same `principals`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn sharing(
        name: LoadBalancerName,
        config: OciConfig,
        clock: Arc<dyn Clock>,
        principals: &Principals,
    ) -> Result<Self, Error> {
        let certificates = match &config.hold {
            Hold::LoadBalancer => None,
            Hold::CertificatesService { compartment } => Some(Certificates {
                service: Service::new(name.clone(), &config, Arc::clone(&clock), principals)?,
                compartment: OnceCell::new_with(compartment.clone()),
            }),
        };
        let api = Api::new(name, &config, clock, principals)?;
        Ok(Self { api, certificates, http01: config.http01, create: config.create })
    }

    /// The compartment of the certificates; read of the load balancer the first time.
    async fn compartment<'a>(&self, certificates: &'a Certificates, json: Option<&Value>) -> Result<&'a str, Error> {
        let find = async || {
            let read = match json {
                Some(_) => None,
                None => Some(self.api.load_balancer(Detail::Plain).await?.json),
            };
            let json = json.or(read.as_ref());
            json.and_then(|json| text(json, "compartmentId")).map(str::to_owned).ok_or_else(|| {
                Error::new(ErrorKind::Unexpected, "GetLoadBalancer", self.api.subject(""))
                    .said("it does not say in which compartment it is")
                    .with_hint("write `compartment:` under `oci`")
            })
        };
        certificates.compartment.get_or_try_init(find).await.map(String::as_str)
    }

    async fn holdings(&self, json: &Value) -> Result<Holdings, Error> {
        let Some(certificates) = &self.certificates else { return Ok(Holdings::default()) };
        certificates.service.holdings(self.compartment(certificates, Some(json)).await?).await
    }

    /// Makes a change that needs to know what a bundle's name means: a certificate of the Certificates service where there is
    /// one of certferry's, or an OCID, or else a bundle of the load balancer's own.
    async fn serve(
        &self,
        operation: &'static str,
        detail: Detail<'_>,
        bundle: &BundleName,
        decide: impl Fn(&Value, ToServe<'_>) -> Result<Option<change::Change>, change::Problem>,
    ) -> Result<(), Error> {
        let found = match &self.certificates {
            Some(certificates) => {
                let compartment = self.compartment(certificates, None).await?;
                certificates.service.find(compartment, bundle.as_str()).await?.filter(|found| found.is_own())
            }
            None => None,
        };
        let to_serve = match &found {
            Some(found) => ToServe { reference: Reference::Certificate(&found.id), family: found.key_family() },
            None => ToServe { reference: Reference::named(bundle.as_str()), family: None },
        };
        self.api.mutate(operation, detail, |json: &_| decide(json, to_serve)).await
    }

    fn refused(&self, operation: &str, object: &str, said: &str) -> Error {
        Error::new(ErrorKind::Invalid, operation, self.api.subject(object)).said(said)
    }
}

/// Whether the Certificates service has keys of that type; what to write in the config instead where it has not.
///
/// # Errors
/// The hint for people.
pub fn certificates_service_takes(key: KeyType) -> Result<(), &'static str> {
    if certificates_service::takes_key(key) { Ok(()) } else { Err(certificates_service::KEY_TYPES) }
}

#[async_trait]
impl LoadBalancer for OciLoadBalancer {
    fn name(&self) -> &LoadBalancerName {
        self.api.name()
    }

    fn capabilities(&self) -> Capabilities {
        let replacement = match &self.certificates {
            Some(_) => Replacement::InPlace(InCommon::SubjectAndUsages),
            None => Replacement::SideBySide,
        };
        Capabilities {
            replacement,
            needs_common_name: replacement.is_in_place(),
            creates_listeners: true,
            answers_challenges: false,
        }
    }

    async fn observe(&self) -> Result<Observation, Error> {
        let snapshot = self.api.load_balancer(Detail::Ciphers(None)).await?;
        let holdings = self.holdings(&snapshot.json).await?;
        Ok(observe::observation(&snapshot.json, self.http01.as_ref(), &holdings))
    }

    async fn upload(&self, bundle: &Bundle) -> Result<(), Error> {
        if let Some(certificates) = &self.certificates {
            let compartment = self.compartment(certificates, None).await?;
            return certificates.service.upload(compartment, bundle).await;
        }
        let decide = |json: &_| bundle::upload(json, bundle);
        self.api.mutate("CreateCertificate", Detail::Plain, decide).await
    }

    async fn bind(&self, place: &Place, bundle: &BundleName) -> Result<(), Error> {
        let decide = |json: &_, to_serve: ToServe<'_>| bind::bind(json, place, to_serve);
        self.serve(bind::operation(place), Detail::Ciphers(None), bundle, decide).await
    }

    async fn unbind(&self, place: &Place, _bundle: &BundleName) -> Result<(), Error> {
        let said = "what terminates TLS refers to exactly one bundle";
        Err(self.refused(bind::operation(place), &place.to_string(), said).with_hint("bind another bundle instead"))
    }

    async fn create_listener(&self, listener: &ListenerName, bundle: &BundleName) -> Result<(), Error> {
        let Some(new) = self.create.get(listener) else {
            return Err(self
                .refused("CreateListener", &format!("listener `{listener}`"), "the config does not describe it")
                .with_hint("add `create: { port: 443, backend-set: … }` to the deploy entry"));
        };
        let decide = |json: &_, to_serve: ToServe<'_>| bind::create_listener(json, listener.as_str(), new, to_serve);
        self.serve("CreateListener", Detail::Ciphers(new.cipher_suite.as_deref()), bundle, decide).await
    }

    async fn delete(&self, bundle: &BundleName) -> Result<(), Error> {
        if let Some(certificates) = &self.certificates {
            let json = self.api.load_balancer(Detail::Plain).await?.json;
            // One of the load balancer's own is left from before the Certificates service held them.
            if Collection::Certificates.find(&json, bundle.as_str()).is_none() {
                let compartment = self.compartment(certificates, Some(&json)).await?;
                let found = certificates.service.find(compartment, bundle.as_str()).await?;
                let users = found.map(|found| bundle::users(&json, Reference::Certificate(&found.id)));
                return certificates.service.delete(compartment, bundle.as_str(), &users.unwrap_or_default()).await;
            }
        }
        let decide = |json: &_| bundle::delete(json, bundle.as_str());
        self.api.mutate("DeleteCertificate", Detail::Plain, decide).await
    }

    async fn prepare_http01(&self, change: &Http01Change) -> Result<(), Error> {
        let Some(config) = &self.http01 else {
            return Err(self
                .refused("preparing http-01", &change.object, "the config has no http01 for this load balancer")
                .with_hint("add `http01:` to the load balancer in the config"));
        };
        let decide = |json: &_| http01::change(json, config, &change.object);
        self.api.mutate("preparing http-01", Detail::Plain, decide).await
    }

    /// Nothing to do: the load balancer only routes to the responder, which answers for every open challenge.
    async fn present(&self, _name: &Identifier, _challenge: &Http01Challenge) -> Result<Vec<SocketAddr>, Error> {
        Ok(Vec::new())
    }

    /// Nothing to do, as for [`present`](LoadBalancer::present).
    async fn withdraw(&self, _token: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn inventory(&self) -> Result<Inventory, Error> {
        let snapshot = self.api.load_balancer(Detail::Ciphers(None)).await?;
        let holdings = self.holdings(&snapshot.json).await?;
        let leaves = match &self.certificates {
            Some(certificates) => {
                certificates.service.leaves(&inventory::certificate_ids(&snapshot.json, &holdings)).await
            }
            None => BTreeMap::new(),
        };
        Ok(inventory::inventory(&snapshot.json, &holdings, &leaves))
    }

    fn shared_keeper(&self) -> Option<String> {
        let compartment = self.certificates.as_ref()?.compartment.get()?;
        Some(format!("Certificates service, {}, {compartment}", self.api.region()))
    }

    /// Certificates of the Certificates service that certferry did not make are listed while something refers to them.
    fn lists(&self, bundle: &BundleName) -> bool {
        matches!(Reference::named(bundle.as_str()), Reference::Bundle(_))
    }
}
