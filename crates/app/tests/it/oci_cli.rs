//! Oracle's own `oci` command line and Python SDK against the lab's load balancer: the lab speaks the real protocol, and a
//! listener updated by the real CLI loses what certferry keeps.

use certferry_lab::pki::Pki;
use serde_json::{Value, json};

use crate::parts::oci_cli::OciCli;
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

mod bundles;
mod certificates_service;
mod dns;
mod keys;
mod listeners;
mod principals;
mod printed;
mod sessions;
mod signed_by;
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
