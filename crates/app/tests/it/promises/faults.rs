//! Promise 2: every call of a run, answered in every wrong way. The run converges, or it stops with an error that names
//! the call, the object and the way out, and then one more run converges. Promises 1, 3 and 4 hold all the while.
//!
//! The calls are those of an undisturbed run, whatever they are.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certferry_core::SystemClock;
use certferry_core::plan::Problem;
use futures_util::FutureExt;
use jiff::SignedDuration;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::avi::AviGround;
use super::dns01::Dns01Ground;
use super::effect::Effect;
use super::ground::{Call, Fault, Ground, Mark, Purpose, Run, Service, arm, disarm, ready};
use super::oci::OciGround;
use super::outcomes::{self, Outcome, Outcomes};
use super::program::{Later, Patience};
use crate::killed::watch::Watch;
use crate::stage::SERVER_NAME;

/// Grounds that are played on side by side: a run waits more than it works.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_first_run_with_oci_may_fail_in_any_way() {
    let outcomes = enumerate(Run::First, OciGround::prepare, |_| true).await;
    outcomes::compare("acme-first-run", &outcomes.table(Service::Acme));
    outcomes::compare("oci-first-run", &outcomes.table(Service::LoadBalancer));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_renewal_with_oci_may_fail_in_any_way() {
    let outcomes = enumerate(Run::Renewal, OciGround::prepare, |_| true).await;
    outcomes::compare("acme-renewal", &outcomes.table(Service::Acme));
    outcomes::compare("oci-renewal", &outcomes.table(Service::LoadBalancer));
}

/// The calls to the CA are the same as with OCI.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_first_run_with_avi_may_fail_in_any_way() {
    let of_avi = |call: &Call| call.service == Service::LoadBalancer;
    let outcomes = enumerate(Run::First, || AviGround::prepare("sibling"), of_avi).await;
    outcomes::compare("avi-first-run", &outcomes.table(Service::LoadBalancer));
}

/// All else is the same as in a first run, where it is tried above.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_renewal_with_avi_may_fail_in_any_way() {
    let changes = |call: &Call| call.service == Service::LoadBalancer && call.purpose == Purpose::Change;
    let outcomes = enumerate(Run::Renewal, || AviGround::prepare("add-service"), changes).await;
    outcomes::compare("avi-renewal", &outcomes.table(Service::LoadBalancer));
}

/// The calls to the CA are those of http-01. Of those to the load balancer, the ones that are tried above are left out, but
/// for one by which a listener gets another kind of certificate.
#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_first_run_with_dns_01_and_the_certificates_service_may_fail_in_any_way() {
    let is_new = |call: &Call| match call.service {
        Service::Acme => false,
        Service::Dns => true,
        Service::LoadBalancer => is_of_certificates_service(call) || (call.name == "UpdateListener" && call.nth == 0),
    };
    let outcomes = enumerate(Run::First, Dns01Ground::prepare, is_new).await;
    outcomes::compare("oci-dns-first-run", &outcomes.table(Service::Dns));
    outcomes::compare("certificates-service-first-run", &outcomes.table(Service::LoadBalancer));
}

/// All else is the same as in a first run.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_renewal_with_the_certificates_service_may_fail_in_any_way() {
    let changes = |call: &Call| is_of_certificates_service(call) && call.purpose == Purpose::Change;
    let outcomes = enumerate(Run::Renewal, Dns01Ground::prepare, changes).await;
    outcomes::compare("certificates-service-renewal", &outcomes.table(Service::LoadBalancer));
}

/// The bundles of load balancers, whose calls have such names too, are not called where the service holds the certificates.
fn is_of_certificates_service(call: &Call) -> bool {
    call.service == Service::LoadBalancer && call.name.contains("Certificate")
}

/// A call of an undisturbed run and what happens to it.
#[derive(Clone, Debug)]
struct Case {
    call: Call,
    fault: Fault,
}

/// Plays every case on grounds that `prepare` makes.
async fn enumerate<G, F>(
    run: Run,
    prepare: impl Fn() -> F + Copy + Send + 'static,
    is_tried: impl Fn(&Call) -> bool,
) -> Outcomes
where
    G: Ground,
    F: Future<Output = G> + Send + 'static,
{
    let calls = recorded(run, prepare().await).await;
    let names: Arc<BTreeSet<String>> = Arc::new(calls.iter().map(|call| call.name.clone()).collect());
    let cases: Arc<Vec<Case>> = Arc::new(calls.iter().filter(|call| is_tried(call)).flat_map(cases).collect());
    let outcomes = Arc::new(Mutex::new(Outcomes::new(calls.into_iter().filter(is_tried))));
    let (next, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut players = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (cases, names, outcomes) = (cases.clone(), names.clone(), outcomes.clone());
        let (next, failed) = (next.clone(), failed.clone());
        players.spawn(async move {
            let mut ground = None;
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                let on = match ground.take() {
                    Some(ground) => ground,
                    None => {
                        let ground = prepare().await;
                        ready(&ground, run).await;
                        ground
                    }
                };
                // A case that fails leaves a ground for no other.
                match AssertUnwindSafe(play(&on, run, case, &names)).catch_unwind().await {
                    Ok(outcome) => {
                        outcomes.lock().await.add(&case.call, case.fault, outcome);
                        ground = Some(on);
                    }
                    Err(_) => drop(failed.fetch_add(1, Ordering::SeqCst)),
                }
            }
        });
    }
    players.join_all().await;
    let failed = failed.load(Ordering::SeqCst);
    assert_eq!(failed, 0, "cases of {} failed, each as printed above", cases.len());
    Arc::into_inner(outcomes).unwrap().into_inner()
}

/// The calls of an undisturbed run.
async fn recorded<G: Ground>(run: Run, ground: G) -> Vec<Call> {
    ready(&ground, run).await;
    if run == Run::Renewal {
        ground.program().make_due(ground.ca()).await;
    }
    let mark = Mark::now(&ground);
    let told = ground.program().run().await;
    assert!(told.text.contains("DEBUG"), "a log at the highest verbosity: {}", told.text);
    mark.calls(&ground)
}

/// What is tried with a call. Each call is also one from which on the service fails for good, in one of the ways.
fn cases(call: &Call) -> Vec<Case> {
    let case = |fault| Case { call: call.clone(), fault };
    if call.purpose == Purpose::ReadAgain {
        let in_turn = Effect::OF_REPEATED_READS.into_iter().cycle().skip(call.nth * 3).take(3);
        return in_turn.map(Fault::Once).map(case).collect();
    }
    let once = Effect::ALL.into_iter().map(Fault::Once);
    let lasting = Effect::LASTING[call.number % Effect::LASTING.len()];
    once.chain([Fault::FromThenOn(lasting)]).map(case).collect()
}

/// Plays a case to its end.
async fn play(ground: &impl Ground, run: Run, case: &Case, names: &BTreeSet<String>) -> Outcome {
    let context = format!("{case:?} in a {run:?} run");
    let (ca, program) = (ground.ca(), ground.program());
    if run == Run::Renewal {
        program.make_due(ca).await;
    }
    let (orders_before, accounts_before) = (ca.orders().len(), ca.accounts());
    let watch = Watch::begin(ground.looks(), BETWEEN_LOOKS);
    let mark = Mark::now(ground);
    arm(ground, &case.call, case.fault);
    let told = program.apply(patience(case.fault), Arc::new(SystemClock)).await;
    let made = mark.calls(ground);
    let is_made =
        |call: &Call| (call.service, &call.name, call.nth) == (case.call.service, &case.call.name, case.call.nth);
    assert!(made.iter().any(is_made), "{context}: the call was not made, but {made:?}");
    disarm(ground);
    for problem in &told.report.failures {
        assert_tells_the_way(problem, names, &context);
    }
    let mut texts = vec![told.text];
    let outcome = if told.report.failures.is_empty() { Outcome::SameRun } else { Outcome::NextRun };
    if outcome == Outcome::NextRun {
        // What a wait was asked for is waited for.
        let later = Arc::new(Later(SignedDuration::from_hours(1)));
        let told = program.apply(Patience::default(), later).await;
        assert!(told.report.failures.is_empty(), "{context}: {:?}", told.report.failures);
        texts.push(told.text);
    }
    assert_eq!(ca.accounts(), accounts_before + usize::from(run == Run::First), "{context}");
    let mut orders = ca.orders().split_off(orders_before);
    if matches!(case.fault, Fault::FromThenOn(_)) && case.call.service == Service::Acme {
        // Of a CA that was told and then does not answer any more, nobody knows how long it takes to look.
        orders.retain(|order| order.status != "invalid");
    }
    assert_eq!(orders.len(), 1, "{context}: one version, one order: {orders:?}");
    assert_eq!(orders[0].finalized, 1, "{context}: {orders:?}");
    watch.assert_ended_with(orders[0].serial.as_deref().unwrap(), &context).await;
    ground.assert_nothing_else_changed(if run == Run::First { 1 } else { 3 }, &context).await;
    program.assert_settled(&context).await;
    program.assert_nothing_secret(&texts.iter().map(String::as_str).collect::<Vec<_>>(), &context).await;
    if run == Run::First {
        ground.clear();
    }
    outcome
}

/// Which call, on what, and what to do.
fn assert_tells_the_way(problem: &Problem, names: &BTreeSet<String>, context: &str) {
    let (error, text) = (&problem.error, problem.error.to_string());
    assert!(names.contains(error.operation()), "{context}: which call? {text}");
    let objects = ["load balancer `", "issuer `", "DNS provider `", SERVER_NAME];
    assert!(objects.iter().any(|object| text.contains(object)), "{context}: which object? {text}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{context}: no way out: {text}");
}

/// What does not pass is given up soon; a call that hangs is not waited for long.
fn patience(fault: Fault) -> Patience {
    let patience = Patience::default();
    match fault {
        Fault::FromThenOn(_) => Patience { retry: Duration::from_secs(1), ..patience },
        Fault::Once(Effect::Hang) => Patience { request: Duration::from_secs(2), ..patience },
        Fault::Once(_) | Fault::Silence => patience,
    }
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(120);
