//! The least that certferry needs to be allowed, as IAM policy statements
//! (<https://docs.oracle.com/iaas/Content/Identity/Reference/lbpolicyreference.htm>,
//! <https://docs.oracle.com/iaas/Content/Identity/Reference/certificatespolicyreference.htm>).

use super::auth::Auth;
use super::config::{Hold, OciConfig};

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

/// The statements that this config needs, one operation a line.
pub fn policy(config: &OciConfig, scope: &PolicyScope) -> Vec<String> {
    let kind = if config.access.auth.is_principal() { "dynamic-group" } else { "group" };
    let allow =
        |what: &str, compartment: &str| format!("Allow {kind} {} to {what} in compartment {compartment}", scope.group);
    let where_any = |statement: String, operations: &[&str]| {
        let conditions: Vec<String> = operations.iter().map(|name| format!("  request.operation='{name}'")).collect();
        format!("{statement} where any {{\n{}}}", conditions.join(",\n"))
    };
    let load_balancers = where_any(allow("use load-balancers", &scope.compartment), &on_load_balancers(config));
    let Hold::CertificatesService { compartment } = &config.hold else { return vec![load_balancers] };
    let compartment = compartment.as_ref().map_or_else(|| scope.compartment.clone(), |ocid| format!("id {ocid}"));
    vec![
        load_balancers,
        where_any(allow("manage leaf-certificate-family", &compartment), &ON_CERTIFICATES),
        // The load balancer looks at the certificate on behalf of who binds it to a listener.
        allow("read leaf-certificates", &compartment),
        allow("read leaf-certificate-bundles", &compartment),
        allow("manage certificate-associations", &compartment),
    ]
}

/// `use` is enough for all of it: nothing is created or deleted but parts of the load balancer.
fn on_load_balancers(config: &OciConfig) -> Vec<&'static str> {
    let mut operations = vec!["GetLoadBalancer", "ListSSLCipherSuites", "ListWorkRequests", "GetWorkRequest"];
    if config.hold == Hold::LoadBalancer {
        operations.push("CreateCertificate");
    }
    // With the Certificates service: for the bundles from before.
    operations.extend(["DeleteCertificate", "UpdateListener", "UpdateBackendSet"]);
    if config.http01.is_some() {
        operations.extend(["CreateBackendSet", "CreatePathRouteSet", "UpdatePathRouteSet", "UpdateRoutingPolicy"]);
    }
    if config.http01.is_some() || !config.create.is_empty() {
        operations.push("CreateListener");
    }
    operations
}

const ON_CERTIFICATES: [&str; 10] = [
    "ListCertificates",
    "GetCertificate",
    "ListCertificateVersions",
    "GetCertificateBundle",
    "ListAssociations",
    "CreateCertificate",
    "UpdateCertificate",
    "ScheduleCertificateVersionDeletion",
    "ScheduleCertificateDeletion",
    "CancelCertificateDeletion",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::load_balancer::oci::{ApiKeyFile, InstancePrincipal, OciAccess};

    fn config(auth: Auth) -> OciConfig {
        OciConfig {
            load_balancer_id: "ocid1.loadbalancer.oc1.iad.example".parse().unwrap(),
            access: OciAccess::signed_by(auth),
            hold: Hold::LoadBalancer,
            http01: None,
            create: BTreeMap::new(),
        }
    }

    fn scope() -> PolicyScope {
        PolicyScope { group: "'Default'/'acme'".to_owned(), compartment: "web".to_owned() }
    }

    #[test]
    fn what_is_not_configured_is_not_asked_for() {
        let file = ApiKeyFile { config_file: "x".into(), profile: "DEFAULT".to_owned(), pass_phrase: None };
        let config = config(Auth::ApiKey(file));
        let [text] = &policy(&config, &scope())[..] else { panic!("one statement") };
        assert!(
            text.starts_with("Allow group 'Default'/'acme' to use load-balancers in compartment web where any {\n")
        );
        assert!(text.contains("request.operation='UpdateListener'") && text.ends_with("'UpdateBackendSet'}"), "{text}");
        assert!(!text.contains("CreateListener") && !text.contains("PathRouteSet"), "{text}");
        assert_eq!(dynamic_group(&config.access.auth), None);
    }

    #[test]
    fn the_certificates_service_is_allowed_by_statements_of_its_own() {
        for (compartment, expected) in
            [(None, "web"), (Some("ocid1.compartment.oc1..c"), "id ocid1.compartment.oc1..c")]
        {
            let hold = Hold::CertificatesService { compartment: compartment.map(str::to_owned) };
            let config = OciConfig { hold, ..config(Auth::InstancePrincipal(InstancePrincipal::default())) };
            let statements = policy(&config, &scope());
            assert!(statements[0].contains("use load-balancers in compartment web where any"), "{statements:#?}");
            assert!(!statements[0].contains("CreateCertificate"), "{statements:#?}");
            for (statement, what) in statements[1..].iter().zip([
                "manage leaf-certificate-family",
                "read leaf-certificates",
                "read leaf-certificate-bundles",
                "manage certificate-associations",
            ]) {
                let start = format!("Allow dynamic-group 'Default'/'acme' to {what} in compartment {expected}");
                assert!(statement.starts_with(&start), "{statement}");
            }
            assert!(statements[1].contains("request.operation='UpdateCertificate'"), "{statements:#?}");
            assert_eq!(statements.len(), 5);
        }
    }

    #[test]
    fn instances_are_allowed_things_through_a_dynamic_group() {
        let config = config(Auth::InstancePrincipal(InstancePrincipal::default()));
        let [text] = &policy(&config, &scope())[..] else { panic!("one statement") };
        assert!(text.starts_with("Allow dynamic-group 'Default'/'acme' to use load-balancers"), "{text}");
        assert!(dynamic_group(&config.access.auth).unwrap().contains("instance.id"));
    }
}
