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

    /// Pauses before the next look; `asked` is the other side's Retry-After. `false` when the limit would be passed.
    pub(crate) async fn pause(&mut self, asked: Option<Duration>) -> bool {
        let pause = asked.map_or(self.pause, |asked| asked.max(self.pause));
        if Instant::now() + pause > self.deadline {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.pause = (self.pause + self.pause / 2).min(self.longest_pause);
        true
    }
}

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
        assert!(begun.elapsed() <= Duration::from_secs(10));
        assert!((8..20).contains(&looks), "{looks} looks");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_that_passes_the_limit_ends_the_wait_at_once() {
        let begun = Instant::now();
        let mut wait = Wait::new(&Limits::default(), Duration::from_secs(10));
        assert!(!wait.pause(Some(Duration::from_secs(86400))).await);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
