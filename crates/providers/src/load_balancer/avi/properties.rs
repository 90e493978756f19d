//! What holds whatever an Avi controller sends. Each function takes any bytes and panics where its property does not hold;
//! fuzz targets (`fuzz/`) and the quick tests of this crate's `properties` call them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use certferry_core::observed::Place;
use certferry_core::port::Http01Challenge;
use certferry_core::{Identifier, ListenerName};
use http::{HeaderMap, Method, StatusCode};
use serde_json::Value;

use super::change::{Change, Decision};
use super::config::{Http01Config, Port80};
use super::model::{Collection, is_own, list, name, referred, texts, uuid};
use super::objects::Objects;
use super::tenant::Tenant;
use super::{bind, certificate, http01, inventory, observe, retry};
use crate::http::Answer;
use crate::properties::{check_shown, edited};

/// A tenant's objects, as JSON (a list for each type) or as edits of the sample: they are read without harm; a virtual
/// service is only ever patched, in the lists that a change is about; what is removed or replaced as a whole is certferry's
/// own, and keeps the fields that it had.
pub(crate) fn tenant(data: &[u8]) {
    let Some(json) = edited(data, SAMPLE) else { return };
    let objects = |key: &str| Objects::from(list(&json, key).to_vec());
    let mut tenant = Tenant {
        application_profiles: objects("application_profiles"),
        certificates: objects("certificates"),
        policy_sets: objects("policy_sets"),
        virtual_services: objects("virtual_services"),
        vs_vips: objects("vs_vips"),
        ..Tenant::default()
    };
    if [&tenant.certificates, &tenant.policy_sets, &tenant.virtual_services].into_iter().any(has_odd_uuids) {
        return;
    }
    check_reading(&tenant);
    check_certificates(&tenant);
    for answers_by_request_rules in [false, true] {
        tenant.answers_by_request_rules = answers_by_request_rules;
        for port_80 in [Port80::AddService, Port80::Require, Port80::Sibling] {
            check_http01(&tenant, port_80);
        }
    }
}

/// An answer without success: what is said of it is one short line, without a private key that it quotes.
pub(crate) fn refusal(data: &[u8]) {
    for status in [StatusCode::BAD_REQUEST, StatusCode::FORBIDDEN, StatusCode::BAD_GATEWAY] {
        let answer = Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(data) };
        let said = retry::Failure::Refused(Box::new(retry::Refused::new(&answer, None))).said();
        check_shown(&said);
        assert!(!said.contains("-----BEGIN"), "{said:?}");
    }
}

/// No controller gives a uuid twice, or one that is not a segment of a path.
fn has_odd_uuids(objects: &Objects) -> bool {
    let mut seen = BTreeSet::new();
    let is_segment = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    objects.iter().filter_map(uuid).any(|id| !is_segment(id) || !seen.insert(id))
}

fn check_reading(tenant: &Tenant) {
    let configured = BTreeSet::from([listener("shop.some-domain.com")]);
    let seen = observe::observation(tenant, &configured, Some(&http01_config(Port80::Sibling)));
    let inventory = inventory::inventory(tenant, &configured);
    assert_eq!(inventory.observation.listeners, seen.listeners);
    assert_eq!(inventory.certificates.len(), tenant.certificates.len());
    for listener in seen.listeners.values() {
        assert!(listener.addresses.iter().all(|address| address.port() > 0), "{listener:?}");
    }
}

fn check_certificates(tenant: &Tenant) {
    let services: Vec<&Value> = tenant.virtual_services.iter().take(MOST).collect();
    let bundles: Vec<&str> = tenant.certificates.iter().map(name).take(MOST).collect();
    let places: Vec<Place> =
        services.iter().filter_map(|service| Some(Place::Listener(name(service).parse().ok()?))).collect();
    for bundle in bundles {
        for place in &places {
            check_binding(tenant, bind::bind(tenant, place, bundle));
            check_binding(tenant, bind::unbind(tenant, place, bundle));
        }
        check_change(tenant, certificate::delete(tenant, bundle));
    }
}

/// Only the list of certificates, and no certificate goes but for another or for the one that is taken off.
fn check_binding(tenant: &Tenant, decision: Decision) {
    const REFS: &str = "ssl_key_and_certificate_refs";
    let Some(change) = check_change(tenant, decision) else { return };
    let body = body(&change);
    let (operation, fields) = only(&body);
    let after = &fields[REFS];
    assert_eq!(only(fields).0, REFS, "{body}");
    assert_eq!(change.collection, Collection::VirtualServices);
    let before = tenant.virtual_services.iter().find(|one| uuid(one) == change.uuid.as_deref()).expect("it is there");
    let before: Vec<&str> = texts(before, REFS).collect();
    let after: Vec<&str> = after.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match operation {
        "add" | "delete" => assert_eq!(after.len(), 1, "{body}"),
        "replace" => {
            let id = |one: &&str| referred(one).map(str::to_owned);
            let (before, after): (Vec<_>, Vec<_>) = (before.iter().map(id).collect(), after.iter().map(id).collect());
            let new = after.iter().filter(|one| !before.contains(one)).count();
            assert!(new == 1 && after.len() <= before.len(), "{before:?} becomes {after:?}");
        }
        other => panic!("{other} of {body}"),
    }
}

fn check_http01(tenant: &Tenant, port_80: Port80) {
    for keep in [false, true] {
        let config = Http01Config { keep, ..http01_config(port_80) };
        let challenge = challenge();
        for name in config.names.keys() {
            check_answering(tenant, http01::present(tenant, &config, name, &challenge));
            let _ = http01::presented_at(tenant, &config, name);
        }
        check_answering(tenant, http01::prepare(tenant, &config));
        check_answering(tenant, http01::withdraw(tenant, keep, "token-1"));
        check_answering(tenant, http01::withdraw(tenant, keep, &challenge.token));
    }
}

/// Virtual services are patched in the lists of policies and of ports, if they are not certferry's own.
fn check_answering(tenant: &Tenant, decision: Decision) {
    let Some(change) = check_change(tenant, decision) else { return };
    if change.method != Method::PATCH {
        return;
    }
    let body = body(&change);
    let (operation, fields) = only(&body);
    assert!(["add", "delete"].contains(&operation), "{body}");
    let lists: Vec<&str> = fields.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    assert!(lists.iter().all(|key| ["http_policies", "services"].contains(key)), "{body}");
}

/// The change, if there is one: what is removed or written as a whole is certferry's own, and what is written keeps what
/// certferry does not know.
fn check_change(tenant: &Tenant, decision: Decision) -> Option<Change> {
    let change = match decision {
        Ok(change) => change?,
        Err(problem) => {
            assert!(!problem.said.is_empty() && !problem.hint.is_empty(), "{problem:?}");
            return None;
        }
    };
    let objects = match change.collection {
        Collection::Certificates => &tenant.certificates,
        Collection::PolicySets => &tenant.policy_sets,
        Collection::VirtualServices => &tenant.virtual_services,
        other => panic!("a change of {}", other.plural()),
    };
    let id = change.uuid.as_deref();
    let before = id.and_then(|id| objects.iter().find(|one| uuid(one) == Some(id)));
    match change.method {
        Method::POST => assert!(id.is_none() && is_own(&body(&change))),
        Method::DELETE => assert!(before.is_some_and(is_own), "{} is not certferry's", change.object),
        Method::PUT => {
            let before = before.filter(|before| is_own(before)).expect("only what certferry made is replaced");
            check_replaced(before, &body(&change));
        }
        Method::PATCH => assert!(before.is_some(), "{} is not there", change.object),
        ref other => panic!("{other} of {}", change.object),
    }
    Some(change)
}

/// A policy set with other rules: every other field, and every other rule, is as it was.
fn check_replaced(before: &Value, after: &Value) {
    let policies = ["http_security_policy", "http_request_policy"];
    for (key, value) in before.as_object().into_iter().flatten() {
        if !policies.contains(&key.as_str()) {
            assert_eq!(after.get(key), Some(value), "{key}");
            continue;
        }
        let Some(fields) = value.as_object() else { continue };
        for (below, value) in fields.iter().filter(|(below, _)| *below != "rules") {
            assert_eq!(after[key].get(below), Some(value), "{key}.{below}");
        }
        let others = list(value, "rules").iter().filter(|rule| !["token-1", "token-2"].contains(&name(rule)));
        for rule in others {
            assert!(list(&after[key], "rules").contains(rule), "{rule} is gone");
        }
    }
}

/// The only field of an object.
fn only(object: &Value) -> (&str, &Value) {
    let mut fields = object.as_object().expect("an object").iter();
    let (key, value) = fields.next().expect("a field");
    assert!(fields.next().is_none(), "{object}");
    (key, value)
}

fn body(change: &Change) -> Value {
    serde_json::from_slice(change.body.as_ref().expect("a body")).expect("a body that was written as JSON")
}

fn http01_config(port_80: Port80) -> Http01Config {
    let names: [(Identifier, Vec<ListenerName>); 2] = [
        ("shop.some-domain.com".parse().expect("a name"), vec![listener("shop")]),
        ("www.some-domain.com".parse().expect("a name"), Vec::new()),
    ];
    Http01Config {
        names: BTreeMap::from(names),
        otherwise: vec![listener("plain")],
        port_80,
        keep: false,
        probe: Vec::new(),
    }
}

fn listener(name: &str) -> ListenerName {
    name.parse().expect("a name")
}

fn challenge() -> Http01Challenge {
    Http01Challenge {
        url: "https://ca.example/chall/1".to_owned(),
        token: "token-2".to_owned(),
        key_authorization: "token-2.thumbprint".to_owned(),
        untouched: true,
    }
}

/// A tenant that has everything; what the edits begin with.
const SAMPLE: &str = include_str!("../../../../../fuzz/seeds/avi_json/sample.json");

/// Objects of one kind that are looked at: all pairs of them are.
const MOST: usize = 4;
