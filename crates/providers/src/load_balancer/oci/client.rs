//! Signed calls to the Load Balancer service, each repeated while that can help.

use std::sync::Arc;

use aws_lc_rs::rand;
use bytes::Bytes;
use certferry_core::{Clock, Error, ErrorKind, LoadBalancerName};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST};
use http::{Method, StatusCode};
use jiff::Timestamp;
use tokio::time::Instant;
use url::Url;

use super::api_key::ApiKey;
use super::config::{Limits, LoadBalancerId, OciConfig};
use super::endpoint::endpoint;
use super::retry::{Failure, Reaction, Refused};
use super::signature::{self, SigningKey, ToSign, http_date};
use crate::http::{Answer, BaseUrl, ClientOptions, exchange, jitter, retry_after};

/// The service, as one load balancer's client.
pub(super) struct Api {
    name: LoadBalancerName,
    id: LoadBalancerId,
    base: BaseUrl,
    http: reqwest::Client,
    signer: SigningKey,
    clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
}

/// One call.
pub(super) struct Call<'a> {
    pub(super) operation: &'static str,
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) body: Option<Bytes>,
    pub(super) if_match: Option<&'a str>,
    /// The same for every repetition of one attempt, so that the service does it once.
    pub(super) retry_token: Option<&'a str>,
}

impl Call<'_> {
    /// A read.
    pub(super) fn get(operation: &'static str, url: Url) -> Self {
        Self { operation, method: Method::GET, url, body: None, if_match: None, retry_token: None }
    }
}

/// A call that did not succeed, with all its repetitions.
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// Whether any of them may have had its effect.
    pub(super) effect_possible: bool,
}

impl Api {
    /// Reads the API key and prepares the client. No call is made.
    pub(super) fn new(name: LoadBalancerName, config: &OciConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let subject = format!("load balancer `{name}`");
        let key = ApiKey::load(&config.auth, std::env::home_dir().as_deref())?;
        let base = match &config.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => endpoint(key.region.as_deref(), config.load_balancer_id.realm()).map_err(|problem| {
                Error::new(ErrorKind::Invalid, "finding the OCI endpoint", subject.clone())
                    .said(problem)
                    .with_hint("set `region` in the profile, or `endpoint` of the load balancer in the config")
            })?,
        };
        let options = ClientOptions {
            connect: config.limits.connect,
            request: config.limits.request,
            trusted_roots: None,
            http1_only: true, // the signature covers the `host` header, which HTTP/2 does not have
            no_proxy: base.is_loopback(),
        };
        let http = options.build().map_err(|error| {
            Error::new(ErrorKind::Unexpected, "making an HTTPS client", subject).said(error.to_string())
        })?;
        Ok(Self {
            name,
            id: config.load_balancer_id.clone(),
            base,
            http,
            signer: key.signer,
            clock,
            limits: config.limits,
        })
    }

    /// The load balancer's name in the config.
    pub(super) fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    /// The URL of something below the load balancer.
    pub(super) fn url<'a>(&'a self, path: impl IntoIterator<Item = &'a str>) -> Url {
        self.base.join([VERSION, "loadBalancers", self.id.as_str()].into_iter().chain(path))
    }

    /// The URL of a work request, which is not below its load balancer.
    pub(super) fn work_request_url(&self, id: &str) -> Url {
        self.base.join([VERSION, "loadBalancerWorkRequests", id])
    }

    /// An object of this load balancer, for people.
    pub(super) fn subject(&self, object: &str) -> String {
        if object.is_empty() {
            return format!("load balancer `{}`", self.name);
        }
        format!("{object} of load balancer `{}`", self.name)
    }

    /// Makes a call, and repeats it while the failure is one that passes, within the limit.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Answer, Failed> {
        let deadline = Instant::now() + self.limits.retry;
        let mut failures = 0;
        let mut effect_possible = false;
        loop {
            let failure = match self.attempt(call).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            failures += 1;
            effect_possible |= call.method != Method::GET && failure.may_have_had_effect();
            let wait = self.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            if failure.reaction() != Reaction::Repeat || Instant::now() + wait >= deadline {
                return Err(Failed { failure, effect_possible });
            }
            tracing::debug!(
                load_balancer = %self.name, operation = call.operation, ?wait, failure = failure.said(), "sent again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// A read: a call whose answer is JSON of type `T`.
    pub(super) async fn read<T: serde::de::DeserializeOwned>(
        &self,
        call: &Call<'_>,
        object: &str,
    ) -> Result<(T, Answer), Error> {
        let answer = self.send(call).await.map_err(|failed| self.error(call.operation, object, &failed))?;
        match serde_json::from_slice(&answer.body) {
            Ok(value) => Ok((value, answer)),
            Err(error) => Err(Error::new(ErrorKind::Unexpected, call.operation, self.subject(object))
                .said(format!("{} is not the JSON that was expected ({error}): {}", answer.status, answer.excerpt()))
                .with_hint(format!("is {} the Load Balancer service, and not a proxy or portal?", self.base))),
        }
    }

    /// A failed call as an error.
    pub(super) fn error(&self, operation: &str, object: &str, failed: &Failed) -> Error {
        let failure = &failed.failure;
        let kind = match failure {
            Failure::Lost(_) if failed.effect_possible => ErrorKind::EffectUnknown,
            _ => failure.kind(),
        };
        let error =
            Error::new(kind, operation, self.subject(object)).said(failure.said()).with_hint(self.hint(failure));
        match failure.retry() {
            Some(retry) => error.with_retry(retry),
            None => error,
        }
    }

    fn hint(&self, failure: &Failure) -> String {
        let refused = match failure {
            Failure::Lost(_) => return format!("is {} reachable from here?", self.base),
            Failure::NotSigned => {
                return "make a new API key in the console and name its file in the profile".to_owned();
            }
            Failure::Refused(refused) => refused,
        };
        let code = refused.code.as_deref().unwrap_or_default();
        match (refused.status, refused.clock_ahead) {
            (StatusCode::UNAUTHORIZED, Some(ahead)) if ahead.unsigned_abs() > ALLOWED_SKEW => {
                let (seconds, direction) =
                    (ahead.unsigned_abs().as_secs(), if ahead.is_positive() { "ahead" } else { "behind" });
                format!("this machine's clock is {seconds} s {direction}; OCI takes 5 minutes: set it by NTP")
            }
            (StatusCode::UNAUTHORIZED, _) => format!(
                "is the API key {} still in the user's list in the console, do key_file and fingerprint belong together, and \
                 is this machine's clock right?",
                self.signer.key_id()
            ),
            (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, _) => format!(
                "missing, or not allowed: OCI does not tell. If it is there, add a policy: `Allow group <group> to use \
                 load-balancers in compartment <compartment>` (`certferry policy {}` prints the least one)",
                self.name
            ),
            (StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, _) => {
                "who else changes this load balancer? Its work requests tell".to_owned()
            }
            (StatusCode::TOO_MANY_REQUESTS, _) => "who else calls OCI so often with this user?".to_owned(),
            (StatusCode::BAD_REQUEST, _) if code == "LimitExceeded" || code == "QuotaExceeded" => {
                "remove what nothing uses (old bundles, say), or ask Oracle for a higher limit".to_owned()
            }
            (status, _) if status.is_server_error() => "look at OCI's status page; it is tried again".to_owned(),
            _ => "what OCI says names the field".to_owned(),
        }
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Answer, Failure> {
        let now = self.clock.now();
        let request = self.signed(call, now)?;
        let answer = exchange(request, MAX_ANSWER).await.map_err(Failure::Lost)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let asked = answer.header("retry-after").and_then(|value| retry_after(value, now));
        let mut refused = Refused::new(&answer, asked);
        let theirs = clock_in(&refused.message).or_else(|| instant(answer.header("date")?));
        refused.clock_ahead = theirs.map(|theirs| now.duration_since(theirs));
        Err(Failure::Refused(Box::new(refused)))
    }

    fn signed(&self, call: &Call<'_>, now: Timestamp) -> Result<reqwest::RequestBuilder, Failure> {
        let date = http_date(now);
        let host = host(&call.url);
        let target = match call.url.query() {
            Some(query) => format!("{}?{query}", call.url.path()),
            None => call.url.path().to_owned(),
        };
        let has_body = [Method::POST, Method::PUT].contains(&call.method);
        let body = has_body.then(|| call.body.clone().unwrap_or_default());
        let to_sign =
            ToSign { method: call.method.as_str(), target: &target, host: &host, date: &date, body: body.as_deref() };
        let headers = self.signer.sign(&to_sign).ok_or(Failure::NotSigned)?;
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .header(DATE, date)
            .header(HOST, host)
            .header(ACCEPT, signature::CONTENT_TYPE)
            .header("opc-request-id", random_text(REQUEST_ID_LETTERS, 32))
            .header(AUTHORIZATION, headers.authorization);
        if let (Some(body), Some(digest)) = (body, headers.content_sha256) {
            request = request
                .header(CONTENT_TYPE, signature::CONTENT_TYPE)
                .header(CONTENT_LENGTH, body.len())
                .header("x-content-sha256", digest)
                .body(body);
        }
        if let Some(etag) = call.if_match {
            request = request.header("if-match", etag);
        }
        if let Some(token) = call.retry_token {
            request = request.header("opc-retry-token", token);
        }
        Ok(request)
    }
}

/// A token that makes the repetitions of one call one (`opc-retry-token`: 1 to 64 characters, kept for 24 hours).
pub(super) fn new_retry_token() -> String {
    random_text(RETRY_TOKEN_LETTERS, 30)
}

fn random_text(letters: &[u8], length: usize) -> String {
    let mut bytes = vec![0; length];
    // Without randomness the text is merely less unique; the call itself cannot be made then (TLS, signature).
    let _ = rand::fill(&mut bytes);
    bytes.into_iter().map(|byte| char::from(letters[usize::from(byte) % letters.len()])).collect()
}

/// Host and port as reqwest writes them into the Host header: without the scheme's own port.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// The service's clock, out of its refusal of a date: `… is not within allowed clock skew. Current '<time>', …`.
fn clock_in(message: &str) -> Option<Timestamp> {
    let (_, rest) = message.split_once("Current '")?;
    instant(rest.split_once('\'')?.0)
}

fn instant(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok().and_then(|date| Timestamp::try_from(date).ok());
    date.or_else(|| text.parse().ok())
}

const VERSION: &str = "20170115";

/// What the service accepts between a request's Date and its own clock.
const ALLOWED_SKEW: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// A load balancer with 1,024 backends and a hundred bundles is well below 2 MiB.
const MAX_ANSWER: usize = 16 << 20;

const REQUEST_ID_LETTERS: &[u8] = b"0123456789ABCDEF";
const RETRY_TOKEN_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signed_host_is_the_one_that_is_sent() {
        for (url, expected) in [
            ("https://iaas.us-ashburn-1.oraclecloud.com/x", "iaas.us-ashburn-1.oraclecloud.com"),
            ("https://host:443/x", "host"),
            ("http://127.0.0.1:18999/x", "127.0.0.1:18999"),
            ("http://[::1]:80/x", "[::1]"),
        ] {
            assert_eq!(host(&url.parse().unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn the_services_clock_is_read_in_both_its_forms() {
        let message =
            |time| format!("Date 'x' is not within allowed clock skew. Current '{time}', valid range: ['a', 'b']");
        let expected = "2026-01-01T00:00:00Z".parse().ok();
        for time in ["2026-01-01T00:00:00.000Z", "Thu, 01 Jan 2026 00:00:00 GMT"] {
            assert_eq!(clock_in(&message(time)), expected, "{time}");
        }
        for other in [message("today"), "Current '".to_owned(), String::new()] {
            assert_eq!(clock_in(&other), None, "{other}");
        }
    }

    #[test]
    fn tokens_are_fresh_and_within_the_services_rules() {
        let (one, two) = (new_retry_token(), new_retry_token());
        assert_ne!(one, two);
        assert!(one.len() <= 64 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
    }
}
