//! Errors: what the lab's owner is told, and what a client of the API is answered.

use http::StatusCode;

/// What the lab refuses to do for its owner (not for an API client: those get a status and a text).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The controller's certificate could not be made.
    #[error("the controller's own certificate: {0}")]
    Certificate(String),
    /// A socket could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The controller would refuse the object.
    #[error("{kind} {object} is not valid: {problem}")]
    NotValid {
        /// Object type, as in paths.
        kind: String,
        /// Name or uuid.
        object: String,
        /// The text that an API client would get.
        problem: String,
    },
    /// The lab holds no such object.
    #[error("the lab holds no {kind} {object}")]
    UnknownObject {
        /// Object type, as in paths.
        kind: String,
        /// Name or uuid.
        object: String,
    },
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    pub(super) text: String,
    /// The text alone, although the answer is labelled JSON.
    pub(super) plain: bool,
    /// For the lab's own log only.
    pub(super) reason: Option<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into(), plain: false, reason: None }
    }

    pub(super) fn bad_request(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    /// A field that does not fit the schema: the controller's own words for it are a server error.
    pub(super) fn malformed(text: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("Bad pb: {text}"))
    }

    pub(super) fn not_authenticated(text: &str, reason: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, text);
        error.reason = Some(reason.into());
        error
    }

    pub(super) fn csrf(reason: impl Into<String>) -> Self {
        let mut error = Self::not_authenticated("CSRF token missing or incorrect.", reason);
        error.plain = true;
        error
    }

    pub(super) fn forbidden(text: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, text)
    }

    pub(super) fn not_found(class: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{class} object not found!"))
    }

    pub(super) fn conflict(text: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, text)
    }
}
