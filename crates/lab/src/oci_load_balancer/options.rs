//! How the lab is set up, and the answers that the real service's documentation leaves open.

use std::{net::Ipv4Addr, time::Duration};

use jiff::SignedDuration;
use serde_json::{Value, json};

pub use super::certificates_service::options::{
    CertificatesBehaviour, OtherKeyAlgorithms, RequiredChain, UnknownCertificate,
};
pub use crate::loopback_port::Ports;

/// Fixed when the lab starts.
#[derive(Clone, Debug)]
pub struct OciOptions {
    /// The compartment of every load balancer.
    pub compartment_id: String,
    /// Health checks run at their configured interval times this factor, but at least 10 ms apart: with the default
    /// of 0.005 an interval of 10 s becomes 50 ms.
    pub health_interval_scale: f64,
    /// The behaviour to start with; changed later by [`OciLab::set_behaviour`](super::OciLab::set_behaviour).
    pub behaviour: Behaviour,
}

impl Default for OciOptions {
    fn default() -> Self {
        Self {
            compartment_id: "ocid1.compartment.oc1..aaaaaaaalab".into(),
            health_interval_scale: 0.005,
            behaviour: Behaviour::default(),
        }
    }
}

/// What may be changed while the lab runs. The documentation leaves several of these open: a client has to work with
/// each.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// How DeleteCertificate answers for a bundle in use.
    pub attached_certificate: AttachedCertificate,
    /// How many bundles a load balancer may hold; more is 400 LimitExceeded.
    pub certificate_limit: Option<usize>,
    /// When PEM, key and passphrase of a new bundle are looked at.
    pub certificate_check: CertificateCheck,
    /// How the Certificates service behaves.
    pub certificates: CertificatesBehaviour,
    /// The service's clock minus the true time, in seconds.
    pub clock_offset_seconds: i64,
    /// From SUCCEEDED until the data plane does what was configured.
    pub data_plane_delay: Duration,
    /// How a name that is taken is refused.
    pub duplicate_name: DuplicateName,
    /// Whether fields that are not set are shown as null.
    pub nulls: Nulls,
    /// What happens to a mutation while a work request of the same load balancer is open.
    pub open_work_request: OpenWorkRequest,
    /// How long the tokens of instances live, in whole seconds.
    pub token_lifetime: SignedDuration,
    /// From ACCEPTED to SUCCEEDED; half of it passes before IN_PROGRESS. Without any, a work request has ended when the
    /// mutation is answered.
    pub work_request_delay: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            attached_certificate: AttachedCertificate::Conflict,
            certificate_limit: None,
            certificate_check: CertificateCheck::AtOnce,
            certificates: CertificatesBehaviour::default(),
            clock_offset_seconds: 0,
            data_plane_delay: Duration::ZERO,
            duplicate_name: DuplicateName::Conflict,
            nulls: Nulls::Explicit,
            open_work_request: OpenWorkRequest::Accepted,
            token_lifetime: SignedDuration::from_mins(20),
            work_request_delay: Duration::from_millis(10),
        }
    }
}

/// Deleting a bundle that a listener or backend set uses. Both have been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachedCertificate {
    /// 409 Conflict at once.
    Conflict,
    /// Accepted; the work request ends FAILED.
    WorkRequestFails,
}

/// When the content of a new bundle is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CertificateCheck {
    /// 400 InvalidParameter at once.
    AtOnce,
    /// Accepted; the work request ends FAILED.
    InWorkRequest,
}

/// Creating an object whose name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateName {
    /// 409 Conflict.
    Conflict,
    /// 400 InvalidParameter.
    InvalidParameter,
}

/// Fields that are not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// Shown as null.
    Explicit,
    /// Left out.
    Omitted,
}

/// A second mutation of a load balancer while a work request is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenWorkRequest {
    /// Accepted: they run side by side.
    Accepted,
    /// 409 with code Conflict (which oci-cli does not retry).
    Conflict,
    /// 409 with code IncorrectState (which oci-cli retries).
    IncorrectState,
}

/// A load balancer to be.
#[derive(Clone, Debug)]
pub struct LoadBalancerSpec {
    /// Shown in `ipAddresses`, and where the data plane listens: an address in 127.0.0.0/8.
    pub address: Ipv4Addr,
    /// The display name.
    pub display_name: String,
    /// Where the data plane listens.
    pub ports: Ports,
    /// Any of the maps `listeners`, `backendSets`, `certificates` (with `privateKey`), `hostnames`, `pathRouteSets`,
    /// `ruleSets`, `routingPolicies`, `sslCipherSuites`, by name, with the fields of the Create… models; and any
    /// field of the load balancer itself (`freeformTags` and so on), which wins over the lab's own.
    pub configuration: Value,
}

impl LoadBalancerSpec {
    /// An empty load balancer on 127.0.0.1 with mapped ports.
    pub fn new(display_name: impl Into<String>) -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            display_name: display_name.into(),
            ports: Ports::Mapped,
            configuration: json!({}),
        }
    }

    /// With these objects; see [`LoadBalancerSpec::configuration`].
    #[must_use]
    pub fn configured(mut self, configuration: Value) -> Self {
        self.configuration = configuration;
        self
    }

    /// With the listeners' own port numbers on this loopback address.
    #[must_use]
    pub fn on_exact_ports(mut self, address: Ipv4Addr) -> Self {
        self.address = address;
        self.ports = Ports::Exact;
        self
    }
}

/// A `certificates` entry for [`LoadBalancerSpec::configured`]: chain as `publicCertificate`, key as `privateKey`.
pub fn certificate_entry(name: &str, chain_pem: &str, private_key_pem: &str) -> Value {
    json!({ "certificateName": name, "publicCertificate": chain_pem, "privateKey": private_key_pem })
}
