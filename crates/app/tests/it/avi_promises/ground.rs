//! A controller, a CA and a config that one case after another is played on, in this process, with limits that suit tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use certferry::config::{Config, Provider};
use certferry::{apply_with, config, wiring};
use certferry_core::observed::ServedChain;
use certferry_core::plan::PlanOptions;
use certferry_core::port::Notify;
use certferry_core::recorded::DeploymentState;
use certferry_core::{Clock, Event, KeyFamily, SystemClock};
use certferry_engine::Report;
use certferry_lab::acme_ca::OrderRecord;
use certferry_lab::avi_controller::RequestRecord;
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::avi::Limits;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::avi::stage::{AviStage, BY_HAND, SHOP, differences};
use crate::killed::watch::{Look, Watch, served_now};
use crate::stage::LabCa;

/// What certferry's certificate object is called for certificate `www`.
const OWN: &str = "cf-www";

pub(crate) struct Ground {
    pub(crate) stage: AviStage,
    pub(crate) ca: LabCa,
    config: Config,
    /// Every object as it was before certferry came.
    untouched: BTreeMap<String, Value>,
    /// What is served with an RSA key.
    other_kind: ServedChain,
}

impl Ground {
    /// With certificate `www` on [`SHOP`], and nothing on port 80, for which `port_80` is chosen.
    pub(crate) async fn prepare(port_80: &str) -> Self {
        let stage = AviStage::new().await;
        let ca = stage.lab_ca().await;
        let text = stage.config(&ca.issuer(), stage.www()).http01(&format!("port-80: {port_80}"));
        stage.configure(&text).await;
        let config = config::load(Some(&stage.path("certferry.yaml"))).unwrap();
        let untouched = stage.objects();
        let other_kind = served_now(Look { address: stage.address(443), family: Some(KeyFamily::Rsa) }).await;
        Self { stage, ca, config, untouched, other_kind }
    }

    /// As before certferry came, with an empty store.
    pub(crate) fn clear(&self) {
        for name in DATABASE {
            match std::fs::remove_file(self.stage.path(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{name}: {error}"),
                _ => {}
            }
        }
        let refs = self.untouched[&format!("virtualservice {SHOP}")][REFS].clone();
        self.stage.lab.edit("virtualservice", SHOP, move |shop| shop[REFS] = refs).unwrap();
        let made: BTreeSet<String> = self.stage.objects().into_keys().collect();
        let made = made.iter().filter(|label| !self.untouched.contains_key(*label));
        // The leaf refers to its authority's object.
        let (own, others): (Vec<&String>, Vec<&String>) = made.partition(|label| label.ends_with(OWN));
        for label in own.into_iter().chain(others) {
            let (kind, name) = label.split_once(' ').unwrap();
            self.stage.lab.delete(kind, name).unwrap();
        }
        assert_eq!(differences(&self.untouched, &self.stage.objects()), BTreeSet::new());
    }

    /// One run in this process.
    pub(crate) async fn apply(&self, limits: Limits, force_renewal: bool, clock: Arc<dyn Clock>) -> Report {
        let mut config = self.config.clone();
        for load_balancer in config.load_balancers.values_mut() {
            if let Provider::Avi(avi) = &mut load_balancer.provider {
                avi.limits = limits;
            }
        }
        let options =
            PlanOptions { next_wake: SignedDuration::from_hours(12), force_renewal, ..PlanOptions::default() };
        let store = wiring::store(&config).await.unwrap();
        apply_with(&config, store, Arc::new(Nobody), clock, &options).await.unwrap()
    }

    /// The calls of an undisturbed first run.
    pub(crate) async fn calls_of_a_first_run(&self) -> Vec<RequestRecord> {
        self.calls_of(false).await
    }

    /// The calls of an undisturbed run.
    pub(crate) async fn calls_of(&self, force_renewal: bool) -> Vec<RequestRecord> {
        let before = self.stage.lab.request_count();
        let report = self.apply(quick(), force_renewal, Arc::new(SystemClock)).await;
        assert!(report.failures.is_empty(), "{:?}", report.failures);
        self.stage.lab.requests_after(before)
    }

    /// Handshakes with the kind of key that certferry's certificate has.
    pub(crate) fn watch(&self, pause: Duration) -> Watch {
        Watch::begin(vec![self.look(KeyFamily::Ecdsa)], pause)
    }

    pub(crate) fn look(&self, family: KeyFamily) -> Look {
        Look { address: self.stage.address(443), family: Some(family) }
    }

    /// Everything that must hold when all is done, after `orders_before` earlier orders.
    pub(crate) async fn assert_settled(&self, watch: Watch, orders_before: usize, context: &str) {
        let orders: Vec<OrderRecord> = self.ca.ca.orders().split_off(orders_before);
        assert_eq!(orders.len(), 1, "{context}: one version, one order: {orders:?}");
        assert_eq!(orders[0].finalized, 1, "{context}: {orders:?}");
        let serial = orders[0].serial.clone().unwrap();

        let [served] = <[_; 1]>::try_from(watch.end().await).unwrap();
        assert!(served.len() <= 2, "{context}: served were {served:?}, only the old and the new one may be");
        let last = served.last().map(|chain| (chain.leaf.serial.as_str(), chain.digests.len()));
        assert_eq!(last, Some((serial.as_str(), 2)), "{context}");
        let other = served_now(self.look(KeyFamily::Rsa)).await;
        assert_eq!(other, self.other_kind, "{context}: the other kind of key is nobody's business");

        self.assert_only_the_certificate_is_new(context);

        let store = wiring::store(&self.config).await.unwrap();
        let recorded = store.recorded().await.unwrap();
        let [record] = <[_; 1]>::try_from(recorded.certificates.into_values().collect::<Vec<_>>()).unwrap();
        assert!(record.pending.is_none() && record.issue_failure.is_none(), "{context}: {record:?}");
        let states: Vec<DeploymentState> = record.deployments.iter().map(|deployment| deployment.state).collect();
        assert_eq!(states, [DeploymentState::Verified], "{context}: {record:?}");
        let open = store.open_challenges().await.unwrap();
        assert_eq!(open, [], "{context}: challenges that nobody will close");
    }

    /// Field by field: the certificate and its authority's are new, and [`SHOP`] refers to it instead of the other one of its
    /// kind. No policy set, link, port or virtual service is left.
    pub(crate) fn assert_only_the_certificate_is_new(&self, context: &str) {
        let changed = differences(&self.untouched, &self.stage.objects());
        let (made, edited): (BTreeSet<&String>, BTreeSet<&String>) =
            changed.iter().partition(|change| change.starts_with("+ sslkeyandcertificate "));
        assert_eq!(edited, BTreeSet::from([&format!("virtualservice {SHOP}: {REFS}")]), "{context}");
        assert!(made.contains(&format!("+ sslkeyandcertificate {OWN}")) && made.len() == 2, "{context}: {made:?}");
        assert_eq!(self.stage.bound(SHOP), [OWN, BY_HAND[1]], "{context}");
    }
}

/// Limits for a controller that answers: nothing here takes long.
pub(crate) fn quick() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(5),
        retry: Duration::from_secs(20),
        refused_login: Duration::from_secs(60),
        backoff: Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(50) },
    }
}

/// Whether a call changes an object: logins and logouts do not, nor the attempts by which rights are found out.
pub(crate) fn changes_an_object(call: &RequestRecord) -> bool {
    let is_session = ["POST login", "POST logout"].contains(&call.operation.as_str());
    call.method != "GET" && !is_session && call.status != Some(404)
}

/// The time of day, a while from now: what somebody asked to wait for has passed.
pub(crate) struct Later(pub(crate) SignedDuration);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _event: &Event) {}
}

const REFS: &str = "ssl_key_and_certificate_refs";

/// The files of the store, an SQLite database in WAL mode.
const DATABASE: [&str; 3] = ["certferry.db", "certferry.db-shm", "certferry.db-wal"];
