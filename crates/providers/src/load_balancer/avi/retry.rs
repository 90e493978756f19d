//! What an answer means for the next call. Avi documents no error codes beyond HTTP's, so some meanings are in the texts.

use std::time::Duration;

use certferry_core::{ErrorKind, printable};
use http::StatusCode;
use serde_json::Value;

use crate::http::{Answer, Lost};

/// A call that did not succeed.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// No complete answer.
    Lost(Lost),
    /// An answer that is no success.
    Refused(Box<Refused>),
}

/// An answer that is no success.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// The controller's own words, or the start of what came instead.
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
    pub(super) meaning: Meaning,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Another object has that name.
    AlreadyExists,
    /// The object changed since it was read.
    Changed,
    /// A right is missing.
    Denied,
    /// Something refers to the object.
    InUse,
    /// What was sent is not acceptable as it stands.
    Invalid,
    /// The certificate has no common name, without which the controller cannot import it.
    NoCommonName,
    /// Nothing of that name or uuid is there (any more).
    NotFound,
    /// The controller does not know the call.
    NotOffered,
    /// No session, or one that has ended.
    SessionEnded,
    /// The tenant is not there, or the user has no role in it.
    TenantUnknown,
    /// Too many requests.
    TooMany,
    /// Starting, changing its leader, being upgraded.
    Unavailable,
    /// An answer that the API does not give.
    Unexpected,
    /// The version of the API is not offered.
    VersionRefused,
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Read again and decide again.
    ReadAgain,
    /// Neither reading nor sending again helps.
    Stop,
    /// It passes: try again later. After a change, read first, since it may have had its effect.
    Wait,
}

impl Failure {
    /// What to do about it.
    pub(super) fn reaction(&self) -> Reaction {
        match self {
            Self::Lost(Lost::TooLarge(_)) => Reaction::Stop,
            Self::Lost(_) => Reaction::Wait,
            Self::Refused(refused) => match refused.meaning {
                Meaning::AlreadyExists | Meaning::Changed | Meaning::NotFound => Reaction::ReadAgain,
                Meaning::TooMany | Meaning::Unavailable => Reaction::Wait,
                _ => Reaction::Stop,
            },
        }
    }

    /// The wait that the controller asked for.
    pub(super) fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Lost(_) => None,
            Self::Refused(refused) => refused.retry_after,
        }
    }

    /// What it means, where it is an answer.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        match self {
            Self::Lost(_) => None,
            Self::Refused(refused) => Some(refused.meaning),
        }
    }

    /// What it means to the engine.
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Lost(Lost::Connect(_) | Lost::Broken(_)) => ErrorKind::Unavailable,
            Self::Lost(Lost::Timeout(_)) => ErrorKind::Timeout,
            Self::Lost(Lost::TooLarge(_)) => ErrorKind::Unexpected,
            Self::Refused(refused) => kind(refused.meaning),
        }
    }

    /// What the controller said.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Lost(lost) => lost.to_string(),
            Self::Refused(refused) if refused.message.is_empty() => refused.status.as_u16().to_string(),
            Self::Refused(refused) => format!("{}: {}", refused.status.as_u16(), refused.message),
        }
    }
}

impl Refused {
    /// Reads an answer.
    pub(super) fn new(answer: &Answer, retry_after: Option<Duration>) -> Self {
        let message = message(answer);
        Self { status: answer.status, meaning: meaning(answer.status, &message), message, retry_after }
    }
}

/// `{"error": "<text>"}`, in which the text may be JSON again, or anything else (`CSRF token missing or incorrect.`, a
/// proxy's page). A private key that a message quotes is cut off.
fn message(answer: &Answer) -> String {
    let told = serde_json::from_slice::<Value>(&answer.body).ok().and_then(|body| match body.get("error") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    });
    let text = told.unwrap_or_else(|| answer.excerpt());
    printable::line(text.split("-----BEGIN").next().unwrap_or_default(), MESSAGE_LETTERS)
}

fn meaning(status: StatusCode, message: &str) -> Meaning {
    let message = message.to_ascii_lowercase();
    let says = |part: &str| message.contains(part);
    match status.as_u16() {
        400 | 403 if says("referred by") || says("cannot delete") => Meaning::InUse,
        _ if status.is_client_error() && says("invalid version") => Meaning::VersionRefused,
        400 => Meaning::Invalid,
        401 | 419 => Meaning::SessionEnded,
        403 if says("during upgrade") || says("upgrade is in progress") => Meaning::Unavailable,
        403 if says("tenant") && (says("does not exist") || says("no access")) => Meaning::TenantUnknown,
        403 => Meaning::Denied,
        404 => Meaning::NotFound,
        405 | 501 => Meaning::NotOffered,
        409 if says("already exists") => Meaning::AlreadyExists,
        409 | 412 => Meaning::Changed,
        408 => Meaning::Unavailable,
        429 => Meaning::TooMany,
        500 if says("common_name") => Meaning::NoCommonName,
        // A server error by its number, but the object is what is wrong.
        500 if says("bad pb") || says("import error") => Meaning::Invalid,
        _ if status.is_server_error() => Meaning::Unavailable,
        _ if status.is_client_error() => Meaning::Invalid,
        _ => Meaning::Unexpected,
    }
}

fn kind(meaning: Meaning) -> ErrorKind {
    match meaning {
        Meaning::AlreadyExists | Meaning::Changed | Meaning::InUse => ErrorKind::Conflict,
        Meaning::Denied | Meaning::SessionEnded | Meaning::TenantUnknown => ErrorKind::Denied,
        Meaning::Invalid | Meaning::NoCommonName => ErrorKind::Invalid,
        Meaning::NotFound => ErrorKind::NotFound,
        Meaning::NotOffered | Meaning::VersionRefused => ErrorKind::NotOffered,
        Meaning::TooMany => ErrorKind::Throttled,
        Meaning::Unavailable => ErrorKind::Unavailable,
        Meaning::Unexpected => ErrorKind::Unexpected,
    }
}

const MESSAGE_LETTERS: usize = 400;

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;
    use proptest::prelude::*;

    use super::*;

    fn refused(status: u16, body: &str) -> Failure {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) };
        Failure::Refused(Box::new(Refused::new(&answer, None)))
    }

    #[test]
    fn every_answer_has_a_meaning_and_a_reaction() {
        for (status, body, meaning, reaction) in [
            (302, "", Meaning::Unexpected, Reaction::Stop),
            (400, r#"{"error": "VrfContext not found"}"#, Meaning::Invalid, Reaction::Stop),
            (
                400,
                r#"{"error": "Cannot delete, object is referred by: ['VirtualService shop']"}"#,
                Meaning::InUse,
                Reaction::Stop,
            ),
            (400, r#"{"error": "Invalid version 16.1"}"#, Meaning::VersionRefused, Reaction::Stop),
            (401, "CSRF token missing or incorrect.", Meaning::SessionEnded, Reaction::Stop),
            (403, r#"{"error": "No permission"}"#, Meaning::Denied, Reaction::Stop),
            (403, r#"{"error": "Configuration is disallowed during upgrade"}"#, Meaning::Unavailable, Reaction::Wait),
            (403, r#"{"error": "Tenant 'x' does not exist!"}"#, Meaning::TenantUnknown, Reaction::Stop),
            (403, r#"{"error": "User 'x' has no access to tenant 'y'"}"#, Meaning::TenantUnknown, Reaction::Stop),
            (403, r#"{"error": "Cannot delete, object is referred by: ['x']"}"#, Meaning::InUse, Reaction::Stop),
            (404, r#"{"error": "VirtualService object not found"}"#, Meaning::NotFound, Reaction::ReadAgain),
            (405, "", Meaning::NotOffered, Reaction::Stop),
            (408, "", Meaning::Unavailable, Reaction::Wait),
            (409, r#"{"error": "x already exists"}"#, Meaning::AlreadyExists, Reaction::ReadAgain),
            (412, r#"{"error": "Need to reload object data"}"#, Meaning::Changed, Reaction::ReadAgain),
            (419, "", Meaning::SessionEnded, Reaction::Stop),
            (429, "", Meaning::TooMany, Reaction::Wait),
            (500, r#"{"error": "Import error: common_name missing"}"#, Meaning::NoCommonName, Reaction::Stop),
            (500, r#"{"error": "Bad pb: x"}"#, Meaning::Invalid, Reaction::Stop),
            (500, "oops", Meaning::Unavailable, Reaction::Wait),
            (503, "<html>starting</html>", Meaning::Unavailable, Reaction::Wait),
        ] {
            let failure = refused(status, body);
            assert_eq!((failure.meaning(), failure.reaction()), (Some(meaning), reaction), "{status} {body}");
        }
    }

    #[test]
    fn what_was_said_is_quoted_without_keys() {
        assert_eq!(refused(400, r#"{"error": "no\nfree IPs"}"#).said(), "400: no free IPs");
        assert_eq!(refused(400, r#"{"error": {"vh_matches": ["x"]}}"#).said(), r#"400: {"vh_matches":["x"]}"#);
        assert_eq!(refused(503, "<html>\n<h1>Down</h1>").said(), "503: <html> <h1>Down</h1>");
        assert_eq!(refused(500, "").said(), "500");
        let quoted = refused(500, r#"{"error": "Bad pb: key: -----BEGIN PRIVATE KEY-----\nMC4C"}"#).said();
        assert_eq!(quoted, "500: Bad pb: key:");
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(status in 100_u16..1000, body in ".{0,600}") {
            let _ = refused(status, &body).said();
        }
    }
}
