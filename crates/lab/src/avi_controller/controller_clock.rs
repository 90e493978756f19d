//! The controller's clock: the wall clock, put forward where a test asks for it.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::clock;

#[derive(Default)]
pub(super) struct ControllerClock {
    ahead_seconds: AtomicI64,
}

impl ControllerClock {
    pub(super) fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_secs(self.ahead_seconds.load(Ordering::SeqCst));
        clock::now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    pub(super) fn advance(&self, by: SignedDuration) {
        self.ahead_seconds.fetch_add(by.as_secs(), Ordering::SeqCst);
    }
}
