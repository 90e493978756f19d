//! The first `apply`, and the one after it.

use std::io::ErrorKind;

use tokio::net::TcpStream;

use super::{ISSUED, count, issuer, pebble, served_from};
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

/// Pebble's own default refuses one good nonce in twenty.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_and_served_and_then_there_is_nothing_to_do() {
    first_run_and_second(5).await;
}

/// RFC 8555 §6.5: a client that gets badNonce tries again with the nonce that came with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_refuses_every_second_nonce_makes_no_difference() {
    first_run_and_second(50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cas_request_comes_through_the_load_balancers_port_80() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |_| {}).await;
    stage.configure(&issuer(&pebble), &stage.www());
    let port = stage.address(80);
    assert_ne!(port.port(), stage.responder.port(), "the CA could reach the responder without the load balancer");
    let refused = TcpStream::connect(port).await.expect_err("there is no listener on port 80 yet");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    stage.apply().await;
    let asked =
        format!("Attempting to validate w/ HTTP: http://{SERVER_NAME}:{}/.well-known/acme-challenge/", port.port());
    assert_eq!(count(&pebble, &asked), 3, "Pebble looks three times: {}", pebble.log());
    served_from(&pebble, &stage).await;
}

async fn first_run_and_second(nonce_reject_percent: u8) {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.nonce_reject_percent = nonce_reject_percent).await;
    let refused = format!("Configured to reject {nonce_reject_percent}% of good nonces");
    assert_eq!(count(&pebble, &refused), 1, "{}", pebble.log());
    stage.configure(&issuer(&pebble), &stage.www());
    let fields = stage.other_fields("https");
    stage.apply().await;

    let served = served_from(&pebble, &stage).await;
    assert_eq!(served.chain.len(), 2, "a leaf and its issuer");
    let status = stage.status().await;
    let deployment = &status["certificates"][0]["deployments"][0];
    assert_eq!(deployment["state"], "verified");
    assert_eq!(deployment["served_serial"], served.serial);
    assert_eq!(stage.other_fields("https"), fields);
    assert_eq!(stage.bound("shop"), BY_HAND);

    let plan = stage.certferry(&["plan"]).await.expect_exit(0);
    assert!(plan.stdout().contains("nothing to do"), "{}", plan.stdout());
    let again = stage.apply().await;
    assert!(again.stdout().contains("nothing to do"), "{}", again.stdout());
    assert_eq!(count(&pebble, ISSUED), 1, "one certificate is issued: {}", pebble.log());
    assert_eq!(served_from(&pebble, &stage).await, served);
}
