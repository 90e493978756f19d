//! Promise 1: killed at any call, then run again: it converges.

use certferry_core::desired::Desired;

use crate::world::{Fault, World, certificate, deploy, desired, forced, www_on};

/// A first issue-and-deploy run over two load balancers.
fn first_run() -> (World, Desired) {
    (World::new(&["east", "west"]), www_on(&["east", "west"]))
}

/// A run that renews for the second time, so that a bundle is retired.
async fn renewal_run() -> (World, Desired) {
    let world = World::new(&["east"]);
    let deploys = vec![deploy("east", "https"), deploy("east", "https-2")];
    let desired = desired(vec![certificate("www", &["www.some-domain.com"], &["east"], deploys)]);
    world.apply(&desired).await;
    world.clock.advance(1);
    world.apply_with(&desired, &forced()).await;
    world.clock.advance(80);
    (world, desired)
}

/// How many calls an undisturbed run makes.
async fn calls(world: &World, desired: &Desired) -> usize {
    world.switchboard.arm([]);
    let report = world.apply(desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    world.switchboard.calls()
}

async fn converges(world: &World, desired: &Desired, orders_before: usize, context: &str) {
    world.switchboard.arm([]);
    let report = world.apply(desired).await;
    assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
    world.assert_settled(desired, context).await;
    let orders = world.ca.orders();
    assert_eq!(orders.len(), orders_before + 1, "{context}: one version, one order");
    assert_eq!(orders[orders_before].finalized, 1, "{context}: finalized once");
    assert_eq!(world.ca.accounts(), 1, "{context}: one account");
}

#[tokio::test(start_paused = true)]
async fn a_first_run_killed_at_any_call_is_finished_by_the_next() {
    let (world, desired) = first_run();
    let count = calls(&world, &desired).await;
    assert!(count > 30, "only {count} calls are no whole run");
    for call in 1..=count {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (world, desired) = first_run();
            world.switchboard.arm([(call, fault)]);
            let killed = world.apply_until_killed(&desired).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            assert!(killed.is_none(), "{context}: the process lived");
            converges(&world, &desired, 0, &context).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_killed_at_any_call_is_finished_by_the_next() {
    let (world, desired) = renewal_run().await;
    let count = calls(&world, &desired).await;
    for call in 1..=count {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (world, desired) = renewal_run().await;
            world.switchboard.arm([(call, fault)]);
            let killed = world.apply_until_killed(&desired).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            assert!(killed.is_none(), "{context}: the process lived");
            converges(&world, &desired, 2, &context).await;
            assert_eq!(world.lb("east").own_bundles().len(), 2, "{context}: the new one and one before it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_in_place_killed_at_any_call_is_finished_by_the_next() {
    async fn due() -> (World, Desired) {
        let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
        world.apply(&desired).await;
        world.clock.advance(61);
        (world, desired)
    }
    let (world, desired) = due().await;
    let count = calls(&world, &desired).await;
    for call in 1..=count {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let (world, desired) = due().await;
            world.switchboard.arm([(call, fault)]);
            let killed = world.apply_until_killed(&desired).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            assert!(killed.is_none(), "{context}: the process lived");
            converges(&world, &desired, 1, &context).await;
        }
    }
}

/// At any two calls, both before or both after their effect.
#[tokio::test(start_paused = true)]
async fn killed_twice_in_a_row_it_still_converges() {
    let (world, desired) = first_run();
    let count = calls(&world, &desired).await;
    let mut played = 0;
    for fault in [Fault::KillBefore, Fault::KillAfter] {
        for first in 1..=count {
            for second in 1..=count {
                let (world, desired) = first_run();
                world.switchboard.arm([(first, fault)]);
                assert!(world.apply_until_killed(&desired).await.is_none());
                world.switchboard.arm([(second, fault)]);
                let ended = world.apply_until_killed(&desired).await;
                converges(&world, &desired, 0, &format!("{fault:?} at {first}, then at {second}")).await;
                played += 1;
                // It needs fewer calls than that.
                if ended.is_some() {
                    break;
                }
            }
        }
    }
    println!("{played} pairs of {count} calls");
}
