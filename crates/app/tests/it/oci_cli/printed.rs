//! certferry's objects as the command line prints them. It prints what Oracle's models know, so this is also a test of the
//! lab's answers against those models.

use serde_json::{Map, Value};

use super::read;
use crate::stage::Stage;

/// Fields of the stage's listeners that Oracle's models do not know.
const UNKNOWN: &str = "fieldOfNextYear";

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_prints_certferrys_objects_as_they_are() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;

    let (printed, json) = (read(&stage, &["load-balancer", "get"]).await, stage.load_balancer());
    let bundle = stage.bound("https");
    for (printed_collection, collection, name) in [
        ("certificates", "certificates", bundle.as_str()),
        ("listeners", "listeners", "https"),
        ("listeners", "listeners", "shop"),
        ("listeners", "listeners", "http"),
        ("backend-sets", "backendSets", "certferry-acme"),
        ("path-route-sets", "pathRouteSets", "certferry_acme"),
    ] {
        let mut object = without_nulls(&json[collection][name]);
        object.as_object_mut().unwrap().remove(UNKNOWN);
        let shown = without_nulls(&in_api_words(&printed[printed_collection][name]));
        assert_eq!(shown, object, "{collection} {name}");
    }
}

/// An object that the command line printed, in the API's words: `ssl-configuration` is `sslConfiguration`. Not for a map
/// whose keys are names.
fn in_api_words(printed: &Value) -> Value {
    match printed {
        Value::Array(items) => items.iter().map(in_api_words).collect(),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (camel_case(key), in_api_words(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

fn camel_case(with_dashes: &str) -> String {
    let mut words = with_dashes.split('-');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |joined, word| {
        let (initial, rest) = word.split_at(1);
        joined + &initial.to_ascii_uppercase() + rest
    })
}

/// Not set is shown as null by one and left out by the other.
fn without_nulls(object: &Value) -> Value {
    match object {
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        Value::Object(fields) => {
            let set: Map<String, Value> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), without_nulls(value)))
                .collect();
            Value::Object(set)
        }
        other => other.clone(),
    }
}
