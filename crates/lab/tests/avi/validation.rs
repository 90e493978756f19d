//! Configurations that the controller refuses.

use serde_json::json;

use crate::world::{World, pair, rsa, token_policy};

#[tokio::test]
async fn an_http_policy_on_layer_4_is_refused() {
    let world = World::new().await;
    let set = world.lab.create("admin", "httppolicyset", token_policy("p", "/a", "b")).unwrap();
    world
        .lab
        .create(
            "admin",
            "virtualservice",
            json!({
                "name": "l4", "vsvip_ref": "/api/vsvip?name=shop", "services": [{"port": 25}],
                "application_profile_ref": "/api/applicationprofile?name=System-L4-Application",
            }),
        )
        .unwrap();
    let uuid = world.lab.object("virtualservice", "l4").unwrap()["uuid"].as_str().unwrap().to_owned();
    let link =
        json!({"add": {"http_policies": [{"index": 1, "http_policy_set_ref": format!("/api/httppolicyset/{set}")}]}});
    let text = world.client.patch(&format!("/api/virtualservice/{uuid}"), &link).await.refused(400);
    assert_eq!(text, "Layer-4 virtual service should not refer to any HTTP policyset");
}

#[tokio::test]
async fn one_port_of_a_vip_belongs_to_one_virtual_service() {
    let world = World::new().await;
    world.add_port_80("System-HTTP");
    let add = json!({"add": {"services": [{"port": 80}]}});
    assert!(
        world.client.patch(&world.shop_path(), &add).await.refused(400).contains("in use by VirtualService plain-80")
    );
    let range = json!({"add": {"services": [{"port": 70, "port_range_end": 90}]}});
    world.client.patch(&world.shop_path(), &range).await.refused(400);
    let twice = json!({"add": {"services": [{"port": 440, "port_range_end": 450}]}});
    world.client.patch(&world.shop_path(), &twice).await.refused(400);
}

#[tokio::test]
async fn a_virtual_service_takes_one_certificate_of_each_kind() {
    let world = World::new().await;
    let second = world.pki.issue(&["www.some-domain.com"], 9).unwrap();
    world.lab.create("admin", "sslkeyandcertificate", pair("second-ec", &second)).unwrap();
    let rsa_pair = rsa(&world.pki, "www.some-domain.com");
    let uuid = world.lab.create("admin", "sslkeyandcertificate", pair("rsa", &rsa_pair)).unwrap();
    let add = |name: &str| json!({"add": {"ssl_key_and_certificate_refs": [format!("/api/sslkeyandcertificate?name={name}")]}});
    assert!(
        world.client.patch(&world.shop_path(), &add("second-ec")).await.refused(400).contains("one RSA and one EC")
    );
    world.client.patch(&world.shop_path(), &add("rsa")).await.ok();
    let path = format!("/api/sslkeyandcertificate/{uuid}");
    let text = world.client.put(&path, &pair("rsa", &second)).await.refused(400);
    assert!(text.contains("one RSA and one EC"), "a renewal must not change the kind either: {text}");
}

#[tokio::test]
async fn a_child_has_neither_vip_nor_services_and_needs_a_parent() {
    let world = World::new().await;
    let child = json!({
        "name": "child", "type": "VS_TYPE_VH_CHILD", "vh_type": "VS_TYPE_VH_SNI", "vh_domain_name": ["a.test"],
        "vh_parent_vs_ref": "/api/virtualservice?name=shop-443",
    });
    assert!(world.client.post("/api/virtualservice", &child).await.refused(400).contains("parent"));
    let parent = json!({"replace": {"type": "VS_TYPE_VH_PARENT", "vh_type": "VS_TYPE_VH_SNI"}});
    world.client.patch(&world.shop_path(), &parent).await.ok();
    let mut wrong = child.clone();
    wrong["services"] = json!([{"port": 443}]);
    world.client.post("/api/virtualservice", &wrong).await.refused(400);
    wrong = child.clone();
    wrong["vh_type"] = json!("VS_TYPE_VH_ENHANCED");
    world.client.post("/api/virtualservice", &wrong).await.refused(400);
    world.client.post("/api/virtualservice", &child).await.ok();
}

#[tokio::test]
async fn matches_of_the_wrong_version_are_refused() {
    let mut world = World::new().await;
    let parent = json!({"replace": {"type": "VS_TYPE_VH_PARENT", "vh_type": "VS_TYPE_VH_ENHANCED"}});
    world.client.patch(&world.shop_path(), &parent).await.ok();
    let child = |field: &str| {
        json!({
            "name": format!("child-{field}"), "type": "VS_TYPE_VH_CHILD", "vh_type": "VS_TYPE_VH_ENHANCED",
            "vh_parent_vs_ref": "/api/virtualservice?name=shop-443",
            "vh_matches": [{"host": "a.test", field: [{"name": "r", "match_criteria": "BEGINS_WITH", "match_str": ["/"],
                "matches": {"path": {"match_criteria": "BEGINS_WITH", "match_str": ["/"]}}}]}],
        })
    };
    world.client.post("/api/virtualservice", &child("path")).await.refused(400);
    world.client.post("/api/virtualservice", &child("rules")).await.ok();
    world.client.set("x-avi-version", "22.1.2");
    assert!(
        world
            .client
            .post("/api/virtualservice", &child("rules"))
            .await
            .refused(400)
            .contains("There must be at least 1 path")
    );
    world.client.post("/api/virtualservice", &child("path")).await.ok();
}

#[tokio::test]
async fn rules_need_name_index_and_enable_once_each() {
    let world = World::new().await;
    let good = token_policy("p", "/a", "b");
    for (spoil, status) in [
        (json!({"name": null}), 400),
        (json!({"index": null}), 400),
        (json!({"enable": null}), 400),
        (json!({"action": null}), 400),
        (json!({"index": "first"}), 500),
        (json!({"action": {"action": "HTTP_SECURITY_ACTION_INVENTED"}}), 500),
        (json!({"action": {"action": "HTTP_SECURITY_ACTION_SEND_RESPONSE", "status_code": "200"}}), 500),
    ] {
        let mut policy = good.clone();
        let rule = policy["http_security_policy"]["rules"][0].as_object_mut().unwrap();
        for (field, value) in spoil.as_object().unwrap() {
            if value.is_null() { drop(rule.remove(field)) } else { drop(rule.insert(field.clone(), value.clone())) }
        }
        let text = world.client.post("/api/httppolicyset", &policy).await.refused(status);
        assert_eq!(text.starts_with("Bad pb"), status == 500, "{text}");
    }
    let mut twice = good.clone();
    let rule = twice["http_security_policy"]["rules"][0].clone();
    twice["http_security_policy"]["rules"].as_array_mut().unwrap().push(rule);
    world.client.post("/api/httppolicyset", &twice).await.refused(400);
    world.client.post("/api/httppolicyset", &good).await.ok();
}

#[tokio::test]
async fn policy_links_have_one_index_each_and_stay_in_the_tenant() {
    let world = World::new().await;
    let (one, two) = (json!({"name": "one"}), json!({"name": "two"}));
    world.lab.create("admin", "httppolicyset", one).unwrap();
    world.lab.create("admin", "httppolicyset", two).unwrap();
    let link = |index: u64, name: &str| json!({"index": index, "http_policy_set_ref": format!("/api/httppolicyset?name={name}")});
    let same = json!({"add": {"http_policies": [link(1, "one"), link(1, "two")]}});
    assert!(world.client.patch(&world.shop_path(), &same).await.refused(400).contains("not unique"));
    world.lab.create("admin", "tenant", json!({"name": "blue"})).unwrap();
    let foreign = world.lab.create("blue", "httppolicyset", json!({"name": "blue set"})).unwrap();
    let link = json!({"add": {"http_policies": [{"index": 1, "http_policy_set_ref": format!("/api/httppolicyset/{foreign}")}]}});
    world.client.patch(&world.shop_path(), &link).await.refused(400);
}
