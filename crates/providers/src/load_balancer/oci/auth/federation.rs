//! X.509 federation: the authentication service gives a token for an instance's certificate
//! (<https://docs.oracle.com/iaas/Content/Identity/Tasks/callingservicesfrominstances.htm>).

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{KeyPair, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certferry_core::{Clock, Error, ErrorKind};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, DATE};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use url::Url;

use super::super::retry::{Failure, Reaction, Refused, instant, repeat};
use super::super::signature::{self, ToSign, http_date};
use super::identity::Identity;
use super::token::{Lifetime, Token};
use crate::http::{Answer, Backoff, exchange};

/// A token and how long it can be used, by this machine's clock.
pub(super) struct Issued {
    pub(super) token: Token,
    pub(super) lifetime: Lifetime,
}

/// Why there is no token.
pub(super) enum Refusal {
    /// The service does not take the certificate or its signature.
    Certificate(Error),
    /// Anything else.
    Other(Error),
}

/// Where the service is, and how it is asked.
pub(super) struct Federation<'a> {
    pub(super) http: &'a reqwest::Client,
    /// `https://auth.<region>.<domain>/v1/x509`.
    pub(super) url: &'a Url,
    pub(super) backoff: &'a Backoff,
    pub(super) clock: &'a dyn Clock,
    /// Until when failures that pass are repeated; `None`: not at all.
    pub(super) deadline: Option<Instant>,
}

impl Federation<'_> {
    /// A token for requests that are signed with `session`.
    pub(super) async fn token(&self, identity: &Identity, session: &RsaKeyPair) -> Result<Issued, Refusal> {
        let Some(body) = body(identity, session) else {
            return Err(Refusal::Other(
                self.error(ErrorKind::Unexpected, "the session's public key cannot be written"),
            ));
        };
        let passes = |failure: &Failure| failure.reaction() == Reaction::Repeat;
        let answer = repeat(self.backoff, self.deadline, passes, || self.attempt(identity, &body)).await;
        let answer = answer.map_err(|failure| self.refusal(&failure))?;
        let now = self.clock.now();
        let token = answered_token(&answer)
            .map_err(|said| Refusal::Other(self.error(ErrorKind::Unexpected, said).with_hint(HINT_PROXY)))?;
        let until = by_our_clock(token.expires_at, answer.header("date").and_then(instant), now);
        let lifetime = Lifetime { from: now, until };
        Ok(Issued { token, lifetime })
    }

    async fn attempt(&self, identity: &Identity, body: &[u8]) -> Result<Answer, Failure> {
        let now = self.clock.now();
        let date = http_date(now);
        // The service wants the host unsigned.
        let to_sign = ToSign { method: "POST", target: self.url.path(), host: None, date: &date, body: Some(body) };
        let headers = identity.key.sign(&to_sign).ok_or(Failure::NotSigned)?;
        let request = self
            .http
            .post(self.url.clone())
            .header(DATE, date)
            .header(ACCEPT, signature::CONTENT_TYPE)
            .header(CONTENT_TYPE, signature::CONTENT_TYPE)
            .header(CONTENT_LENGTH, body.len())
            .header("x-content-sha256", headers.content_sha256.unwrap_or_default())
            .header(AUTHORIZATION, headers.authorization)
            .body(body.to_vec());
        let answer = exchange(request, MAX_ANSWER).await.map_err(Failure::Lost)?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(Failure::Refused(Box::new(Refused::new(&answer, now)))),
        }
    }

    fn refusal(&self, failure: &Failure) -> Refusal {
        let hint = match failure {
            Failure::Refused(refused) => refused.clock_hint().unwrap_or_else(|| {
                "the instance's certificate is not taken: does the instance belong to the region and realm of this service? \
                 A certificate that has just been replaced is taken after a moment"
                    .to_owned()
            }),
            _ => format!(
                "is {} reachable from here? A private subnet needs a service gateway or NAT gateway for it",
                self.url
            ),
        };
        let error = self.error(failure.kind(), failure.said()).with_hint(hint);
        let error = match failure.retry() {
            Some(retry) => error.with_retry(retry),
            None => error,
        };
        match failure.refuses_the_key() {
            true => Refusal::Certificate(error),
            false => Refusal::Other(error),
        }
    }

    fn error(&self, kind: ErrorKind, said: impl Into<String>) -> Error {
        let subject = format!("the authentication service {}", self.url);
        Error::new(kind, format!("POST {}", self.url.path()), subject).said(said)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    certificate: String,
    public_key: String,
    intermediate_certificates: Vec<String>,
}

fn body(identity: &Identity, session: &RsaKeyPair) -> Option<Vec<u8>> {
    let public_key: PublicKeyX509Der<'_> = session.public_key().as_der().ok()?;
    let request = Request {
        certificate: STANDARD.encode(&identity.certificate),
        public_key: STANDARD.encode(public_key.as_ref()),
        intermediate_certificates: identity.intermediates.iter().map(|der| STANDARD.encode(der)).collect(),
    };
    serde_json::to_vec(&request).ok()
}

#[derive(Deserialize)]
struct Reply {
    token: String,
}

/// The token in an answer; otherwise what is wrong, without repeating what may be one.
fn answered_token(answer: &Answer) -> Result<Token, String> {
    let reply: Reply = serde_json::from_slice(&answer.body)
        .map_err(|_| format!("{} without a token in {} bytes", answer.status, answer.body.len()))?;
    Token::parse(&reply.token).map_err(|problem| format!("the token is of no use: {problem}"))
}

/// When the token ends by this machine's clock, which may differ from the service's; a second or two are the resolution of
/// the Date header.
fn by_our_clock(expires_at: Timestamp, theirs: Option<Timestamp>, ours: Timestamp) -> Timestamp {
    let ahead = theirs.map_or(SignedDuration::ZERO, |theirs| ours.duration_since(theirs));
    match ahead.unsigned_abs() > RESOLUTION {
        true => expires_at.checked_add(ahead).unwrap_or(expires_at),
        false => expires_at,
    }
}

const RESOLUTION: std::time::Duration = std::time::Duration::from_secs(5);

const MAX_ANSWER: usize = 256 << 10;

const HINT_PROXY: &str = "is this the authentication service, and not a proxy or portal?";

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    #[test]
    fn the_end_is_reckoned_by_our_clock() {
        let at = |seconds: i64| Timestamp::from_second(1_767_225_600 + seconds).unwrap();
        for (theirs, ours, expected) in [
            (None, at(0), at(1200)),
            (Some(at(0)), at(0), at(1200)),
            (Some(at(0)), at(2), at(1200)),
            (Some(at(0)), at(240), at(1440)),
            (Some(at(240)), at(0), at(960)),
        ] {
            assert_eq!(by_our_clock(at(1200), theirs, ours), expected, "{theirs:?} {ours}");
        }
        by_our_clock(Timestamp::MAX, Some(at(0)), at(240));
    }

    #[test]
    fn an_answer_without_a_token_is_described_and_not_repeated() {
        for body in ["<html>hunter2", r#"{"jwt":"hunter2"}"#, r#"{"token":"hunter2"}"#] {
            let body = Bytes::from_static(body.as_bytes());
            let said = answered_token(&Answer { status: StatusCode::OK, headers: HeaderMap::new(), body }).unwrap_err();
            assert!(said.contains("token") && !said.contains("hunter2"), "{said}");
        }
    }
}
