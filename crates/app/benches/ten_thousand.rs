//! `status` and `plan` with 10,000 certificates in the store, each deployed and verified, none due.
//!
//! The store is the real one, on disk. Load balancers and handshakes answer from memory: what is measured is certferry, not
//! a network. Run it with `cargo bench -p certferry-app`.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use certferry_core::desired::{CertificateSpec, DeploySpec, Desired, KeyHolder, RenewedBy, VersionSpec};
use certferry_core::observed::{
    AcceptedKeys, BoundBundle, Holds, Http01Change, ListenerObservation, Observation, Place, ServedChain,
};
use certferry_core::plan::{PlanOptions, bundle_name};
use certferry_core::port::{
    Bundle, Capabilities, Http01Challenge, HttpAnswer, LoadBalancer, NewVersion, Notify, Probe, Replacement, Store,
};
use certferry_core::recorded::{BundleRecord, Deployment, DeploymentState};
use certferry_core::renewal::RenewalWindow;
use certferry_core::{
    BundleName, Chain, Clock, Error, Event, Identifier, KeyFamily, KeyType, ListenerName, LoadBalancerName, Secret,
    Sha256, SystemClock,
};
use certferry_engine::{Engine, Limits, Parts, Responder};
use certferry_lab::pki::Pki;
use certferry_providers::dns::lookup::NetworkLookup;
use certferry_store::Sqlite;
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::SignedDuration;

const CERTIFICATES: usize = 10_000;

/// Listeners of one load balancer.
const LISTENERS: usize = 100;

fn ten_thousand(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let world = runtime.block_on(World::fill(folder.path()));
    let mut group = criterion.benchmark_group("10,000 certificates");
    group.sample_size(10).measurement_time(Duration::from_secs(20));
    group.bench_function("status", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let store = Sqlite::open_to_read(&world.database).await.unwrap();
                let recorded = store.recorded().await.unwrap();
                black_box(certferry::status_json(&world.desired, &recorded, SystemClock.now())).len()
            })
        });
    });
    group.bench_function("plan", |bencher| {
        bencher.iter(|| {
            runtime.block_on(async {
                let store = Arc::new(Sqlite::open_to_read(&world.database).await.unwrap());
                let plan = world.engine(store).plan(&PlanOptions::default()).await.unwrap();
                assert!(plan.steps.is_empty() && plan.problems.is_empty(), "{:?}", plan.steps.first());
            });
        });
    });
    group.finish();
}

struct World {
    database: std::path::PathBuf,
    desired: Desired,
    load_balancers: BTreeMap<LoadBalancerName, Arc<StillLoadBalancer>>,
    served: Arc<BTreeMap<Identifier, ServedChain>>,
}

impl World {
    async fn fill(folder: &Path) -> Self {
        let database = folder.join("bench.db");
        let store = Sqlite::open(&database, &folder.join("bench.key")).await.unwrap();
        let pki = Pki::new().unwrap();
        let mut desired = Desired::default();
        let mut observations: BTreeMap<LoadBalancerName, Observation> = BTreeMap::new();
        let mut served = BTreeMap::new();
        for number in 0..CERTIFICATES {
            let spec = spec(number);
            let chain = store_version(&store, &pki, &spec).await;
            let deploy = &spec.deploy[0];
            let digests = chain.certificates().iter().map(|der| Sha256::of(der)).collect();
            let bundle = BundleName::for_version(&spec.name, chain.leaf());
            let observation = observations.entry(deploy.load_balancer.clone()).or_default();
            observation.bundles.insert(bundle.clone(), Some(chain.leaf().sha256));
            observation.listeners.insert(deploy.listener.clone(), listener(number, bundle));
            let leaf = chain.leaf().clone();
            served.insert(spec.version.names[0].clone(), ServedChain { leaf, digests });
            desired.certificates.push(spec);
        }
        let load_balancers = observations
            .into_iter()
            .map(|(name, observation)| (name.clone(), Arc::new(StillLoadBalancer { name, observation })));
        Self { database, desired, load_balancers: load_balancers.collect(), served: Arc::new(served) }
    }

    fn engine(&self, store: Arc<dyn Store>) -> Engine {
        let load_balancers =
            self.load_balancers.iter().map(|(name, one)| (name.clone(), one.clone() as Arc<dyn LoadBalancer>));
        let parts = Parts {
            store,
            issuers: BTreeMap::new(),
            load_balancers: load_balancers.collect(),
            dns: BTreeMap::new(),
            dns_lookup: Arc::new(NetworkLookup::new(Vec::new())),
            probe: Arc::new(StillProbe(self.served.clone())),
            clock: Arc::new(SystemClock),
            notify: Arc::new(Nobody),
            responder: Responder::default(),
        };
        Engine::new(self.desired.clone(), parts, Limits::default())
    }
}

fn spec(number: usize) -> CertificateSpec {
    let names = vec![format!("c{number}.some-domain.test").parse().unwrap()];
    CertificateSpec {
        name: format!("c{number}").parse().unwrap(),
        version: VersionSpec {
            names,
            key: KeyType::EcdsaP256,
            key_holder: KeyHolder::Store,
            issuer: "ca".parse().unwrap(),
            directory: String::new(),
            profile: None,
        },
        renewed_by: RenewedBy::Certferry,
        http01: Vec::new(),
        dns01: None,
        deploy: vec![DeploySpec {
            load_balancer: format!("lb{}", number / LISTENERS).parse().unwrap(),
            listener: format!("listener-{number}").parse().unwrap(),
            probe: Vec::new(),
            create: false,
        }],
    }
}

/// A version that was issued, uploaded, bound and verified.
async fn store_version(store: &Sqlite, pki: &Pki, spec: &CertificateSpec) -> Chain {
    let now = SystemClock.now();
    let issued = pki.issue(&[spec.version.names[0].to_string().as_str()], 90).unwrap();
    let chain = Chain::parse(&issued.chain_pem).unwrap();
    let new = NewVersion {
        certificate: spec.name.clone(),
        spec: spec.version.clone(),
        replaces: None,
        private_key: Some(Secret::new(issued.private_key_pem)),
        csr: None,
        created_at: now,
    };
    let mut version = store.begin_version(&new).await.unwrap();
    store.save_issued(version.id, &chain, now).await.unwrap();
    version.leaf = Some(chain.leaf().clone());
    let day = SignedDuration::from_hours(24);
    let window =
        RenewalWindow { start: now + day * 60, end: now + day * 62, explanation_url: None, next_fetch: now + day };
    store.save_renewal_window(version.id, &window).await.unwrap();
    let DeploySpec { load_balancer, listener, .. } = spec.deploy[0].clone();
    let name = bundle_name(Replacement::SideBySide, &version).unwrap();
    let bundle = BundleRecord {
        load_balancer: load_balancer.clone(),
        name: name.clone(),
        certificate: spec.name.clone(),
        version: version.id,
        served_at: Some(now),
        served_version: Some(version.id),
    };
    store.save_bundle(&bundle).await.unwrap();
    let deployment = Deployment {
        certificate: spec.name.clone(),
        load_balancer,
        listener,
        state: DeploymentState::Verified,
        version: version.id,
        bundle: name,
        previous_bundle: None,
        deployed_serial: Some(chain.leaf().serial.clone()),
        served_serial: Some(chain.leaf().serial.clone()),
        verified_at: Some(now),
        last_error: None,
        roll_back: None,
        updated_at: now,
    };
    store.save_deployment(&deployment).await.unwrap();
    chain
}

fn listener(number: usize, bundle: BundleName) -> ListenerObservation {
    let port = u16::try_from(1024 + number % LISTENERS).unwrap();
    ListenerObservation {
        tls: true,
        bundles: vec![BoundBundle::only(bundle)],
        holds: Holds::One,
        unfit: None,
        accepts: AcceptedKeys { ecdsa: true, rsa: true, suite: "any".to_owned() },
        server_names: Vec::new(),
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], port))],
    }
}

/// A load balancer that nobody changes.
struct StillLoadBalancer {
    name: LoadBalancerName,
    observation: Observation,
}

#[async_trait]
impl LoadBalancer for StillLoadBalancer {
    fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            replacement: Replacement::SideBySide,
            needs_common_name: false,
            creates_listeners: false,
            answers_challenges: false,
        }
    }

    async fn observe(&self) -> Result<Observation, Error> {
        Ok(self.observation.clone())
    }

    async fn upload(&self, _bundle: &Bundle) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }

    async fn bind(&self, _place: &Place, _bundle: &BundleName) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }

    async fn unbind(&self, _place: &Place, _bundle: &BundleName) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }

    async fn create_listener(&self, _listener: &ListenerName, _bundle: &BundleName) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }

    async fn delete(&self, _bundle: &BundleName) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }

    async fn prepare_http01(&self, _change: &Http01Change) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }

    async fn present(&self, _name: &Identifier, _challenge: &Http01Challenge) -> Result<Vec<SocketAddr>, Error> {
        unreachable!("a plan changes nothing")
    }

    async fn withdraw(&self, _token: &str) -> Result<(), Error> {
        unreachable!("a plan changes nothing")
    }
}

/// Serves what was deployed.
struct StillProbe(Arc<BTreeMap<Identifier, ServedChain>>);

#[async_trait]
impl Probe for StillProbe {
    async fn tls(
        &self,
        _address: SocketAddr,
        server_name: &Identifier,
        _family: Option<KeyFamily>,
    ) -> Result<ServedChain, String> {
        self.0.get(server_name).cloned().ok_or_else(|| "not served".to_owned())
    }

    async fn http01(&self, _address: SocketAddr, _name: &Identifier, _token: &str) -> Result<HttpAnswer, String> {
        unreachable!("a plan fetches no challenge")
    }
}

struct Nobody;

impl Notify for Nobody {
    fn notify(&self, _event: &Event) {}
}

criterion_group!(benches, ten_thousand);
criterion_main!(benches);
