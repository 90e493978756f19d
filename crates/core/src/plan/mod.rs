//! The difference between what is wanted and what is, as a list of steps.
//!
//! [`plan`] is pure. It asks four questions, each in a file of its own: must a version be issued (`issue`), is the path
//! of its challenges complete (`http01`), where must it be put (`deliver`), and what has it superseded (`retire`)?

mod deliver;
mod http01;
mod issue;
mod retire;
mod schedule;
mod step;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::desired::{CertificateSpec, DeploySpec, Desired, KeyHolder, VersionSpec};
use crate::error::ErrorKind;
use crate::name::{BundleName, CertificateName, DnsName, LoadBalancerName};
use crate::observed::Observed;
use crate::port::{Capabilities, InCommon, Replacement};
use crate::recorded::{BundleRecord, CertificateRecord, Recorded, Version};

pub use deliver::{listener_problem, served_names};
pub use issue::{IssueDecision, IssueStep, is_same_authority, issue, replaced};
pub use schedule::{next_due, next_retry};
pub use step::{Action, Plan, Problem, Stage, Step};

/// What a plan depends on besides the world.
#[derive(Clone, Debug, Default)]
pub struct PlanOptions {
    /// Renew though nothing is due, and do not wait after a failure.
    pub force_renewal: bool,
    /// Do not bind a version again that was put back, before its time: nobody looks at what comes of this run.
    pub waits_after_roll_back: bool,
    /// Only these certificates; all when empty.
    pub only: BTreeSet<CertificateName>,
    /// How long it takes until somebody plans again (see [`crate::renewal::renewal`]).
    pub next_wake: SignedDuration,
}

impl PlanOptions {
    /// Whether a certificate is part of the plan.
    pub fn includes(&self, certificate: &CertificateName) -> bool {
        self.only.is_empty() || self.only.contains(certificate)
    }
}

/// The plan: every step that makes the world as `desired`, and every problem that no step can mend.
pub fn plan(
    desired: &Desired,
    observed: &Observed,
    recorded: &Recorded,
    capabilities: &BTreeMap<LoadBalancerName, Capabilities>,
    now: Timestamp,
    options: &PlanOptions,
) -> Plan {
    let mut plan = Plan::default();
    let included = || desired.certificates.iter().filter(|spec| options.includes(&spec.name));
    let decide = |spec: &CertificateSpec| {
        let record = recorded.certificate(&spec.name);
        let decision = issue(spec, record, now, options);
        match lost_key(spec, observed, record) {
            Some(why) => issue::anew(spec, record, decision, why, now, options),
            None => decision,
        }
    };
    let decisions: Vec<_> = included().map(|spec| (spec, decide(spec))).collect();
    http01::plan(&decisions, observed, &mut plan);
    // Found once for all certificates: work must not grow with certificates times bundles.
    let mut bundles: BTreeMap<&CertificateName, Vec<&BundleRecord>> = BTreeMap::new();
    for bundle in &recorded.bundles {
        bundles.entry(&bundle.certificate).or_default().push(bundle);
    }
    for (spec, decision) in &decisions {
        let own_bundles = bundles.get(&spec.name).map_or(&[][..], Vec::as_slice);
        let context = Context {
            desired,
            spec,
            decision: Some(decision),
            observed,
            recorded,
            own_bundles,
            capabilities,
            now,
            options,
        };
        let mut delivery = Plan::default();
        if context.version_after().is_some() {
            deliver::plan(&context, &mut delivery);
            retire::plan(&context, &mut delivery);
        }
        if !can_be_served_nowhere(spec, &delivery) {
            context.plan_issue(&mut plan);
        }
        plan.steps.append(&mut delivery.steps);
        plan.problems.append(&mut delivery.problems);
    }
    plan
}

/// Whether every listener of a certificate has a problem that only a person can mend: then nothing is ordered, since
/// nothing could be done with it.
fn can_be_served_nowhere(spec: &CertificateSpec, delivery: &Plan) -> bool {
    let hopeless = |deploy: &DeploySpec| {
        delivery.problems.iter().any(|problem| {
            problem.load_balancer.as_ref() == Some(&deploy.load_balancer)
                && problem.listener.as_ref() == Some(&deploy.listener)
                && matches!(problem.error.kind(), ErrorKind::Invalid | ErrorKind::NotFound)
        })
    };
    !spec.deploy.is_empty() && spec.deploy.iter().all(hopeless)
}

/// Why a current version is of no use any more: its key was in an object of a load balancer, and the object is gone.
fn lost_key(spec: &CertificateSpec, observed: &Observed, record: Option<&CertificateRecord>) -> Option<String> {
    let current = record?.current.as_ref()?;
    let KeyHolder::LoadBalancer(holder) = &spec.version.key_holder else { return None };
    let Some(Ok(observation)) = observed.load_balancers.get(holder) else { return None };
    let object = object_name(&spec.name, &spec.version);
    let is_gone = current.spec == spec.version && !observation.bundles.contains_key(&object);
    is_gone.then(|| format!("bundle `{object}` with the key is gone from load balancer `{holder}`"))
}

/// The part of a plan that delivers the current version of one certificate of the config, whether or not a new one is due.
pub fn delivery(
    desired: &Desired,
    spec: &CertificateSpec,
    observed: &Observed,
    recorded: &Recorded,
    capabilities: &BTreeMap<LoadBalancerName, Capabilities>,
    now: Timestamp,
    options: &PlanOptions,
) -> Plan {
    let mut plan = Plan::default();
    let own_bundles: Vec<_> = recorded.bundles.iter().filter(|bundle| bundle.certificate == spec.name).collect();
    let own_bundles = own_bundles.as_slice();
    let context =
        Context { desired, spec, decision: None, observed, recorded, own_bundles, capabilities, now, options };
    if context.current().is_some() {
        deliver::plan(&context, &mut plan);
        retire::plan(&context, &mut plan);
    }
    plan
}

/// The name of a version's bundle on a load balancer that replaces versions in this way; `None` before it is issued.
pub fn bundle_name(replacement: Replacement, version: &Version) -> Option<BundleName> {
    let certificate = &version.certificate;
    match replacement {
        Replacement::InPlace(InCommon::Nothing) => Some(object_name(certificate, &version.spec)),
        Replacement::InPlace(InCommon::SubjectAndUsages) => {
            version.leaf.as_ref().map(|leaf| BundleName::for_subject_and_usages(certificate, leaf))
        }
        Replacement::SideBySide => version.leaf.as_ref().map(|leaf| BundleName::for_version(certificate, leaf)),
    }
}

/// The name of the object in which versions of `spec` replace each other, where they need nothing in common.
pub fn object_name(certificate: &CertificateName, spec: &VersionSpec) -> BundleName {
    match spec.key_holder {
        KeyHolder::Store => BundleName::in_place(certificate),
        KeyHolder::LoadBalancer(_) => BundleName::for_key(certificate, spec.key, &spec.names),
    }
}

/// One certificate's share of the inputs.
struct Context<'a> {
    desired: &'a Desired,
    spec: &'a CertificateSpec,
    decision: Option<&'a IssueDecision>,
    observed: &'a Observed,
    recorded: &'a Recorded,
    /// Bundles that certferry made for this certificate, on any load balancer.
    own_bundles: &'a [&'a BundleRecord],
    capabilities: &'a BTreeMap<LoadBalancerName, Capabilities>,
    now: Timestamp,
    options: &'a PlanOptions,
}

/// The version that the plan delivers.
#[derive(Clone, Copy)]
enum VersionAfter<'a> {
    /// The current one.
    Current(&'a Version),
    /// One that this plan issues, of which nothing is known yet.
    New,
}

impl<'a> Context<'a> {
    fn record(&self) -> Option<&'a CertificateRecord> {
        self.recorded.certificate(&self.spec.name)
    }

    fn current(&self) -> Option<&'a Version> {
        self.record().and_then(|record| record.current.as_ref())
    }

    fn version_after(&self) -> Option<VersionAfter<'a>> {
        match self.decision {
            Some(IssueDecision::Due(_)) => Some(VersionAfter::New),
            Some(IssueDecision::Elsewhere { .. } | IssueDecision::NotDue { .. } | IssueDecision::Waiting { .. })
            | None => self.current().map(VersionAfter::Current),
        }
    }

    fn is_in_place(&self, load_balancer: &LoadBalancerName) -> bool {
        self.capabilities.get(load_balancer).is_some_and(|capabilities| capabilities.replacement.is_in_place())
    }

    fn creates_listeners(&self, load_balancer: &LoadBalancerName) -> bool {
        self.capabilities.get(load_balancer).is_some_and(|capabilities| capabilities.creates_listeners)
    }

    /// The bundle that listeners of `load_balancer` shall refer to; `None` while its content is not known.
    fn wanted_bundle(&self, load_balancer: &LoadBalancerName) -> Option<BundleName> {
        let replacement = self.capabilities.get(load_balancer)?.replacement;
        match (self.version_after()?, replacement) {
            (VersionAfter::New, Replacement::InPlace(InCommon::Nothing)) => {
                Some(object_name(&self.spec.name, &self.spec.version))
            }
            (VersionAfter::New, Replacement::InPlace(InCommon::SubjectAndUsages)) => {
                bundle_name(replacement, self.current_of_the_kind_to_come()?)
            }
            (VersionAfter::New, Replacement::SideBySide) => None,
            (VersionAfter::Current(version), replacement) => bundle_name(replacement, version),
        }
    }

    /// The current version, where the next one will have its common name, and its extended key usages too as far as can be
    /// foreseen: they are the CA's to choose, by the profile.
    fn current_of_the_kind_to_come(&self) -> Option<&'a Version> {
        let current = self.current()?;
        let wanted = &self.spec.version;
        let is_same_ca = is_same_authority(&current.spec, wanted) && current.spec.profile == wanted.profile;
        let common_name = wanted.common_name().map(DnsName::as_str);
        (is_same_ca && common_name.is_some() && current.leaf.as_ref()?.common_name.as_deref() == common_name)
            .then_some(current)
    }

    fn plan_issue(&self, plan: &mut Plan) {
        match self.decision {
            Some(IssueDecision::Due(step)) => plan.steps.push(Step {
                action: Action::Issue(Box::new(step.clone())),
                certificate: Some(self.spec.name.clone()),
                load_balancer: None,
                listener: None,
                object: step.resumes.as_ref().and_then(|version| version.order_url.clone()),
                why: step.why.clone(),
            }),
            Some(IssueDecision::Waiting { failure, .. }) => {
                plan.problems.push(issue::waiting_problem(self.spec, failure, self.current(), self.now));
            }
            Some(IssueDecision::Elsewhere { missing: Some(missing) }) => {
                plan.problems.push(issue::missing_problem(self.spec, missing));
            }
            Some(IssueDecision::Elsewhere { missing: None } | IssueDecision::NotDue { .. }) | None => {}
        }
    }
}
