//! What must hold between the objects of a load balancer. Run over the whole configuration after each change, so that
//! no order of changes gets around a rule.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    cipher_suites,
    configuration::{Collection, Configuration},
    error::ApiError,
};

type Object = Map<String, Value>;

/// Checks every reference and every rule about ports, certificates and ciphers.
pub(super) fn check(configuration: &Configuration) -> Result<(), ApiError> {
    for (name, listener) in configuration.objects(Collection::Listeners) {
        check_listener(configuration, name, listener)?;
    }
    for (name, set) in configuration.objects(Collection::BackendSets) {
        if let Some(ssl) = set.get("sslConfiguration").and_then(Value::as_object) {
            check_ssl(configuration, Collection::BackendSets, name, ssl)?;
        }
    }
    for (name, routes) in configuration.objects(Collection::PathRouteSets) {
        for route in list(routes, "pathRoutes") {
            check_backend_set(configuration, Collection::PathRouteSets, name, &route["backendSetName"])?;
        }
    }
    for (name, policy) in configuration.objects(Collection::RoutingPolicies) {
        for action in list(policy, "rules").flat_map(|rule| rule["actions"].as_array().into_iter().flatten()) {
            check_backend_set(configuration, Collection::RoutingPolicies, name, &action["backendSetName"])?;
        }
    }
    check_ports(configuration)
}

/// The ciphers of a suite, predefined or the load balancer's own.
pub(super) fn ciphers(configuration: &Configuration, suite: &str) -> Option<Vec<String>> {
    if let Some(own) = configuration.object(Collection::SslCipherSuites, suite) {
        return Some(list(own, "ciphers").filter_map(Value::as_str).map(str::to_owned).collect());
    }
    let predefined = cipher_suites::predefined(suite)?;
    Some(predefined.into_iter().map(str::to_owned).collect())
}

/// The listeners and backend sets whose TLS settings name this certificate.
pub(super) fn certificate_users<'a>(
    configuration: &'a Configuration,
    certificate: &'a str,
) -> impl Iterator<Item = (Collection, &'a str)> {
    [Collection::Listeners, Collection::BackendSets].into_iter().flat_map(move |collection| {
        configuration
            .objects(collection)
            .filter(move |(_, object)| {
                object.get("sslConfiguration").and_then(|ssl| ssl["certificateName"].as_str()) == Some(certificate)
            })
            .map(move |(name, _)| (collection, name))
    })
}

/// The listeners and backend sets whose TLS settings name a certificate of the Certificates service, and its OCID.
pub(super) fn certificate_ids(configuration: &Configuration) -> impl Iterator<Item = (Collection, &str, &str)> {
    [Collection::Listeners, Collection::BackendSets].into_iter().flat_map(move |collection| {
        configuration.objects(collection).flat_map(move |(name, object)| {
            let ssl = object.get("sslConfiguration").and_then(Value::as_object);
            ssl.into_iter()
                .flat_map(|ssl| list(ssl, "certificateIds"))
                .filter_map(Value::as_str)
                .map(move |id| (collection, name, id))
        })
    })
}

/// Who refers to an object, in words; `None` when it may go.
pub(super) fn user(configuration: &Configuration, collection: Collection, name: &str) -> Option<String> {
    let named = |value: &Value| value.as_str() == Some(name);
    let listener_field = match collection {
        Collection::BackendSets => "defaultBackendSetName",
        Collection::Hostnames => "hostnameNames",
        Collection::Listeners => return None,
        Collection::PathRouteSets => "pathRouteSetName",
        Collection::RoutingPolicies => "routingPolicyName",
        Collection::RuleSets => "ruleSetNames",
        Collection::SslCipherSuites => "cipherSuiteName",
    };
    let listener = configuration.objects(Collection::Listeners).find(|(_, listener)| {
        let place = match collection {
            Collection::SslCipherSuites => listener.get("sslConfiguration").and_then(|ssl| ssl.get(listener_field)),
            _ => listener.get(listener_field),
        };
        place.is_some_and(|value| named(value) || value.as_array().is_some_and(|names| names.iter().any(named)))
    });
    if let Some((listener, _)) = listener {
        return Some(format!("listener '{listener}'"));
    }
    if collection != Collection::BackendSets {
        return None;
    }
    let policy = configuration.objects(Collection::RoutingPolicies).find(|(_, policy)| {
        list(policy, "rules")
            .flat_map(|rule| rule["actions"].as_array().into_iter().flatten())
            .any(|action| named(&action["backendSetName"]))
    });
    if let Some((policy, _)) = policy {
        return Some(format!("routing policy '{policy}'"));
    }
    configuration
        .objects(Collection::PathRouteSets)
        .find(|(_, routes)| list(routes, "pathRoutes").any(|route| named(&route["backendSetName"])))
        .map(|(routes, _)| format!("path route set '{routes}'"))
}

fn check_listener(configuration: &Configuration, name: &str, listener: &Object) -> Result<(), ApiError> {
    check_backend_set(configuration, Collection::Listeners, name, &listener["defaultBackendSetName"])?;
    let unknown = |collection: Collection, other: &str| {
        ApiError::invalid_parameter(format!("Listener '{name}' refers to unknown {} '{other}'", collection.noun()))
    };
    for (field, collection) in [
        ("hostnameNames", Collection::Hostnames),
        ("ruleSetNames", Collection::RuleSets),
        ("pathRouteSetName", Collection::PathRouteSets),
        ("routingPolicyName", Collection::RoutingPolicies),
    ] {
        let value = listener.get(field).unwrap_or(&Value::Null);
        let references = value.as_array().into_iter().flatten().chain(std::iter::once(value));
        for other in references.filter_map(Value::as_str) {
            if configuration.object(collection, other).is_none() {
                return Err(unknown(collection, other));
            }
        }
    }
    if listener.contains_key("pathRouteSetName") && listener.contains_key("routingPolicyName") {
        return Err(ApiError::invalid_parameter(format!(
            "Listener '{name}' cannot have both a path route set and a routing policy"
        )));
    }
    if list(listener, "hostnameNames").count() > 16 {
        return Err(ApiError::invalid_parameter(format!("Listener '{name}' has more than 16 hostnames")));
    }
    match listener.get("sslConfiguration").and_then(Value::as_object) {
        Some(ssl) => check_ssl(configuration, Collection::Listeners, name, ssl),
        None if listener["protocol"] == "HTTP2" => Err(ApiError::invalid_parameter(format!(
            "Listener '{name}' with protocol HTTP2 needs an SSL configuration"
        ))),
        None => Ok(()),
    }
}

fn check_ssl(configuration: &Configuration, collection: Collection, owner: &str, ssl: &Object) -> Result<(), ApiError> {
    let who = match collection {
        Collection::Listeners => format!("Listener '{owner}'"),
        _ => format!("Backend set '{owner}'"),
    };
    let violation = |problem: &str| {
        ApiError::invalid_parameter(format!(
            "Invalid SSL configuration: [Constraint sslConfiguration violation: {problem}]"
        ))
    };
    let certificate_ids = list(ssl, "certificateIds").count();
    let verifies = ssl["verifyPeerCertificate"] == true;
    let trusts_authorities = list(ssl, "trustedCertificateAuthorityIds").count() > 0;
    match (ssl.get("certificateName").and_then(Value::as_str), certificate_ids) {
        (Some(_), 1..) => {
            return Err(violation("certificateName and certificateIds exclude each other."));
        }
        (None, 2..) => return Err(violation("Only one certificate id is allowed.")),
        (None, 0) if collection == Collection::Listeners => {
            return Err(violation("Either certificateName or certificateIds is required."));
        }
        (None, _) => {}
        (Some(certificate), 0) => {
            let bundle = configuration.certificates.get(certificate).ok_or_else(|| {
                ApiError::invalid_parameter(format!("{who} refers to unknown certificate '{certificate}'"))
            })?;
            if collection == Collection::Listeners && !bundle.is_server_certificate() {
                return Err(violation("The certificate has no public certificate and private key."));
            }
            if verifies && !bundle.has_ca() && !trusts_authorities {
                return Err(violation("Empty CA certificate. CA certificate is required for client validation."));
            }
        }
    }
    check_ciphers(configuration, &who, ssl)
}

fn check_ciphers(configuration: &Configuration, who: &str, ssl: &Object) -> Result<(), ApiError> {
    let suite = ssl["cipherSuiteName"].as_str().unwrap_or_default();
    if suite == cipher_suites::CUSTOMIZED {
        return Err(ApiError::invalid_parameter(format!("{who}: cipher suite '{suite}' cannot be used as input")));
    }
    let ciphers = ciphers(configuration, suite)
        .ok_or_else(|| ApiError::invalid_parameter(format!("{who} refers to unknown SSL cipher suite '{suite}'")))?;
    for protocol in list(ssl, "protocols").filter_map(Value::as_str) {
        let tls13 = protocol == "TLSv1.3";
        if !ciphers.iter().any(|cipher| cipher_suites::is_tls13(cipher) == tls13) {
            return Err(ApiError::invalid_parameter(format!(
                "{who}: cipher suite '{suite}' has no cipher for SSL protocol {protocol}"
            )));
        }
    }
    Ok(())
}

fn check_backend_set(
    configuration: &Configuration,
    collection: Collection,
    owner: &str,
    backend_set: &Value,
) -> Result<(), ApiError> {
    let name = backend_set.as_str().unwrap_or_default();
    if configuration.object(Collection::BackendSets, name).is_some() {
        return Ok(());
    }
    let mut noun = collection.noun().to_owned();
    noun[..1].make_ascii_uppercase();
    Err(ApiError::invalid_parameter(format!("{noun} '{owner}' refers to unknown backend set '{name}'")))
}

fn check_ports(configuration: &Configuration) -> Result<(), ApiError> {
    let mut ports: BTreeMap<u64, Vec<&Object>> = BTreeMap::new();
    for (_, listener) in configuration.objects(Collection::Listeners) {
        ports.entry(listener["port"].as_u64().unwrap_or_default()).or_default().push(listener);
    }
    let address = configuration
        .attributes
        .get("ipAddresses")
        .and_then(|addresses| addresses[0]["ipAddress"].as_str())
        .unwrap_or_default();
    for (port, listeners) in ports {
        if listeners.iter().filter(|listener| list(listener, "hostnameNames").count() == 0).count() > 1 {
            return Err(ApiError::invalid_parameter(format!(
                "Default Listener on port '{port}' refer to VIP '{address}' twice"
            )));
        }
        let mut hostnames = BTreeSet::new();
        for name in listeners.iter().flat_map(|listener| list(listener, "hostnameNames")).filter_map(Value::as_str) {
            let hostname = configuration
                .object(Collection::Hostnames, name)
                .and_then(|object| object["hostname"].as_str())
                .unwrap_or_default()
                .to_ascii_lowercase();
            if !hostnames.insert(hostname) {
                return Err(ApiError::invalid_parameter(format!(
                    "Hostname '{name}' is used by more than one listener on port {port}"
                )));
            }
        }
        check_equal(&listeners, port)?;
    }
    Ok(())
}

/// One port is one socket: its listeners differ by hostname only.
fn check_equal(listeners: &[&Object], port: u64) -> Result<(), ApiError> {
    let protocols = |listener: &Object| -> Option<BTreeSet<String>> {
        let ssl = listener.get("sslConfiguration")?.as_object()?;
        Some(list(ssl, "protocols").filter_map(Value::as_str).map(str::to_owned).collect())
    };
    for pair in listeners.windows(2) {
        let [one, other] = pair else { continue };
        let (ssl, other_ssl) = (protocols(one), protocols(other));
        if one["protocol"] != other["protocol"] || ssl.is_some() != other_ssl.is_some() {
            return Err(ApiError::invalid_parameter(format!(
                "Not all listeners on port {port} have the same protocol and use of SSL"
            )));
        }
        if ssl != other_ssl {
            return Err(ApiError::invalid_parameter(format!(
                "Not all SSL virtual listeners on port {port} have the same set of SSL protocols defined."
            )));
        }
    }
    Ok(())
}

/// The elements of a list that may be absent.
fn list<'a>(object: &'a Object, field: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.get(field).and_then(Value::as_array).into_iter().flatten()
}
