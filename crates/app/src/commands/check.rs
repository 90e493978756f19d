//! `certferry check`: the config; with `--online` also the CA and the load balancers, changing nothing there.

use std::sync::Arc;

use certferry_core::SystemClock;
use certferry_core::plan::{PlanOptions, Problem, Stage};
use certferry_engine::{Engine, Limits, Responder};
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
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
            findings: findings.iter().map(|problem| problem.error.to_string()).collect(),
        });
    } else {
        output::line(&summary(&config, online, findings.len()));
    }
    output::complain(&warnings);
    complain_of(&findings);
    Ok(findings.iter().map(|problem| problem.stage).max().into())
}

/// What stands in the way: CAs that do not answer or lack a profile, load balancers that cannot be read, listeners that
/// cannot serve what is wanted, paths of challenges that are blocked.
async fn look(config: &Config) -> Result<Vec<Problem>, Failure> {
    let mut findings = Vec::new();
    let issuers = wiring::issuers(config)?;
    for spec in &config.desired.certificates {
        let Some(issuer) = issuers.get(&spec.version.issuer) else { continue };
        if let Err(error) = issuer.check(spec.version.profile.as_deref()).await {
            findings.push(Problem {
                stage: Stage::Issue,
                certificate: spec.name.clone(),
                load_balancer: None,
                listener: None,
                error: error.for_certificate(&spec.name),
            });
        }
    }
    let store = wiring::store_to_read(config).await?;
    let progress = Arc::new(Progress::new(false));
    let parts = wiring::parts(config, store, progress, Arc::new(SystemClock), Responder::default())?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let plan = engine.plan(&PlanOptions::default()).await;
    engine.close().await;
    findings.extend(plan?.problems);
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
