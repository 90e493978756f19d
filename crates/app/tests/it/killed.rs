//! Promise 1: kill -9 at every journal step of a run, then run again: it converges.
//!
//! The run is a child process: this test binary again, with a store that kills its own process, by SIGKILL, before or after
//! its N-th write. CA and load balancer live in the parent and survive, as they do in life.

use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use certferry::{apply_with, config, wiring};
use certferry_core::observed::ServedChain;
use certferry_core::plan::PlanOptions;
use certferry_core::port::{AccountRecord, HistoryFilter, Lease, NewVersion, Notify, OpenChallenge, Probe, Store};
use certferry_core::recorded::{BundleRecord, Deployment, Recorded, Version, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use certferry_core::{
    BundleName, CertificateName, Chain, Clock, Error, Event, IssuerName, ListenerName, LoadBalancerName, Secret,
    SystemClock,
};
use certferry_lab::acme_ca::Window;
use certferry_providers::probe::NetworkProbe;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::stage::{LabCa, SERVER_NAME, Stage};

/// Stages that are worked through side by side.
const AT_ONCE: usize = 6;

/// More writes than any run makes: the enumeration has to end by itself.
const MOST_WRITES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_killed_at_every_journal_step_is_finished_by_the_next() {
    let writes = enumerate(|step, moment| async move {
        let scene = Scene::set().await;
        scene.killed_at(step, moment, 0).await
    })
    .await;
    println!("{writes} journal steps in a first run, each killed before and after");
    assert!(writes > 15, "only {writes} journal steps are no whole run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_renewal_killed_at_every_journal_step_is_finished_by_the_next() {
    let writes = enumerate(|step, moment| async move {
        let scene = Scene::set().await;
        scene.stage.apply().await;
        scene.make_due().await;
        scene.stage.apply().await;
        scene.make_due().await;
        scene.killed_at(step, moment, 2).await
    })
    .await;
    println!("{writes} journal steps in a renewal that retires a bundle, each killed before and after");
    assert!(writes > 15, "only {writes} journal steps are no whole run");
}

/// Runs `case` for each step, before and after, until a run needs fewer steps. Gives the number of steps.
async fn enumerate<F: Future<Output = bool> + Send + 'static>(case: impl Fn(usize, Moment) -> F) -> usize {
    let mut step = 1;
    while step <= MOST_WRITES {
        let cases: Vec<JoinHandle<bool>> = (step..step + AT_ONCE / 2)
            .flat_map(|step| [Moment::Before, Moment::After].map(|moment| (step, moment)))
            .map(|(step, moment)| tokio::spawn(case(step, moment)))
            .collect();
        let mut killed = Vec::new();
        for case in cases {
            killed.push(case.await.unwrap());
        }
        if let Some(first_whole) = killed.iter().position(|killed| !killed) {
            return step + first_whole / 2 - 1;
        }
        step += AT_ONCE / 2;
    }
    panic!("more than {MOST_WRITES} journal steps");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    After,
    Before,
}

struct Scene {
    stage: Stage,
    ca: LabCa,
}

impl Scene {
    async fn set() -> Self {
        let stage = Stage::new().await;
        let ca = stage.lab_ca().await;
        let deploys = format!("{}{}", stage.deploy(0, "https", 443), stage.deploy(0, "shop", 8443));
        stage.configure(&ca.issuer(), &format!("  www:\n    names: [{SERVER_NAME}]\n    deploy:\n{deploys}"));
        Self { stage, ca }
    }

    /// The CA wants the current certificate renewed now.
    async fn make_due(&self) {
        let serial = self.stage.issued_serial().await;
        let now = SystemClock.now();
        let hour = SignedDuration::from_hours(1);
        self.ca.ca.suggest_window(&serial, Window::Between(now - hour * 2, now - hour, None));
    }

    /// Whether the run was killed; a run that needs fewer steps ends by itself. Either way the next run must converge.
    async fn killed_at(&self, step: usize, moment: Moment, versions_before: usize) -> bool {
        let context = format!("killed {moment:?} journal step {step}");
        let fields = ["https", "shop"].map(|listener| self.stage.other_fields(listener));
        let watch = Watch::begin([443, 8443].map(|port| self.stage.address(port)));
        let killed = run_child(&self.stage.config_path(), step, moment).await;
        self.stage.apply().await;
        assert_eq!(self.ca.ca.accounts(), 1, "{context}");
        let orders = self.ca.ca.orders();
        assert_eq!(orders.len(), versions_before + 1, "{context}: {orders:?}");
        assert_eq!(orders[versions_before].finalized, 1, "{context}");
        let serial = orders[versions_before].serial.clone().unwrap();
        for served in watch.end().await {
            assert!(served.len() <= 2, "{context}: served were {served:?}, only the old and the new one may be");
            let last = served.last().map(|chain| (chain.leaf.serial.as_str(), chain.digests.len()));
            assert_eq!(last, Some((serial.as_str(), 2)), "{context}");
        }
        let bundles = self.stage.own_bundles();
        assert_eq!(bundles.len(), (versions_before + 1).min(2), "{context}: {bundles:?}");
        let now = ["https", "shop"].map(|listener| self.stage.other_fields(listener));
        assert_eq!(now, fields, "{context}");
        assert_eq!(self.stage.bound("https"), self.stage.bound("shop"), "{context}");
        let again = self.stage.apply().await;
        assert!(again.stdout().contains("nothing to do"), "{context}: {}", again.stdout());
        let config = config::load(Some(&self.stage.config_path())).unwrap();
        let open = wiring::store(&config).await.unwrap().open_challenges().await.unwrap();
        assert_eq!(open, [], "{context}: challenges that nobody will close");
        killed
    }
}

/// Handshakes with two listeners all the time: a single one that fails, or that returns a pair that does not fit, fails the
/// test.
struct Watch {
    stop: oneshot::Sender<()>,
    watching: JoinHandle<[Vec<ServedChain>; 2]>,
}

impl Watch {
    fn begin(addresses: [SocketAddr; 2]) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let watching = tokio::spawn(async move {
            let probe = NetworkProbe::new();
            let name = SERVER_NAME.parse().unwrap();
            let mut seen: [Vec<ServedChain>; 2] = Default::default();
            loop {
                // Looked at before the last look, so that nothing that was done before is missed.
                let last = stopped.try_recv().is_ok();
                for (address, chains) in addresses.iter().zip(&mut seen) {
                    let served = probe.tls(*address, &name, None).await;
                    let served = served.unwrap_or_else(|error| panic!("a handshake with {address} failed: {error}"));
                    if chains.last() != Some(&served) {
                        chains.push(served);
                    }
                }
                if last {
                    return seen;
                }
                tokio::time::sleep(BETWEEN_LOOKS).await;
            }
        });
        Self { stop, watching }
    }

    /// The chains that were seen on each, in order.
    async fn end(self) -> [Vec<ServedChain>; 2] {
        let _ = self.stop.send(());
        self.watching.await.unwrap()
    }
}

/// The handshakes of all stages share the processors with the programs that they watch.
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

const CONFIG: &str = "CERTFERRY_TEST_CHILD_CONFIG";
const STEP: &str = "CERTFERRY_TEST_CHILD_STEP";
const MOMENT: &str = "CERTFERRY_TEST_CHILD_MOMENT";

/// Whether the child was killed. It must end in no other way than by SIGKILL or well.
async fn run_child(config: &Path, step: usize, moment: Moment) -> bool {
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "killed::the_child_of_these_tests", "--nocapture"])
        .env(CONFIG, config)
        .env(STEP, step.to_string())
        .env(MOMENT, format!("{moment:?}"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = child.output().await.unwrap();
    match (output.status.code(), std::os::unix::process::ExitStatusExt::signal(&output.status)) {
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
    let store = KillingStore {
        store,
        writes: AtomicUsize::new(0),
        step: std::env::var(STEP).unwrap().parse().unwrap(),
        before: std::env::var(MOMENT).unwrap() == "Before",
    };
    let options = PlanOptions { next_wake: SignedDuration::from_hours(12), ..PlanOptions::default() };
    let report = apply_with(&config, Arc::new(store), Arc::new(Nobody), Arc::new(SystemClock), &options).await.unwrap();
    assert!(report.failures.is_empty(), "{:?}", report.failures);
}

struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _event: &Event) {}
}

/// The real store, which kills the process at one of its writes.
struct KillingStore {
    store: Arc<dyn Store>,
    writes: AtomicUsize,
    step: usize,
    before: bool,
}

impl KillingStore {
    async fn write<T>(&self, write: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let strikes = self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.step;
        if strikes && self.before {
            return die().await;
        }
        let outcome = write.await;
        if strikes {
            return die().await;
        }
        outcome
    }
}

/// SIGKILL, from outside: no destructor runs, no buffer is flushed.
async fn die<T>() -> T {
    Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    pending().await
}

#[async_trait]
impl Store for KillingStore {
    async fn acquire_lease(&self, holder: &str) -> Result<Lease, Error> {
        self.store.acquire_lease(holder).await
    }

    async fn recorded(&self) -> Result<Recorded, Error> {
        self.store.recorded().await
    }

    async fn account(&self, issuer: &IssuerName, directory_url: &str) -> Result<Option<AccountRecord>, Error> {
        self.store.account(issuer, directory_url).await
    }

    async fn save_account(&self, account: &AccountRecord) -> Result<(), Error> {
        self.write(self.store.save_account(account)).await
    }

    async fn begin_version(&self, version: &NewVersion) -> Result<Version, Error> {
        self.write(self.store.begin_version(version)).await
    }

    async fn save_order(&self, version: VersionId, order_url: &str) -> Result<(), Error> {
        self.write(self.store.save_order(version, order_url)).await
    }

    async fn save_issued(&self, version: VersionId, chain: &Chain, at: Timestamp) -> Result<(), Error> {
        self.write(self.store.save_issued(version, chain, at)).await
    }

    async fn save_revoked(&self, version: VersionId, at: Timestamp) -> Result<(), Error> {
        self.write(self.store.save_revoked(version, at)).await
    }

    async fn abandon_version(&self, version: VersionId, why: &str) -> Result<(), Error> {
        self.write(self.store.abandon_version(version, why)).await
    }

    async fn private_key(&self, version: VersionId) -> Result<Secret<String>, Error> {
        self.store.private_key(version).await
    }

    async fn csr(&self, version: VersionId) -> Result<Option<Vec<u8>>, Error> {
        self.store.csr(version).await
    }

    async fn chain(&self, version: VersionId) -> Result<Chain, Error> {
        self.store.chain(version).await
    }

    async fn save_renewal_window(&self, version: VersionId, window: &RenewalWindow) -> Result<(), Error> {
        self.write(self.store.save_renewal_window(version, window)).await
    }

    async fn save_issue_failure(&self, certificate: &CertificateName, failure: &IssueFailure) -> Result<(), Error> {
        self.write(self.store.save_issue_failure(certificate, failure)).await
    }

    async fn open_challenge(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        self.write(self.store.open_challenge(challenge)).await
    }

    async fn close_challenge(&self, token: &str) -> Result<(), Error> {
        self.write(self.store.close_challenge(token)).await
    }

    async fn open_challenges(&self) -> Result<Vec<OpenChallenge>, Error> {
        self.store.open_challenges().await
    }

    async fn save_bundle(&self, bundle: &BundleRecord) -> Result<(), Error> {
        self.write(self.store.save_bundle(bundle)).await
    }

    async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error> {
        self.write(self.store.forget_bundle(load_balancer, name)).await
    }

    async fn save_deployment(&self, deployment: &Deployment) -> Result<(), Error> {
        self.write(self.store.save_deployment(deployment)).await
    }

    async fn forget_deployment(
        &self,
        certificate: &CertificateName,
        load_balancer: &LoadBalancerName,
        listener: &ListenerName,
    ) -> Result<(), Error> {
        self.write(self.store.forget_deployment(certificate, load_balancer, listener)).await
    }

    async fn append_history(&self, event: &Event) -> Result<(), Error> {
        self.write(self.store.append_history(event)).await
    }

    async fn append_warning(
        &self,
        version: VersionId,
        threshold: SignedDuration,
        event: &Event,
    ) -> Result<bool, Error> {
        self.write(self.store.append_warning(version, threshold, event)).await
    }

    async fn save_warning_days(&self, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Error> {
        self.write(self.store.save_warning_days(load_balancer, days)).await
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<Vec<Event>, Error> {
        self.store.history(filter).await
    }
}
