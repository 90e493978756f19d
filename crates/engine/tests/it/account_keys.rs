//! A new key for an account: whatever happens in between, the account stays the same and is never locked out.

use certferry_core::ErrorKind;

use crate::world::{Fault, World, forced, www_on};

/// A world with an account that has ordered once.
async fn with_account() -> (World, certferry_core::desired::Desired) {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    (world, desired)
}

/// What a process that may be killed says; `None` when it was.
async fn rotate(
    world: &World,
    desired: &certferry_core::desired::Desired,
) -> Option<Result<(), certferry_core::Error>> {
    let engine = world.engine(desired);
    let issuer = "ca".parse().unwrap();
    tokio::select! {
        biased;
        outcome = engine.rotate_account_key(&issuer) => Some(outcome),
        () = world.switchboard.killed() => None,
    }
}

async fn works(world: &World, desired: &certferry_core::desired::Desired, context: &str) {
    world.switchboard.arm([]);
    let orders = world.ca.orders().len();
    let report = world.apply_with(desired, &forced()).await;
    assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
    assert_eq!(world.ca.accounts(), 1, "{context}: one account");
    assert_eq!(world.ca.orders().len(), orders + 1, "{context}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_disturbed_at_any_call_leaves_an_account_that_works() {
    let (world, desired) = with_account().await;
    world.switchboard.arm([]);
    rotate(&world, &desired).await.unwrap().unwrap();
    let count = world.switchboard.calls();
    works(&world, &desired, "undisturbed").await;
    for call in 1..=count {
        for fault in [Fault::KillBefore, Fault::KillAfter, Fault::FailBefore(ErrorKind::Unavailable), Fault::LoseAnswer]
        {
            let (world, desired) = with_account().await;
            world.switchboard.arm([(call, fault)]);
            let _ = rotate(&world, &desired).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            works(&world, &desired, &context).await;
            // And it can be done again to its end, after which the account still works.
            let again = rotate(&world, &desired).await.unwrap();
            assert!(again.is_ok(), "{context}: {again:?}");
            works(&world, &desired, &context).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_was_given_up_is_not_replaced_silently() {
    let (world, desired) = with_account().await;
    world.engine(&desired).deactivate_account(&"ca".parse().unwrap()).await.unwrap();
    let report = world.apply_with(&desired, &forced()).await;
    assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
    assert_eq!(world.ca.accounts(), 0);
}
