//! What an answer means for the next call (error table: <https://docs.oracle.com/iaas/Content/API/References/apierrors.htm>).

use std::time::Duration;

use certferry_core::{Error, ErrorKind, Retry, printable};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use tokio::time::Instant;

use crate::http::{Answer, Backoff, Lost, jitter, retry_after};

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// There is nothing to sign with, so nothing was sent: the token could not be had.
    Credential(Error),
    /// No complete answer.
    Lost(Lost),
    /// The key did not sign, so nothing was sent.
    NotSigned,
    /// An answer that is no success.
    Refused(Box<Refused>),
}

/// An answer that is no success.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// OCI's own code, as a printable line; absent when something else answered.
    pub(super) code: Option<String>,
    /// OCI's own message, or the start of what came instead.
    pub(super) message: String,
    pub(super) request_id: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// How far this machine's clock is ahead of the service's, where that can be told; 401 may mean a wrong clock.
    pub(super) clock_ahead: Option<SignedDuration>,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Read again and decide again: somebody was faster, or the load balancer is busy.
    ReadAgain,
    /// Send the same once more, later.
    Repeat,
    /// Neither helps.
    Stop,
}

impl Failure {
    /// Whether the call may have had its effect.
    pub(super) fn may_have_had_effect(&self) -> bool {
        match self {
            Self::Lost(lost) => lost.may_have_had_effect(),
            Self::Credential(_) | Self::NotSigned => false,
            Self::Refused(refused) => refused.status.is_server_error(),
        }
    }

    /// What to do about it.
    pub(super) fn reaction(&self) -> Reaction {
        match self {
            // It was tried again where it comes from.
            Self::Credential(_) | Self::Lost(Lost::TooLarge(_)) | Self::NotSigned => Reaction::Stop,
            Self::Lost(_) => Reaction::Repeat,
            Self::Refused(refused) => reaction(refused.status),
        }
    }

    /// The wait that the service asked for.
    pub(super) fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Credential(_) | Self::Lost(_) | Self::NotSigned => None,
            Self::Refused(refused) => refused.retry_after,
        }
    }

    /// What it means.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Credential(error) => error.kind(),
            Self::Lost(Lost::Connect(_) | Lost::Broken(_)) => ErrorKind::Unavailable,
            Self::Lost(Lost::Timeout(_)) => ErrorKind::Timeout,
            Self::Lost(Lost::TooLarge(_)) | Self::NotSigned => ErrorKind::Unexpected,
            Self::Refused(refused) => kind(refused.status),
        }
    }

    /// When the engine may try again, where the service said so.
    pub(super) fn retry(&self) -> Option<Retry> {
        match self {
            Self::Credential(error) => Some(error.retry()),
            _ => self.asked_wait().map(Retry::After),
        }
    }

    /// What the service said, with the id that Oracle's support asks for.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Credential(error) => format!("there is nothing to sign with: {error}"),
            Self::Lost(lost) => lost.to_string(),
            Self::NotSigned => "the key does not sign".to_owned(),
            Self::Refused(refused) => refused.said(),
        }
    }

    /// Whether the service refuses to delete a bundle that is in use. It does so at once (409) or, in the past, by a work
    /// request that failed; the texts are all there is to go by.
    pub(super) fn says_in_use(&self) -> bool {
        match self {
            Self::Credential(_) | Self::Lost(_) | Self::NotSigned => false,
            Self::Refused(refused) => says_in_use(&refused.message),
        }
    }

    /// Whether the service does not take the signature, for another reason than a clock that is wrong.
    pub(super) fn refuses_the_key(&self) -> bool {
        match self {
            Self::Refused(refused) => refused.status == StatusCode::UNAUTHORIZED && refused.clock_hint().is_none(),
            _ => false,
        }
    }
}

impl Refused {
    /// Reads an answer that came at `now`, by this machine's clock.
    pub(super) fn new(answer: &Answer, now: Timestamp) -> Self {
        let body: Option<ErrorBody> = serde_json::from_slice(&answer.body).ok();
        let (code, message) = match body {
            Some(body) => (
                body.code.map(|code| printable::line(&code, CODE_CHARACTERS)),
                printable::line(&body.message.unwrap_or_default(), MESSAGE_CHARACTERS),
            ),
            None => (None, answer.excerpt()),
        };
        let theirs = clock_in(&message).or_else(|| instant(answer.header("date")?));
        Self {
            status: answer.status,
            code,
            message,
            request_id: answer.header("opc-request-id").map(|id| printable::line(id, CODE_CHARACTERS)),
            retry_after: answer.header("retry-after").and_then(|value| retry_after(value, now)),
            clock_ahead: theirs.map(|theirs| now.duration_since(theirs)),
        }
    }

    /// What to do about this machine's clock, when that is why a signature is refused.
    pub(super) fn clock_hint(&self) -> Option<String> {
        let ahead = self.clock_ahead.filter(|ahead| ahead.unsigned_abs() > ALLOWED_SKEW)?;
        let direction = if ahead.is_positive() { "ahead" } else { "behind" };
        let seconds = ahead.unsigned_abs().as_secs();
        Some(format!("this machine's clock is {seconds} s {direction}; OCI takes 5 minutes: set it by NTP"))
    }

    fn said(&self) -> String {
        let mut text = self.status.as_u16().to_string();
        if let Some(code) = &self.code {
            text.push_str(&format!(" {code}"));
        }
        if !self.message.is_empty() {
            text.push_str(&format!(": {}", self.message));
        }
        if let Some(id) = &self.request_id {
            text.push_str(&format!(" (opc-request-id {id})"));
        }
        text
    }
}

/// Whether a text says that a bundle is in use.
pub(super) fn says_in_use(text: &str) -> bool {
    ["is attached to", "is used by", "refers to unknown certificate"].iter().any(|part| text.contains(part))
}

/// Makes an attempt, and again while its failure is one for which `again` holds, until `deadline`; with none, once.
pub(super) async fn repeat<T, F: Future<Output = Result<T, Failure>>>(
    backoff: &Backoff,
    deadline: Option<Instant>,
    again: impl Fn(&Failure) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Failure> {
    let mut failures = 0;
    loop {
        let failure = match attempt().await {
            Ok(value) => return Ok(value),
            Err(failure) => failure,
        };
        failures += 1;
        let wait = backoff.wait(failures, jitter(), failure.asked_wait());
        if !again(&failure) || deadline.is_none_or(|deadline| Instant::now() + wait >= deadline) {
            return Err(failure);
        }
        tokio::time::sleep(wait).await;
    }
}

/// The service's clock, out of its refusal of a date: `… is not within allowed clock skew. Current '<time>', …`.
fn clock_in(message: &str) -> Option<Timestamp> {
    let (_, rest) = message.split_once("Current '")?;
    instant(rest.split_once('\'')?.0)
}

/// A time in one of the two forms that the service uses.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    let date = httpdate::parse_http_date(text).ok().and_then(|date| Timestamp::try_from(date).ok());
    date.or_else(|| text.parse().ok())
}

#[derive(Deserialize)]
struct ErrorBody {
    code: Option<String>,
    message: Option<String>,
}

fn reaction(status: StatusCode) -> Reaction {
    match status {
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Reaction::ReadAgain,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Reaction::Repeat,
        StatusCode::NOT_IMPLEMENTED => Reaction::Stop,
        status if status.is_server_error() => Reaction::Repeat,
        _ => Reaction::Stop,
    }
}

fn kind(status: StatusCode) -> ErrorKind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Denied,
        StatusCode::NOT_FOUND => ErrorKind::NotFound,
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => ErrorKind::Conflict,
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::Throttled,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => ErrorKind::NotOffered,
        StatusCode::REQUEST_TIMEOUT => ErrorKind::Timeout,
        status if status.is_client_error() => ErrorKind::Invalid,
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}

const CODE_CHARACTERS: usize = 200;
pub(super) const MESSAGE_CHARACTERS: usize = 1000;

/// What the service accepts between a request's Date and its own clock.
const ALLOWED_SKEW: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn refused(status: u16, body: &str) -> Failure {
        let mut headers = HeaderMap::new();
        headers.insert("opc-request-id", "A/B/C".parse().unwrap());
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) };
        Failure::Refused(Box::new(Refused::new(&answer, Timestamp::UNIX_EPOCH)))
    }

    #[test]
    fn every_status_has_a_meaning_and_a_reaction() {
        for (status, kind, reaction) in [
            (302, ErrorKind::Unexpected, Reaction::Stop),
            (400, ErrorKind::Invalid, Reaction::Stop),
            (401, ErrorKind::Denied, Reaction::Stop),
            (403, ErrorKind::Denied, Reaction::Stop),
            (404, ErrorKind::NotFound, Reaction::Stop),
            (405, ErrorKind::NotOffered, Reaction::Stop),
            (408, ErrorKind::Timeout, Reaction::Repeat),
            (409, ErrorKind::Conflict, Reaction::ReadAgain),
            (412, ErrorKind::Conflict, Reaction::ReadAgain),
            (429, ErrorKind::Throttled, Reaction::Repeat),
            (500, ErrorKind::Unavailable, Reaction::Repeat),
            (501, ErrorKind::NotOffered, Reaction::Stop),
            (503, ErrorKind::Unavailable, Reaction::Repeat),
        ] {
            let failure = refused(status, "{}");
            assert_eq!((failure.kind(), failure.reaction()), (kind, reaction), "{status}");
        }
    }

    #[test]
    fn what_was_said_is_quoted_with_the_request_id() {
        let failure = refused(409, r#"{"code":"IncorrectState","message":"busy","status":409}"#);
        assert_eq!(failure.said(), "409 IncorrectState: busy (opc-request-id A/B/C)");
        let failure = refused(503, "<html>\n<h1>Down</h1>");
        assert_eq!(failure.said(), "503: <html> <h1>Down</h1> (opc-request-id A/B/C)");
        assert_eq!(refused(500, r#"{"code":null}"#).said(), "500 (opc-request-id A/B/C)");
    }

    #[test]
    fn a_bundle_in_use_is_recognised_in_all_its_texts() {
        for text in [
            "Certificate 'NAME' is attached to one or more listeners/backendSets",
            "Listener for 'L' refers to unknown certificate 'C'",
            "Certificate C is used by one or more backend sets",
        ] {
            assert!(says_in_use(text), "{text}");
        }
        assert!(!says_in_use("Another operation is in progress"));
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
    fn a_wrong_clock_is_no_reason_to_look_for_another_key() {
        for (status, clock, expected) in [
            (401, "1970-01-01T00:00:10Z", true),
            (401, "1970-01-01T01:00:00Z", false),
            (401, "?", true),
            (404, "?", false),
            (500, "?", false),
        ] {
            let body = format!(r#"{{"code":"x","message":"Current '{clock}',"}}"#);
            assert_eq!(refused(status, &body).refuses_the_key(), expected, "{status} {clock}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_repeated_until_the_deadline_and_not_without_one() {
        let backoff = Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(1) };
        for (limit, least, most) in [(None, 1, 1), (Some(0), 1, 1), (Some(10), 10, 20)] {
            let deadline = limit.map(|seconds| Instant::now() + Duration::from_secs(seconds));
            let mut attempts = 0;
            let failed = repeat(
                &backoff,
                deadline,
                |_| true,
                || {
                    attempts += 1;
                    async { Err::<(), _>(Failure::NotSigned) }
                },
            );
            assert!(failed.await.is_err());
            assert!((least..=most).contains(&attempts), "{limit:?}: {attempts}");
        }
        let stop = repeat(
            &backoff,
            Some(Instant::now() + Duration::from_secs(9)),
            |_| false,
            || async { Err::<(), _>(Failure::NotSigned) },
        );
        assert!(stop.await.is_err());
    }
}
