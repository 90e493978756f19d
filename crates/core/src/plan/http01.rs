//! Is the path of http-01 requests complete?

use std::collections::BTreeMap;

use crate::desired::CertificateSpec;
use crate::error::Error;
use crate::name::LoadBalancerName;
use crate::observed::Observed;
use crate::plan::{Action, IssueDecision, Plan, Problem, Stage, Step};

/// Plans the missing parts of every path that a planned certificate uses, once per load balancer. A path is kept complete
/// also while nothing is due, so that it is found broken before it is needed; but only a certificate that is due has a
/// problem with it.
pub(super) fn plan(decisions: &[(&CertificateSpec, IssueDecision)], observed: &Observed, plan: &mut Plan) {
    let mut users: BTreeMap<&LoadBalancerName, Vec<&(&CertificateSpec, IssueDecision)>> = BTreeMap::new();
    for entry in decisions {
        for load_balancer in &entry.0.http01 {
            users.entry(load_balancer).or_default().push(entry);
        }
    }
    for (load_balancer, users) in users {
        let due = || users.iter().filter(|(_, decision)| matches!(decision, IssueDecision::Due(_)));
        match observed.load_balancers.get(load_balancer) {
            None => {}
            Some(Err(error)) => {
                for (spec, _) in due() {
                    plan.problems.push(problem(spec, load_balancer, error.clone().for_certificate(&spec.name)));
                }
            }
            Some(Ok(observation)) => {
                let Some(path) = &observation.http01 else { continue };
                plan.steps.extend(path.changes.iter().map(|change| Step {
                    action: Action::PrepareHttp01(change.clone()),
                    certificate: None,
                    load_balancer: Some(load_balancer.clone()),
                    listener: None,
                    object: Some(change.object.clone()),
                    why: change.why.clone(),
                }));
                if let Some(obstacle) = &path.obstacle {
                    for (spec, _) in due() {
                        let error = obstacle.to_error(load_balancer).for_certificate(&spec.name);
                        plan.problems.push(problem(spec, load_balancer, error));
                    }
                }
            }
        }
    }
}

fn problem(spec: &CertificateSpec, load_balancer: &LoadBalancerName, error: Error) -> Problem {
    Problem {
        stage: Stage::Issue,
        certificate: spec.name.clone(),
        load_balancer: Some(load_balancer.clone()),
        listener: None,
        error,
    }
}
