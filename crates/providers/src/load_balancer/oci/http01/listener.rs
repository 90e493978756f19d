//! The listener on port 80.

use certferry_core::observed::Obstacle;
use serde_json::{Value, json};

use super::super::change::Change;
use super::super::config::Http01Config;
use super::super::model::{Collection, listeners_on, port, ssl, text};
use super::route::{OWN_NAME, path_route_step, policy_step, rule_in_the_way};
use super::{HTTP_PORT, Step};

/// Creation of the listener, or the route in what it has; none when requests reach the backend set.
pub(super) fn steps(load_balancer: &Value, config: &Http01Config) -> Result<Vec<Step>, Obstacle> {
    match Collection::Listeners.find(load_balancer, config.listener.as_str()) {
        Some(listener) => join(load_balancer, listener, config),
        None => create(load_balancer, config),
    }
}

fn create(load_balancer: &Value, config: &Http01Config) -> Result<Vec<Step>, Obstacle> {
    let (name, backend_set) = (config.listener.as_str(), config.backend_set.as_str());
    let others: Vec<&str> = listeners_on(load_balancer, HTTP_PORT).map(|(name, _)| name).collect();
    if let [first, ..] = others[..] {
        return Err(Obstacle {
            object: Collection::Listeners.object(name),
            what: format!("it is not there, and port 80 belongs to listener `{}`", others.join("`, `")),
            fix: format!("write `listener: {first}` under http01"),
        });
    }
    let mut steps: Vec<Step> = path_route_step(load_balancer, OWN_NAME, backend_set)?.into_iter().collect();
    let body = json!({"name": name, "defaultBackendSetName": backend_set, "port": HTTP_PORT, "protocol": "HTTP",
        "pathRouteSetName": OWN_NAME});
    let why = format!("created on port 80, with path route set `{OWN_NAME}`: port 80 has no listener");
    steps.push(Step::new(Change::create(Collection::Listeners, name, body), why));
    Ok(steps)
}

fn join(load_balancer: &Value, listener: &Value, config: &Http01Config) -> Result<Vec<Step>, Obstacle> {
    let (name, backend_set) = (config.listener.as_str(), config.backend_set.as_str());
    check_kind(listener, name)?;
    if let Some(obstacle) = rule_in_the_way(load_balancer, listener, backend_set) {
        return Err(obstacle);
    }
    if let Some(policy) = text(listener, "routingPolicyName") {
        return Ok(policy_step(load_balancer, policy, backend_set)?.into_iter().collect());
    }
    if let Some(set) = text(listener, "pathRouteSetName") {
        return Ok(path_route_step(load_balancer, set, backend_set)?.into_iter().collect());
    }
    if text(listener, "defaultBackendSetName") == Some(backend_set) {
        return Ok(Vec::new());
    }
    let mut steps: Vec<Step> = path_route_step(load_balancer, OWN_NAME, backend_set)?.into_iter().collect();
    let mut wanted = listener.clone();
    wanted["pathRouteSetName"] = json!(OWN_NAME);
    let why = format!("path route set `{OWN_NAME}` attached; everything else stays");
    steps.push(Step::new(Change::update(Collection::Listeners, name, wanted), why));
    Ok(steps)
}

fn check_kind(listener: &Value, name: &str) -> Result<(), Obstacle> {
    let obstacle = |what: String, fix: &str| {
        Err(Obstacle { object: Collection::Listeners.object(name), what, fix: fix.to_owned() })
    };
    if port(listener) != Some(HTTP_PORT) {
        let port = listener.get("port").map(Value::to_string).unwrap_or_default();
        return obstacle(
            format!("it listens on port {port}, and a CA connects to port 80"),
            "name the listener of port 80 in http01.listener, or a new one, which is created",
        );
    }
    if ssl(listener).is_some() {
        return obstacle(
            "it speaks TLS on port 80, and a CA speaks plain HTTP there".to_owned(),
            "take the SSL configuration away from it",
        );
    }
    match text(listener, "protocol") {
        Some("HTTP") => Ok(()),
        other => obstacle(
            format!("its protocol is {}, in which no path can be routed", other.unwrap_or("not given")),
            "use protocol HTTP on port 80",
        ),
    }
}
