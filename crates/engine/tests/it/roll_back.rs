//! What is put back when a version is not served, and when that version is tried again.

use certferry_core::desired::Desired;
use certferry_core::plan::Stage;
use certferry_core::port::{HistoryFilter, Store};
use jiff::SignedDuration;

use crate::world::{Fault, World, certificate, deploy, desired, forced, unattended, www_on};

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

/// How often versions were put back.
fn roll_backs(world: &World) -> usize {
    world.events.actions().iter().filter(|action| *action == "roll_back done").count()
}

/// A version is put back, and no run that nobody looks at tries it before its time: none of them leaves a trace but its
/// report. From then on it is as before, with a longer wait.
async fn tried_again_later_and_later(world: &World, desired: &Desired) {
    assert_eq!(world.apply_with(desired, &unattended()).await.worst(), Some(Stage::Verify));
    let second = SignedDuration::from_secs(1);
    for (number, wait) in [(1, 60), (2, 600), (3, 6000), (4, 86400), (5, 86400)] {
        assert_eq!(roll_backs(world), number, "before the wait of {wait} s");
        let history = world.store.history(&HistoryFilter::default()).await.unwrap().len();
        for part in [second, second * (wait - 2)] {
            world.clock.advance_by(part);
            let report = world.apply_with(desired, &unattended()).await;
            assert_eq!((report.done, report.worst()), (0, Some(Stage::Verify)), "in the wait of {wait} s");
            let said = report.failures[0].error.to_string();
            assert!(said.contains("still serves serial") && said.contains("it is tried again at"), "{said}");
            assert_eq!(said.matches("it is tried again").count(), 1, "what was told before is not told within: {said}");
        }
        let grown = world.store.history(&HistoryFilter::default()).await.unwrap().len();
        assert_eq!(grown, history, "in the wait of {wait} s");
        world.clock.advance_by(second);
        assert_eq!(world.apply_with(desired, &unattended()).await.worst(), Some(Stage::Verify));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_put_back_is_bound_again_later_and_later() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.lb("east").stick();
    tried_again_later_and_later(&world, &desired).await;
    world.lb("east").unstick();
    world.clock.advance(1);
    assert!(world.apply_with(&desired, &unattended()).await.failures.is_empty());
    let recorded = world.store.recorded().await.unwrap();
    assert_eq!(recorded.certificates["www"].deployments[0].roll_back, None, "it is forgotten");
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_content_that_was_put_back_is_uploaded_again_later_and_later() {
    let (world, desired, served) = in_place_and_stuck().await;
    tried_again_later_and_later(&world, &desired).await;
    assert_eq!(world.lb("in-place").content(OBJECT), served);
    world.lb("in-place").unstick();
    world.clock.advance(1);
    assert!(world.apply_with(&desired, &unattended()).await.failures.is_empty());
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_somebody_looks_at_and_another_version_do_not_wait() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.lb("east").stick();
    world.apply_with(&desired, &unattended()).await;
    world.apply(&desired).await;
    assert_eq!(roll_backs(&world), 2);
    world.apply_with(&desired, &forced()).await;
    assert_eq!(roll_backs(&world), 3);
    // Its first wait is the shortest again.
    world.clock.advance_by(SignedDuration::from_secs(60));
    world.apply_with(&desired, &unattended()).await;
    assert_eq!(roll_backs(&world), 4);
}

#[tokio::test(start_paused = true)]
async fn one_listener_that_waits_does_not_hold_up_another_load_balancer() {
    let world = World::new(&["east", "west"]);
    let deploys = vec![deploy("east", "https"), deploy("west", "https")];
    let desired = desired(vec![certificate("www", &["www.some-domain.com"], &["east"], deploys)]);
    world.lb("east").stick();
    world.lb("west").down(true);
    world.apply_with(&desired, &unattended()).await;
    world.lb("west").down(false);
    let report = world.apply_with(&desired, &unattended()).await;
    assert_eq!((report.failures.len(), roll_backs(&world)), (1, 1));
    assert!(world.lb("west").bound("https").unwrap().starts_with("cf-www-"));
}
