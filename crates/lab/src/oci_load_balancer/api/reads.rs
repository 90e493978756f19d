//! The GET operations.

use std::collections::HashMap;

use http::HeaderName;
use serde_json::{Value, json};

use super::{
    super::{
        cipher_suites,
        configuration::{self, Collection, Configuration},
        data_plane::health::{self, Health},
        defaults,
        error::ApiError,
        options::Nulls,
        service::{Service, State},
    },
    Call, check_etag,
    reply::Reply,
    routes::{Action, Route},
};

pub(super) fn read(service: &Service, state: &State, call: &Call, route: &Route) -> Result<Reply, ApiError> {
    let query = query(call);
    let nulls = state.behaviour.nulls;
    match &route.action {
        Action::GetWorkRequest(id) => {
            let found = state.work_requests.iter().find(|request| &request.id == id);
            let request = found.ok_or_else(|| ApiError::not_found(format_args!("work request {id}")))?;
            return Ok(Reply::json(&request.to_json(nulls)));
        }
        Action::ListLoadBalancerHealths => return list_healths(service, state, &query),
        Action::ListLoadBalancers => return list_load_balancers(state, &query),
        Action::ListPolicies => return words(&query, defaults::POLICIES),
        Action::ListProtocols => return words(&query, defaults::PROTOCOLS),
        Action::ListShapes => return words(&query, SHAPES),
        _ => {}
    }
    let id = route.load_balancer.as_deref().unwrap_or_default();
    let load_balancer = state.load_balancer(id)?;
    if route.action == Action::ListWorkRequests {
        let of_this = state.work_requests.iter().rev().filter(|request| request.load_balancer_id == id);
        return page(of_this.map(|request| request.to_json(nulls)).collect(), &query);
    }
    check_etag(state, call, id)?;
    let configuration = &load_balancer.configuration;
    let board = service.data_plane.health(id);
    let json = match &route.action {
        Action::GetLoadBalancer => load_balancer.to_json(nulls),
        Action::GetLoadBalancerHealth => load_balancer_health(configuration, &board),
        Action::ListCertificates => configuration
            .certificates
            .values()
            .map(|bundle| configuration::rendered_certificate(bundle, nulls))
            .collect(),
        Action::ListListenerRules(name) => listener_rules(configuration, name)?,
        Action::List(kind) => list(configuration, *kind, nulls),
        Action::Get(kind, name) => get(configuration, *kind, name, nulls)?,
        Action::ListBackends(set) => backend_set(configuration, set, nulls)?["backends"].take(),
        Action::GetBackend(set, name) => backend(configuration, set, name, nulls)?,
        Action::GetHealthChecker(set) => backend_set(configuration, set, nulls)?["healthChecker"].take(),
        Action::GetBackendSetHealth(set) => {
            backend_set(configuration, set, nulls)?;
            backend_set_health(configuration, &board, set)
        }
        Action::GetBackendHealth(set, name) => {
            backend(configuration, set, name, nulls)?;
            board.of(set, name).to_json()
        }
        other => return Err(ApiError::not_found(format_args!("{other:?}"))),
    };
    Ok(Reply::json(&json).with(http::header::ETAG, &load_balancer.etag()))
}

pub(super) type Query = HashMap<String, String>;

pub(super) fn query(call: &Call) -> Query {
    let query = call.parts.uri.query().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

fn list_load_balancers(state: &State, query: &Query) -> Result<Reply, ApiError> {
    let compartment = compartment(query)?;
    let matches = |configuration: &Configuration, parameter: &str, field: &str| {
        query.get(parameter).is_none_or(|wanted| wanted == configuration.attribute(field))
    };
    let mut found: Vec<_> = state
        .load_balancers
        .iter()
        .filter(|load_balancer| {
            let configuration = &load_balancer.configuration;
            configuration.attribute("compartmentId") == compartment
                && matches(configuration, "displayName", "displayName")
                && matches(configuration, "lifecycleState", "lifecycleState")
        })
        .collect();
    let by_name = query.get("sortBy").is_some_and(|field| field == "DISPLAYNAME");
    let field = if by_name { "displayName" } else { "timeCreated" };
    found.sort_by_key(|load_balancer| load_balancer.configuration.attribute(field).to_owned());
    // The service's defaults: names ascending, times descending.
    let descending = query.get("sortOrder").map_or(!by_name, |order| order == "DESC");
    if descending {
        found.reverse();
    }
    let nulls = state.behaviour.nulls;
    page(found.into_iter().map(|load_balancer| load_balancer.to_json(nulls)).collect(), query)
}

fn list_healths(service: &Service, state: &State, query: &Query) -> Result<Reply, ApiError> {
    let compartment = compartment(query)?;
    let healths = state
        .load_balancers
        .iter()
        .filter(|load_balancer| load_balancer.configuration.attribute("compartmentId") == compartment)
        .map(|load_balancer| {
            let board = service.data_plane.health(&load_balancer.id);
            let health = load_balancer_health(&load_balancer.configuration, &board);
            json!({ "loadBalancerId": load_balancer.id, "status": health["status"] })
        });
    page(healths.collect(), query)
}

fn words(query: &Query, words: &[&str]) -> Result<Reply, ApiError> {
    compartment(query)?;
    page(words.iter().map(|word| json!({ "name": word })).collect(), query)
}

fn compartment(query: &Query) -> Result<&str, ApiError> {
    query.get("compartmentId").map(String::as_str).ok_or_else(|| ApiError::missing_parameter("compartmentId"))
}

fn page(elements: Vec<Value>, query: &Query) -> Result<Reply, ApiError> {
    let (shown, next) = one_page(elements, query, 1000)?;
    let reply = Reply::json(&Value::Array(shown));
    Ok(match next {
        Some(next) => reply.with(NEXT_PAGE, &next),
        None => reply,
    })
}

/// The elements of the page that is asked for, and the token of the next: the position of its first element.
pub(super) fn one_page(
    mut elements: Vec<Value>,
    query: &Query,
    largest: usize,
) -> Result<(Vec<Value>, Option<String>), ApiError> {
    let number = |name: &str, default: usize| {
        query.get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| ApiError::invalid_parameter(format!("{name} '{text}' is not valid")))
        })
    };
    let start = number("page", 0)?.min(elements.len());
    let limit = number("limit", largest)?.clamp(1, largest.max(1));
    let mut shown = elements.split_off(start);
    let next = (shown.len() > limit).then(|| (start + limit).to_string());
    shown.truncate(limit);
    Ok((shown, next))
}

fn list(configuration: &Configuration, kind: Collection, nulls: Nulls) -> Value {
    let own = configuration.objects(kind).map(|(_, object)| configuration::rendered(kind, object.clone(), nulls));
    if kind != Collection::SslCipherSuites {
        return own.collect();
    }
    cipher_suites::names().filter_map(predefined_suite).chain(own).collect()
}

fn get(configuration: &Configuration, kind: Collection, name: &str, nulls: Nulls) -> Result<Value, ApiError> {
    if let Some(object) = configuration.object(kind, name) {
        return Ok(configuration::rendered(kind, object.clone(), nulls));
    }
    let predefined = predefined_suite(name).filter(|_| kind == Collection::SslCipherSuites);
    predefined.ok_or_else(|| ApiError::not_found(format_args!("{} '{name}'", kind.noun())))
}

fn predefined_suite(name: &str) -> Option<Value> {
    let ciphers = cipher_suites::predefined(name)?;
    Some(json!({ "name": name, "ciphers": ciphers }))
}

fn backend_set(configuration: &Configuration, set: &str, nulls: Nulls) -> Result<Value, ApiError> {
    get(configuration, Collection::BackendSets, set, nulls)
}

fn backend(configuration: &Configuration, set: &str, name: &str, nulls: Nulls) -> Result<Value, ApiError> {
    backend_set(configuration, set, nulls)?["backends"]
        .as_array()
        .and_then(|backends| backends.iter().find(|backend| backend["name"] == name))
        .cloned()
        .ok_or_else(|| ApiError::not_found(format_args!("backend '{name}' of backend set '{set}'")))
}

fn listener_rules(configuration: &Configuration, name: &str) -> Result<Value, ApiError> {
    let listener = configuration
        .object(Collection::Listeners, name)
        .ok_or_else(|| ApiError::not_found(format_args!("listener '{name}'")))?;
    let sets = listener["ruleSetNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
    Ok(sets
        .filter_map(|set| Some((set, configuration.object(Collection::RuleSets, set)?["items"].as_array()?)))
        .flat_map(|(set, items)| items.iter().map(move |item| json!({ "rule": item, "ruleSetName": set })))
        .collect())
}

fn backend_names(configuration: &Configuration, set: &str) -> Vec<String> {
    configuration
        .object(Collection::BackendSets, set)
        .and_then(|object| object["backends"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|backend| backend["name"].as_str())
        .map(str::to_owned)
        .collect()
}

fn backend_set_health(configuration: &Configuration, board: &health::Board, set: &str) -> Value {
    let backends = backend_names(configuration, set);
    let in_state = |wanted: Health| -> Vec<&String> {
        backends.iter().filter(|name| board.of(set, name).health == wanted).collect()
    };
    json!({
        "status": set_status(configuration, board, set),
        "warningStateBackendNames": [],
        "criticalStateBackendNames": in_state(Health::Critical),
        "unknownStateBackendNames": in_state(Health::Unknown),
        "totalBackendCount": backends.len(),
    })
}

/// OK when all are; WARNING when at least half are; UNKNOWN when nothing is known; else CRITICAL.
fn set_status(configuration: &Configuration, board: &health::Board, set: &str) -> &'static str {
    let backends = backend_names(configuration, set);
    let count = |wanted: Health| backends.iter().filter(|name| board.of(set, name).health == wanted).count();
    let (ok, unknown) = (count(Health::Ok), count(Health::Unknown));
    if backends.is_empty() || unknown * 2 > backends.len() {
        "UNKNOWN"
    } else if ok == backends.len() {
        "OK"
    } else if ok * 2 >= backends.len() {
        "WARNING"
    } else {
        "CRITICAL"
    }
}

fn load_balancer_health(configuration: &Configuration, board: &health::Board) -> Value {
    let sets: Vec<(&str, &str)> = configuration
        .objects(Collection::BackendSets)
        .map(|(name, _)| (name, set_status(configuration, board, name)))
        .collect();
    let in_state = |wanted: &str| -> Vec<&str> {
        sets.iter().filter(|(_, status)| *status == wanted).map(|(name, _)| *name).collect()
    };
    let (warning, critical, unknown) = (in_state("WARNING"), in_state("CRITICAL"), in_state("UNKNOWN"));
    let status = if sets.is_empty() || unknown.len() == sets.len() {
        "UNKNOWN"
    } else if !critical.is_empty() {
        "CRITICAL"
    } else if !(warning.is_empty() && unknown.is_empty()) {
        "WARNING"
    } else {
        "OK"
    };
    json!({
        "status": status,
        "warningStateBackendSetNames": warning,
        "criticalStateBackendSetNames": critical,
        "unknownStateBackendSetNames": unknown,
        "totalBackendSetCount": sets.len(),
    })
}

pub(super) const NEXT_PAGE: HeaderName = HeaderName::from_static("opc-next-page");
const SHAPES: &[&str] = &["flexible", "100Mbps", "400Mbps", "8000Mbps", "10Mbps-Micro"];
