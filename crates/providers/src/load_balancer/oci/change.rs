//! One change to a load balancer: computed from what was read, without I/O, so that a change that lost a race is simply
//! computed again.

use bytes::Bytes;
use certferry_core::ErrorKind;
use http::Method;
use serde_json::{Map, Value};

use super::model::{Collection, Reference, ssl, texts};

/// What to ask of the service, and what must be true afterwards.
pub(super) struct Change {
    /// The call's name in the API reference.
    pub(super) operation: &'static str,
    pub(super) method: Method,
    /// Path segments below the load balancer.
    pub(super) path: Vec<String>,
    /// The object, for people.
    pub(super) object: String,
    /// May hold a private key: never printed.
    pub(super) body: Option<Bytes>,
    pub(super) expected: Expected,
}

impl Change {
    /// A new object; `body` has its name in it.
    pub(super) fn create(collection: Collection, name: &str, body: Value) -> Self {
        Self {
            operation: match collection {
                Collection::BackendSets => "CreateBackendSet",
                Collection::Certificates => "CreateCertificate",
                Collection::Listeners => "CreateListener",
                Collection::PathRouteSets => "CreatePathRouteSet",
                Collection::RoutingPolicies => "CreateRoutingPolicy",
                Collection::RuleSets => "CreateRuleSet",
            },
            method: Method::POST,
            path: vec![collection.key().to_owned()],
            object: collection.object(name),
            body: Some(Bytes::from(body.to_string())),
            expected: Expected { collection, name: name.to_owned(), object: Wanted::Holds(body) },
        }
    }

    /// A full replacement of an object by `wanted`, which is the object as it was read, with the change made in it.
    pub(super) fn update(collection: Collection, name: &str, wanted: Value) -> Self {
        let body = Value::Object(as_request(collection, &wanted));
        Self {
            operation: match collection {
                Collection::BackendSets => "UpdateBackendSet",
                Collection::Certificates => "UpdateCertificate",
                Collection::Listeners => "UpdateListener",
                Collection::PathRouteSets => "UpdatePathRouteSet",
                Collection::RoutingPolicies => "UpdateRoutingPolicy",
                Collection::RuleSets => "UpdateRuleSet",
            },
            method: Method::PUT,
            path: vec![collection.key().to_owned(), name.to_owned()],
            object: collection.object(name),
            body: Some(Bytes::from(body.to_string())),
            expected: Expected { collection, name: name.to_owned(), object: Wanted::Is(wanted) },
        }
    }

    /// The removal of a bundle.
    pub(super) fn delete_certificate(name: &str) -> Self {
        let collection = Collection::Certificates;
        Self {
            operation: "DeleteCertificate",
            method: Method::DELETE,
            path: vec![collection.key().to_owned(), name.to_owned()],
            object: collection.object(name),
            body: None,
            expected: Expected { collection, name: name.to_owned(), object: Wanted::Gone },
        }
    }
}

impl Change {
    /// Whether it makes an object refer to a certificate of the Certificates service.
    pub(super) fn refers_to_certificate(&self) -> bool {
        let wanted = match &self.expected.object {
            Wanted::Gone => return false,
            Wanted::Holds(wanted) | Wanted::Is(wanted) => wanted,
        };
        ssl(wanted).is_some_and(|ssl| !texts(ssl, "certificateIds").is_empty())
    }
}

/// What must be true of an object after a change.
pub(super) struct Expected {
    pub(super) collection: Collection,
    pub(super) name: String,
    pub(super) object: Wanted,
}

/// How much of it.
pub(super) enum Wanted {
    /// It is not there.
    Gone,
    /// It has these fields; the service filled in others.
    Holds(Value),
    /// It has these fields and no others.
    Is(Value),
}

impl Expected {
    /// What is not as expected, field by field; empty when all is.
    pub(super) fn differences(&self, load_balancer: &Value) -> Vec<String> {
        let found = self.collection.find(load_balancer, &self.name);
        match (&self.object, found) {
            (Wanted::Gone, None) => Vec::new(),
            (Wanted::Gone, Some(_)) => vec!["it is still there".to_owned()],
            (_, None) => vec!["it is not there".to_owned()],
            (Wanted::Holds(wanted), Some(found)) => compare(wanted, found, false),
            (Wanted::Is(wanted), Some(found)) => compare(wanted, found, true),
        }
    }
}

/// Why a change cannot be made, in terms of the load balancer as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) kind: ErrorKind,
    pub(super) operation: &'static str,
    pub(super) object: String,
    pub(super) said: String,
    pub(super) hint: String,
}

/// An object as the service takes it back: without what it only reports (its name; names of backends), and without nulls
/// and empty references, which the service reports for "not set" and does not take.
pub(super) fn as_request(collection: Collection, object: &Value) -> Map<String, Value> {
    let mut request = without_nulls(object);
    request.remove("name");
    prune(&mut request, &["hostnameNames", "ruleSetNames", "pathRouteSetName", "routingPolicyName"]);
    if let Some(Value::Object(ssl)) = request.get_mut("sslConfiguration") {
        prune(ssl, &["certificateIds", "certificateName", "trustedCertificateAuthorityIds"]);
    }
    if collection == Collection::BackendSets {
        let backends = request.get_mut("backends").and_then(Value::as_array_mut);
        for backend in backends.into_iter().flatten().filter_map(Value::as_object_mut) {
            backend.remove("name");
        }
    }
    request
}

/// The object with another reference in its SSL configuration and nothing else changed. The two kinds of references exclude
/// each other. `None` without SSL configuration.
pub(super) fn with_certificate(object: &Value, reference: Reference<'_>) -> Option<Value> {
    ssl(object)?;
    let mut changed = object.clone();
    let ssl = changed.get_mut("sslConfiguration")?.as_object_mut()?;
    let (name, ids) = match reference {
        Reference::Bundle(name) => (Value::from(name), Value::Array(Vec::new())),
        Reference::Certificate(id) => (Value::Null, Value::from(vec![id])),
    };
    ssl.insert("certificateName".to_owned(), name);
    ssl.insert("certificateIds".to_owned(), ids);
    Some(changed)
}

fn without_nulls(value: &Value) -> Map<String, Value> {
    fn clean(value: &Value) -> Value {
        match value {
            Value::Object(_) => Value::Object(without_nulls(value)),
            Value::Array(items) => Value::Array(items.iter().map(clean).collect()),
            other => other.clone(),
        }
    }
    let fields = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    fields.map(|(key, value)| (key.clone(), clean(value))).collect()
}

fn prune(fields: &mut Map<String, Value>, keys: &[&str]) {
    fields.retain(|key, value| !(keys.contains(&key.as_str()) && is_empty(value)));
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The fields of `wanted` that `found` has otherwise; with `exactly`, also those that only `found` has. Absent, null and
/// empty are the same; lists of texts and of backends have no order; a backend more than wanted is an autoscaler's.
fn compare(wanted: &Value, found: &Value, exactly: bool) -> Vec<String> {
    let mut differences = Vec::new();
    compare_into(&mut differences, "", wanted, found, exactly);
    differences
}

fn compare_into(differences: &mut Vec<String>, path: &str, wanted: &Value, found: &Value, exactly: bool) {
    let different = || format!("`{path}` is {}, not {}", shortened(found), shortened(wanted));
    match (wanted, found) {
        _ if is_empty(wanted) && is_empty(found) => {}
        (Value::Object(fields), Value::Object(others)) => {
            for (key, value) in fields {
                let below = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare_into(differences, &below, value, others.get(key).unwrap_or(&Value::Null), exactly);
            }
            let added = others.iter().filter(|(key, value)| exactly && !fields.contains_key(*key) && !is_empty(value));
            differences.extend(
                added.map(|(key, _)| format!("`{path}{}{key}` is new", if path.is_empty() { "" } else { "." })),
            );
        }
        (Value::Array(items), Value::Array(others)) if path == "backends" => {
            let missing =
                items.iter().filter(|item| !others.iter().any(|other| compare(item, other, false).is_empty()));
            differences.extend(missing.map(|item| format!("`backends` lacks {}", shortened(item))));
        }
        (Value::Array(items), Value::Array(others)) if items.iter().all(Value::is_string) => {
            let sorted = |items: &[Value]| {
                let mut texts: Vec<String> = items.iter().map(Value::to_string).collect();
                texts.sort_unstable();
                texts
            };
            if sorted(items) != sorted(others) {
                differences.push(different());
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                compare_into(differences, &format!("{path}[{index}]"), item, other, exactly);
            }
        }
        _ if wanted == found => {}
        _ => differences.push(different()),
    }
}

fn shortened(value: &Value) -> String {
    let text = if value.is_null() { "absent".to_owned() } else { value.to_string() };
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a-zA-Z ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                any_fields(inner).prop_map(Value::Object),
            ]
        })
    }

    fn any_fields(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        let key = prop_oneof![
            "[a-z]{1,6}",
            prop::sample::select(vec!["hostnameNames", "ruleSetNames", "protocols", "port"]).prop_map(str::to_owned)
        ];
        prop::collection::vec((key, inner), 0..5).prop_map(|fields| fields.into_iter().collect())
    }

    fn any_listener() -> impl Strategy<Value = Value> {
        (any_fields(any_json()), any_fields(any_json())).prop_map(|(mut listener, mut ssl)| {
            ssl.insert("certificateName".to_owned(), json!("old"));
            listener.insert("name".to_owned(), json!("https"));
            listener.insert("sslConfiguration".to_owned(), Value::Object(ssl));
            Value::Object(listener)
        })
    }

    proptest! {
        #[test]
        fn whatever_a_listener_holds_only_its_reference_changes(listener in any_listener(), certificate in any::<bool>()) {
            let reference =
                if certificate { Reference::Certificate("ocid1.certificate.x") } else { Reference::Bundle("new") };
            let changed = with_certificate(&listener, reference).unwrap();
            let before = as_request(Collection::Listeners, &listener);
            let mut after = as_request(Collection::Listeners, &changed);
            prop_assert_eq!(Reference::of(&after["sslConfiguration"]), Some(reference));
            let ssl = after["sslConfiguration"].as_object_mut().unwrap();
            prop_assert_eq!(ssl.contains_key("certificateName"), !certificate, "they exclude each other");
            ssl.remove("certificateIds");
            ssl.insert("certificateName".to_owned(), json!("old"));
            prop_assert_eq!(&before, &after);
            for (key, value) in listener.as_object().unwrap() {
                let kept = before.get(key);
                prop_assert!(kept.is_some() || key == "name" || is_empty(value), "{} is lost", key);
            }
        }

        #[test]
        fn an_object_equals_itself_and_its_request_form(listener in any_listener()) {
            prop_assert_eq!(compare(&listener, &listener, true), Vec::<String>::new());
            let mut request = as_request(Collection::Listeners, &listener);
            request.insert("name".to_owned(), json!("https"));
            prop_assert_eq!(compare(&Value::Object(request), &listener, true), Vec::<String>::new());
        }

        #[test]
        fn nothing_makes_the_comparison_panic(one in any_json(), two in any_json()) {
            let _ = compare(&one, &two, true);
        }
    }

    #[test]
    fn a_request_has_neither_nulls_nor_reported_names() {
        let set = json!({"name": "app", "policy": "ROUND_ROBIN", "sslConfiguration": null, "backendMaxConnections": 0,
            "backends": [{"name": "10.0.0.5:80", "ipAddress": "10.0.0.5", "port": 80, "maxConnections": null}],
            "healthChecker": {"protocol": "TCP", "responseBodyRegex": ""}});
        assert_eq!(
            Value::Object(as_request(Collection::BackendSets, &set)),
            json!({"policy": "ROUND_ROBIN", "backendMaxConnections": 0,
                "backends": [{"ipAddress": "10.0.0.5", "port": 80}],
                "healthChecker": {"protocol": "TCP", "responseBodyRegex": ""}})
        );
        let policy = json!({"name": "p", "rules": [{"name": "r"}]});
        assert_eq!(Value::Object(as_request(Collection::RoutingPolicies, &policy)), json!({"rules": [{"name": "r"}]}));
    }

    #[test]
    fn differences_name_the_field() {
        let before = json!({"port": 443, "hostnameNames": ["a", "b"], "ruleSetNames": null,
            "sslConfiguration": {"protocols": ["TLSv1.2", "TLSv1.3"]}, "backends": [{"ipAddress": "10.0.0.1"}]});
        for (after, expected) in [
            (
                json!({"port": 443, "hostnameNames": ["b", "a"], "ruleSetNames": [],
                "sslConfiguration": {"protocols": ["TLSv1.3", "TLSv1.2"]},
                "backends": [{"ipAddress": "10.0.0.2"}, {"ipAddress": "10.0.0.1", "weight": 1}]}),
                vec![],
            ),
            (
                json!({"port": 443, "hostnameNames": ["a", "b"], "sslConfiguration": {"protocols": ["TLSv1.2"]},
                "backends": [], "new": 1}),
                vec![
                    "`sslConfiguration.protocols` is [\"TLSv1.2\"], not [\"TLSv1.2\",\"TLSv1.3\"]",
                    "`backends` lacks {\"ipAddress\":\"10.0.0.1\"}",
                    "`new` is new",
                ],
            ),
            (
                json!({"port": 80, "sslConfiguration": {"protocols": ["TLSv1.2", "TLSv1.3"]}, "backends": [{"ipAddress": "10.0.0.1"}]}),
                vec!["`port` is 80, not 443", "`hostnameNames` is absent, not [\"a\",\"b\"]"],
            ),
        ] {
            assert_eq!(compare(&before, &after, true), expected);
        }
    }
}
