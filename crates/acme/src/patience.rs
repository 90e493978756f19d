//! How long one call goes on trying: a few attempts within a budget, with exponential backoff and jitter.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// Deterministic scatter from a seed, so that clients which failed together don't return together.
pub(crate) struct Jitter {
    state: AtomicU64,
}

impl Jitter {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The next number in 0..1 (SplitMix64).
    fn next(&self) -> f64 {
        let mut mixed = self.state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The upper 53 bits are what an f64 can hold exactly.
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The patience of one call.
pub(crate) struct Patience<'a> {
    started: Instant,
    budget: Duration,
    waits: u32,
    jitter: &'a Jitter,
}

impl<'a> Patience<'a> {
    pub(crate) fn new(budget: Duration, jitter: &'a Jitter) -> Self {
        Self { started: Instant::now(), budget, waits: 0, jitter }
    }

    /// Waits before the next attempt; at once `false` when it would come too late or too often. `asked` is the CA's
    /// `Retry-After`: never cut short.
    pub(crate) async fn wait(&mut self, asked: Option<Duration>) -> bool {
        let Some(wait) = self.next_wait(self.started.elapsed(), asked) else { return false };
        tokio::time::sleep(wait).await;
        true
    }

    fn next_wait(&mut self, elapsed: Duration, asked: Option<Duration>) -> Option<Duration> {
        if self.waits >= MAX_WAITS {
            return None;
        }
        let backoff = FIRST_WAIT * 2u32.pow(self.waits);
        // Half of the backoff is certain, the other half scattered.
        let scattered = backoff.mul_f64(0.5 + 0.5 * self.jitter.next());
        let wait = match asked {
            Some(asked) => asked.max(SHORTEST_WAIT),
            None => scattered,
        };
        if elapsed.saturating_add(wait) > self.budget {
            return None;
        }
        self.waits += 1;
        Some(wait)
    }
}

const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Against a CA (or a proxy) that answers `Retry-After: 0` for ever.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
const MAX_WAITS: u32 = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_grow_and_end_within_the_budget() {
        let jitter = Jitter::new(7);
        let mut patience = Patience::new(Duration::from_secs(10), &jitter);
        let mut elapsed = Duration::ZERO;
        let mut waits = Vec::new();
        while let Some(wait) = patience.next_wait(elapsed, None) {
            elapsed += wait;
            waits.push(wait);
        }
        assert!(waits.len() >= 4, "{waits:?}");
        assert!(waits.is_sorted(), "{waits:?}");
        assert!(elapsed <= Duration::from_secs(10), "{waits:?}");
    }

    #[test]
    fn what_the_ca_asks_is_kept_or_handed_back() {
        let jitter = Jitter::new(7);
        let mut patience = Patience::new(Duration::from_secs(10), &jitter);
        let seconds = |number| Some(Duration::from_secs(number));
        assert_eq!(patience.next_wait(Duration::ZERO, seconds(3)), seconds(3));
        assert_eq!(patience.next_wait(Duration::from_secs(3), seconds(8)), None);
        assert_eq!(patience.next_wait(Duration::from_secs(3), Some(Duration::MAX)), None);
        assert_eq!(patience.next_wait(Duration::from_secs(3), seconds(0)), Some(SHORTEST_WAIT));
    }

    #[test]
    fn a_client_without_budget_never_waits() {
        let jitter = Jitter::new(7);
        assert_eq!(Patience::new(Duration::ZERO, &jitter).next_wait(Duration::ZERO, Some(Duration::ZERO)), None);
    }

    proptest! {
        #[test]
        fn jitter_is_a_share_and_repeats_with_its_seed(seed in any::<u64>()) {
            let (one, other) = (Jitter::new(seed), Jitter::new(seed));
            for _ in 0..16 {
                let share = one.next();
                prop_assert!((0.0..1.0).contains(&share));
                prop_assert_eq!(share, other.next());
            }
        }
    }
}
