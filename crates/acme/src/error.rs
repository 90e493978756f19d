//! The one error of this crate: what was asked, of whom, what came back, and what it means.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use crate::problem::{Problem, ProblemType};
use crate::resource_url::ResourceUrl;

/// A request that did not give what was asked for. Cheap to clone. Both `Display` (one line) and `Debug` are safe to
/// log.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

impl Error {
    /// What the failure means.
    pub fn kind(&self) -> &ErrorKind {
        &self.inner.kind
    }

    /// What was being done.
    pub fn operation(&self) -> Operation {
        self.inner.operation
    }

    /// The URL that was asked, without its query.
    pub fn url(&self) -> Option<&str> {
        self.inner.url.as_deref()
    }

    /// The HTTP status, when an answer arrived.
    pub fn status(&self) -> Option<StatusCode> {
        self.inner.status
    }

    /// The CA's problem document.
    pub fn problem(&self) -> Option<&Problem> {
        self.inner.problem.as_ref()
    }

    /// Which problem the CA names.
    pub fn problem_type(&self) -> Option<&ProblemType> {
        self.inner.problem.as_ref().map(|problem| &problem.kind)
    }

    /// How long the CA asks to wait; at most a year.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// How often the request went out, not counting bad nonces; 0 when it never did.
    pub fn attempts(&self) -> u32 {
        self.inner.attempts
    }

    /// The CA may have done what it was asked to: read the resource again, don't repeat the request.
    pub fn is_effect_unknown(&self) -> bool {
        self.inner.effect_unknown
    }

    /// The CA asks for patience: `rateLimited`, or a bare 429 from something in front of it.
    pub fn is_rate_limited(&self) -> bool {
        self.problem_type() == Some(&ProblemType::RateLimited) || self.status() == Some(StatusCode::TOO_MANY_REQUESTS)
    }

    /// The CA, or the way to it, is at fault, not the request: the network, a time-out, a 5xx.
    pub fn is_unavailable(&self) -> bool {
        let network = matches!(self.kind(), ErrorKind::EffectUnknown | ErrorKind::Timeout | ErrorKind::Transport);
        network || self.status().is_some_and(|status| status.is_server_error())
    }

    /// The account itself is refused: it is gone, or waits for its holder to agree to something.
    pub fn is_account_refused(&self) -> bool {
        matches!(
            self.problem_type(),
            Some(
                ProblemType::AccountDoesNotExist
                    | ProblemType::ExternalAccountRequired
                    | ProblemType::UserActionRequired
            )
        )
    }

    /// The CA's directory does not offer what was asked for.
    pub fn is_not_offered(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotOffered { .. })
    }

    pub(crate) fn new(kind: ErrorKind, operation: Operation, said: impl Into<String>) -> Self {
        let inner = Inner {
            kind,
            operation,
            url: None,
            status: None,
            problem: None,
            said: said.into(),
            retry_after: None,
            attempts: 0,
            effect_unknown: false,
            source: None,
        };
        Self { inner: Arc::new(inner) }
    }

    pub(crate) fn at(self, url: &ResourceUrl) -> Self {
        self.change(|inner| inner.url = Some(url.without_query()))
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Self {
        self.change(|inner| inner.status = Some(status))
    }

    pub(crate) fn with_problem(self, problem: Problem) -> Self {
        self.change(|inner| inner.problem = Some(problem))
    }

    pub(crate) fn with_retry_after(self, retry_after: Option<Duration>) -> Self {
        self.change(|inner| inner.retry_after = retry_after)
    }

    pub(crate) fn with_attempts(self, attempts: u32) -> Self {
        self.change(|inner| inner.attempts = attempts)
    }

    pub(crate) fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.change(|inner| inner.source = Some(Arc::new(source)))
    }

    /// The request may have had its effect. A failure to get any answer then has that as its meaning; one that tells
    /// more keeps its own.
    pub(crate) fn with_effect_unknown(self) -> Self {
        self.change(|inner| {
            inner.effect_unknown = true;
            if matches!(inner.kind, ErrorKind::Timeout | ErrorKind::Transport) {
                inner.kind = ErrorKind::EffectUnknown;
            }
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.inner;
        write!(formatter, "{}", inner.operation)?;
        if let Some(url) = &inner.url {
            write!(formatter, " {url}")?;
        }
        formatter.write_str(": ")?;
        if let Some(status) = inner.status {
            write!(formatter, "HTTP {} ", status.as_u16())?;
        }
        match &inner.problem {
            Some(problem) => write!(formatter, "{problem}")?,
            None => formatter.write_str(&inner.said)?,
        }
        if inner.effect_unknown {
            formatter.write_str("; whether the CA acted on the request is unknown")?;
        }
        match inner.retry_after {
            Some(wait) => write!(formatter, "; retry after {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Error({:?}, {self})", self.inner.kind)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.inner.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// What a failure means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The answer is longer than this client reads.
    BodyTooLarge {
        /// The cap in bytes.
        limit: usize,
    },
    /// The client cannot be built or used like this; nothing was sent.
    Configuration,
    /// No answer came, but the request may have arrived and had its effect. See [`Error::is_effect_unknown`], which is
    /// wider.
    EffectUnknown,
    /// The account key cannot sign; nothing was sent.
    Key,
    /// The CA answered with success, but not with what RFC 8555 says.
    Malformed,
    /// The CA's directory does not have this resource.
    NotOffered {
        /// The directory's key.
        resource: &'static str,
    },
    /// The CA answered with a problem document.
    Problem(ProblemType),
    /// An error status without a problem document: a proxy's page, most likely.
    Status,
    /// No complete answer in time; the request had no effect, or may be repeated.
    Timeout,
    /// The CA cannot be reached or hung up; the request had no effect, or may be repeated.
    Transport,
}

/// What was being done, in RFC 8555's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the name of its resource")]
pub enum Operation {
    Account,
    Authorization,
    Certificate,
    Challenge,
    Configure,
    Directory,
    Finalize,
    KeyChange,
    NewAccount,
    NewNonce,
    NewOrder,
    Order,
    RenewalInfo,
    RevokeCert,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Account => "account",
            Self::Authorization => "authorization",
            Self::Certificate => "certificate",
            Self::Challenge => "challenge",
            Self::Configure => "ACME client",
            Self::Directory => "directory",
            Self::Finalize => "finalize",
            Self::KeyChange => "keyChange",
            Self::NewAccount => "newAccount",
            Self::NewNonce => "newNonce",
            Self::NewOrder => "newOrder",
            Self::Order => "order",
            Self::RenewalInfo => "renewalInfo",
            Self::RevokeCert => "revokeCert",
        })
    }
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    operation: Operation,
    url: Option<String>,
    status: Option<StatusCode>,
    problem: Option<Problem>,
    /// What there is to say when there is no problem document; always a printable line.
    said: String,
    retry_after: Option<Duration>,
    attempts: u32,
    effect_unknown: bool,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}
