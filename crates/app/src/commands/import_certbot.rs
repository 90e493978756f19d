//! `certferry import certbot`: takes over what certbot has, accounts and certificates, so that nothing is ordered anew.
//! Shows what would be done, asks, does it. A second time there is nothing to do. certbot's files are only read.

mod decide;
mod known;
mod printed;

use std::sync::Arc;

use certferry_core::{Clock, SystemClock};
use certferry_engine::{Engine, Limits, Responder};

use crate::certbot::Folder;
use crate::cli::{GlobalOptions, ImportCertbot};
use crate::commands::confirm;
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::wiring;
use decide::{Decision, Row, Wish};
use known::Known;

pub(crate) async fn run(global: &GlobalOptions, arguments: &ImportCertbot) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let wishes = wishes(&arguments.account, &config)?;
    let folder = Folder::read(&arguments.folder).map_err(|error| Failure::Usage(error.to_string()))?;
    let import = Import { global, arguments, config: &config, folder: &folder, wishes: &wishes };
    import.carry_out().await
}

struct Import<'a> {
    global: &'a GlobalOptions,
    arguments: &'a ImportCertbot,
    config: &'a Config,
    folder: &'a Folder,
    wishes: &'a [Wish],
}

impl Import<'_> {
    async fn carry_out(&self) -> Result<Exit, Failure> {
        // A look makes no database.
        if self.arguments.plan && !self.config.state.database.exists() {
            return Ok(self.only_tell(&self.rows(&Known::default())));
        }
        let store = wiring::store(self.config).await?;
        let issuers = wiring::issuers(self.config)?;
        let rows = self.rows(&Known::read(store.as_ref(), &issuers).await?);
        let is_to_do = rows.iter().any(Row::is_to_do);
        if self.arguments.plan || !is_to_do {
            return Ok(self.only_tell(&rows));
        }
        if !self.is_wanted(&rows).await? {
            return Ok(Exit::StepsPlanned);
        }
        let notify = Arc::new(Progress::new(!self.global.wants_json()));
        let parts =
            wiring::parts(self.config, store.clone(), notify, Arc::new(SystemClock), Responder::default()).await?;
        let engine = Engine::new(self.config.desired.clone(), parts, Limits::default());
        let lease = engine.lease("certferry import certbot").await?;
        // Decided again under the lease: what was asked for is what is done, unless somebody else was faster.
        let rows = self.rows(&Known::read(store.as_ref(), &issuers).await?);
        let mut done = 0;
        for row in &rows {
            match &row.decision {
                Decision::TakeAccount(account) => engine.take_over_account(account).await?,
                Decision::TakeVersion(version) => drop(engine.take_over(version).await?),
                _ => continue,
            }
            done += 1;
        }
        drop(lease);
        self.tell(&rows, done);
        Ok(Self::exit(&rows, Exit::Healthy))
    }

    fn rows(&self, known: &Known) -> Vec<Row> {
        let inputs = decide::Inputs {
            config: self.config,
            folder: self.folder,
            known,
            wishes: self.wishes,
            replace: self.arguments.replace,
            now: SystemClock.now(),
        };
        inputs.rows()
    }

    fn only_tell(&self, rows: &[Row]) -> Exit {
        self.tell(rows, 0);
        let to_do = if rows.iter().any(Row::is_to_do) { Exit::StepsPlanned } else { Exit::Healthy };
        Self::exit(rows, to_do)
    }

    /// What cannot be used is a failure, whatever else went well.
    fn exit(rows: &[Row], otherwise: Exit) -> Exit {
        if rows.iter().any(|row| matches!(row.decision, Decision::Unusable)) { Exit::Unexpected } else { otherwise }
    }

    /// Shows what would be done, and asks where nobody has said yes before.
    async fn is_wanted(&self, rows: &[Row]) -> Result<bool, Failure> {
        if self.arguments.yes {
            return Ok(true);
        }
        let text = printed::text(rows, 0);
        if !confirm::can_ask() {
            self.tell(rows, 0);
            let text = "nothing was done: there is no terminal to ask on; add `--yes` to do it without asking";
            return Err(Failure::Usage(text.to_owned()));
        }
        output::complain(&format!("{text}\n"));
        let wanted = confirm::ask().await;
        if !wanted {
            output::complain("nothing was done\n");
        }
        Ok(wanted)
    }

    fn tell(&self, rows: &[Row], done: usize) {
        if self.global.wants_json() {
            output::json(&printed::ImportDocument::new(rows, done));
        } else {
            output::line(&printed::text(rows, done));
        }
        for row in rows.iter().filter(|row| matches!(row.decision, Decision::Unusable)) {
            output::complain(&format!("error: {}: {}\n", row.from, row.why));
        }
    }
}

/// `--account ISSUER` or `--account ISSUER=ID`.
fn wishes(written: &[String], config: &Config) -> Result<Vec<Wish>, Failure> {
    let wish = |text: &String| {
        let (name, id) = match text.split_once('=') {
            Some((name, id)) => (name, Some(id.to_owned())),
            None => (text.as_str(), None),
        };
        let issuer = name.parse()?;
        if !config.issuers.contains_key(&issuer) {
            let known = config.issuers.keys().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!("the config has no issuer `{issuer}`; it has: {known}")));
        }
        Ok(Wish { issuer, id })
    };
    written.iter().map(wish).collect()
}
