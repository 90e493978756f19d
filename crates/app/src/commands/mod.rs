//! One file per command.

pub(crate) mod account;
pub(crate) mod adopt;
pub(crate) mod apply;
pub(crate) mod avi;
pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod deploy_hook;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod import_certbot;
pub(crate) mod inventory;
pub(crate) mod plan;
pub(crate) mod point;
pub(crate) mod policy;
pub(crate) mod revoke;
pub(crate) mod status;

use std::collections::BTreeSet;

use certferry_core::desired::Desired;
use certferry_core::plan::PlanOptions;
use certferry_core::{CertificateName, LoadBalancerName, NameError};
use jiff::SignedDuration;

use crate::cli::Selection;
use crate::config::{Config, LoadBalancer};
use crate::failure::Failure;

/// Until somebody runs `apply` again: the packaged timer does so twice a day.
const NEXT_WAKE: SignedDuration = SignedDuration::from_hours(12);

/// The options of a plan; every name must be in the config.
fn plan_options(selection: &Selection, desired: &Desired) -> Result<PlanOptions, Failure> {
    let only: BTreeSet<CertificateName> =
        selection.only.iter().map(|name| name.parse()).collect::<Result<_, NameError>>()?;
    for name in &only {
        known_certificate(name, desired)?;
    }
    Ok(PlanOptions { force_renewal: selection.force_renewal, only, next_wake: NEXT_WAKE, ..PlanOptions::default() })
}

fn known_certificate(name: &CertificateName, desired: &Desired) -> Result<(), Failure> {
    if desired.certificates.iter().any(|spec| spec.name == *name) {
        return Ok(());
    }
    let known = desired.certificates.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ");
    Err(Failure::Usage(format!("the config has no certificate `{name}`; it has: {known}")))
}

/// The load balancer of the config with that name.
fn known_load_balancer<'a>(
    name: &str,
    config: &'a Config,
) -> Result<(&'a LoadBalancerName, &'a LoadBalancer), Failure> {
    let name: LoadBalancerName = name.parse()?;
    config.load_balancers.get_key_value(&name).ok_or_else(|| {
        let known = config.load_balancers.keys().map(LoadBalancerName::as_str).collect::<Vec<_>>().join(", ");
        Failure::Usage(format!("the config has no load balancer `{name}`; it has: {known}"))
    })
}
