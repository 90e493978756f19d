//! What a person can do about a call that failed.

use certferry_core::LoadBalancerName;
use http::StatusCode;

use super::auth::Credential;
use super::retry::{Failure, Refused};

/// Who called, and where.
pub(super) struct Caller<'a> {
    pub(super) load_balancer: &'a LoadBalancerName,
    /// The service's address; `None` when not even that could be found out.
    pub(super) address: Option<String>,
    pub(super) credential: &'a Credential,
}

impl Caller<'_> {
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
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => format!(
                "missing, or not allowed: OCI does not tell. If it is there, add a policy: {} (`certferry policy {}` prints \
                 the least one)",
                self.credential.statement(),
                self.load_balancer
            ),
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
                "who else changes this load balancer? Its work requests tell".to_owned()
            }
            StatusCode::TOO_MANY_REQUESTS => "who else calls OCI so often with this user?".to_owned(),
            StatusCode::BAD_REQUEST if code == "LimitExceeded" || code == "QuotaExceeded" => {
                "remove what nothing uses (old bundles, say), or ask Oracle for a higher limit".to_owned()
            }
            status if status.is_server_error() => "look at OCI's status page; it is tried again".to_owned(),
            _ => "what OCI says names the field".to_owned(),
        }
    }
}
