//! Certificates that the controller itself asks for: a ControlScript, run for a certificate management profile, hands each
//! CSR to certferry's API and returns the chain. The key never leaves the controller, which starts renewals too.
//!
//! Set up by an administrator's login, once: the script, a role with the least rights and a user for certferry, and the
//! profile that carries the script's parameters. What is there is compared field by field (`plan`) and only what differs is
//! written. What certferry did not make is never overwritten.

mod compare;
mod desired;
mod plan;
mod printed;
mod step;
#[cfg(test)]
mod tests;

use certferry_core::{Error, ErrorKind, LoadBalancerName, Secret};
use tokio::time::Instant;

use super::AviTenant;
use super::change::Change;
use super::client::{Call, Failed};
use super::model::Collection;
use super::policy::privileges;
use super::retry::{Meaning, Reaction};
use super::version::ApiVersion;
use crate::http::{BaseUrl, jitter};
use desired::Desired;
use plan::Planned;
pub use printed::printed;
pub use step::{SetupAction, SetupField, SetupStep};

/// What to set up on a controller.
#[derive(Clone, Debug)]
pub struct ControlScriptSetup {
    /// certferry's API as the controller reaches it: https.
    pub url: BaseUrl,
    /// This controller's tenant in the config.
    pub load_balancer: LoadBalancerName,
    /// The token of certferry's API.
    pub token: Secret<String>,
    /// PEM of the roots that the script checks certferry's HTTPS against; the controller's own when absent.
    pub trusted_roots: Option<String>,
    /// The name of the ControlScript.
    pub script_name: String,
    /// The name of the certificate management profile.
    pub profile_name: String,
    /// The name of the role.
    pub role_name: String,
    /// The user that certferry logs in as afterwards. `None`: it is there already with its role, and neither is looked at.
    pub user: Option<SetupUser>,
    /// Write token and password even where nothing else differs: a controller does not show them, so that nobody sees
    /// whether they are the right ones.
    pub rewrite_secrets: bool,
}

/// A local user of the controller.
#[derive(Clone, Debug)]
pub struct SetupUser {
    /// What it logs in with.
    pub username: String,
    /// Its password.
    pub password: Secret<String>,
}

impl ControlScriptSetup {
    /// With the usual names (`certferry` for all), without trusted roots of its own, and without a user.
    pub fn new(url: BaseUrl, load_balancer: LoadBalancerName, token: Secret<String>) -> Self {
        let name = || "certferry".to_owned();
        Self {
            url,
            load_balancer,
            token,
            trusted_roots: None,
            script_name: name(),
            profile_name: name(),
            role_name: name(),
            user: None,
            rewrite_secrets: false,
        }
    }
}

/// The ControlScript, as it is installed.
pub fn control_script_text() -> &'static str {
    include_str!("forward.py")
}

impl AviTenant {
    /// What [`AviTenant::install_control_script`] would do, in its order; empty when there is nothing to do. Writes nothing.
    ///
    /// # Errors
    /// A set-up that cannot work as it is written, an object of that name that certferry did not make, a licence without
    /// certificate management profiles, or a right that is missing: the hint names it.
    pub async fn control_script_plan(&self, setup: &ControlScriptSetup) -> Result<Vec<SetupStep>, Error> {
        let desired = self.desired(setup).await?;
        Ok(self.planned(&desired).await?.into_iter().map(|planned| planned.step).collect())
    }

    /// Sets all of it up, and tells what was done. Whatever was interrupted is continued; what is there is left alone.
    ///
    /// # Errors
    /// As [`AviTenant::control_script_plan`]; and what the controller refuses.
    pub async fn install_control_script(&self, setup: &ControlScriptSetup) -> Result<Vec<SetupStep>, Error> {
        let desired = self.desired(setup).await?;
        let planned = self.planned(&desired).await?;
        self.api.converge(&OBJECTS, |tenant| plan::next(tenant, &desired)).await?;
        let rewritten = |step: &SetupStep| planned.iter().any(|one| one.only_secrets && one.step == *step);
        for again in self.planned(&desired).await?.iter().filter(|again| rewritten(&again.step)) {
            self.write_secrets(&again.change).await?;
        }
        Ok(planned.into_iter().map(|planned| planned.step).collect())
    }

    async fn desired<'a>(&'a self, setup: &'a ControlScriptSetup) -> Result<Desired<'a>, Error> {
        desired::check(setup).map_err(|problem| self.api.problem(problem))?;
        if let Some(tier @ ("BASIC" | "ESSENTIALS")) = self.api.tier().await?.as_deref() {
            let subject = self.api.subject("the certificate management profile");
            return Err(Error::new(ErrorKind::NotOffered, "setting up the ControlScript", subject)
                .said(format!("licence tier {tier} has no certificate management profiles that run scripts"))
                .with_hint("let certferry deliver certificates itself: `deploy:` in the config"));
        }
        Ok(Desired {
            setup,
            tenant: self.api.tenant_name(),
            privileges: privileges(self.http01.as_ref(), !self.listeners.is_empty()),
            timeout: self.api.version().await? >= ApiVersion::SCRIPT_TIMEOUT,
        })
    }

    async fn planned(&self, desired: &Desired<'_>) -> Result<Vec<Planned>, Error> {
        let tenant = self.api.tenant(&OBJECTS).await?;
        plan::planned(&tenant, desired).map_err(|problem| self.api.problem(problem))
    }

    /// Sends a change that reading cannot confirm until the controller has taken it. Sent twice it does the same.
    async fn write_secrets(&self, change: &Change) -> Result<(), Error> {
        let call = Call {
            method: change.method.clone(),
            collection: change.collection,
            uuid: change.uuid.clone(),
            query: Vec::new(),
            body: change.body.clone(),
        };
        let deadline = Instant::now() + self.api.limits.retry;
        let mut failures = 0;
        loop {
            let failure = match self.api.send(&call).await {
                Ok(_) => return Ok(()),
                Err(Failed::Login(error)) => return Err(error),
                Err(Failed::Call(failure)) => failure,
            };
            failures += 1;
            let wait = self.api.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            let stop = failure.reaction() == Reaction::Stop || failure.meaning() == Some(Meaning::NotFound);
            if stop || Instant::now() + wait >= deadline {
                return Err(self.api.call_error(&change.operation(), &change.object, &call, &failure));
            }
            tokio::time::sleep(wait).await;
        }
    }
}

/// What is set up, in the order in which one refers to another.
const OBJECTS: [Collection; 4] =
    [Collection::ControlScripts, Collection::Roles, Collection::Users, Collection::CertificateManagementProfiles];
