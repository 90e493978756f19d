//! Errors as the service answers them: a status and `{"code": …, "message": …}`.

use http::StatusCode;

use super::options::DuplicateName;

/// What the lab refuses to do for its owner (not for an API client: those get a status and a code).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// A key, certificate or key file could not be made or written.
    #[error("API key {key_id}: {problem}")]
    ApiKey {
        /// The key's id, or a word for what was to become one.
        key_id: String,
        /// What went wrong.
        problem: String,
    },
    /// The Certificates service would refuse a certificate.
    #[error("certificate {certificate} is not imported: {problem}")]
    Import {
        /// Its name.
        certificate: String,
        /// The text that an API client would get.
        problem: String,
    },
    /// A socket could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: std::net::SocketAddr,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The load balancer's configuration is one that the service would refuse.
    #[error("load balancer {load_balancer} is not valid: {problem}")]
    NotValid {
        /// Display name or id.
        load_balancer: String,
        /// The text that an API client would get.
        problem: String,
    },
    /// No load balancer has this id.
    #[error("the lab holds no load balancer {0}")]
    UnknownLoadBalancer(String),
}

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// For the lab's own log only: the service does not tell clients why it distrusts them.
    pub(crate) reason: Option<String>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), reason: None }
    }

    pub(crate) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidParameter", message)
    }

    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "MissingParameter", format!("The required parameter {name} is missing"))
    }

    pub(crate) fn cannot_parse(problem: impl std::fmt::Display) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "CannotParseRequest",
            format!("Incorrectly formatted request. Please refer to our documentation for help. ({problem})"),
        )
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "Conflict", message)
    }

    /// The object is not in a state in which this can be done; clients may try again.
    pub(crate) fn incorrect_state(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "IncorrectState", message)
    }

    /// A name that is taken.
    pub(super) fn duplicate(message: impl Into<String>, answer: DuplicateName) -> Self {
        match answer {
            DuplicateName::Conflict => Self::conflict(message),
            DuplicateName::InvalidParameter => Self::invalid_parameter(message),
        }
    }

    /// A limit of the tenancy.
    pub(super) fn limit_exceeded(what: &str, limit: usize) -> Self {
        let message = format!("The following service limits were exceeded: {what}. The limit is {limit}");
        Self::new(StatusCode::BAD_REQUEST, "LimitExceeded", message)
    }

    /// Missing and forbidden look alike on purpose.
    pub(crate) fn not_found(what: impl std::fmt::Display) -> Self {
        let mut error = Self::new(
            StatusCode::NOT_FOUND,
            "NotAuthorizedOrNotFound",
            "Authorization failed or requested resource not found.",
        );
        error.reason = Some(format!("no such object: {what}"));
        error
    }

    pub(crate) fn not_authenticated(reason: impl Into<String>) -> Self {
        let mut error = Self::new(
            StatusCode::UNAUTHORIZED,
            "NotAuthenticated",
            "The required information to complete authentication was not provided or was incorrect.",
        );
        error.reason = Some(reason.into());
        error
    }

    pub(crate) fn no_etag_match(entity: &str, current: &str, passed: &str) -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "NoEtagMatch",
            format!("Entity {entity} has a computed tag of {current}, but is passed a tag of {passed}"),
        )
    }
}
