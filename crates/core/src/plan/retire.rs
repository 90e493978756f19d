//! What has the version superseded, and may be removed?

use std::collections::BTreeSet;

use crate::name::{BundleName, LoadBalancerName};
use crate::observed::{Observation, Place};
use crate::plan::{Action, Context, Plan, Step};
use crate::recorded::BundleRecord;

/// Plans the removal of bundles that certferry made for this certificate, but for the wanted one and one before it, which
/// is kept for rollback. A bundle that will still be referred to after the planned bindings stays; so does everything on
/// a load balancer where the certificate has a problem.
pub(super) fn plan(context: &Context<'_>, plan: &mut Plan) {
    let load_balancers: BTreeSet<_> = context.spec.deploy.iter().map(|deploy| &deploy.load_balancer).collect();
    for load_balancer in load_balancers {
        let blocked = plan.problems.iter().any(|problem| {
            problem.certificate == context.spec.name && problem.load_balancer.as_ref() == Some(load_balancer)
        });
        let Some(Ok(observation)) = context.observed.load_balancers.get(load_balancer) else { continue };
        if blocked {
            continue;
        }
        let own = context.own_bundles.iter().filter(|bundle| bundle.load_balancer == *load_balancer);
        let wanted = context.wanted_bundle(load_balancer);
        // Any object may turn out to be the one that the next version is put into.
        if wanted.is_none() && context.is_in_place(load_balancer) {
            continue;
        }
        let superseded: Vec<&BundleRecord> = own
            .copied()
            .filter(|bundle| wanted.as_ref() != Some(&bundle.name) && observation.bundles.contains_key(&bundle.name))
            .collect();
        if superseded.is_empty() {
            continue;
        }
        let previous = superseded
            .iter()
            .filter(|bundle| bundle.served_at.is_some() && context.may_be_rolled_back_to(bundle))
            .max_by_key(|bundle| bundle.version);
        let staying = staying_references(context, plan, load_balancer, observation);
        for bundle in &superseded {
            let kept = previous.is_some_and(|previous| previous.name == bundle.name);
            if kept || staying.contains(&bundle.name) {
                continue;
            }
            plan.steps.push(Step {
                action: Action::Retire(bundle.name.clone()),
                certificate: Some(context.spec.name.clone()),
                load_balancer: Some(load_balancer.clone()),
                listener: None,
                object: Some(bundle.name.to_string()),
                why: "superseded, and nothing refers to it any more".to_owned(),
            });
        }
    }
}

impl Context<'_> {
    /// Where versions replace each other in one object, an object beside it is of use only until the next renewal: from
    /// then on the version before is no longer the one that it holds.
    fn may_be_rolled_back_to(&self, bundle: &BundleRecord) -> bool {
        let replaced = self.current().and_then(|version| version.replaces);
        !self.is_in_place(&bundle.load_balancer) || replaced == Some(bundle.version)
    }
}

/// Bundles that are referred to now by a place which the plan does not bind anew.
fn staying_references<'a>(
    context: &Context<'_>,
    plan: &Plan,
    load_balancer: &LoadBalancerName,
    observation: &'a Observation,
) -> BTreeSet<&'a BundleName> {
    let rebound: BTreeSet<&Place> = plan
        .steps
        .iter()
        .filter(|step| step.certificate.as_ref() == Some(&context.spec.name))
        .filter(|step| step.load_balancer.as_ref() == Some(load_balancer))
        .filter_map(|step| match &step.action {
            Action::Bind(place) => Some(place),
            _ => None,
        })
        .collect();
    observation.references().filter(|(place, _)| !rebound.contains(place)).map(|(_, bundle)| bundle).collect()
}
