//! Oracle's own `oci` command line and Python SDK against the lab's load balancer: the lab speaks the real protocol, and a
//! listener updated by the real CLI loses what certferry keeps.

use certferry_lab::oci_load_balancer::KeyLabel;
use certferry_lab::pki::Pki;
use serde_json::{Value, json};

use crate::parts::oci_cli::OciCli;
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

mod bundles;
mod listeners;
mod printed;
mod wrong_key;

fn cli(stage: &Stage) -> OciCli {
    OciCli::new(stage.lab.endpoint(), &stage.key_files.config)
}

/// `oci lb …` that must end well and waits for its work request.
async fn change(stage: &Stage, arguments: &[&str]) {
    let waiting = ["--load-balancer-id", stage.id(), "--wait-for-state", "SUCCEEDED", "--wait-interval-seconds", "1"];
    let outcome = cli(stage).run(&[&["lb"], arguments, &waiting].concat()).await;
    assert_eq!(outcome.exit_code, Some(0), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
}

async fn read(stage: &Stage, arguments: &[&str]) -> Value {
    let outcome = cli(stage).run(&[&["lb"], arguments, &["--load-balancer-id", stage.id()]].concat()).await;
    assert_eq!(outcome.exit_code, Some(0), "{arguments:?}: {}{}", outcome.stdout, outcome.stderr);
    outcome.json()["data"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_creates_lists_binds_and_deletes() {
    let stage = Stage::new().await;
    let made = Pki::new().unwrap().issue(&[SERVER_NAME], 30).unwrap();
    let (chain, key) = (stage.path("chain.pem"), stage.path("key.pem"));
    std::fs::write(&chain, &made.chain_pem).unwrap();
    std::fs::write(&key, &made.private_key_pem).unwrap();
    let (chain, key) = (chain.to_str().unwrap(), key.to_str().unwrap());
    let create = ["certificate", "create", "--certificate-name", "by-cli"];
    let files = ["--public-certificate-file", chain, "--private-key-file", key];
    change(&stage, &[&create[..], &files].concat()).await;
    let listed = read(&stage, &["certificate", "list"]).await;
    let names: Vec<&str> =
        listed.as_array().unwrap().iter().filter_map(|one| one["certificate-name"].as_str()).collect();
    assert!(names.contains(&"by-cli") && names.contains(&BY_HAND), "{names:?}");
    let set = ["backend-set", "create", "--name", "by-cli", "--policy", "ROUND_ROBIN"];
    change(&stage, &[&set[..], &["--health-checker-protocol", "TCP", "--health-checker-port", "22"]].concat()).await;
    let listener = ["listener", "create", "--name", "by-cli", "--default-backend-set-name", "by-cli", "--port", "9443"];
    change(&stage, &[&listener[..], &["--protocol", "HTTP", "--ssl-certificate-name", "by-cli"]].concat()).await;
    let shown = read(&stage, &["load-balancer", "get"]).await;
    assert_eq!(shown["listeners"]["by-cli"]["ssl-configuration"]["certificate-name"], "by-cli");
    change(&stage, &["listener", "delete", "--listener-name", "by-cli", "--force"]).await;
    change(&stage, &["certificate", "delete", "--certificate-name", "by-cli", "--force"]).await;
    assert!(stage.load_balancer()["certificates"].get("by-cli").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_sdk_reads_and_updates_under_an_etag() {
    let stage = Stage::new().await;
    let snippet = format!(
        "client = oci.load_balancer.LoadBalancerClient(config, service_endpoint=endpoint)
id = {id:?}
got = client.get_load_balancer(id)
names = [one.certificate_name for one in client.list_certificates(id).data]
details = oci.load_balancer.models.UpdateListenerDetails(default_backend_set_name='app', port=8443, protocol='HTTP')
answer = client.update_listener(details, id, 'shop', if_match=got.headers['etag'])
try:
    client.update_listener(details, id, 'shop', if_match='stale')
    stale = 'accepted'
except oci.exceptions.ServiceError as error:
    stale = [error.status, error.code]
print(json.dumps(dict(name=got.data.display_name, names=names, work='opc-work-request-id' in answer.headers, stale=stale)))
",
        id = stage.id()
    );
    let outcome = cli(&stage).python(&snippet).await;
    assert_eq!(outcome.exit_code, Some(0), "{}{}", outcome.stdout, outcome.stderr);
    let expected = json!({ "name": "front", "names": [BY_HAND], "work": true, "stale": [412, "NoEtagMatch"] });
    assert_eq!(outcome.json(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_refused_to_the_cli_and_to_certferry() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    // A key that the service does not know, under the names that it knows.
    let wrong = certferry_lab::oci_load_balancer::ApiKey::generate().unwrap();
    let folder = stage.path("wrong");
    let files = wrong.write_config(&folder, KeyLabel::Absent).unwrap();
    std::fs::copy(&files.key, &stage.key_files.key).unwrap();
    let outcome = cli(&stage).run(&["lb", "certificate", "list", "--load-balancer-id", stage.id()]).await;
    assert_eq!(outcome.exit_code, Some(1));
    assert!(outcome.stderr.contains("NotAuthenticated"), "{}", outcome.stderr);
    let before = stage.load_balancer();
    let ended = stage.certferry(&["apply"]).await.expect_exit(4);
    assert!(ended.stderr().contains("NotAuthenticated") && ended.stderr().contains("hint:"), "{}", ended.stderr());
    assert_eq!(stage.load_balancer(), before);
    assert_eq!(ca.ca.orders().len(), 0, "nothing is ordered that could not be validated");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_by_the_real_cli_loses_fields_and_one_by_certferry_loses_none() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let (https, shop) = (stage.other_fields("https"), stage.other_fields("shop"));
    stage.apply().await;
    assert_eq!(stage.other_fields("https"), https, "certferry loses none");
    let update =
        ["listener", "update", "--listener-name", "shop", "--default-backend-set-name", "app", "--port", "8443"];
    let bundle = stage.bound("https");
    let more = ["--protocol", "HTTP", "--ssl-certificate-name", &bundle, "--force"];
    change(&stage, &[&update[..], &more].concat()).await;
    let now = stage.other_fields("shop");
    assert_ne!(now, shop);
    assert_eq!(now["ruleSetNames"], json!([]), "rule sets are gone");
    assert_eq!(now["sslConfiguration"]["protocols"], json!(["TLSv1.2"]), "TLS 1.3 is gone");
    assert!(now.get("fieldOfNextYear").is_none_or(Value::is_null), "what nobody knows is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_sees_what_certferry_made() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let shown = read(&stage, &["load-balancer", "get"]).await;
    let bundle = stage.bound("https");
    assert_eq!(shown["listeners"]["https"]["ssl-configuration"]["certificate-name"], json!(bundle));
    assert_eq!(shown["listeners"]["http"]["path-route-set-name"], "certferry_acme");
    let set = read(&stage, &["backend-set", "get", "--backend-set-name", "certferry-acme"]).await;
    assert_eq!(set["backends"][0]["port"], json!(stage.responder.port()));
    assert_eq!(set["health-checker"]["protocol"], "TCP");
}
