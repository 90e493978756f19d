//! The set-up for people who make it by hand: steps in the controller's UI, then the script to paste.

use std::fmt::Write;

use super::super::config::AviConfig;
use super::super::model::text;
use super::super::policy::privileges;
use super::desired::{Desired, SCRIPT_SECONDS, TRUSTED_ROOTS, check};
use super::{ControlScriptSetup, control_script_text};

/// What an administrator does in the UI instead of letting certferry do it; neither token nor password is in it. `config`
/// is the load balancer's own, with certferry's user.
pub fn printed(setup: &ControlScriptSetup, config: &AviConfig) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, setup, config);
    text
}

fn write(out: &mut String, setup: &ControlScriptSetup, config: &AviConfig) -> std::fmt::Result {
    let desired = Desired {
        setup,
        tenant: &config.tenant,
        privileges: privileges(config.http01.as_ref(), !config.listeners.is_empty()),
        timeout: true,
    };
    let (tenant, load_balancer) = (&config.tenant, &setup.load_balancer);
    let ControlScriptSetup { script_name, profile_name, role_name, .. } = setup;
    if let Err(problem) = check(setup) {
        writeln!(out, "This cannot work yet: {}; hint: {}\n", problem.said, problem.hint)?;
    }
    writeln!(out, "In the controller's UI, in tenant `{tenant}` (accounts in tenant `admin`):\n")?;
    writeln!(
        out,
        "1. Templates > Scripts > ControlScripts > Create: name `{script_name}`; import or paste the script below;"
    )?;
    writeln!(out, "   timeout {SCRIPT_SECONDS} seconds, where it can be set (22.1.6 and later)")?;
    writeln!(out, "2. Administration > Accounts > Roles > Create: name `{role_name}`, everything No Access but")?;
    for privilege in &desired.privileges {
        let access = if text(privilege, "type") == Some("WRITE_ACCESS") { "Write" } else { "Read" };
        writeln!(out, "   - {}: {access}", text(privilege, "resource").unwrap_or_default())?;
    }
    writeln!(out, "   (`certferry policy {load_balancer}` tells where the UI shows each of them)")?;
    let username = setup.user.as_ref().map_or(config.username.as_str(), |user| user.username.as_str());
    writeln!(
        out,
        "3. Administration > Accounts > Users > Create: user `{username}`, local, no super user, role `{role_name}`"
    )?;
    writeln!(
        out,
        "   in tenant `{tenant}` only; its password goes where `password` of load balancer `{load_balancer}` points"
    )?;
    writeln!(
        out,
        "4. Templates > Security > Certificate Management > Create: name `{profile_name}`, ControlScript `{script_name}`,"
    )?;
    writeln!(out, "   Enable Custom Parameters; none of them is dynamic, only `token` is sensitive:")?;
    for parameter in desired.parameters() {
        let (shown, flags) = match parameter.name {
            name if parameter.is_sensitive => (
                format!("(the {name} of certferry's API for `{load_balancer}`, from where the config points)"),
                "sensitive",
            ),
            TRUSTED_ROOTS => ("(the PEM below)".to_owned(), "not sensitive"),
            _ => (parameter.value.to_owned(), "not sensitive"),
        };
        writeln!(out, "   - {} = {shown}: {flags}, not dynamic", parameter.name)?;
    }
    writeln!(
        out,
        "5. Templates > Security > SSL/TLS Certificates > Create > Application Certificate: type CSR, Certificate"
    )?;
    writeln!(out, "   Management Profile `{profile_name}`; a common name and every name as subject alternative name")?;
    if let Some(roots) = &setup.trusted_roots {
        writeln!(out, "\n---- trusted_roots ----\n{}", roots.trim())?;
    }
    writeln!(out, "\n---- ControlScript `{script_name}`: all that follows ----\n{}", control_script_text().trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::super::config::{Credential, Http01Config, Limits, Port80};
    use super::super::SetupUser;
    use super::*;

    #[test]
    fn all_of_it_is_there_and_no_secret() {
        let config = AviConfig {
            controller: "https://avi.some-domain.com".parse().unwrap(),
            username: "other".to_owned(),
            credential: Credential::Password("hunter2".to_owned().into()),
            tenant: "shop".to_owned(),
            trusted_roots: None,
            listeners: Default::default(),
            lookup: Default::default(),
            http01: Some(Http01Config {
                names: Default::default(),
                otherwise: Vec::new(),
                port_80: Port80::Require,
                keep: false,
                probe: Vec::new(),
            }),
            limits: Limits::default(),
        };
        let url = "https://certferry.some-domain.com:8443".parse().unwrap();
        let mut setup = ControlScriptSetup::new(url, "edge".parse().unwrap(), "sesame-9".to_owned().into());
        setup.trusted_roots = Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_owned());
        setup.role_name = "least".to_owned();
        setup.user = Some(SetupUser { username: "ferry".to_owned(), password: "hunter3".to_owned().into() });
        let text = printed(&setup, &config);
        for part in [
            "tenant `shop`",
            "timeout 600 seconds",
            "name `least`",
            "PERMISSION_HTTPPOLICYSET: Write",
            "PERMISSION_SSLKEYANDCERTIFICATE: Read",
            "user `ferry`",
            "url = https://certferry.some-domain.com:8443: not sensitive, not dynamic",
            "load_balancer = edge: not sensitive",
            "token = (the token of certferry's API for `edge`, from where the config points): sensitive, not dynamic",
            "trusted_roots = (the PEM below): not sensitive",
            "---- trusted_roots ----\n-----BEGIN CERTIFICATE-----\nAAAA\n",
            "created_by = certferry",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(text.trim_end().ends_with(control_script_text().trim_end()), "the script can be cut off as it is");
        for secret in ["sesame-9", "hunter2", "hunter3"] {
            assert!(!text.contains(secret), "{secret} is in {text}");
            assert!(!format!("{setup:?}").contains(secret), "{secret} is in Debug");
        }
    }
}
