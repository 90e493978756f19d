//! `certferry daemon`: the plan carried out again and again, the responder and the API listening all the time, until a signal
//! asks it to stop.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::plan::{PlanOptions, next_due};
use certferry_core::port::{Lease, Notify, Store};
use certferry_core::{Clock, Error, Event, SystemClock};
use certferry_engine::{Engine, Limits, Report, Responder};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::api::{ApiServer, Signing, is_set};
use crate::api_certificate;
use crate::cli::GlobalOptions;
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress;
use crate::responder_server::ResponderServer;
use crate::wiring;

/// What is under way when a signal comes has this long to end; then it is left as a killed run leaves it. Shorter than what
/// a service manager allows.
const STOP_WITHIN: Duration = Duration::from_secs(25);

/// The first pause after a run in which something failed; each next one is twice as long, up to the usual one.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

pub(crate) async fn run(global: &GlobalOptions, every: Duration) -> Result<Exit, Failure> {
    let stop = stop_signals()?;
    let config = global.load_config()?;
    let store = wiring::store(&config).await?;
    let responder = Responder::default();
    let parts = wiring::parts(&config, store.clone(), Arc::new(Log), Arc::new(SystemClock), responder.clone()).await?;
    let engine = Arc::new(Engine::new(config.desired.clone(), parts, Limits::default()));
    let lease = Arc::new(engine.lease("certferry daemon").await?);
    let answering = ResponderServer::start(config.responder, responder).await?;
    let signing = Arc::new(Signing::new(engine.clone(), wiring::control_scripts(&config), Arc::new(SystemClock)));
    let api = match &config.api {
        Some(api) => {
            api_certificate::load_or_make(api)?;
            Some(ApiServer::start(api, signing.clone()).await?)
        }
        None => None,
    };
    output::complain(&config.warnings.to_string());
    output::line(&greeting(&config, &answering, api.as_ref()));
    Daemon { config: &config, engine: &engine, store, every }.work(lease, stop.clone()).await;
    let ending = async {
        if let Some(api) = api {
            api.stop().await;
        }
        signing.settle().await;
    };
    if timeout(STOP_WITHIN, ending).await.is_err() {
        tracing::warn!("an order of the controller's is left half-way; it goes on when the controller asks again");
    }
    engine.close().await;
    output::line("stopped");
    Ok(Exit::Healthy)
}

struct Daemon<'a> {
    config: &'a Config,
    engine: &'a Engine,
    store: Arc<dyn Store>,
    every: Duration,
}

impl Daemon<'_> {
    /// Runs until `stop` says so.
    async fn work(&self, lease: Arc<Lease>, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let mut late = stop.clone();
            let stopped_late = async move {
                is_set(&mut late).await;
                sleep(STOP_WITHIN).await;
            };
            let outcome = tokio::select! {
                outcome = self.once(lease.clone()) => outcome,
                () = stopped_late => {
                    tracing::warn!("a run is left half-way; the next start goes on with it");
                    return;
                }
            };
            let failed = match &outcome {
                Ok(report) => !report.failures.is_empty(),
                Err(error) => {
                    tracing::error!("the run failed: {error}");
                    true
                }
            };
            failures = if failed { failures + 1 } else { 0 };
            let pause = pause(self.every, failures, self.next_due().await, SystemClock.now());
            tracing::debug!(?pause, "next run");
            tokio::select! {
                () = sleep(pause) => {}
                () = is_set(&mut stop) => return,
            }
        }
    }

    async fn once(&self, lease: Arc<Lease>) -> Result<Report, Error> {
        let next_wake = SignedDuration::try_from(self.every).unwrap_or_default();
        let options = PlanOptions { next_wake, ..PlanOptions::default() };
        let run = self.engine.begin_under(lease, &options).await?;
        let report = run.carry_out(Ok(())).await;
        for problem in &report.failures {
            let hint = problem.error.hint().unwrap_or_default();
            tracing::error!(hint, "{}", problem.error);
        }
        Ok(report)
    }

    async fn next_due(&self) -> Option<Timestamp> {
        let recorded = self.store.recorded().await.ok()?;
        next_due(&self.config.desired, &recorded, SystemClock.now())
    }
}

/// How long to wait after a run, `failures` of which failed in a row: until something falls due, and never longer than
/// usual, so that drift is seen.
fn pause(every: Duration, failures: u32, due: Option<Timestamp>, now: Timestamp) -> Duration {
    if failures > 0 {
        return FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures - 1)).min(every);
    }
    let until_due = due.map(|due| Duration::try_from(due.duration_since(now)).unwrap_or(SHORTEST_PAUSE));
    until_due.map_or(every, |until| until.clamp(SHORTEST_PAUSE, every.max(SHORTEST_PAUSE)))
}

/// What is due all the same after a run that did all it could is not tried in a tight loop.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

fn greeting(config: &Config, responder: &ResponderServer, api: Option<&ApiServer>) -> String {
    let api = match (api, &config.api) {
        (Some(server), Some(api)) => format!(", the API on {} (as {})", server.address(), api.url),
        _ => String::new(),
    };
    let certificates = config.desired.certificates.len();
    format!("certferry daemon: {certificates} certificate(s), the responder on {}{api}", responder.address())
}

/// Becomes true at the first SIGTERM or SIGINT.
fn stop_signals() -> Result<watch::Receiver<bool>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};

    let failed = |source| Failure::Machine { what: "signals cannot be listened for".to_owned(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (tell, stop) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell.send_replace(true);
    });
    Ok(stop)
}

/// Events as log lines.
struct Log;

impl Notify for Log {
    fn notify(&self, event: &Event) {
        progress::log(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_something_falls_due_and_grows_with_failures() {
        let every = Duration::from_secs(900);
        let now = Timestamp::UNIX_EPOCH;
        let due = |seconds| Some(now + SignedDuration::from_secs(seconds));
        for (failures, due, expected) in [
            (0, None, 900),
            (0, due(3600), 900),
            (0, due(60), 60),
            (0, due(-5), 1),
            (1, due(1), 30),
            (2, None, 60),
            (3, None, 120),
            (50, None, 900),
        ] {
            assert_eq!(pause(every, failures, due, now), Duration::from_secs(expected), "{failures} {due:?}");
        }
    }
}
