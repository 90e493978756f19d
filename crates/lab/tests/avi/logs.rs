//! Events and requests, as the analytics API shows them.

use serde_json::{Value, json};

use crate::world::{World, fetch, token_policy};

#[tokio::test]
async fn changes_are_events_that_can_be_filtered() {
    let world = World::new().await;
    world.client.post("/api/vsvip", &json!({"name": "made"})).await.ok();
    let read = async |query: &str| world.client.get(&format!("/api/analytics/logs?type=2{query}")).await.ok();
    let latest = read("&page_size=1").await;
    let event = &latest["results"][0];
    assert_eq!(
        (&event["event_id"], &event["obj_name"], &event["obj_type"]),
        (&json!("CONFIG_CREATE"), &json!("made"), &json!("VSVIP"))
    );
    assert_eq!(event["event_details"]["config_create_details"]["user"], "admin");
    assert!(latest["count"].as_u64().unwrap() > 1);
    for (filter, count) in [
        ("eq(obj_name,made)", 1),
        ("eq(event_id,[config_create,config_update])&filter=co(obj_name,mad)", 1),
        ("sw(obj_name,ma)", 1),
        ("ne(obj_type,vsvip)&filter=eq(obj_name,made)", 0),
    ] {
        assert_eq!(read(&format!("&filter={filter}")).await["count"], count, "{filter}");
    }
    world.client.get("/api/analytics/logs?type=2&filter=like(a,b)").await.refused(400);
    world.client.get("/api/analytics/logs?type=7").await.refused(400);
}

#[tokio::test]
async fn requests_are_logged_where_a_rule_an_error_or_the_virtual_service_asks_for_it() {
    let world = World::new().await;
    let plain = world.add_port_80("System-HTTP");
    let set = world.lab.create("admin", "httppolicyset", token_policy("p", "/acme-challenge/a", "b")).unwrap();
    let quiet = {
        let mut policy = token_policy("quiet", "/quiet", "q");
        policy["http_security_policy"]["rules"][0]["log"] = json!(false);
        world.lab.create("admin", "httppolicyset", policy).unwrap()
    };
    let link =
        |index: u64, set: &str| json!({"index": index, "http_policy_set_ref": format!("/api/httppolicyset/{set}")});
    let patch = json!({"add": {"http_policies": [link(1, &set), link(2, &quiet)]}});
    world.client.patch(&format!("/api/virtualservice/{plain}"), &patch).await.ok();
    for path in ["/acme-challenge/a?x=1", "/quiet", "/nothing"] {
        fetch(world.address(80), "a.test", path).await;
    }
    let read = async |query: &str| {
        let target = format!("/api/analytics/logs?type=1&virtualservice={plain}{query}");
        let results = world.client.get(&target).await.ok()["results"].as_array().unwrap().clone();
        results.iter().map(|entry| entry["uri_path"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(read("").await, ["/nothing"], "errors");
    assert_eq!(read("&udf=true&adf=false").await, ["/acme-challenge/a"]);
    assert_eq!(read("&udf=true&nf=true&filter=ge(response_code,500)").await, ["/nothing"]);
    let logs = json!({"add": {"analytics_policy": {"full_client_logs": {"enabled": true}}}});
    world.client.patch(&format!("/api/virtualservice/{plain}"), &logs).await.ok();
    fetch(world.address(80), "a.test", "/quiet").await;
    assert_eq!(read("&nf=true&adf=false").await, ["/quiet"]);

    let entries = world.lab.requests_to("plain-80").unwrap();
    assert_eq!(entries.len(), 4);
    let hit = &entries[0];
    assert_eq!((hit.host.as_str(), hit.response_code, hit.port), ("a.test", 200, 80));
    assert_eq!((hit.http_security_policy_rule_name.as_deref(), hit.uri_query.as_str()), (Some("token"), "x=1"));
    world.client.get("/api/analytics/logs?type=1").await.refused(400);
    world.client.get("/api/analytics/logs?type=1&virtualservice=virtualservice-none").await.refused(404);
    let value: Value = world
        .client
        .get(&format!("/api/analytics/logs?type=1&virtualservice={plain}&udf=true&filter=co(uri_path,acme)"))
        .await
        .ok();
    assert_eq!(value["results"][0]["client_ip"], "127.0.0.1");
}
