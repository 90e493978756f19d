//! An OCI load balancer service that really listens: the API of `/20170115` with strict signatures and asynchronous
//! work requests, and load balancers that terminate TLS, route and check the health of their backends.
//!
//! Start it with [`OciLab::start`], give a client a key with [`OciLab::new_api_key`], add load balancers with
//! [`OciLab::add_load_balancer`]. Every socket is on loopback; everything ends when the [`OciLab`] is dropped.
//!
//! Besides API keys it takes tokens with an end: of sessions, of resources, and of compute instances
//! ([`OciLab::start_instance`]), which get theirs from `/v1/x509` for the certificate in their metadata.
//!
//! Besides load balancers it holds the certificates of the Certificates service (`/20210224`, at the same endpoint), which
//! any of its load balancers can refer to by `certificateIds`.
//!
//! Limits of the data plane: listeners of the protocols HTTP2 and GRPC answer in HTTP/1.1; every policy spreads like
//! ROUND_ROBIN; session persistence, idle timeouts and the rule actions ALLOW, HTTP_HEADER and
//! IP_BASED_MAX_CONNECTIONS have no effect; a listener that verifies its clients by `trustedCertificateAuthorityIds`
//! fails its handshakes; backends outside 127.0.0.0/8 count as unreachable, so that the lab never leaves the machine.

pub(crate) mod api;
mod api_key;
mod bundle;
mod certificates_service;
mod change;
mod cipher_suites;
mod configuration;
mod data_plane;
mod defaults;
pub(crate) mod error;
mod faults;
mod fields;
mod identity;
mod options;
mod request_log;
mod service;
pub(crate) mod signature;
mod validation;
mod work_requests;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, runtime::Handle};

use crate::clock;

pub use self::{
    api_key::{ApiKey, KeyLabel, OciConfigFiles, OciSessionFiles},
    data_plane::HeldCertificates,
    error::LabError,
    faults::{Effect, Fault, Moment, RetryAfter},
    identity::{Instance, InstanceOptions},
    options::{
        AttachedCertificate, Behaviour, CertificateCheck, CertificatesBehaviour, DuplicateName, LoadBalancerSpec,
        Nulls, OciOptions, OpenWorkRequest, OtherKeyAlgorithms, Ports, RequiredChain, UnknownCertificate,
        certificate_entry,
    },
    request_log::RequestRecord,
    work_requests::{WorkRequest, WorkRequestError, WorkRequestState},
};
use self::{
    configuration::{Collection, Configuration},
    data_plane::DataPlane,
    service::{LoadBalancer, Service},
    signature::RegisteredKey,
};

/// The running service. Dropping it ends every task and closes every socket.
pub struct OciLab {
    address: SocketAddr,
    compartment_id: String,
    service: Arc<Service>,
}

impl OciLab {
    /// Listens on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// [`LabError::Listen`].
    pub async fn start(options: OciOptions) -> Result<Self, LabError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen_error = |source| LabError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let runtime = Handle::current();
        let data_plane = DataPlane::new(options.health_interval_scale, runtime.clone());
        let service = Arc::new(Service::new(address.port(), options.behaviour, data_plane, runtime));
        service.spawn(api::serve(Arc::clone(&service), listener));
        Ok(Self { address, compartment_id: options.compartment_id, service })
    }

    /// `http://127.0.0.1:PORT`, without the base path: as `oci --endpoint` wants it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The compartment of every load balancer.
    pub fn compartment_id(&self) -> &str {
        &self.compartment_id
    }

    /// Makes a key and registers it.
    ///
    /// # Errors
    /// As [`ApiKey::generate`].
    pub fn new_api_key(&self) -> Result<ApiKey, LabError> {
        let key = ApiKey::generate()?;
        self.register_key(key.key_id(), key.public_key_der());
        Ok(key)
    }

    /// Registers the public key (DER SubjectPublicKeyInfo) for a `keyId` of any form, `ST$…` too.
    pub fn register_key(&self, key_id: impl Into<String>, public_key_der: &[u8]) {
        let key = RegisteredKey { public_key: public_key_der.to_vec(), expires_at: None, owner: None };
        self.service.state().keys.insert(key_id.into(), key);
    }

    /// From now on requests with this `keyId` are answered 401, like those of an expired token.
    pub fn revoke_key(&self, key_id: &str) {
        self.service.state().keys.remove(key_id);
    }

    /// Adds a load balancer, ACTIVE at once, and gives its OCID.
    ///
    /// # Errors
    /// [`LabError::NotValid`] with the text that an API client would get; [`LabError::Listen`] when a listener's
    /// port cannot be bound.
    pub fn add_load_balancer(&self, spec: LoadBalancerSpec) -> Result<String, LabError> {
        let mut state = self.service.state();
        let number = state.load_balancers.len() + 1;
        let id = format!("ocid1.loadbalancer.oc1.iad.aaaaaaaalab{:06}{number:06}", self.address.port());
        let not_valid = |error: error::ApiError| LabError::NotValid {
            load_balancer: spec.display_name.clone(),
            problem: error.message,
        };
        let mut json = self.attributes(&id, &spec, state.now());
        if let Value::Object(given) = &spec.configuration {
            json.extend(given.clone());
        }
        let mut configuration =
            Configuration::from_json(Value::Object(json), &Configuration::default()).map_err(not_valid)?;
        validation::check(&configuration).map_err(not_valid)?;
        state.certificates.check_references(&configuration, &state.behaviour.certificates).map_err(not_valid)?;
        self.service.data_plane.add(&id, spec.address, spec.ports);
        for (_, listener) in configuration.objects(Collection::Listeners) {
            // A port that a client asks for later and that cannot be bound is a line in the log; this one is not.
            let port = listener["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or_default();
            self.service.data_plane.address(&id, port)?;
        }
        let now = state.now();
        state.certificates.associate(&id, &mut configuration, now);
        self.service.data_plane.apply(&id, &configuration);
        state.load_balancers.push(LoadBalancer::new(id.clone(), configuration));
        Ok(id)
    }

    /// Where a listener with this port number is served. The address is reserved from the first call on: until there
    /// is a listener, connections are refused.
    ///
    /// # Errors
    /// [`LabError::UnknownLoadBalancer`], or [`LabError::Listen`] when the port cannot be bound.
    pub fn data_plane_address(&self, load_balancer: &str, port: u16) -> Result<SocketAddr, LabError> {
        self.service.data_plane.address(load_balancer, port)
    }

    /// As GetLoadBalancer would answer it.
    ///
    /// # Errors
    /// [`LabError::UnknownLoadBalancer`].
    pub fn load_balancer(&self, id: &str) -> Result<Value, LabError> {
        let state = self.service.state();
        let load_balancer = state.load_balancer(id).map_err(|_| unknown(id))?;
        Ok(load_balancer.to_json(state.behaviour.nulls))
    }

    /// The current ETag.
    ///
    /// # Errors
    /// [`LabError::UnknownLoadBalancer`].
    pub fn etag(&self, id: &str) -> Result<String, LabError> {
        let state = self.service.state();
        Ok(state.load_balancer(id).map_err(|_| unknown(id))?.etag())
    }

    /// Another writer changes the load balancer now: the JSON is as GetLoadBalancer shows it, nulls left out; new
    /// certificates need their `privateKey`. The edit must not call the lab.
    ///
    /// # Errors
    /// [`LabError::UnknownLoadBalancer`]; [`LabError::NotValid`], and then nothing has changed.
    pub fn edit_load_balancer(&self, id: &str, edit: impl FnOnce(&mut Value) + Send + 'static) -> Result<(), LabError> {
        let mut state = self.service.state();
        state.load_balancer(id).map_err(|_| unknown(id))?;
        self.service
            .edit(&mut state, id, Box::new(edit))
            .map_err(|error| LabError::NotValid { load_balancer: id.to_owned(), problem: error.message })
    }

    /// Another writer changes the load balancer just before or after the next call of `operation` about it (`*`: any
    /// call). The edit works as in [`OciLab::edit_load_balancer`]; one that makes the load balancer invalid is
    /// dropped.
    pub fn edit_on_next(
        &self,
        operation: &str,
        moment: Moment,
        load_balancer: &str,
        edit: impl FnOnce(&mut Value) + Send + 'static,
    ) {
        self.service.state().faults.add_edit(operation, moment, load_balancer, Box::new(edit));
    }

    /// Adds a fault rule. Rules are tried in the order in which they were added; the first that hits wins.
    pub fn add_fault(&self, fault: Fault) {
        self.service.state().faults.add(fault);
    }

    /// Removes all fault rules and waiting edits.
    pub fn clear_faults(&self) {
        self.service.state().faults.clear();
    }

    /// How many fault rules and edits have not been used up.
    pub fn pending_faults(&self) -> usize {
        self.service.state().faults.pending()
    }

    /// Changes how the service behaves.
    pub fn set_behaviour(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.service.state().behaviour);
    }

    /// From now on these listeners go on serving the certificate that they serve now, whatever is configured.
    pub fn hold_certificates(&self, held: HeldCertificates) {
        self.service.data_plane.hold(held);
    }

    /// Ends [`OciLab::hold_certificates`]: every listener serves what is configured.
    pub fn release_certificates(&self) {
        self.service.data_plane.release();
        let ids: Vec<String> =
            self.service.state().load_balancers.iter().map(|load_balancer| load_balancer.id.clone()).collect();
        for id in ids {
            self.service.refresh_data_plane(&id);
        }
    }

    /// Every API call so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.service.state().log.clone()
    }

    /// The API calls after the first `seen` ones, oldest first: what is new where the log is long.
    pub fn requests_after(&self, seen: usize) -> Vec<RequestRecord> {
        self.service.state().log.iter().skip(seen).cloned().collect()
    }

    /// How many API calls there were so far, refused ones too.
    pub fn request_count(&self) -> usize {
        self.service.state().log.len()
    }

    /// How many calls of an operation there were so far, refused ones too. As for [`Fault`], the name may say of which
    /// service: `certificates/CreateCertificate`.
    pub fn count(&self, operation: &str) -> usize {
        self.service.state().log.iter().filter(|record| record.is(operation)).count()
    }

    /// Every work request so far, oldest first.
    pub fn work_requests(&self) -> Vec<WorkRequest> {
        self.service.state().work_requests.clone()
    }

    /// Forgets the work requests that have ended, as the service does after a while.
    pub fn forget_work_requests(&self) {
        self.service.state().work_requests.retain(WorkRequest::is_open);
    }

    fn attributes(&self, id: &str, spec: &LoadBalancerSpec, now: jiff::Timestamp) -> Map<String, Value> {
        let attributes = json!({
            "id": id,
            "compartmentId": self.compartment_id,
            "displayName": spec.display_name,
            "lifecycleState": "ACTIVE",
            "timeCreated": clock::written(now),
            "ipAddresses": [{ "ipAddress": spec.address.to_string(), "isPublic": true }],
            "shapeName": "flexible",
            "shapeDetails": { "minimumBandwidthInMbps": 10, "maximumBandwidthInMbps": 10 },
            "isPrivate": false,
            "isDeleteProtectionEnabled": false,
            "isRequestIdEnabled": false,
            "subnetIds": ["ocid1.subnet.oc1.iad.aaaaaaaalab"],
            "networkSecurityGroupIds": [],
            "ipMode": "IPV4",
            "freeformTags": {},
            "definedTags": {},
            "systemTags": {},
        });
        match attributes {
            Value::Object(attributes) => attributes,
            _ => Map::new(),
        }
    }
}

impl Drop for OciLab {
    fn drop(&mut self) {
        self.service.stop();
    }
}

impl std::fmt::Debug for OciLab {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OciLab").field("address", &self.address).finish_non_exhaustive()
    }
}

fn unknown(id: &str) -> LabError {
    LabError::UnknownLoadBalancer(id.to_owned())
}
