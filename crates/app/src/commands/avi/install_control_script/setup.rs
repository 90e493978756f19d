//! The set-up that config and command line ask for.

use certferry_core::LoadBalancerName;
use certferry_providers::load_balancer::avi::{AviConfig, ControlScriptSetup, Credential, SetupUser};

use super::super::usage;
use crate::api_certificate;
use crate::cli::InstallControlScript;
use crate::config::{Api, Config, LoadBalancer};
use crate::failure::Failure;
use crate::output;

/// Makes the API's certificate when it is certferry's own and not there yet: the script is to trust it.
pub(super) fn setup(
    arguments: &InstallControlScript,
    config: &Config,
    name: &LoadBalancerName,
    load_balancer: &LoadBalancer,
    avi: &AviConfig,
) -> Result<ControlScriptSetup, Failure> {
    // The config refuses a control script without an API.
    let (Some(script), Some(api)) = (&load_balancer.control_script, &config.api) else {
        return Err(usage(
            format!("load balancer `{name}` has no `control-script` in the config"),
            "add `control-script: { token: env:CERTFERRY_EDGE_TOKEN }` to it, and `api: { url: https://HOST:8443 }` to the \
             file",
        ));
    };
    let url = api.url.as_str().parse().map_err(|error| usage(error, "correct `api: url:` in the config"))?;
    let mut setup = ControlScriptSetup::new(url, name.clone(), script.token.clone());
    setup.trusted_roots = trusted_roots(arguments, api)?;
    setup.script_name.clone_from(&arguments.script);
    setup.profile_name.clone_from(&arguments.profile);
    setup.role_name.clone_from(&arguments.role);
    setup.user = user(arguments, name, avi);
    setup.rewrite_secrets = arguments.rewrite_secrets;
    Ok(setup)
}

/// `None`: the controller's own.
fn trusted_roots(arguments: &InstallControlScript, api: &Api) -> Result<Option<String>, Failure> {
    if let Some(path) = &arguments.trusted_roots {
        let failed = |source| {
            let what = format!("the trusted roots cannot be read from {}", path.display());
            Failure::Machine { what, source }
        };
        return std::fs::read_to_string(path).map(Some).map_err(failed);
    }
    if !api.self_made {
        return Ok(None);
    }
    let certificate = api_certificate::load_or_make(api)?;
    if certificate.is_new {
        output::complain(&format!("made {} for {}\n", api.certificate.display(), api.url));
    }
    Ok(Some(certificate.chain_pem))
}

fn user(arguments: &InstallControlScript, name: &LoadBalancerName, avi: &AviConfig) -> Option<SetupUser> {
    if arguments.no_user {
        return None;
    }
    match &avi.credential {
        Credential::Password(password) => {
            Some(SetupUser { username: avi.username.clone(), password: password.clone() })
        }
        Credential::Token(_) => {
            let username = &avi.username;
            output::complain(&format!(
                "user `{username}` and its role are left alone, as with --no-user: load balancer `{name}` logs in with a \
                 token\n"
            ));
            None
        }
    }
}
