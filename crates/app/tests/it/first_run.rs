//! The first `apply` and the one after it, against the lab's CA.

use serde_json::json;

use crate::stage::{BY_HAND, SERVER_NAME, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn plan_shows_the_steps_and_changes_nothing() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let before = stage.load_balancer();
    let plan = stage.certferry(&["plan", "--output", "json"]).await.expect_exit(2).json();
    let actions: Vec<&str> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap()).collect();
    let expected = ["prepare_http01", "prepare_http01", "prepare_http01", "issue", "upload", "bind", "verify"];
    assert_eq!(actions, expected);
    assert_eq!(plan["steps"][5]["listener"], json!("https"));
    assert_eq!(plan["steps"][3].get("load_balancer"), None, "keys are absent where they do not apply");
    assert_eq!(stage.load_balancer(), before);
    assert_eq!(ca.ca.accounts(), 0);
    assert!(!stage.path("certferry.db").exists(), "plan makes no file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_bound_verified_and_then_there_is_nothing_to_do() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let fields = stage.other_fields("https");
    stage.apply().await;
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert_eq!(stage.bound("shop"), BY_HAND, "a listener that the config does not name is left alone");
    assert_eq!(stage.other_fields("https"), fields);
    let status = stage.status().await;
    let certificate = &status["certificates"][0];
    assert_eq!(certificate["state"], "ok");
    assert_eq!(certificate["names"], json!([SERVER_NAME]));
    let deployment = &certificate["deployments"][0];
    assert_eq!(deployment["state"], "verified");
    assert_eq!(deployment["deployed_serial"], certificate["issued"]["serial"]);
    assert_eq!(deployment["served_serial"], certificate["issued"]["serial"]);
    assert_eq!(deployment["last_error"], json!(null));

    let plan = stage.certferry(&["plan"]).await.expect_exit(0);
    assert!(plan.stdout().contains("nothing to do"), "{}", plan.stdout());
    let again = stage.apply().await;
    assert!(again.stdout().contains("nothing to do"), "{}", again.stdout());
    assert_eq!(ca.ca.orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cas_request_comes_through_the_load_balancers_port_80() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let requests = ca.ca.validation_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].address, stage.address(80));
    assert_ne!(requests[0].address, stage.responder);
    assert_eq!(requests[0].status, Some(200));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_says_what_was_done() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let history = stage.certferry(&["history", "--output", "json"]).await.expect_exit(0).json();
    let done: Vec<String> = history["events"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .filter(|event| event["outcome"] == "done")
        .map(|event| event["action"].as_str().unwrap().to_owned())
        .collect();
    let expected = ["prepare_http01", "prepare_http01", "prepare_http01", "issue", "upload", "bind", "verify"];
    assert_eq!(done, expected);
    let text = stage.certferry(&["history", "--certificate", "www"]).await.expect_exit(0).stdout();
    assert!(text.contains("verify"), "{text}");
}
