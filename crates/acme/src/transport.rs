//! One HTTP exchange with the CA: time-out, caps, what arrived and what got lost.

use std::error::Error as StdError;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use reqwest::{Request, Response};
use tokio::sync::Semaphore;

use crate::error::{Error, ErrorKind, Operation};
use crate::fetched::Fetched;
use crate::printable;
use crate::problem::Problem;
use crate::resource_url::{InvalidUrl, ResourceUrl};
use crate::retry_after;

/// Reads the wall clock; only for a `Retry-After` date in an answer without `Date`.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One connection pool for one CA.
pub(crate) struct Transport {
    pub(crate) http: reqwest::Client,
    pub(crate) clock: Option<Clock>,
    /// Keeps hundreds of orders from opening hundreds of connections to a CA without HTTP/2.
    pub(crate) in_flight: Semaphore,
    /// The directory is on loopback http, so other plain http URLs may be, too.
    pub(crate) allows_plain_http: bool,
}

impl Transport {
    /// A CA on https must not lead us to a plain http service on this machine.
    pub(crate) fn admit(&self, operation: Operation, url: &ResourceUrl) -> Result<(), Error> {
        if url.is_plain_http() && !self.allows_plain_http {
            let said = "the CA names a plain http URL, which is allowed only when its directory is one";
            return Err(Error::new(ErrorKind::Malformed, operation, said).at(url));
        }
        Ok(())
    }

    /// Sends one request and reads at most `limit` bytes of a successful answer.
    pub(crate) async fn exchange(
        &self,
        operation: Operation,
        url: &ResourceUrl,
        request: Request,
        limit: usize,
    ) -> Result<Answer, Lost> {
        // The semaphore is never closed; were it, going without is right.
        let _permit = self.in_flight.acquire().await.ok();
        let answer = self.exchange_now(operation, url, request, limit).await;
        match &answer {
            Ok(answer) => {
                tracing::debug!(%operation, url = url.without_query(), status = answer.status.as_u16(), "ACME request");
            }
            Err(lost) => {
                tracing::debug!(%operation, url = url.without_query(), error = %lost.error, "ACME request failed");
            }
        }
        answer
    }

    async fn exchange_now(
        &self,
        operation: Operation,
        url: &ResourceUrl,
        request: Request,
        limit: usize,
    ) -> Result<Answer, Lost> {
        let lost = |error: reqwest::Error| Lost::new(operation, url, error);
        let mut response = self.http.execute(request).await.map_err(lost)?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let retry_after = retry_after::from_headers(&headers, || self.clock.as_ref().map(|clock| clock()));
        let body = if status.is_success() {
            match read_body(&mut response, limit).await {
                Ok(Body { truncated: false, bytes }) => bytes,
                Ok(Body { truncated: true, .. }) => {
                    let said = format!("the answer is longer than {limit} bytes, more than this client reads");
                    let error = Error::new(ErrorKind::BodyTooLarge { limit }, operation, said);
                    return Err(Lost { error: error.at(url).with_status(status), was_sent: true, may_pass: false });
                }
                Err(error) => {
                    let lost = lost(error);
                    return Err(Lost { error: lost.error.with_status(status), ..lost });
                }
            }
        } else {
            // The status and the headers say enough: a page that is too long or breaks off does not hide them.
            read_error_body(&mut response).await
        };
        Ok(Answer { operation, url: url.clone(), status, headers, retry_after, body })
    }
}

/// A complete answer.
pub(crate) struct Answer {
    pub(crate) operation: Operation,
    pub(crate) url: ResourceUrl,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body as JSON of the expected shape.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| {
            // serde quotes what it read, and that is the CA's.
            let cause = printable::line(&error.to_string(), SHOWN_CHARACTERS);
            self.malformed(format!("the answer is not what RFC 8555 says: {cause}")).with_source(error)
        })
    }

    /// The value with this answer's `Location` and `Retry-After`.
    pub(crate) fn fetched<T>(&self, value: T) -> Result<Fetched<T>, Error> {
        let location =
            self.location().map_err(|error| self.malformed(format!("the Location header cannot be used: {error}")))?;
        Ok(Fetched { value, location, retry_after: self.retry_after })
    }

    pub(crate) fn location(&self) -> Result<Option<ResourceUrl>, InvalidUrl> {
        // Only ASCII can be a URL; the escapes that this puts in place of other bytes are refused as such.
        self.headers.get(LOCATION).map(|value| self.url.join(&value.as_bytes().escape_ascii().to_string())).transpose()
    }

    pub(crate) fn malformed(&self, said: impl Into<String>) -> Error {
        Error::new(ErrorKind::Malformed, self.operation, said).at(&self.url).with_status(self.status)
    }

    /// What an answer without success means.
    pub(crate) fn to_error(&self) -> Error {
        let problem = serde_json::from_slice(&self.body).ok().and_then(|json| Problem::from_json(&json));
        let error = match problem {
            Some(problem) => {
                Error::new(ErrorKind::Problem(problem.kind.clone()), self.operation, "").with_problem(problem)
            }
            None => Error::new(ErrorKind::Status, self.operation, self.describe_body()),
        };
        error.at(&self.url).with_status(self.status).with_retry_after(self.retry_after)
    }

    fn describe_body(&self) -> String {
        let reason = self.status.canonical_reason().unwrap_or("(unknown status)");
        let said = printable::line(&String::from_utf8_lossy(&self.body), SHOWN_CHARACTERS);
        if said.is_empty() {
            return format!("{reason}, with an empty body");
        }
        let content_type = self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no type");
        format!("{reason}, without a problem document ({}): {said}", printable::line(content_type, 60))
    }
}

/// No usable answer.
pub(crate) struct Lost {
    pub(crate) error: Error,
    /// The request may have reached the CA.
    pub(crate) was_sent: bool,
    /// The same again may go better: true for a lost connection, false for a certificate that is not trusted.
    pub(crate) may_pass: bool,
}

impl Lost {
    fn new(operation: Operation, url: &ResourceUrl, error: reqwest::Error) -> Self {
        let error = error.without_url();
        // A connection that was never made carried nothing.
        let was_sent = !error.is_connect() && !error.is_builder();
        let kind = if error.is_timeout() { ErrorKind::Timeout } else { ErrorKind::Transport };
        let said = match (&kind, was_sent) {
            (ErrorKind::Timeout, true) => "no complete answer in time".to_owned(),
            (ErrorKind::Timeout, false) => "no connection in time".to_owned(),
            (_, true) => format!("the connection broke: {}", innermost_cause(&error)),
            (_, false) => format!("cannot connect: {}", innermost_cause(&error)),
        };
        let may_pass = !is_tls_fault(&error);
        Self { error: Error::new(kind, operation, said).at(url).with_source(error), was_sent, may_pass }
    }
}

/// The last sentence of an error chain is the one that names the fault: "connection refused", "invalid certificate".
fn innermost_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    printable::line(&cause.to_string(), SHOWN_CHARACTERS)
}

/// Whether the TLS handshake failed: an untrusted certificate stays untrusted.
fn is_tls_fault(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(current) = cause {
        if current.is::<rustls::Error>() {
            return true;
        }
        // An I/O error answers `source` with what lies below the error that it wraps.
        let wrapped = current.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => current.source(),
        };
    }
    false
}

struct Body {
    bytes: Vec<u8>,
    truncated: bool,
}

/// Counts what arrives; what `Content-Length` promises is not trusted.
async fn read_body(response: &mut Response, limit: usize) -> Result<Body, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > limit - bytes.len() {
            return Ok(Body { bytes, truncated: true });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body { bytes, truncated: false })
}

/// As much of an error's body as arrives, up to the cap.
async fn read_error_body(response: &mut Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = PROBLEM_LIMIT - bytes.len();
        bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    bytes
}

/// Directory, account, order, authorization: far above what any CA sends.
pub(crate) const JSON_LIMIT: usize = 1024 * 1024;
const PROBLEM_LIMIT: usize = 64 * 1024;
const SHOWN_CHARACTERS: usize = 200;
