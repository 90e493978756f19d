//! Refusals of the credential, and what the error tells to do about each.

use certferry_core::port::LoadBalancer;
use certferry_core::{ErrorKind, Retry};
use certferry_lab::oci_load_balancer::{Effect, Fault};

use crate::oci_fixture::{Fixture, provider};

#[tokio::test]
async fn a_key_that_is_not_known_is_denied_with_what_to_look_at() {
    let fixture = Fixture::start().await;
    fixture.lab.revoke_key(&fixture.key.key_id());
    let error = fixture.front.observe().await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Denied, Retry::Never), "{error}");
    assert!(error.to_string().contains("401 NotAuthenticated"), "{error}");
    assert!(error.hint().unwrap().contains(&fixture.key.key_id()), "{:?}", error.hint());
    assert_eq!(fixture.lab.requests().len(), 1, "a refused key is not tried again");
}

#[tokio::test]
async fn a_wrong_clock_is_named_with_its_error() {
    for (offset, direction) in [(-3600, "ahead"), (3600, "behind")] {
        let fixture = Fixture::start().await;
        fixture.lab.set_behaviour(move |behaviour| behaviour.clock_offset_seconds = offset);
        let error = fixture.front.observe().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("clock skew"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains(direction) && (hint.contains("3600 s") || hint.contains("3599 s")), "{hint}");
    }
}

#[tokio::test]
async fn missing_or_not_allowed_names_the_policy_to_add() {
    let fixture = Fixture::start().await;
    let mut config = fixture.config.clone();
    config.load_balancer_id = "ocid1.loadbalancer.oc1.iad.missing".parse().unwrap();
    let error = provider(config).observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("to use load-balancers in compartment"), "{hint}");
    assert!(hint.contains("certferry policy front"), "{hint}");
}

#[tokio::test]
async fn a_change_that_is_not_allowed_is_not_repeated() {
    let fixture = Fixture::start().await;
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::answer(403, "NotAllowed", "no")).always());
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().unwrap().contains("to use load-balancers"), "{error}");
    assert_eq!(fixture.lab.count("CreateCertificate"), 1);
}

#[tokio::test]
async fn suites_that_may_not_be_listed_do_not_stop_the_rest() {
    let fixture = Fixture::start().await;
    fixture
        .lab
        .add_fault(Fault::new("ListSSLCipherSuites", Effect::answer(404, "NotAuthorizedOrNotFound", "no")).always());
    let seen = fixture.front.observe().await.unwrap();
    let accepts = &seen.listeners["https"].accepts;
    assert!(accepts.ecdsa && accepts.rsa && accepts.suite.contains("not known"), "{accepts:?}");
}

#[tokio::test]
async fn no_error_and_no_log_line_holds_the_private_key() {
    let fixture = Fixture::start().await;
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::answer(400, "InvalidParameter", "no")).always());
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    let key = fixture.bundle().private_key.as_ref().unwrap().expose();
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{error} {error:?}").contains(secret));
    assert!(!format!("{:?}", fixture.config).contains(secret));
}
