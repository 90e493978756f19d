//! When to send again.

use std::time::{Duration, SystemTime};

use aws_lc_rs::rand;
use jiff::Timestamp;

/// Exponential waits with jitter (draws the upper half at random, so that clients do not march in step).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first wait, before jitter.
    pub first: Duration,
    /// No wait of our own is longer.
    pub longest: Duration,
}

impl Backoff {
    /// The wait after failure number `failures` (the first is 1). `unit` is a random number in `0.0..1.0`. A wait that the
    /// other side `asked` for is kept as it is.
    pub fn wait(&self, failures: u32, unit: f64, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            return asked;
        }
        let doublings = failures.saturating_sub(1).min(16);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        let unit = if (0.0..=1.0).contains(&unit) { unit } else { 1.0 };
        full.mul_f64(0.5 + unit / 2.0)
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

/// A random number in `0.0..1.0` for [`Backoff::wait`].
pub fn jitter() -> f64 {
    let mut bytes = [0; 4];
    match rand::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
        Err(_) => 0.5, // no randomness: waits are merely less spread
    }
}

/// The wait that a Retry-After header asks for (RFC 9110 §10.2.3): seconds, or a date from which `now` is taken; at most a
/// year. A date that has passed is no wait. `None` when it is neither.
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Too many digits are still a number, and still "very long".
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(SystemTime::from(now)).unwrap_or(Duration::ZERO).min(LONGEST))
}

/// Longer than any honest answer, short enough that it may be added to a time without overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let backoff = Backoff::default();
        let waits: Vec<u128> = (1..=9).map(|failures| backoff.wait(failures, 1.0, None).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        assert_eq!(backoff.wait(1, 0.0, None).as_millis(), 250);
        assert_eq!(backoff.wait(9, 0.3, Some(Duration::from_secs(77))).as_secs(), 77);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        for (value, seconds) in [
            ("7", Some(7)),
            (" 0 ", Some(0)),
            ("Thu, 01 Jan 2026 00:01:00 GMT", Some(60)),
            ("Wed, 31 Dec 2025 23:00:00 GMT", Some(0)),
            ("99999999999999999999999999", Some(LONGEST.as_secs())),
            ("Fri, 31 Dec 9999 00:00:00 GMT", Some(LONGEST.as_secs())),
            ("-1", None),
            ("+1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), seconds.map(Duration::from_secs), "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(failures in any::<u32>(), unit in any::<f64>()) {
            let backoff = Backoff::default();
            prop_assert!(backoff.wait(failures, unit, None) <= backoff.longest);
        }

        #[test]
        fn no_header_makes_the_parser_panic(value in ".{0,60}") {
            let _ = retry_after(&value, Timestamp::UNIX_EPOCH);
        }

        #[test]
        fn jitter_stays_in_range(_ in 0..50) {
            prop_assert!((0.0..1.0).contains(&jitter()));
        }
    }
}
