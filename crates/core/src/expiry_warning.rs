//! When people are warned that a certificate ends: so many days before, or a share of a lifetime that is too short for
//! such days.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::chain::{LeafFacts, Serial};

/// Days before the end at which to warn where nobody names others; Avi controllers come with the same.
pub const DEFAULT_WARNING_DAYS: [u16; 3] = [30, 7, 1];

/// How long before the end of a certificate with this lifetime to warn, longest first.
///
/// As long as the largest of `days` is no more than half the lifetime, these are the days. Otherwise they were chosen for
/// certificates of 90 days, and become the same shares of this lifetime (30 days: a third of it; 7 and 1: 7/90 and 1/90),
/// where that is less. What is not less than the whole lifetime would warn from the first moment on, and is left out, as
/// is a warning 0 days before: the end itself counts always (see [`crossed`]).
pub fn warning_days_for(lifetime: SignedDuration, days: &[u16]) -> Vec<SignedDuration> {
    let largest = days.iter().copied().max().map_or(SignedDuration::ZERO, whole_days);
    let too_short = largest > lifetime / 2;
    let before_end = |day: u16| match too_short {
        true => whole_days(day).min(share(lifetime, day)),
        false => whole_days(day),
    };
    let useful = |before: &SignedDuration| before.is_positive() && *before < lifetime;
    let mut thresholds: Vec<SignedDuration> = days.iter().copied().map(before_end).filter(useful).collect();
    thresholds.sort_unstable_by(|one, other| other.cmp(one));
    thresholds.dedup();
    thresholds
}

/// The most urgent of the instants to warn at that `now` has passed, `None` before the first of them. Past the end it is
/// the end itself, with a threshold of zero, whatever the days.
///
/// To warn once, remember the warning's serial number and threshold: both stay as they are until the next one is crossed.
pub fn crossed(leaf: &LeafFacts, days: &[u16], now: Timestamp) -> Option<ExpiryWarning> {
    let left = leaf.not_after.duration_since(now);
    let threshold = if left.is_positive() {
        let thresholds = warning_days_for(leaf.not_after.duration_since(leaf.not_before), days);
        thresholds.into_iter().rev().find(|threshold| left <= *threshold)?
    } else {
        SignedDuration::ZERO
    };
    Some(ExpiryWarning { serial: leaf.serial.clone(), threshold, left, not_after: leaf.not_after })
}

/// A certificate ends soon, or has ended. Prints as what people are told of it, without its name: `expires in 6 days, on
/// 2026-04-01 00:00 UTC`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryWarning {
    /// Which certificate.
    pub serial: Serial,
    /// How long before the end this warning is due; zero when the end has passed.
    pub threshold: SignedDuration,
    /// How long it is still valid; zero or less when the end has passed.
    pub left: SignedDuration,
    /// Its end.
    pub not_after: Timestamp,
}

impl ExpiryWarning {
    /// Whether the end has passed.
    pub fn is_expired(&self) -> bool {
        !self.left.is_positive()
    }

    /// The threshold for people: `7 days`, `36 hours`.
    pub fn threshold_in_words(&self) -> String {
        in_words(self.threshold)
    }

    /// Whole days left; 0 on the last day, and less than that once the end is days ago.
    pub fn days_left(&self) -> i64 {
        self.left.as_hours() / HOURS_PER_DAY
    }
}

impl fmt::Display for ExpiryWarning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.not_after.strftime("%Y-%m-%d %H:%M UTC");
        let span = in_words(self.left.abs());
        match self.is_expired() {
            true => write!(formatter, "expired {span} ago, on {end}"),
            false => write!(formatter, "expires in {span}, on {end}"),
        }
    }
}

fn whole_days(days: u16) -> SignedDuration {
    SignedDuration::from_hours(HOURS_PER_DAY * i64::from(days))
}

/// 65,535 times the seconds between any two timestamps are far from the limits of `i64`; those of other durations stop
/// there.
fn share(lifetime: SignedDuration, days: u16) -> SignedDuration {
    SignedDuration::from_secs(lifetime.as_secs().saturating_mul(i64::from(days)) / USUAL_LIFETIME_DAYS)
}

/// In the largest unit of which there are two; what is less than a whole one is left out.
fn in_words(span: SignedDuration) -> String {
    let (hours, minutes) = (span.as_hours(), span.as_mins());
    match minutes {
        _ if hours >= 2 * HOURS_PER_DAY => format!("{} days", hours / HOURS_PER_DAY),
        _ if hours >= 2 => format!("{hours} hours"),
        2.. => format!("{minutes} minutes"),
        1 => "1 minute".to_owned(),
        _ => "less than a minute".to_owned(),
    }
}

const HOURS_PER_DAY: i64 = 24;

/// The lifetime that days to warn at were chosen for.
const USUAL_LIFETIME_DAYS: i64 = 90;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::chain::Sha256;

    const DAY: i64 = 24 * 3600;

    fn seconds(lifetime: i64, days: &[u16]) -> Vec<i64> {
        let thresholds = warning_days_for(SignedDuration::from_secs(lifetime), days);
        thresholds.into_iter().map(|threshold| threshold.as_secs()).collect()
    }

    /// Valid for so many days from 2026-01-01 on.
    fn leaf(days: i64) -> LeafFacts {
        let mut leaf = LeafFacts::for_tests("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", Sha256::of(b"a leaf"));
        leaf.not_after += SignedDuration::from_secs(days * DAY);
        leaf
    }

    #[test]
    fn days_become_shares_of_lifetimes_that_they_do_not_fit() {
        let default = &DEFAULT_WARNING_DAYS[..];
        for (lifetime, days, expected) in [
            (90 * DAY, default, vec![30 * DAY, 7 * DAY, DAY]),
            (90 * DAY - 1, default, vec![30 * DAY, 7 * DAY, DAY]),
            (398 * DAY, default, vec![30 * DAY, 7 * DAY, DAY]),
            (60 * DAY, default, vec![30 * DAY, 7 * DAY, DAY]),
            (60 * DAY - 1, default, vec![20 * DAY - 1, (60 * DAY - 1) * 7 / 90, (60 * DAY - 1) / 90]),
            (47 * DAY, default, vec![47 * DAY / 3, 47 * DAY * 7 / 90, 47 * DAY / 90]),
            (6 * DAY, default, vec![2 * DAY, 40_320, 5_760]),
            (90 * DAY, &[60, 30, 1], vec![60 * DAY, 30 * DAY, DAY]),
            (90 * DAY, &[45, 30, 1], vec![45 * DAY, 30 * DAY, DAY]),
            // More than half of a long lifetime is still no reason to warn earlier than asked.
            (200 * DAY, &[120, 30], vec![120 * DAY, 30 * DAY]),
            (90 * DAY, &[1, 7, 30, 7, 0], vec![30 * DAY, 7 * DAY, DAY]),
            (90 * DAY, &[365, 90, 30], vec![30 * DAY]),
            (47 * DAY, &[7, 1], vec![7 * DAY, DAY]),
            (90 * DAY, &[], vec![]),
            (0, default, vec![]),
            (-DAY, default, vec![]),
        ] {
            assert_eq!(seconds(lifetime, days), expected, "{lifetime} {days:?}");
        }
    }

    #[test]
    fn the_most_urgent_warning_is_given_with_its_words() {
        for (lifetime, age, expected) in [
            (90, 59 * DAY, None),
            (90, 60 * DAY - 1, None),
            (90, 60 * DAY, Some((30 * DAY, "expires in 30 days, on 2026-04-01 00:00 UTC"))),
            (90, 82 * DAY, Some((30 * DAY, "expires in 8 days, on 2026-04-01 00:00 UTC"))),
            (90, 83 * DAY, Some((7 * DAY, "expires in 7 days, on 2026-04-01 00:00 UTC"))),
            (90, 88 * DAY + 1, Some((7 * DAY, "expires in 47 hours, on 2026-04-01 00:00 UTC"))),
            (90, 89 * DAY, Some((DAY, "expires in 24 hours, on 2026-04-01 00:00 UTC"))),
            (90, 90 * DAY - 90 * 60, Some((DAY, "expires in 90 minutes, on 2026-04-01 00:00 UTC"))),
            (90, 90 * DAY - 60, Some((DAY, "expires in 1 minute, on 2026-04-01 00:00 UTC"))),
            (90, 90 * DAY - 1, Some((DAY, "expires in less than a minute, on 2026-04-01 00:00 UTC"))),
            (90, 90 * DAY, Some((0, "expired less than a minute ago, on 2026-04-01 00:00 UTC"))),
            (90, 93 * DAY, Some((0, "expired 3 days ago, on 2026-04-01 00:00 UTC"))),
            (6, 4 * DAY - 1, None),
            (6, 4 * DAY, Some((2 * DAY, "expires in 2 days, on 2026-01-07 00:00 UTC"))),
        ] {
            let leaf = leaf(lifetime);
            let now = leaf.not_before + SignedDuration::from_secs(age);
            let warning = crossed(&leaf, &DEFAULT_WARNING_DAYS, now);
            let got = warning.as_ref().map(|warning| (warning.threshold.as_secs(), warning.to_string()));
            let expected = expected.map(|(threshold, text)| (threshold, text.to_owned()));
            assert_eq!(got, expected, "{lifetime} days, {age} s old");
        }
    }

    #[test]
    fn an_end_that_has_passed_is_told_without_any_days_too() {
        let leaf = leaf(90);
        let warning = crossed(&leaf, &[], leaf.not_after).unwrap();
        assert!(warning.is_expired() && warning.serial == leaf.serial);
        let warning = crossed(&leaf, &[], leaf.not_after + SignedDuration::from_secs(2 * DAY + 1)).unwrap();
        assert_eq!(warning.days_left(), -2);
        assert_eq!(crossed(&leaf, &[], leaf.not_after - SignedDuration::from_secs(1)), None);
    }

    proptest! {
        #[test]
        fn thresholds_are_within_the_lifetime_and_fall(
            lifetime in -10 * DAY..800 * DAY,
            days in proptest::collection::vec(any::<u16>(), 0..6),
        ) {
            let thresholds = seconds(lifetime, &days);
            prop_assert!(thresholds.iter().all(|threshold| (1..lifetime).contains(threshold)));
            prop_assert!(thresholds.windows(2).all(|pair| pair[0] > pair[1]));
            prop_assert!(thresholds.len() <= days.len());
        }

        #[test]
        fn no_lifetime_overflows(seconds in any::<i64>(), days in proptest::collection::vec(any::<u16>(), 0..6)) {
            let _ = warning_days_for(SignedDuration::from_secs(seconds), &days);
        }

        #[test]
        fn warnings_only_become_more_urgent(
            lifetime in 1_i64..800,
            days in proptest::collection::vec(0_u16..400, 0..6),
            ages in proptest::collection::vec(0_i64..900 * DAY, 2..20),
        ) {
            let (leaf, mut ages) = (leaf(lifetime), ages);
            ages.sort_unstable();
            let mut last: Option<SignedDuration> = None;
            for age in ages {
                let now = leaf.not_before + SignedDuration::from_secs(age);
                let warning = crossed(&leaf, &days, now);
                prop_assert_eq!(warning.as_ref().is_some_and(ExpiryWarning::is_expired), now >= leaf.not_after);
                prop_assert!(last.is_none() || warning.is_some());
                if let Some(warning) = warning {
                    prop_assert!(last.is_none_or(|last| warning.threshold <= last));
                    prop_assert!(warning.is_expired() || warning.left <= warning.threshold);
                    last = Some(warning.threshold);
                }
            }
        }
    }
}
