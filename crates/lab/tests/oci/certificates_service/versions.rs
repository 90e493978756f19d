use serde_json::json;

use super::{CERTIFICATES, Stage, authority::common_name};
use rcgen::{DistinguishedName, ExtendedKeyUsagePurpose};

#[tokio::test]
async fn a_version_with_another_common_name_fails_and_the_current_one_stays() {
    let stage = Stage::new().await;
    let first = stage.authority.issue();
    let id = stage.www(&first).await;
    let others = [common_name("other.some-domain.com"), DistinguishedName::new()];
    for subject in others {
        let other = stage.authority.issue_with(|params| params.distinguished_name = subject);
        stage.renew(&id, other.config()).await;
    }
    assert_eq!(stage.stages(&id).await, ["1 CURRENT", "2 FAILED", "3 FAILED LATEST"]);
    let certificate = stage.get(&id).await;
    assert_eq!(certificate["currentVersion"]["versionNumber"], 1);
    let details = certificate["lifecycleDetails"].as_str().unwrap();
    assert!(details.contains("Version 3 failed") && details.contains("common name"), "{details}");
    stage.update(&id, &json!({ "currentVersionNumber": 3 })).await.refused(409, "IncorrectState", "has failed");

    stage.renew(&id, stage.authority.issue().config()).await;
    assert_eq!(stage.stages(&id).await, ["1 PREVIOUS", "2 FAILED", "3 FAILED", "4 CURRENT LATEST"]);
}

#[tokio::test]
async fn a_version_with_other_purposes_is_refused() {
    let stage = Stage::new().await;
    let both = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let imported = stage.authority.issue_with(|params| params.extended_key_usages = both.to_vec());
    let id = stage.www(&imported).await;
    let body = json!({ "certificateConfig": stage.authority.issue().config() });
    let text = "The certificate's new extended key usages do not match the existing extended key usages.";
    stage.update(&id, &body).await.refused(400, "InvalidParameter", text);
    assert_eq!(stage.get(&id).await["lifecycleState"], "ACTIVE");
    assert_eq!(stage.stages(&id).await, ["1 CURRENT LATEST"]);

    // In another order they are the same set.
    let turned = stage.authority.issue_with(|params| {
        params.extended_key_usages = both.iter().rev().cloned().collect();
    });
    stage.renew(&id, turned.config()).await;
    assert_eq!(stage.stages(&id).await, ["1 PREVIOUS", "2 CURRENT LATEST"]);
}

#[tokio::test]
async fn version_names_are_unique_within_a_certificate() {
    let stage = Stage::new().await;
    let named = |name: &str| stage.authority.issue().config_with(json!({ "versionName": name }));
    let id = stage.create("www", named("one")).await.json()["id"].as_str().unwrap().to_owned();
    stage.in_state(&id, "ACTIVE").await;
    let body = json!({ "certificateConfig": named("one") });
    stage.update(&id, &body).await.refused(409, "Conflict", "already has a version with the name 'one'");
    stage.renew(&id, named("two")).await;
    assert_eq!(stage.create("other", named("one")).await.status, 200);
}

#[tokio::test]
async fn versions_are_limited_and_those_to_be_deleted_count_only_on_request() {
    let stage = Stage::new().await;
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.version_limit = Some(3));
    let id = stage.www(&stage.authority.issue()).await;
    for _ in 0..2 {
        stage.renew(&id, stage.authority.issue().config()).await;
    }
    let body = json!({ "certificateConfig": stage.authority.issue().config() });
    stage.update(&id, &body).await.refused(400, "LimitExceeded", "certificate-version-count");
    assert_eq!(stage.act(&id, "version/1/actions/scheduleDeletion", &json!({})).await.status, 204);
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.scheduled_versions_count = true);
    stage.update(&id, &body).await.refused(400, "LimitExceeded", "The limit is 3");
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.scheduled_versions_count = false);
    stage.renew(&id, stage.authority.issue().config()).await;
    assert_eq!(stage.stages(&id).await, ["1 DEPRECATED", "2 DEPRECATED", "3 PREVIOUS", "4 CURRENT LATEST"]);
}

#[tokio::test]
async fn only_deprecated_versions_are_deleted_and_not_before_a_day() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    for _ in 0..2 {
        stage.renew(&id, stage.authority.issue().config()).await;
    }
    stage.renew(&id, stage.authority.issue().config_with(json!({ "stage": "PENDING" }))).await;
    let schedule = |number: u64| format!("version/{number}/actions/scheduleDeletion");
    for (number, stages) in [(2, "PREVIOUS"), (3, "CURRENT"), (4, "PENDING, LATEST")] {
        stage.act(&id, &schedule(number), &json!({})).await.refused(409, "IncorrectState", stages);
    }
    stage.act(&id, &schedule(9), &json!({})).await.refused(404, "NotAuthorizedOrNotFound", "");
    let now = jiff::Timestamp::from_second(i64::try_from(crate::client::since_epoch().as_secs()).unwrap()).unwrap();
    let after = |hours: i64| json!({ "timeOfDeletion": (now + jiff::SignedDuration::from_hours(hours)).to_string() });
    stage.act(&id, &schedule(1), &after(23)).await.refused(400, "InvalidParameter", "one day");
    let no_time = json!({ "timeOfDeletion": "tomorrow" });
    stage.act(&id, &schedule(1), &no_time).await.refused(400, "InvalidParameter", "RFC 3339");

    let before = stage.etag(&id).await;
    assert_eq!(stage.act(&id, &schedule(1), &after(25)).await.status, 204);
    assert_ne!(stage.etag(&id).await, before);
    stage.act(&id, &schedule(1), &json!({})).await.refused(409, "IncorrectState", "already scheduled");
    stage.update(&id, &json!({ "currentVersionNumber": 1 })).await.refused(409, "IncorrectState", "scheduled");
    assert_eq!(stage.act(&id, "version/1/actions/cancelDeletion", &json!({})).await.status, 204);
    stage.act(&id, "version/1/actions/cancelDeletion", &json!({})).await.refused(409, "IncorrectState", "not");

    assert_eq!(stage.act(&id, &schedule(1), &json!({})).await.status, 204);
    let version = stage.world.client.get(&format!("{CERTIFICATES}/{id}/version/1")).await.json();
    let time: jiff::Timestamp = version["timeOfDeletion"].as_str().unwrap().parse().unwrap();
    let days = time.duration_since(now).as_hours() / 24;
    assert!((29..=30).contains(&days), "{days}");
    stage.world.lab.end_retention_periods();
    assert_eq!(stage.stages(&id).await, ["2 PREVIOUS", "3 CURRENT", "4 PENDING LATEST"]);
}

#[tokio::test]
async fn a_bundle_is_got_by_stage_by_number_or_by_name_without_its_key() {
    let stage = Stage::new().await;
    let (first, second) = (stage.authority.issue(), stage.authority.issue());
    let id = stage.www(&first).await;
    stage.renew(&id, second.config_with(json!({ "stage": "PENDING", "versionName": "second" }))).await;
    let bundle = async |query: &str| stage.world.client.get(&format!("/20210224/certificateBundles/{id}{query}")).await;
    let public = "certificateBundleType=CERTIFICATE_CONTENT_PUBLIC_ONLY";
    let queries = [
        ("", &first),
        ("?stage=CURRENT", &first),
        ("?stage=PENDING", &second),
        ("?stage=LATEST", &second),
        ("?versionNumber=1", &first),
        ("?versionNumber=2", &second),
        ("?certificateVersionName=second", &second),
    ];
    for (query, imported) in queries {
        let separator = if query.is_empty() { "?" } else { "&" };
        let answer = bundle(&format!("{query}{separator}{public}")).await;
        let json = answer.json();
        assert_eq!(json["certificatePem"], imported.leaf_pem, "{query}");
        assert_eq!(json["certChainPem"], imported.chain_pem);
        assert_eq!(json["certificateName"], "www");
        assert_eq!(json["certificateBundleType"], "CERTIFICATE_CONTENT_PUBLIC_ONLY");
        assert!(!answer.text.contains("PRIVATE KEY"));
    }
    for query in ["?stage=PREVIOUS", "?versionNumber=3", "?certificateVersionName=third"] {
        bundle(query).await.refused(404, "NotAuthorizedOrNotFound", "");
    }
    let with_key = "?certificateBundleType=CERTIFICATE_CONTENT_WITH_PRIVATE_KEY";
    bundle(with_key).await.refused(404, "NotAuthorizedOrNotFound", "");
}
