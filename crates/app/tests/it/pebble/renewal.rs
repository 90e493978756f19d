//! Renewals: what replaces what, and what is cleared away.

use std::collections::BTreeSet;

use super::{ISSUED, count, issuer, pebble, served_from};
use crate::stage::{BY_HAND, Stage};

/// Pebble's renewal window of such a certificate is always open.
const FIVE_MINUTES: Option<u64> = Some(300);

#[tokio::test(flavor = "multi_thread")]
async fn each_renewal_tells_the_ca_what_it_replaces() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.certificate_validity_seconds = FIVE_MINUTES).await;
    stage.configure(&issuer(&pebble), &stage.www());
    let mut serials = BTreeSet::new();
    for renewals in 0..4 {
        let apply = stage.apply().await;
        assert!(serials.insert(served_from(&pebble, &stage).await.serial), "not renewed: {}", apply.stdout());
        assert_eq!(count(&pebble, "is a replacement of"), renewals, "{}", pebble.log());
        assert_eq!(count(&pebble, ISSUED), renewals + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_earlier_bundle_stays_and_older_ones_go() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.certificate_validity_seconds = FIVE_MINUTES).await;
    stage.configure(&issuer(&pebble), &stage.www());
    stage.apply().await;
    let mut previous = stage.bound("https");
    assert_eq!(stage.own_bundles(), [previous.clone()]);
    for _ in 0..3 {
        stage.apply().await;
        let bound = stage.bound("https");
        assert_ne!(bound, previous);
        let bundles: BTreeSet<String> = stage.own_bundles().into_iter().collect();
        assert_eq!(bundles, BTreeSet::from([previous, bound.clone()]), "the served one, and the one before it");
        assert!(stage.load_balancer()["certificates"][BY_HAND].is_object(), "what a person made is not removed");
        previous = bound;
    }
}
