//! Parents and children: by SNI, and enhanced.

use serde_json::{Value, json};

use crate::world::{World, fetch, fetch_tls, leaf, pair, token_policy};

/// The shop as a parent.
async fn parent(world: &World, kind: &str) {
    let parent =
        json!({"replace": {"type": "VS_TYPE_VH_PARENT", "vh_type": kind}, "add": {"services": [{"port": 80}]}});
    world.client.patch(&world.shop_path(), &parent).await.ok();
}

fn child(world: &World, name: &str, more: Value) {
    let mut child = json!({
        "name": name, "type": "VS_TYPE_VH_CHILD", "vh_parent_vs_ref": "/api/virtualservice?name=shop-443",
        "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
    });
    child.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.lab.create("admin", "virtualservice", child).unwrap();
}

#[tokio::test]
async fn an_sni_child_serves_its_own_certificates_and_policies_over_tls_only() {
    let world = World::new().await;
    parent(&world, "VS_TYPE_VH_SNI").await;
    let wildcard = world.pki.issue(&["*.a.test"], 9).unwrap();
    world.lab.create("admin", "sslkeyandcertificate", pair("wildcard", &wildcard)).unwrap();
    let set = world.lab.create("admin", "httppolicyset", token_policy("p", "/t", "child")).unwrap();
    child(
        &world,
        "a",
        json!({
            "vh_type": "VS_TYPE_VH_SNI", "vh_domain_name": ["*.a.test"],
            "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=wildcard"],
            "http_policies": [{"index": 1, "http_policy_set_ref": format!("/api/httppolicyset/{set}")}],
        }),
    );
    assert_eq!(world.served(443, "one.a.test").await.unwrap(), leaf(&wildcard));
    assert_eq!(world.served(443, "www.some-domain.com").await.unwrap(), leaf(&world.old), "the parent's own");
    assert_eq!(fetch_tls(world.address(443), "one.a.test", "/t", world.pki.root_pem()).await.text, "child");
    assert_eq!(fetch(world.address(80), "one.a.test", "/t").await.status, 503, "plain HTTP reaches the parent");
}

#[tokio::test]
async fn an_enhanced_child_is_found_by_host_on_both_ports_and_the_parent_holds_the_certificates() {
    let world = World::new().await;
    parent(&world, "VS_TYPE_VH_ENHANCED").await;
    let (a, b) = (world.pki.issue(&["a.test"], 9).unwrap(), world.pki.issue(&["b.test", "*.b.test"], 9).unwrap());
    for (name, issued) in [("a", &a), ("b", &b)] {
        world.lab.create("admin", "sslkeyandcertificate", pair(name, issued)).unwrap();
    }
    let add = json!({"add": {"ssl_key_and_certificate_refs":
        ["/api/sslkeyandcertificate?name=a", "/api/sslkeyandcertificate?name=b"]}});
    world.client.patch(&world.shop_path(), &add).await.ok();
    let set = world.lab.create("admin", "httppolicyset", token_policy("p", "/t", "child a")).unwrap();
    child(
        &world,
        "a",
        json!({
            "vh_type": "VS_TYPE_VH_ENHANCED",
            "vh_matches": [{"host": "a.test", "rules": [{"name": "all", "matches": {"path": {"match_criteria": "BEGINS_WITH", "match_str": ["/"]}}}]}],
            "http_policies": [{"index": 1, "http_policy_set_ref": format!("/api/httppolicyset/{set}")}],
        }),
    );
    assert_eq!(world.served(443, "a.test").await.unwrap(), leaf(&a));
    assert_eq!(world.served(443, "x.b.test").await.unwrap(), leaf(&b));
    assert_eq!(world.served(443, "unknown.test").await.unwrap(), leaf(&world.old), "the first is the default");
    assert_eq!(fetch(world.address(80), "a.test", "/t").await.text, "child a");
    assert_eq!(fetch_tls(world.address(443), "a.test", "/t", world.pki.root_pem()).await.text, "child a");
    assert_eq!(fetch(world.address(80), "b.test", "/t").await.status, 503, "the parent");
}

#[tokio::test]
async fn a_parent_with_children_is_in_use() {
    let world = World::new().await;
    parent(&world, "VS_TYPE_VH_SNI").await;
    child(&world, "a", json!({"vh_type": "VS_TYPE_VH_SNI", "vh_domain_name": ["a.test"]}));
    assert!(world.client.delete(&world.shop_path()).await.refused(403).contains("'VirtualService a'"));
    let found = world.client.get("/api/virtualservice/?vh_domain_name.contains=a.test").await;
    assert_eq!(found.names(), ["a"]);
    let children = world.client.get(&format!("/api/virtualservice?refers_to=virtualservice:{}", world.shop)).await;
    assert_eq!(children.names(), ["a"]);
}
