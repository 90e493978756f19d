use std::time::Duration;

use certferry_lab::oci_load_balancer::{Effect, Fault, RetryAfter, WorkRequestError};
use serde_json::json;

use super::{CERTIFICATES, NAME, Stage};

#[tokio::test]
async fn a_rule_hits_an_operation_of_the_service_by_its_name_and_the_certificate() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    let busy = || Effect::too_many_requests(Some(RetryAfter::Seconds(3)));
    stage.world.lab.add_fault(Fault::new("ListCertificateVersions", busy()).for_certificate("ocid1.certificate.other"));
    stage.world.lab.add_fault(Fault::new("GetCertificate", busy()).for_certificate(&id));
    let target = format!("{CERTIFICATES}/{id}");
    let answer = stage.world.client.get(&target).await;
    answer.refused(429, "TooManyRequests", "");
    assert_eq!(answer.header("retry-after"), "3");
    assert_eq!(stage.world.client.get(&target).await.status, 200);
    assert_eq!(stage.world.client.get(&format!("{target}/versions")).await.status, 200);
    let record = stage.world.lab.requests().into_iter().find(|record| record.status == Some(429)).unwrap();
    assert_eq!((record.operation.as_str(), record.certificate_id), ("GetCertificate", Some(id)));
}

#[tokio::test]
async fn operations_that_both_services_have_are_told_apart() {
    let stage = Stage::new().await;
    let broken = || Effect::answer(500, "InternalServerError", "no");
    stage.world.lab.add_fault(Fault::new("certificates/ListCertificates", broken()));
    let (client, bundles) = (&stage.world.client, stage.world.path("/certificates"));
    assert_eq!(client.get(&bundles).await.status, 200);
    client.get(CERTIFICATES).await.refused(500, "InternalServerError", "no");
    stage.world.lab.add_fault(Fault::new("load-balancers/ListCertificates", broken()));
    assert_eq!(client.get(CERTIFICATES).await.status, 200);
    client.get(&bundles).await.refused(500, "InternalServerError", "no");
    stage.world.lab.add_fault(Fault::new("ListCertificates", broken()).times(2));
    client.get(CERTIFICATES).await.refused(500, "InternalServerError", "no");
    client.get(&bundles).await.refused(500, "InternalServerError", "no");
    let count = |operation: &str| stage.world.lab.count(operation);
    let counts = ["certificates/ListCertificates", "load-balancers/ListCertificates", "ListCertificates"].map(count);
    assert_eq!(counts, [3, 3, 6]);
}

#[tokio::test]
async fn an_answer_lost_after_the_effect_is_found_by_the_retry_token() {
    let stage = Stage::new().await;
    let body = json!({
        "name": "www", "compartmentId": stage.world.lab.compartment_id(),
        "certificateConfig": stage.authority.issue().config(),
    });
    let token = [("opc-retry-token", "token1")];
    stage.world.lab.add_fault(Fault::new("CreateCertificate", Effect::CloseAfter));
    let client = &stage.world.client;
    client.try_call("POST", CERTIFICATES, Some(&body), &token).await.unwrap_err();
    assert_eq!(stage.world.lab.certificate_names(), ["www"]);
    let again = client.call("POST", CERTIFICATES, Some(&body), &token).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!(stage.world.lab.certificate_names(), ["www"]);
}

#[tokio::test]
async fn a_change_can_fail_take_long_or_never_end() {
    let stage = Stage::new().await;
    let failing = || Effect::WorkRequestFails(vec![WorkRequestError::internal_error("no vault")]);
    stage.world.lab.add_fault(Fault::new("CreateCertificate", failing()));
    let answer = stage.create("broken", stage.authority.issue().config()).await;
    let broken = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(stage.in_state(&broken, "FAILED").await["lifecycleDetails"], "no vault");
    assert_eq!(stage.act(&broken, "actions/scheduleDeletion", &json!({})).await.status, 204);
    stage.in_state(&broken, "PENDING_DELETION").await;
    assert_eq!(stage.act(&broken, "actions/cancelDeletion", &json!({})).await.status, 204);
    stage.in_state(&broken, "FAILED").await;

    let id = stage.www(&stage.authority.issue()).await;
    stage.world.lab.add_fault(Fault::new("UpdateCertificate", failing()));
    stage.renew(&id, stage.authority.issue().config()).await;
    assert_eq!(stage.stages(&id).await, ["1 CURRENT", "2 FAILED LATEST"]);
    stage.renew(&id, stage.authority.issue().config()).await;
    stage.world.lab.add_fault(Fault::new("UpdateCertificate", failing()));
    stage.promote(&id, 1).await;
    assert_eq!(stage.stages(&id).await, ["1 PREVIOUS", "2 FAILED", "3 CURRENT LATEST"]);

    let longer = Effect::WorkRequestTakes(Duration::from_millis(1));
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.change_delay = Duration::from_secs(3600));
    stage.world.lab.add_fault(Fault::new("UpdateCertificate", longer));
    stage.renew(&id, stage.authority.issue().config()).await;
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.change_delay = Duration::ZERO);
    stage.world.lab.add_fault(Fault::new("UpdateCertificate", Effect::WorkRequestStuck));
    let body = json!({ "certificateConfig": stage.authority.issue().config() });
    assert_eq!(stage.update(&id, &body).await.json()["subject"]["commonName"], NAME);
    for _ in 0..20 {
        assert_eq!(stage.get(&id).await["lifecycleState"], "UPDATING");
        tokio::task::yield_now().await;
    }
}
