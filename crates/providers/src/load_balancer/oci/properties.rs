//! What holds whatever the Load Balancer service sends. Each function takes any bytes and panics where its property does not
//! hold; fuzz targets (`fuzz/`) and the quick tests of this crate's `properties` call them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use certferry_core::inventory::Inventory;
use certferry_core::observed::Place;
use certferry_core::port::Bundle;
use certferry_core::{BundleName, Chain, Secret};
use http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::auth::properties::private_key;
use super::bind::ToServe;
use super::certificates_service::Holdings;
use super::change::{Change, Problem};
use super::config::{HealthCheck, Http01Config, NewListener};
use super::model::{Collection, Reference, WorkRequest, list, text};
use super::{bind, bundle, cipher_suite, http01, inventory, observe, retry};
use crate::http::Answer;
use crate::properties::{check_shown, edited};

/// A load balancer, as JSON or as edits of the sample: it is read without harm, and a change that is decided from it leaves
/// every field that it is not about as it is, names an object that is there, is not decided again once it is made, and
/// removes nothing that is in use.
pub(crate) fn load_balancer(data: &[u8]) {
    let Some(json) = edited(data, SAMPLE) else { return };
    check_reading(&json);
    let names = Collection::Certificates.all(&json).map(|(name, _)| name);
    let bundles: Vec<&str> = names.filter(|name| !name.is_empty()).take(MOST).collect();
    let places = Collection::Listeners.all(&json).filter_map(|(name, _)| Some(Place::Listener(name.parse().ok()?)));
    let sets = Collection::BackendSets.all(&json).map(|(name, _)| Place::BackendSet(name.to_owned()));
    for place in places.take(MOST).chain(sets.take(MOST)) {
        let references = bundles.iter().map(|bundle| Reference::Bundle(bundle));
        for reference in references.chain([Reference::Certificate("ocid1.certificate.oc1.iad.new")]) {
            let touched = |path: &[String]| {
                path == ["sslConfiguration", "certificateName"] || path.starts_with(&CERTIFICATE_IDS.map(str::to_owned))
            };
            check_change(&json, |json| bind::bind(json, &place, to_serve(reference)), &touched);
        }
    }
    for bundle in &bundles {
        check_removal(&json, bundle);
    }
    check_creation(&json, bundles.first().copied().unwrap_or("new"));
    for health_check in [HealthCheck::Http, HealthCheck::Tcp, HealthCheck::TcpPort(22)] {
        check_http01(&json, &http01_config(health_check));
    }
}

/// An answer without success, or a work request: what is said of it is one short line.
pub(crate) fn refusal(data: &[u8]) {
    for status in [StatusCode::UNAUTHORIZED, StatusCode::CONFLICT, StatusCode::BAD_GATEWAY] {
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(data) };
        let refused = retry::Refused::new(&answer, Timestamp::UNIX_EPOCH);
        check_shown(&retry::Failure::Refused(Box::new(refused)).said());
    }
    if let Ok(request) = serde_json::from_slice::<WorkRequest>(data) {
        check_shown(&request.said());
    }
}

/// A file with a private key: what is refused is refused with a reason.
pub(crate) fn key_file(data: &[u8]) {
    private_key(data);
}

/// A chain from outside with a key that is not its own is never uploaded.
pub(crate) fn upload(data: &[u8]) {
    let Some(chain) = std::str::from_utf8(data).ok().and_then(|text| Chain::parse(text).ok()) else { return };
    let private_key = Some(Secret::new("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned()));
    let bundle = Bundle { name: BundleName::observed("new"), chain, private_key };
    assert!(bundle::upload(&Value::Object(Map::new()), &bundle).is_err());
}

fn check_reading(json: &Value) {
    let seen = observe::observation(json, Some(&http01_config(HealthCheck::Tcp)), &Holdings::default());
    let inventory = all_of(json);
    assert_eq!(inventory.observation.listeners, seen.listeners);
    let names: BTreeSet<&str> = inventory.certificates.iter().map(|one| one.name.as_str()).collect();
    let mut there: BTreeSet<&str> = seen.bundles.keys().map(BundleName::as_str).collect();
    there.extend(observe::referred_certificates(json));
    assert_eq!(names, there);
    for listener in seen.listeners.values() {
        assert!(listener.bundles.len() <= 1 && listener.addresses.iter().all(|address| address.port() > 0));
        assert!(listener.tls || listener.bundles.is_empty());
    }
    let mut completed = json.clone();
    cipher_suite::add(&mut completed, vec![Value::Object(Map::new())]);
    let suites = |json: &Value| json.get("sslCipherSuites").filter(|suites| !suites.is_null()).cloned();
    assert!(suites(json).is_none_or(|before| suites(&completed) == Some(before)));
}

fn all_of(json: &Value) -> Inventory {
    inventory::inventory(json, &Holdings::default(), &BTreeMap::new())
}

fn to_serve(reference: Reference<'_>) -> ToServe<'_> {
    ToServe { reference, family: None }
}

fn check_creation(json: &Value, bundle: &str) {
    let new = NewListener {
        port: 8443,
        backend_set: "app".to_owned(),
        protocols: vec!["TLSv1.2".to_owned()],
        cipher_suite: Some("oci-default-ssl-cipher-suite-v1".to_owned()),
    };
    let new_listener =
        |json: &Value| bind::create_listener(json, "certferry-new", &new, to_serve(Reference::Bundle(bundle)));
    check_change(json, new_listener, &|_| false);
}

fn check_removal(json: &Value, bundle: &str) {
    let users = all_of(json).certificates.into_iter().find(|one| one.name.as_str() == bundle);
    let is_used = users.is_some_and(|one| !one.users.is_empty());
    match bundle::delete(json, bundle) {
        Ok(change) => {
            assert!(!is_used, "{bundle:?} is in use");
            assert!(change.is_some_and(|change| change.method == Method::DELETE && change.body.is_none()));
        }
        Err(problem) => assert!(is_used, "{problem:?}"),
    }
}

/// Every step that is shown, made in order, until none is left.
fn check_http01(json: &Value, config: &Http01Config) {
    let mut json = json.clone();
    for _ in 0..MOST_STEPS {
        let seen = http01::observation(&json, config);
        let Some(first) = seen.changes.first() else { return };
        let decide = |json: &Value| http01::change(json, config, &first.object);
        let touched = |path: &[String]| {
            let routes = ["backends", "healthChecker", "pathRoutes", "rules", "pathRouteSetName"];
            path.first().is_some_and(|field| routes.contains(&field.as_str()))
        };
        check_kept(&json, config);
        match check_change(&json, decide, &touched) {
            Some(after) => json = after,
            None => panic!("{} is shown and not made", first.object),
        }
    }
    panic!("more than {MOST_STEPS} steps for {config:?}");
}

/// Backends, routes and rules of other people stay, in their order.
fn check_kept(json: &Value, config: &Http01Config) {
    let lists = [
        (Collection::BackendSets, "backends"),
        (Collection::PathRouteSets, "pathRoutes"),
        (Collection::RoutingPolicies, "rules"),
    ];
    for change in http01::observation(json, config).changes {
        let Ok(Some(change)) = http01::change(json, config, &change.object) else { continue };
        let Some((_, key)) = lists.iter().find(|(collection, _)| *collection == change.expected.collection) else {
            continue;
        };
        let Some(before) = change.expected.collection.find(json, &change.expected.name) else { continue };
        let body = body(&change);
        let after: Vec<Value> = body.get(*key).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut rest = after.iter();
        for item in before.get(*key).and_then(Value::as_array).into_iter().flatten() {
            let is_ours = item.to_string().to_ascii_lowercase().contains("/.well-known/acme-challenge");
            let is_own_rule = text(item, "name") == Some("certferry_acme");
            let same = |other: &Value| missing(item, other, &|path| path == ["name"]).is_empty();
            assert!(is_ours || is_own_rule || rest.any(same), "{item} of {key} is gone or elsewhere");
        }
    }
}

/// The load balancer after the change, if there is one.
fn check_change(
    json: &Value,
    decide: impl Fn(&Value) -> Result<Option<Change>, Problem>,
    touched: &dyn Fn(&[String]) -> bool,
) -> Option<Value> {
    let change = match decide(json) {
        Ok(change) => change?,
        Err(problem) => {
            assert!(!problem.said.is_empty() && !problem.hint.is_empty(), "{problem:?}");
            return None;
        }
    };
    let (collection, name) = (change.expected.collection, change.expected.name.clone());
    let before = collection.find(json, &name);
    let request = body(&change);
    match (&change.method, before) {
        (&Method::PUT, Some(before)) => {
            let is_known = |path: &[String]| touched(path) || is_reported(collection, path);
            let lost = missing(before, &request, &is_known);
            assert!(lost.is_empty(), "{} loses {lost:?}", change.object);
            let added = missing(&request, before, touched);
            assert!(added.is_empty(), "{} gains {added:?}", change.object);
        }
        (&Method::POST, None) => {}
        (method, before) => panic!("{method} of {before:?}"),
    }
    let mut after = json.clone();
    put(&mut after, collection, &name, request);
    let left = change.expected.differences(&after);
    assert!(left.is_empty(), "{} is made and {left:?}", change.object);
    match decide(&after) {
        Ok(None) | Err(_) => {}
        Ok(Some(again)) => panic!("{} is made and decided again", again.object),
    }
    Some(after)
}

/// What the service only reports, by itself or as a reference that may be empty.
fn is_reported(collection: Collection, path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path[..] {
        ["name"] => true,
        ["backends", _, "name"] => collection == Collection::BackendSets,
        _ => false,
    }
}

/// The paths of what `there` has and `here` has not, or otherwise; null is the same as absent, and so are empty
/// references.
fn missing(there: &Value, here: &Value, but: &dyn Fn(&[String]) -> bool) -> Vec<String> {
    let mut paths = Vec::new();
    collect(&mut Vec::new(), there, Some(here), but, &mut paths);
    paths
}

fn collect(
    path: &mut Vec<String>,
    there: &Value,
    here: Option<&Value>,
    but: &dyn Fn(&[String]) -> bool,
    paths: &mut Vec<String>,
) {
    if there.is_null() || but(path) {
        return;
    }
    match (there, here) {
        (Value::Object(fields), Some(Value::Object(others))) => {
            for (key, value) in fields {
                path.push(key.clone());
                collect(path, value, others.get(key), but, paths);
                path.pop();
            }
        }
        (Value::Array(items), Some(Value::Array(others))) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                path.push(index.to_string());
                collect(path, item, Some(other), but, paths);
                path.pop();
            }
        }
        (there, here) if here == Some(there) => {}
        (there, None) if is_empty_reference(path, there) => {}
        (there, here) => paths.push(format!("{}: {there} is {here:?}", path.join("."))),
    }
}

fn is_empty_reference(path: &[String], value: &Value) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let is_reference = matches!(
        path[..],
        ["hostnameNames" | "ruleSetNames" | "pathRouteSetName" | "routingPolicyName"]
            | ["sslConfiguration", "certificateIds" | "certificateName" | "trustedCertificateAuthorityIds"]
    );
    is_reference && holds_nothing(value)
}

fn holds_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(holds_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// What the service would hold after the request.
fn put(json: &mut Value, collection: Collection, name: &str, request: Value) {
    let Some(fields) = json.as_object_mut() else { return };
    let objects = fields.entry(collection.key()).or_insert_with(|| Value::Object(Map::new()));
    if !objects.is_object() {
        *objects = Value::Object(Map::new());
    }
    let before = objects.get(name).cloned().unwrap_or_default();
    objects[name] = request;
    // It names objects and backends itself, always alike.
    if let Some(reported) = before.as_object().map_or(Some(Value::from(name)), |before| before.get("name").cloned()) {
        objects[name]["name"] = reported;
    }
    let named = list(&before, "backends").iter().map(|backend| backend.get("name"));
    let backends = objects[name].get_mut("backends").and_then(Value::as_array_mut).into_iter().flatten();
    for (backend, name) in backends.zip(named) {
        if let (Some(backend), Some(name)) = (backend.as_object_mut(), name) {
            backend.insert("name".to_owned(), name.clone());
        }
    }
}

fn body(change: &Change) -> Value {
    let body = change.body.as_ref().expect("a change that is no removal has a body");
    serde_json::from_slice(body).expect("a body that was written as JSON")
}

fn http01_config(health_check: HealthCheck) -> Http01Config {
    Http01Config {
        listener: "http".parse().expect("a name"),
        responder: "10.0.0.4:8080".parse().expect("an address"),
        backend_set: "certferry-acme".to_owned(),
        health_check,
        probe: Vec::new(),
    }
}

/// A load balancer that has everything; what the edits begin with.
const SAMPLE: &str = include_str!("../../../../../fuzz/seeds/oci_json/sample.json");

/// Where a reference to a certificate of the Certificates service stands.
const CERTIFICATE_IDS: [&str; 2] = ["sslConfiguration", "certificateIds"];

/// Objects of one kind that are looked at: all pairs of them are.
const MOST: usize = 4;

/// Backend set, path route set or rule, listener, each at most twice.
const MOST_STEPS: usize = 7;
