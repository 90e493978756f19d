//! The instance metadata service, version 2 (<https://docs.oracle.com/iaas/Content/Compute/Tasks/gettingmetadata.htm>):
//! who this instance is, and where it runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certferry_core::{Clock, Error, ErrorKind};
use http::StatusCode;
use http::header::AUTHORIZATION;
use tokio::time::Instant;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::super::config::Limits;
use super::super::region::RegionInfo;
use super::super::retry::{Failure, Reaction, Refused, repeat};
use super::identity::{Identity, IdentityProblem};
use crate::http::{Answer, Backoff, ClientOptions, Lost, exchange};

/// The metadata service, at the first of its addresses that answers.
pub(super) struct Metadata {
    http: reqwest::Client,
    bases: Vec<Url>,
    /// Which of them answered last.
    answering: AtomicUsize,
    backoff: Backoff,
}

impl Metadata {
    /// `overridden` is the value of `OCI_METADATA_BASE_URL`.
    pub(super) fn new(overridden: Option<&str>, limits: &Limits) -> Result<Self, Error> {
        let given = overridden.map(str::trim).filter(|given| !given.is_empty());
        let bases = match given {
            Some(given) => vec![base(given)],
            None => USUAL.map(base).to_vec(),
        };
        let bases = bases.into_iter().collect::<Result<Vec<_>, _>>().map_err(|problem| {
            Error::new(ErrorKind::Invalid, "reading OCI_METADATA_BASE_URL", "the environment")
                .said(problem)
                .with_hint("unset it, or write http://169.254.169.254/opc/v2")
        })?;
        let options = ClientOptions {
            connect: limits.connect.min(LONGEST_CONNECT),
            request: limits.request.min(LONGEST_REQUEST),
            trusted_roots: None,
            http1_only: true,
            no_proxy: true, // it is on this machine, or in its hypervisor
        };
        let http = options.build().map_err(|error| {
            Error::new(ErrorKind::Unexpected, "making an HTTP client", "the metadata service").said(error.to_string())
        })?;
        Ok(Self { http, bases, answering: AtomicUsize::new(0), backoff: limits.backoff })
    }

    /// The instance's certificate, key and intermediates. Reads are repeated until `deadline`; without one, each is made
    /// once.
    pub(super) async fn identity(&self, clock: &dyn Clock, deadline: Option<Instant>) -> Result<Identity, Error> {
        let mut mixed = 0;
        loop {
            let certificate = self.read(CERTIFICATE, clock, deadline).await?;
            let key = self.read(KEY, clock, deadline).await?;
            let key = Zeroizing::new(key.body.to_vec());
            let intermediates = self.read(INTERMEDIATES, clock, deadline).await?;
            let problem = match Identity::parse(&certificate.body, &key, &intermediates.body) {
                Ok(identity) => return Ok(identity),
                Err(problem) => problem,
            };
            mixed += 1;
            let said = match problem {
                IdentityProblem::Mixed if mixed < MOST_MIXED => continue,
                IdentityProblem::Mixed => "cert.pem and key.pem do not belong together, each time".to_owned(),
                IdentityProblem::Unreadable(said) => said,
            };
            return Err(Error::new(ErrorKind::Unexpected, "reading the instance's identity", self.subject())
                .said(said)
                .with_hint(HINT));
        }
    }

    /// The region that the instance runs in.
    pub(super) async fn region(&self, clock: &dyn Clock, deadline: Option<Instant>) -> Result<RegionInfo, Error> {
        let passes = |failure: &Failure| failure.reaction() == Reaction::Repeat;
        let info = repeat(&self.backoff, deadline, passes, || self.attempt(REGION_INFO, clock)).await;
        match info {
            Ok(answer) => serde_json::from_slice(&answer.body).map_err(|error| {
                let said = format!("{REGION_INFO} is not the JSON that was expected ({error}): {}", answer.excerpt());
                Error::new(ErrorKind::Unexpected, format!("GET {REGION_INFO}"), self.subject())
                    .said(said)
                    .with_hint(HINT)
            }),
            // Older than regionInfo: it names the region only.
            Err(Failure::Refused(refused)) if refused.status == StatusCode::NOT_FOUND => {
                let answer = self.read(REGION, clock, deadline).await?;
                let name = String::from_utf8_lossy(&answer.body);
                Ok(RegionInfo::named(name.trim()))
            }
            Err(failure) => Err(self.error(REGION_INFO, &failure)),
        }
    }

    async fn read(&self, path: &str, clock: &dyn Clock, deadline: Option<Instant>) -> Result<Answer, Error> {
        // While an instance starts, its metadata may not be there yet.
        let passes = |failure: &Failure| match failure {
            Failure::Refused(refused) if refused.status == StatusCode::NOT_FOUND => true,
            other => other.reaction() == Reaction::Repeat,
        };
        let answer = repeat(&self.backoff, deadline, passes, || self.attempt(path, clock)).await;
        answer.map_err(|failure| self.error(path, &failure))
    }

    /// From the address that answered last; from the other where there is no connection.
    async fn attempt(&self, path: &str, clock: &dyn Clock) -> Result<Answer, Failure> {
        let first = self.answering.load(Ordering::Relaxed);
        let mut lost = None;
        for step in 0..self.bases.len() {
            let index = (first + step) % self.bases.len();
            let url = format!("{}/{path}", self.bases[index].as_str().trim_end_matches('/'));
            match exchange(self.http.get(url).header(AUTHORIZATION, "Bearer Oracle"), MAX_ANSWER).await {
                Ok(answer) if answer.status.is_success() => {
                    self.answering.store(index, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(answer) => return Err(Failure::Refused(Box::new(Refused::new(&answer, clock.now())))),
                Err(failure @ Lost::Connect(_)) => _ = lost.get_or_insert(failure),
                Err(failure) => return Err(Failure::Lost(failure)),
            }
        }
        Err(Failure::Lost(lost.unwrap_or_else(|| Lost::Connect("it has no address".to_owned()))))
    }

    fn error(&self, path: &str, failure: &Failure) -> Error {
        let error =
            Error::new(failure.kind(), format!("GET {path}"), self.subject()).said(failure.said()).with_hint(HINT);
        match failure.retry() {
            Some(retry) => error.with_retry(retry),
            None => error,
        }
    }

    fn subject(&self) -> String {
        let bases: Vec<&str> = self.bases.iter().map(Url::as_str).collect();
        format!("the metadata service {}", bases.join(" or "))
    }
}

/// A metadata service's address. Plain http goes to addresses that no router passes on, and to this machine.
fn base(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    let near = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_link_local(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback() || address.is_unicast_link_local() || address.segments()[..2] == ORACLES_OWN
        }
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if near => Ok(url),
        _ => Err(format!("`{text}` is refused: plain http is for this machine and link-local addresses only")),
    }
}

const CERTIFICATE: &str = "identity/cert.pem";
const KEY: &str = "identity/key.pem";
const INTERMEDIATES: &str = "identity/intermediate.pem";
const REGION_INFO: &str = "instance/regionInfo";
const REGION: &str = "instance/region";

/// By IPv4, and for subnets without it.
const USUAL: [&str; 2] = ["http://169.254.169.254/opc/v2", "http://[fd00:c1::a9fe:a9fe]/opc/v2"];

/// The start of the metadata service's IPv6 address.
const ORACLES_OWN: [u16; 2] = [0xfd00, 0x00c1];

/// A certificate that is replaced between the reads of certificate and key, over and over, is not replaced but wrong.
const MOST_MIXED: u32 = 4;

/// The metadata service is one hop away: where it is, it answers at once.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: Duration = Duration::from_secs(10);

const MAX_ANSWER: usize = 256 << 10;

const HINT: &str = "is this a compute instance of OCI, and does its metadata service answer this process? A container may need \
                    the host's network. Elsewhere use an API key: `auth: { api-key: {} }`";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_stays_near() {
        for (text, accepted) in [
            ("http://169.254.169.254/opc/v2", true),
            ("http://[fd00:c1::a9fe:a9fe]/opc/v2", true),
            ("http://127.0.0.1:8080/opc/v2", true),
            ("http://localhost:8080/opc/v2/", true),
            ("http://[::1]/opc/v2", true),
            ("http://[fe80::1]/opc/v2", true),
            ("https://metadata.some-domain.com/opc/v2", true),
            ("http://metadata.some-domain.com/opc/v2", false),
            ("http://192.0.2.1/opc/v2", false),
            ("http://[fd00:c2::1]/opc/v2", false),
            ("file:///etc/passwd", false),
            ("169.254.169.254", false),
        ] {
            assert_eq!(base(text).is_ok(), accepted, "{text}");
        }
        let error = Metadata::new(Some("http://192.0.2.1"), &Limits::default()).err().unwrap();
        assert!(error.to_string().contains("OCI_METADATA_BASE_URL"), "{error}");
        assert_eq!(Metadata::new(Some(" "), &Limits::default()).unwrap().bases.len(), 2);
    }
}
