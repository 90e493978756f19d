//! Reading: filters, paging, forms of references.

use serde_json::{Value, json};

use crate::{
    client::Client,
    world::{World, vsvip},
};

#[tokio::test]
async fn a_list_has_pages_and_none_after_the_last() {
    let world = World::new().await;
    for number in 0..7 {
        world.lab.create("admin", "pool", json!({"name": format!("pool-{number}")})).unwrap();
    }
    let mut names = Vec::new();
    let mut target = "/api/pool?page_size=3&sort=-name".to_owned();
    loop {
        let page = world.client.get(&target).await;
        let body = page.ok();
        assert_eq!(body["count"], 7);
        names.extend(page.names());
        let Some(next) = body["next"].as_str() else { break };
        target = next.strip_prefix(&world.lab.url()).unwrap().to_owned();
    }
    assert_eq!(names, (0..7).rev().map(|number| format!("pool-{number}")).collect::<Vec<_>>());
    let text = world.client.get("/api/pool?page=4&page_size=3").await.refused(404);
    assert!(text.contains("That page contains no results"), "{text}");
    world.client.get("/api/pool?page_size=201").await.refused(400);
    assert_eq!(world.client.get("/api/poolgroup").await.ok(), json!({"count": 0, "results": []}));
}

#[tokio::test]
async fn filters_select() {
    let world = World::new().await;
    world
        .lab
        .create("admin", "vsvip", vsvip("other", "203.0.113.11", &["myapp.some-domain.com", "app.some-domain.com"]))
        .unwrap();
    let old = world.lab.object("sslkeyandcertificate", "old").unwrap()["uuid"].as_str().unwrap().to_owned();
    let vip = world.lab.object("vsvip", "shop").unwrap()["uuid"].as_str().unwrap().to_owned();
    let cases: Vec<(String, &[&str])> = vec![
        ("vsvip?name=shop".into(), &["shop"]),
        ("vsvip?name=sho".into(), &[]),
        ("vsvip?name.contains=ho".into(), &["shop"]),
        ("vsvip?name.icontains=HO".into(), &["shop"]),
        ("vsvip?name.in=shop,other,none".into(), &["shop", "other"]),
        ("vsvip?name.in=shop&exclude=name.in".into(), &["other"]),
        (format!("vsvip?uuid={vip}"), &["shop"]),
        ("vsvip/?search=(fqdn,app.some-domain.com)".into(), &["other"]),
        ("vsvip?search=(fqdn,www)|(fqdn,myapp)".into(), &["shop", "other"]),
        ("vsvip?search=203.0.113.11".into(), &["other"]),
        ("vsvip?isearch=WWW.SOME".into(), &["shop"]),
        ("vsvip?fqdn=www.some-domain.com".into(), &[]),
        (format!("virtualservice?vsvip_ref={vip}"), &["shop-443"]),
        (format!("virtualservice?refers_to=vsvip:{vip}"), &["shop-443"]),
        (format!("virtualservice?refers_to=sslkeyandcertificate:{old}"), &["shop-443"]),
        (format!("sslkeyandcertificate?referred_by=virtualservice:{}", world.shop), &["old"]),
        ("virtualservice?cloud_ref.name=Default-Cloud".into(), &["shop-443"]),
        ("virtualservice?enabled=false".into(), &[]),
        ("virtualservice?type=VS_TYPE_NORMAL".into(), &["shop-443"]),
    ];
    for (query, expected) in cases {
        assert_eq!(world.client.get(&format!("/api/{query}")).await.names(), *expected, "{query}");
    }
}

#[tokio::test]
async fn every_form_of_reference_is_taken_and_one_is_shown() {
    let world = World::new().await;
    let set = world.lab.create("admin", "httppolicyset", json!({"name": "set of mine"})).unwrap();
    let url = world.lab.url();
    for reference in [
        format!("/api/httppolicyset/{set}"),
        format!("{url}/api/httppolicyset/{set}"),
        format!("{url}/api/httppolicyset/{set}#set of mine"),
        "/api/httppolicyset?name=set%20of%20mine".to_owned(),
        "/api/httppolicyset/?name=set of mine".to_owned(),
    ] {
        let link = json!({"replace": {"http_policies": [{"index": 4, "http_policy_set_ref": reference}]}});
        let changed = world.client.patch(&world.shop_path(), &link).await.ok();
        assert_eq!(changed["http_policies"][0]["http_policy_set_ref"], format!("{url}/api/httppolicyset/{set}"));
    }
    let named = world.client.get(&format!("{}?include_name", world.shop_path())).await.ok();
    assert_eq!(named["http_policies"][0]["http_policy_set_ref"], format!("{url}/api/httppolicyset/{set}#set of mine"));
    assert!(named["url"].as_str().unwrap().ends_with("#shop-443"));
    let missing =
        json!({"add": {"http_policies": [{"index": 5, "http_policy_set_ref": "/api/httppolicyset?name=none"}]}});
    assert!(world.client.patch(&world.shop_path(), &missing).await.refused(400).contains("not found"));
}

#[tokio::test]
async fn fields_can_be_chosen_and_defaults_left_out() {
    let world = World::new().await;
    let chosen = world.client.get(&format!("{}?fields=enabled", world.shop_path())).await.ok();
    let mut fields: Vec<&String> = chosen.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["enabled", "name", "url", "uuid"]);
    let short = world.client.get(&format!("{}?skip_default=true", world.shop_path())).await.ok();
    assert!(short.get("enabled").is_none() && short.get("services").is_some(), "{short}");
    let full = world.client.get(&world.shop_path()).await.ok();
    assert_eq!((&full["enabled"], &full["services"][0]["port_range_end"]), (&json!(true), &json!(443)));
    assert!(full.get("http_policies").is_none(), "an empty list is absent");
    assert!(full["tls_ticket_key"].is_array(), "key material in a virtual service, as recorded");
}

#[tokio::test]
async fn a_tenant_sees_its_own_objects_and_what_admin_shares() {
    let world = World::new().await;
    world.lab.create("admin", "tenant", json!({"name": "blue"})).unwrap();
    let blue = world.client.in_tenant("blue");
    assert_eq!(blue.get("/api/virtualservice").await.names(), [""; 0]);
    blue.get(&world.shop_path()).await.refused(404);
    assert!(blue.get("/api/applicationprofile").await.names().contains(&"System-HTTP".to_owned()));
    let profile = world.lab.object("applicationprofile", "System-HTTP").unwrap()["uuid"].as_str().unwrap().to_owned();
    let text = blue.patch(&format!("/api/applicationprofile/{profile}"), &json!({"add": {"x": 1}})).await.refused(400);
    assert_eq!(text, "Cannot modify ApplicationProfile");
    blue.post("/api/vsvip", &vsvip("shop", "203.0.113.20", &[])).await.ok();
    let all = world.client.in_tenant("*").get("/api/vsvip").await.ok();
    let tenants: Vec<&Value> = all["results"].as_array().unwrap().iter().map(|vip| &vip["tenant_ref"]).collect();
    assert!(tenants[0] != tenants[1], "{tenants:?}");
    assert_eq!(world.client.in_tenant("red").get("/api/vsvip").await.refused(403), "Tenant 'red' does not exist!");
    assert!(
        world.client.in_tenant("*").post("/api/vsvip", &json!({"name": "x"})).await.refused(400).contains("tenant")
    );
}

#[tokio::test]
async fn certificates_of_admin_are_shared_only_on_demand() {
    let world = World::new().await;
    world.lab.create("admin", "tenant", json!({"name": "blue"})).unwrap();
    let blue = world.client.in_tenant("blue");
    assert_eq!(blue.get("/api/sslkeyandcertificate?name=old").await.names(), [""; 0]);
    world.client.patch("/api/controllerproperties", &json!({"add": {"shared_ssl_certificates": true}})).await.ok();
    assert_eq!(blue.get("/api/sslkeyandcertificate?name=old").await.names(), ["old"]);
}

#[tokio::test]
async fn a_version_does_not_see_what_came_later_and_cannot_lose_it() {
    let world = World::new().await;
    let uuid = world
        .lab
        .create("admin", "alertscriptconfig", json!({"name": "s", "timeout": 600, "action_script": "a"}))
        .unwrap();
    let path = format!("/api/alertscriptconfig/{uuid}");
    let mut old = Client::admin(&world.lab).await;
    old.set("x-avi-version", "22.1.3");
    let seen = old.get(&path).await.ok();
    assert!(seen.get("timeout").is_none(), "{seen}");
    old.put(&path, &json!({"name": "s", "timeout": 5, "action_script": "b"})).await.ok();
    let now = world.client.get(&path).await.ok();
    assert_eq!((&now["timeout"], &now["action_script"]), (&json!(600), &json!("b")));
}

#[tokio::test]
async fn unknown_types_paths_and_methods_are_told() {
    let world = World::new().await;
    world.client.get("/api/nosuchtype").await.refused(404);
    world.client.get("/elsewhere").await.refused(404);
    assert_eq!(world.client.get("/api/vsvip/vsvip-none").await.refused(404), "VsVip object not found!");
    world.client.delete("/api/vsvip").await.refused(405);
    world.client.delete("/api/controllerproperties").await.refused(405);
    world.client.get("/login").await.refused(405);
}
