//! UpdateListener replaces the whole listener: what that costs with the command line, and not with certferry.

use serde_json::{Value, json};

use super::bundles::{create, new_files, words};
use super::{change, cli, read};
use crate::stage::{BY_HAND, Stage};

/// What the models of the command line require, and the bundle; as the usual deploy hooks do.
const UPDATE: &str = "listener update --listener-name https --default-backend-set-name app --port 443 --protocol HTTP \
                      --ssl-certificate-name by-cli";

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_with_a_bundle_only_loses_the_rest() {
    let stage = rich_stage().await;
    new_files(&stage, "by-cli");
    change(&stage, &words(&create(&stage, "by-cli"))).await;
    let asked = [&["lb"], &words(UPDATE)[..], &["--load-balancer-id", stage.id()]].concat();
    let asked = cli(&stage).run(&asked).await;
    assert_ne!(asked.exit_code, Some(0), "without --force it asks, and nobody answers: {asked:?}");
    assert_eq!(stage.bound("https"), BY_HAND);

    let before = listener(&stage);
    change(&stage, &[&words(UPDATE)[..], &["--force"]].concat()).await;
    let mut lost = differences(&before, &listener(&stage));
    lost.sort_unstable();
    let expected = [
        "/connectionConfiguration/idleTimeout",
        "/fieldOfNextYear",
        "/hostnameNames",
        "/ruleSetNames",
        "/sslConfiguration/certificateName",
        "/sslConfiguration/cipherSuiteName",
        "/sslConfiguration/protocols",
        "/sslConfiguration/settingOfNextYear",
        "/sslConfiguration/verifyDepth",
    ];
    assert_eq!(lost, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn certferry_loses_nothing() {
    let stage = rich_stage().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let (before, printed_before) = (listener(&stage), printed(&stage).await);

    stage.apply().await;
    assert_eq!(differences(&before, &listener(&stage)), ["/sslConfiguration/certificateName"]);
    assert_eq!(differences(&printed_before, &printed(&stage).await), ["/ssl-configuration/certificate-name"]);
    assert!(stage.bound("https").starts_with("cf-www-"), "{}", stage.bound("https"));
}

/// The listener `https` has something in every kind of field, and in some that no model knows.
async fn rich_stage() -> Stage {
    let stage = Stage::new().await;
    let edit = |json: &mut Value| {
        json["hostnames"] = json!({ "www": { "name": "www", "hostname": "www.some-domain.test" } });
        json["listeners"]["https"]["hostnameNames"] = json!(["www"]);
        json["listeners"]["https"]["sslConfiguration"]["settingOfNextYear"] = json!({ "deep": true });
    };
    stage.lab.edit_load_balancer(stage.id(), edit).unwrap();
    stage
}

fn listener(stage: &Stage) -> Value {
    stage.load_balancer()["listeners"]["https"].take()
}

async fn printed(stage: &Stage) -> Value {
    read(stage, &["load-balancer", "get"]).await["listeners"]["https"].take()
}

/// JSON pointers to the values in which the two differ.
fn differences(one: &Value, other: &Value) -> Vec<String> {
    let mut pointers = Vec::new();
    collect_differences("", one, other, &mut pointers);
    pointers
}

fn collect_differences(pointer: &str, one: &Value, other: &Value, pointers: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(fields), Value::Object(others)) => {
            let added = others.keys().filter(|key| !fields.contains_key(*key));
            for key in fields.keys().chain(added) {
                let (one, other) = (fields.get(key), others.get(key));
                match (one, other) {
                    (Some(one), Some(other)) => collect_differences(&format!("{pointer}/{key}"), one, other, pointers),
                    _ => pointers.push(format!("{pointer}/{key}")),
                }
            }
        }
        _ if one == other => {}
        _ => pointers.push(pointer.to_owned()),
    }
}
