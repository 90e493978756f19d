//! Roles, tenants and licences.

use certferry_lab::avi_controller::AviLab;
use serde_json::{Value, json};

use crate::{
    client::Client,
    world::{World, pair, token_policy},
};

/// A user whose role holds these privileges in tenant admin.
async fn user_with(lab: &AviLab, privileges: &[(&str, &str)]) -> Client {
    let privileges: Vec<Value> = privileges
        .iter()
        .map(|(resource, kind)| json!({"resource": format!("PERMISSION_{resource}"), "type": format!("{kind}_ACCESS")}))
        .collect();
    lab.create("admin", "role", json!({"name": "limited", "privileges": privileges})).unwrap();
    lab.create(
        "admin",
        "user",
        json!({
            "username": "bot", "password": "secret", "access": [
                {"role_ref": "/api/role?name=limited", "tenant_ref": "/api/tenant?name=admin", "all_tenants": false},
            ],
        }),
    )
    .unwrap();
    Client::log_in(lab, "bot", "secret").await
}

#[tokio::test]
async fn the_documented_role_lacks_policy_sets_and_the_full_one_does_not() {
    let world = World::new().await;
    let bot = user_with(
        &world.lab,
        &[("VIRTUALSERVICE", "WRITE"), ("SSLKEYANDCERTIFICATE", "WRITE"), ("APPLICATIONPROFILE", "READ")],
    )
    .await;
    bot.get("/api/virtualservice").await.ok();
    bot.get("/api/vsvip").await.ok();
    bot.patch(&world.shop_path(), &json!({"add": {"description": "x"}})).await.ok();
    let text = bot.post("/api/httppolicyset", &token_policy("p", "/a", "b")).await.refused(403);
    assert_eq!(text, "User does not have permission to write HTTPPolicySet");
    bot.get("/api/httppolicyset").await.refused(403);
    bot.get("/api/networkprofile").await.refused(403);
    let add = json!({"add": {"privileges": [{"resource": "PERMISSION_HTTPPOLICYSET", "type": "WRITE_ACCESS"}]}});
    let role = world.lab.object("role", "limited").unwrap()["uuid"].as_str().unwrap().to_owned();
    world.client.patch(&format!("/api/role/{role}"), &add).await.ok();
    bot.post("/api/httppolicyset", &token_policy("p", "/a", "b")).await.ok();
}

#[tokio::test]
async fn a_reader_reads_and_does_not_write() {
    let world = World::new().await;
    let bot = user_with(&world.lab, &[("VIRTUALSERVICE", "READ"), ("SSLKEYANDCERTIFICATE", "NO")]).await;
    bot.get(&world.shop_path()).await.ok();
    bot.patch(&world.shop_path(), &json!({"add": {"description": "x"}})).await.refused(403);
    bot.delete(&world.shop_path()).await.refused(403);
    bot.get("/api/sslkeyandcertificate").await.refused(403);
    let refused = world.lab.requests().into_iter().rfind(|request| request.status == Some(403)).unwrap();
    assert!(refused.reason.unwrap().contains("PERMISSION_SSLKEYANDCERTIFICATE"));
}

#[tokio::test]
async fn a_user_has_no_business_in_another_tenant() {
    let world = World::new().await;
    world.lab.create("admin", "tenant", json!({"name": "blue"})).unwrap();
    let bot = user_with(&world.lab, &[("VIRTUALSERVICE", "WRITE")]).await;
    assert!(bot.in_tenant("blue").get("/api/virtualservice").await.refused(403).contains("no access"));
    let login = bot.form_login("bot", "secret").await.ok();
    assert_eq!(login["tenants"].as_array().unwrap().len(), 1);
    assert!(login.get("system_config").is_none(), "not for everybody");
}

#[tokio::test]
async fn lesser_licences_refuse_what_they_do_not_hold() {
    let world = World::new().await;
    world.client.patch("/api/systemconfiguration", &json!({"replace": {"default_license_tier": "BASIC"}})).await.ok();
    let mut policy = token_policy("p", "/a", "b");
    assert!(world.client.post("/api/httppolicyset", &policy).await.refused(400).contains("license tier BASIC"));
    policy["http_security_policy"]["rules"][0]["log"] = json!(false);
    assert!(world.client.post("/api/httppolicyset", &policy).await.refused(400).contains("file"));
    let rule = &policy["http_security_policy"]["rules"][0];
    let mut answer = rule["action"].clone();
    answer["action"] = json!("HTTP_SWITCHING_SELECT_LOCAL");
    let request = json!({"name": "p", "http_request_policy": {"rules": [
        {"name": "t", "index": 1, "enable": true, "match": rule["match"], "switching_action": answer},
    ]}});
    world.client.post("/api/httppolicyset", &request).await.ok();
    let mut managed = pair("m", &world.pki.issue(&["m.test"], 9).unwrap());
    managed["dynamic_params"] = json!([{"name": "a", "value": "b"}]);
    world.client.post("/api/sslkeyandcertificate", &managed).await.refused(400);
    let vip = json!({"name": "v", "dns_info": [{"fqdn": "a.test"}]});
    world.client.post("/api/vsvip", &vip).await.refused(400);
}

#[tokio::test]
async fn passwords_are_never_shown() {
    let world = World::new().await;
    user_with(&world.lab, &[]).await;
    assert!(!world.client.get("/api/user").await.text.contains("secret"));
    let user = world.lab.object("user", "bot").unwrap()["uuid"].as_str().unwrap().to_owned();
    world.client.patch(&format!("/api/user/{user}"), &json!({"add": {"full_name": "Bot"}})).await.ok();
    Client::log_in(&world.lab, "bot", "secret").await;
    let logged = format!("{:?}", world.lab.requests());
    assert!(!logged.contains("secret"), "{logged}");
}
