//! Promise 2, at the ports: a call that fails leads to convergence or to an error of the right stage; the next run
//! converges.

use certferry_core::ErrorKind;

use crate::world::{Fault, World, www_on};

const KINDS: [ErrorKind; 8] = [
    ErrorKind::Conflict,
    ErrorKind::Denied,
    ErrorKind::EffectUnknown,
    ErrorKind::RateLimited,
    ErrorKind::Throttled,
    ErrorKind::Timeout,
    ErrorKind::Unavailable,
    ErrorKind::Unexpected,
];

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_is_mended_by_the_next_run() {
    let desired = www_on(&["east", "west"]);
    let world = World::new(&["east", "west"]);
    world.apply(&desired).await;
    let count = world.switchboard.calls();
    let faults = KINDS.into_iter().map(Fault::FailBefore).chain([Fault::LoseAnswer]);
    for fault in faults {
        for call in 1..=count {
            let world = World::new(&["east", "west"]);
            world.switchboard.arm([(call, fault)]);
            let first = world.try_apply(&desired, &Default::default()).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            if let Ok(report) = &first {
                for problem in &report.failures {
                    assert!(!problem.error.operation().is_empty(), "{context}: an error without a call");
                }
            }
            // What the CA asked to wait for, or what it counted, is waited out.
            world.clock.advance(1);
            world.switchboard.arm([]);
            let report = world.apply(&desired).await;
            assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
            world.assert_settled(&desired, &context).await;
            assert!(world.ca.orders().len() == 1, "{context}: {} orders", world.ca.orders().len());
        }
    }
}
