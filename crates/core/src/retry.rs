//! How soon something is tried again that failed: an issuer that refused, since a loop of failures must not eat the CA's rate
//! limits; a version that a listener did not serve, since every attempt is made at the clients' cost.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::chain::Sha256;
use crate::desired::VersionSpec;
use crate::error::{Error, ErrorKind, Retry};

/// Waits after the first, second … failure that the CA counted, or rollback. Let's Encrypt's integration guide proposes 1 min,
/// 10 min, 100 min, then once a day; its limit is 5 failed authorizations per name and hour.
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
    /// The digest of what was ordered; `None` where an older program kept the record.
    pub ordered: Option<Sha256>,
}

impl IssueFailure {
    /// The record after `error` in an attempt to get `ordered`, given the one before it.
    ///
    /// What cost the CA nothing (a failed self-check, a busy load balancer, no connection) may be tried again at once; what
    /// it counted waits longer each time; what it asked for by Retry-After is kept; what no wait ends is asked once a day.
    pub fn after(error: &Error, ordered: &VersionSpec, before: Option<&Self>, now: Timestamp) -> Self {
        let before = before.filter(|failure| failure.is_of(ordered));
        let count = before.map_or(0, |failure| failure.count) + u32::from(error.kind().is_counted());
        let wait = match (error.kind(), error.retry()) {
            (ErrorKind::Paused | ErrorKind::Rejected, _) => LONGEST_WAIT,
            (_, Retry::After(wait)) => clamp(wait),
            (kind, _) if kind.is_counted() => wait_after(count),
            _ => SignedDuration::ZERO,
        };
        Self { at: now, count, error: error.to_string(), retry_at: now + wait, ordered: Some(ordered.digest()) }
    }

    /// Whether it is too soon to order `wanted`. What failed was another certificate where the config has changed since, and
    /// a failure of a time to come was noted by a clock that was wrong: neither is a reason to wait.
    pub fn keeps_waiting(&self, wanted: &VersionSpec, now: Timestamp) -> bool {
        self.at <= now && now < self.retry_at && self.is_of(wanted)
    }

    fn is_of(&self, wanted: &VersionSpec) -> bool {
        self.ordered.is_none_or(|ordered| ordered == wanted.digest())
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
    use crate::desired::KeyHolder;
    use crate::key::KeyType;

    fn failure(kind: ErrorKind) -> Error {
        Error::new(kind, "newOrder", "issuer `letsencrypt`")
    }

    fn wanted() -> VersionSpec {
        VersionSpec {
            names: vec!["www.some-domain.com".parse().unwrap()],
            key: KeyType::EcdsaP256,
            key_holder: KeyHolder::Store,
            issuer: "letsencrypt".parse().unwrap(),
            directory: String::new(),
            profile: None,
        }
    }

    #[test]
    fn another_certificate_begins_to_count_anew() {
        let now = Timestamp::UNIX_EPOCH;
        let error = failure(ErrorKind::Validation);
        let first = IssueFailure::after(&error, &wanted(), None, now);
        for change in [
            (|spec| spec.names.push("x.some-domain.com".parse().unwrap())) as fn(&mut VersionSpec),
            |spec| spec.key = KeyType::Rsa2048,
            |spec| spec.key_holder = KeyHolder::LoadBalancer("front".parse().unwrap()),
            |spec| spec.issuer = "other".parse().unwrap(),
            |spec| spec.directory = "https://ca.test/".to_owned(),
            |spec| spec.profile = Some("shortlived".to_owned()),
        ] {
            let mut other = wanted();
            change(&mut other);
            assert!(first.keeps_waiting(&wanted(), now) && !first.keeps_waiting(&other, now), "{other:?}");
            assert_eq!(IssueFailure::after(&error, &other, Some(&first), now).count, 1, "{other:?}");
        }
        assert_eq!(IssueFailure::after(&error, &wanted(), Some(&first), now).count, 2);
        let of_an_older_program = IssueFailure { ordered: None, ..first };
        assert!(of_an_older_program.keeps_waiting(&wanted(), now));
    }

    #[test]
    fn what_the_ca_counted_waits_longer_each_time_and_nothing_else_does() {
        let now = Timestamp::UNIX_EPOCH;
        let mut last = None;
        for (kind, wait) in [
            (ErrorKind::Validation, 60),
            (ErrorKind::Unusable, 600),
            (ErrorKind::Validation, 6000),
            (ErrorKind::Unusable, 86400),
            (ErrorKind::Validation, 86400),
        ] {
            let next = IssueFailure::after(&failure(kind), &wanted(), last.as_ref(), now);
            assert_eq!(next.retry_at.duration_since(now).as_secs(), wait);
            last = Some(next);
        }
        for kind in [ErrorKind::SelfCheck, ErrorKind::Throttled] {
            let next = IssueFailure::after(&failure(kind), &wanted(), last.as_ref(), now);
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
                assert_eq!(
                    IssueFailure::after(&error, &wanted(), None, now).retry_at.duration_since(now).as_secs(),
                    86400
                );
            }
        }
    }

    #[test]
    fn the_cas_wish_is_kept_within_a_day() {
        let now = Timestamp::UNIX_EPOCH;
        for (asked, kept) in [(7, 7), (1_000_000_000, 86400)] {
            let error = failure(ErrorKind::RateLimited).with_retry(Retry::After(Duration::from_secs(asked)));
            assert_eq!(IssueFailure::after(&error, &wanted(), None, now).retry_at.duration_since(now).as_secs(), kept);
        }
    }
}
