//! How soon something is tried again that failed: an issuer that refused, since a loop of failures must not eat the CA's rate
//! limits; a version that a listener did not serve, since every attempt is made at the clients' cost.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::error::{Error, ErrorKind, Retry};

/// Waits after the first, second … failure that the CA counted, or rollback. Let's Encrypt's integration guide proposes 1 min, 10 min,
/// 100 min, then once a day; its limit is 5 failed authorizations per name and hour.
const WAITS: [SignedDuration; 4] = [
    SignedDuration::from_mins(1),
    SignedDuration::from_mins(10),
    SignedDuration::from_mins(100),
    SignedDuration::from_hours(24),
];

/// No CA's wish to wait is taken for longer than this.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(24);

/// The last issuing failure of a certificate, and how many there were since the last success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueFailure {
    /// When.
    pub at: Timestamp,
    /// How many in a row that the CA counted.
    pub count: u32,
    /// What went wrong, in one line.
    pub error: String,
    /// Not to be tried again before this, unless a person forces it.
    pub retry_at: Timestamp,
}

impl IssueFailure {
    /// The record after `error`, given the one before it.
    ///
    /// What cost the CA nothing (a failed self-check, a busy load balancer, no connection) may be tried again at once; what
    /// it counted waits longer each time; what it asked for by Retry-After is kept; what no wait ends is asked once a day.
    pub fn after(error: &Error, before: Option<&Self>, now: Timestamp) -> Self {
        let count = before.map_or(0, |failure| failure.count) + u32::from(was_counted(error));
        let wait = match (error.kind(), error.retry()) {
            (ErrorKind::Paused | ErrorKind::Rejected, _) => LONGEST_WAIT,
            (_, Retry::After(wait)) => clamp(wait),
            _ if was_counted(error) => wait_after(count),
            _ => SignedDuration::ZERO,
        };
        Self { at: now, count, error: error.to_string(), retry_at: now + wait }
    }
}

/// That a version was not served by a listener, so that what was there before was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollBack {
    /// When.
    pub at: Timestamp,
    /// How often in a row with this version.
    pub count: u32,
    /// What was served instead, in one line.
    pub error: String,
    /// Not to be bound again before this, unless a person is there to look.
    pub retry_at: Timestamp,
}

impl RollBack {
    /// The record after `error`, given the one before it for the same version.
    ///
    /// Until each attempt is over, clients may get what is not proved. The first comes soon, for a load balancer that was
    /// busy or slow; what has failed four times is mended by a person, and until then one attempt a day is enough.
    pub fn after(error: &Error, before: Option<&Self>, now: Timestamp) -> Self {
        let count = before.map_or(0, |before| before.count).saturating_add(1);
        Self { at: now, count, error: error.to_string(), retry_at: now + wait_after(count) }
    }
}

fn was_counted(error: &Error) -> bool {
    use ErrorKind::{Paused, RateLimited, Rejected, Validation};
    matches!(error.kind(), Paused | RateLimited | Rejected | Validation)
}

fn wait_after(count: u32) -> SignedDuration {
    let index = usize::try_from(count.saturating_sub(1)).unwrap_or(usize::MAX);
    WAITS[index.min(WAITS.len() - 1)]
}

fn clamp(wait: Duration) -> SignedDuration {
    SignedDuration::try_from(wait).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: ErrorKind) -> Error {
        Error::new(kind, "newOrder", "issuer `letsencrypt`")
    }

    #[test]
    fn what_the_ca_counted_waits_longer_each_time_and_nothing_else_does() {
        let now = Timestamp::UNIX_EPOCH;
        let mut last = None;
        for wait in [60, 600, 6000, 86400, 86400] {
            let next = IssueFailure::after(&failure(ErrorKind::Validation), last.as_ref(), now);
            assert_eq!(next.retry_at.duration_since(now).as_secs(), wait);
            last = Some(next);
        }
        for kind in [ErrorKind::SelfCheck, ErrorKind::Throttled] {
            let next = IssueFailure::after(&failure(kind), last.as_ref(), now);
            assert_eq!((next.retry_at, next.count), (now, 5));
        }
    }

    #[test]
    fn a_version_that_was_put_back_waits_longer_each_time() {
        let now = Timestamp::UNIX_EPOCH;
        let mut last = None;
        for (count, wait) in [(1, 60), (2, 600), (3, 6000), (4, 86400), (5, 86400)] {
            let next = RollBack::after(&failure(ErrorKind::Verification), last.as_ref(), now);
            assert_eq!((next.count, next.retry_at.duration_since(now).as_secs()), (count, wait));
            last = Some(next);
        }
    }

    #[test]
    fn what_no_wait_ends_is_asked_once_a_day() {
        let now = Timestamp::UNIX_EPOCH;
        for kind in [ErrorKind::Paused, ErrorKind::Rejected] {
            let asked = Retry::After(Duration::from_secs(1));
            for error in [failure(kind), failure(kind).with_retry(asked)] {
                assert_eq!(IssueFailure::after(&error, None, now).retry_at.duration_since(now).as_secs(), 86400);
            }
        }
    }

    #[test]
    fn the_cas_wish_is_kept_within_a_day() {
        let now = Timestamp::UNIX_EPOCH;
        for (asked, kept) in [(7, 7), (1_000_000_000, 86400)] {
            let error = failure(ErrorKind::RateLimited).with_retry(Retry::After(Duration::from_secs(asked)));
            assert_eq!(IssueFailure::after(&error, None, now).retry_at.duration_since(now).as_secs(), kept);
        }
    }
}
