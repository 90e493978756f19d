//! How a change is made so that nothing of another writer is lost: wait until the load balancer is idle, read it, compute
//! the change from what was read, send it with If-Match, wait for the work request, read again and compare. Whatever
//! interferes starts this over.

use certferry_core::{Error, ErrorKind};
use http::Method;
use serde_json::Value;
use tokio::time::Instant;

use super::change::{Change, Problem};
use super::cipher_suite;
use super::client::Api;
use super::model::text;
use super::retry::{Reaction, says_in_use};
use super::session::{Call, Failed, new_retry_token};
use crate::http::jitter;

/// A load balancer as it was read.
pub(super) struct Snapshot {
    pub(super) json: Value,
    pub(super) etag: String,
}

/// What to do after an attempt that failed.
#[derive(Clone, Copy)]
enum Next {
    /// Nothing: reading would tell nothing new.
    GiveUp,
    /// See whether it is done all the same.
    Settle,
    /// Read again, compute again, send again.
    StartOver,
}

/// What is needed of the load balancer besides GetLoadBalancer's answer.
#[derive(Clone, Copy)]
pub(super) enum Detail<'a> {
    /// Nothing.
    Plain,
    /// The ciphers of every suite in use, and of one more.
    Ciphers(Option<&'a str>),
}

impl Api {
    /// Reads the load balancer. Cipher suites that are needed and not in the answer are listed and put where the answer
    /// would have them.
    pub(super) async fn load_balancer(&self, detail: Detail<'_>) -> Result<Snapshot, Error> {
        let call = Call::get("GetLoadBalancer", self.target([]));
        let (mut json, answer) = self.read::<Value>(&call, "").await?;
        let error = |kind, said: String| Error::new(kind, "GetLoadBalancer", self.subject("")).said(said);
        if !json.is_object() {
            return Err(error(ErrorKind::Unexpected, format!("not an object: {}", answer.excerpt())));
        }
        if let Some(state @ ("DELETED" | "DELETING" | "FAILED")) = text(&json, "lifecycleState") {
            return Err(error(ErrorKind::NotFound, format!("it is {state}")).with_hint("name another in the config"));
        }
        let Some(etag) = answer.header("etag").map(str::to_owned) else {
            return Err(error(ErrorKind::Unexpected, "the answer has no etag".to_owned())
                .with_hint("without it a change could undo another writer's; is there a proxy that drops headers?"));
        };
        if let Detail::Ciphers(also) = detail {
            self.complete_cipher_suites(&mut json, also).await?;
        }
        Ok(Snapshot { json, etag })
    }

    /// Makes the change that `decide` computes from the load balancer; `None` from it means that nothing is left to do.
    /// It is called again for every new start.
    pub(super) async fn mutate(
        &self,
        operation: &'static str,
        detail: Detail<'_>,
        decide: impl Fn(&Value) -> Result<Option<Change>, Problem>,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.limits.retry;
        for attempt in 1.. {
            self.wait_until_idle(operation).await?;
            let snapshot = self.load_balancer(detail).await?;
            let Some(change) = decide(&snapshot.json).map_err(|problem| self.problem(problem))? else {
                return Ok(());
            };
            let (error, next) = match self.make(&change, &snapshot.etag).await {
                Ok(()) => return self.verify(&change).await,
                Err(failed) => failed,
            };
            let wait = self.limits.backoff.wait(attempt, jitter(), None);
            match next {
                Next::GiveUp => return Err(error),
                Next::StartOver if Instant::now() + wait < deadline => {
                    tracing::debug!(load_balancer = %self.name(), %error, "read again and decided again");
                    tokio::time::sleep(wait).await;
                }
                Next::Settle | Next::StartOver => return self.settle(error, detail, decide).await,
            }
        }
        unreachable!("the loop has no other end")
    }

    /// A change that failed may be done all the same (its answer was lost, somebody else did it), or be out of place now
    /// for a reason that says more than the service did. Otherwise the failure stands.
    async fn settle(
        &self,
        error: Error,
        detail: Detail<'_>,
        decide: impl Fn(&Value) -> Result<Option<Change>, Problem>,
    ) -> Result<(), Error> {
        let idle = self.wait_until_idle(NO_OPERATION).await;
        match (idle, self.load_balancer(detail).await) {
            (Ok(()), Ok(snapshot)) => match decide(&snapshot.json) {
                Ok(None) => Ok(()),
                Ok(Some(_)) => Err(error),
                Err(problem) => Err(self.problem(problem)),
            },
            _ => Err(error),
        }
    }

    async fn make(&self, change: &Change, etag: &str) -> Result<(), (Error, Next)> {
        let token = (change.method != Method::DELETE).then(new_retry_token);
        let call = Call {
            operation: change.operation,
            method: change.method.clone(),
            target: self.target(change.path.iter().map(String::as_str)),
            body: change.body.clone(),
            if_match: Some(etag),
            retry_token: token.as_deref(),
        };
        let answer = self.send(&call).await.map_err(|failed| self.refused(change, &failed))?;
        let Some(id) = answer.header("opc-work-request-id") else {
            // Not promised by the API, but then there is only the effect itself to look at.
            let idle = self.wait_until_idle(change.operation).await;
            return idle.map_err(|error| (error, Next::GiveUp));
        };
        let ended = self.wait_for(id, change.operation, &change.object).await;
        let request = ended.map_err(|error| match error.kind() {
            ErrorKind::Timeout => (error, Next::GiveUp), // it was waited for long enough
            _ => (error, Next::Settle),
        })?;
        if request.succeeded() {
            return Ok(());
        }
        let said = request.said();
        let kind = match request.blames_the_request() {
            _ if change.method == Method::DELETE && says_in_use(&said) => ErrorKind::Conflict,
            true => ErrorKind::Invalid,
            false => ErrorKind::Unavailable,
        };
        let error = Error::new(kind, change.operation, self.subject(&change.object))
            .said(said)
            .with_hint("nothing was changed; the text is OCI's own");
        Err((error, Next::Settle))
    }

    fn refused(&self, change: &Change, failed: &Failed) -> (Error, Next) {
        let error = match self.error(change.operation, &change.object, failed) {
            error if change.refers_to_certificate() && may_lack_a_right(&error) => error.with_hint(format!(
                "missing, or not allowed: OCI does not tell. The load balancer reads the certificate on behalf of who binds \
                 it, for which `read leaf-certificates`, `read leaf-certificate-bundles` and `manage \
                 certificate-associations` are needed in its compartment (`certferry policy {}` prints all)",
                self.name()
            )),
            error => error,
        };
        let in_use = change.method == Method::DELETE && failed.failure.says_in_use();
        let next = match (failed.failure.reaction(), error.kind()) {
            (Reaction::ReadAgain, _) if !in_use => Next::StartOver,
            (_, ErrorKind::Denied | ErrorKind::Throttled) if !failed.effect_possible => Next::GiveUp,
            _ => Next::Settle,
        };
        (error, next)
    }

    /// Promise: a change touches what it is meant to touch. Looked at after every change, because the service replaces
    /// whole objects.
    async fn verify(&self, change: &Change) -> Result<(), Error> {
        let mut differences = Vec::new();
        for attempt in 1..=READS_AFTER_CHANGE {
            let snapshot = self.load_balancer(Detail::Plain).await?;
            differences = change.expected.differences(&snapshot.json);
            if differences.is_empty() {
                return Ok(());
            }
            if attempt < READS_AFTER_CHANGE {
                tokio::time::sleep(self.limits.backoff.wait(attempt, jitter(), None)).await;
            }
        }
        Err(Error::new(ErrorKind::Unexpected, change.operation, self.subject(&change.object))
            .said(format!("the work request succeeded, but afterwards {}", differences.join("; ")))
            .with_hint(
                "either somebody changed the same object at the same moment, or the service did not keep these fields: \
                        compare them with what is wanted, and set them again",
            ))
    }

    /// A problem that was found in what was read.
    pub(super) fn problem(&self, problem: Problem) -> Error {
        Error::new(problem.kind, problem.operation, self.subject(&problem.object))
            .said(problem.said)
            .with_hint(problem.hint)
    }

    async fn complete_cipher_suites(&self, json: &mut Value, also: Option<&str>) -> Result<(), Error> {
        if cipher_suite::missing(json, also).is_empty() {
            return Ok(());
        }
        let call = Call::get("ListSSLCipherSuites", self.target(["sslCipherSuites"]));
        match self.read::<Vec<Value>>(&call, "").await {
            Ok((suites, _)) => cipher_suite::add(json, suites),
            // A right that is missing for this list must not stop what it is only a check for.
            Err(error) if matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound) => {
                tracing::warn!(load_balancer = %self.name(), %error, "cipher suites cannot be read, so they are not checked");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// A certificate that may not be read is answered by 404, or by 400 RelatedResourceNotAuthorizedOrNotFound.
fn may_lack_a_right(error: &Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.kind() == ErrorKind::Denied
        || error.to_string().contains("NotAuthorizedOrNotFound")
}

const NO_OPERATION: &str = "reading again";

/// A read right after a change may still show what was before.
const READS_AFTER_CHANGE: u32 = 3;
