//! How long and how often the engine waits for others.

use std::time::Duration;

use tokio::time::Instant;

/// Limits of one run.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Orders under way at once, over all issuers.
    pub orders_at_once: usize,
    /// Certificates worked on at once.
    pub certificates_at_once: usize,
    /// How long a CA may take to validate a name.
    pub validate_within: Duration,
    /// How long a CA may take to issue after finalize. Longer is continued by the next run.
    pub issue_within: Duration,
    /// The first pause between two looks; each next one is longer by half, up to [`Limits::longest_pause`].
    pub first_pause: Duration,
    /// The longest pause between two looks.
    pub longest_pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            orders_at_once: 16,
            certificates_at_once: 64,
            validate_within: Duration::from_secs(180),
            issue_within: Duration::from_secs(180),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

/// A wait for a condition: pauses that grow, within a limit.
pub(crate) struct Wait {
    deadline: Instant,
    pause: Duration,
    longest_pause: Duration,
}

impl Wait {
    pub(crate) fn new(limits: &Limits, within: Duration) -> Self {
        Self { deadline: Instant::now() + within, pause: limits.first_pause, longest_pause: limits.longest_pause }
    }

    /// Pauses before the next look; `asked` is the other side's Retry-After, kept up to [`LONGEST_ASKED`]. The last look is
    /// at the limit; `false` when that is over.
    pub(crate) async fn pause(&mut self, asked: Option<Duration>) -> bool {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        let pause = asked.map_or(self.pause, |asked| asked.min(LONGEST_ASKED).max(self.pause));
        tokio::time::sleep(pause.min(left)).await;
        self.pause = (self.pause + self.pause / 2).min(self.longest_pause);
        true
    }
}

/// The longest pause between two looks that is made because the other side asked for it. In a poll, Retry-After only
/// suggests an interval (RFC 8555 §7.5.1), and some CAs suggest a day (ZeroSSL) for what they do within seconds: a run that
/// kept to it would end, and take its challenges away, while the CA is about to look for them.
const LONGEST_ASKED: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_wait_pauses_longer_each_time_and_ends_in_time() {
        let limits = Limits::default();
        let begun = Instant::now();
        let mut wait = Wait::new(&limits, Duration::from_secs(10));
        let mut looks = 1;
        while wait.pause(None).await {
            looks += 1;
        }
        assert_eq!(begun.elapsed(), Duration::from_secs(10), "the last look is at the limit");
        assert!((8..20).contains(&looks), "{looks} looks");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_for_longer_than_the_limit_does_not_end_the_wait() {
        let begun = Instant::now();
        let mut wait = Wait::new(&Limits::default(), Duration::from_secs(40));
        let mut looks = Vec::new();
        while wait.pause(Some(Duration::from_secs(86400))).await {
            looks.push(begun.elapsed().as_secs());
        }
        assert_eq!(looks, [15, 30, 40]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_wish_is_kept() {
        let begun = Instant::now();
        let mut wait = Wait::new(&Limits::default(), Duration::from_secs(40));
        assert!(wait.pause(Some(Duration::from_secs(3))).await);
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
    }
}
