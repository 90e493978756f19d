//! The least that certferry needs to be allowed, as an Avi role.

use serde_json::{Value, json};

use super::config::{AviConfig, Http01Config, Port80};

/// The role that this config needs, as `POST /api/role` takes it. Rights that a role does not name are none.
pub fn role(config: &AviConfig) -> Value {
    json!({"name": "certferry", "privileges": privileges(config.http01.as_ref(), delivers(config))})
}

/// Whether certferry carries certificates there itself. Where it does not, the controller installs what its ControlScript
/// returns, or the load balancer only answers challenges.
fn delivers(config: &AviConfig) -> bool {
    !config.listeners.is_empty()
}

/// The entries of the role.
pub(super) fn privileges(http01: Option<&Http01Config>, delivers: bool) -> Vec<Value> {
    let privilege = |right: &Right| {
        let access = if right.write { "WRITE_ACCESS" } else { "READ_ACCESS" };
        json!({"resource": right.resource, "type": access})
    };
    rights(http01, delivers).iter().chain([&WARNING_DAYS]).map(privilege).collect()
}

/// The role as JSON, and how to make it and its user in the controller's UI.
pub fn policy(config: &AviConfig) -> String {
    let mut text = format!("{:#}\n\nIn the UI, with the same effect:\n", role(config));
    text.push_str("1. Administration > Accounts > Roles > Create: name `certferry`, everything No Access but\n");
    for right in rights(config.http01.as_ref(), delivers(config)).iter().chain([&WARNING_DAYS]) {
        let access = if right.write { "Write" } else { "Read" };
        text.push_str(&format!("   - {}: {access} ({})\n", right.shown, right.why));
    }
    text.push_str(&format!(
        "2. Administration > Accounts > Users > Create: user `{}`, local, no super user, role `certferry` in tenant `{}` \
         only\n",
        config.username, config.tenant
    ));
    text.push_str("3. Its password goes where `password` of the load balancer points\n");
    text
}

/// Useful, but nothing is refused without it: then certferry warns by its own days.
const WARNING_DAYS: Right = Right {
    resource: "PERMISSION_CONTROLLER",
    shown: "Administration > Controller",
    write: false,
    why: "warn at the controller's own days; may be left out",
};

/// A right that the role needs.
pub(super) struct Right {
    pub(super) resource: &'static str,
    /// As the UI calls it.
    pub(super) shown: &'static str,
    pub(super) write: bool,
    pub(super) why: &'static str,
}

/// All rights that a config with such an http01 needs, which delivers certificates or does not.
pub(super) fn rights(http01: Option<&Http01Config>, delivers: bool) -> Vec<Right> {
    let right = |resource, shown, write, why| Right { resource, shown, write, why };
    let (of_certificates, of_services) = match delivers {
        true => ("import and renew", "refer to the certificate"),
        false => ("see what is served", "link the policy set to it"),
    };
    let mut rights = vec![
        right("PERMISSION_SSLKEYANDCERTIFICATE", "Templates > SSL/TLS Certificates", delivers, of_certificates),
        right("PERMISSION_VIRTUALSERVICE", "Application > Virtual Service", true, of_services),
        right("PERMISSION_APPLICATIONPROFILE", "Templates > Application Profile", false, "tell HTTP from layer 4"),
    ];
    let Some(http01) = http01 else { return rights };
    rights.push(right("PERMISSION_HTTPPOLICYSET", "Templates > HTTP Policy Sets", true, "answer challenges"));
    if http01.port_80 == Port80::Sibling {
        let why = "let a virtual service of certferry's own on port 80 refer to it";
        rights.push(right("PERMISSION_NETWORKPROFILE", "Templates > TCP/UDP Profile", false, why));
        rights.push(right("PERMISSION_SERVICEENGINEGROUP", "Infrastructure > Service Engine Group", false, why));
        rights.push(right("PERMISSION_CLOUD", "Infrastructure > Cloud", false, why));
        rights.push(right("PERMISSION_VRFCONTEXT", "Infrastructure > VRF Context", false, why));
    }
    rights
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::config::{Credential, Limits, Lookup};
    use super::*;

    fn config(port_80: Option<Port80>) -> AviConfig {
        AviConfig {
            controller: "https://avi.some-domain.com".parse().unwrap(),
            username: "certferry".to_owned(),
            credential: Credential::Password("hunter2".to_owned().into()),
            tenant: "shop".to_owned(),
            trusted_roots: None,
            listeners: BTreeSet::from(["shop-443".parse().unwrap()]),
            lookup: Lookup::System,
            http01: port_80.map(|port_80| Http01Config {
                names: BTreeMap::new(),
                otherwise: Vec::new(),
                port_80,
                keep: false,
                probe: Vec::new(),
            }),
            limits: Limits::default(),
        }
    }

    fn resources(port_80: Option<Port80>) -> Vec<String> {
        let role = role(&config(port_80));
        let privileges = role["privileges"].as_array().unwrap();
        privileges.iter().map(|one| one["resource"].as_str().unwrap()["PERMISSION_".len()..].to_lowercase()).collect()
    }

    #[test]
    fn what_is_not_configured_is_not_asked_for() {
        let delivery = ["sslkeyandcertificate", "virtualservice", "applicationprofile"];
        assert_eq!(resources(None), [&delivery[..], &["controller"]].concat());
        assert_eq!(resources(Some(Port80::Require)), [&delivery[..], &["httppolicyset", "controller"]].concat());
        assert_eq!(resources(Some(Port80::AddService)).len(), 5);
        assert_eq!(resources(Some(Port80::Sibling)).len(), 9);
    }

    #[test]
    fn certificates_are_only_read_where_none_is_delivered() {
        let access = |config: &AviConfig| role(config)["privileges"][0]["type"].clone();
        let mut config = config(Some(Port80::Sibling));
        assert_eq!(access(&config), "WRITE_ACCESS");
        config.listeners.clear();
        assert_eq!(access(&config), "READ_ACCESS");
        assert!(policy(&config).contains("SSL/TLS Certificates: Read"));
    }

    #[test]
    fn the_text_holds_the_role_and_the_steps_and_no_password() {
        let text = policy(&config(Some(Port80::Sibling)));
        let json = text.split("\n\n").next().unwrap();
        assert_eq!(serde_json::from_str::<Value>(json).unwrap()["name"], "certferry");
        for part in ["HTTP Policy Sets: Write", "user `certferry`", "tenant `shop`"] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(!text.contains("hunter2"));
    }
}
