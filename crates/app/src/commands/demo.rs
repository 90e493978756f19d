//! `certferry demo`: the whole story on the lab, on this machine, with no file and no account.

mod outcome;
mod stage;

use std::sync::Arc;

use certferry_core::plan::PlanOptions;
use certferry_engine::{Engine, Limits, Responder};

use crate::cli::GlobalOptions;
use crate::commands::apply::apply_with;
use crate::commands::demo::outcome::Outcome;
use crate::commands::demo::stage::Stage;
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
use crate::output::{self, plan_text};
use crate::progress::Progress;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions) -> Result<Exit, Failure> {
    let story = Story { told: !global.wants_json(), stage: Stage::set().await? };
    let before = Outcome::look(&story.stage).await?;
    story.tell(
        "certferry demo: an ACME CA and an OCI load balancer of its own, on loopback; nothing leaves this machine",
    );
    story.chapter("Before: a certificate that somebody uploaded by hand, on two listeners");
    story.tell(&before.listeners_text());
    story.chapter("The config");
    story.tell(story.stage.config_text());
    story.chapter("certferry plan");
    story.plan().await?;
    story.chapter("certferry apply");
    let mut failed = story.apply().await?;
    story.chapter("certferry apply, again");
    failed |= story.apply().await?;
    let first = Outcome::look(&story.stage).await?;
    for (days, text) in [
        (61, "61 days later: renewed, the bundle before stays for rollback"),
        (61, "Another 61 days later: renewed, and the first bundle is removed"),
    ] {
        story.chapter(text);
        story.stage.advance(days);
        failed |= story.apply().await?;
    }
    let after = Outcome::look(&story.stage).await?;
    story.chapter("What each listener served, before and after");
    if story.told {
        story.tell(&after.compared_text(&before, &first));
    } else {
        output::json(&after.compared_document(&before, &first));
    }
    Ok(if failed || !after.is_as_promised(&before, &first) { Exit::Unexpected } else { Exit::Healthy })
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
            output::line(text);
        }
    }

    async fn plan(&self) -> Result<(), Failure> {
        let config = self.stage.config();
        let store = wiring::store_to_read(config).await?;
        let notify = Arc::new(Progress::new(false));
        let parts = wiring::parts(config, store, notify, self.stage.clock(), Responder::default())?;
        let plan = Engine::new(config.desired.clone(), parts, Limits::default()).plan(&PlanOptions::default()).await?;
        self.tell(&plan_text(&plan));
        Ok(())
    }

    /// Whether something failed.
    async fn apply(&self) -> Result<bool, Failure> {
        let config = self.stage.config();
        let store = wiring::store(config).await?;
        let notify = Arc::new(Progress::new(self.told));
        let report = apply_with(config, store, notify, self.stage.clock(), &PlanOptions::default()).await?;
        if report.done == 0 {
            self.tell("nothing to do");
        }
        complain_of(&report.failures);
        Ok(!report.failures.is_empty())
    }
}
