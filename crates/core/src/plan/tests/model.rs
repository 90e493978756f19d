//! Carries steps out in a [`World`] as an engine does, and fails at the first one that breaks a promise.

use jiff::SignedDuration;

use super::super::*;
use super::world::World;
use crate::chain::{LeafFacts, Sha256};
use crate::observed::{BoundBundle, ListenerObservation, Observation, Place};
use crate::recorded::{DeploymentState, VersionId};

impl World {
    /// Carries one step out.
    pub(super) fn carry_out(&mut self, step: &Step) {
        match &step.action {
            Action::PrepareHttp01(change) => {
                let path = self.load_balancer(load_balancer(step)).http01.as_mut().unwrap();
                path.changes.retain(|other| other != change);
            }
            Action::Issue(issue) => self.carry_out_issue(certificate(step), issue),
            Action::Upload => {
                self.begin(step);
                let leaf = self.current_leaf(step).sha256;
                let bundle = self.current_bundle(step);
                self.load_balancer(load_balancer(step)).bundles.insert(bundle, Some(leaf));
            }
            Action::CreateListener => self.create_listener(step),
            Action::Bind(place) => self.bind_place(step, place),
            Action::Verify => self.verify(step),
            Action::Retire(bundle) => {
                self.begin(step);
                let here = load_balancer(step);
                self.recorded.bundles.retain(|record| record.load_balancer.as_str() != here || record.name != *bundle);
            }
        }
        self.assert_promises(step);
    }

    /// Carries out as much of a step as may be done when the process is killed in it: intent is written before an effect,
    /// and success after it.
    pub(super) fn begin(&mut self, step: &Step) {
        match &step.action {
            Action::Issue(issue) => _ = self.begin_version(certificate(step), issue),
            Action::Upload => {
                let (bundle, version) = (self.current_bundle(step), self.current(step).id);
                self.record_bundle(step, bundle, version, None);
            }
            Action::Retire(bundle) => {
                let certificate = certificate(step);
                let is_it = |record: &BundleRecord| {
                    record.name == *bundle
                        && record.load_balancer.as_str() == load_balancer(step)
                        && record.certificate.as_str() == certificate
                };
                assert!(self.recorded.bundles.iter().any(is_it), "{step:?} removes what certferry did not make");
                let observation = self.load_balancer(load_balancer(step));
                let reference = observation.references().find(|(_, referred)| *referred == bundle);
                assert!(reference.is_none(), "{step:?}, but {reference:?}");
                assert!(observation.bundles.remove(bundle).is_some(), "{step:?}: it is gone already");
            }
            Action::PrepareHttp01(_) | Action::CreateListener | Action::Bind(_) | Action::Verify => {}
        }
    }

    /// Handshakes as they would come back now.
    pub(super) fn probe_again(&mut self) {
        self.observed.served.clear();
        let deploys: Vec<DeploySpec> = self.desired.certificates.iter().flat_map(|spec| spec.deploy.clone()).collect();
        for deploy in deploys {
            let Some(Ok(observation)) = self.observed.load_balancers.get(&deploy.load_balancer) else { continue };
            let listener = observation.listeners.get(&deploy.listener);
            let bundle = listener.and_then(|listener| listener.bundles.first()).map(|bound| &bound.name);
            if let Some(Some(leaf)) = bundle.map(|bundle| observation.bundles[bundle]) {
                self.probe(deploy.load_balancer.as_str(), deploy.listener.as_str(), leaf);
            }
        }
    }

    fn carry_out_issue(&mut self, certificate: &str, issue: &IssueStep) {
        let mut version = self.begin_version(certificate, issue);
        let mut leaf = LeafFacts::for_tests("", "", Sha256::of(format!("{certificate} {}", version.id).as_bytes()));
        (leaf.not_before, leaf.not_after) = (self.now, self.now + SignedDuration::from_hours(24 * 90));
        version.leaf = Some(leaf);
        let record = self.record(certificate);
        assert_ne!(record.current.as_ref().map(|current| current.id), Some(version.id));
        record.current = Some(version);
        (record.pending, record.issue_failure, record.renewal_window) = (None, None, None);
    }

    fn begin_version(&mut self, certificate: &str, issue: &IssueStep) -> Version {
        let spec = self.wanted(certificate).version.clone();
        let record = self.record(certificate);
        if let Some(resumed) = &issue.resumes {
            assert_eq!(record.pending.as_ref(), Some(resumed), "only what is pending can be resumed");
            assert_eq!(resumed.spec, spec, "only what is wanted is worth resuming");
            return resumed.clone();
        }
        let pending = record.pending.take();
        assert_eq!(pending.map(|version| version.id), issue.gives_up, "a pending version is resumed or given up");
        if issue.replaces.is_some() {
            assert_eq!(record.current.as_ref().map(|current| current.id), issue.replaces);
        }
        // Above every number that a scenario uses, and above that of a version given up.
        let id = VersionId(10 + record.current.as_ref().map_or(0, |current| current.id.0));
        let mut version = self.version(certificate, id.0);
        (version.leaf, version.order_url) = (None, None);
        self.record(certificate).pending = Some(version.clone());
        version
    }

    fn create_listener(&mut self, step: &Step) {
        let bundle = self.current_bundle(step);
        let observation = self.load_balancer(load_balancer(step));
        assert!(observation.bundles.contains_key(&bundle), "{step:?} comes before its upload");
        let name = step.listener.as_ref().unwrap();
        assert!(!observation.listeners.contains_key(name), "{step:?}: it is there");
        self.add_listener(load_balancer(step), name.as_str(), None);
        self.listener(load_balancer(step), name.as_str()).bundles = vec![BoundBundle::only(bundle)];
        self.note_state(step, DeploymentState::Bound);
    }

    fn bind_place(&mut self, step: &Step, place: &Place) {
        let bundle = self.current_bundle(step);
        let owner = self.owner(load_balancer(step), place);
        assert!(owner.is_none_or(|owner| owner == certificate(step)), "{step:?}, but {place} is wanted by {owner:?}");
        let observation = self.load_balancer(load_balancer(step));
        assert!(observation.bundles.contains_key(&bundle), "{step:?} comes before its upload");
        match place {
            Place::BackendSet(name) => {
                assert_eq!(step.listener, None);
                *observation.backend_sets.get_mut(name).unwrap() = bundle;
            }
            Place::Listener(name) => {
                assert_eq!(step.listener.as_ref(), Some(name));
                let listener = observation.listeners.get_mut(name).unwrap();
                assert!(is_fit(listener), "{step:?}, but it cannot serve it");
                listener.bundles = vec![BoundBundle::only(bundle)];
                if owner.is_some() {
                    self.note_state(step, DeploymentState::Bound);
                }
            }
        }
    }

    fn verify(&mut self, step: &Step) {
        let (bundle, version) = (self.current_bundle(step), self.current(step).id);
        let leaf = self.current_leaf(step).sha256;
        let observation = self.load_balancer(load_balancer(step));
        let listener = &observation.listeners[step.listener.as_ref().unwrap()];
        assert!(listener.refers_to(&bundle), "{step:?} cannot succeed");
        assert_eq!(observation.bundles[&bundle], Some(leaf), "{step:?} cannot succeed");
        self.note_state(step, DeploymentState::Verified);
        let now = self.now;
        self.record_bundle(step, bundle, version, Some(now));
    }

    fn note_state(&mut self, step: &Step, state: DeploymentState) {
        let listener = step.listener.as_ref().unwrap().as_str();
        let version = self.current(step).id;
        let (load_balancer, certificate) = (load_balancer(step), certificate(step));
        self.note(load_balancer, listener, certificate, version.0, state);
    }

    fn record_bundle(&mut self, step: &Step, name: BundleName, version: VersionId, served_at: Option<Timestamp>) {
        let here = load_balancer(step);
        let is_it = |record: &BundleRecord| record.load_balancer.as_str() == here && record.name == name;
        let before = self.recorded.bundles.iter().find(|record| is_it(record) && record.version == version);
        let served_at = before.and_then(|record| record.served_at).or(served_at);
        let held = self.recorded.bundles.iter().find(|record| is_it(record));
        let served_version = served_at.map(|_| version).or_else(|| held.and_then(|record| record.served_version));
        self.recorded.bundles.retain(|record| !is_it(record));
        let (load_balancer, certificate) = (here.parse().unwrap(), certificate(step).parse().unwrap());
        let record = BundleRecord { load_balancer, name, certificate, version, served_at, served_version };
        self.recorded.bundles.push(record);
    }

    fn current(&self, step: &Step) -> &Version {
        self.recorded.certificates[certificate(step)].current.as_ref().unwrap()
    }

    fn current_leaf(&self, step: &Step) -> &LeafFacts {
        self.current(step).leaf.as_ref().unwrap()
    }

    /// The bundle that a step is about: the plan need not name it, but where it does, it is this one.
    fn current_bundle(&self, step: &Step) -> BundleName {
        let bundle = bundle_name(self.capabilities[load_balancer(step)].replacement, self.current(step)).unwrap();
        if let (Action::Upload | Action::Verify, Some(object)) = (&step.action, &step.object) {
            assert_eq!(object, bundle.as_str(), "{step:?}");
        }
        bundle
    }

    /// The certificate that the config wants at a place.
    fn owner(&self, load_balancer: &str, place: &Place) -> Option<&'static str> {
        let Place::Listener(listener) = place else { return None };
        let is_here = |spec: &&CertificateSpec| {
            spec.deploy
                .iter()
                .any(|deploy| deploy.load_balancer.as_str() == load_balancer && deploy.listener == *listener)
        };
        let name = self.desired.certificates.iter().find(is_here)?.name.as_str();
        ["www", "shop"].into_iter().find(|known| *known == name)
    }

    fn assert_promises(&self, step: &Step) {
        for observation in self.observed.load_balancers.values().flatten() {
            for (place, bundle) in observation.references() {
                assert!(observation.bundles.contains_key(bundle), "after {step:?} {place} refers to nothing");
            }
            assert_foreign_bundles(observation, step);
        }
    }
}

fn assert_foreign_bundles(observation: &Observation, step: &Step) {
    for foreign in ["old", "cf-by-hand"] {
        let content = observation.bundles.get(foreign);
        assert_eq!(content, Some(&Some(Sha256::of(foreign.as_bytes()))), "after {step:?} {foreign} is not what it was");
    }
}

fn is_fit(listener: &ListenerObservation) -> bool {
    listener.tls && listener.accepts.ecdsa && listener.unfit.is_none()
}

fn certificate(step: &Step) -> &str {
    step.certificate.as_ref().unwrap().as_str()
}

fn load_balancer(step: &Step) -> &str {
    step.load_balancer.as_ref().unwrap().as_str()
}
