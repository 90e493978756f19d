//! Calls beside those about lists and objects: to any address of the controller's API, repeated while that can help.

use certferry_core::Error;
use http::Method;
use tokio::time::Instant;
use url::Url;

use super::client::{Api, Failed};
use super::retry::{Failure, Reaction};
use crate::http::{Answer, jitter};

impl Api {
    /// The address of `api/<segments>`.
    pub(super) fn address(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base().join(["api"].into_iter().chain(segments.iter().copied()));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Makes a call without a body, again and again while its failure is one that passes, until `deadline`.
    ///
    /// # Errors
    /// The last failure.
    pub(super) async fn repeated(
        &self,
        method: &Method,
        url: &Url,
        deadline: Instant,
        passes: impl Fn(&Failure) -> bool,
    ) -> Result<Answer, Failed> {
        let mut failures = 0;
        loop {
            let failure = match self.send_to(method, url).await {
                Err(Failed::Call(failure)) => failure,
                outcome => return outcome,
            };
            failures += 1;
            let wait = self.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            let may_pass = failure.reaction() == Reaction::Wait || passes(&failure);
            if !may_pass || Instant::now() + wait >= deadline {
                return Err(Failed::Call(failure));
            }
            tracing::debug!(load_balancer = %self.name(), ?wait, failure = failure.said(), "sent again");
            tokio::time::sleep(wait).await;
        }
    }

    /// Why a read failed. `operation` and `object` are for people, `permission` is what the read takes.
    pub(super) fn read_error(&self, operation: &str, object: &str, permission: &str, failed: Failed) -> Error {
        match failed {
            Failed::Login(error) => error,
            Failed::Call(failure) => self.failure_error(operation, object, &Method::GET, permission, &failure),
        }
    }
}

/// The address that an answer refers to, where it is `own` with another query. Nothing else is ever called: the session
/// goes with every call, and what the answer says is not what the config says.
pub(super) fn same_place(own: &Url, reference: &str) -> Option<Url> {
    let mut url = own.join(reference).ok()?;
    url.set_fragment(None);
    let is_own = url.origin() == own.origin()
        && url.path().trim_end_matches('/') == own.path().trim_end_matches('/')
        && url.username().is_empty()
        && url.password().is_none();
    is_own.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_place_is_followed() {
        for (base, reference, followed) in [
            ("", "https://avi.some-domain.com/api/analytics/logs?page=1&query_id=7", true),
            ("", "https://AVI.some-domain.com:443/api/analytics/logs/?query_id=7#x", true),
            ("", "/api/analytics/logs?query_id=7", true),
            ("", "?query_id=7", true),
            ("", "http://avi.some-domain.com/api/analytics/logs?query_id=7", false),
            ("", "https://avi.some-domain.com:8443/api/analytics/logs", false),
            ("", "https://elsewhere.some-domain.com/api/analytics/logs", false),
            ("", "https://user:password@avi.some-domain.com/api/analytics/logs", false),
            ("", "//elsewhere.some-domain.com/api/analytics/logs", false),
            ("", r"\\elsewhere.some-domain.com\api\analytics\logs", false),
            ("", "https://avi.some-domain.com/api/sslkeyandcertificate?export_key=true", false),
            ("", "/api/analytics/logs/../../user", false),
            ("", "file:///etc/passwd", false),
            ("", "https://", false),
            ("/avi", "https://avi.some-domain.com/api/analytics/logs", false),
            ("/avi", "https://avi.some-domain.com/avi/api/analytics/logs?query_id=7", true),
        ] {
            let own: Url = format!("https://avi.some-domain.com{base}/api/analytics/logs?type=1").parse().unwrap();
            let found = same_place(&own, reference);
            assert_eq!(found.is_some(), followed, "{reference}: {found:?}");
            assert!(found.is_none_or(|url| url.fragment().is_none()));
        }
    }
}
