//! Warnings that certificates end: only of what was not renewed in time, and once for each threshold.

use certferry_core::desired::Desired;
use certferry_core::plan::PlanOptions;
use certferry_core::port::{HistoryFilter, Store};
use certferry_core::{Error, ErrorKind, Event, Outcome};

use crate::world::{Fault, World, certificate, deploy, desired, www_on};

/// Certificate `www`, valid for 90 days, whose renewal nobody will validate.
async fn that_cannot_be_renewed(load_balancers: &[&str]) -> (World, Desired) {
    let (world, desired) = (World::new(load_balancers), www_on(load_balancers));
    world.apply(&desired).await;
    world.ca.refuse_validation(true);
    (world, desired)
}

async fn warnings_in_history(world: &World) -> Vec<Event> {
    let history = world.store.history(&HistoryFilter::default()).await.unwrap();
    history.into_iter().filter(|event| event.action == "expiry_warning").collect()
}

#[tokio::test(start_paused = true)]
async fn each_threshold_is_told_once_over_all_runs() {
    let (world, desired) = that_cannot_be_renewed(&["east"]).await;
    for (days_later, told, words) in [
        (0, 0, ""),
        (59, 0, ""),
        (1, 1, "expires in 30 days, on 2026-04-01 00:00 UTC (the warning 30 days before the end)"),
        (0, 1, ""),
        (22, 1, ""),
        (1, 2, "expires in 7 days"),
        (1, 2, ""),
        (5, 3, "expires in 24 hours"),
        (1, 4, "expired less than a minute ago"),
        (30, 4, ""),
    ] {
        world.clock.advance(days_later);
        world.apply(&desired).await;
        let warnings = world.events.warnings();
        assert_eq!(warnings.len(), told, "{:?}", warnings.last());
        if !words.is_empty() {
            assert!(warnings[told - 1].detail.starts_with(words), "{}", warnings[told - 1].detail);
        }
    }
    let first = &world.events.warnings()[0];
    assert_eq!((first.outcome, first.certificate.as_ref().unwrap().as_str()), (Outcome::Warned, "www"));
    let object = first.object.as_deref().unwrap();
    assert_eq!(object, format!("serial {}", world.lb("east").uploads()[0]), "which version it is");
    for piece in
        ["renewal is due since 2026-03-02T00:00:00Z by its share of lifetime left", "failed: ", "could not validate"]
    {
        assert!(first.detail.contains(piece), "{piece} in {}", first.detail);
    }
    assert_eq!(warnings_in_history(&world).await, world.events.warnings(), "the history has what was told");
}

#[tokio::test(start_paused = true)]
async fn what_is_renewed_in_time_is_not_warned_about() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.lb("east").set_warning_days(Some(&[60, 30, 7]));
    // The first threshold is crossed after 30 days, the second at the very instant of the renewal.
    for days in [0, 31, 29, 31, 29] {
        world.clock.advance(days);
        assert!(world.apply(&desired).await.failures.is_empty());
    }
    assert_eq!(world.ca.orders().len(), 3, "renewed twice");
    assert_eq!(world.events.warnings(), []);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_after_a_warning_ends_it_and_the_next_version_is_warned_of_anew() {
    let (world, desired) = that_cannot_be_renewed(&["east"]).await;
    world.clock.advance(61);
    world.apply(&desired).await;
    world.ca.refuse_validation(false);
    world.clock.advance(23);
    assert!(world.apply(&desired).await.failures.is_empty(), "renewed past the threshold of 7 days");
    assert_eq!(world.events.warnings().len(), 1);
    world.ca.refuse_validation(true);
    world.clock.advance(61);
    world.apply(&desired).await;
    let warnings = world.events.warnings();
    assert_eq!(warnings.len(), 2);
    assert_ne!(warnings[0].object, warnings[1].object);
}

#[tokio::test(start_paused = true)]
async fn without_days_in_the_config_every_load_balancer_is_asked_once_and_all_their_days_count() {
    let world = World::new(&["east", "west", "north"]);
    let deploys = |name| vec![deploy("east", "https"), deploy("west", name), deploy("north", name)];
    let mut desired = desired(vec![
        certificate("www", &["www.some-domain.com"], &["east"], deploys("https")),
        certificate("shop", &["shop.some-domain.com"], &["east"], deploys("https-2")),
    ]);
    desired.certificates[1].deploy.remove(0);
    world.lb("east").set_warning_days(Some(&[20, 10]));
    world.lb("west").set_warning_days(Some(&[15, 2]));
    let asked = || ["east", "west", "north"].map(|name| world.lb(name).asked_for_warning_days());
    world.apply(&desired).await;
    world.clock.advance(59);
    world.apply(&desired).await;
    assert_eq!(asked(), [0, 0, 0], "nothing is due, nobody is asked");
    world.ca.refuse_validation(true);
    let mut told = Vec::new();
    for days_later in [2, 9, 5, 5, 8] {
        world.clock.advance(days_later);
        let before = (asked(), world.events.warnings().len());
        world.apply(&desired).await;
        assert_eq!(asked(), before.0.map(|count| count + 1));
        let new = world.events.warnings().split_off(before.1);
        told.push(new.iter().map(|event| event.certificate.clone().unwrap().to_string()).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(told, ["", "www", "www shop", "www", "www shop"], "at 29, 20, 15, 10 and 2 days before the end");
}

#[tokio::test(start_paused = true)]
async fn the_configs_days_count_before_those_of_load_balancers() {
    let (world, mut desired) = that_cannot_be_renewed(&["east"]).await;
    world.lb("east").set_warning_days(Some(&[29]));
    desired.warning_days = Some(vec![3]);
    for (days_later, told) in [(62, 0), (24, 0), (1, 1)] {
        world.clock.advance(days_later);
        world.apply(&desired).await;
        assert_eq!(world.events.warnings().len(), told, "after {days_later} days more");
    }
    assert_eq!(world.lb("east").asked_for_warning_days(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_cannot_be_asked_warns_as_it_last_said_or_as_usual() {
    let (world, desired) = that_cannot_be_renewed(&["east", "west"]).await;
    world.lb("east").set_warning_days(Some(&[20]));
    world.lb("west").down(true);
    world.clock.advance(61);
    world.apply(&desired).await;
    assert_eq!(world.events.warnings().len(), 1, "30 days, as usual");
    world.lb("east").down(true);
    world.clock.advance(10);
    world.apply(&desired).await;
    assert_eq!(world.events.warnings().len(), 2, "20 days, as it said before");
    let days = world.store.recorded().await.unwrap().warning_days;
    assert_eq!(days, [("east".parse().unwrap(), vec![20])].into(), "what nobody said is not remembered");
    // The setting goes away.
    for name in ["east", "west"] {
        world.lb(name).down(false);
        world.lb(name).set_warning_days(None);
    }
    world.apply(&desired).await;
    assert!(world.store.recorded().await.unwrap().warning_days.is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_what_a_run_is_about_is_warned_of() {
    let world = World::new(&["east"]);
    let desired = desired(vec![
        certificate("www", &["www.some-domain.com"], &["east"], vec![deploy("east", "https")]),
        certificate("shop", &["shop.some-domain.com"], &["east"], vec![deploy("east", "https-2")]),
    ]);
    world.apply(&desired).await;
    world.ca.refuse_validation(true);
    world.clock.advance(61);
    let only = PlanOptions { only: ["shop".parse().unwrap()].into(), ..PlanOptions::default() };
    world.apply_with(&desired, &only).await;
    let warned: Vec<_> = world.events.warnings().into_iter().map(|event| event.certificate.unwrap()).collect();
    assert_eq!(warned, ["shop".parse().unwrap()]);
}

#[tokio::test(start_paused = true)]
async fn what_kept_the_run_from_ordering_is_told() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    world.clock.advance(61);
    let engine = world.engine(&desired);
    let run = engine.begin("a test", &PlanOptions::default()).await.unwrap();
    let error = Error::new(ErrorKind::Unexpected, "listen", "responder").said("the address is in use");
    run.carry_out(Err(error)).await;
    let warnings = world.events.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].detail.contains("the address is in use"), "{}", warnings[0].detail);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_call_a_run_warns_no_threshold_twice_and_none_never() {
    async fn overdue() -> (World, Desired) {
        let (world, desired) = that_cannot_be_renewed(&["east"]).await;
        world.lb("east").set_warning_days(Some(&[30]));
        world.clock.advance(61);
        (world, desired)
    }
    let (world, desired) = overdue().await;
    world.switchboard.arm([]);
    world.apply(&desired).await;
    let count = world.switchboard.calls();
    assert_eq!(world.switchboard.name_of(count), "store append warning", "the last call is the warning");
    for call in 1..=count {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (world, desired) = overdue().await;
            world.switchboard.arm([(call, fault)]);
            assert!(world.apply_until_killed(&desired).await.is_none());
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            world.switchboard.arm([]);
            world.apply(&desired).await;
            assert_eq!(warnings_in_history(&world).await.len(), 1, "{context}");
        }
    }
}
