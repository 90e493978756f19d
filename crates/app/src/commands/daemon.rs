//! `certferry daemon`: the plan carried out again and again, the responder and the API listening all the time, until a signal
//! asks it to stop.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::plan::{PlanOptions, next_due, next_retry};
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
        // A start is a person's doing, after something was mended or the config was changed: nothing waits for its time then.
        let mut waits_after_roll_back = false;
        loop {
            let mut late = stop.clone();
            let stopped_late = async move {
                is_set(&mut late).await;
                sleep(STOP_WITHIN).await;
            };
            let outcome = tokio::select! {
                outcome = self.once(lease.clone(), waits_after_roll_back) => outcome,
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
            waits_after_roll_back = true;
            let now = SystemClock.now();
            let pause = pause(self.every, failures, &self.next(now).await, now);
            tracing::debug!(?pause, "next run");
            tokio::select! {
                () = sleep(pause) => {}
                () = is_set(&mut stop) => return,
            }
        }
    }

    async fn once(&self, lease: Arc<Lease>, waits_after_roll_back: bool) -> Result<Report, Error> {
        let next_wake = SignedDuration::try_from(self.every).unwrap_or_default();
        let options = PlanOptions { next_wake, waits_after_roll_back, ..PlanOptions::default() };
        let run = self.engine.begin_under(lease, &options).await?;
        let report = run.carry_out(Ok(())).await;
        for problem in &report.failures {
            let hint = problem.error.hint().unwrap_or_default();
            tracing::error!(hint, "{}", problem.error);
        }
        Ok(report)
    }

    async fn next(&self, now: Timestamp) -> Next {
        let Ok(recorded) = self.store.recorded().await else { return Next::default() };
        let desired = &self.config.desired;
        Next { due: next_due(desired, &recorded, now), retry: next_retry(desired, &recorded, now) }
    }
}

/// The instants for which a run is made.
#[derive(Default)]
struct Next {
    /// Something falls due. It may have been for long, when it is what fails.
    due: Option<Timestamp>,
    /// A wait after a failure ends.
    retry: Option<Timestamp>,
}

/// How long to wait after a run, `failures` of which failed in a row: until something falls due, and never longer than
/// usual, so that drift is seen.
fn pause(every: Duration, failures: u32, next: &Next, now: Timestamp) -> Duration {
    let until = |instant: Option<Timestamp>, longest: Duration| {
        let until = instant.map(|instant| Duration::try_from(instant.duration_since(now)).unwrap_or(SHORTEST_PAUSE));
        until.map_or(longest, |until| until.clamp(SHORTEST_PAUSE, longest.max(SHORTEST_PAUSE)))
    };
    match failures {
        0 => until(next.due, every),
        _ => until(next.retry, FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures - 1)).min(every)),
    }
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
    fn a_pause_ends_when_something_falls_due_or_is_tried_again_and_grows_with_failures() {
        let every = Duration::from_secs(900);
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| Some(now + SignedDuration::from_secs(seconds));
        for (failures, due, retry, expected) in [
            (0, None, None, 900),
            (0, at(3600), None, 900),
            (0, at(60), None, 60),
            (0, at(-5), None, 1),
            (1, at(1), None, 30),
            (2, None, None, 60),
            (3, None, None, 120),
            (50, None, None, 900),
            (1, at(-5), at(60), 30),
            (2, at(-5), at(30), 30),
            (50, at(-5), at(600), 600),
            (50, None, at(86400), 900),
            (5, None, Some(now + SignedDuration::from_millis(1)), 1),
        ] {
            let paused = pause(every, failures, &Next { due, retry }, now);
            assert_eq!(paused, Duration::from_secs(expected), "{failures} {due:?} {retry:?}");
        }
    }
}
