//! The least that certferry needs to be allowed, as IAM policy statements
//! (<https://docs.oracle.com/iaas/Content/Identity/Reference/lbpolicyreference.htm>).

use super::config::OciConfig;

/// Who is allowed, and where, in OCI's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyScope {
    /// The group of the API key's user, such as `'Default'/'certferry'`. A group outside the default identity domain needs
    /// its domain in front.
    pub group: String,
    /// The load balancer's compartment: its name, or `id ocid1.compartment.…`.
    pub compartment: String,
}

impl Default for PolicyScope {
    /// Placeholders for a person to fill in.
    fn default() -> Self {
        Self { group: "'Default'/'<group>'".to_owned(), compartment: "<compartment>".to_owned() }
    }
}

/// The statement that this config needs, one operation a line. `use` is enough for all of it: nothing is created or deleted
/// but parts of the load balancer.
pub fn policy(config: &OciConfig, scope: &PolicyScope) -> String {
    let mut operations = vec![
        "GetLoadBalancer",
        "ListSSLCipherSuites",
        "ListWorkRequests",
        "GetWorkRequest",
        "CreateCertificate",
        "DeleteCertificate",
        "UpdateListener",
        "UpdateBackendSet",
    ];
    if config.http01.is_some() {
        operations.extend(["CreateBackendSet", "CreatePathRouteSet", "UpdatePathRouteSet", "UpdateRoutingPolicy"]);
    }
    if config.http01.is_some() || !config.create.is_empty() {
        operations.push("CreateListener");
    }
    let conditions: Vec<String> = operations.iter().map(|name| format!("  request.operation='{name}'")).collect();
    format!(
        "Allow group {} to use load-balancers in compartment {} where any {{\n{}}}\n",
        scope.group,
        scope.compartment,
        conditions.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load_balancer::oci::{ApiKeyFile, Limits};

    #[test]
    fn what_is_not_configured_is_not_asked_for() {
        let config = OciConfig {
            load_balancer_id: "ocid1.loadbalancer.oc1.iad.example".parse().unwrap(),
            auth: ApiKeyFile { config_file: "x".into(), profile: "DEFAULT".to_owned() },
            endpoint: None,
            http01: None,
            create: BTreeMap::new(),
            limits: Limits::default(),
        };
        let text =
            policy(&config, &PolicyScope { group: "'Default'/'acme'".to_owned(), compartment: "web".to_owned() });
        assert!(
            text.starts_with("Allow group 'Default'/'acme' to use load-balancers in compartment web where any {\n")
        );
        assert!(
            text.contains("request.operation='UpdateListener'") && text.ends_with("'UpdateBackendSet'}\n"),
            "{text}"
        );
        assert!(!text.contains("CreateListener") && !text.contains("PathRouteSet"), "{text}");
    }
}
