//! Promise 1: kill -9 at every journal write and at every call of a run, twice in a row, then run again: it converges.
//!
//! The run is a child process: this test binary again. At a write it kills itself, by SIGKILL; at a call the parent kills it,
//! while the service works on the call, or when it has done so and the answer is on its way. CA, load balancer and DNS
//! live in the parent and survive, as they do in life.

mod points;
pub(crate) mod rotation;
mod store;
pub(crate) mod watch;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certferry_core::SystemClock;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use self::points::{Moment, Place, Point};
use self::store::KillingStore;
use self::watch::Watch;
use crate::promises::avi::AviGround;
use crate::promises::dns01::Dns01Ground;
use crate::promises::effect::Effect;
use crate::promises::ground::{Call, Fault, Ground, Mark, Purpose, Run, Service, arm, disarm, ready};
use crate::promises::oci::OciGround;
use crate::promises::outcomes;
use crate::promises::program::{Patience, Program};

/// Grounds that are played on side by side.
const AT_ONCE: usize = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_with_oci_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::First, OciGround::prepare, |_| true).await;
    outcomes::compare("kills-oci-first-run", &format!("* OCI, first run: {kills}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_oci_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::Renewal, OciGround::prepare, |_| true).await;
    outcomes::compare("kills-oci-renewal", &format!("* OCI, renewal: {kills}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_with_a_sibling_on_avi_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::First, || AviGround::prepare("sibling"), is_change).await;
    outcomes::compare("kills-avi-sibling-first-run", &format!("* Avi, first run, `port-80: sibling`: {kills}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_adds_port_80_on_avi_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::First, || AviGround::prepare("add-service"), is_change).await;
    outcomes::compare("kills-avi-port-80-first-run", &format!("* Avi, first run, `port-80: add-service`: {kills}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_a_sibling_on_avi_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::Renewal, || AviGround::prepare("sibling"), |_| false).await;
    outcomes::compare("kills-avi-sibling-renewal", &format!("* Avi, renewal, `port-80: sibling`: {kills}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_adds_port_80_on_avi_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::Renewal, || AviGround::prepare("add-service"), |_| false).await;
    outcomes::compare("kills-avi-port-80-renewal", &format!("* Avi, renewal, `port-80: add-service`: {kills}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_with_dns_01_and_the_certificates_service_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::First, Dns01Ground::prepare, is_change).await;
    outcomes::compare(
        "kills-dns-01-first-run",
        &format!("* OCI DNS and the Certificates service, first run: {kills}\n"),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_with_dns_01_and_the_certificates_service_killed_anywhere_twice_is_finished_by_the_next() {
    let kills = enumerate(Run::Renewal, Dns01Ground::prepare, is_change).await;
    outcomes::compare("kills-dns-01-renewal", &format!("* OCI DNS and the Certificates service, renewal: {kills}\n"));
}

/// Not the CA's: its calls are those of the tests with OCI. And the reads in between change nothing.
fn is_change(call: &Call) -> bool {
    call.service != Service::Acme && call.purpose == Purpose::Change
}

/// Kills a run at each point, on grounds that `prepare` makes, and the run after it at a drawn one. Gives what there was.
#[expect(clippy::print_stdout, reason = "the seed is told")]
async fn enumerate<G, F>(run: Run, prepare: impl Fn() -> F, is_tried: impl Fn(&Call) -> bool) -> String
where
    G: Ground,
    F: Future<Output = G> + Send + 'static,
{
    println!("seed {SEED}");
    let (writes, calls) = recorded(run, prepare().await).await;
    let calls: Vec<Call> = calls.into_iter().filter(is_tried).collect();
    let told = format!("{writes} writes and {} calls", calls.len());
    assert!(writes > 10, "{told} are no whole run");
    let points = Arc::new(points::all(writes, calls));
    let (next, second) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut players = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (points, next, second, ground) = (points.clone(), next.clone(), second.clone(), prepare());
        players.spawn(async move {
            let ground = ground.await;
            ready(&ground, run).await;
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let Some(first) = points.get(number) else { return };
                let then = points::draw(SEED, number, &points);
                second.fetch_add(usize::from(play(&ground, run, first, then).await), Ordering::SeqCst);
            }
        });
    }
    players.join_all().await;
    println!("{} of {} runs were killed a second time", second.load(Ordering::SeqCst), points.len());
    format!("{told}, {} kills", points.len())
}

/// How many writes an undisturbed run makes, and its calls.
async fn recorded<G: Ground>(run: Run, ground: G) -> (usize, Vec<Call>) {
    ready(&ground, run).await;
    if run == Run::Renewal {
        ground.program().make_due(ground.ca()).await;
    }
    let mark = Mark::now(&ground);
    let store = Arc::new(KillingStore::new(ground.program().store().await, usize::MAX, Moment::Before));
    let told = ground.program().apply_on(store.clone(), Patience::default(), Arc::new(SystemClock)).await;
    assert!(told.report.failures.is_empty(), "{:?}", told.report.failures);
    (store.writes(), mark.calls(&ground))
}

/// Two runs that are killed, if the second one comes so far; the next run must converge. Whether the second one was killed.
async fn play(ground: &impl Ground, run: Run, first: &Point, second: &Point) -> bool {
    let context = format!("{run:?} run killed {first:?}, then {second:?}");
    let (ca, program) = (ground.ca(), ground.program());
    match run {
        Run::First => ground.clear(),
        Run::Renewal => program.make_due(ca).await,
    }
    let (accounts, versions) = (ca.accounts(), ca.orders().len());
    let watch = Watch::begin(ground.looks(), BETWEEN_LOOKS);
    assert!(is_killed_at(ground, first).await, "{context}: the first run lived");
    let twice = is_killed_at(ground, second).await;
    program.run().await;

    assert_eq!(ca.accounts(), accounts + usize::from(run == Run::First), "{context}");
    let mut orders = ca.orders().split_off(versions);
    if first.is_while_the_ca_looks() || second.is_while_the_ca_looks() {
        orders.retain(|order| order.status != "invalid");
    }
    assert_eq!(orders.len(), 1, "{context}: one version, one order: {orders:?}");
    assert_eq!(orders[0].finalized, 1, "{context}");
    watch.assert_ended_with(orders[0].serial.as_deref().unwrap(), &context).await;
    ground.assert_nothing_else_changed(if run == Run::First { 1 } else { 3 }, &context).await;
    program.assert_settled(&context).await;
    let again = program.run().await.report;
    assert_eq!(again.done, 0, "{context}: {again:?}");
    twice
}

/// Whether a run comes to the point and is killed there. One that needs fewer writes or calls ends well by itself.
async fn is_killed_at(ground: &impl Ground, point: &Point) -> bool {
    let config = ground.program().config_path();
    let call = match &point.place {
        Place::Write(number) => {
            return was_killed(start_child("the_child_of_these_tests", config, *number, point.moment)).await;
        }
        Place::Call(call) => call,
    };
    let mark = Mark::now(ground);
    arm(ground, call, if point.moment == Moment::Before { Fault::Once(Effect::Hang) } else { Fault::Silence });
    let mut child = start_child("the_child_of_these_tests", config, usize::MAX, Moment::Before);
    let arrival = async {
        while !mark.is_hanging(ground, call) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = arrival => child.start_kill().unwrap(),
        _ = child.wait() => {}
        () = tokio::time::sleep(PATIENCE) => panic!("a run neither comes to {point:?} nor to its end"),
    }
    let killed = was_killed(child).await;
    disarm(ground);
    killed
}

/// Longer than a run takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The handshakes of all grounds share the processors with the programs that they watch.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// Draws where the second run is killed.
const SEED: u64 = 20_261_128;

const CONFIG: &str = "CERTFERRY_TEST_CHILD_CONFIG";
const STEP: &str = "CERTFERRY_TEST_CHILD_STEP";
const MOMENT: &str = "CERTFERRY_TEST_CHILD_MOMENT";

/// A process that does what `child` does, a test of this module, and kills itself before or after the write with this number.
fn start_child(child: &str, config: &Path, step: usize, moment: Moment) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("killed::{child}"), "--nocapture"])
        .env(CONFIG, config)
        .env(STEP, step.to_string())
        .env(MOMENT, format!("{moment:?}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().unwrap()
}

/// What a child was started for: its config, the write and the moment. Nothing where it is run as a test of its own.
fn wish() -> Option<(PathBuf, usize, Moment)> {
    let config = std::env::var_os(CONFIG)?.into();
    let step = std::env::var(STEP).unwrap().parse().unwrap();
    let moment = if std::env::var(MOMENT).unwrap() == "Before" { Moment::Before } else { Moment::After };
    Some((config, step, moment))
}

/// Whether the child was killed. It must end in no other way than by SIGKILL or well.
async fn was_killed(child: Child) -> bool {
    let output = child.wait_with_output().await.unwrap();
    match (output.status.code(), output.status.signal()) {
        (Some(0), _) => false,
        (_, Some(9)) => true,
        other => panic!("the child ended with {other:?}:\n{}", String::from_utf8_lossy(&output.stdout)),
    }
}

/// Not a test of its own: what the tests above start as a child. Without their wish it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_of_these_tests() {
    let Some((config, step, moment)) = wish() else { return };
    let program = Program::new(config.parent().unwrap(), Vec::new());
    let store = Arc::new(KillingStore::new(program.store().await, step, moment));
    let told =
        program.apply_on(store, Patience { request: PATIENCE, ..Patience::default() }, Arc::new(SystemClock)).await;
    assert!(told.report.failures.is_empty(), "{:?}", told.report.failures);
}
