//! What a person can do about a call that failed.

use std::fmt;

use certferry_core::{DnsProviderName, LoadBalancerName};
use http::StatusCode;

use super::auth::Credential;
use super::config::LoadBalancerId;
use super::region::Regions;
use super::retry::{Failure, Refused};
use crate::http::BaseUrl;

/// On whose behalf the service is called, as the config names it.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A load balancer whose certificates are in the Certificates service, and the part of that service that is called.
    Certificates(LoadBalancerName, LoadBalancerId, CertificatesPart),
    /// A DNS provider.
    Dns(DnsProviderName),
    /// A load balancer, by its OCID.
    LoadBalancer(LoadBalancerName, LoadBalancerId),
}

/// The Certificates service has two addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CertificatesPart {
    /// Certificates and their versions.
    Management,
    /// What they hold.
    Retrieval,
}

impl Caller {
    /// An object of the caller's, for people.
    pub(super) fn subject(&self, object: &str) -> String {
        match (self, object) {
            (_, "") => self.to_string(),
            (Self::Dns(_), object) => format!("{object} ({self})"),
            (Self::Certificates(..) | Self::LoadBalancer(..), object) => format!("{object} of {self}"),
        }
    }

    /// The address of the service that it calls.
    pub(super) fn endpoint(&self, regions: &Regions, credential: &Credential) -> Result<BaseUrl, String> {
        let stated = credential.stated_region();
        match self {
            Self::Certificates(_, id, CertificatesPart::Management) => {
                regions.certificates_endpoint(id, "certificatesmanagement", stated)
            }
            Self::Certificates(_, id, CertificatesPart::Retrieval) => {
                regions.certificates_endpoint(id, "certificates", stated)
            }
            Self::Dns(_) => regions.dns_endpoint(stated, credential.realm()),
            Self::LoadBalancer(_, id) => regions.load_balancer_endpoint(id, stated),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificates(name, ..) => write!(formatter, "the Certificates service for load balancer `{name}`"),
            Self::Dns(name) => write!(formatter, "DNS provider `{name}`"),
            Self::LoadBalancer(name, _) => write!(formatter, "load balancer `{name}`"),
        }
    }
}

/// Who called, and where.
pub(super) struct Advice<'a> {
    pub(super) caller: &'a Caller,
    /// The service's address; `None` when not even that could be found out.
    pub(super) address: Option<String>,
    pub(super) credential: &'a Credential,
}

impl Advice<'_> {
    /// The next thing to try.
    pub(super) fn hint(&self, failure: &Failure) -> String {
        match failure {
            Failure::Credential(error) => error.hint().unwrap_or("look at the text of the error").to_owned(),
            Failure::Lost(_) => match &self.address {
                Some(address) => format!("is {address} reachable from here?"),
                None => "is the network there?".to_owned(),
            },
            Failure::NotSigned => "make a new API key in the console and name its file in the profile".to_owned(),
            Failure::Refused(refused) => self.hint_about(refused),
        }
    }

    fn hint_about(&self, refused: &Refused) -> String {
        let code = refused.code.as_deref().unwrap_or_default();
        match refused.status {
            StatusCode::UNAUTHORIZED => refused.clock_hint().unwrap_or_else(|| self.credential.hint_when_refused()),
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => self.missing_or_not_allowed(),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => match self.caller {
                Caller::Certificates(..) => "who else changes this certificate?".to_owned(),
                Caller::Dns(_) => "who else changes this zone?".to_owned(),
                Caller::LoadBalancer(..) => "who else changes this load balancer? Its work requests tell".to_owned(),
            },
            StatusCode::TOO_MANY_REQUESTS => "who else calls OCI so often with this user?".to_owned(),
            StatusCode::BAD_REQUEST if code == "LimitExceeded" || code == "QuotaExceeded" => match self.caller {
                Caller::Certificates(..) => {
                    "schedule certificates and deprecated versions that nothing needs for deletion, or ask Oracle for a higher \
                     limit"
                        .to_owned()
                }
                _ => "remove what nothing uses (old bundles, say), or ask Oracle for a higher limit".to_owned(),
            },
            status if status.is_server_error() => "look at OCI's status page; it is tried again".to_owned(),
            _ => "what OCI says names the field".to_owned(),
        }
    }

    fn missing_or_not_allowed(&self) -> String {
        let told = "missing, or not allowed: OCI does not tell. If it is there, add a policy";
        match self.caller {
            Caller::Certificates(name, ..) => format!(
                "{told}: {} (`certferry policy {name}` prints the least ones)",
                self.credential.statement("manage leaf-certificate-family")
            ),
            Caller::Dns(name) => format!(
                "{told}: {}, and the same with `read dns-zones` (`certferry policy {name}` prints the least one)",
                self.credential.statement("use dns-records")
            ),
            Caller::LoadBalancer(name, _) => format!(
                "{told}: {} (`certferry policy {name}` prints the least one)",
                self.credential.statement("use load-balancers")
            ),
        }
    }
}
