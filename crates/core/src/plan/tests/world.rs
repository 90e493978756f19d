//! The inputs of a plan, put together as a story tells them.

use std::net::SocketAddr;

use super::super::*;
use crate::chain::{LeafFacts, Sha256};
use crate::desired::VersionSpec;
use crate::error::Error;
use crate::name::ListenerName;
use crate::observed::{AcceptedKeys, BoundBundle, Holds, ListenerObservation, Observation, Served, ServedChain, Unfit};
use crate::recorded::{Deployment, DeploymentState, VersionId};
use crate::retry::RollBack;

/// Certificates here are valid from January to April, so that a third of the lifetime is left on the second of March.
const NOT_BEFORE: &str = "2026-01-01T00:00:00Z";
const NOT_AFTER: &str = "2026-04-01T00:00:00Z";

/// What a listener says that certferry sets no certificate on.
pub(in crate::plan) fn held_elsewhere() -> Unfit {
    Unfit {
        what: "it serves certificate ocid1.x".to_owned(),
        fix: "give it a bundle (certificateName) once".to_owned(),
    }
}

/// A time at which nothing is due.
pub(in crate::plan) const NOT_DUE: &str = "2026-02-01T00:00:00Z";
/// A time at which renewal is due.
pub(in crate::plan) const DUE: &str = "2026-03-02T00:00:00Z";
/// A time at which every certificate has ended.
pub(in crate::plan) const ENDED: &str = "2026-04-01T00:00:00Z";

/// All that a plan depends on.
#[derive(Clone, Debug)]
pub(in crate::plan) struct World {
    pub(in crate::plan) desired: Desired,
    pub(in crate::plan) observed: Observed,
    pub(in crate::plan) recorded: Recorded,
    pub(in crate::plan) capabilities: BTreeMap<LoadBalancerName, Capabilities>,
    pub(in crate::plan) now: Timestamp,
    pub(in crate::plan) options: PlanOptions,
    /// Common name and extended key usages of the versions that are issued from now on.
    pub(in crate::plan) subject: (Option<String>, Vec<String>),
}

impl World {
    /// No certificate, no load balancer, and nothing is due.
    pub(in crate::plan) fn empty() -> Self {
        Self {
            desired: Desired::default(),
            observed: Observed::default(),
            recorded: Recorded::default(),
            capabilities: BTreeMap::new(),
            now: at(NOT_DUE),
            options: PlanOptions::default(),
            subject: (None, Vec::new()),
        }
    }

    /// Certificate `www`, never issued, is to be served by listener `https` of `front`, which serves somebody's `old`.
    pub(in crate::plan) fn new() -> Self {
        let mut world = Self::empty();
        world.add_load_balancer("front", Replacement::SideBySide);
        world.add_listener("front", "https", Some("old"));
        world.add_certificate("www", &[("front", "https")]);
        world
    }

    /// The same, with its version `id` issued, uploaded, bound and verified.
    pub(in crate::plan) fn with_deployed(id: i64) -> Self {
        let mut world = Self::new();
        world.deploy("www", id);
        world
    }

    pub(in crate::plan) fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, &self.recorded, &self.capabilities, self.now, &self.options)
    }

    pub(in crate::plan) fn delivery(&self, certificate: &str) -> Plan {
        let (spec, capabilities) = (self.wanted(certificate), &self.capabilities);
        delivery(&self.desired, spec, &self.observed, &self.recorded, capabilities, self.now, &self.options)
    }

    /// The steps that are planned, one line each.
    pub(in crate::plan) fn lines(&self) -> Vec<String> {
        self.lines_of(&self.plan())
    }

    /// Steps as lines: action, certificate, load balancer, listener, object; where one is unknown nothing stands. Bundles of
    /// versions 1 to 9 read `v1` to `v9`.
    pub(in crate::plan) fn lines_of(&self, plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| self.line(step)).collect()
    }

    fn line(&self, step: &Step) -> String {
        let certificate = step.certificate.as_ref().map(CertificateName::as_str);
        let object = step.object.as_ref().map(|object| {
            let is_it = |id: &i64| {
                certificate.is_some_and(|name| self.side_by_side_name(name, *id).as_str() == object.as_str())
            };
            (1..10).find(is_it).map_or_else(|| object.clone(), |id| format!("v{id}"))
        });
        let words = [
            Some(step.action.as_str()),
            certificate,
            step.load_balancer.as_ref().map(LoadBalancerName::as_str),
            step.listener.as_ref().map(ListenerName::as_str),
            object.as_deref(),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    // What the config wants.

    pub(in crate::plan) fn add_certificate(&mut self, name: &str, deploys: &[(&str, &str)]) {
        let deploy = |(load_balancer, listener): &(&str, &str)| DeploySpec {
            load_balancer: load_balancer.parse().unwrap(),
            listener: listener.parse().unwrap(),
            probe: Vec::new(),
            create: false,
        };
        self.desired.certificates.push(CertificateSpec {
            name: name.parse().unwrap(),
            version: VersionSpec {
                names: vec![format!("{name}.some-domain.com").parse().unwrap()],
                key: crate::KeyType::EcdsaP256,
                key_holder: KeyHolder::Store,
                issuer: "letsencrypt".parse().unwrap(),
                directory: "https://ca.test/directory".to_owned(),
                profile: None,
            },
            renewed_by: crate::desired::RenewedBy::Certferry,
            http01: Vec::new(),
            dns01: None,
            deploy: deploys.iter().map(deploy).collect(),
        });
    }

    pub(in crate::plan) fn wanted(&self, certificate: &str) -> &CertificateSpec {
        self.desired.certificates.iter().find(|spec| spec.name.as_str() == certificate).unwrap()
    }

    pub(in crate::plan) fn want(&mut self, certificate: &str) -> &mut CertificateSpec {
        self.desired.certificates.iter_mut().find(|spec| spec.name.as_str() == certificate).unwrap()
    }

    // What is there.

    pub(in crate::plan) fn add_load_balancer(&mut self, name: &str, replacement: Replacement) {
        let name: LoadBalancerName = name.parse().unwrap();
        self.capabilities.insert(
            name.clone(),
            Capabilities { replacement, needs_common_name: false, creates_listeners: true, answers_challenges: false },
        );
        self.observed.load_balancers.insert(name, Ok(Observation::default()));
    }

    pub(in crate::plan) fn add_listener(&mut self, load_balancer: &str, name: &str, bundle: Option<&str>) {
        let listener = ListenerObservation {
            tls: true,
            bundles: bundle.map(|name| BoundBundle::only(BundleName::observed(name))).into_iter().collect(),
            holds: Holds::One,
            unfit: None,
            accepts: AcceptedKeys { ecdsa: true, rsa: true, suite: "modern".to_owned() },
            server_names: Vec::new(),
            addresses: vec![address()],
        };
        let observation = self.load_balancer(load_balancer);
        observation.listeners.insert(name.parse().unwrap(), listener);
        observation.bundles.extend(bundle.map(|name| (BundleName::observed(name), Some(Sha256::of(name.as_bytes())))));
    }

    pub(in crate::plan) fn load_balancer(&mut self, name: &str) -> &mut Observation {
        self.observed.load_balancers.get_mut(name).unwrap().as_mut().unwrap()
    }

    pub(in crate::plan) fn listener(&mut self, load_balancer: &str, name: &str) -> &mut ListenerObservation {
        self.load_balancer(load_balancer).listeners.get_mut(name).unwrap()
    }

    pub(in crate::plan) fn break_load_balancer(&mut self, name: &str, error: Error) {
        self.observed.load_balancers.insert(name.parse().unwrap(), Err(error));
    }

    pub(in crate::plan) fn remove_bundle(&mut self, load_balancer: &str, certificate: &str, id: i64) {
        let name = self.side_by_side_name(certificate, id);
        self.load_balancer(load_balancer).bundles.remove(&name).unwrap();
    }

    /// A handshake with a listener returned the leaf with this digest.
    pub(in crate::plan) fn probe(&mut self, load_balancer: &str, listener: &str, leaf: Sha256) {
        let leaf = LeafFacts::for_tests(NOT_BEFORE, NOT_AFTER, leaf);
        let digests = vec![leaf.sha256];
        self.answer(load_balancer, listener, Ok(ServedChain { leaf, digests }));
    }

    pub(in crate::plan) fn answer(&mut self, load_balancer: &str, listener: &str, answer: Result<ServedChain, String>) {
        let key = (load_balancer.parse().unwrap(), listener.parse().unwrap());
        let served = Served { address: address(), server_name: "www.some-domain.com".parse().unwrap(), answer };
        let is_there = |deploy: &DeploySpec| (&deploy.load_balancer, &deploy.listener) == (&key.0, &key.1);
        for spec in self.desired.certificates.iter().filter(|spec| spec.deploy.iter().any(is_there)) {
            let by_listener = self.observed.served.entry(spec.name.clone()).or_default();
            by_listener.entry(key.clone()).or_default().push(served.clone());
        }
    }

    // What was done before.

    pub(in crate::plan) fn record(&mut self, certificate: &str) -> &mut CertificateRecord {
        self.recorded.certificates.entry(certificate.parse().unwrap()).or_default()
    }

    /// A version as the config wants it now.
    pub(in crate::plan) fn version(&self, certificate: &str, id: i64) -> Version {
        let mut leaf = LeafFacts::for_tests(NOT_BEFORE, NOT_AFTER, digest(certificate, id));
        (leaf.common_name, leaf.extended_key_usages) = self.subject.clone();
        Version {
            id: VersionId(id),
            certificate: certificate.parse().unwrap(),
            spec: self.wanted(certificate).version.clone(),
            order_url: Some(format!("https://ca.some-domain.com/order/{id}")),
            replaces: None,
            leaf: Some(leaf),
            created_at: at(NOT_BEFORE),
            issued_at: Some(at(NOT_BEFORE)),
            revoked_at: None,
        }
    }

    /// What the CA puts into the versions that are issued from now on.
    pub(in crate::plan) fn give(&mut self, common_name: &str, usages: &[&str]) {
        self.subject = (Some(common_name.to_owned()), usages.iter().map(|usage| (*usage).to_owned()).collect());
    }

    pub(in crate::plan) fn issue(&mut self, certificate: &str, id: i64) {
        self.record(certificate).current = None;
        let version = self.version(certificate, id);
        self.record(certificate).current = Some(version);
    }

    /// certferry puts version `id` on a load balancer.
    pub(in crate::plan) fn upload(&mut self, load_balancer: &str, certificate: &str, id: i64, served: bool) {
        let name = self.bundle_name(load_balancer, certificate, id);
        self.load_balancer(load_balancer).bundles.insert(name.clone(), Some(digest(certificate, id)));
        self.recorded.bundles.retain(|bundle| bundle.load_balancer.as_str() != load_balancer || bundle.name != name);
        self.recorded.bundles.push(BundleRecord {
            load_balancer: load_balancer.parse().unwrap(),
            name,
            certificate: certificate.parse().unwrap(),
            version: VersionId(id),
            served_at: served.then(|| at(NOT_BEFORE)),
            served_version: served.then_some(VersionId(id)),
        });
    }

    pub(in crate::plan) fn bind(&mut self, load_balancer: &str, listener: &str, certificate: &str, id: i64) {
        let name = self.bundle_name(load_balancer, certificate, id);
        self.listener(load_balancer, listener).bundles = vec![BoundBundle::only(name)];
    }

    /// Issues version `id`, uploads, binds and verifies it wherever the config wants it.
    pub(in crate::plan) fn deploy(&mut self, certificate: &str, id: i64) {
        self.issue(certificate, id);
        for deploy in self.wanted(certificate).deploy.clone() {
            let (load_balancer, listener) = (deploy.load_balancer.as_str(), deploy.listener.as_str());
            self.upload(load_balancer, certificate, id, true);
            self.bind(load_balancer, listener, certificate, id);
            self.note(load_balancer, listener, certificate, id, DeploymentState::Verified);
        }
    }

    pub(in crate::plan) fn note(
        &mut self,
        load_balancer: &str,
        listener: &str,
        certificate: &str,
        id: i64,
        state: DeploymentState,
    ) {
        let deployment = Deployment {
            certificate: certificate.parse().unwrap(),
            load_balancer: load_balancer.parse().unwrap(),
            listener: listener.parse().unwrap(),
            state,
            version: VersionId(id),
            bundle: self.bundle_name(load_balancer, certificate, id),
            previous_bundle: None,
            deployed_serial: None,
            served_serial: None,
            verified_at: None,
            last_error: None,
            roll_back: None,
            updated_at: at(NOT_BEFORE),
        };
        let deployments = &mut self.record(certificate).deployments;
        let is_it = |other: &Deployment| {
            other.load_balancer == deployment.load_balancer && other.listener == deployment.listener
        };
        deployments.retain(|other| !is_it(other));
        deployments.push(deployment);
    }

    /// Version `id` was not served by a listener, and what was there before was put back.
    pub(in crate::plan) fn roll_back(
        &mut self,
        load_balancer: &str,
        listener: &str,
        certificate: &str,
        id: i64,
        retry_at: Timestamp,
    ) {
        self.note(load_balancer, listener, certificate, id, DeploymentState::Failed);
        let error = "127.0.0.1:443 still serves serial 07".to_owned();
        let roll_back = RollBack { at: at(NOT_BEFORE), count: 2, error, retry_at };
        self.record(certificate).deployments.last_mut().unwrap().roll_back = Some(roll_back);
    }

    pub(in crate::plan) fn bundle_name(&self, load_balancer: &str, certificate: &str, id: i64) -> BundleName {
        bundle_name(self.capabilities[load_balancer].replacement, &self.version(certificate, id)).unwrap()
    }

    fn side_by_side_name(&self, certificate: &str, id: i64) -> BundleName {
        bundle_name(Replacement::SideBySide, &self.version(certificate, id)).unwrap()
    }
}

pub(in crate::plan) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The digest of a version's leaf.
pub(in crate::plan) fn digest(certificate: &str, id: i64) -> Sha256 {
    Sha256::of(format!("{certificate} {id}").as_bytes())
}

fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 443))
}
