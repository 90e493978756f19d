//! The backend set with the responder in it.

use std::net::IpAddr;

use certferry_core::observed::Obstacle;
use serde_json::{Value, json};

use super::super::change::{Change, Wanted};
use super::super::config::{HealthCheck, Http01Config};
use super::super::model::{Collection, flag, list, port, ssl, text};
use super::route::{is_challenge_rule, is_other_route, is_routed, targets};
use super::{CHALLENGE_PATH, Step};

/// Creation, or what is missing in it; none when it is complete.
pub(super) fn steps(load_balancer: &Value, config: &Http01Config) -> Result<Vec<Step>, Obstacle> {
    let collection = Collection::BackendSets;
    let name = config.backend_set.as_str();
    let responder = config.responder;
    let checker = health_checker(config);
    let Some(set) = collection.find(load_balancer, name) else {
        let backend = json!({"ipAddress": responder.ip().to_string(), "port": responder.port()});
        let body = json!({"name": name, "policy": "ROUND_ROBIN", "backends": [backend], "healthChecker": checker});
        let why = format!("created, with backend {responder} and health check {}", described(&checker));
        return Ok(vec![Step::new(Change::create(collection, name, body), why)]);
    };
    let obstacle = |what: String, fix: &str| Obstacle { object: collection.object(name), what, fix: fix.to_owned() };
    if ssl(set).is_some() {
        let fix = "name another backend set in http01.backend-set, or take its SSL configuration away";
        return Err(obstacle("it speaks TLS to its backends, and the responder speaks plain HTTP".to_owned(), fix));
    }
    let mut wanted = set.clone();
    let mut why = Vec::new();
    match list(set, "backends").iter().find(|backend| is_backend(backend, config)) {
        Some(backend) if flag(backend, "drain") || flag(backend, "offline") => {
            let fix = "set the backend to neither drain nor offline";
            return Err(obstacle(format!("its backend {responder} is set to drain or offline"), fix));
        }
        Some(_) => {}
        None => {
            if let Some(user) = other_use(load_balancer, config) {
                let fix = "name a backend set of certferry's own in http01.backend-set";
                let what = format!("{user} uses it too, and would send its requests to the responder");
                return Err(obstacle(what, fix));
            }
            let backend = json!({"ipAddress": responder.ip().to_string(), "port": responder.port(), "weight": 1,
                "backup": false, "drain": false, "offline": false});
            wanted["backends"] = Value::Array(list(set, "backends").iter().cloned().chain([backend]).collect());
            why.push(format!("backend {responder} added"));
        }
    }
    let current = set.get("healthChecker").unwrap_or(&Value::Null);
    if !is_as_configured(current, &checker, config) {
        wanted["healthChecker"] = merged(current, &checker);
        why.push(format!("health check {} instead of {}", described(&checker), described(current)));
    }
    if why.is_empty() {
        return Ok(Vec::new());
    }
    let mut change = Change::update(collection, name, wanted.clone());
    // The service fills in defaults for what a health check of another kind has.
    change.expected.object = Wanted::Holds(wanted);
    Ok(vec![Step::new(change, why.join("; "))])
}

fn is_backend(backend: &Value, config: &Http01Config) -> bool {
    let address = text(backend, "ipAddress").and_then(|text| text.parse::<IpAddr>().ok());
    address == Some(config.responder.ip()) && port(backend) == Some(config.responder.port())
}

fn health_checker(config: &Http01Config) -> Value {
    let own = config.responder.port();
    match config.health_check {
        HealthCheck::Http => json!({"protocol": "HTTP", "port": own, "urlPath": CHALLENGE_PATH, "returnCode": 404}),
        HealthCheck::Tcp => json!({"protocol": "TCP", "port": own}),
        HealthCheck::TcpPort(port) => json!({"protocol": "TCP", "port": port}),
    }
}

/// Port 0 (or none) is the backend's own.
fn is_as_configured(current: &Value, wanted: &Value, config: &Http01Config) -> bool {
    let current_port = port(current).unwrap_or(config.responder.port());
    let same = |key| current.get(key) == wanted.get(key);
    let http = text(wanted, "protocol") == Some("HTTP");
    same("protocol") && port(wanted) == Some(current_port) && (!http || same("urlPath") && same("returnCode"))
}

/// Timing and whatever we do not know stay; what belongs to a health check of the other kind goes.
fn merged(current: &Value, wanted: &Value) -> Value {
    let mut checker = current.as_object().cloned().unwrap_or_default();
    for key in ["urlPath", "returnCode", "responseBodyRegex"] {
        checker.remove(key);
    }
    checker.extend(wanted.as_object().cloned().unwrap_or_default());
    Value::Object(checker)
}

fn described(checker: &Value) -> String {
    let protocol = text(checker, "protocol").unwrap_or("none");
    let port = port(checker).map_or("the backend's port".to_owned(), |port| format!("port {port}"));
    match (protocol, text(checker, "urlPath")) {
        ("HTTP", Some(path)) => {
            let code = checker.get("returnCode").and_then(Value::as_u64).unwrap_or(200);
            format!("HTTP on {port} ({code} for {path})")
        }
        _ => format!("{protocol} on {port}"),
    }
}

/// Who else sends requests to the backend set. The listener that certferry made has it as its default.
fn other_use(load_balancer: &Value, config: &Http01Config) -> Option<String> {
    let name = config.backend_set.as_str();
    let targets_it = |object: &Value| text(object, "backendSetName") == Some(name);
    let listener = Collection::Listeners.all(load_balancer).find(|(key, listener)| {
        let ours = *key == config.listener.as_str() && is_routed(load_balancer, listener, name);
        text(listener, "defaultBackendSetName") == Some(name) && !ours
    });
    let set = Collection::PathRouteSets
        .all(load_balancer)
        .find(|(_, set)| list(set, "pathRoutes").iter().any(|route| targets_it(route) && is_other_route(route)));
    let policy = Collection::RoutingPolicies.all(load_balancer).find(|(_, policy)| {
        list(policy, "rules").iter().any(|rule| targets(rule).contains(&name) && !is_challenge_rule(rule))
    });
    let listener = listener.map(|(key, _)| Collection::Listeners.object(key));
    let set = set.map(|(key, _)| Collection::PathRouteSets.object(key));
    listener.or(set).or_else(|| policy.map(|(key, _)| Collection::RoutingPolicies.object(key)))
}
