//! One run: the plan carried out once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certferry_core::desired::CertificateSpec;
use certferry_core::observed::{Observed, ServedByListener};
use certferry_core::plan::{Action, IssueStep, Plan, PlanOptions, Problem, Stage, Step};
use certferry_core::port::Lease;
use certferry_core::recorded::{BundleRecord, Recorded};
use certferry_core::retry::IssueFailure;
use certferry_core::{CertificateName, Error, LoadBalancerName};
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use crate::Engine;
use crate::issue::Ordering;
use crate::journal::Subject;
use crate::ledger::Ledger;
use crate::report::Report;

/// A run that holds the lease and has its plan.
pub struct Run<'a> {
    engine: &'a Engine,
    _lease: Arc<Lease>,
    options: PlanOptions,
    recorded: Recorded,
    observed: Observed,
    plan: Plan,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        engine: &'a Engine,
        lease: Arc<Lease>,
        options: PlanOptions,
        recorded: Recorded,
        observed: Observed,
        plan: Plan,
    ) -> Self {
        Self { engine, _lease: lease, options, recorded, observed, plan }
    }

    /// What will be done.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether challenges will be answered, so that the responder must listen.
    pub fn needs_responder(&self) -> bool {
        let issues = self.plan.steps.iter().filter(|step| matches!(step.action, Action::Issue(_)));
        let issued: BTreeSet<&CertificateName> = issues.filter_map(|step| step.certificate.as_ref()).collect();
        let mut specs = self.engine.desired.certificates.iter().filter(|spec| issued.contains(&spec.name));
        specs.any(|spec| self.engine.is_answered_by_responder(spec))
    }

    /// Does it. Certificates are worked on side by side; what fails for one does not stop another. `responder` says
    /// whether the responder listens: without it nothing is issued, but what is issued already is delivered.
    ///
    /// Whatever is near its end after that, though its renewal is due, is warned of.
    pub async fn carry_out(self, responder: Result<(), Error>) -> Report {
        let mut report = Report::default();
        let paths = self.prepare_paths(&mut report).await;
        let shares = self.shares();
        let touched = self.engine.desired.certificates.iter().filter_map(|spec| Some((spec, shares.get(&spec.name)?)));
        let works: Vec<_> = touched.map(|(spec, share)| self.certificate(spec, share, &paths, &responder)).collect();
        let at_once = self.engine.limits.certificates_at_once;
        let parts: Vec<Report> = stream::iter(works).buffer_unordered(at_once).collect().await;
        parts.into_iter().for_each(|part| report.merge(part));
        if let Err(error) = self.engine.warn_of_expiry(&self.recorded, &report.failures, &self.options).await {
            // Nothing was noted, so the next run warns.
            tracing::error!("certificates that end soon could not be warned of: {error}");
        }
        report
    }

    /// What the plan holds for each certificate that it touches, found in one pass.
    fn shares(&self) -> BTreeMap<&CertificateName, Share<'_>> {
        let mut shares: BTreeMap<&CertificateName, Share<'_>> = BTreeMap::new();
        for step in &self.plan.steps {
            let Some(certificate) = &step.certificate else { continue };
            let share = shares.entry(certificate).or_default();
            if let Action::Issue(issue) = &step.action {
                share.issue = Some((step, issue));
            }
        }
        for problem in &self.plan.problems {
            shares.entry(&problem.certificate).or_default().problems.push(problem);
        }
        for bundle in &self.recorded.bundles {
            if let Some(share) = shares.get_mut(&bundle.certificate) {
                share.bundles.push(bundle.clone());
            }
        }
        shares
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
        share: &Share<'_>,
        paths: &BTreeMap<LoadBalancerName, Error>,
        responder: &Result<(), Error>,
    ) -> Report {
        let mut report = Report::default();
        let record = self.recorded.certificate(&spec.name).cloned().unwrap_or_default();
        let ledger = Ledger::new(&spec.name, self.engine.parts.store.clone(), record, share.bundles.clone());
        let served = self.served(spec);
        report.failures.extend(share.problems(Stage::Issue));
        if let Some((step, issue)) = share.issue {
            let obstacle = report.failures.is_empty().then(|| self.obstacle(spec, paths, responder)).flatten();
            if let Some(error) = obstacle {
                report.failures.push(issue_failure(spec, error));
            } else if report.failures.is_empty() {
                match self.issue(spec, step, issue, &ledger).await {
                    Ok(()) => report.done += 1,
                    Err(error) => report.failures.push(issue_failure(spec, error)),
                }
            }
        }
        if ledger.record().await.current.is_some() {
            report.merge(self.engine.deliver(spec, &ledger, &served, &self.options).await);
        } else {
            report.failures.extend(share.problems(Stage::Deliver));
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
            let version = self
                .engine
                .issue(&Ordering { spec, step: issue, csr: None, observed: &self.observed, ledger, subject: &subject })
                .await?;
            let detail = version.leaf.as_ref().map_or_else(String::new, |leaf| {
                format!("serial {}, valid until {}, from {}", leaf.serial, leaf.not_after, leaf.issuer)
            });
            ledger.set_current(version).await;
            Ok(detail)
        };
        let outcome = self.engine.journal.around(&subject, &step.why, issuing).await;
        if let Err(error) = &outcome {
            let before = ledger.record().await.issue_failure;
            let failure = IssueFailure::after(error, &spec.version, before.as_ref(), self.engine.parts.clock.now());
            self.engine.parts.store.save_issue_failure(&spec.name, &failure).await?;
        }
        outcome
    }

    /// What keeps the challenges of a certificate from being answered.
    fn obstacle(
        &self,
        spec: &CertificateSpec,
        paths: &BTreeMap<LoadBalancerName, Error>,
        responder: &Result<(), Error>,
    ) -> Option<Error> {
        let path = spec.http01.iter().find_map(|load_balancer| paths.get(load_balancer)).cloned();
        let needed = || self.engine.is_answered_by_responder(spec);
        path.or_else(|| responder.as_ref().err().filter(|_| needed()).cloned())
    }

    /// What the certificate's listeners served when the plan was made.
    fn served(&self, spec: &CertificateSpec) -> ServedByListener {
        self.observed.served.get(&spec.name).cloned().unwrap_or_default()
    }
}

/// One certificate's share of a plan, and the bundles that it has.
#[derive(Default)]
struct Share<'a> {
    issue: Option<(&'a Step, &'a IssueStep)>,
    problems: Vec<&'a Problem>,
    bundles: Vec<BundleRecord>,
}

impl Share<'_> {
    fn problems(&self, stage: Stage) -> impl Iterator<Item = Problem> {
        self.problems.iter().filter(move |problem| problem.stage == stage).map(|problem| (*problem).clone())
    }
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
