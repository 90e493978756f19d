//! Warnings that certificates end: given at the end of a run, of what should have been renewed by then and was not.

use std::collections::BTreeSet;

use certferry_core::desired::CertificateSpec;
use certferry_core::expiry_warning::DEFAULT_WARNING_DAYS;
use certferry_core::overdue::{Overdue, due};
use certferry_core::plan::{PlanOptions, Problem, Stage};
use certferry_core::recorded::Recorded;
use certferry_core::{CertificateName, Error, LoadBalancerName};
use futures_util::future::join_all;

use crate::Engine;
use crate::journal::Subject;

impl Engine {
    /// Warns of every included certificate that has come nearer to its end than one of its thresholds, once for each
    /// threshold. `before` is what was recorded when the run began, `failures` is what failed in it.
    ///
    /// # Errors
    /// The store fails.
    pub(crate) async fn warn_of_expiry(
        &self,
        before: &Recorded,
        failures: &[Problem],
        options: &PlanOptions,
    ) -> Result<(), Error> {
        let now = self.parts.clock.now();
        // What was not due when the run began is not overdue at its end. Mostly that is everything, and nothing is asked.
        if !self.included(options).any(|spec| due(spec, before, now).is_some()) {
            return Ok(());
        }
        let mut recorded = self.parts.store.recorded().await?;
        let suspects: Vec<_> = self.included(options).filter(|spec| due(spec, &recorded, now).is_some()).collect();
        if self.desired.warning_days.is_none() {
            self.ask_for_warning_days(&suspects, &mut recorded).await?;
        }
        for spec in suspects {
            let Some(mut overdue) = Overdue::of(spec, &self.desired, &recorded, now) else { continue };
            overdue.cause = overdue.cause.or_else(|| cause(&spec.name, failures));
            let subject = Subject {
                action: "expiry_warning",
                certificate: Some(spec.name.clone()),
                object: Some(format!("serial {}", overdue.warning.serial)),
                ..Subject::default()
            };
            let (version, threshold) = (overdue.version, overdue.warning.threshold);
            self.journal.warn_once(&subject, version, threshold, &overdue.to_string()).await?;
        }
        Ok(())
    }

    /// Asks the load balancers of `suspects` for the days at which they warn, each once, and remembers what they say: the
    /// status shows warnings by it, without any network. One that cannot be asked warns at the days that it last named,
    /// else at those that are usual.
    async fn ask_for_warning_days(&self, suspects: &[&CertificateSpec], recorded: &mut Recorded) -> Result<(), Error> {
        let deploys = suspects.iter().flat_map(|spec| &spec.deploy);
        let names: BTreeSet<&LoadBalancerName> = deploys.map(|deploy| &deploy.load_balancer).collect();
        let answers = names.into_iter().map(async |name| match self.load_balancer(name) {
            Ok(load_balancer) => (name, load_balancer.warning_days().await),
            Err(error) => (name, Err(error)),
        });
        for (name, answer) in join_all(answers).await {
            let days = match answer {
                Ok(days) => days.unwrap_or_default(),
                Err(error) => {
                    tracing::warn!("the days at which load balancer `{name}` warns are not known: {error}");
                    recorded.warning_days.entry(name.clone()).or_insert_with(|| DEFAULT_WARNING_DAYS.to_vec());
                    continue;
                }
            };
            if recorded.warning_days.get(name).map_or(&[][..], Vec::as_slice) != days {
                self.parts.store.save_warning_days(name, &days).await?;
            }
            recorded.warning_days.insert(name.clone(), days);
        }
        Ok(())
    }
}

/// What the run says of a certificate that was not renewed in it: best what kept it from being issued, else what made an
/// order useless.
fn cause(certificate: &CertificateName, failures: &[Problem]) -> Option<String> {
    let mut own = failures.iter().filter(|problem| problem.certificate == *certificate);
    let issuing = own.clone().find(|problem| problem.stage == Stage::Issue);
    issuing.or_else(|| own.next()).map(|problem| problem.error.to_string())
}
