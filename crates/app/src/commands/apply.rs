//! `certferry apply`: the plan carried out once.

use std::sync::Arc;

use certferry_core::plan::PlanOptions;
use certferry_core::port::{Notify, Store};
use certferry_core::{Clock, Error, Outcome, SystemClock};
use certferry_engine::{Engine, Limits, Report, Run};
use serde::Serialize;

use crate::cli::{GlobalOptions, Selection};
use crate::commands::plan_options;
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
use crate::output::{self, EventRow, ProblemRow};
use crate::progress::Progress;
use crate::responder_server::ResponderServer;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, selection: &Selection) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let options = plan_options(selection, &config.desired)?;
    let progress = Arc::new(Progress::new(!global.wants_json()));
    let store = wiring::store(&config).await?;
    let report = apply_with(&config, store, progress.clone(), Arc::new(SystemClock), &options).await?;
    if global.wants_json() {
        let events = progress.events();
        output::json(&ApplyDocument {
            done: report.done,
            events: events.iter().map(EventRow::from).collect(),
            failures: report.failures.iter().map(ProblemRow::from).collect(),
        });
    } else {
        output::line(&summary(&report));
    }
    complain_of(&report.failures);
    for event in progress.events().iter().filter(|event| event.outcome == Outcome::Warned) {
        output::complain(&format!("warning: {}: {}\n", output::place(event), event.detail));
    }
    Ok(report.worst().into())
}

/// Carries the plan of `config` out once on `store`, telling `notify`.
///
/// # Errors
/// The parts cannot be made, another engine holds the store, or the store fails. What fails for one certificate is in the
/// report.
pub async fn apply_with(
    config: &Config,
    store: Arc<dyn Store>,
    notify: Arc<dyn Notify>,
    clock: Arc<dyn Clock>,
    options: &PlanOptions,
) -> Result<Report, Error> {
    let responder = certferry_engine::Responder::default();
    let parts = wiring::parts(config, store, notify, clock, responder.clone()).await?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let report = carry_out(config, &engine, responder, options).await;
    engine.close().await;
    report
}

async fn carry_out(
    config: &Config,
    engine: &Engine,
    responder: certferry_engine::Responder,
    options: &PlanOptions,
) -> Result<Report, Error> {
    let run = engine.begin(&holder(), options).await?;
    let server = listen(config, &run, responder).await;
    let listening = match &server {
        Ok(_) => Ok(()),
        Err(error) => Err(error.clone()),
    };
    Ok(run.carry_out(listening).await)
}

/// The responder listens only while it is needed.
async fn listen(
    config: &Config,
    run: &Run<'_>,
    responder: certferry_engine::Responder,
) -> Result<Option<ResponderServer>, Error> {
    if !run.needs_responder() {
        return Ok(None);
    }
    let server = ResponderServer::start(config.responder, responder).await?;
    tracing::info!(address = %server.address(), "the responder listens");
    Ok(Some(server))
}

/// Who holds the store's lease, for the one who comes second.
fn holder() -> String {
    "certferry apply".to_owned()
}

fn summary(report: &Report) -> String {
    let steps = |count: usize| if count == 1 { "1 step".to_owned() } else { format!("{count} steps") };
    match (report.done, report.failures.len()) {
        (0, 0) => "nothing to do".to_owned(),
        (done, 0) => format!("{} done", steps(done)),
        (done, failed) => format!("{} done, {failed} failed", steps(done)),
    }
}

#[derive(Serialize)]
struct ApplyDocument {
    done: usize,
    events: Vec<EventRow>,
    failures: Vec<ProblemRow>,
}
