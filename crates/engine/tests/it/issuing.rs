//! Orders that come to an end of their own kind: shared by two, good for nothing, slow, failed for two reasons, swept by
//! another.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::desired::Desired;
use certferry_core::plan::PlanOptions;
use certferry_core::port::{OpenChallenge, OrderStatus, Store};
use certferry_core::recorded::VersionId;
use certferry_engine::Report;

use crate::world::{Fault, Spoiled, World, certificate, deploy, desired, forced, www_on};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Two certificates with the same names, on a listener each.
fn twins() -> Desired {
    let twin = |name, listener| certificate(name, &["www.some-domain.com"], &["east"], vec![deploy("east", listener)]);
    desired(vec![twin("www", "https"), twin("www-2", "https-2")])
}

/// What the CA made of its orders: how often each was finalized.
fn finalized(world: &World) -> Vec<usize> {
    world.ca.orders().iter().map(|order| order.finalized).collect()
}

fn kinds(report: &Report) -> Vec<ErrorKind> {
    report.failures.iter().map(|problem| problem.error.kind()).collect()
}

#[tokio::test(start_paused = true)]
async fn two_certificates_with_the_same_names_are_issued_in_one_run_by_an_order_each() {
    let (world, desired) = (World::new(&["east"]), twins());
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(finalized(&world), [1, 1]);
    world.assert_settled(&desired, "after one run").await;
}

#[tokio::test(start_paused = true)]
async fn two_certificates_with_the_same_names_killed_at_any_call_are_finished_by_the_next_run() {
    let desired = twins();
    let world = World::new(&["east"]);
    world.apply(&desired).await;
    for call in 1..=world.switchboard.calls() {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let world = World::new(&["east"]);
            world.switchboard.arm([(call, fault)]);
            assert!(world.apply_until_killed(&desired).await.is_none());
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            world.switchboard.arm([]);
            let report = world.apply(&desired).await;
            assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
            assert_eq!(finalized(&world), [1, 1], "{context}");
            world.assert_settled(&desired, &context).await;
        }
    }
}

/// A CA gives an open order to whoever asks for the same names: to a certificate that did not wait for the first, say one
/// of another store.
#[tokio::test(start_paused = true)]
async fn a_version_whose_order_went_to_another_certificate_is_ordered_anew_by_the_next_run() {
    let world = World::new(&["east"]);
    let mut www = twins();
    let www_2 = Desired { certificates: vec![www.certificates.pop().unwrap()], ..www.clone() };
    world.switchboard.arm([(call_of("store save order", &www).await, Fault::KillAfter)]);
    assert!(world.apply_until_killed(&www).await.is_none());
    world.switchboard.arm([]);
    assert!(world.apply(&www_2).await.failures.is_empty());
    assert_eq!(finalized(&world), [1], "it took the order of the other one");
    let report = world.apply(&www).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(finalized(&world), [1, 1]);
    world.assert_settled(&twins(), "at the end").await;
}

/// At which call of a first run something is called for the first time.
async fn call_of(name: &str, desired: &Desired) -> usize {
    let world = World::new(&["east"]);
    world.apply(desired).await;
    1 + world.switchboard.log().iter().position(|call| call == name).unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_certificate_is_of_no_use_is_given_up_and_the_next_one_is_waited_for() {
    for spoiled in [Spoiled::Gone, Spoiled::NoChain, Spoiled::OtherKey] {
        let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
        world.ca.spoil(Some(spoiled));
        assert_eq!(kinds(&world.apply(&desired).await), [ErrorKind::Unusable], "{spoiled:?}");
        assert_eq!(kinds(&world.apply(&desired).await), [ErrorKind::RateLimited], "{spoiled:?}");
        assert_eq!(finalized(&world), [1], "{spoiled:?}: a run too soon orders nothing");
        assert_eq!(kinds(&world.apply_with(&desired, &forced()).await), [ErrorKind::Unusable], "{spoiled:?}");
        assert_eq!(finalized(&world), [1, 1], "{spoiled:?}: one order for each attempt");
        world.ca.spoil(None);
        let report = world.apply_with(&desired, &forced()).await;
        assert!(report.failures.is_empty(), "{spoiled:?}: {:?}", report.failures);
        assert_eq!(finalized(&world), [1, 1, 1], "{spoiled:?}");
        world.assert_settled(&desired, "at the end").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_certificate_that_is_not_there_yet_is_asked_for_again() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    let call = call_of("ca certificate", &desired).await;
    world.switchboard.arm([(call, Fault::FailBefore(ErrorKind::NotFound))]);
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(finalized(&world), [1]);
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
