//! The real CLI drives the lab's Certificates service, and points a listener at one of its certificates.

use std::time::Duration;

use certferry_lab::pki::{Issued, Pki};
use serde_json::{Value, json};

use super::{change, cli, read};
use crate::parts::{eventually, openssl};
use crate::stage::{SERVER_NAME, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_imports_a_certificate_lists_it_and_gets_its_bundle() {
    let stage = Stage::new().await;
    let pki = Pki::new().unwrap();
    let issued = pki.issue(&[SERVER_NAME], 30).unwrap();
    let made = import(&stage, "www.some-domain", &issued).await;
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["lifecycle-state"], "ACTIVE", "{made}");
    assert_eq!(made["key-algorithm"], "ECDSA_P256");
    assert_eq!(made["subject"]["common-name"], SERVER_NAME);
    assert_eq!(made["current-version"]["stages"], json!(["CURRENT", "LATEST"]));
    let serial = made["current-version"]["serial-number"].as_str().unwrap().replace(' ', "").to_lowercase();
    assert_eq!(serial, openssl::serial(&leaf(&issued)).await);
    import(&stage, "other", &issued).await;

    stage.lab.set_behaviour(|behaviour| behaviour.certificates.page_size = 1);
    let compartment = stage.lab.compartment_id();
    let all = certificates(&stage, &["certificate", "list", "--all", "--compartment-id", compartment]).await;
    let names: Vec<&str> = all["items"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["other", "www.some-domain"]);
    let by_name = ["certificate", "list", "--compartment-id", compartment, "--name", "www.some-domain"];
    assert_eq!(certificates(&stage, &by_name).await["items"][0]["id"], id);

    let get = ["certificates", "certificate-bundle", "get", "--certificate-id", id];
    let current = ["--stage", "CURRENT", "--bundle-type", "CERTIFICATE_CONTENT_PUBLIC_ONLY"];
    let bundle = data(&stage, &[&get[..], &current].concat()).await;
    assert_eq!(bundle["certificate-pem"].as_str().unwrap().trim(), leaf(&issued).trim());
    assert_eq!(bundle["cert-chain-pem"].as_str().unwrap().trim(), pki.intermediates_pem().trim());
    let with_key = ["--bundle-type", "CERTIFICATE_CONTENT_WITH_PRIVATE_KEY"];
    refused(&stage, &[&get[..], &with_key].concat(), 404, "NotAuthorizedOrNotFound").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_renews_rolls_back_and_deletes_a_version() {
    let stage = Stage::new().await;
    let pki = Pki::new().unwrap();
    let made = import(&stage, "www", &pki.issue(&[SERVER_NAME], 30).unwrap()).await;
    let id = made["id"].as_str().unwrap();
    for _ in 0..2 {
        renew(&stage, id, &pki.issue(&[SERVER_NAME], 30).unwrap(), &[]).await;
    }
    assert_eq!(stages(&stage, id).await, ["1 DEPRECATED", "2 PREVIOUS", "3 CURRENT LATEST"]);
    let roll_back = ["certificate", "update", "--force", "--certificate-id", id, "--current-version-number", "2"];
    certificates(&stage, &[&roll_back[..], &ACTIVE].concat()).await;
    assert_eq!(stages(&stage, id).await, ["1 DEPRECATED", "2 CURRENT", "3 PREVIOUS LATEST"]);

    let version = ["certificate-version", "schedule-deletion", "--certificate-id", id, "--version-number"];
    let unused = [&["certs-mgmt"], &version[..], &["3"]].concat();
    refused(&stage, &unused, 409, "IncorrectState").await;
    run(&stage, &[&["certs-mgmt"], &version[..], &["1"]].concat()).await;
    let one = ["certificate-version", "get", "--certificate-id", id, "--version-number", "1"];
    assert!(certificates(&stage, &one).await["time-of-deletion"].is_string());
    let cancel = ["certs-mgmt", "certificate-version", "cancel-deletion", "--certificate-id", id];
    run(&stage, &[&cancel[..], &["--version-number", "1"]].concat()).await;
    assert!(certificates(&stage, &one).await["time-of-deletion"].is_null());

    let delete = ["certificate", "schedule-deletion", "--certificate-id", id];
    run(&stage, &[&["certs-mgmt"], &delete[..]].concat()).await;
    let certificate = eventually(Duration::from_secs(20), async || {
        let read = certificates(&stage, &["certificate", "get", "--certificate-id", id]).await;
        (read["lifecycle-state"] == "PENDING_DELETION").then_some(read)
    });
    assert!(certificate.await.expect("its deletion is scheduled")["time-of-deletion"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_gets_the_version_that_the_real_cli_made_current() {
    let stage = Stage::new().await;
    let pki = Pki::new().unwrap();
    let (first, second) = (pki.issue(&[SERVER_NAME], 30).unwrap(), pki.issue(&[SERVER_NAME], 30).unwrap());
    let made = import(&stage, "www", &first).await;
    let id = made["id"].as_str().unwrap();
    let ids = json!([id]).to_string();
    let listener = ["listener", "update", "--listener-name", "https", "--default-backend-set-name", "app", "--force"];
    // The suite that the service takes by default has no cipher for an ECDSA key.
    let suite = ["--cipher-suite-name", "oci-tls-12-13-wider-ssl-cipher-suite-v1"];
    let certificate = ["--port", "443", "--protocol", "HTTP", "--ssl-certificate-ids", &ids];
    change(&stage, &[&listener[..], &certificate, &suite].concat()).await;
    let bound = read(&stage, &["load-balancer", "get"]).await["listeners"]["https"]["ssl-configuration"].take();
    assert_eq!((&bound["certificate-ids"], &bound["certificate-name"]), (&json!([id]), &Value::Null));
    assert_eq!(served(&stage, pki.root_pem()).await, openssl::serial(&leaf(&first)).await);

    let associated = ["association", "list", "--all", "--associated-resource-id", stage.id()];
    let associations = certificates(&stage, &associated).await;
    assert_eq!(associations["items"][0]["certificates-resource-id"], id, "{associations}");
    let by_certificate = ["association", "list", "--all", "--certificates-resource-id", id];
    assert_eq!(certificates(&stage, &by_certificate).await, associations);
    let delete = ["certs-mgmt", "certificate", "schedule-deletion", "--certificate-id", id];
    refused(&stage, &delete, 409, "Conflict").await;

    renew(&stage, id, &second, &[]).await;
    let wanted = openssl::serial(&leaf(&second)).await;
    let picked_up =
        eventually(Duration::from_secs(20), async || (served(&stage, pki.root_pem()).await == wanted).then_some(()));
    picked_up.await.expect("the listener serves the new version without being updated");
    assert_eq!(stage.lab.count("UpdateListener"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_sees_a_version_with_another_common_name_fail() {
    let stage = Stage::new().await;
    let pki = Pki::new().unwrap();
    let made = import(&stage, "www", &pki.issue(&[SERVER_NAME], 30).unwrap()).await;
    let id = made["id"].as_str().unwrap();
    let other = pki.issue(&["other.some-domain.test", SERVER_NAME], 30).unwrap();
    let renewed = renew(&stage, id, &other, &["--version-name", "other"]).await;
    assert_eq!(renewed["current-version"]["version-number"], 1, "{renewed}");
    assert!(renewed["lifecycle-details"].as_str().unwrap().contains("common name"), "{renewed}");
    assert_eq!(stages(&stage, id).await, ["1 CURRENT", "2 FAILED LATEST"]);
}

/// Creates a certificate and waits until it is there.
async fn import(stage: &Stage, name: &str, issued: &Issued) -> Value {
    let create = ["certificate", "create-by-importing-config", "--name", name];
    let compartment = ["--compartment-id", stage.lab.compartment_id()];
    let (leaf, chain) = (leaf(issued), issuers(issued));
    certificates(stage, &[&create[..], &compartment, &parts(&leaf, &chain, issued), &ACTIVE].concat()).await
}

/// Imports a new version and waits until it is in effect.
async fn renew(stage: &Stage, id: &str, issued: &Issued, more: &[&str]) -> Value {
    let update = ["certificate", "update-certificate-by-importing-config-details", "--force", "--certificate-id", id];
    let (leaf, chain) = (leaf(issued), issuers(issued));
    certificates(stage, &[&update[..], &parts(&leaf, &chain, issued), more, &ACTIVE].concat()).await
}

fn parts<'a>(leaf: &'a str, chain: &'a str, issued: &'a Issued) -> [&'a str; 6] {
    ["--certificate-pem", leaf, "--cert-chain-pem", chain, "--private-key-pem", &issued.private_key_pem]
}

fn leaf(issued: &Issued) -> String {
    let end = "-----END CERTIFICATE-----";
    format!("{}{end}\n", issued.chain_pem.split(end).next().unwrap())
}

fn issuers(issued: &Issued) -> String {
    issued.chain_pem.strip_prefix(&leaf(issued)).unwrap().to_owned()
}

/// The stages of every version: `1 CURRENT LATEST`.
async fn stages(stage: &Stage, id: &str) -> Vec<String> {
    let list = certificates(stage, &["certificate-version", "list", "--all", "--certificate-id", id]).await;
    let line = |version: &Value| {
        let stages = version["stages"].as_array().unwrap().iter().map(|stage| stage.as_str().unwrap());
        format!("{} {}", version["version-number"], stages.collect::<Vec<_>>().join(" "))
    };
    list["items"].as_array().unwrap().iter().map(line).collect()
}

/// The serial of what the listener `https` serves.
async fn served(stage: &Stage, root_pem: &str) -> String {
    openssl::served_and_trusted(stage.address(443), SERVER_NAME, root_pem).await.unwrap().serial
}

/// `oci certs-mgmt …`.
async fn certificates(stage: &Stage, arguments: &[&str]) -> Value {
    data(stage, &[&["certs-mgmt"], arguments].concat()).await
}

async fn data(stage: &Stage, arguments: &[&str]) -> Value {
    run(stage, arguments).await["data"].take()
}

async fn run(stage: &Stage, arguments: &[&str]) -> Value {
    cli(stage).run(arguments).await.json()
}

async fn refused(stage: &Stage, arguments: &[&str], status: u16, code: &str) {
    // It retries IncorrectState for minutes otherwise.
    let outcome = cli(stage).run(&[&["--no-retry"], arguments].concat()).await;
    assert_eq!(outcome.exit_code, Some(1), "{outcome:?}");
    let said = &outcome.stderr;
    assert!(
        said.contains(&format!("\"status\": {status}")) && said.contains(&format!("\"code\": \"{code}\"")),
        "{said}"
    );
}

const ACTIVE: [&str; 4] = ["--wait-for-state", "ACTIVE", "--wait-interval-seconds", "1"];
