//! Promise 2: every call of a run, answered in every wrong way. The run converges, or it stops with an error that names
//! the call, the object and the way out, and then one more run converges.
//!
//! The calls are those that the lab recorded of an undisturbed run, whatever they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certferry_core::SystemClock;
use certferry_core::plan::Problem;
use certferry_lab::avi_controller::{Effect, Fault, RequestRecord, RetryAfter};
use certferry_providers::load_balancer::avi::Limits;
use jiff::SignedDuration;
use tokio::task::JoinSet;

use super::ground::{Ground, Later, changes_an_object, quick};

/// Grounds that are played on side by side: a run waits more than it works.
const AT_ONCE: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_first_run_may_fail_in_any_way() {
    println!("{}", enumerate("sibling", Run::First, |_| true).await);
}

/// All else is the same as in a first run, where it is tried above.
#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_renewal_may_fail_in_any_way() {
    println!("{}", enumerate("add-service", Run::Renewal, changes_an_object).await);
}

/// A call of an undisturbed run and what happens to it.
#[derive(Clone, Debug)]
struct Case {
    /// Its number, from 0.
    number: usize,
    /// Its name.
    call: String,
    effect: Effect,
    lasts: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    First,
    Renewal,
}

/// Gives how many calls and cases there were.
async fn enumerate(port_80: &'static str, run: Run, is_tried: impl Fn(&RequestRecord) -> bool) -> String {
    let calls = recorded(port_80, run).await;
    let mut cases = Vec::new();
    for (number, call) in calls.iter().enumerate().filter(|(_, call)| is_tried(call)) {
        let case = |effect, lasts| Case { number, call: call.operation.clone(), effect, lasts };
        let earlier = || calls[..number].iter().any(|earlier| earlier.target == call.target);
        if call.method == "GET" && earlier() {
            cases.extend(effects_on_a_repeated_read(number).into_iter().map(|effect| case(effect, false)));
            continue;
        }
        cases.extend(effects().into_iter().map(|effect| case(effect, false)));
        let lasting = lasting_effects();
        cases.extend(lasting.get(number % lasting.len()).map(|effect| case(effect.clone(), true)));
    }
    let summary = format!("{} calls in a {run:?} run with port-80: {port_80}, {} cases", calls.len(), cases.len());
    let (cases, next, again) = (Arc::new(cases), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut players = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (cases, next, again) = (Arc::clone(&cases), Arc::clone(&next), Arc::clone(&again));
        players.spawn(async move {
            let ground = Ground::prepare(port_80).await;
            if run == Run::Renewal {
                ground.calls_of_a_first_run().await;
            }
            while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                let needed_another = play(&ground, run, case).await;
                again.fetch_add(usize::from(needed_another), Ordering::SeqCst);
            }
        });
    }
    players.join_all().await;
    format!("{summary}, of which {} took a second run", again.load(Ordering::SeqCst))
}

/// The calls of an undisturbed run.
async fn recorded(port_80: &str, run: Run) -> Vec<RequestRecord> {
    let ground = Ground::prepare(port_80).await;
    let first = ground.calls_of_a_first_run().await;
    match run {
        Run::First => first,
        Run::Renewal => ground.calls_of(true).await,
    }
}

/// Plays a case to its end. Whether a second run was needed.
async fn play(ground: &Ground, run: Run, case: &Case) -> bool {
    let context = format!("{case:?} in a {run:?} run");
    let orders_before = ground.ca.ca.orders().len();
    let watch = ground.watch(BETWEEN_LOOKS);
    let fault = Fault::new("*", case.effect.clone()).after(case.number);
    ground.stage.lab.add_fault(if case.lasts { fault.always() } else { fault });
    let calls_before = ground.stage.lab.request_count();
    let report = ground.apply(limits(case), run == Run::Renewal, Arc::new(SystemClock)).await;
    let calls = ground.stage.lab.requests_after(calls_before);
    let hit = calls.get(case.number).map(|call| call.operation.as_str());
    assert_eq!(hit, Some(case.call.as_str()), "{context}: the call was not made");
    ground.stage.lab.clear_faults();
    for problem in &report.failures {
        assert_tells_the_way(problem, &context);
    }
    if case.lasts && case.call != LAST_CALL {
        assert!(!report.failures.is_empty(), "{context}: nothing was told");
    }
    let again = !report.failures.is_empty();
    if again {
        // What a wait was asked for is waited for.
        let later = Arc::new(Later(SignedDuration::from_hours(1)));
        let nothing_ordered = ground.ca.ca.orders().len() == orders_before;
        let report = ground.apply(quick(), run == Run::Renewal && nothing_ordered, later).await;
        assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
    }
    ground.assert_settled(watch, orders_before, &context).await;
    if run == Run::First {
        ground.clear();
    }
    again
}

fn assert_tells_the_way(problem: &Problem, context: &str) {
    let (error, text) = (&problem.error, problem.error.to_string());
    let is_call = error.operation().split_once(' ').is_some_and(|(method, _)| METHODS.contains(&method));
    assert!(is_call, "{context}: which call? {text}");
    assert!(text.contains("load balancer `edge`"), "{context}: which object? {text}");
    assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{context}: no way out: {text}");
}

/// Each of them once.
fn effects() -> Vec<Effect> {
    vec![
        Effect::answer(401, "session expired"),
        Effect::answer(404, "object not found"),
        Effect::answer(409, "busy"),
        Effect::stale("Object"),
        too_many(RetryAfter::Seconds(1)),
        too_many(RetryAfter::DateIn(1)),
        Effect::answer(500, "oops"),
        unavailable(),
        Effect::Hang,
        Effect::CloseBefore,
        Effect::CloseAfter,
    ]
}

/// A read has no effect, so that a connection that ends after it is one that ends before it; and whoever reads again what was
/// read before need not see every refusal again.
fn effects_on_a_repeated_read(number: usize) -> Vec<Effect> {
    let wait = if number.is_multiple_of(2) { RetryAfter::Seconds(1) } else { RetryAfter::DateIn(1) };
    vec![
        Effect::answer(401, "session expired"),
        Effect::answer(404, "object not found"),
        too_many(wait),
        Effect::answer(500, "oops"),
        unavailable(),
        Effect::Hang,
        Effect::CloseBefore,
    ]
}

/// Those that are there to stay, from the call on; one of them at each different call. A controller that goes away, one that ends each
/// session, one whose answers do not arrive.
fn lasting_effects() -> Vec<Effect> {
    vec![Effect::answer(401, "session expired"), unavailable(), Effect::CloseAfter]
}

fn too_many(retry_after: RetryAfter) -> Effect {
    Effect::Answer { status: 429, error: "slow down".to_owned(), retry_after: Some(retry_after) }
}

fn unavailable() -> Effect {
    Effect::HtmlPage { status: 503, body: "<html><body>Service Unavailable</body></html>".to_owned() }
}

/// What does not pass is given up soon; a call that hangs is not waited for long.
fn limits(case: &Case) -> Limits {
    let mut limits = quick();
    if case.lasts {
        limits.retry = Duration::from_millis(150);
    }
    if matches!(case.effect, Effect::Hang) {
        limits.request = Duration::from_secs(2);
    }
    limits
}

const BETWEEN_LOOKS: Duration = Duration::from_millis(80);

const LAST_CALL: &str = "POST logout";

const METHODS: [&str; 5] = ["DELETE", "GET", "PATCH", "POST", "PUT"];
