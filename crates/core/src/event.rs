//! What happens, as it happens: one event makes the log line, the progress line and the row of the history.

use std::fmt;

use jiff::Timestamp;

use crate::name::{CertificateName, ListenerName, LoadBalancerName};

/// Something that certferry began, waits for, did, or failed to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// What: a step's action (`issue`, `upload`, `bind` …), `roll_back` or `expiry_warning`.
    pub action: String,
    /// For which certificate.
    pub certificate: Option<CertificateName>,
    /// On which load balancer.
    pub load_balancer: Option<LoadBalancerName>,
    /// On which listener.
    pub listener: Option<ListenerName>,
    /// To which object: a bundle, an order, a backend set.
    pub object: Option<String>,
    /// How it went.
    pub outcome: Outcome,
    /// One line for people: why, what is waited for, what was seen, or the error.
    pub detail: String,
}

/// How it went, in the order in which it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Begun.
    Started,
    /// Still going on; not kept in the history.
    Waiting,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Nothing was done: people are warned of something.
    Warned,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 5] = [Self::Started, Self::Waiting, Self::Done, Self::Failed, Self::Warned];

    /// The word that outputs use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Warned => "warned",
        }
    }

    /// The outcome that prints as `text`.
    pub fn from_word(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
