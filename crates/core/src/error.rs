//! The one shape in which anything remote fails: what it means, what was called on what, what the other side said, when
//! to try again, and what a person can do.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::name::CertificateName;

/// A failure. `Display` is one line; [`Error::hint`] stands beside it, for the terminal to print below.
#[derive(Clone, Debug)]
pub struct Error(Box<Failure>);

/// Boxed, so that a `Result` stays small where all goes well.
#[derive(Clone, Debug)]
struct Failure {
    kind: ErrorKind,
    operation: String,
    subject: String,
    certificate: Option<CertificateName>,
    said: Option<String>,
    hint: Option<String>,
    retry: Retry,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `operation` (the call, in the other side's words: `UpdateListener`, `newOrder`) on `subject` (the
    /// object, for people: ``listener `https` of load balancer `front` ``).
    pub fn new(kind: ErrorKind, operation: impl Into<String>, subject: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            kind,
            operation: operation.into(),
            subject: subject.into(),
            certificate: None,
            said: None,
            hint: None,
            retry: kind.usual_retry(),
            source: None,
        }))
    }

    /// Adds what the other side said, in its own words.
    #[must_use]
    pub fn said(mut self, text: impl Into<String>) -> Self {
        self.0.said = Some(text.into());
        self
    }

    /// Adds to what the other side said what else was seen of it.
    #[must_use]
    pub fn and_said(mut self, text: impl AsRef<str>) -> Self {
        let said = self.0.said.get_or_insert_default();
        if !said.is_empty() {
            said.push_str("; ");
        }
        said.push_str(text.as_ref());
        self
    }

    /// Adds the next thing that a person can try.
    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> Self {
        self.0.hint = Some(text.into());
        self
    }

    /// Says for which certificate this was done.
    #[must_use]
    pub fn for_certificate(mut self, name: &CertificateName) -> Self {
        self.0.certificate = Some(name.clone());
        self
    }

    /// Gives it another meaning, for a caller who knows more than the call that failed; when to try again follows from it.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self.0.retry = kind.usual_retry();
        self
    }

    /// Says when to try again, where that differs from the kind's usual answer.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Adds the error below.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// What it means.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The call that failed.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The next thing to try.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// When to try again.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(certificate) = &self.0.certificate {
            write!(formatter, "certificate `{certificate}`: ")?;
        }
        write!(formatter, "{} on {}: {}", self.0.operation, self.0.subject, self.0.kind)?;
        if let Some(said) = &self.0.said {
            write!(formatter, ": {said}")?;
        }
        match self.0.retry {
            Retry::After(wait) => write!(formatter, " (try again in {} s)", wait.as_secs()),
            Retry::Never | Retry::WithBackoff => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// What a failure means to the one who called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Another writer was faster, or the object is busy: read again, then decide again.
    Conflict,
    /// The credential is refused, or lacks the right.
    Denied,
    /// The call may or may not have had its effect: read before doing it again.
    EffectUnknown,
    /// The other side refuses what was asked as it stands.
    Invalid,
    /// The object is not there (or not visible to this credential).
    NotFound,
    /// The other side does not offer this.
    NotOffered,
    /// The CA has paused the name for this account: no wait ends that, only a person.
    Paused,
    /// A rate limit of the CA, or a wait that keeps from running into one.
    RateLimited,
    /// The CA will not issue this, however often it is asked: the name, or the key, is not for it.
    Rejected,
    /// The challenge response does not come back from where the CA will look for it.
    SelfCheck,
    /// A load balancer or a DNS provider wants fewer requests. No CA counts that.
    Throttled,
    /// No answer within the limit.
    Timeout,
    /// Not reachable, or answers with a server error.
    Unavailable,
    /// Something that the program did not foresee.
    Unexpected,
    /// An order came to its end, and what the CA gives for it is of no use.
    Unusable,
    /// The CA could not validate a name.
    Validation,
    /// What is served is not what was bound.
    Verification,
}

impl ErrorKind {
    /// Whether it counts in a CA's rate limits: failed validations do, and so does each certificate, of use or not.
    pub fn is_counted(self) -> bool {
        matches!(self, Self::Paused | Self::RateLimited | Self::Rejected | Self::Unusable | Self::Validation)
    }

    fn usual_retry(self) -> Retry {
        match self {
            Self::Denied | Self::Invalid | Self::NotFound | Self::NotOffered | Self::Paused | Self::Rejected => {
                Retry::Never
            }
            _ => Retry::WithBackoff,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Conflict => "changed or busy meanwhile",
            Self::Denied => "not allowed",
            Self::EffectUnknown => "whether it had its effect is unknown",
            Self::Invalid => "refused",
            Self::NotFound => "not found",
            Self::NotOffered => "not offered",
            Self::Paused => "paused by the CA",
            Self::RateLimited | Self::Throttled => "too many requests",
            Self::Rejected => "the CA does not issue this",
            Self::SelfCheck => "the challenge response is not there",
            Self::Timeout => "no answer in time",
            Self::Unavailable => "not available",
            Self::Unexpected => "unexpected",
            Self::Unusable => "no usable certificate",
            Self::Validation => "the CA could not validate the name",
            Self::Verification => "not served as deployed",
        })
    }
}

/// When the same thing may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After the wait that the other side asked for.
    After(Duration),
    /// Not until a person changed something.
    Never,
    /// Soon, then later and later.
    WithBackoff,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_certificate_call_object_and_answer() {
        let error = Error::new(ErrorKind::Conflict, "UpdateListener", "listener `https` of load balancer `front`")
            .for_certificate(&"www".parse().unwrap())
            .said("409 IncorrectState: busy")
            .with_retry(Retry::After(Duration::from_secs(7)));
        assert_eq!(
            error.to_string(),
            "certificate `www`: UpdateListener on listener `https` of load balancer `front`: changed or busy meanwhile: \
             409 IncorrectState: busy (try again in 7 s)"
        );
    }
}
