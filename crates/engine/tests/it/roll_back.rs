//! What is put back when a version is not served.

use certferry_core::desired::Desired;
use certferry_core::plan::Stage;
use certferry_core::port::Store;

use crate::world::{Fault, World, certificate, deploy, desired, forced, www_on};

const OBJECT: &str = "cf-www";

/// One version is served, the next one is due, and whatever is uploaded from now on is not served.
async fn in_place_and_stuck() -> (World, Desired, String) {
    let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
    assert!(world.apply(&desired).await.failures.is_empty());
    let served = world.lb("in-place").content(OBJECT);
    world.clock.advance(61);
    world.lb("in-place").stick();
    (world, desired, served)
}

#[tokio::test(start_paused = true)]
async fn in_place_what_was_served_is_put_back_however_many_versions_came_between() {
    let (world, desired, served) = in_place_and_stuck().await;
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    for round in 0..3 {
        assert_eq!(world.apply_with(&desired, &forced()).await.worst(), Some(Stage::Verify));
        assert_eq!(world.lb("in-place").content(OBJECT), served, "round {round}");
    }
    assert_eq!(world.ca.orders().len(), 5);
    world.lb("in-place").unstick();
    assert!(world.apply(&desired).await.failures.is_empty());
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn in_place_what_was_served_is_put_back_though_the_new_version_replaces_nothing() {
    let (world, _, served) = in_place_and_stuck().await;
    let other_name =
        vec![certificate("www", &["shop.some-domain.com"], &["in-place"], vec![deploy("in-place", "https")])];
    let desired = desired(other_name);
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    assert!(world.ca.orders()[1].replaces.is_none());
    assert_eq!(world.lb("in-place").content(OBJECT), served);
}

#[tokio::test(start_paused = true)]
async fn in_place_what_was_served_last_is_put_back_and_nothing_older() {
    let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
    for _ in 0..2 {
        assert!(world.apply(&desired).await.failures.is_empty());
        world.clock.advance(61);
    }
    let served = world.lb("in-place").content(OBJECT);
    world.lb("in-place").stick();
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    assert_eq!(world.lb("in-place").content(OBJECT), served);
}

#[tokio::test(start_paused = true)]
async fn in_place_a_run_killed_at_any_call_still_knows_what_was_served() {
    let (world, desired, _) = in_place_and_stuck().await;
    world.apply(&desired).await;
    world.switchboard.arm([]);
    world.apply_with(&desired, &forced()).await;
    let calls = world.switchboard.calls();
    assert!(calls > 20, "only {calls} calls are no whole run");
    for call in 1..=calls {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (world, desired, served) = in_place_and_stuck().await;
            world.apply(&desired).await;
            world.switchboard.arm([(call, fault)]);
            let killed = world.apply_until_killed_with(&desired, &forced()).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            assert!(killed.is_none(), "{context}: the process lived");
            world.switchboard.arm([]);
            assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify), "{context}");
            assert_eq!(world.lb("in-place").content(OBJECT), served, "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn in_place_of_an_older_programs_record_what_the_new_version_replaces_is_put_back() {
    let (world, desired, served) = in_place_and_stuck().await;
    let mut bundle = world.store.recorded().await.unwrap().bundles.remove(0);
    bundle.served_version = None;
    world.store.save_bundle(&bundle).await.unwrap();
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    assert_eq!(world.lb("in-place").content(OBJECT), served);
}
