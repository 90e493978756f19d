//! Renewal windows (RFC 9773) that the CA does not tell, and what must not keep them from being asked for.

use certferry_core::plan::next_due;
use certferry_core::port::Store;
use certferry_core::renewal::RenewalWindow;
use certferry_core::{Clock, Serial};
use jiff::SignedDuration;

use crate::scenarios::stopped_at_the_self_check;
use crate::world::{World, certificate, deploy, desired, www_on};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// What is served on this listener of `east`, with a window far ahead that is to be asked for again in an hour.
fn suggested(world: &World, address: &str) -> Serial {
    let served = world.lb("east").served_at(address.parse().unwrap()).unwrap();
    let now = world.clock.now();
    let (start, end) = (now + HOUR * 24 * 50, now + HOUR * 24 * 51);
    let window = RenewalWindow { start, end, explanation_url: None, next_fetch: now + HOUR };
    world.ca.suggest(served.leaf.serial.clone(), window);
    served.leaf.serial
}

#[tokio::test(start_paused = true)]
async fn a_window_that_the_ca_does_not_tell_any_more_is_asked_for_some_times_a_day() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let serial = suggested(&world, "127.0.0.1:1000");
    world.apply(&desired).await;
    assert_eq!(world.ca.asked_for_window(&serial), 1);
    world.ca.forget_window(serial.clone());
    world.clock.advance(1);
    for _ in 0..5 {
        world.apply(&desired).await;
        assert_eq!(world.ca.asked_for_window(&serial), 2);
        let recorded = world.store.recorded().await.unwrap();
        let (due, now) = (next_due(&desired, &recorded, world.clock.now()).unwrap(), world.clock.now());
        assert!(due >= now + HOUR, "somebody wakes at {due}, and it is {now}");
    }
    world.clock.advance(1);
    world.apply(&desired).await;
    assert_eq!(world.ca.asked_for_window(&serial), 3);
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_the_ca_does_not_know_keeps_no_other_from_being_asked_for() {
    let world = World::new(&["east"]);
    let www = certificate("www", &["www.some-domain.com"], &["east"], vec![deploy("east", "https")]);
    let shop = certificate("shop", &["shop.some-domain.com"], &["east"], vec![deploy("east", "https-2")]);
    let desired = desired(vec![www, shop]);
    world.apply(&desired).await;
    let [www, shop] = ["127.0.0.1:1000", "127.0.0.1:1001"].map(|address| suggested(&world, address));
    world.ca.forget_window(www);
    let before = world.ca.asked_for_window(&shop);
    world.apply(&desired).await;
    assert_eq!(world.ca.asked_for_window(&shop), before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_taken_back_leaves_nothing_that_keeps_windows_from_being_asked_for() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let serial = suggested(&world, "127.0.0.1:1000");
    let mut changed = desired.clone();
    changed.certificates[0].version.names.push("x.some-domain.com".parse().unwrap());
    stopped_at_the_self_check(&world, &changed).await;
    let www = "www".parse().unwrap();
    assert!(world.store.recorded().await.unwrap().certificate(&www).unwrap().pending.is_some());

    world.clock.advance(1);
    let before = world.ca.asked_for_window(&serial);
    world.apply(&desired).await;
    assert_eq!(world.ca.asked_for_window(&serial), before + 1);
    assert!(world.store.recorded().await.unwrap().certificate(&www).unwrap().pending.is_none());
    world.assert_settled(&desired, "at the end").await;
    assert_eq!(world.ca.orders().len(), 2);
}
