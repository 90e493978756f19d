//! What the vendor's control script for Avi does wrong in its own sequence, whatever load balancer is behind it. The
//! numbers are those of the list in the providers' test of the same name; a client that does as the script does fails here.

use certferry_core::desired::Desired;
use certferry_core::plan::Stage;
use certferry_core::port::OrderStatus;
use certferry_core::{ErrorKind, plan::PlanOptions};

use crate::world::{Fault, World, certificate, deploy, desired, forced, www_on};

const NAMES: [&str; 3] = ["one.some-domain.com", "three.some-domain.com", "two.some-domain.com"];

/// One certificate of three names.
fn three_names() -> (World, Desired) {
    let deploy = vec![deploy("east", "https")];
    (World::new(&["east"]), desired(vec![certificate("www", &NAMES, &["east"], deploy)]))
}

/// The numbers of the calls of this name in an undisturbed run.
async fn calls_named(operation: &str) -> Vec<usize> {
    let (world, desired) = three_names();
    assert!(world.apply(&desired).await.failures.is_empty());
    let calls = 1..=world.switchboard.calls();
    calls.filter(|call| world.switchboard.name_of(*call) == operation).collect()
}

/// What a run that failed has to leave: nothing in place, nothing open, and an order that the next run goes on with.
async fn nothing_is_left_and_the_next_run_ends_it(world: &World, desired: &Desired, context: &str) {
    assert_eq!(world.lb("east").presented(), [""; 0], "{context}");
    assert_eq!(world.store.open_challenge_tokens(), [""; 0], "{context}");
    world.switchboard.arm([]);
    let report = world.apply(desired).await;
    assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
    assert_eq!(world.ca.orders().len(), 1, "{context}: the same order");
    world.assert_settled(desired, context).await;
}

/// Defect 2: the challenge of each name in turn cannot be presented.
#[tokio::test(start_paused = true)]
async fn a_failure_on_one_name_leaves_nothing_of_the_others() {
    let presentations = calls_named("east present").await;
    assert_eq!(presentations.len(), NAMES.len());
    for call in presentations {
        for kind in [ErrorKind::Invalid, ErrorKind::Denied, ErrorKind::EffectUnknown] {
            let (world, desired) = three_names();
            world.switchboard.arm([(call, Fault::FailBefore(kind))]);
            let report = world.apply(&desired).await;
            let context = format!("{kind:?} at presentation {call}");
            assert_eq!(report.failures.len(), 1, "{context}: {:?}", report.failures);
            assert_eq!(report.failures[0].error.kind(), kind, "{context}");
            nothing_is_left_and_the_next_run_ends_it(&world, &desired, &context).await;
        }
    }
}

/// Defect 4: the challenge of each name in turn cannot be taken away. The others go in the same run, this one is taken
/// away by the next.
#[tokio::test(start_paused = true)]
async fn a_clean_up_that_fails_for_one_name_does_not_stop_the_clean_up_of_the_others() {
    for call in calls_named("east withdraw").await {
        let (world, desired) = three_names();
        world.switchboard.arm([(call, Fault::FailBefore(ErrorKind::Unavailable))]);
        let report = world.apply(&desired).await;
        let context = format!("withdrawal {call}");
        assert_eq!(report.worst(), Some(Stage::Issue), "{context}");
        assert_eq!(report.failures[0].error.operation(), "east withdraw", "{context}: it is told");
        assert_eq!(world.lb("east").presented().len(), 1, "{context}: only that one is left");
        assert_eq!(world.store.open_challenge_tokens(), world.lb("east").presented(), "{context}: and it is noted");
        world.switchboard.arm([]);
        assert!(world.apply(&desired).await.failures.is_empty(), "{context}");
        world.assert_settled(&desired, &context).await;
        assert_eq!(world.ca.orders().len(), 1, "{context}: the same order");
    }
}

/// Defect 4: whichever name it is that the CA refuses, and whichever one that cannot be cleaned up.
#[tokio::test(start_paused = true)]
async fn a_clean_up_that_fails_does_not_hide_what_the_ca_said() {
    for refused in NAMES {
        for call in calls_named("east withdraw").await {
            let (world, desired) = three_names();
            world.ca.refuse_name(refused);
            world.switchboard.arm([(call, Fault::FailBefore(ErrorKind::Unavailable))]);
            let report = world.apply(&desired).await;
            let context = format!("{refused} is refused, withdrawal {call} fails");
            let error = &report.failures[0].error;
            assert_eq!(error.kind(), ErrorKind::Validation, "{context}: {error}");
            assert!(error.to_string().contains(refused), "{context}: {error}");
            assert_eq!(world.lb("east").presented().len(), 1, "{context}: only that one is left");
            world.switchboard.arm([]);
            // Too soon after a failure to ask the CA again, but not to clean up.
            world.apply(&desired).await;
            assert_eq!(world.lb("east").presented(), [""; 0], "{context}");
            assert_eq!(world.store.open_challenge_tokens(), [""; 0], "{context}");
        }
    }
}

/// Defect 11.
#[tokio::test(start_paused = true)]
async fn the_account_key_is_kept_across_runs() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    for _ in 0..3 {
        assert!(world.apply_with(&desired, &forced()).await.failures.is_empty());
    }
    assert_eq!(world.ca.orders().len(), 3);
    assert_eq!((world.ca.keys_made(), world.ca.accounts()), (1, 1));
}

/// Defect 11: killed between making the key and hearing of the account.
#[tokio::test(start_paused = true)]
async fn an_account_whose_url_was_not_heard_is_found_by_its_key() {
    let call = calls_named("ca newAccount").await[0];
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        let (world, desired) = three_names();
        world.switchboard.arm([(call, fault)]);
        assert!(world.apply_until_killed(&desired).await.is_none());
        world.switchboard.arm([]);
        assert!(world.apply(&desired).await.failures.is_empty());
        assert_eq!((world.ca.keys_made(), world.ca.accounts()), (1, 1), "{fault:?}");
    }
}

/// Defect 12: a killed run left the order `ready`.
#[tokio::test(start_paused = true)]
async fn an_order_that_is_ready_is_finalized_without_another_challenge() {
    let call = calls_named("ca finalize").await[0];
    let (world, desired) = three_names();
    world.switchboard.arm([(call, Fault::KillBefore)]);
    assert!(world.apply_until_killed(&desired).await.is_none());
    assert_eq!(world.ca.orders()[0].status, OrderStatus::Ready);
    world.switchboard.arm([]);
    assert!(world.apply_with(&desired, &PlanOptions::default()).await.failures.is_empty());
    let calls = 1..=world.switchboard.calls();
    let names: Vec<String> = calls.map(|call| world.switchboard.name_of(call)).collect();
    assert!(!names.iter().any(|name| name == "ca challenge" || name == "east present"), "{names:?}");
    assert_eq!((world.ca.orders().len(), world.ca.orders()[0].finalized), (1, 1));
    world.assert_settled(&desired, "at the end").await;
}
