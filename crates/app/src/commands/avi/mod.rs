//! `certferry avi`: what only Avi controllers have.

mod install_control_script;
mod logs;
mod secret_argument;

use std::sync::Arc;

use certferry_core::{LoadBalancerName, SystemClock};
use certferry_providers::load_balancer::avi::{AviConfig, AviTenant};

use crate::cli::{AviCommand, GlobalOptions};
use crate::commands::known_load_balancer;
use crate::config::{Config, LoadBalancer, Provider};
use crate::exit::Exit;
use crate::failure::Failure;

pub(crate) async fn run(global: &GlobalOptions, command: AviCommand) -> Result<Exit, Failure> {
    match command {
        AviCommand::InstallControlScript(arguments) => install_control_script::run(global, &arguments).await,
        AviCommand::Logs(arguments) => logs::run(global, &arguments).await,
    }
}

/// The Avi load balancer of the config with that name.
fn known<'a>(
    name: &str,
    config: &'a Config,
) -> Result<(&'a LoadBalancerName, &'a LoadBalancer, &'a AviConfig), Failure> {
    let (name, load_balancer) = known_load_balancer(name, config)?;
    match &load_balancer.provider {
        Provider::Avi(avi) => Ok((name, load_balancer, avi)),
        Provider::Oci(_) => Err(usage(
            format!("load balancer `{name}` is no tenant of an Avi controller"),
            "name one that has `avi:` in the config",
        )),
    }
}

fn tenant(name: &LoadBalancerName, avi: AviConfig) -> Result<AviTenant, Failure> {
    Ok(AviTenant::new(name.clone(), avi, Arc::new(SystemClock))?)
}

/// What is wrong with the command line, and what to write instead.
fn usage(said: impl std::fmt::Display, hint: &str) -> Failure {
    Failure::Usage(format!("{said}\n  hint: {hint}"))
}
