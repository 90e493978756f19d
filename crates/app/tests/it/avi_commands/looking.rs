//! Logs, rights and roles: what certferry sees of a controller, and changes nothing there.

use serde_json::{Value, json};

use super::{AviStage, NAME, SIBLING};

#[tokio::test(flavor = "multi_thread")]
async fn the_cas_requests_are_shown_after_a_challenge_was_fetched() {
    let stage = AviStage::new().await;
    stage.make_user().await;
    let empty = stage.certferry(&["avi", "logs", "edge"]).await.expect_exit(0).stdout();
    assert!(empty.contains("no request for a challenge was logged in the last 1h"), "{empty}");
    stage.certferry(&["apply"]).await.expect_exit(0);

    let document = logs(&stage, &[]).await;
    assert_eq!(document["load_balancer"], "edge");
    let requests = document["requests"].as_array().unwrap();
    assert!(requests.len() >= 2, "the self-check and the CA: {document}");
    let request = &requests[0];
    assert_eq!(
        [&request["virtual_service"], &request["host"], &request["status"], &request["client"]],
        [&json!(SIBLING), &json!(NAME), &json!(200), &json!("127.0.0.1")]
    );
    let token = request["path"].as_str().unwrap().strip_prefix("/.well-known/acme-challenge/").unwrap();
    assert_eq!(request["rule"], token);
    let keys: Vec<&String> = request.as_object().unwrap().keys().collect();
    let expected = ["at", "virtual_service", "client", "host", "path", "status", "rule", "user_agent", "significant"];
    assert_eq!(keys, expected);

    let text = stage.certferry(&["avi", "logs", "edge", "--within", "10m"]).await.expect_exit(0).stdout();
    assert_eq!(text.lines().count(), requests.len() + 1, "{text}");
    for part in ["virtual service", "user agent", SIBLING, "200", token, &format!("{NAME}/.well-known/")] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for (arguments, count) in [
        (&["--limit", "1"][..], 1),
        (&["--name", NAME], requests.len()),
        (&["--name", "other.some-domain.test"], 0),
        (&["--virtual-service", SIBLING], requests.len()),
        (&["--virtual-service", SIBLING, "shop-443"], requests.len()),
        (&["--virtual-service", "shop-443"], 0),
    ] {
        let found = logs(&stage, arguments).await["requests"].as_array().unwrap().len();
        assert_eq!(found, count, "{arguments:?}");
    }
    let unknown = stage.certferry(&["avi", "logs", "edge", "--virtual-service", "nowhere"]).await.expect_exit(1);
    assert!(unknown.stderr().contains("virtual service `nowhere`"), "{}", unknown.stderr());
}

async fn logs(stage: &AviStage, arguments: &[&str]) -> Value {
    let all = [&["avi", "logs", "edge", "--output", "json"], arguments].concat();
    stage.certferry(&all).await.expect_exit(0).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_made_of_the_policy_lacks_nothing_and_the_text_holds_the_same_role() {
    let stage = AviStage::new().await;
    stage.make_user().await;
    let policy = stage.certferry(&["policy", "edge", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(policy["load_balancer"], "edge");
    let text = stage.certferry(&["policy", "edge"]).await.expect_exit(0).stdout();
    let (role, steps) = text.split_once("\n\n").unwrap();
    assert_eq!(serde_json::from_str::<Value>(role).unwrap(), policy["role"]);
    assert!(steps.contains("Templates > HTTP Policy Sets: Write"), "{steps}");

    let found = stage.certferry(&["check", "--online", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(found["findings"], json!([]));
    let changes = stage.lab.events().into_iter().filter(|event| event.event_id.starts_with("CONFIG_"));
    let by_user = changes.filter(|event| event.details.to_string().contains("\"user\":\"certferry\""));
    assert_eq!(by_user.count(), 0, "asking changes nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_right_that_is_missing_is_a_finding_with_its_way_out() {
    let stage = AviStage::new().await;
    stage.make_user().await;
    let take_away = |resources: &'static [&'static str]| {
        let edit = move |role: &mut Value| {
            let privileges = role["privileges"].as_array_mut().unwrap();
            privileges.retain(|one| !resources.contains(&one["resource"].as_str().unwrap()));
        };
        stage.lab.edit("role", "certferry", edit).unwrap();
    };
    take_away(&["PERMISSION_CLOUD"]);
    let found = stage.certferry(&["check", "--online", "--output", "json"]).await.expect_exit(3).json();
    let findings = found["findings"].as_array().unwrap();
    assert_eq!(findings.len(), 1, "{found}");
    let finding = findings[0].as_str().unwrap();
    assert!(finding.contains("Infrastructure > Cloud (PERMISSION_CLOUD with READ_ACCESS)"), "{finding}");
    assert!(finding.contains("; hint: set Infrastructure > Cloud to Read in that role"), "{finding}");

    take_away(&["PERMISSION_HTTPPOLICYSET"]);
    let said = stage.certferry(&["check", "--online"]).await.expect_exit(3).stderr();
    for right in ["PERMISSION_CLOUD with READ_ACCESS", "PERMISSION_HTTPPOLICYSET with WRITE_ACCESS"] {
        let blocks: Vec<&str> = said.split("error: ").filter(|block| block.contains(right)).collect();
        assert_eq!(blocks.len(), 1, "{right}: {said}");
        assert!(blocks[0].contains("hint: set ") && blocks[0].contains("`certferry policy edge`"), "{said}");
        assert!(blocks[0].contains("the role of user `certferry` in tenant `admin`"), "{said}");
    }
    assert!(said.contains("set Templates > HTTP Policy Sets to Write in that role"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_only_orders_by_itself_is_looked_at_too_and_needs_no_right_to_write_certificates() {
    let stage = AviStage::new().await;
    stage.configure(|text| {
        let (head, _) = text.split_once("certificates:\n").unwrap();
        format!("{head}certificates: {{}}\n")
    });
    stage.install(&["--yes"]).await.expect_exit(0);
    let role = stage.lab.object("role", "certferry").unwrap();
    assert_eq!(role["privileges"][0], json!({"resource": "PERMISSION_SSLKEYANDCERTIFICATE", "type": "READ_ACCESS"}));
    stage.certferry(&["check", "--online"]).await.expect_exit(0);
    stage.lab.edit("role", "certferry", |role| role["privileges"] = json!([])).unwrap();
    let said = stage.certferry(&["check", "--online"]).await.expect_exit(4).stderr();
    assert!(said.contains("PERMISSION_SSLKEYANDCERTIFICATE with READ_ACCESS"), "{said}");
}
