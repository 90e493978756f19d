//! Where the time of day comes from. The one file that reads the wall clock.

use jiff::Timestamp;

/// A source of the time of day. Passed in wherever a decision needs *now*, so that tests and the demo can move it.
pub trait Clock: Send + Sync {
    /// The current instant, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
