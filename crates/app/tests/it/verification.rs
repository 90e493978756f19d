//! Served is the truth.

use std::time::Duration;

use certferry_lab::oci_load_balancer::{Effect, Fault, HeldCertificates, WorkRequestError};
use serde_json::json;

use crate::parts::openssl::served;
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_verification_puts_the_old_bundle_back_and_the_next_run_needs_no_order() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_with(&ca.issuer(), "    verify-within: 2s\n", &stage.www());
    let before = served(stage.address(443), SERVER_NAME).await.unwrap();
    let fields = stage.other_fields("https");
    stage.lab.hold_certificates(HeldCertificates::All);
    let ended = stage.certferry(&["apply"]).await.expect_exit(5);
    assert!(ended.stderr().contains(&before.serial), "what is served instead is named: {}", ended.stderr());
    assert_eq!(stage.bound("https"), BY_HAND, "the old bundle is back");
    assert_eq!(stage.other_fields("https"), fields);
    let status = stage.status().await;
    let deployment = &status["certificates"][0]["deployments"][0];
    assert_eq!(status["certificates"][0]["state"], "failing");
    assert_eq!(deployment["state"], "failed");
    assert_eq!(deployment["served_serial"], json!(before.serial));
    let history = stage.certferry(&["history"]).await.expect_exit(0).stdout();
    assert!(history.contains("roll_back"), "{history}");

    stage.lab.release_certificates();
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1, "no new order");
    let now = served(stage.address(443), SERVER_NAME).await.unwrap();
    assert_eq!(now.serial, stage.issued_serial().await);
    assert_eq!(stage.status().await["certificates"][0]["deployments"][0]["last_error"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_plane_that_needs_a_while_is_waited_for() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.lab.set_behaviour(|behaviour| behaviour.data_plane_delay = Duration::from_secs(2));
    stage.configure_with(&ca.issuer(), "    verify-within: 30s\n", &stage.www());
    stage.apply().await;
    let now = served(stage.address(443), SERVER_NAME).await.unwrap();
    assert_eq!(now.serial, stage.issued_serial().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_serves_something_else_later_is_noticed() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_with(&ca.issuer(), "    verify-within: 2s\n", &stage.www());
    stage.apply().await;
    let first = stage.bound("https");
    stage.lab.hold_certificates(HeldCertificates::All);
    // A renewal by hand of somebody else's script, which the data plane does not follow.
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(5);
    assert_eq!(stage.bound("https"), first, "rolled back to certferry's own bundle before");
    stage.lab.release_certificates();
    stage.apply().await;
    assert_ne!(stage.bound("https"), first);
    assert_eq!(ca.ca.orders().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_long_as_it_is_not_served_every_run_rolls_back_and_none_orders() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_with(&ca.issuer(), "    verify-within: 1s\n", &stage.www());
    let load_balancer = stage.id().to_owned();
    stage.lab.hold_certificates(HeldCertificates::Listener { load_balancer, listener: "https".to_owned() });
    for _ in 0..3 {
        let ended = stage.certferry(&["apply"]).await.expect_exit(5);
        assert!(ended.stderr().contains("verify-within"), "{}", ended.stderr());
        assert_eq!(stage.bound("https"), BY_HAND);
    }
    assert_eq!((ca.ca.orders().len(), stage.own_bundles().len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_whose_upload_failed_is_no_bundle() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let errors = vec![WorkRequestError::internal_error("the shard of this load balancer is being moved")];
    stage.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestFails(errors)).always());
    let failed = stage.certferry(&["apply"]).await.expect_exit(4).stderr();
    assert!(failed.contains("CreateCertificate") && failed.contains("is being moved"), "{failed}");
    assert_eq!(stage.bound("https"), BY_HAND);
    let deployment = stage.status().await["certificates"][0]["deployments"][0].take();
    assert_eq!(deployment["state"], "failed");
    assert!(deployment["last_error"].as_str().unwrap().contains("is being moved"), "{deployment}");

    stage.lab.clear_faults();
    stage.apply().await;
    assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
    assert_eq!(ca.ca.orders().len(), 1);
}
