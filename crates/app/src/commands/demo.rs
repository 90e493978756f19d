//! `certferry demo`: the whole story on the lab, on this machine, with no file and no account.

mod comparison;
mod edge;
mod front;
mod outcome;
mod seen;
mod stage;

use std::collections::BTreeSet;
use std::sync::Arc;

use certferry_core::plan::{Action, PlanOptions};
use certferry_engine::{Engine, Limits, Responder};

use crate::cli::GlobalOptions;
use crate::commands::apply::apply_with;
use crate::commands::demo::comparison::Comparison;
use crate::commands::demo::outcome::Outcome;
use crate::commands::demo::stage::Stage;
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
use crate::output::{self, plan_text_within, wrapped};
use crate::progress::Progress;
use crate::wiring;

/// Lines are no longer than this, so that they fit where people read the output later.
const WIDTH: u16 = 100;

pub(crate) async fn run(global: &GlobalOptions) -> Result<Exit, Failure> {
    let story = Story { told: !global.wants_json(), stage: Stage::set().await? };
    let before = Outcome::look(&story.stage).await?;
    story.tell(
        "certferry demo: an ACME CA, an OCI load balancer (`front`) and an Avi controller (`edge`) of its own, on loopback; \
         nothing leaves this machine",
    );
    story.chapter("Before: a certificate that somebody uploaded by hand, on three listeners");
    story.tell(&before.listeners_text());
    story.chapter("The config: one certificate for both");
    story.tell(story.stage.config_text());
    story.chapter("certferry plan");
    let planned = story.plan().await?;
    story.chapter("certferry apply");
    let mut failed = story.apply().await?;
    story.chapter("certferry apply, again");
    failed |= story.apply().await?;
    let first = Outcome::look(&story.stage).await?;
    for (days, text) in [
        (61, "61 days later: renewed, side by side on OCI (the bundle before stays), in place on Avi"),
        (61, "Another 61 days later: renewed, and the first bundle on OCI is removed"),
    ] {
        story.chapter(text);
        story.stage.advance(days).await;
        failed |= story.apply().await?;
    }
    let after = Outcome::look(&story.stage).await?;
    let comparison = Comparison::new(&before, &first, &after);
    story.chapter("What each listener served, before and after");
    if story.told {
        output::line(&comparison.text(WIDTH.into()));
    } else {
        output::json(&comparison);
    }
    Ok(if failed || !comparison.is_as_promised(&planned) { Exit::Unexpected } else { Exit::Healthy })
}

struct Story {
    told: bool,
    stage: Stage,
}

impl Story {
    fn chapter(&self, title: &str) {
        self.tell(&format!("\n== {title}\n"));
    }

    fn tell(&self, text: &str) {
        if self.told {
            text.split('\n').for_each(|line| output::line(&wrapped(line, WIDTH.into())));
        }
    }

    /// Gives the objects that lead the CA's requests to certferry, as the plan calls them.
    async fn plan(&self) -> Result<BTreeSet<String>, Failure> {
        let config = self.stage.config();
        let store = wiring::store_to_read(config).await?;
        let notify = Arc::new(Progress::new(false));
        let parts = wiring::parts(config, store, notify, self.stage.clock(), Responder::default()).await?;
        let plan = Engine::new(config.desired.clone(), parts, Limits::default()).plan(&PlanOptions::default()).await?;
        self.tell(&plan_text_within(&plan, WIDTH));
        let made = plan.steps.into_iter().filter(|step| matches!(step.action, Action::PrepareHttp01(_)));
        Ok(made.filter_map(|step| step.object).collect())
    }

    /// Whether something failed.
    async fn apply(&self) -> Result<bool, Failure> {
        let config = self.stage.config();
        let store = wiring::store(config).await?;
        let notify = Arc::new(if self.told { Progress::within(WIDTH.into()) } else { Progress::new(false) });
        let report = apply_with(config, store, notify, self.stage.clock(), &PlanOptions::default()).await?;
        if report.done == 0 {
            self.tell("nothing to do");
        }
        complain_of(&report.failures);
        Ok(!report.failures.is_empty())
    }
}
