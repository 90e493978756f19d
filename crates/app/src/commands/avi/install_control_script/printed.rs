//! `--print`: what to do by hand. No controller is asked, and no secret is needed.

use std::path::PathBuf;

use certferry_providers::load_balancer::avi::{control_script_text, printed};
use serde::Serialize;

use super::super::known;
use super::setup::setup;
use crate::cli::{GlobalOptions, InstallControlScript};
use crate::config::{self, Environment, ProcessEnvironment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(super) fn run(global: &GlobalOptions, arguments: &InstallControlScript) -> Result<Exit, Failure> {
    let config = config::load_with(&config::locate(global.config.as_deref())?, &WithoutSecrets)?;
    let (name, load_balancer, avi) = known(&arguments.load_balancer, &config)?;
    let setup = setup(arguments, &config, name, load_balancer, avi)?;
    let instructions = printed(&setup, avi);
    if global.wants_json() {
        output::json(&PrintedDocument {
            load_balancer: name.as_str(),
            instructions: &instructions,
            control_script: control_script_text(),
        });
    } else {
        output::line(instructions.trim_end());
    }
    Ok(Exit::Healthy)
}

/// `avi install-control-script --print --output json`.
#[derive(Serialize)]
struct PrintedDocument<'a> {
    load_balancer: &'a str,
    /// The script at the end of them.
    instructions: &'a str,
    control_script: &'a str,
}

/// The process's environment, where a secret that is not set is no error: who prints the steps may not be the one who knows
/// the secrets. What stands in their place is not printed.
struct WithoutSecrets;

impl Environment for WithoutSecrets {
    fn variable(&self, name: &str) -> Option<String> {
        // Good as a token and as an EAB key.
        ProcessEnvironment.variable(name).or_else(|| Some("A".repeat(64)))
    }

    fn home(&self) -> Option<PathBuf> {
        ProcessEnvironment.home()
    }
}
