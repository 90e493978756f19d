//! `certferry check`: the config; with `--online` also the CA and the load balancers, changing nothing there.

mod avi_rights;

use std::collections::BTreeSet;
use std::sync::Arc;

use certferry_core::plan::{PlanOptions, Problem, Stage};
use certferry_core::{Error, SystemClock};
use certferry_engine::{Engine, Limits, Responder};
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, online: bool) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let findings = if online { look(&config).await? } else { Vec::new() };
    let warnings = config.warnings.to_string();
    if global.wants_json() {
        output::json(&CheckDocument {
            certificates: config.desired.certificates.len(),
            load_balancers: config.load_balancers.len(),
            issuers: config.issuers.len(),
            online,
            findings: findings.iter().map(Finding::line).collect(),
        });
    } else {
        output::line(&summary(&config, online, findings.len()));
    }
    output::complain(&warnings);
    for finding in &findings {
        output::complain(&finding.block());
    }
    Ok(findings.iter().map(|finding| finding.stage).max().into())
}

/// Something in the way, of a certificate or of all of them.
struct Finding {
    /// What it keeps from happening.
    stage: Stage,
    error: Error,
}

impl Finding {
    /// For programs: one line, with the way out at its end.
    fn line(&self) -> String {
        match self.error.hint() {
            Some(hint) => format!("{}; hint: {hint}", self.error),
            None => self.error.to_string(),
        }
    }

    /// For the terminal.
    fn block(&self) -> String {
        Failure::from(self.error.clone()).render()
    }
}

impl From<Problem> for Finding {
    fn from(problem: Problem) -> Self {
        Self { stage: problem.stage, error: problem.error }
    }
}

/// What stands in the way: CAs that do not answer or lack a profile, load balancers that cannot be read, listeners that
/// cannot serve what is wanted, rights that are missing there, paths of challenges that are blocked.
async fn look(config: &Config) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let issuers = wiring::issuers(config)?;
    for spec in &config.desired.certificates {
        let Some(issuer) = issuers.get(&spec.version.issuer) else { continue };
        if let Err(error) = issuer.check(spec.version.profile.as_deref()).await {
            findings.push(Finding { stage: Stage::Issue, error: error.for_certificate(&spec.name) });
        }
    }
    findings.extend(avi_rights::missing(config).await?);
    let store = wiring::store_to_read(config).await?;
    let progress = Arc::new(Progress::new(false));
    let parts = wiring::parts(config, store, progress, Arc::new(SystemClock), Responder::default())?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let plan = engine.plan(&PlanOptions::default()).await;
    engine.close().await;
    findings.extend(plan?.problems.into_iter().map(Finding::from));
    // One cause may stand in the way of several things.
    let mut told = BTreeSet::new();
    findings.retain(|finding| told.insert(finding.block()));
    Ok(findings)
}

fn summary(config: &Config, online: bool, findings: usize) -> String {
    let config_line = format!(
        "{}: {} certificate(s), {} load balancer(s), {} issuer(s): the config is good",
        config.path.display(),
        config.desired.certificates.len(),
        config.load_balancers.len(),
        config.issuers.len(),
    );
    match (online, findings) {
        (false, _) => config_line,
        (true, 0) => format!("{config_line}\nthe CA and the load balancers answer, and nothing stands in the way"),
        (true, count) => format!("{config_line}\n{count} finding(s) at the CA and the load balancers:"),
    }
}

/// `check --output json`.
#[derive(Serialize)]
struct CheckDocument {
    certificates: usize,
    load_balancers: usize,
    issuers: usize,
    online: bool,
    findings: Vec<String>,
}
