//! From a certificate in the store to listeners: what moves, what stays, and who comes between.

use certferry_lab::oci_load_balancer::{Effect, Fault, Moment, WorkRequestError, certificate_entry};
use certferry_lab::pki::Pki;
use serde_json::{Value, json};

use crate::parts::openssl::served;
use crate::stage::{BY_HAND, SERVER_NAME, Stage, front};

/// Certificate `www` on `https` and `shop`.
fn on_both(stage: &Stage) -> String {
    let deploys = format!("{}{}", stage.deploy(0, "https", 443), stage.deploy(0, "shop", 8443));
    format!("  www:\n    names: [{SERVER_NAME}]\n    deploy:\n{deploys}")
}

async fn renew(stage: &Stage) {
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_listeners_and_a_backend_set_that_share_an_old_bundle_are_all_moved_before_it_goes() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &on_both(&stage));
    stage.apply().await;
    let first = stage.bound("https");
    let shared = first.clone();
    stage
        .lab
        .edit_load_balancer(stage.id(), move |json| {
            json["backendSets"]["app"]["sslConfiguration"] = json!({
                "certificateName": shared,
                "cipherSuiteName": "oci-tls-12-13-wider-ssl-cipher-suite-v1",
                "verifyDepth": 1,
            });
        })
        .unwrap();
    renew(&stage).await;
    let second = stage.bound("https");
    assert_ne!(second, first);
    renew(&stage).await;
    let third = stage.bound("https");
    assert_eq!(stage.bound("shop"), third);
    let json = stage.load_balancer();
    assert_eq!(json["backendSets"]["app"]["sslConfiguration"]["certificateName"], json!(third));
    assert_eq!(json["backendSets"]["app"]["sslConfiguration"]["verifyDepth"], json!(1));
    let mut kept = stage.own_bundles();
    kept.sort();
    let mut expected = vec![second, third];
    expected.sort();
    assert_eq!(kept, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certferry_did_not_make_is_never_removed_whatever_its_name() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    let looks_like_ours = "cf-www-20250101-00000000";
    let made = Pki::new().unwrap().issue(&[SERVER_NAME], 30).unwrap();
    stage
        .lab
        .edit_load_balancer(stage.id(), move |json| {
            json["certificates"][looks_like_ours] =
                certificate_entry(looks_like_ours, &made.chain_pem, &made.private_key_pem);
        })
        .unwrap();
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    renew(&stage).await;
    renew(&stage).await;
    let certificates = stage.load_balancer()["certificates"].take();
    assert!(certificates.get(looks_like_ours).is_some() && certificates.get(BY_HAND).is_some(), "{certificates}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_writer_between_read_and_write_loses_nothing() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.lab.edit_on_next("UpdateListener", Moment::Before, stage.id(), |json| {
        json["listeners"]["https"]["connectionConfiguration"]["idleTimeout"] = json!(77);
        json["listeners"]["shop"]["connectionConfiguration"]["idleTimeout"] = json!(88);
    });
    stage.apply().await;
    let json = stage.load_balancer();
    assert_eq!(json["listeners"]["https"]["connectionConfiguration"]["idleTimeout"], 77);
    assert_eq!(json["listeners"]["shop"]["connectionConfiguration"]["idleTimeout"], 88);
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert_eq!(stage.lab.pending_faults(), 0, "the other writer came in between");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_follow_keeps_the_old_bundle_and_is_named() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www().replace("    names:", "    key: rsa-2048\n    names:"));
    stage.apply().await;
    let first = stage.bound("https");
    let shared = first.clone();
    // Its cipher suite is OCI's default, which has RSA ciphers only.
    let share = move |json: &mut Value| {
        json["backendSets"]["app"]["sslConfiguration"] = json!({ "certificateName": shared });
    };
    stage.lab.edit_load_balancer(stage.id(), share).unwrap();
    stage.configure(&ca.issuer(), &stage.www());
    let ended = stage.certferry(&["apply"]).await.expect_exit(4);
    assert_eq!(ended.stderr().matches("error:").count(), 1, "{}", ended.stderr());
    assert!(ended.stderr().contains("backend set `app`"), "{}", ended.stderr());
    assert!(stage.own_bundles().contains(&first));
    let deployment = stage.status().await["certificates"][0]["deployments"][0].take();
    assert_eq!(deployment["state"], "verified", "the listener itself is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_created_when_the_config_says_so_and_is_its_owners_afterwards() {
    let stage = Stage::with(vec![("front", front(&[]))]).await;
    let ca = stage.lab_ca().await;
    let probe = stage.address(443);
    stage.configure(
        &ca.issuer(),
        &format!(
            "  www:\n    names: [{SERVER_NAME}]\n    deploy:\n      - load-balancer: front\n        listener: https\n        \
             probe: [{probe}]\n        create:\n          port: 443\n          backend-set: app\n          protocols: \
             [TLSv1.2, TLSv1.3]\n          cipher-suite: oci-tls-12-13-wider-ssl-cipher-suite-v1\n"
        ),
    );
    stage.apply().await;
    assert!(stage.bound("https").starts_with("cf-www-"));
    let made = stage.load_balancer()["listeners"]["https"].take();
    assert_eq!(made["port"], 443);
    assert_eq!(made["sslConfiguration"]["protocols"], json!(["TLSv1.2", "TLSv1.3"]));
    stage
        .lab
        .edit_load_balancer(stage.id(), |json| {
            json["listeners"]["https"]["connectionConfiguration"] = json!({ "idleTimeout": 99 });
        })
        .unwrap();
    renew(&stage).await;
    assert_eq!(stage.load_balancer()["listeners"]["https"]["connectionConfiguration"]["idleTimeout"], 99);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cipher_suite_that_cannot_serve_the_key_is_found_before_anything_is_ordered() {
    let mut spec = front(&[("https", 443)]);
    let ssl = &mut spec.configuration["listeners"]["https"]["sslConfiguration"];
    ssl["cipherSuiteName"] = json!("oci-default-ssl-cipher-suite-v1");
    ssl["protocols"] = json!(["TLSv1.2"]);
    let stage = Stage::with(vec![("front", spec)]).await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let ended = stage.certferry(&["apply"]).await.expect_exit(4);
    assert!(ended.stderr().contains("oci-default-ssl-cipher-suite-v1"), "{}", ended.stderr());
    assert_eq!(ca.ca.orders().len(), 0);
    assert_eq!(stage.bound("https"), BY_HAND);
    let entry = stage.www().replace("    names:", "    key: rsa-2048\n    names:");
    stage.configure(&ca.issuer(), &entry);
    stage.apply().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_not_there_is_named_with_the_way_out() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www().replace("listener: https,", "listener: htps,"));
    let ended = stage.certferry(&["plan"]).await.expect_exit(4);
    for piece in ["`htps`", "`front`", "hint:", "create"] {
        assert!(ended.stderr().contains(piece), "{piece}: {}", ended.stderr());
    }
    assert_eq!(ca.ca.orders().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_one_load_balancer_down_the_other_is_served_and_the_first_follows_without_a_new_order() {
    let specs = vec![("front", front(&[("https", 443)])), ("back", front(&[("https", 443)]))];
    let stage = Stage::with(specs).await;
    let ca = stage.lab_ca().await;
    let deploys = format!("{}{}", stage.deploy(0, "https", 443), stage.deploy(1, "https", 443));
    let entry = format!("  www:\n    names: [{SERVER_NAME}]\n    http01: front\n    deploy:\n{deploys}");
    stage.configure(&ca.issuer(), &entry);
    let back = stage.fronts[1].id.clone();
    let gone = Effect::answer(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found.");
    stage.lab.add_fault(Fault::new("*", gone).always().for_load_balancer(&back));
    let ended = stage.certferry(&["apply"]).await.expect_exit(4);
    assert!(
        ended.stderr().contains("`back`") && ended.stderr().contains("certferry policy back"),
        "{}",
        ended.stderr()
    );
    assert!(stage.bound("https").starts_with("cf-www-"));
    let status = stage.status().await;
    let deployments = &status["certificates"][0]["deployments"];
    assert_eq!(deployments[0]["state"], "verified");
    assert_eq!(deployments[1]["state"], "failed");
    assert!(deployments[1]["last_error"].is_string());
    stage.lab.clear_faults();
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1);
    let json = stage.lab.load_balancer(&back).unwrap();
    assert_eq!(json["listeners"]["https"]["sslConfiguration"]["certificateName"], json!(stage.bound("https")));
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_repaired_without_a_new_order() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let bound = stage.bound("https");
    let by_hand = |json: &mut Value| json["listeners"]["https"]["sslConfiguration"]["certificateName"] = json!(BY_HAND);
    stage.lab.edit_load_balancer(stage.id(), by_hand).unwrap();
    stage.certferry(&["plan"]).await.expect_exit(2);
    stage.apply().await;
    assert_eq!(stage.bound("https"), bound);
    assert_eq!(ca.ca.orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_work_request_that_failed_is_no_success_and_its_text_is_shown() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let failed = Effect::WorkRequestFails(vec![WorkRequestError::bad_input("the lab says no to this listener")]);
    stage.lab.add_fault(Fault::new("UpdateListener", failed));
    let ended = stage.certferry(&["apply"]).await.expect_exit(4);
    assert!(ended.stderr().contains("the lab says no to this listener"), "{}", ended.stderr());
    assert_eq!(stage.bound("https"), BY_HAND);
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1, "delivered by a later run without a new order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_come_to_use_a_bundle_since_is_moved_in_the_very_run_that_removes_it() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let first = stage.bound("https");
    renew(&stage).await;
    assert!(stage.own_bundles().contains(&first), "one earlier bundle is kept");
    // The next renewal removes the first bundle. By then a listener and a backend set have come to use it.
    let shared = first.clone();
    let share = move |json: &mut Value| {
        json["listeners"]["shop"]["sslConfiguration"]["certificateName"] = json!(shared);
        json["backendSets"]["app"]["sslConfiguration"] = json!({
            "certificateName": shared, "cipherSuiteName": "oci-tls-12-13-wider-ssl-cipher-suite-v1", "protocols": ["TLSv1.2", "TLSv1.3"],
            "verifyPeerCertificate": false, "verifyDepth": 3,
        });
    };
    stage.lab.edit_load_balancer(stage.id(), share).unwrap();
    let begun = stage.lab.requests().len();
    renew(&stage).await;

    let newest = stage.bound("https");
    let json = stage.load_balancer();
    assert_eq!(stage.bound("shop"), newest);
    assert_eq!(json["backendSets"]["app"]["sslConfiguration"]["certificateName"], json!(newest));
    assert_eq!(json["backendSets"]["app"]["sslConfiguration"]["verifyDepth"], json!(3));
    assert!(!stage.own_bundles().contains(&first), "{:?}", stage.own_bundles());
    let operations: Vec<String> =
        stage.lab.requests()[begun..].iter().map(|request| request.operation.clone()).collect();
    let deleted = operations.iter().position(|operation| operation == "DeleteCertificate").unwrap();
    let moved = operations.iter().rposition(|operation| operation.starts_with("Update")).unwrap();
    assert!(moved < deleted, "{operations:?}");
    assert_eq!(operations.iter().filter(|operation| *operation == "DeleteCertificate").count(), 1);
    assert!(stage.apply().await.stdout().contains("nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_writer_changes_just_after_a_write_is_kept() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.lab.edit_on_next("UpdateListener", Moment::After, stage.id(), |json| {
        json["listeners"]["shop"]["connectionConfiguration"]["idleTimeout"] = json!(78);
        json["freeformTags"] = json!({ "owner": "another" });
    });
    stage.apply().await;
    assert_eq!(stage.lab.pending_faults(), 0, "the other writer came");
    let json = stage.load_balancer();
    assert_eq!(json["listeners"]["shop"]["connectionConfiguration"]["idleTimeout"], json!(78));
    assert_eq!(json["freeformTags"], json!({ "owner": "another" }));
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert_eq!(ca.ca.orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_certferry_does_not_manage_are_unchanged_after_every_run() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &on_both(&stage));
    let before = others(&stage);
    stage.apply().await;
    assert_eq!(others(&stage), before, "after the first run");
    for _ in 0..2 {
        renew(&stage).await;
        assert_eq!(others(&stage), before, "after a renewal");
    }
    let drift = |json: &mut Value| json["listeners"]["shop"]["sslConfiguration"]["certificateName"] = json!(BY_HAND);
    stage.lab.edit_load_balancer(stage.id(), drift).unwrap();
    stage.apply().await;
    assert_eq!(others(&stage), before, "after a repair");
    let failing = Effect::answer(400, "InvalidParameter", "not today");
    stage.lab.add_fault(Fault::new("UpdateListener", failing).always());
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(4);
    assert_eq!(others(&stage), before, "after a run that failed");
}

/// All that the tests' certificates have no business with.
fn others(stage: &Stage) -> Value {
    let json = stage.load_balancer();
    json!([
        stage.other_fields("https"),
        stage.other_fields("shop"),
        json["backendSets"]["app"],
        json["ruleSets"],
        json["hostnames"],
        json["freeformTags"],
        json["certificates"][BY_HAND],
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_that_somebody_else_removed_is_uploaded_again_without_a_new_order() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let bundle = stage.bound("https");
    let gone = bundle.clone();
    let remove = move |json: &mut Value| {
        json["listeners"]["https"]["sslConfiguration"]["certificateName"] = json!(BY_HAND);
        json["certificates"].as_object_mut().unwrap().remove(&gone);
    };
    stage.lab.edit_load_balancer(stage.id(), remove).unwrap();
    stage.apply().await;
    assert_eq!(stage.bound("https"), bundle);
    let served = served(stage.address(443), SERVER_NAME).await.unwrap();
    assert_eq!(served.serial, stage.issued_serial().await);
    assert_eq!(ca.ca.orders().len(), 1);
}
