//! What an answer means for the next call (error table: <https://docs.oracle.com/iaas/Content/API/References/apierrors.htm>).

use std::time::Duration;

use certferry_core::{ErrorKind, Retry};
use http::StatusCode;
use jiff::SignedDuration;
use serde::Deserialize;

use crate::http::{Answer, Lost};

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No complete answer.
    Lost(Lost),
    /// The API key did not sign, so nothing was sent.
    NotSigned,
    /// An answer that is no success.
    Refused(Box<Refused>),
}

/// An answer that is no success.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// OCI's own code; absent when something else answered.
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
            Self::NotSigned => false,
            Self::Refused(refused) => refused.status.is_server_error(),
        }
    }

    /// What to do about it.
    pub(super) fn reaction(&self) -> Reaction {
        match self {
            Self::Lost(Lost::TooLarge(_)) | Self::NotSigned => Reaction::Stop,
            Self::Lost(_) => Reaction::Repeat,
            Self::Refused(refused) => reaction(refused.status),
        }
    }

    /// The wait that the service asked for.
    pub(super) fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Lost(_) | Self::NotSigned => None,
            Self::Refused(refused) => refused.retry_after,
        }
    }

    /// What it means.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Lost(Lost::Connect(_) | Lost::Broken(_)) => ErrorKind::Unavailable,
            Self::Lost(Lost::Timeout(_)) => ErrorKind::Timeout,
            Self::Lost(Lost::TooLarge(_)) | Self::NotSigned => ErrorKind::Unexpected,
            Self::Refused(refused) => kind(refused.status),
        }
    }

    /// When the engine may try again, where the service said so.
    pub(super) fn retry(&self) -> Option<Retry> {
        self.asked_wait().map(Retry::After)
    }

    /// What the service said, with the id that Oracle's support asks for.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Lost(lost) => lost.to_string(),
            Self::NotSigned => "the API key does not sign".to_owned(),
            Self::Refused(refused) => refused.said(),
        }
    }

    /// Whether the service refuses to delete a bundle that is in use. It does so at once (409) or, in the past, by a work
    /// request that failed; the texts are all there is to go by.
    pub(super) fn says_in_use(&self) -> bool {
        match self {
            Self::Lost(_) | Self::NotSigned => false,
            Self::Refused(refused) => says_in_use(&refused.message),
        }
    }
}

impl Refused {
    /// Reads an answer.
    pub(super) fn new(answer: &Answer, retry_after: Option<Duration>) -> Self {
        let body: Option<ErrorBody> = serde_json::from_slice(&answer.body).ok();
        let (code, message) = match body {
            Some(body) => (body.code, body.message.unwrap_or_default()),
            None => (None, answer.excerpt()),
        };
        Self {
            status: answer.status,
            code,
            message,
            request_id: answer.header("opc-request-id").map(str::to_owned),
            retry_after,
            clock_ahead: None,
        }
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
        StatusCode::TOO_MANY_REQUESTS => ErrorKind::RateLimited,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => ErrorKind::NotOffered,
        StatusCode::REQUEST_TIMEOUT => ErrorKind::Timeout,
        status if status.is_client_error() => ErrorKind::Invalid,
        status if status.is_server_error() => ErrorKind::Unavailable,
        _ => ErrorKind::Unexpected,
    }
}

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
        Failure::Refused(Box::new(Refused::new(&answer, None)))
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
            (429, ErrorKind::RateLimited, Reaction::Repeat),
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
}
