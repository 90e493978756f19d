//! `certferry check`: the config; with `--online` also the CA, the load balancers, and what a CA will find in DNS and on
//! port 80, changing nothing anywhere.

mod avi_rights;
mod finding;
mod outside;

use std::collections::BTreeSet;
use std::sync::Arc;

use certferry_core::SystemClock;
use certferry_core::plan::{PlanOptions, Stage};
use certferry_core::preflight::Severity;
use certferry_engine::{Engine, Limits, Responder};
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;
use crate::progress::Progress;
use crate::wiring;
use finding::Finding;

pub(crate) async fn run(global: &GlobalOptions, online: bool) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let findings = if online { look(&config).await? } else { Vec::new() };
    let (errors, odd): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.severity == Severity::Error);
    if global.wants_json() {
        output::json(&CheckDocument {
            certificates: config.desired.certificates.len(),
            load_balancers: config.load_balancers.len(),
            issuers: config.issuers.len(),
            online,
            findings: errors.iter().map(|finding| finding.line()).collect(),
            warnings: config.warnings.lines().chain(odd.iter().map(|finding| finding.line())).collect(),
        });
    } else {
        output::line(&summary(&config, online, errors.len(), odd.len()));
    }
    output::complain(&config.warnings.to_string());
    for finding in errors.iter().chain(&odd) {
        output::complain(&finding.block());
    }
    Ok(errors.iter().map(|finding| finding.stage).max().into())
}

/// What stands in the way: CAs that do not answer or lack a profile, load balancers that cannot be read, listeners that
/// cannot serve what is wanted, rights that are missing there, paths of challenges that are blocked; names that point
/// elsewhere, CAA records, a clock that is wrong.
async fn look(config: &Config) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let issuers = wiring::issuers(config)?;
    for spec in &config.desired.certificates {
        let Some(issuer) = issuers.get(&spec.version.issuer) else { continue };
        if let Err(error) = issuer.check(spec.version.profile.as_deref()).await {
            findings.push(Finding::new(Stage::Issue, error.for_certificate(&spec.name)));
        }
    }
    findings.extend(avi_rights::missing(config).await?);
    let store = wiring::store_to_read(config).await?;
    let progress = Arc::new(Progress::new(false));
    let parts = wiring::parts(config, store, progress, Arc::new(SystemClock), Responder::default()).await?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let planned = engine.plan_and_observed(&PlanOptions::default()).await;
    engine.close().await;
    let (plan, observed) = planned?;
    findings.extend(plan.problems.into_iter().map(Finding::from));
    findings.extend(outside::look(config, &issuers, observed).await);
    // One cause may stand in the way of several things.
    let mut told = BTreeSet::new();
    findings.retain(|finding| told.insert(finding.block()));
    Ok(findings)
}

fn summary(config: &Config, online: bool, errors: usize, warnings: usize) -> String {
    let config_line = format!(
        "{}: {} certificate(s), {} load balancer(s), {} issuer(s): the config is good",
        config.path.display(),
        config.desired.certificates.len(),
        config.load_balancers.len(),
        config.issuers.len(),
    );
    match (online, errors, warnings) {
        (false, ..) => config_line,
        (true, 0, 0) => {
            format!("{config_line}\nthe CA and the load balancers answer, and nothing stands in the way")
        }
        (true, 0, _) => {
            format!("{config_line}\nthe CA and the load balancers answer; {warnings} warning(s) to look at:")
        }
        (true, _, 0) => format!("{config_line}\n{errors} finding(s) at the CA, the load balancers and in DNS:"),
        (true, ..) => {
            format!(
                "{config_line}\n{errors} finding(s) at the CA, the load balancers and in DNS, and {warnings} warning(s):"
            )
        }
    }
}

/// `check --output json`.
#[derive(Serialize)]
struct CheckDocument {
    certificates: usize,
    load_balancers: usize,
    issuers: usize,
    online: bool,
    /// What stands in the way; decides the exit code.
    findings: Vec<String>,
    /// What may be right as it is: the config's own first.
    warnings: Vec<String>,
}
