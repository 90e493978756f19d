//! Signed calls to one of OCI's services, each repeated while that can help.

use std::sync::Arc;

use aws_lc_rs::rand;
use bytes::Bytes;
use certferry_core::{Clock, Error, ErrorKind};
use http::Method;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE, HOST};
use jiff::Timestamp;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

use super::auth::{Credential, Principals};
use super::config::{Limits, OciAccess};
use super::hint::{Advice, Caller};
use super::region::Regions;
use super::retry::{Failure, Reaction, Refused};
use super::signature::{self, SigningKey, ToSign, http_date};
use crate::http::{Answer, BaseUrl, ClientOptions, exchange, jitter};

/// A service, and who calls it.
pub(crate) struct Session {
    caller: Caller,
    /// Empty until the first call where only the instance knows its region.
    base: OnceCell<BaseUrl>,
    regions: Regions,
    http: reqwest::Client,
    credential: Credential,
    clock: Arc<dyn Clock>,
    pub(super) limits: Limits,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    pub(crate) target: Target<'a>,
    pub(crate) body: Option<Bytes>,
    pub(crate) if_match: Option<&'a str>,
    /// The same for every repetition of one attempt, so that the service does it once.
    pub(crate) retry_token: Option<&'a str>,
}

impl<'a> Call<'a> {
    /// A read.
    pub(crate) fn get(operation: &'static str, target: Target<'a>) -> Self {
        Self { operation, method: Method::GET, target, body: None, if_match: None, retry_token: None }
    }
}

/// What a call goes to, below the service's address.
pub(crate) struct Target<'a> {
    segments: Vec<&'a str>,
    query: Vec<(&'static str, &'a str)>,
}

impl<'a> Target<'a> {
    /// These segments below the service's address.
    pub(crate) fn below(segments: impl IntoIterator<Item = &'a str>) -> Self {
        Self { segments: segments.into_iter().collect(), query: Vec::new() }
    }

    /// With one more parameter.
    pub(crate) fn with(mut self, name: &'static str, value: &'a str) -> Self {
        self.query.push((name, value));
        self
    }

    fn url(&self, base: &BaseUrl) -> Url {
        let mut url = base.join(self.segments.iter().copied());
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

/// A call that did not succeed, with all its repetitions.
pub(crate) struct Failed {
    pub(super) failure: Failure,
    /// Whether any of them may have had its effect.
    pub(crate) effect_possible: bool,
}

impl Failed {
    /// Whether the service says that it is not there (or not visible).
    pub(crate) fn is_not_found(&self) -> bool {
        self.failure.kind() == ErrorKind::NotFound
    }

    /// Whether something else is there by now than the call took for granted.
    pub(crate) fn is_conflict(&self) -> bool {
        self.failure.kind() == ErrorKind::Conflict
    }
}

impl Session {
    /// Reads the credential and prepares the client. No call is made.
    pub(crate) fn open(
        caller: Caller,
        access: &OciAccess,
        clock: Arc<dyn Clock>,
        principals: &Principals,
    ) -> Result<Self, Error> {
        let subject = caller.subject("");
        let home = std::env::home_dir();
        let regions = Regions::read(&access.custom_regions, home.as_deref());
        let limits = access.limits;
        let credential = Credential::open(&access.auth, home.as_deref(), &regions, principals, &limits, &clock)?;
        let base = match &access.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => match caller.endpoint(&regions, &credential) {
                Ok(base) => Some(base),
                Err(_) if credential.knows_its_region() => None,
                Err(problem) => return Err(no_endpoint(&subject, problem)),
            },
        };
        let options = ClientOptions {
            connect: limits.connect,
            request: limits.request,
            trusted_roots: None,
            http1_only: true, // the signature covers the `host` header, which HTTP/2 does not have
            no_proxy: base.as_ref().is_some_and(BaseUrl::is_loopback),
        };
        let http = options.build().map_err(|error| {
            Error::new(ErrorKind::Unexpected, "making an HTTPS client", subject).said(error.to_string())
        })?;
        let base = OnceCell::new_with(base);
        Ok(Self { caller, base, regions, http, credential, clock, limits })
    }

    /// An object of the caller's, for people.
    pub(crate) fn subject(&self, object: &str) -> String {
        self.caller.subject(object)
    }

    /// The policy statement for who calls, as far as it can be told; `condition` is what stands after `where`, or nothing.
    pub(crate) fn statement(&self, what: &str, condition: &str) -> String {
        self.credential.statement_where(what, condition)
    }

    /// Makes a call, and repeats it while the failure is one that passes, within the limit; once with a new token, when the
    /// service does not take the old one.
    pub(crate) async fn send(&self, call: &Call<'_>) -> Result<Answer, Failed> {
        let deadline = Instant::now() + self.limits.retry;
        let mut failures = 0;
        let mut effect_possible = false;
        let mut renewed = false;
        loop {
            let no_credential = |error| Failed { failure: Failure::Credential(error), effect_possible };
            let base = self.base().await.map_err(no_credential)?;
            let key = self.credential.key().await.map_err(no_credential)?;
            let failure = match self.attempt(call, base, &key).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if failure.refuses_the_key() && !renewed {
                renewed = true;
                if self.credential.renew(&key).await.map_err(no_credential)? {
                    tracing::debug!(caller = %self.caller, operation = call.operation, "sent again with a new token");
                    continue;
                }
            }
            failures += 1;
            effect_possible |= call.method != Method::GET && failure.may_have_had_effect();
            let wait = self.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            if failure.reaction() != Reaction::Repeat || Instant::now() + wait >= deadline {
                return Err(Failed { failure, effect_possible });
            }
            tracing::debug!(
                caller = %self.caller, operation = call.operation, ?wait, failure = failure.said(), "sent again"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// A read: a call whose answer is JSON of type `T`.
    pub(crate) async fn read<T: serde::de::DeserializeOwned>(
        &self,
        call: &Call<'_>,
        object: &str,
    ) -> Result<(T, Answer), Error> {
        let answer = self.send(call).await.map_err(|failed| self.error(call.operation, object, &failed))?;
        match serde_json::from_slice(&answer.body) {
            Ok(value) => Ok((value, answer)),
            Err(error) => Err(Error::new(ErrorKind::Unexpected, call.operation, self.subject(object))
                .said(format!("{} is not the JSON that was expected ({error}): {}", answer.status, answer.excerpt()))
                .with_hint(match self.base.get() {
                    Some(base) => format!("is {base} the service, and not a proxy or portal?"),
                    None => "is there a proxy or portal in between?".to_owned(),
                })),
        }
    }

    /// A failed call as an error.
    pub(crate) fn error(&self, operation: &str, object: &str, failed: &Failed) -> Error {
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
        let address = self.base.get().map(BaseUrl::to_string);
        Advice { caller: &self.caller, address, credential: &self.credential }.hint(failure)
    }

    async fn base(&self) -> Result<&BaseUrl, Error> {
        let find = async || {
            let region = self.credential.region().await?;
            let regions = region.into_iter().fold(self.regions.clone(), Regions::with);
            self.caller.endpoint(&regions, &self.credential).map_err(|problem| no_endpoint(&self.subject(""), problem))
        };
        self.base.get_or_try_init(find).await
    }

    async fn attempt(&self, call: &Call<'_>, base: &BaseUrl, key: &SigningKey) -> Result<Answer, Failure> {
        let now = self.clock.now();
        let request = self.signed(call, &call.target.url(base), key, now)?;
        let answer = exchange(request, MAX_ANSWER).await.map_err(Failure::Lost)?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(Failure::Refused(Box::new(Refused::new(&answer, now)))),
        }
    }

    fn signed(
        &self,
        call: &Call<'_>,
        url: &Url,
        key: &SigningKey,
        now: Timestamp,
    ) -> Result<reqwest::RequestBuilder, Failure> {
        let date = http_date(now);
        let host = host(url);
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let has_body = [Method::PATCH, Method::POST, Method::PUT].contains(&call.method);
        let body = has_body.then(|| call.body.clone().unwrap_or_default());
        let to_sign = ToSign {
            method: call.method.as_str(),
            target: &target,
            host: Some(&host),
            date: &date,
            body: body.as_deref(),
        };
        let headers = key.sign(&to_sign).ok_or(Failure::NotSigned)?;
        let mut request = self
            .http
            .request(call.method.clone(), url.clone())
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

fn no_endpoint(subject: &str, problem: String) -> Error {
    Error::new(ErrorKind::Invalid, "finding the OCI endpoint", subject)
        .said(problem)
        .with_hint("set `endpoint` in the config, or describe the region in OCI_REGION_METADATA")
}

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
    fn tokens_are_fresh_and_within_the_services_rules() {
        let (one, two) = (new_retry_token(), new_retry_token());
        assert_ne!(one, two);
        assert!(one.len() <= 64 && one.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{one}");
    }
}
