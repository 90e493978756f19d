//! What a fault rule can do to a call of this controller.

use std::time::Duration;

use crate::faults;

pub use crate::faults::{Moment, RetryAfter};

/// Hits the next calls of one operation by the name that [`RequestRecord::operation`](super::RequestRecord) gives it:
/// `POST login`, `GET virtualservice`, `PATCH virtualservice`, `POST sslkeyandcertificate`,
/// `POST sslkeyandcertificate/renew` …; `*` is every operation. Calls without a good session count for no rule.
pub type Fault = faults::Fault<Effect>;

/// What a [`Fault`] does to a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// An error of the API, without any effect on the configuration.
    Answer {
        /// HTTP status.
        status: u16,
        /// The text under `error`.
        error: String,
        /// A Retry-After header.
        retry_after: Option<RetryAfter>,
    },
    /// The call takes effect; the connection closes without an answer.
    CloseAfter,
    /// The connection closes without an answer or effect.
    CloseBefore,
    /// The call takes effect, and is answered so much later.
    Delay(Duration),
    /// No answer until the client gives up, and no effect.
    Hang,
    /// What a proxy in between would send: no effect.
    HtmlPage {
        /// HTTP status.
        status: u16,
        /// The page.
        body: String,
    },
    /// The session has ended just now.
    SessionEnds,
}

impl Effect {
    /// [`Effect::Answer`] without Retry-After.
    pub fn answer(status: u16, error: impl Into<String>) -> Self {
        Self::Answer { status, error: error.into(), retry_after: None }
    }

    /// 412, as another writer's change just before would cause it.
    pub fn stale(class: &str) -> Self {
        Self::answer(412, format!("Need to reload object data {class}"))
    }
}
