//! IP addresses as names (RFC 8738). Pebble connects to the address itself, where the lab's load balancer listens; clients
//! of an address send no server name, as openssl does here.

use super::{ISSUED, count, issuer, pebble};
use crate::parts::openssl::{self, Served};
use crate::parts::pebble::Pebble;
use crate::stage::{SERVER_NAME, Stage};

const ADDRESS: &str = "127.0.0.1";

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_an_address_is_issued_served_and_renewed() {
    let stage = Stage::new().await;
    // Its renewal window is always open.
    let pebble = pebble(&stage, |options| options.certificate_validity_seconds = Some(300)).await;
    assert_eq!(stage.address(443).ip().to_string(), ADDRESS, "what is served is the address of the certificate");
    stage.configure(&issuer(&pebble), &certificate(&stage, &[ADDRESS]));
    let fields = stage.other_fields("https");
    stage.apply().await;

    let host = format!("http://{ADDRESS}:{}/.well-known/acme-challenge/", stage.address(80).port());
    assert_eq!(count(&pebble, &format!("Attempting to validate w/ HTTP: {host}")), 3, "{}", pebble.log());
    let first = served_at_address(&pebble, &stage).await;
    assert_eq!(stage.other_fields("https"), fields);
    let status = stage.status().await;
    let certificate = &status["certificates"][0];
    assert_eq!(certificate["names"], serde_json::json!([ADDRESS]));
    assert_eq!(certificate["deployments"][0]["state"], "verified");

    // A serial that begins with a zero byte in DER, one in 512, is not found by Pebble 2.6.
    let is_found = first.serial.starts_with(|digit: char| digit.to_digit(16).is_some_and(|digit| digit < 8));
    stage.apply().await;
    assert_eq!(count(&pebble, "is a replacement of"), usize::from(is_found), "{}", pebble.log());
    assert_eq!(count(&pebble, ISSUED), 2);
    assert_ne!(served_at_address(&pebble, &stage).await.serial, first.serial);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_and_a_host_name_share_a_certificate() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |_| {}).await;
    stage.configure(&issuer(&pebble), &certificate(&stage, &[ADDRESS, SERVER_NAME]));
    stage.apply().await;
    let by_address = served_at_address(&pebble, &stage).await;
    let root = pebble.issuing_root_pem(0).await;
    let by_name = openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await.unwrap();
    assert_eq!(by_name, by_address);
    let plan = stage.certferry(&["plan"]).await.expect_exit(0);
    assert!(plan.stdout().contains("nothing to do"), "{}", plan.stdout());
    assert_eq!(count(&pebble, ISSUED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_with_host_names_is_no_place_for_an_address() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |_| {}).await;
    let id = stage.id().to_owned();
    stage
        .lab
        .edit_load_balancer(&id, |front| {
            front["hostnames"]["www"] = serde_json::json!({ "name": "www", "hostname": SERVER_NAME });
            front["listeners"]["https"]["hostnameNames"] = serde_json::json!(["www"]);
        })
        .unwrap();
    stage.configure(&issuer(&pebble), &certificate(&stage, &[ADDRESS]));
    let ended = stage.certferry(&["apply"]).await.expect_exit(4);
    for piece in [SERVER_NAME, "asks for no host name", "hint:"] {
        assert!(ended.stderr().contains(piece), "{piece}: {}", ended.stderr());
    }
    assert_eq!(stage.bound("https"), crate::stage::BY_HAND);
}

fn certificate(stage: &Stage, names: &[&str]) -> String {
    format!("  www:\n    names: [{}]\n    deploy:\n{}", names.join(", "), stage.deploy(0, "https", 443))
}

/// What a client of the address gets: a chain that leads to Pebble's root, for the address, in the version that certferry
/// says it issued.
async fn served_at_address(pebble: &Pebble, stage: &Stage) -> Served {
    let root = pebble.issuing_root_pem(0).await;
    let served = openssl::served_at_address_and_trusted(stage.address(443), ADDRESS, &root).await;
    let served = served.unwrap_or_else(|said| panic!("openssl does not accept what is served: {said}"));
    assert_eq!(served.serial, stage.issued_serial().await, "another version is served than was issued");
    served
}
