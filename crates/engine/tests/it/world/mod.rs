//! A world in memory: a CA, load balancers, a store that survives the process, and a switchboard that can kill the process
//! or fail a call at any point.

mod ca;
mod dns;
mod load_balancer;
mod probe;
mod store;
mod switchboard;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use certferry_core::desired::{
    CertificateSpec, DeploySpec, Desired, DnsSpec, KeyHolder, LoadBalancerSpec, RenewedBy, VersionSpec,
};
use certferry_core::plan::{Plan, PlanOptions};
use certferry_core::port::{CertificateAuthority, DnsProvider, LoadBalancer, Notify, Probe, Store};
use certferry_core::{Clock, Error, Event, KeyType};
use certferry_engine::{Engine, Limits, Parts, Report, Responder};
use jiff::{SignedDuration, Timestamp};

pub(crate) use ca::{DIRECTORY, SimulatedCa, Spoiled};
pub(crate) use dns::SimulatedDns;
pub(crate) use load_balancer::SimulatedLoadBalancer;
pub(crate) use probe::SimulatedProbe;
pub(crate) use store::SimulatedStore;
pub(crate) use switchboard::{Fault, Switchboard};

/// All that exists besides the process.
pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) switchboard: Arc<Switchboard>,
    pub(crate) ca: Arc<SimulatedCa>,
    pub(crate) load_balancers: BTreeMap<String, Arc<SimulatedLoadBalancer>>,
    pub(crate) dns: Arc<SimulatedDns>,
    pub(crate) store: Arc<SimulatedStore>,
    /// The responder of the process that runs now.
    responder: Arc<Mutex<Responder>>,
    pub(crate) events: Arc<Events>,
}

impl World {
    /// A CA and the load balancers `names`, each with listeners `https` and `https-2` and a backend set `app`, all
    /// without a bundle but `https`, which serves a bundle `old` that somebody else made.
    pub(crate) fn new(names: &[&str]) -> Self {
        let clock = Arc::new(ManualClock(Mutex::new("2026-01-01T00:00:00Z".parse().unwrap())));
        let switchboard = Arc::new(Switchboard::default());
        let responder = Arc::new(Mutex::new(Responder::default()));
        let dns = Arc::new(SimulatedDns::new(switchboard.clone()));
        let ca = Arc::new(SimulatedCa::new(switchboard.clone(), clock.clone(), responder.clone(), dns.clone()));
        let load_balancers = names.iter().enumerate().map(|(index, name)| {
            let load_balancer = SimulatedLoadBalancer::new(name, index, switchboard.clone());
            (name.to_string(), Arc::new(load_balancer))
        });
        Self {
            load_balancers: load_balancers.collect(),
            store: Arc::new(SimulatedStore::new(switchboard.clone())),
            events: Arc::default(),
            clock,
            switchboard,
            dns,
            ca,
            responder,
        }
    }

    pub(crate) fn lb(&self, name: &str) -> &SimulatedLoadBalancer {
        &self.load_balancers[name]
    }

    /// A process that starts now.
    pub(crate) fn engine(&self, desired: &Desired) -> Engine {
        let responder = Responder::default();
        *self.responder.lock().unwrap() = responder.clone();
        let load_balancers = self
            .load_balancers
            .iter()
            .map(|(name, load_balancer)| (name.parse().unwrap(), load_balancer.clone() as Arc<dyn LoadBalancer>));
        let probe = SimulatedProbe::new(self.load_balancers.values().cloned().collect(), self.responder.clone());
        let parts = Parts {
            store: self.store.clone() as Arc<dyn Store>,
            issuers: [("ca".parse().unwrap(), self.ca.clone() as Arc<dyn CertificateAuthority>)].into(),
            load_balancers: load_balancers.collect(),
            dns: [("zone".parse().unwrap(), self.dns.clone() as Arc<dyn DnsProvider>)].into(),
            dns_lookup: self.dns.clone(),
            probe: Arc::new(probe) as Arc<dyn Probe>,
            clock: self.clock.clone(),
            notify: self.events.clone(),
            responder,
        };
        Engine::new(desired.clone(), parts, Limits::default())
    }

    /// `apply` in a process of its own, to its end.
    pub(crate) async fn apply(&self, desired: &Desired) -> Report {
        self.apply_with(desired, &PlanOptions::default()).await
    }

    pub(crate) async fn apply_with(&self, desired: &Desired, options: &PlanOptions) -> Report {
        self.try_apply(desired, options).await.expect("the run begins")
    }

    /// `apply`, which may not even begin.
    pub(crate) async fn try_apply(&self, desired: &Desired, options: &PlanOptions) -> Result<Report, Error> {
        let engine = self.engine(desired);
        let run = engine.begin("a test", options).await?;
        Ok(run.carry_out(Ok(())).await)
    }

    /// `apply` in a process that the switchboard may kill: then `None`.
    pub(crate) async fn apply_until_killed(&self, desired: &Desired) -> Option<Result<Report, Error>> {
        self.apply_until_killed_with(desired, &PlanOptions::default()).await
    }

    pub(crate) async fn apply_until_killed_with(
        &self,
        desired: &Desired,
        options: &PlanOptions,
    ) -> Option<Result<Report, Error>> {
        tokio::select! {
            biased;
            outcome = self.try_apply(desired, options) => Some(outcome),
            () = self.switchboard.killed() => None,
        }
    }

    pub(crate) async fn plan(&self, desired: &Desired) -> Plan {
        self.engine(desired).plan(&PlanOptions::default()).await.expect("a plan")
    }

    /// Everything that must hold whenever nothing runs and all is well.
    pub(crate) async fn assert_settled(&self, desired: &Desired, context: &str) {
        let plan = self.plan(desired).await;
        assert!(plan.steps.is_empty(), "{context}: steps left: {:?}", plan.steps);
        assert!(plan.problems.is_empty(), "{context}: problems left: {:?}", plan.problems);
        assert!(self.dns.records().is_empty(), "{context}: TXT values are left: {:?}", self.dns.records());
        assert!(self.store.open_challenge_tokens().is_empty(), "{context}: a challenge is left open");
        for (name, load_balancer) in &self.load_balancers {
            load_balancer.assert_promises(&format!("{context}: {name}"));
            assert!(load_balancer.presented().is_empty(), "{context}: {name}: a challenge is left in place");
            let own = load_balancer.own_bundles();
            assert!(own.len() <= 2 * desired.certificates.len(), "{context}: {name}: stray bundles: {own:?}");
        }
    }
}

/// A config with certificate `www` on `https` of every load balancer.
pub(crate) fn www_on(load_balancers: &[&str]) -> Desired {
    let deploy = load_balancers.iter().map(|name| deploy(name, "https")).collect();
    desired(vec![certificate("www", &["www.some-domain.com"], load_balancers, deploy)])
}

/// A config with certificate `www` for a name and the wildcard below it, validated by dns-01, on `https` of every load
/// balancer.
pub(crate) fn wildcard_on(load_balancers: &[&str]) -> Desired {
    let deploy = load_balancers.iter().map(|name| deploy(name, "https")).collect();
    let mut spec = certificate("www", &["*.some-domain.com", "some-domain.com"], &[], deploy);
    spec.dns01 = Some("zone".parse().unwrap());
    let mut desired = desired(vec![spec]);
    desired.dns = [("zone".parse().unwrap(), DnsSpec::default())].into();
    desired
}

pub(crate) fn desired(certificates: Vec<CertificateSpec>) -> Desired {
    let names = certificates.iter().flat_map(|spec| spec.http01.iter().cloned());
    let load_balancers = names.map(|name| (name, LoadBalancerSpec::default())).collect();
    Desired { certificates, load_balancers, dns: BTreeMap::new(), warning_days: None }
}

pub(crate) fn certificate(name: &str, names: &[&str], http01: &[&str], deploy: Vec<DeploySpec>) -> CertificateSpec {
    CertificateSpec {
        name: name.parse().unwrap(),
        version: VersionSpec {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            key: KeyType::EcdsaP256,
            key_holder: KeyHolder::Store,
            issuer: "ca".parse().unwrap(),
            directory: DIRECTORY.to_owned(),
            profile: None,
        },
        renewed_by: RenewedBy::Certferry,
        http01: http01.iter().map(|name| name.parse().unwrap()).collect(),
        dns01: None,
        deploy,
    }
}

pub(crate) fn deploy(load_balancer: &str, listener: &str) -> DeploySpec {
    DeploySpec {
        load_balancer: load_balancer.parse().unwrap(),
        listener: listener.parse().unwrap(),
        probe: Vec::new(),
        create: false,
    }
}

pub(crate) fn forced() -> PlanOptions {
    PlanOptions { force_renewal: true, ..PlanOptions::default() }
}

/// As a daemon's runs have them.
pub(crate) fn unattended() -> PlanOptions {
    PlanOptions { waits_after_roll_back: true, ..PlanOptions::default() }
}

/// A clock that stands still until it is moved.
pub(crate) struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    pub(crate) fn advance(&self, days: i64) {
        self.advance_by(SignedDuration::from_hours(24 * days));
    }

    pub(crate) fn advance_by(&self, duration: SignedDuration) {
        *self.0.lock().unwrap() += duration;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// Everything that was told.
#[derive(Default)]
pub(crate) struct Events(Mutex<Vec<Event>>);

impl Events {
    pub(crate) fn actions(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|event| format!("{} {}", event.action, event.outcome)).collect()
    }

    /// Warnings that certificates end.
    pub(crate) fn warnings(&self) -> Vec<Event> {
        self.0.lock().unwrap().iter().filter(|event| event.action == "expiry_warning").cloned().collect()
    }
}

impl Notify for Events {
    fn notify(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}
