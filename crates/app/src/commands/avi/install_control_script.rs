//! `certferry avi install-control-script`: sets a controller up so that it orders certificates of its own accord. Shows what
//! is to be done, asks, does it. A second time there is nothing to do.

mod printed;
mod setup;

use certferry_core::port::LoadBalancer as _;
use certferry_providers::load_balancer::avi::{AviConfig, AviTenant, ControlScriptSetup, Credential, SetupStep};

use super::{known, secret_argument, tenant, usage};
use crate::cli::{GlobalOptions, InstallControlScript};
use crate::commands::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, SetupDocument, setup_text};

pub(super) async fn run(global: &GlobalOptions, arguments: &InstallControlScript) -> Result<Exit, Failure> {
    // Read first: what is no reference is refused, whatever else is wrong.
    let login = login(arguments)?;
    if arguments.print {
        return printed::run(global, arguments);
    }
    let Some(credential) = login else {
        return Err(usage(
            "this takes an administrator's login",
            "add `--as ADMIN --password env:AVI_ADMIN_PASSWORD`, or `--print` to do it by hand",
        ));
    };
    let config = global.load_config()?;
    let (name, load_balancer, avi) = known(&arguments.load_balancer, &config)?;
    let setup = setup::setup(arguments, &config, name, load_balancer, avi)?;
    let login = AviConfig { username: arguments.administrator.clone(), credential, ..avi.clone() };
    let administrator = tenant(name, login)?;
    let installation = Installation { global, arguments, administrator: &administrator, setup: &setup };
    let outcome = installation.carry_out().await;
    administrator.close().await;
    outcome
}

/// Only by reference; `None` where there is none.
fn login(arguments: &InstallControlScript) -> Result<Option<Credential>, Failure> {
    let password = arguments.password.as_ref();
    let password = password.map(|password| secret_argument::read("--password", password, "AVI_ADMIN_PASSWORD"));
    let token = arguments.token.as_ref().map(|token| secret_argument::read("--token", token, "AVI_ADMIN_TOKEN"));
    Ok(match (password.transpose()?, token.transpose()?) {
        (Some(password), _) => Some(Credential::Password(password)),
        (None, token) => token.map(Credential::Token),
    })
}

struct Installation<'a> {
    global: &'a GlobalOptions,
    arguments: &'a InstallControlScript,
    administrator: &'a AviTenant,
    setup: &'a ControlScriptSetup,
}

impl Installation<'_> {
    async fn carry_out(&self) -> Result<Exit, Failure> {
        let plan = self.administrator.control_script_plan(self.setup).await?;
        if plan.is_empty() {
            self.tell(&plan, 0);
            return Ok(Exit::Healthy);
        }
        if self.arguments.plan {
            self.tell(&plan, 0);
            return Ok(Exit::StepsPlanned);
        }
        if !self.is_wanted(&plan).await? {
            return Ok(Exit::StepsPlanned);
        }
        let done = self.administrator.install_control_script(self.setup).await?;
        if self.global.wants_json() {
            self.tell(&done, done.len());
        } else {
            output::line(&self.done_text(&done));
        }
        Ok(Exit::Healthy)
    }

    /// Shows the plan, and asks where nobody has said yes before.
    async fn is_wanted(&self, plan: &[SetupStep]) -> Result<bool, Failure> {
        let asks = !self.arguments.yes && confirm::can_ask();
        // Standard output holds one JSON document, which may still have to tell what was done.
        match (self.global.wants_json(), asks) {
            (false, _) => output::line(&setup_text(plan)),
            (true, true) => output::complain(&format!("{}\n", setup_text(plan))),
            (true, false) if !self.arguments.yes => self.tell(plan, 0),
            (true, false) => {}
        }
        if self.arguments.yes {
            return Ok(true);
        }
        if !asks {
            return Err(usage(
                "nothing was done: there is no terminal to ask on",
                "add `--yes` to do it without asking",
            ));
        }
        let wanted = confirm::ask().await;
        if !wanted {
            output::complain("nothing was done\n");
            if self.global.wants_json() {
                self.tell(plan, 0);
            }
        }
        Ok(wanted)
    }

    fn tell(&self, steps: &[SetupStep], done: usize) {
        if self.global.wants_json() {
            output::json(&SetupDocument::new(&self.setup.load_balancer, steps, done));
        } else {
            output::line(&setup_text(steps));
        }
    }

    fn done_text(&self, done: &[SetupStep]) -> String {
        let lines = done.iter().map(|step| format!("done: {} {}\n", step.what, step.object));
        format!(
            "\n{}\nNow run `certferry daemon` behind {}, and create a certificate on the controller: Templates > Security > \
             SSL/TLS Certificates > Create > Application Certificate, type CSR, Certificate Management Profile `{}`",
            lines.collect::<String>(),
            self.setup.url.as_url().as_str().trim_end_matches('/'),
            self.setup.profile_name,
        )
    }
}
