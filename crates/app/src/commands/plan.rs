//! `certferry plan`: the steps that apply would take.

use std::sync::Arc;

use certferry_core::SystemClock;
use certferry_engine::{Engine, Limits, Responder};

use crate::cli::{GlobalOptions, Selection};
use crate::commands::plan_options;
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
use crate::output::{self, PlanDocument, plan_text};
use crate::progress::Progress;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, selection: &Selection) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let options = plan_options(selection, &config.desired)?;
    let store = wiring::store_to_read(&config).await?;
    let progress = Arc::new(Progress::new(false));
    let parts = wiring::parts(&config, store, progress, Arc::new(SystemClock), Responder::default()).await?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let plan = engine.plan(&options).await;
    engine.close().await;
    let plan = plan?;
    if global.wants_json() {
        output::json(&PlanDocument::from(&plan));
    } else {
        output::line(&plan_text(&plan));
    }
    complain_of(&plan.problems);
    Ok(Exit::of_plan(&plan))
}
