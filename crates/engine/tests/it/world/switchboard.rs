//! Every call that leaves the process goes through here: it is counted, and it can be the one at which the process is
//! killed or the call fails.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;

use certferry_core::{Error, ErrorKind, Retry};
use tokio::sync::Notify;

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process is killed before the call has its effect.
    KillBefore,
    /// The process is killed after the call had its effect.
    KillAfter,
    /// The call fails and has no effect.
    FailBefore(ErrorKind),
    /// The call has its effect, but its answer is lost.
    LoseAnswer,
}

#[derive(Default)]
struct State {
    calls: usize,
    faults: BTreeMap<usize, Fault>,
    log: Vec<String>,
}

/// Counts calls and strikes at chosen ones.
#[derive(Default)]
pub(crate) struct Switchboard {
    state: Mutex<State>,
    kill: Notify,
}

impl Switchboard {
    /// Counts from zero again, with these faults at these calls (the first call is 1).
    pub(crate) fn arm(&self, faults: impl IntoIterator<Item = (usize, Fault)>) {
        let mut state = self.state.lock().unwrap();
        *state = State { faults: faults.into_iter().collect(), ..State::default() };
    }

    /// How many calls there were since [`Switchboard::arm`].
    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    /// The name of a call.
    pub(crate) fn name_of(&self, call: usize) -> String {
        self.state.lock().unwrap().log.get(call - 1).cloned().unwrap_or_default()
    }

    /// The names of all calls since [`Switchboard::arm`].
    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    /// Ends when the process is killed.
    pub(crate) async fn killed(&self) {
        self.kill.notified().await;
    }

    /// One call with its effect.
    pub(crate) async fn call<T>(&self, operation: &str, effect: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.calls += 1;
            state.log.push(operation.to_owned());
            let number = state.calls;
            state.faults.get(&number).copied()
        };
        // Every call is a point where others get their turn, and so is its answer.
        tokio::task::yield_now().await;
        let outcome = self.outcome(fault, operation, effect).await;
        tokio::task::yield_now().await;
        outcome
    }

    async fn outcome<T>(
        &self,
        fault: Option<Fault>,
        operation: &str,
        effect: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        match fault {
            None => effect(),
            Some(Fault::FailBefore(kind)) => Err(failure(kind, operation)),
            Some(Fault::LoseAnswer) => {
                effect()?;
                Err(failure(ErrorKind::EffectUnknown, operation))
            }
            Some(Fault::KillBefore) => self.die().await,
            Some(Fault::KillAfter) => {
                let _ = effect();
                self.die().await
            }
        }
    }

    async fn die<T>(&self) -> T {
        self.kill.notify_one();
        pending().await
    }
}

fn failure(kind: ErrorKind, operation: &str) -> Error {
    let error = Error::new(kind, operation, "the simulated world").said("a fault was asked for");
    match kind {
        ErrorKind::RateLimited => error.with_retry(Retry::After(std::time::Duration::from_secs(30))),
        _ => error,
    }
}
