//! One run: the plan carried out once.

use std::collections::BTreeMap;

use certferry_core::desired::CertificateSpec;
use certferry_core::observed::Observed;
use certferry_core::plan::{Action, IssueStep, Plan, Problem, Stage, Step};
use certferry_core::port::Lease;
use certferry_core::recorded::Recorded;
use certferry_core::retry::IssueFailure;
use certferry_core::{Error, LoadBalancerName};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use crate::Engine;
use crate::deliver::ServedByListener;
use crate::journal::Subject;
use crate::ledger::Ledger;
use crate::report::Report;

/// A run that holds the lease and has its plan.
pub struct Run<'a> {
    engine: &'a Engine,
    _lease: Lease,
    recorded: Recorded,
    observed: Observed,
    plan: Plan,
}

impl<'a> Run<'a> {
    pub(crate) fn new(engine: &'a Engine, lease: Lease, recorded: Recorded, observed: Observed, plan: Plan) -> Self {
        Self { engine, _lease: lease, recorded, observed, plan }
    }

    /// What will be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether challenges will be answered, so that the responder must listen.
    pub fn needs_responder(&self) -> bool {
        self.plan.steps.iter().any(|step| matches!(step.action, Action::Issue(_)))
    }

    /// Does it. Certificates are worked on side by side; what fails for one does not stop another. `responder` says
    /// whether the responder listens: without it nothing is issued, but what is issued already is delivered.
    pub async fn carry_out(self, responder: Result<(), Error>) -> Report {
        let mut report = Report::default();
        let paths = self.prepare_paths(&mut report).await;
        let touched = self.engine.desired.certificates.iter().filter(|spec| self.touches(spec));
        let works: Vec<_> = touched.map(|spec| self.certificate(spec, &paths, &responder)).collect();
        let at_once = self.engine.limits.certificates_at_once;
        let parts: Vec<Report> = stream::iter(works).buffer_unordered(at_once).collect().await;
        parts.into_iter().for_each(|part| report.merge(part));
        report
    }

    fn touches(&self, spec: &CertificateSpec) -> bool {
        self.plan.steps.iter().any(|step| step.certificate.as_ref() == Some(&spec.name))
            || self.plan.problems.iter().any(|problem| problem.certificate == spec.name)
    }

    /// Makes the challenges' paths: side by side over load balancers, in order on each. Gives what failed.
    async fn prepare_paths(&self, report: &mut Report) -> BTreeMap<LoadBalancerName, Error> {
        let mut steps: BTreeMap<&LoadBalancerName, Vec<&Step>> = BTreeMap::new();
        for step in &self.plan.steps {
            if let (Action::PrepareHttp01(_), Some(load_balancer)) = (&step.action, &step.load_balancer) {
                steps.entry(load_balancer).or_default().push(step);
            }
        }
        let paths = steps.into_iter().map(async |(load_balancer, steps)| {
            for (done, step) in steps.iter().enumerate() {
                if let Err(error) = self.prepare_path(load_balancer, step).await {
                    return (load_balancer.clone(), done, Some(error));
                }
            }
            (load_balancer.clone(), steps.len(), None)
        });
        let mut failed = BTreeMap::new();
        for (load_balancer, done, error) in join_all(paths).await {
            report.done += done;
            failed.extend(error.map(|error| (load_balancer, error)));
        }
        failed
    }

    async fn prepare_path(&self, load_balancer: &LoadBalancerName, step: &Step) -> Result<(), Error> {
        let Action::PrepareHttp01(change) = &step.action else { return Ok(()) };
        let port = self.engine.load_balancer(load_balancer)?;
        let preparing = async {
            self.engine.mutate(load_balancer, port.prepare_http01(change)).await?;
            Ok(format!("{}: {}", change.object, change.why))
        };
        self.engine.journal.around(&Subject::of(step), &step.why, preparing).await
    }

    async fn certificate(
        &self,
        spec: &CertificateSpec,
        paths: &BTreeMap<LoadBalancerName, Error>,
        responder: &Result<(), Error>,
    ) -> Report {
        let mut report = Report::default();
        let ledger = Ledger::new(&spec.name, self.engine.parts.store.clone(), &self.recorded);
        let mut served: ServedByListener = self.observed.served.clone();
        let step = self.plan.steps.iter().find_map(|step| match &step.action {
            Action::Issue(issue) if step.certificate.as_ref() == Some(&spec.name) => Some((step, issue)),
            _ => None,
        });
        report.failures.extend(self.planned_problems(spec, Stage::Issue));
        if let Some((step, issue)) = step {
            let obstacle = report.failures.is_empty().then(|| obstacle(spec, paths, responder)).flatten();
            if let Some(error) = obstacle {
                report.failures.push(issue_failure(spec, error));
            } else if report.failures.is_empty() {
                match self.issue(spec, step, issue, &ledger).await {
                    Ok(()) => {
                        report.done += 1;
                        served.clear();
                    }
                    Err(error) => report.failures.push(issue_failure(spec, error)),
                }
            }
        }
        if ledger.record().await.current.is_some() {
            report.merge(self.engine.deliver(spec, &ledger, &served).await);
        } else {
            report.failures.extend(self.planned_problems(spec, Stage::Deliver));
        }
        report
    }

    async fn issue(
        &self,
        spec: &CertificateSpec,
        step: &Step,
        issue: &IssueStep,
        ledger: &Ledger,
    ) -> Result<(), Error> {
        let subject = Subject::of(step);
        let issuing = async {
            let version = self.engine.issue(spec, issue, &self.observed, &subject).await?;
            let detail = version.leaf.as_ref().map_or_else(String::new, |leaf| {
                format!("serial {}, valid until {}, from {}", leaf.serial, leaf.not_after, leaf.issuer)
            });
            ledger.set_current(version).await;
            Ok(detail)
        };
        let outcome = self.engine.journal.around(&subject, &step.why, issuing).await;
        if let Err(error) = &outcome {
            let before = ledger.record().await.issue_failure;
            let failure = IssueFailure::after(error, before.as_ref(), self.engine.parts.clock.now());
            self.engine.parts.store.save_issue_failure(&spec.name, &failure).await?;
        }
        outcome
    }

    fn planned_problems(&self, spec: &CertificateSpec, stage: Stage) -> impl Iterator<Item = Problem> {
        let of_spec = |problem: &&Problem| problem.certificate == spec.name && problem.stage == stage;
        self.plan.problems.iter().filter(of_spec).cloned().collect::<Vec<_>>().into_iter()
    }
}

/// What keeps the challenges of a certificate from being answered.
fn obstacle(
    spec: &CertificateSpec,
    paths: &BTreeMap<LoadBalancerName, Error>,
    responder: &Result<(), Error>,
) -> Option<Error> {
    let path = spec.http01.iter().find_map(|load_balancer| paths.get(load_balancer)).cloned();
    path.or_else(|| responder.as_ref().err().cloned())
}

fn issue_failure(spec: &CertificateSpec, error: Error) -> Problem {
    Problem {
        stage: Stage::Issue,
        certificate: spec.name.clone(),
        load_balancer: None,
        listener: None,
        error: error.for_certificate(&spec.name),
    }
}
