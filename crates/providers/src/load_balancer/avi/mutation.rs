//! How a change is made: read, decide what is missing, make the first missing change, read again, until nothing is missing.
//! Whatever interferes (another writer, a lost answer, a controller that restarts) only leads to another round.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use certferry_core::{Error, ErrorKind};
use tokio::time::Instant;

use super::change::{Change, Decision, Problem};
use super::client::{Api, Call, Failed};
use super::model::Collection;
use super::retry::{Failure, Reaction};
use super::tenant::Tenant;
use crate::http::jitter;

impl Api {
    /// Makes the changes that `decide` computes from the tenant, one by one, until it computes none.
    ///
    /// # Errors
    /// `decide` sees no way, the controller refuses, or what interferes does not pass within the limit.
    pub(super) async fn converge(
        &self,
        reading: &[Collection],
        decide: impl Fn(&Tenant) -> Decision,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.limits.retry;
        let mut failures = 0;
        let mut made = BTreeMap::new();
        loop {
            let tenant = self.tenant(reading).await?;
            let Some(change) = decide(&tenant).map_err(|problem| self.problem(problem))? else { return Ok(()) };
            let Err(failed) = self.make(&change).await else {
                let times: &mut u32 = made.entry((change.operation(), change.object.clone())).or_default();
                *times += 1;
                if *times >= READS_AFTER_CHANGE {
                    return Err(self.not_kept(&change));
                }
                if *times > 1 {
                    tokio::time::sleep(self.limits.backoff.wait(*times, jitter(), None)).await;
                }
                continue;
            };
            let (failure, error) = match failed {
                Failed::Login(error) => return Err(error),
                Failed::Call(failure) => {
                    let error = self.call_error(&change.operation(), &change.object, &call(&change), &failure);
                    (failure, error)
                }
            };
            if self.is_for_the_licence(&change, &tenant, &failure) {
                self.security_answers_refused.store(true, Ordering::Relaxed);
                continue;
            }
            failures += 1;
            let wait = self.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            if failure.reaction() == Reaction::Stop {
                return Err(error);
            }
            if Instant::now() + wait >= deadline {
                return self.settle(error, reading, decide).await;
            }
            tracing::debug!(load_balancer = %self.name(), %error, "read again and decided again");
            tokio::time::sleep(wait).await;
        }
    }

    /// A problem that was found in what was read.
    pub(super) fn problem(&self, problem: Problem) -> Error {
        Error::new(problem.kind, problem.operation, self.subject(&problem.object))
            .said(problem.said)
            .with_hint(problem.hint)
    }

    /// A change whose answer was lost may be done all the same.
    async fn settle(
        &self,
        error: Error,
        reading: &[Collection],
        decide: impl Fn(&Tenant) -> Decision,
    ) -> Result<(), Error> {
        match self.tenant(reading).await.as_ref().map(decide) {
            Ok(Ok(None)) => Ok(()),
            Ok(Err(problem)) => Err(self.problem(problem)),
            Ok(Ok(Some(_))) | Err(_) => Err(error),
        }
    }

    async fn make(&self, change: &Change) -> Result<(), Failed> {
        self.send(&call(change)).await.map(drop)
    }

    /// Whether the controller refuses a policy set because its licence has no answers in security rules. The tier itself
    /// is shown to privileged users only.
    fn is_for_the_licence(&self, change: &Change, tenant: &Tenant, failure: &Failure) -> bool {
        let said = failure.said().to_ascii_lowercase();
        change.collection == Collection::PolicySets
            && !tenant.answers_by_request_rules
            && failure.reaction() == Reaction::Stop
            && ["license", "licence", " tier"].iter().any(|word| said.contains(word))
    }

    fn not_kept(&self, change: &Change) -> Error {
        Error::new(ErrorKind::Unexpected, change.operation(), self.subject(&change.object))
            .said("the controller accepts the change, and reading again does not show it")
            .with_hint(
                "either somebody (AKO, Terraform, another certferry) undoes it at once, which the controller's \
                 configuration events tell, or the controller does not keep these fields",
            )
    }
}

fn call(change: &Change) -> Call {
    Call {
        method: change.method.clone(),
        collection: change.collection,
        uuid: change.uuid.clone(),
        query: Vec::new(),
        body: change.body.clone(),
    }
}

/// How often the same change is made before it is taken for one that does not stay.
const READS_AFTER_CHANGE: u32 = 3;
