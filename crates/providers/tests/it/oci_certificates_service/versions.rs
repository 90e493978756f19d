//! Versions: imported, made current again, cleared away.

use certferry_core::ErrorKind;
use certferry_core::port::{Bundle, LoadBalancer};
use certferry_lab::oci_load_balancer::DuplicateName;
use serde_json::{Value, json};

use super::id_of;
use crate::oci_fixture::{Fixture, https, provider, version_for, version_of_www};

/// Stages of all versions, oldest first; `+` for one whose deletion is scheduled.
fn stages(fixture: &Fixture, id: &str) -> Vec<String> {
    let versions = fixture.lab.certificate_versions(id).into_iter();
    let stages = versions.map(|version| {
        let goes = if version["timeOfDeletion"].is_string() { "+" } else { "" };
        let stages: Vec<&str> = version["stages"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!("{goes}{}", stages.join(" "))
    });
    stages.collect()
}

#[tokio::test]
async fn a_renewal_is_a_new_current_version_and_writes_no_listener() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let [first, second] = fixture.bundles();
    fixture.front.upload(first).await.unwrap();
    fixture.front.bind(&https(), &first.name).await.unwrap();
    let before = fixture.json();
    fixture.front.upload(second).await.unwrap();
    assert_eq!(fixture.json(), before);
    assert_eq!(fixture.lab.count("UpdateListener"), 1);
    let id = id_of(&fixture, first).await;
    assert_eq!(stages(&fixture, &id), ["PREVIOUS", "CURRENT LATEST"]);
    let versions = fixture.lab.certificate_versions(&id);
    let leaf = second.chain.leaf();
    assert_eq!(versions[1]["versionName"], format!("{}-{}", leaf.not_before.strftime("%Y%m%d"), leaf.sha256));
    assert_eq!(fixture.lab.certificate(&id).unwrap()["freeformTags"], json!({"created-by": "certferry"}));
}

#[tokio::test]
async fn the_version_before_is_made_current_again_by_its_number() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let [first, second] = fixture.bundles();
    for bundle in [first, second, first, second] {
        fixture.front.upload(bundle).await.unwrap();
    }
    let sent: Vec<Value> = fixture.calls("UpdateCertificate").into_iter().filter_map(|call| call.body).collect();
    assert_eq!(sent[1..], [json!({"currentVersionNumber": 1}), json!({"currentVersionNumber": 2})]);
    assert!(fixture.calls("UpdateCertificate").iter().all(|call| call.if_match.is_some()));
    assert_eq!(fixture.front.observe().await.unwrap().bundles[&first.name], Some(second.chain.leaf().sha256));
}

#[tokio::test]
async fn old_versions_are_cleared_away_and_the_one_for_a_rollback_is_kept() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let first = fixture.bundle();
    fixture.front.upload(first).await.unwrap();
    for _ in 0..3 {
        fixture.front.upload(&version_of_www()).await.unwrap();
    }
    let id = id_of(&fixture, first).await;
    assert_eq!(stages(&fixture, &id), ["+DEPRECATED", "+DEPRECATED", "PREVIOUS", "CURRENT LATEST"]);
    fixture.lab.end_retention_periods();
    fixture.front.upload(first).await.unwrap();
    assert_eq!(stages(&fixture, &id), ["+DEPRECATED", "PREVIOUS", "CURRENT LATEST"], "imported anew");
}

#[tokio::test]
async fn a_limit_of_versions_is_told_and_clearing_away_makes_room() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    fixture.lab.set_behaviour(|behaviour| {
        behaviour.certificates.version_limit = Some(3);
        behaviour.certificates.scheduled_versions_count = true;
    });
    let first = fixture.bundle();
    for bundle in [first, &version_of_www(), &version_of_www()] {
        fixture.front.upload(bundle).await.unwrap();
    }
    let next = version_of_www();
    let error = fixture.front.upload(&next).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    for piece in ["LimitExceeded", "certificate-version-count", first.name.as_str(), "UpdateCertificate"] {
        assert!(error.to_string().contains(piece), "{piece}: {error}");
    }
    assert!(error.hint().unwrap().contains("deprecated versions"), "{error}");
    fixture.lab.end_retention_periods();
    fixture.front.upload(&next).await.unwrap();
}

#[tokio::test]
async fn versions_that_cannot_be_cleared_away_hold_nothing_up() {
    use certferry_lab::oci_load_balancer::{Effect, Fault};

    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let denied = Effect::answer(404, "NotAuthorizedOrNotFound", "no");
    fixture.lab.add_fault(Fault::new("ScheduleCertificateVersionDeletion", denied).always());
    let versions: Vec<Bundle> = (0..4).map(|_| version_of_www()).collect();
    for bundle in &versions {
        fixture.front.upload(bundle).await.unwrap();
    }
    let id = id_of(&fixture, &versions[0]).await;
    assert_eq!(stages(&fixture, &id), ["DEPRECATED", "DEPRECATED", "PREVIOUS", "CURRENT LATEST"]);
}

#[tokio::test]
async fn two_load_balancers_that_upload_at_once_make_one_certificate_with_one_version() {
    for form in [DuplicateName::Conflict, DuplicateName::InvalidParameter] {
        let fixture = Fixture::with_certificates_service(|_| {}).await;
        fixture.lab.set_behaviour(move |behaviour| behaviour.duplicate_name = form);
        let other = provider(fixture.config.clone());
        let [first, second] = fixture.bundles();
        for bundle in [first, second] {
            let (one, two) = tokio::join!(fixture.front.upload(bundle), other.upload(bundle));
            assert!(one.is_ok() && two.is_ok(), "{form:?}: {one:?} {two:?}");
        }
        assert_eq!(fixture.lab.certificate_names(), [first.name.as_str()]);
        assert_eq!(stages(&fixture, &id_of(&fixture, first).await), ["PREVIOUS", "CURRENT LATEST"]);
    }
}

#[tokio::test]
async fn another_common_name_is_another_certificate() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let other = version_for(&["a.some-domain.com", "www.some-domain.com"]);
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.front.upload(&other).await.unwrap();
    assert_ne!(other.name, fixture.bundle().name);
    assert_eq!(fixture.lab.certificate_names(), [fixture.bundle().name.as_str(), other.name.as_str()]);
}

#[tokio::test]
async fn a_certificate_of_that_name_that_somebody_else_made_is_never_written() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let bundle = fixture.bundle();
    let foreign = version_of_www();
    let key = foreign.private_key.as_ref().unwrap().expose();
    let id = fixture.lab.import_certificate(bundle.name.as_str(), foreign.chain.pem(), key).unwrap();
    let error = fixture.front.upload(bundle).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("did not make") && error.hint().is_some(), "{error}");
    assert_eq!(fixture.lab.certificate_versions(&id).len(), 1);
    assert!(!fixture.front.observe().await.unwrap().bundles.contains_key(&bundle.name));
    fixture.front.delete(&bundle.name).await.unwrap_err();
    assert_eq!(fixture.lab.certificate(&id).unwrap()["lifecycleState"], "ACTIVE");
}

#[tokio::test]
async fn a_certificate_that_is_needed_again_is_taken_back_from_its_deletion() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let bundle = fixture.bundle();
    fixture.front.upload(bundle).await.unwrap();
    let id = id_of(&fixture, bundle).await;
    fixture.front.delete(&bundle.name).await.unwrap();
    assert_eq!(fixture.lab.certificate(&id).unwrap()["lifecycleState"], "PENDING_DELETION");
    fixture.front.upload(bundle).await.unwrap();
    assert_eq!(fixture.lab.certificate(&id).unwrap()["lifecycleState"], "ACTIVE");
    assert_eq!(stages(&fixture, &id), ["CURRENT LATEST"]);
}
