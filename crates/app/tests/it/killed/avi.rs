//! One certificate on a virtual service of an Avi controller, where nothing listens on port 80.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certferry_core::KeyFamily;
use certferry_lab::acme_ca::AcmeCa;
use certferry_lab::avi_controller::{Effect, Fault};
use serde_json::Value;
use tokio::task::JoinSet;

use super::watch::Look;
use super::{AT_ONCE, Moment, Run, Scene, enumerate, finished_by_the_next, start_child, was_killed};
use crate::avi_promises::ground::{Ground, changes_an_object};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_with_a_sibling_killed_at_every_journal_step_is_finished_by_the_next() {
    println!("{} journal steps, each killed before and after", every_step(Run::First, "sibling").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_adds_port_80_killed_at_every_journal_step_is_finished_by_the_next() {
    println!("{} journal steps, each killed before and after", every_step(Run::First, "add-service").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_renewal_with_a_sibling_killed_at_every_journal_step_is_finished_by_the_next() {
    println!("{} journal steps, each killed before and after", every_step(Run::Renewal, "sibling").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_renewal_that_adds_port_80_killed_at_every_journal_step_is_finished_by_the_next() {
    println!("{} journal steps, each killed before and after", every_step(Run::Renewal, "add-service").await);
}

/// Between two steps of the journal a load balancer is called several times: killed while the controller works on a call
/// that changes something, and when it has done so and the answer is on its way. The reads in between change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_killed_at_every_change_is_finished_by_the_next() {
    let mut cases = Vec::new();
    for port_80 in ["sibling", "add-service"] {
        let calls = Ground::prepare(port_80).await.calls_of_a_first_run().await;
        let changes = calls.iter().enumerate().filter(|(_, call)| changes_an_object(call));
        cases.extend(changes.flat_map(|(number, call)| {
            let (before, after) = (Effect::Hang, Effect::Delay(FOREVER));
            [before, after].map(|effect| (port_80, number, call.operation.clone(), effect))
        }));
    }
    println!("{} cases", cases.len());
    assert!(cases.len() > 20, "these are not all changes");
    let players: Vec<_> = ["sibling", "add-service"].into_iter().flat_map(|port_80| [port_80; AT_ONCE / 2]).collect();
    let cases = Arc::new(Mutex::new(cases));
    let mut playing = JoinSet::new();
    for port_80 in players {
        let cases = Arc::clone(&cases);
        playing.spawn(async move {
            let ground = Ground::prepare(port_80).await;
            loop {
                let case = cases.lock().unwrap().extract_if(.., |case| case.0 == port_80).next();
                let Some((_, number, call, effect)) = case else { return };
                let context = format!("{port_80}: killed at call {number} ({call}), {effect:?}");
                ground.clear();
                finished_by_the_next(&ground, Run::First, &context, killed_at_call(&ground, number, effect)).await;
            }
        });
    }
    playing.join_all().await;
}

/// A run that is killed from outside once the controller has the call with this number.
async fn killed_at_call(ground: &Ground, number: usize, effect: Effect) {
    let lab = &ground.stage.lab;
    let calls_before = lab.request_count();
    lab.add_fault(Fault::new("*", effect).after(number));
    let mut child = start_child(&ground.folder().join("certferry.yaml"), usize::MAX, Moment::Before);
    let arrival = async {
        while lab.request_count() <= calls_before + number {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let arrived = tokio::time::timeout(PATIENCE, arrival).await;
    assert!(arrived.is_ok(), "there was no call {number}");
    child.start_kill().unwrap();
    assert!(was_killed(child).await);
    lab.clear_faults();
}

/// Longer than a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than it is waited for.
const FOREVER: Duration = Duration::from_secs(3600);

async fn every_step(run: Run, port_80: &'static str) -> usize {
    let steps = enumerate(run, || Ground::prepare(port_80)).await;
    assert!(steps > 10, "only {steps} journal steps are no whole run");
    steps
}

impl Scene for Ground {
    async fn fresh(self) -> Self {
        self.clear();
        self
    }

    fn folder(&self) -> &Path {
        self.stage.folder.path()
    }

    fn ca(&self) -> &AcmeCa {
        &self.ca.ca
    }

    fn looks(&self) -> Vec<Look> {
        vec![self.look(KeyFamily::Ecdsa)]
    }

    /// All that certferry has no business with is looked at by [`Scene::assert_nothing_left`].
    fn others(&self) -> Value {
        Value::Null
    }

    fn assert_nothing_left(&self, _versions: usize, context: &str) {
        self.assert_only_the_certificate_is_new(context);
    }
}
