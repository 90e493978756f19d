//! Promise 2: whatever a call is answered, it converges, or stops with an error that names object, call and way out.

use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::port::LoadBalancer;
use certferry_lab::oci_load_balancer::{Effect, Fault, RequiredChain, RetryAfter, WorkRequestError};

use crate::oci_faults::assert_reads_converge;
use crate::oci_fixture::{Fixture, https};

/// Failures that pass.
fn passing() -> Vec<Effect> {
    vec![
        Effect::answer(409, "IncorrectState", "busy"),
        Effect::answer(409, "Conflict", "busy"),
        Effect::answer(412, "NoEtagMatch", "changed"),
        Effect::too_many_requests(Some(RetryAfter::Seconds(0))),
        Effect::answer(500, "InternalServerError", "oops"),
        Effect::HtmlPage { status: 503, body: "<html><body>Service Unavailable</body></html>".to_owned() },
        Effect::CloseBefore,
        Effect::CloseAfter,
        Effect::Hang,
    ]
}

async fn with_short_requests() -> Fixture {
    Fixture::with_certificates_service(|config| config.access.limits.request = Duration::from_millis(400)).await
}

#[tokio::test]
async fn every_change_converges_whatever_the_first_answers_are() {
    for operation in
        ["CreateCertificate", "UpdateCertificate", "ScheduleCertificateDeletion", "CancelCertificateDeletion"]
    {
        for effect in passing() {
            let fixture = with_short_requests().await;
            fixture.lab.add_fault(Fault::new(operation, effect.clone()).times(2));
            let [first, second] = fixture.bundles();
            fixture.front.upload(first).await.unwrap();
            fixture.front.upload(second).await.unwrap();
            fixture.front.delete(&first.name).await.unwrap();
            assert!(!fixture.front.observe().await.unwrap().bundles.contains_key(&first.name));
            fixture.front.upload(first).await.unwrap();
            let digest = fixture.front.observe().await.unwrap().bundles[&first.name];
            assert_eq!(digest, Some(first.chain.leaf().sha256), "{operation} {effect:?}");
            assert_eq!(fixture.lab.certificate_names().len(), 1, "{operation} {effect:?}");
            assert_eq!(fixture.lab.pending_faults(), 0, "{operation} {effect:?}");
        }
    }
}

#[tokio::test]
async fn every_read_converges_whatever_the_first_answers_are() {
    assert_reads_converge(&["ListCertificates", "GetCertificate", "ListCertificateVersions"], with_short_requests)
        .await;
}

#[tokio::test]
async fn a_version_that_fails_is_told_and_the_next_attempt_has_another_name() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let [first, second] = fixture.bundles();
    fixture.front.upload(first).await.unwrap();
    let errors = vec![WorkRequestError::bad_input("the lab does not like it")];
    fixture.lab.add_fault(Fault::new("UpdateCertificate", Effect::WorkRequestFails(errors)));
    let error = fixture.front.upload(second).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for piece in ["the lab does not like it", "version 2", "FAILED", first.name.as_str(), "`front`"] {
        assert!(error.to_string().contains(piece), "{piece}: {error}");
    }
    assert!(error.hint().unwrap().contains("preferred-chain"), "{error}");
    let seen = fixture.front.observe().await.unwrap();
    assert_eq!(seen.bundles[&first.name], Some(first.chain.leaf().sha256), "the one before stays current");
    fixture.front.upload(second).await.unwrap();
    let sent = fixture.calls("UpdateCertificate").pop().unwrap().body.unwrap();
    let name = sent["certificateConfig"]["versionName"].as_str().unwrap();
    assert!(name.ends_with("-2"), "{name}");
    let seen = fixture.front.observe().await.unwrap();
    assert_eq!(seen.bundles[&first.name], Some(second.chain.leaf().sha256));
}

#[tokio::test]
async fn a_version_that_does_not_become_current_again_is_told() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let [first, second] = fixture.bundles();
    fixture.front.upload(first).await.unwrap();
    fixture.front.upload(second).await.unwrap();
    let errors = vec![WorkRequestError::internal_error("not in this region today")];
    fixture.lab.add_fault(Fault::new("UpdateCertificate", Effect::WorkRequestFails(errors)));
    let error = fixture.front.upload(first).await.unwrap_err();
    for piece in ["ACTIVE", "not in this region today", first.name.as_str()] {
        assert!(error.to_string().contains(piece), "{piece}: {error}");
    }
    assert_ne!(error.retry(), certferry_core::Retry::Never, "{error}");
    fixture.front.upload(first).await.unwrap();
    let seen = fixture.front.observe().await.unwrap();
    assert_eq!(seen.bundles[&first.name], Some(first.chain.leaf().sha256));
}

#[tokio::test]
async fn a_certificate_that_could_not_be_made_is_told_with_the_way_out() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let errors = vec![WorkRequestError::bad_input("no room in the vault")];
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestFails(errors)));
    for _ in 0..2 {
        let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
        assert!(error.to_string().contains("FAILED: no room in the vault"), "{error}");
        assert!(error.hint().unwrap().contains("schedule-deletion"), "{error}");
    }
    assert!(!fixture.front.observe().await.unwrap().bundles.contains_key(&fixture.bundle().name));
}

#[tokio::test]
async fn a_change_that_does_not_end_is_given_up_and_a_slow_one_is_waited_for() {
    let slow = Fixture::with_certificates_service(|_| {}).await;
    slow.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestTakes(Duration::from_millis(300))));
    slow.front.upload(slow.bundle()).await.unwrap();
    assert_eq!(slow.lab.count("CreateCertificate"), 1);

    let stuck =
        Fixture::with_certificates_service(|config| config.access.limits.work_request = Duration::from_millis(100))
            .await;
    stuck.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestStuck));
    let error = stuck.front.upload(stuck.bundle()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(
        error.to_string().contains("CREATING") && error.to_string().contains(stuck.bundle().name.as_str()),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_right_names_the_statement() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    fixture.lab.set_behaviour(|behaviour| behaviour.certificates.allowed = false);
    let read = fixture.front.observe().await.unwrap_err();
    let written = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    for error in [read, written] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("Certificates service for load balancer `front`"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("manage leaf-certificate-family") && hint.contains("certferry policy front"), "{hint}");
    }
}

#[tokio::test]
async fn a_binding_that_may_not_read_the_certificate_names_the_statements() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    let denied =
        Effect::answer(404, "NotAuthorizedOrNotFound", "Authorization failed or requested resource not found.");
    fixture.lab.add_fault(Fault::new("UpdateListener", denied));
    let error = fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(hint.contains("certificate-associations") && hint.contains("certferry policy front"), "{hint}");
}

#[tokio::test]
async fn a_chain_that_the_service_does_not_take_is_a_refusal_that_quotes_it() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    fixture.lab.set_behaviour(|behaviour| behaviour.certificates.chain = RequiredChain::WithRoot);
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("certificate chain") && error.hint().is_some(), "{error}");
    assert_eq!(fixture.lab.count("CreateCertificate"), 1, "it is not repeated");
}

#[tokio::test]
async fn no_private_key_comes_back_or_is_asked_for() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.front.observe().await.unwrap();
    let asked: Vec<String> = fixture.lab.requests().into_iter().map(|record| record.operation).collect();
    assert!(!asked.iter().any(|operation| operation == "GetCertificateBundle"), "{asked:?}");
}
