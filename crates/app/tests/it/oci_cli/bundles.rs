//! Bundles that an administrator uploads with the command line, good, broken and in certferry's way.

use std::time::Duration;

use certferry_lab::oci_load_balancer::CertificateCheck;
use certferry_lab::pki::Pki;
use serde_json::Value;

use super::{change, cli, read};
use crate::parts::{eventually, openssl};
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_gets_what_the_command_line_put_on_a_listener() {
    let stage = Stage::new().await;
    let serial = openssl::serial(&new_files(&stage, "by-cli")).await;
    change(&stage, &words(&create(&stage, "by-cli"))).await;
    // The suite that the service takes by default has no cipher for an ECDSA key.
    let listener = "listener create --name admin --port 9443 --protocol HTTP --default-backend-set-name app \
                    --ssl-certificate-name by-cli --cipher-suite-name oci-tls-12-13-wider-ssl-cipher-suite-v1";
    change(&stage, &words(listener)).await;
    let served = openssl::served(stage.address(9443), SERVER_NAME).await.unwrap();
    assert_eq!(served.serial, serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_request_is_read_by_its_id_whether_it_succeeded_or_failed() {
    let stage = Stage::new().await;
    stage.lab.set_behaviour(|behaviour| behaviour.certificate_check = CertificateCheck::InWorkRequest);
    new_files(&stage, "good");
    new_files(&stage, "broken");
    std::fs::write(stage.path("broken.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();

    let good = ended_work_request(&stage, "good").await;
    assert_eq!(good["lifecycle-state"], "SUCCEEDED", "{good}");
    assert_eq!(good["type"], "CreateCertificate");
    assert_eq!(good["load-balancer-id"], stage.id());
    let broken = ended_work_request(&stage, "broken").await;
    assert_eq!(broken["lifecycle-state"], "FAILED", "{broken}");
    assert_eq!(broken["error-details"][0]["error-code"], "BAD_INPUT", "{broken}");
    assert_eq!(listed(&stage).await, [BY_HAND, "good"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_in_use_is_not_deleted() {
    let stage = Stage::new().await;
    let delete = format!("certificate delete --force --certificate-name {BY_HAND}");
    let refused = cli(&stage).run(&arguments(&stage, &delete)).await;
    assert_eq!(refused.exit_code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("\"status\": 409"), "{}", refused.stderr);
    assert!(refused.stderr.contains("is attached to one or more listeners"), "{}", refused.stderr);
    assert_eq!(listed(&stage).await, [BY_HAND]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_a_person_made_under_such_a_name_is_never_removed() {
    let stage = Stage::new().await;
    let by_hand = "cf-www-20200101-0badcafe";
    new_files(&stage, by_hand);
    change(&stage, &words(&create(&stage, by_hand))).await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let mut bound = Vec::new();
    for _ in 0..4 {
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
        bound.push(stage.bound("https"));
    }
    bound.dedup();
    assert_eq!(bound.len(), 4, "each run renewed: {bound:?}");

    let left = listed(&stage).await;
    assert!(left.contains(&by_hand.to_owned()), "{left:?}");
    assert!(!left.contains(&bound[0]) && !left.contains(&bound[1]), "certferry removes its own older ones: {left:?}");
    let requests = stage.lab.requests();
    let deletions: Vec<&str> = requests
        .iter()
        .filter(|request| request.operation == "DeleteCertificate")
        .map(|request| request.target.as_str())
        .collect();
    assert_eq!(deletions.len(), 2, "{deletions:?}");
    assert!(!deletions.iter().any(|target| target.ends_with(by_hand)), "it was tried: {deletions:?}");
}

/// Writes `NAME.crt` and `NAME.key`, a new certificate; gives the certificate.
pub(super) fn new_files(stage: &Stage, name: &str) -> String {
    let issued = Pki::new().unwrap().issue(&[SERVER_NAME], 30).unwrap();
    std::fs::write(stage.path(&format!("{name}.crt")), &issued.chain_pem).unwrap();
    std::fs::write(stage.path(&format!("{name}.key")), &issued.private_key_pem).unwrap();
    issued.chain_pem
}

/// The command that uploads these files.
pub(super) fn create(stage: &Stage, name: &str) -> String {
    let (certificate, key) = (stage.path(&format!("{name}.crt")), stage.path(&format!("{name}.key")));
    format!(
        "certificate create --certificate-name {name} --public-certificate-file {} --private-key-file {}",
        certificate.display(),
        key.display()
    )
}

/// A command's words; none of those here has a space in it.
pub(super) fn words(command: &str) -> Vec<&str> {
    command.split_whitespace().collect()
}

/// Uploads and does not wait, then reads the work request until it has ended.
async fn ended_work_request(stage: &Stage, name: &str) -> Value {
    let command = create(stage, name);
    let accepted = cli(stage).run(&arguments(stage, &command)).await.json();
    let id = accepted["opc-work-request-id"].as_str().unwrap();
    let ended = eventually(Duration::from_secs(20), async || {
        let mut read = cli(stage).run(&["lb", "work-request", "get", "--work-request-id", id]).await.json();
        let state = &read["data"]["lifecycle-state"];
        (state == "SUCCEEDED" || state == "FAILED").then(|| read["data"].take())
    });
    ended.await.unwrap_or_else(|| panic!("work request {id} does not end"))
}

fn arguments<'a>(stage: &'a Stage, command: &'a str) -> Vec<&'a str> {
    [&["lb"], &words(command)[..], &["--load-balancer-id", stage.id()]].concat()
}

async fn listed(stage: &Stage) -> Vec<String> {
    let list = read(stage, &["certificate", "list"]).await;
    let names = list.as_array().into_iter().flatten().map(|bundle| bundle["certificate-name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}
