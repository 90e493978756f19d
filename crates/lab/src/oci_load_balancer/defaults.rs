//! Completes the objects of a request: what a body leaves out gets the service's default, never what was there before.
//! That is what makes UpdateListener and UpdateBackendSet full replacements.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::{cipher_suites, configuration::Collection, error::ApiError, fields::Fields};

type Object = Map<String, Value>;

/// Checks the types of the fields that the lab knows, keeps the others, and fills in the defaults.
pub(super) fn complete(collection: Collection, name: &str, body: Object) -> Result<Object, ApiError> {
    checked_name(collection, name)?;
    let owner = format!("{} '{name}'", collection.noun());
    let mut object = Map::new();
    object.insert("name".into(), name.into());
    object.extend(body.into_iter().filter(|(field, _)| field != "name"));
    match collection {
        Collection::BackendSets => backend_set(&owner, &mut object)?,
        Collection::Hostnames => {
            Fields::new(owner, &object).required_text("hostname")?;
        }
        Collection::Listeners => listener(&owner, &mut object)?,
        Collection::PathRouteSets => path_route_set(&owner, &object)?,
        Collection::RoutingPolicies => routing_policy(&owner, &object)?,
        Collection::RuleSets => {
            for item in Fields::new(&owner, &object).required_objects("items")? {
                Fields::new(&owner, item).required_text("action")?;
            }
        }
        Collection::SslCipherSuites => {
            if Fields::new(&owner, &object).texts("ciphers")?.is_empty() {
                return Err(ApiError::invalid_parameter(format!("{owner}: ciphers must not be empty")));
            }
        }
    }
    Ok(object)
}

/// One backend of a set; its name is made of address and port.
pub(super) fn backend(owner: &str, body: &Object) -> Result<Object, ApiError> {
    let fields = Fields::new(format!("a backend of {owner}"), body);
    let address = fields.required_text("ipAddress")?;
    if address.parse::<IpAddr>().is_err() {
        return Err(ApiError::invalid_parameter(format!("'{address}' is not an IP address")));
    }
    let port = fields.required_integer("port", 1..=65535)?;
    fields.integer("weight", 1..=100)?;
    let mut object = Map::new();
    object.insert("name".into(), format!("{address}:{port}").into());
    object
        .extend(body.iter().filter(|(field, _)| *field != "name").map(|(field, value)| (field.clone(), value.clone())));
    for (field, default) in
        [("weight", json!(1)), ("backup", json!(false)), ("drain", json!(false)), ("offline", json!(false))]
    {
        object.entry(field).or_insert(default);
    }
    Ok(object)
}

pub(super) fn health_checker(owner: &str, body: &Object) -> Result<Object, ApiError> {
    let fields = Fields::new(format!("the health checker of {owner}"), body);
    fields.required_word("protocol", &["HTTP", "TCP"])?;
    fields.integer("port", 0..=65535)?;
    fields.integer("retries", 1..=1000)?;
    fields.integer("timeoutInMillis", 1..=600_000)?;
    fields.integer("intervalInMillis", 1..=1_800_000)?;
    fields.integer("returnCode", 100..=599)?;
    if let Some(pattern) = fields.text("responseBodyRegex")?
        && regex_lite::Regex::new(pattern).is_err()
    {
        return Err(ApiError::invalid_parameter(format!(
            "{owner}: responseBodyRegex '{pattern}' is not a regular expression"
        )));
    }
    let mut object = body.clone();
    for (field, default) in [
        ("port", json!(0)),
        ("returnCode", json!(200)),
        ("retries", json!(3)),
        ("timeoutInMillis", json!(3000)),
        ("intervalInMillis", json!(10000)),
        ("responseBodyRegex", json!("")),
        ("isForcePlainText", json!(false)),
    ] {
        object.entry(field).or_insert(default);
    }
    if object.get("protocol").and_then(Value::as_str) == Some("HTTP") {
        object.entry("urlPath").or_insert(json!("/"));
    }
    Ok(object)
}

fn listener(owner: &str, object: &mut Object) -> Result<(), ApiError> {
    let fields = Fields::new(owner, object);
    fields.required_text("defaultBackendSetName")?;
    fields.required_integer("port", 1..=65535)?;
    let protocol = fields.required_word("protocol", PROTOCOLS)?;
    for field in ["hostnameNames", "ruleSetNames"] {
        fields.texts(field)?;
    }
    for field in ["pathRouteSetName", "routingPolicyName"] {
        fields.text(field)?;
    }
    let idle_timeout = if protocol == "TCP" { 300 } else { 60 };
    match fields.object("connectionConfiguration")? {
        Some(connection) => {
            Fields::new(format!("the connection configuration of {owner}"), connection)
                .required_integer("idleTimeout", 1..=7200)?;
        }
        None => {
            object.insert("connectionConfiguration".into(), json!({ "idleTimeout": idle_timeout }));
        }
    }
    if let Some(ssl) = Fields::new(owner, object).object("sslConfiguration")? {
        let ssl = ssl_configuration(owner, ssl)?;
        object.insert("sslConfiguration".into(), Value::Object(ssl));
    }
    for field in ["hostnameNames", "ruleSetNames"] {
        object.entry(field).or_insert(json!([]));
    }
    Ok(())
}

fn ssl_configuration(owner: &str, body: &Object) -> Result<Object, ApiError> {
    let fields = Fields::new(format!("the SSL configuration of {owner}"), body);
    for field in ["certificateName", "cipherSuiteName"] {
        fields.text(field)?;
    }
    for field in ["certificateIds", "trustedCertificateAuthorityIds"] {
        fields.texts(field)?;
    }
    for field in ["verifyPeerCertificate", "hasSessionResumption"] {
        fields.flag(field)?;
    }
    fields.integer("verifyDepth", 0..=100)?;
    if fields.text("serverOrderPreference")?.is_some() {
        fields.required_word("serverOrderPreference", &["ENABLED", "DISABLED"])?;
    }
    for protocol in fields.texts("protocols")? {
        if !TLS_VERSIONS.contains(&protocol) {
            return Err(ApiError::invalid_parameter(format!(
                "{owner}: SSL protocol '{protocol}' is not one of {}",
                TLS_VERSIONS.join(", ")
            )));
        }
    }
    let mut object = body.clone();
    if object.get("protocols").and_then(Value::as_array).is_some_and(Vec::is_empty) {
        object.shift_remove("protocols");
    }
    for (field, default) in [
        ("certificateIds", json!([])),
        ("trustedCertificateAuthorityIds", json!([])),
        ("verifyPeerCertificate", json!(false)),
        ("verifyDepth", json!(5)),
        ("protocols", json!(["TLSv1.2"])),
        ("cipherSuiteName", json!(cipher_suites::DEFAULT)),
        ("serverOrderPreference", json!("ENABLED")),
        ("hasSessionResumption", json!(true)),
    ] {
        object.entry(field).or_insert(default);
    }
    Ok(object)
}

fn backend_set(owner: &str, object: &mut Object) -> Result<(), ApiError> {
    let fields = Fields::new(owner, object);
    fields.required_word("policy", POLICIES)?;
    let checker = health_checker(owner, fields.required_object("healthChecker")?)?;
    let mut backends: Vec<Value> = Vec::new();
    // Required by UpdateBackendSet; CreateBackendSet may leave it out.
    if object.contains_key("backends") {
        for body in fields.required_objects("backends")? {
            let backend = backend(owner, body)?;
            if backends.iter().any(|other| other["name"] == backend["name"]) {
                return Err(ApiError::invalid_parameter(format!("{owner} has backend {} twice", backend["name"])));
            }
            backends.push(Value::Object(backend));
        }
    }
    let ssl = fields.object("sslConfiguration")?.map(|ssl| ssl_configuration(owner, ssl)).transpose()?;
    object.insert("backends".into(), Value::Array(backends));
    object.insert("healthChecker".into(), Value::Object(checker));
    if let Some(mut ssl) = ssl {
        // The order of ciphers is the client's business, and towards a backend the load balancer is the client.
        ssl.shift_remove("serverOrderPreference");
        object.insert("sslConfiguration".into(), Value::Object(ssl));
    }
    Ok(())
}

fn path_route_set(owner: &str, object: &Object) -> Result<(), ApiError> {
    for route in Fields::new(owner, object).required_objects("pathRoutes")? {
        let fields = Fields::new(format!("a path route of {owner}"), route);
        fields.required_text("backendSetName")?;
        if !fields.required_text("path")?.starts_with('/') {
            return Err(ApiError::invalid_parameter(format!("{owner}: a path must start with '/'")));
        }
        Fields::new(format!("a path match of {owner}"), fields.required_object("pathMatchType")?)
            .required_word("matchType", MATCH_TYPES)?;
    }
    Ok(())
}

fn routing_policy(owner: &str, object: &Object) -> Result<(), ApiError> {
    let fields = Fields::new(owner, object);
    fields.required_word("conditionLanguageVersion", &["V1"])?;
    for rule in fields.required_objects("rules")? {
        let fields = Fields::new(format!("a rule of {owner}"), rule);
        fields.required_text("name")?;
        fields.required_text("condition")?;
        for action in fields.required_objects("actions")? {
            let fields = Fields::new(format!("an action of {owner}"), action);
            fields.required_word("name", &["FORWARD_TO_BACKENDSET"])?;
            fields.required_text("backendSetName")?;
        }
    }
    Ok(())
}

fn checked_name(collection: Collection, name: &str) -> Result<(), ApiError> {
    let dash = collection != Collection::RoutingPolicies;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (dash && c == '-');
    let start = dash || !name.starts_with(|c: char| c.is_ascii_digit());
    let longest = if collection == Collection::BackendSets { 32 } else { 255 };
    if start && !name.is_empty() && name.len() <= longest && name.chars().all(allowed) {
        return Ok(());
    }
    Err(ApiError::invalid_parameter(format!("Invalid {} name '{name}'", collection.noun())))
}

pub(super) const MATCH_TYPES: &[&str] = &["EXACT_MATCH", "FORCE_LONGEST_PREFIX_MATCH", "PREFIX_MATCH", "SUFFIX_MATCH"];
pub(super) const POLICIES: &[&str] = &["ROUND_ROBIN", "LEAST_CONNECTIONS", "IP_HASH"];
pub(super) const PROTOCOLS: &[&str] = &["HTTP", "HTTP2", "TCP", "GRPC"];
const TLS_VERSIONS: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
