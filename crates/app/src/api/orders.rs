//! Orders for CSRs: each goes on by itself, whoever waits for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use certferry_core::{CertificateName, Clock, Error, Sha256};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// How long an outcome that nobody has waited for is kept for who comes again. A control script comes again within
/// seconds; what is asked later is a question of its own, to which an old error is no answer.
const KEPT_FOR: SignedDuration = SignedDuration::from_secs(60);

/// The chain (PEM, leaf first), or why there is none.
pub(super) type Signed = Result<String, Error>;

/// How an order ended; `None` while it is under way.
pub(super) type Outcome = Option<Ended>;

/// The end of an order.
#[derive(Clone)]
pub(super) struct Ended {
    at: Timestamp,
    pub(super) signed: Signed,
}

/// The orders that are under way, and those that have just ended.
pub(super) struct Orders {
    clock: Arc<dyn Clock>,
    known: Mutex<HashMap<CertificateName, Order>>,
}

/// An order for a CSR.
struct Order {
    csr: Sha256,
    outcome: watch::Receiver<Outcome>,
}

impl Order {
    fn is_under_way(&self) -> bool {
        // Whoever carried it out may be gone without an outcome.
        self.outcome.borrow().is_none() && self.outcome.has_changed().is_ok()
    }

    /// Whether who asks for it at `now` is told of it.
    fn counts(&self, now: Timestamp) -> bool {
        let has_just_ended = |ended: &Ended| now.duration_since(ended.at) < KEPT_FOR;
        self.is_under_way() || self.outcome.borrow().as_ref().is_some_and(has_just_ended)
    }
}

impl Orders {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Mutex::default() }
    }

    /// The order for the CSR: the one that is under way or has just ended, or `work` as a new one. `None` while another CSR
    /// for the same certificate is being signed.
    pub(super) fn order(
        &self,
        certificate: &CertificateName,
        csr: Sha256,
        work: impl Future<Output = Signed> + Send + 'static,
    ) -> Option<watch::Receiver<Outcome>> {
        let now = self.clock.now();
        let mut known = self.lock();
        known.retain(|_, order| order.counts(now));
        if let Some(order) = known.get(certificate) {
            if order.csr == csr {
                return Some(order.outcome.clone());
            }
            if order.is_under_way() {
                return None;
            }
        }
        let (tell, outcome) = watch::channel(None);
        known.insert(certificate.clone(), Order { csr, outcome: outcome.clone() });
        let clock = self.clock.clone();
        tokio::spawn(async move {
            let signed = work.await;
            tell.send_replace(Some(Ended { at: clock.now(), signed }));
        });
        Some(outcome)
    }

    /// Forgets the order whose outcome somebody has got.
    pub(super) fn fetched(&self, certificate: &CertificateName, outcome: &watch::Receiver<Outcome>) {
        let mut known = self.lock();
        // Another one may be under way by now.
        if known.get(certificate).is_some_and(|order| order.outcome.same_channel(outcome)) {
            known.remove(certificate);
        }
    }

    /// Waits until nothing is being ordered.
    pub(super) async fn settle(&self) {
        let outcomes: Vec<watch::Receiver<Outcome>> = self.lock().values().map(|order| order.outcome.clone()).collect();
        for mut outcome in outcomes {
            let _ = outcome.wait_for(Option::is_some).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CertificateName, Order>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use certferry_core::ErrorKind;

    use super::*;

    struct ManualClock(Mutex<Timestamp>);

    impl ManualClock {
        fn advance(&self, seconds: i64) {
            *self.0.lock().unwrap() += SignedDuration::from_secs(seconds);
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    fn orders() -> (Orders, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock(Mutex::new("2026-02-01T00:00:00Z".parse().unwrap())));
        (Orders::new(clock.clone()), clock)
    }

    fn name(name: &str) -> CertificateName {
        name.parse().unwrap()
    }

    fn csr() -> Sha256 {
        Sha256::of(b"csr")
    }

    fn fails() -> Signed {
        Err(Error::new(ErrorKind::Unavailable, "sign", "issuer `ca`"))
    }

    fn signs() -> Signed {
        Ok("chain".to_owned())
    }

    async fn end(outcome: Option<watch::Receiver<Outcome>>) -> Signed {
        outcome.unwrap().wait_for(Option::is_some).await.unwrap().clone().unwrap().signed
    }

    #[tokio::test]
    async fn an_outcome_that_nobody_fetched_is_told_for_a_minute_and_then_the_request_starts_anew() {
        let (orders, clock) = orders();
        for (first, second) in [(fails as fn() -> Signed, signs as fn() -> Signed), (signs, fails)] {
            let expected = first().is_ok();
            // The script was killed while it waited.
            end(orders.order(&name("www"), csr(), async move { first() })).await.ok();
            clock.advance(59);
            let soon = end(orders.order(&name("www"), csr(), async { unreachable!("it is not ordered again") })).await;
            assert_eq!(soon.is_ok(), expected);
            clock.advance(1);
            let later = end(orders.order(&name("www"), csr(), async move { second() })).await;
            assert_eq!(later.is_ok(), !expected, "what has ended a minute ago is no answer");
            clock.advance(60);
        }
    }

    #[tokio::test]
    async fn an_order_under_way_is_joined_by_its_csr_however_long_it_takes_and_keeps_others_out() {
        let (orders, clock) = orders();
        let (go, gone) = tokio::sync::oneshot::channel::<()>();
        let first = orders.order(&name("www"), csr(), async move {
            gone.await.ok();
            signs()
        });
        clock.advance(3600);
        assert!(orders.order(&name("www"), Sha256::of(b"other"), async { fails() }).is_none());
        let second = orders.order(&name("www"), csr(), async { fails() });
        go.send(()).unwrap();
        assert!(end(first).await.is_ok() && end(second).await.is_ok());
    }

    #[tokio::test]
    async fn nothing_stays_that_has_ended() {
        let (orders, clock) = orders();
        for number in 0..20 {
            end(orders.order(&name(&format!("c{number}")), csr(), async { fails() })).await.ok();
        }
        clock.advance(60);
        let last = orders.order(&name("last"), csr(), async { signs() }).unwrap();
        assert_eq!(orders.lock().len(), 1);
        end(Some(last.clone())).await.ok();
        orders.fetched(&name("last"), &last);
        assert_eq!(orders.lock().len(), 0);
    }

    #[tokio::test]
    async fn a_late_fetch_leaves_the_order_that_came_after_it_alone() {
        let (orders, clock) = orders();
        let old = orders.order(&name("www"), csr(), async { fails() }).unwrap();
        end(Some(old.clone())).await.ok();
        clock.advance(60);
        let new = orders.order(&name("www"), csr(), std::future::pending()).unwrap();
        orders.fetched(&name("www"), &old);
        assert!(orders.order(&name("www"), csr(), async { fails() }).unwrap().same_channel(&new));
    }

    #[tokio::test]
    async fn an_order_that_died_without_an_outcome_keeps_nobody_out() {
        let (orders, _clock) = orders();
        let mut dead = orders.order(&name("www"), csr(), async { panic!("it dies") }).unwrap();
        assert!(dead.wait_for(Option::is_some).await.is_err());
        assert!(end(orders.order(&name("www"), Sha256::of(b"other"), async { signs() })).await.is_ok());
    }
}
