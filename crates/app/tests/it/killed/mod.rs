//! Promise 1: kill -9 at every journal step of a run, then run again: it converges.
//!
//! The run is a child process: this test binary again, with a store that kills its own process, by SIGKILL, before or after
//! its N-th write. CA and load balancer live in the parent and survive, as they do in life.

mod avi;
mod oci;
mod rotation;
mod store;
pub(crate) mod watch;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certferry::{apply_with, config, wiring};
use certferry_core::plan::PlanOptions;
use certferry_core::port::Notify;
use certferry_core::renewal::RenewalWindow;
use certferry_core::{Clock, Event, SystemClock};
use certferry_lab::acme_ca::{AcmeCa, Window};
use jiff::SignedDuration;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use self::store::KillingStore;
use self::watch::{Look, Watch};
use crate::stage::certferry;

/// Scenes that are played on side by side.
const AT_ONCE: usize = 6;

/// More writes than any run makes: the enumeration has to end by itself.
const MOST_WRITES: usize = 200;

/// A run that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    /// The first one.
    First,
    /// One that renews for the second time or later, so that whatever a renewal removes is removed.
    Renewal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    After,
    Before,
}

/// A CA and a load balancer with one certificate, and what must hold there.
trait Scene: Send + Sync + Sized + 'static {
    /// As it is before the first run of another certferry, with nothing in the store.
    fn fresh(self) -> impl Future<Output = Self> + Send;

    /// The folder with `certferry.yaml`.
    fn folder(&self) -> &Path;

    fn ca(&self) -> &AcmeCa;

    /// Where the certificate is served.
    fn looks(&self) -> Vec<Look>;

    /// What no run may change.
    fn others(&self) -> Value;

    /// That certferry left no more on the load balancer than it has to after so many versions.
    fn assert_nothing_left(&self, versions: usize, context: &str);
}

/// Kills a run at each step, before and after, on scenes that `set` makes, until a run needs fewer steps. Gives the number
/// of steps.
async fn enumerate<S, F>(run: Run, set: impl Fn() -> F) -> usize
where
    S: Scene,
    F: Future<Output = S> + Send + 'static,
{
    let next = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(MOST_WRITES));
    let mut players = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (next, most, scene) = (Arc::clone(&next), Arc::clone(&most), set());
        players.spawn(async move {
            let mut scene = scene.await;
            if run == Run::Renewal {
                apply(&scene).await;
                make_due(&scene).await;
                apply(&scene).await;
            }
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let (step, moment) = (number / 2 + 1, [Moment::Before, Moment::After][number % 2]);
                if step > most.load(Ordering::SeqCst) {
                    return;
                }
                match run {
                    Run::First => scene = scene.fresh().await,
                    Run::Renewal => make_due(&scene).await,
                }
                if !killed_at(&scene, run, step, moment).await {
                    most.fetch_min(step - 1, Ordering::SeqCst);
                }
            }
        });
    }
    players.join_all().await;
    let steps = most.load(Ordering::SeqCst);
    assert!(steps < MOST_WRITES, "more than {steps} journal steps");
    steps
}

/// Whether the run was killed; a run that needs fewer steps ends by itself. Either way the next run must converge.
async fn killed_at(scene: &impl Scene, run: Run, step: usize, moment: Moment) -> bool {
    let context = format!("{run:?} run killed {moment:?} journal step {step}");
    let child = start_child(&config_path(scene), step, moment);
    finished_by_the_next(scene, run, &context, was_killed(child)).await
}

/// What `killing` gives, a run that is killed; the next run must converge.
async fn finished_by_the_next<T>(scene: &impl Scene, run: Run, context: &str, killing: impl Future<Output = T>) -> T {
    let (others, accounts, versions) = (scene.others(), scene.ca().accounts(), scene.ca().orders().len());
    let watch = Watch::begin(scene.looks(), BETWEEN_LOOKS);
    let killed = killing.await;
    apply(scene).await;
    assert_eq!(scene.ca().accounts(), accounts + usize::from(run == Run::First), "{context}");
    let orders = scene.ca().orders().split_off(versions);
    assert_eq!(orders.len(), 1, "{context}: {orders:?}");
    assert_eq!(orders[0].finalized, 1, "{context}");
    let serial = orders[0].serial.clone().unwrap();
    for served in watch.end().await {
        assert!(served.len() <= 2, "{context}: served were {served:?}, only the old and the new one may be");
        let last = served.last().map(|chain| (chain.leaf.serial.as_str(), chain.digests.len()));
        assert_eq!(last, Some((serial.as_str(), 2)), "{context}");
    }
    scene.assert_nothing_left(if run == Run::First { 1 } else { 3 }, context);
    assert_eq!(scene.others(), others, "{context}");
    let again = apply(scene).await;
    assert!(again.contains("nothing to do"), "{context}: {again}");
    let config = config::load(Some(&config_path(scene))).unwrap();
    let open = wiring::store(&config).await.unwrap().open_challenges().await.unwrap();
    assert_eq!(open, [], "{context}: challenges that nobody will close");
    killed
}

/// The real binary, which must end well. Gives what it printed.
async fn apply(scene: &impl Scene) -> String {
    certferry(scene.folder(), &["apply"]).await.expect_exit(0).stdout()
}

/// The CA wants the current certificate renewed now. Whatever window was told before is forgotten.
async fn make_due(scene: &impl Scene) {
    let config = config::load(Some(&config_path(scene))).unwrap();
    let store = wiring::store(&config).await.unwrap();
    let recorded = store.recorded().await.unwrap();
    let record = recorded.certificates.values().next().unwrap();
    let current = record.current.clone().unwrap();
    let (now, hour) = (SystemClock.now(), SignedDuration::from_hours(1));
    let (start, end) = (now - hour * 2, now - hour);
    scene.ca().suggest_window(current.leaf.unwrap().serial.as_str(), Window::Between(start, end, None));
    let window = RenewalWindow { start, end, explanation_url: None, next_fetch: now - hour };
    store.save_renewal_window(current.id, &window).await.unwrap();
}

fn config_path(scene: &impl Scene) -> PathBuf {
    scene.folder().join("certferry.yaml")
}

/// The handshakes of all scenes share the processors with the programs that they watch.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

const CONFIG: &str = "CERTFERRY_TEST_CHILD_CONFIG";
const STEP: &str = "CERTFERRY_TEST_CHILD_STEP";
const MOMENT: &str = "CERTFERRY_TEST_CHILD_MOMENT";

/// A run that kills itself before or after the step.
fn start_child(config: &Path, step: usize, moment: Moment) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "killed::the_child_of_these_tests", "--nocapture"])
        .env(CONFIG, config)
        .env(STEP, step.to_string())
        .env(MOMENT, format!("{moment:?}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    child.spawn().unwrap()
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
    let Some(path) = std::env::var_os(CONFIG) else { return };
    let config = config::load(Some(Path::new(&path))).unwrap();
    let store = wiring::store(&config).await.unwrap();
    let step = std::env::var(STEP).unwrap().parse().unwrap();
    let moment = if std::env::var(MOMENT).unwrap() == "Before" { Moment::Before } else { Moment::After };
    let store = Arc::new(KillingStore::new(store, step, moment));
    let options = PlanOptions { next_wake: SignedDuration::from_hours(12), ..PlanOptions::default() };
    let report = apply_with(&config, store, Arc::new(Nobody), Arc::new(SystemClock), &options).await.unwrap();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _event: &Event) {}
}
