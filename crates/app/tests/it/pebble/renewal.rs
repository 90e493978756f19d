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
    stage.apply().await;
    let mut serial = served_from(&pebble, &stage).await.serial;
    let mut replacements = 0;
    for renewals in 1..4 {
        let apply = stage.apply().await;
        replacements += usize::from(found_by_pebble(&serial));
        assert_eq!(count(&pebble, "is a replacement of"), replacements, "{}", pebble.log());
        assert_eq!(count(&pebble, ISSUED), renewals + 1);
        let renewed = served_from(&pebble, &stage).await.serial;
        assert_ne!(renewed, serial, "not renewed: {}", apply.stdout());
        serial = renewed;
    }
}

/// Pebble 2.6 does not find a certificate whose serial begins with a zero byte in DER (one in 512 of its own do), and
/// answers 500; then the order is made without `replaces`.
fn found_by_pebble(serial: &str) -> bool {
    serial.starts_with(|digit: char| digit.to_digit(16).is_some_and(|digit| digit < 8))
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
