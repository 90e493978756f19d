//! The least that certferry needs to be allowed, as IAM policy statements
//! (<https://docs.oracle.com/iaas/Content/Identity/Reference/lbpolicyreference.htm>).

use super::auth::Auth;
use super::config::OciConfig;

/// Who is allowed, and where, in OCI's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyScope {
    /// The group of the API key's user, or the dynamic group of the instance or resource, such as `'Default'/'certferry'`.
    /// A group outside the default identity domain needs its domain in front.
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

/// The matching rule of the dynamic group that this config needs, with placeholders; `None` for users, who are in groups
/// (<https://docs.oracle.com/iaas/Content/Identity/Tasks/managingdynamicgroups.htm>).
pub fn dynamic_group(auth: &Auth) -> Option<&'static str> {
    match auth {
        Auth::InstancePrincipal(_) => Some("Any {instance.id = '<OCID of the instance that certferry runs on>'}"),
        Auth::ResourcePrincipal(_) => Some(
            "All {resource.type = '<fnfunc, computecontainerinstance …>', resource.compartment.id = '<OCID of its \
             compartment>'}",
        ),
        Auth::ApiKey(_) | Auth::SessionToken(_) => None,
    }
}

/// The statement that this config needs, one operation a line. `use` is enough for all of it: nothing is created or deleted
/// but parts of the load balancer.
pub fn policy(config: &OciConfig, scope: &PolicyScope) -> String {
    let kind = if config.auth.is_principal() { "dynamic-group" } else { "group" };
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
        "Allow {kind} {} to use load-balancers in compartment {} where any {{\n{}}}\n",
        scope.group,
        scope.compartment,
        conditions.join(",\n")
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load_balancer::oci::{ApiKeyFile, CustomRegions, InstancePrincipal, Limits};

    fn config(auth: Auth) -> OciConfig {
        OciConfig {
            load_balancer_id: "ocid1.loadbalancer.oc1.iad.example".parse().unwrap(),
            auth,
            endpoint: None,
            custom_regions: CustomRegions::default(),
            http01: None,
            create: BTreeMap::new(),
            limits: Limits::default(),
        }
    }

    fn scope() -> PolicyScope {
        PolicyScope { group: "'Default'/'acme'".to_owned(), compartment: "web".to_owned() }
    }

    #[test]
    fn what_is_not_configured_is_not_asked_for() {
        let file = ApiKeyFile { config_file: "x".into(), profile: "DEFAULT".to_owned(), pass_phrase: None };
        let config = config(Auth::ApiKey(file));
        let text = policy(&config, &scope());
        assert!(
            text.starts_with("Allow group 'Default'/'acme' to use load-balancers in compartment web where any {\n")
        );
        assert!(
            text.contains("request.operation='UpdateListener'") && text.ends_with("'UpdateBackendSet'}\n"),
            "{text}"
        );
        assert!(!text.contains("CreateListener") && !text.contains("PathRouteSet"), "{text}");
        assert_eq!(dynamic_group(&config.auth), None);
    }

    #[test]
    fn instances_are_allowed_things_through_a_dynamic_group() {
        let config = config(Auth::InstancePrincipal(InstancePrincipal::default()));
        let text = policy(&config, &scope());
        assert!(text.starts_with("Allow dynamic-group 'Default'/'acme' to use load-balancers"), "{text}");
        assert!(dynamic_group(&config.auth).unwrap().contains("instance.id"));
    }
}
