//! When a certificate is renewed: when the CA says so (ARI, RFC 9773), else by its share of lifetime left.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::chain::LeafFacts;
use crate::error::{Error, ErrorKind, Retry};

/// Lifetimes under this are renewed at one half instead of at two thirds (Let's Encrypt's integration guide).
const SHORT_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 10);

/// Whatever the CA suggests, renewal does not start later than with one tenth of the lifetime left.
const LATEST_SHARE: i32 = 10;

/// The longest that a CA is not asked for a window; every CA's wish is clamped to it.
pub const LATEST_FETCH: SignedDuration = SignedDuration::from_hours(24);

const FETCH_AFTER_SILENCE: SignedDuration = SignedDuration::from_hours(1);
const FETCH_AFTER_REFUSAL: SignedDuration = SignedDuration::from_hours(6);

/// A renewal window as the CA suggested it (RFC 9773 §4.2), for one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalWindow {
    /// Start of the suggested window.
    pub start: Timestamp,
    /// End of the suggested window, after the start.
    pub end: Timestamp,
    /// A page that tells people why, where the CA gives one.
    pub explanation_url: Option<String>,
    /// Not to be asked for again before this (Retry-After, clamped).
    pub next_fetch: Timestamp,
}

impl RenewalWindow {
    /// Whether the CA is to be asked again. What is longer away than it can be was noted by a clock that was wrong.
    pub fn is_to_be_fetched(&self, now: Timestamp) -> bool {
        self.next_fetch <= now || self.next_fetch > now + LATEST_FETCH
    }

    /// The same after the CA did not say: asked again in an hour where that may pass by itself, else in six, and not before
    /// the CA wants to be (RFC 9773 §4.3.3).
    #[must_use]
    pub fn kept(self, error: &Error, now: Timestamp) -> Self {
        let wait = match error.kind() {
            _ if is_silence(error) => FETCH_AFTER_SILENCE,
            _ => FETCH_AFTER_REFUSAL,
        };
        let asked = match error.retry() {
            Retry::After(asked) => SignedDuration::try_from(asked).unwrap_or(LATEST_FETCH),
            Retry::Never | Retry::WithBackoff => SignedDuration::ZERO,
        };
        Self { next_fetch: now + wait.max(asked).min(LATEST_FETCH), ..self }
    }
}

/// Whether an error is of the CA as a whole, and not of the certificate that it was asked about.
pub fn is_silence(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Timeout | ErrorKind::Unavailable)
}

/// When and why a certificate is to be renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// When.
    pub at: Timestamp,
    /// Why then.
    pub reason: RenewalReason,
}

/// Where the instant of renewal comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenewalReason {
    /// The CA's suggested window.
    Ari,
    /// A share of the lifetime.
    Lifetime,
}

impl fmt::Display for RenewalReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ari => "the CA's renewal window",
            Self::Lifetime => "its share of lifetime left",
        })
    }
}

/// When to renew `leaf`.
///
/// Within a suggested window the instant is spread by the leaf's digest: as even over a fleet as a random pick, and the
/// same at every call, so that asking often does not pull it forward. `next_wake` says how long it takes until somebody
/// looks again (zero when the caller can wake at any instant): inside the window, an instant that would be slept through
/// counts as now (RFC 9773 §4.2 step 4).
pub fn renewal(leaf: &LeafFacts, window: Option<&RenewalWindow>, now: Timestamp, next_wake: SignedDuration) -> Renewal {
    let lifetime = leaf.not_after.duration_since(leaf.not_before);
    // A window that ends before it starts says nothing (RFC 9773 §4.2).
    let Some(window) = window.filter(|window| window.start <= window.end) else {
        return Renewal { at: by_lifetime(leaf, lifetime), reason: RenewalReason::Lifetime };
    };
    let latest = leaf.not_after - lifetime / LATEST_SHARE;
    if window.start > latest {
        return Renewal { at: latest, reason: RenewalReason::Lifetime };
    }
    let end = window.end.min(latest);
    let picked = pick(leaf, window.start, end);
    let slept_through = now >= window.start && picked.duration_since(now) < next_wake;
    let at = if slept_through { picked.min(now) } else { picked };
    Renewal { at, reason: RenewalReason::Ari }
}

fn by_lifetime(leaf: &LeafFacts, lifetime: SignedDuration) -> Timestamp {
    let left = if lifetime < SHORT_LIFETIME { lifetime / 2 } else { lifetime / 3 };
    leaf.not_after - left
}

fn pick(leaf: &LeafFacts, start: Timestamp, end: Timestamp) -> Timestamp {
    let mut head = [0; 4];
    head.copy_from_slice(&leaf.sha256.as_bytes()[..4]);
    let share = f64::from(u32::from_be_bytes(head)) / f64::from(u32::MAX);
    let after = SignedDuration::from_secs_f64(end.duration_since(start).as_secs_f64() * share);
    // Of a long window the product is rounded, maybe up.
    start.saturating_add(after).unwrap_or(end).min(end)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::chain::Sha256;

    fn leaf(not_before: &str, not_after: &str) -> LeafFacts {
        LeafFacts::for_tests(not_before, not_after, Sha256::of(b"a leaf"))
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(start: &str, end: &str) -> RenewalWindow {
        RenewalWindow { start: at(start), end: at(end), explanation_url: None, next_fetch: at(start) }
    }

    #[test]
    fn a_ca_that_does_not_tell_the_window_is_asked_again_in_some_hours() {
        let now = at("2026-02-01T00:00:00Z");
        let error = |kind| Error::new(kind, "renewalInfo", "issuer `letsencrypt`");
        let asked = |wait| Retry::After(Duration::from_secs(wait));
        for (error, hours) in [
            (error(ErrorKind::Unavailable), 1),
            (error(ErrorKind::NotFound), 6),
            (error(ErrorKind::Invalid).with_retry(asked(60)), 6),
            (error(ErrorKind::RateLimited).with_retry(asked(7_200)), 2),
            (error(ErrorKind::RateLimited).with_retry(asked(u64::MAX)), 24),
        ] {
            let before = window("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
            let after = before.clone().kept(&error, now);
            assert_eq!(
                after,
                RenewalWindow { next_fetch: now + SignedDuration::from_hours(hours), ..before },
                "{error}"
            );
            assert!(!after.is_to_be_fetched(now) && after.is_to_be_fetched(after.next_fetch), "{error}");
        }
    }

    #[test]
    fn what_a_clock_ahead_of_time_noted_does_not_keep_from_asking() {
        let told = window("2027-03-01T00:00:00Z", "2027-03-02T00:00:00Z");
        assert!(told.is_to_be_fetched(at("2026-02-01T00:00:00Z")));
    }

    #[test]
    fn without_ari_a_third_of_the_lifetime_is_left_and_half_of_a_short_one() {
        let now = at("2026-01-01T00:00:00Z");
        for (not_before, not_after, expected) in [
            ("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z", "2026-03-02T00:00:00Z"),
            ("2026-01-01T00:00:00Z", "2026-02-15T00:00:00Z", "2026-01-31T00:00:00Z"),
            ("2026-01-01T00:00:00Z", "2026-01-07T00:00:00Z", "2026-01-04T00:00:00Z"),
        ] {
            let renewal = renewal(&leaf(not_before, not_after), None, now, SignedDuration::ZERO);
            assert_eq!(renewal, Renewal { at: at(expected), reason: RenewalReason::Lifetime });
        }
    }

    #[test]
    fn a_window_in_the_past_means_now() {
        let leaf = leaf("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        let window = window("2026-01-09T00:00:00Z", "2026-01-10T00:00:00Z");
        let now = at("2026-01-11T00:00:00Z");
        assert!(renewal(&leaf, Some(&window), now, SignedDuration::ZERO).at <= now);
    }

    #[test]
    fn an_instant_that_would_be_slept_through_is_now() {
        let leaf = leaf("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        let window = window("2026-03-01T00:00:00Z", "2026-03-01T12:00:00Z");
        let now = at("2026-03-01T00:00:01Z");
        assert!(renewal(&leaf, Some(&window), now, SignedDuration::ZERO).at > now);
        assert_eq!(renewal(&leaf, Some(&window), now, SignedDuration::from_hours(12)).at, now);
        let before = at("2026-02-28T23:59:00Z");
        assert!(renewal(&leaf, Some(&window), before, SignedDuration::from_hours(12)).at > before);
    }

    #[test]
    fn a_window_that_ends_before_it_starts_says_nothing() {
        let leaf = leaf("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
        let window = window("2026-01-10T00:00:00Z", "2026-01-09T00:00:00Z");
        let renewal = renewal(&leaf, Some(&window), at("2026-01-11T00:00:00Z"), SignedDuration::ZERO);
        assert_eq!(renewal, Renewal { at: at("2026-03-02T00:00:00Z"), reason: RenewalReason::Lifetime });
    }

    #[test]
    fn the_last_moment_of_the_longest_window_is_within_it() {
        let mut leaf = leaf("2026-01-01T00:00:00Z", "9999-12-30T22:00:00Z");
        leaf.sha256 = Sha256::from_hex(&"f".repeat(64)).unwrap();
        let longest = RenewalWindow {
            start: Timestamp::MIN,
            end: Timestamp::MAX,
            ..window("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")
        };
        let latest = leaf.not_after - leaf.not_after.duration_since(leaf.not_before) / LATEST_SHARE;
        assert!(renewal(&leaf, Some(&longest), at("2026-01-01T00:00:00Z"), SignedDuration::ZERO).at <= latest);
    }

    #[test]
    fn a_window_that_ends_too_late_is_cut() {
        let leaf = leaf("2026-01-01T00:00:00Z", "2026-04-11T00:00:00Z");
        let window = window("2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z");
        let renewal = renewal(&leaf, Some(&window), at("2026-01-01T00:00:00Z"), SignedDuration::ZERO);
        assert_eq!(renewal, Renewal { at: at("2026-04-01T00:00:00Z"), reason: RenewalReason::Lifetime });
    }

    proptest! {
        #[test]
        fn the_instant_lies_in_the_window_and_does_not_move(seed in any::<u64>(), later in 0_i64..3600) {
            let mut leaf = leaf("2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z");
            leaf.sha256 = Sha256::of(&seed.to_be_bytes());
            let window = window("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z");
            let now = at("2026-01-02T00:00:00Z");
            let first = renewal(&leaf, Some(&window), now, SignedDuration::ZERO);
            prop_assert!(first.at >= window.start && first.at <= window.end);
            let second = renewal(&leaf, Some(&window), now + SignedDuration::from_secs(later), SignedDuration::ZERO);
            prop_assert_eq!(first, second);
        }
    }
}
