//! An account's key is changed, and the process is killed at each of its journal steps: Pebble is the CA, which lives on.
//! The account stays the same, one of the two keys is its key, and certferry knows which (RFC 8555 §7.3.5).

use std::sync::Arc;

use certferry::{config, wiring};
use certferry_core::port::Notify;
use certferry_core::{Event, SystemClock};
use certferry_engine::{Engine, Limits, Responder};

use super::store::KillingStore;
use super::{Moment, start_child, was_killed, wish};
use crate::accounts::{shown, with_pebble};

/// More writes than a key change makes: the enumeration has to end by itself.
const MOST_WRITES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_change_killed_at_every_journal_step_leaves_the_account_working() {
    let (stage, _pebble) = with_pebble().await;
    stage.apply().await;
    let (account, mut key) = shown(&stage).await;
    let mut points = 0;
    for number in 0..2 * MOST_WRITES {
        let (step, moment) = (number / 2 + 1, [Moment::Before, Moment::After][number % 2]);
        let child = start_child("rotation::the_child_of_this_test", &stage.config_path(), step, moment);
        if !was_killed(child).await {
            break;
        }
        points += 1;
        // Whichever key the CA has now, the next order is made by the same account.
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
        // And the change can be asked for again, to its end.
        stage.certferry(&["account", "rotate-key", "ca"]).await.expect_exit(0);
        let (same, next) = shown(&stage).await;
        assert_eq!(same, account, "killed {moment:?} step {step}");
        assert_ne!(next, key, "killed {moment:?} step {step}");
        key = next;
    }
    println!("a key change was killed at {points} points");
    assert!(points >= 6, "only {points} points are no whole key change");
}

/// Not a test of its own: what the test above starts as a child. Without its wish it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_this_test() {
    let Some((path, step, moment)) = wish() else { return };
    let config = config::load(Some(&path)).unwrap();
    let store = Arc::new(KillingStore::new(wiring::store(&config).await.unwrap(), step, moment));
    let parts =
        wiring::parts(&config, store, Arc::new(Nobody), Arc::new(SystemClock), Responder::default()).await.unwrap();
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let _lease = engine.lease("a test's child").await.unwrap();
    engine.rotate_account_key(&"ca".parse().unwrap()).await.unwrap();
}

pub(crate) struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _event: &Event) {}
}
