//! Orders that come to an end of their own kind: slow, failed for two reasons.

use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::port::OrderStatus;
use certferry_engine::Report;

use crate::world::{World, certificate, deploy, desired, www_on};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the CA made of its orders: how often each was finalized.
fn finalized(world: &World) -> Vec<usize> {
    world.ca.orders().iter().map(|order| order.finalized).collect()
}

fn kinds(report: &Report) -> Vec<ErrorKind> {
    report.failures.iter().map(|problem| problem.error.kind()).collect()
}

/// ZeroSSL asks for a day at once. Each of the two waits has its own time, which only together are more than one.
#[tokio::test(start_paused = true)]
async fn a_slow_ca_that_asks_for_a_day_is_waited_for_in_the_same_run() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    let takes = Duration::from_secs(150);
    world.ca.take_its_time(takes, takes, DAY);
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(finalized(&world), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_validation_that_outlasts_the_run_does_not_wait_a_day_for_the_next_one() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.ca.take_its_time(Duration::from_secs(240), Duration::ZERO, DAY);
    assert_eq!(kinds(&world.apply(&desired).await), [ErrorKind::Timeout]);
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(finalized(&world), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_validation_is_not_hidden_by_what_failed_before_it_and_cost_nothing() {
    let world = World::new(&["east"]);
    let names = ["nowhere.some-domain.com", "www.some-domain.com"];
    let desired = desired(vec![certificate("www", &names, &["east"], vec![deploy("east", "https")])]);
    world.lb("east").lead_nowhere(names[0]);
    world.ca.refuse_name(names[1]);
    assert_eq!(kinds(&world.apply(&desired).await), [ErrorKind::Validation]);
    assert_eq!(kinds(&world.apply(&desired).await), [ErrorKind::RateLimited]);
    assert_eq!(world.ca.orders().len(), 1, "what the CA counted is waited out");
    assert_eq!(world.ca.orders()[0].status, OrderStatus::Invalid);
}
