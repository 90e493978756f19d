//! Delivery: the current version onto one load balancer, until it is verified or rolled back.
//!
//! The plan is made anew from a fresh reading, so that a first install, a renewal, a repair of drift and the continuation
//! of a killed run are one code path.

mod roll_back;

use std::collections::BTreeSet;

use certferry_core::desired::{CertificateSpec, DeploySpec, KeyHolder, VersionSpec};
use certferry_core::observed::{Observation, Observed, ServedByListener};
use certferry_core::plan::{Action, PlanOptions, Problem, Stage, Step, bundle_name, delivery};
use certferry_core::port::{Bundle, LoadBalancer};
use certferry_core::recorded::{BundleRecord, Deployment, DeploymentState, Version, VersionId};
use certferry_core::{BundleName, Chain, Error, ErrorKind, ListenerName, LoadBalancerName, Secret};
use futures_util::future::join_all;

use crate::Engine;
use crate::journal::Subject;
use crate::ledger::Ledger;
use crate::report::Report;

impl Engine {
    /// Delivers the current version to every load balancer of the certificate, side by side.
    pub(crate) async fn deliver(
        &self,
        spec: &CertificateSpec,
        ledger: &Ledger,
        served: &ServedByListener,
        options: &PlanOptions,
    ) -> Report {
        let names: BTreeSet<&LoadBalancerName> = spec.deploy.iter().map(|deploy| &deploy.load_balancer).collect();
        let deliveries = names.into_iter().map(async |name| {
            let mut report = Report::default();
            if let Err(error) = self.deliver_to(spec, name, ledger, served, options, &mut report).await {
                let deploys = spec.deploy.iter().filter(|deploy| deploy.load_balancer == *name);
                for deploy in deploys {
                    report.failures.push(failure(spec, deploy, Stage::Deliver, error.clone()));
                }
            }
            report
        });
        let mut report = Report::default();
        join_all(deliveries).await.into_iter().for_each(|part| report.merge(part));
        for problem in &report.failures {
            self.note_failure(ledger, problem).await;
        }
        report
    }

    async fn deliver_to(
        &self,
        spec: &CertificateSpec,
        name: &LoadBalancerName,
        ledger: &Ledger,
        served: &ServedByListener,
        options: &PlanOptions,
        report: &mut Report,
    ) -> Result<(), Error> {
        let port = self.load_balancer(name)?.as_ref();
        let Some(version) = ledger.record().await.current else { return Ok(()) };
        let observation = port.observe().await?;
        let load_balancers = [(name.clone(), Ok(observation.clone()))].into();
        let observed = Observed { load_balancers, served: [(spec.name.clone(), served.clone())].into() };
        let (recorded, now) = (ledger.recorded().await, self.parts.clock.now());
        let plan = delivery(&self.desired, spec, &observed, &recorded, &self.capabilities(), now, options);
        let bundle = bundle_name(port.capabilities().replacement, &version).ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "deliver", format!("version {}", version.id))
                .said("it has no certificate")
        })?;
        let chain = self.parts.store.chain(version.id).await?;
        let delivery = Delivery { engine: self, spec, name, port, ledger, version, bundle, chain };
        delivery.forget_gone_bundles(&observation).await?;
        report.failures.extend(plan.problems);
        delivery.carry_out(&plan.steps, observation, report).await
    }

    /// Keeps the failure with its deployment, for `status`. A store that cannot take it has failed loudly before.
    async fn note_failure(&self, ledger: &Ledger, problem: &Problem) {
        let (Some(load_balancer), Some(listener)) = (&problem.load_balancer, &problem.listener) else { return };
        let record = ledger.record().await;
        let Some(mut deployment) = record.deployment(load_balancer, listener).cloned().or_else(|| {
            let port = self.parts.load_balancers.get(load_balancer)?;
            let version = record.current.as_ref()?;
            let bundle = bundle_name(port.capabilities().replacement, version)?;
            Some(new_deployment(version, load_balancer, listener, bundle, self.parts.clock.now()))
        }) else {
            return;
        };
        deployment.state = DeploymentState::Failed;
        deployment.last_error = Some(problem.error.to_string());
        deployment.updated_at = self.parts.clock.now();
        if let Err(error) = ledger.save_deployment(deployment).await {
            tracing::error!("the failure could not be noted: {error}");
        }
    }
}

/// One version on its way to one load balancer.
struct Delivery<'a> {
    engine: &'a Engine,
    spec: &'a CertificateSpec,
    name: &'a LoadBalancerName,
    port: &'a dyn LoadBalancer,
    ledger: &'a Ledger,
    version: Version,
    bundle: BundleName,
    chain: Chain,
}

impl Delivery<'_> {
    /// The plan's order is: upload, bindings, verifications, bindings of followers, removals. A listener that fails drops
    /// out; the last two happen only when none did.
    async fn carry_out(&self, steps: &[Step], observation: Observation, report: &mut Report) -> Result<(), Error> {
        let is_verify = |step: &Step| matches!(step.action, Action::Verify);
        let first_verify = steps.iter().position(is_verify).unwrap_or(0);
        let (bindings, rest) = steps.split_at(first_verify);
        let followers_at = rest.iter().position(|step| !is_verify(step)).unwrap_or(rest.len());
        let (verifications, clean_up) = rest.split_at(followers_at);
        let mut dropped: BTreeSet<&ListenerName> = BTreeSet::new();
        for step in bindings {
            if let Err(error) = self.bind_step(step, &observation).await {
                let Some(deploy) = self.deploy_of(step) else { return Err(error) };
                dropped.insert(&deploy.listener);
                report.failures.push(failure(self.spec, deploy, Stage::Deliver, error));
            } else {
                report.done += 1;
            }
        }
        let after = if bindings.is_empty() { observation } else { self.port.observe().await? };
        let checks = verifications.iter().filter_map(|step| Some((step, self.deploy_of(step)?)));
        let checks = checks.filter(|(_, deploy)| !dropped.contains(&deploy.listener));
        for outcome in join_all(checks.map(|(step, deploy)| self.verify_step(step, deploy, &after))).await {
            match outcome {
                Ok(()) => report.done += 1,
                Err(problem) => report.failures.push(*problem),
            }
        }
        if report.failures.is_empty() {
            for step in clean_up {
                if let Err(error) = self.clean_up_step(step).await {
                    // The deployments themselves are done and verified: this is not their failure.
                    report.failures.push(self.load_balancer_failure(error));
                    break;
                }
                report.done += 1;
            }
        }
        Ok(())
    }

    async fn bind_step(&self, step: &Step, observation: &Observation) -> Result<(), Error> {
        let subject = self.subject(step);
        match (&step.action, self.deploy_of(step)) {
            (Action::Upload, _) => self.engine.journal.around(&subject, &step.why, self.upload()).await,
            (Action::Bind(place), Some(deploy)) => {
                let binding = async { self.port.bind(place, &self.bundle).await };
                self.engine.journal.around(&subject, &step.why, self.bind(deploy, observation, binding)).await
            }
            (Action::CreateListener, Some(deploy)) => {
                let creating = async { self.port.create_listener(&deploy.listener, &self.bundle).await };
                self.engine.journal.around(&subject, &step.why, self.bind(deploy, observation, creating)).await
            }
            _ => Ok(()),
        }
    }

    async fn upload(&self) -> Result<String, Error> {
        let record = BundleRecord {
            load_balancer: self.name.clone(),
            name: self.bundle.clone(),
            certificate: self.spec.name.clone(),
            version: self.version.id,
            served_at: self.served_at().await,
            // What it held before is noted until this version is verified: it is what a rollback puts back.
            served_version: self.bundle_record().await.and_then(|record| record.served_version),
        };
        self.ledger.save_bundle(record).await?;
        let private_key = self.private_key(&self.version.spec, self.version.id).await?;
        let bundle = Bundle { name: self.bundle.clone(), chain: self.chain.clone(), private_key };
        self.engine.mutate(self.name, self.port.upload(&bundle)).await?;
        Ok(format!("chain of {}, serial {}", self.chain.certificates().len(), self.chain.leaf().serial))
    }

    /// The private key to upload; none where the load balancer holds it.
    async fn private_key(&self, spec: &VersionSpec, version: VersionId) -> Result<Option<Secret<String>>, Error> {
        match spec.key_holder {
            KeyHolder::Store => self.engine.parts.store.private_key(version).await.map(Some),
            KeyHolder::LoadBalancer(_) => Ok(None),
        }
    }

    async fn bind(
        &self,
        deploy: &DeploySpec,
        observation: &Observation,
        binding: impl Future<Output = Result<(), Error>>,
    ) -> Result<String, Error> {
        let VersionSpec { key, names, .. } = &self.version.spec;
        let listener = observation.listeners.get(&deploy.listener);
        let bound = listener.and_then(|listener| listener.predecessor(key.family(), names)).cloned();
        let previous = bound.filter(|bound| *bound != self.bundle);
        let instead_of = previous.as_ref().map_or_else(String::new, |previous| format!(" instead of `{previous}`"));
        self.note(deploy, |deployment| {
            deployment.state = DeploymentState::Uploaded;
            deployment.previous_bundle = previous;
        })
        .await?;
        self.engine.mutate(self.name, binding).await?;
        self.note(deploy, |deployment| {
            deployment.state = DeploymentState::Bound;
            deployment.deployed_serial = Some(self.chain.leaf().serial.clone());
        })
        .await?;
        Ok(format!("bundle `{}`{instead_of}", self.bundle))
    }

    async fn verify_step(&self, step: &Step, deploy: &DeploySpec, after: &Observation) -> Result<(), Box<Problem>> {
        let subject = self.subject(step);
        let stored = |error: Error| Box::new(failure(self.spec, deploy, Stage::Deliver, error));
        let mut not_served = None;
        let verified = self.engine.journal.around(&subject, &step.why, async {
            let seen = self.engine.verify(self.spec, deploy, after, &self.chain, &subject).await;
            seen.map_err(|failed| {
                let error = failed.error.clone();
                not_served = Some(failed);
                error
            })
        });
        match verified.await {
            Ok(()) => self.note_served(deploy).await.map_err(stored),
            Err(error) => {
                let Some(failed) = not_served else { return Err(stored(error)) };
                let error = self.roll_back(deploy, after, failed).await.map_err(stored)?;
                Err(Box::new(failure(self.spec, deploy, Stage::Verify, error)))
            }
        }
    }

    async fn note_served(&self, deploy: &DeploySpec) -> Result<(), Error> {
        let now = self.engine.parts.clock.now();
        let serial = self.chain.leaf().serial.clone();
        self.note(deploy, |deployment| {
            deployment.state = DeploymentState::Verified;
            deployment.deployed_serial = Some(serial.clone());
            deployment.served_serial = Some(serial);
            deployment.verified_at = Some(now);
            deployment.previous_bundle = None;
            deployment.last_error = None;
            deployment.roll_back = None;
        })
        .await?;
        let bundle = BundleRecord {
            load_balancer: self.name.clone(),
            name: self.bundle.clone(),
            certificate: self.spec.name.clone(),
            version: self.version.id,
            served_at: Some(self.served_at().await.unwrap_or(now)),
            served_version: Some(self.version.id),
        };
        self.ledger.save_bundle(bundle).await
    }

    async fn clean_up_step(&self, step: &Step) -> Result<(), Error> {
        let subject = self.subject(step);
        match &step.action {
            Action::Bind(place) => {
                let binding = async {
                    self.engine.mutate(self.name, self.port.bind(place, &self.bundle)).await?;
                    Ok(format!("bundle `{}` on {place}", self.bundle))
                };
                self.engine.journal.around(&subject, &step.why, binding).await
            }
            Action::Retire(bundle) => self.engine.journal.around(&subject, &step.why, self.retire(bundle)).await,
            _ => Ok(()),
        }
    }

    /// Looks once more before it removes: somebody may have begun to use the bundle since the plan was made.
    async fn retire(&self, bundle: &BundleName) -> Result<String, Error> {
        let observation = self.port.observe().await?;
        if let Some((place, _)) = observation.references().find(|(_, referred)| *referred == bundle) {
            return Ok(format!("bundle `{bundle}` stays: {place} refers to it again"));
        }
        match self.engine.mutate(self.name, self.port.delete(bundle)).await {
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return Ok(format!("bundle `{bundle}` stays: {error}"));
            }
            outcome => outcome?,
        }
        self.ledger.forget_bundle(self.name, bundle).await?;
        Ok(format!("bundle `{bundle}` is gone"))
    }

    /// Bundles that somebody else removed need no remembering; the wanted one is about to be there (again).
    async fn forget_gone_bundles(&self, observation: &Observation) -> Result<(), Error> {
        let bundles = self.ledger.recorded().await.bundles;
        let here = bundles.iter().filter(|bundle| bundle.load_balancer == *self.name && bundle.name != self.bundle);
        for bundle in here.filter(|bundle| !observation.bundles.contains_key(&bundle.name)) {
            self.ledger.forget_bundle(self.name, &bundle.name).await?;
        }
        Ok(())
    }

    /// When this version was first verified to be served by any listener here.
    async fn served_at(&self) -> Option<jiff::Timestamp> {
        self.bundle_record().await.filter(|record| record.version == self.version.id)?.served_at
    }

    /// The bundle as recorded, whatever version it holds.
    async fn bundle_record(&self) -> Option<BundleRecord> {
        let bundles = self.ledger.recorded().await.bundles;
        bundles.into_iter().find(|record| record.load_balancer == *self.name && record.name == self.bundle)
    }

    /// The deployment as recorded, moved on to this version.
    async fn deployment(&self, deploy: &DeploySpec) -> Deployment {
        let now = self.engine.parts.clock.now();
        let record = self.ledger.record().await;
        let Some(mut deployment) = record.deployment(self.name, &deploy.listener).cloned() else {
            return new_deployment(&self.version, self.name, &deploy.listener, self.bundle.clone(), now);
        };
        if deployment.version != self.version.id {
            deployment.version = self.version.id;
            deployment.state = DeploymentState::Pending;
            deployment.previous_bundle = None;
            deployment.roll_back = None;
        }
        deployment.bundle = self.bundle.clone();
        deployment
    }

    async fn note(&self, deploy: &DeploySpec, change: impl FnOnce(&mut Deployment)) -> Result<(), Error> {
        let mut deployment = self.deployment(deploy).await;
        change(&mut deployment);
        deployment.updated_at = self.engine.parts.clock.now();
        self.ledger.save_deployment(deployment).await
    }

    fn load_balancer_failure(&self, error: Error) -> Problem {
        Problem {
            stage: Stage::Deliver,
            certificate: self.spec.name.clone(),
            load_balancer: Some(self.name.clone()),
            listener: None,
            error: error.for_certificate(&self.spec.name),
        }
    }

    fn deploy_of(&self, step: &Step) -> Option<&DeploySpec> {
        let listener = step.listener.as_ref()?;
        self.spec.deploy.iter().find(|deploy| deploy.load_balancer == *self.name && deploy.listener == *listener)
    }

    fn subject(&self, step: &Step) -> Subject {
        Subject { object: step.object.clone().or_else(|| Some(self.bundle.to_string())), ..Subject::of(step) }
    }
}

fn new_deployment(
    version: &Version,
    load_balancer: &LoadBalancerName,
    listener: &ListenerName,
    bundle: BundleName,
    now: jiff::Timestamp,
) -> Deployment {
    Deployment {
        certificate: version.certificate.clone(),
        load_balancer: load_balancer.clone(),
        listener: listener.clone(),
        state: DeploymentState::Pending,
        version: version.id,
        bundle,
        previous_bundle: None,
        deployed_serial: None,
        served_serial: None,
        verified_at: None,
        last_error: None,
        roll_back: None,
        updated_at: now,
    }
}

fn failure(spec: &CertificateSpec, deploy: &DeploySpec, stage: Stage, error: Error) -> Problem {
    Problem {
        stage,
        certificate: spec.name.clone(),
        load_balancer: Some(deploy.load_balancer.clone()),
        listener: Some(deploy.listener.clone()),
        error: error.for_certificate(&spec.name),
    }
}
