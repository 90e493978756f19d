//! Certificates held by OCI's Certificates service: from the first run over renewals and rollbacks to another common name,
//! by the program itself.

use certferry_lab::oci_load_balancer::HeldCertificates;
use serde_json::{Value, json};

use crate::parts::openssl::served;
use crate::stage::{BY_HAND, LabCa, SERVER_NAME, Stage, front};

const HELD: &str = "      hold: certificates-service\n    verify-within: 20s\n";
const HELD_BRIEFLY: &str = "      hold: certificates-service\n    verify-within: 3s\n";

/// A stage, and its CA, with certificate `www` on `https`, held by the service.
async fn held() -> (Stage, LabCa) {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_with(&ca.issuer(), HELD, &stage.www());
    (stage, ca)
}

async fn renew(stage: &Stage) {
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
}

/// The OCID that a listener of a load balancer refers to.
fn id_on(stage: &Stage, front: usize, listener: &str) -> String {
    let json = stage.lab.load_balancer(&stage.fronts[front].id).unwrap();
    let ids = &json["listeners"][listener]["sslConfiguration"]["certificateIds"];
    ids[0].as_str().unwrap_or_default().to_owned()
}

/// A listener of the first load balancer without what it refers to.
fn other_fields(stage: &Stage, listener: &str) -> Value {
    let mut json = stage.load_balancer()["listeners"][listener].take();
    json["sslConfiguration"]["certificateName"].take();
    json["sslConfiguration"]["certificateIds"].take();
    json
}

/// Stages of all versions, oldest first; `+` for one whose deletion is scheduled.
pub(crate) fn versions_of(stage: &Stage, id: &str) -> Vec<String> {
    let stages = stage.lab.certificate_versions(id).into_iter().map(|version| {
        let goes = if version["timeOfDeletion"].is_string() { "+" } else { "" };
        let stages: Vec<&str> = version["stages"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!("{goes}{}", stages.join(" "))
    });
    stages.collect()
}

fn state_of(stage: &Stage, id: &str) -> Value {
    stage.lab.certificate(id).unwrap()["lifecycleState"].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_run_moves_the_listener_to_a_certificate_of_the_service_and_changes_nothing_else() {
    let (stage, ca) = held().await;
    let (before, shop) = (other_fields(&stage, "https"), stage.load_balancer()["listeners"]["shop"].take());
    stage.apply().await;
    let id = id_on(&stage, 0, "https");
    assert_eq!(stage.bound("https"), "");
    assert_eq!(other_fields(&stage, "https"), before);
    assert_eq!(stage.load_balancer()["listeners"]["shop"], shop);
    assert_eq!(stage.load_balancer()["certificates"].as_object().unwrap().keys().collect::<Vec<_>>(), [BY_HAND]);
    let certificate = stage.lab.certificate(&id).unwrap();
    assert!(certificate["name"].as_str().unwrap().starts_with("cf-www-"), "{certificate}");
    assert_eq!(certificate["subject"]["commonName"], SERVER_NAME);
    let now = served(stage.address(443), SERVER_NAME).await.unwrap();
    assert_eq!(now.serial, stage.issued_serial().await);
    assert!(stage.apply().await.stdout().contains("nothing to do"));
    assert_eq!(ca.ca.orders().len(), 1);
    let inventory = stage.certferry(&["inventory", "front", "--output", "json"]).await.expect_exit(0).json();
    let rows = inventory["certificates"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == json!(id)).unwrap();
    assert_eq!((&row["name"], &row["made_by_certferry"]), (&certificate["name"], &json!(true)));
    assert_eq!(row["used_by"], json!([{"kind": "listener", "name": "https"}]));
    assert!(row["not_after"].is_string() && row["certificate"] == "www", "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_a_new_current_version_and_not_one_call_to_a_listener() {
    let (stage, ca) = held().await;
    stage.apply().await;
    let id = id_on(&stage, 0, "https");
    let (before, begun) = (stage.load_balancer(), stage.lab.requests().len());
    let plan = stage.certferry(&["plan", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(plan["steps"], json!([]));
    renew(&stage).await;
    let operations: Vec<String> =
        stage.lab.requests()[begun..].iter().map(|request| request.operation.clone()).collect();
    assert!(!operations.iter().any(|operation| operation == "UpdateListener"), "{operations:?}");
    assert_eq!(operations.iter().filter(|operation| *operation == "UpdateCertificate").count(), 1);
    assert_eq!(stage.load_balancer()["listeners"], before["listeners"]);
    assert_eq!(versions_of(&stage, &id), ["PREVIOUS", "CURRENT LATEST"]);
    let now = served(stage.address(443), SERVER_NAME).await.unwrap();
    assert_eq!(now.serial, stage.issued_serial().await);
    assert_eq!(ca.ca.orders().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_is_not_served_goes_back_by_the_number_of_the_version_before() {
    let (stage, ca) = held().await;
    stage.apply().await;
    let first = stage.issued_serial().await;
    stage.configure_with(&ca.issuer(), HELD_BRIEFLY, &stage.www());
    stage.lab.hold_certificates(HeldCertificates::All);
    let ended = stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(5);
    assert!(ended.stderr().contains(&first), "what is served instead is named: {}", ended.stderr());
    let id = id_on(&stage, 0, "https");
    assert_eq!(versions_of(&stage, &id), ["CURRENT", "PREVIOUS LATEST"]);
    let sent = |stage: &Stage| {
        let mut calls = stage.lab.requests();
        calls.retain(|call| call.operation == "UpdateCertificate");
        calls.pop().unwrap().body.unwrap()
    };
    assert_eq!(sent(&stage), json!({"currentVersionNumber": 1}));
    assert_eq!(stage.lab.count("UpdateListener"), 1, "that of the first run");

    stage.lab.release_certificates();
    stage.configure_with(&ca.issuer(), HELD, &stage.www());
    stage.apply().await;
    assert_eq!(sent(&stage), json!({"currentVersionNumber": 2}));
    assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
    assert_eq!(ca.ca.orders().len(), 2, "no new order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_that_is_not_served_puts_the_bundle_of_the_load_balancer_back() {
    let (stage, ca) = held().await;
    stage.configure_with(&ca.issuer(), HELD_BRIEFLY, &stage.www());
    let before = stage.load_balancer()["listeners"].take();
    stage.lab.hold_certificates(HeldCertificates::All);
    stage.certferry(&["apply"]).await.expect_exit(5);
    assert_eq!(stage.bound("https"), BY_HAND);
    assert_eq!(id_on(&stage, 0, "https"), "");
    assert_eq!(other_fields(&stage, "shop"), {
        let mut shop = before["shop"].clone();
        shop["sslConfiguration"]["certificateName"].take();
        shop["sslConfiguration"]["certificateIds"].take();
        shop
    });
    stage.lab.release_certificates();
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1, "no new order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_somebody_else_is_put_back_when_ours_is_not_served() {
    let (stage, ca) = held().await;
    let made = certferry_lab::pki::Pki::new().unwrap().issue(&[SERVER_NAME], 30).unwrap();
    let foreign = stage.lab.import_certificate("by-hand", &made.chain_pem, &made.private_key_pem).unwrap();
    let refer = {
        let foreign = foreign.clone();
        move |json: &mut Value| {
            let ssl = &mut json["listeners"]["https"]["sslConfiguration"];
            ssl["certificateName"] = Value::Null;
            ssl["certificateIds"] = json!([foreign]);
        }
    };
    stage.lab.edit_load_balancer(stage.id(), refer).unwrap();
    for hold in [HELD_BRIEFLY, "    verify-within: 3s\n"] {
        stage.configure_with(&ca.issuer(), hold, &stage.www());
        stage.lab.hold_certificates(HeldCertificates::All);
        stage.certferry(&["apply"]).await.expect_exit(5);
        assert_eq!((stage.bound("https").as_str(), id_on(&stage, 0, "https")), ("", foreign.clone()), "{hold}");
        stage.lab.release_certificates();
    }
    assert_eq!(stage.lab.certificate_versions(&foreign).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_load_balancers_share_one_certificate() {
    let specs = vec![("front", front(&[("https", 443)])), ("back", front(&[("https", 443)]))];
    let stage = Stage::with(specs).await;
    let ca = stage.lab_ca().await;
    let deploys = format!("{}{}", stage.deploy(0, "https", 443), stage.deploy(1, "https", 443));
    let entry = format!("  www:\n    names: [{SERVER_NAME}]\n    http01: front\n    deploy:\n{deploys}");
    stage.configure_with(&ca.issuer(), HELD, &entry);
    stage.apply().await;
    let id = id_on(&stage, 0, "https");
    for run in 1..=2 {
        assert_eq!((id_on(&stage, 0, "https"), id_on(&stage, 1, "https")), (id.clone(), id.clone()));
        assert_eq!((stage.lab.certificate_names().len(), versions_of(&stage, &id).len()), (1, run));
        for front in &stage.fronts {
            let address = stage.lab.data_plane_address(&front.id, 443).unwrap();
            assert_eq!(served(address, SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
        }
        if run == 1 {
            renew(&stage).await;
        }
    }
    assert_eq!(stage.lab.count("UpdateListener"), 2, "one for each load balancer, in the first run");

    // What one load balancer serves is not taken away from it because another one does not.
    stage.configure_with(&ca.issuer(), HELD_BRIEFLY, &entry);
    let slow = HeldCertificates::Listener { load_balancer: stage.fronts[1].id.clone(), listener: "https".to_owned() };
    stage.lab.hold_certificates(slow);
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(5);
    assert_eq!(versions_of(&stage, &id).last().unwrap(), "CURRENT LATEST");
    assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
    stage.lab.release_certificates();
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_common_name_is_another_certificate_and_the_old_one_goes_a_renewal_later() {
    let (stage, ca) = held().await;
    stage.apply().await;
    let old = id_on(&stage, 0, "https");
    let before = other_fields(&stage, "https");
    let more = stage.www().replace(SERVER_NAME, &format!("a.some-domain.test, {SERVER_NAME}"));
    stage.configure_with(&ca.issuer(), HELD, &more);
    stage.apply().await;
    let new = id_on(&stage, 0, "https");
    assert_ne!(new, old);
    assert_eq!(stage.lab.certificate(&new).unwrap()["subject"]["commonName"], "a.some-domain.test");
    assert_eq!(other_fields(&stage, "https"), before);
    assert_eq!(state_of(&stage, &old), "ACTIVE", "the way back, until the next renewal");
    renew(&stage).await;
    assert_eq!(id_on(&stage, 0, "https"), new);
    assert_eq!(state_of(&stage, &old), "PENDING_DELETION");
    assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
    assert!(stage.apply().await.stdout().contains("nothing to do"));
    assert_eq!(ca.ca.orders().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_are_scheduled_for_deletion_and_the_one_before_is_kept() {
    let (stage, _ca) = held().await;
    stage.apply().await;
    for _ in 0..3 {
        renew(&stage).await;
    }
    let id = id_on(&stage, 0, "https");
    assert_eq!(versions_of(&stage, &id), ["+DEPRECATED", "+DEPRECATED", "PREVIOUS", "CURRENT LATEST"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_move_there_and_back_without_a_new_order() {
    let (stage, ca) = held().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let (bundle, before) = (stage.bound("https"), other_fields(&stage, "https"));
    assert!(bundle.starts_with("cf-www-"), "{bundle}");

    stage.configure_with(&ca.issuer(), HELD, &stage.www());
    stage.apply().await;
    let id = id_on(&stage, 0, "https");
    assert_eq!((stage.bound("https").as_str(), id.is_empty()), ("", false));
    assert_eq!(stage.own_bundles(), [""; 0], "the bundle is gone after that");
    assert_eq!(other_fields(&stage, "https"), before);
    assert!(stage.apply().await.stdout().contains("nothing to do"));

    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    assert_eq!((stage.bound("https"), id_on(&stage, 0, "https").as_str()), (bundle, ""));
    assert_eq!(other_fields(&stage, "https"), before);
    assert_eq!(state_of(&stage, &id), "ACTIVE", "what is in the service stays there");
    assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
    assert_eq!(ca.ca.orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_is_printed_and_what_is_not_is_found_before_anything_is_ordered() {
    let (stage, ca) = held().await;
    let text = stage.certferry(&["policy", "front"]).await.expect_exit(0).stdout();
    for piece in [
        "use load-balancers",
        "manage leaf-certificate-family",
        "read leaf-certificate-bundles",
        "manage certificate-associations",
        "request.operation='UpdateCertificate'",
    ] {
        assert!(text.contains(piece), "{piece}: {text}");
    }
    let json = stage.certferry(&["policy", "front", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(json["statements"].as_array().unwrap().len(), 5);
    stage.certferry(&["check", "--online"]).await.expect_exit(0);

    stage.lab.set_behaviour(|behaviour| behaviour.certificates.allowed = false);
    for (command, code) in [(&["check", "--online"][..], 3), (&["apply"], 4)] {
        let ended = stage.certferry(command).await.expect_exit(code);
        let told = format!("{}{}", ended.stdout(), ended.stderr());
        for piece in ["ListCertificates", "manage leaf-certificate-family", "certferry policy front"] {
            assert!(told.contains(piece), "{command:?} {piece}: {told}");
        }
    }
    assert_eq!(stage.bound("https"), BY_HAND);
    assert_eq!(ca.ca.orders().len(), 0);
}
