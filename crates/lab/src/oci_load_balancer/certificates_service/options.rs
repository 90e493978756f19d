//! What the Certificates service's documentation leaves open, and what a test wants to see it do.

use std::time::Duration;

/// How the Certificates service behaves; part of [`Behaviour`](super::super::Behaviour).
#[derive(Clone, Debug)]
pub struct CertificatesBehaviour {
    /// Whether a policy lets callers use the service. Without one every call is answered 404, and so is a change of a
    /// load balancer that names a certificate of the service.
    pub allowed: bool,
    /// How much of its chain an imported certificate must bring.
    pub chain: RequiredChain,
    /// From a change's answer until it is in effect: CREATING and UPDATING last this long.
    pub change_delay: Duration,
    /// What happens to keys whose algorithm has no value in the API's enum.
    pub other_key_algorithms: OtherKeyAlgorithms,
    /// The most items that a list answers at once.
    pub page_size: usize,
    /// From a version's becoming CURRENT until load balancers serve it.
    pub pick_up_delay: Duration,
    /// Whether versions whose deletion is scheduled count towards `version_limit`.
    pub scheduled_versions_count: bool,
    /// How a load balancer's change that names an unknown certificate is refused.
    pub unknown_certificate: UnknownCertificate,
    /// How many versions a certificate may have; one more is 400 LimitExceeded.
    pub version_limit: Option<usize>,
}

impl Default for CertificatesBehaviour {
    fn default() -> Self {
        Self {
            allowed: true,
            chain: RequiredChain::Intermediates,
            change_delay: Duration::from_millis(10),
            other_key_algorithms: OtherKeyAlgorithms::Accepted,
            page_size: 100,
            pick_up_delay: Duration::from_millis(50),
            scheduled_versions_count: false,
            unknown_certificate: UnknownCertificate::NotFound,
            version_limit: None,
        }
    }
}

/// Where `certChainPem` may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredChain {
    /// At any certificate above the leaf.
    Intermediates,
    /// At a self-signed root only
    /// (<https://github.com/therealcmj/certbot-dns-oci/issues/1> was solved by appending it).
    WithRoot,
}

/// An imported key that is none of RSA2048, RSA4096, ECDSA_P256 and ECDSA_P384.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKeyAlgorithms {
    /// Taken; `keyAlgorithm` shows a value that no SDK knows.
    Accepted,
    /// 400 InvalidParameter.
    Refused,
}

/// A listener or backend set that is to refer to a certificate that is not there, or not in use yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCertificate {
    /// 400 InvalidParameter.
    InvalidParameter,
    /// 404 NotAuthorizedOrNotFound.
    NotFound,
}
