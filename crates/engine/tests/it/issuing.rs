//! Orders that come to an end of their own kind: failed for two reasons.

use certferry_core::ErrorKind;
use certferry_core::port::OrderStatus;
use certferry_engine::Report;

use crate::world::{World, certificate, deploy, desired};

fn kinds(report: &Report) -> Vec<ErrorKind> {
    report.failures.iter().map(|problem| problem.error.kind()).collect()
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
