//! Orders that come to an end of their own kind: slow, failed for two reasons, swept by another.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::desired::Desired;
use certferry_core::plan::PlanOptions;
use certferry_core::port::{OpenChallenge, OrderStatus, Store};
use certferry_core::recorded::VersionId;
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

/// At which call of a first run something is called for the first time.
async fn call_of(name: &str, desired: &Desired) -> usize {
    let world = World::new(&["east"]);
    world.apply(desired).await;
    1 + world.switchboard.log().iter().position(|call| call == name).unwrap()
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

/// The daemon begins its next run, and sweeps, while certificates are ordered through the API. Every moment is tried.
#[tokio::test(start_paused = true)]
async fn a_challenge_that_was_just_opened_is_not_swept_as_left_over() {
    swept_at_any_moment(&[]).await;
}

/// A killed run had opened the same challenge, and the order is gone on with while what it left is swept.
#[tokio::test(start_paused = true)]
async fn a_challenge_that_is_opened_again_is_not_taken_away_as_left_over() {
    let left = OpenChallenge {
        version: VersionId(1),
        name: "www.some-domain.com".parse().unwrap(),
        token: "token-0-0".to_owned(),
        key_authorization: "token-0-0.thumbprint".to_owned(),
        load_balancers: vec!["east".parse().unwrap()],
        dns: None,
    };
    swept_at_any_moment(&[left]).await;
}

/// A run with challenges `left` to be swept while it issues.
async fn swept_at_any_moment(left: &[OpenChallenge]) {
    let desired = www_on(&["east"]);
    let calls = call_of("ca finalize", &desired).await;
    // When so many calls are made, and so many turns were given to others after that.
    for moment in (0..=calls).flat_map(|calls| [0, 1, 2].map(|turns| (calls, turns))) {
        let world = World::new(&["east"]);
        let engine = world.engine(&desired);
        let lease = Arc::new(engine.lease("a test").await.unwrap());
        let options = PlanOptions::default();
        let run = engine.begin_under(lease.clone(), &options).await.unwrap();
        for challenge in left {
            world.store.open_challenge(challenge).await.unwrap();
        }
        let sweeping = async {
            let (calls, turns) = moment;
            while world.switchboard.calls() < calls {
                tokio::task::yield_now().await;
            }
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
            engine.begin_under(lease, &options).await.map(drop)
        };
        let (report, swept) = tokio::join!(run.carry_out(Ok(())), sweeping);
        assert!(swept.is_ok() && report.failures.is_empty(), "{moment:?}: {swept:?}, {:?}", report.failures);
        let log = world.switchboard.log();
        let told = log.iter().position(|call| call == "ca challenge").unwrap();
        let last_of = |calls: [&str; 2]| log[..told].iter().rfind(|call| calls.contains(&call.as_str())).unwrap();
        let noted = last_of(["store open challenge", "store close challenge"]);
        let placed = last_of(["east present", "east withdraw"]);
        assert_eq!((noted.as_str(), placed.as_str()), ("store open challenge", "east present"), "{moment:?}: {log:?}");
        assert!(world.store.open_challenge_tokens().is_empty(), "{moment:?}");
    }
}
