use std::time::Duration;

use serde_json::{Value, json};

use super::{CERTIFICATES, Stage};

#[tokio::test]
async fn a_new_version_becomes_current_and_the_others_move_back() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    assert_eq!(stage.stages(&id).await, ["1 CURRENT LATEST"]);
    stage.renew(&id, stage.authority.issue().config()).await;
    assert_eq!(stage.stages(&id).await, ["1 PREVIOUS", "2 CURRENT LATEST"]);
    stage.renew(&id, stage.authority.issue().config_with(json!({ "stage": "CURRENT" }))).await;
    assert_eq!(stage.stages(&id).await, ["1 DEPRECATED", "2 PREVIOUS", "3 CURRENT LATEST"]);
    stage.promote(&id, 2).await;
    assert_eq!(stage.stages(&id).await, ["1 DEPRECATED", "2 CURRENT", "3 PREVIOUS LATEST"]);
    assert_eq!(stage.get(&id).await["currentVersion"]["versionNumber"], 2);
    stage.promote(&id, 1).await;
    assert_eq!(stage.stages(&id).await, ["1 CURRENT", "2 PREVIOUS", "3 DEPRECATED LATEST"]);
    let one = stage.world.client.get(&format!("{CERTIFICATES}/{id}/versions?versionNumber=3")).await.json();
    assert_eq!(one["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_pending_version_waits_until_it_is_made_current() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    let pending = || stage.authority.issue().config_with(json!({ "stage": "PENDING" }));
    stage.renew(&id, pending()).await;
    assert_eq!(stage.stages(&id).await, ["1 CURRENT", "2 PENDING LATEST"]);
    stage.renew(&id, pending()).await;
    assert_eq!(stage.stages(&id).await, ["1 CURRENT", "2 DEPRECATED", "3 PENDING LATEST"]);
    stage.promote(&id, 3).await;
    assert_eq!(stage.stages(&id).await, ["1 PREVIOUS", "2 DEPRECATED", "3 CURRENT LATEST"]);
    let odd = stage.authority.issue().config_with(json!({ "stage": "LATEST" }));
    let refused = stage.update(&id, &json!({ "certificateConfig": odd })).await;
    refused.refused(400, "InvalidParameter", "is not one of CURRENT, PENDING");
}

#[tokio::test]
async fn a_version_number_comes_alone_and_names_a_version() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    let together = json!({ "currentVersionNumber": 1, "certificateConfig": stage.authority.issue().config() });
    stage.update(&id, &together).await.refused(400, "InvalidParameter", "in combination with any other properties");
    let together = json!({ "currentVersionNumber": 1, "description": "new" });
    stage.update(&id, &together).await.refused(400, "InvalidParameter", "in combination with any other properties");
    stage.update(&id, &json!({ "currentVersionNumber": 7 })).await.refused(400, "InvalidParameter", "no version 7");
    assert_eq!(stage.update(&id, &json!({ "description": "new" })).await.status, 200);
    let certificate = stage.in_state(&id, "ACTIVE").await;
    assert_eq!(certificate["description"], "new");
    assert_eq!(stage.stages(&id).await, ["1 CURRENT LATEST"]);
}

#[tokio::test]
async fn one_change_at_a_time_under_the_etag_of_the_last() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.change_delay = Duration::from_secs(3600));
    let target = format!("{CERTIFICATES}/{id}");
    let put = async |body: &Value, etag: &str| {
        stage.world.client.call("PUT", &target, Some(body), &[("if-match", etag)]).await
    };
    let body = json!({ "certificateConfig": stage.authority.issue().config() });
    put(&body, "stale").await.refused(412, "NoEtagMatch", "is passed a tag of stale");
    let answer = put(&body, &stage.etag(&id).await).await;
    assert_eq!(answer.json()["lifecycleState"], "UPDATING", "{answer:?}");
    assert_eq!(answer.header("etag"), stage.etag(&id).await);
    assert_eq!(stage.stages(&id).await, ["1 CURRENT", "2 LATEST"], "not in effect yet");
    put(&body, answer.header("etag")).await.refused(409, "IncorrectState", "is in state UPDATING");
    let stale = [("if-match", "stale")];
    let action = format!("{target}/version/1/actions/scheduleDeletion");
    let refused = stage.world.client.call("POST", &action, Some(&json!({})), &stale).await;
    refused.refused(412, "NoEtagMatch", "stale");
    stage.act(&id, "actions/scheduleDeletion", &json!({})).await.refused(409, "IncorrectState", "UPDATING");
}

#[tokio::test]
async fn a_scheduled_deletion_can_be_cancelled() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    stage.act(&id, "actions/cancelDeletion", &json!({})).await.refused(409, "IncorrectState", "PENDING_DELETION");
    let answer = stage.act(&id, "actions/scheduleDeletion", &json!({})).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    let pending = stage.in_state(&id, "PENDING_DELETION").await;
    assert!(pending["timeOfDeletion"].is_string(), "{pending}");
    let body = json!({ "certificateConfig": stage.authority.issue().config() });
    stage.update(&id, &body).await.refused(409, "IncorrectState", "PENDING_DELETION");
    assert_eq!(stage.act(&id, "actions/cancelDeletion", &json!({})).await.status, 204);
    let active = stage.in_state(&id, "ACTIVE").await;
    assert_eq!(active["timeOfDeletion"], Value::Null);
    stage.world.lab.end_retention_periods();
    assert_eq!(stage.world.lab.certificate_names(), ["www"]);
}
