//! Writing: POST, PUT, PATCH, DELETE, and two writers at once.

use certferry_lab::avi_controller::{AbsentElement, Moment};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_post_answers_201_with_location_names_and_defaults() {
    let world = World::new().await;
    let answer = world.client.post("/api/vsvip", &json!({"name": "new"})).await;
    let body = answer.ok();
    assert_eq!(answer.status, 201);
    assert_eq!(body["url"], answer.headers["location"].to_str().unwrap());
    assert!(body["url"].as_str().unwrap().ends_with("#new"));
    assert!(body["cloud_ref"].as_str().unwrap().ends_with("#Default-Cloud"), "{body}");
    assert!(body["uuid"].as_str().unwrap().starts_with("vsvip-"));
    let again = world.client.post("/api/vsvip", &json!({"name": "new"})).await;
    assert!(again.refused(409).contains("already exists"));
    world.client.post("/api/vsvip", &json!({})).await.refused(400);
}

#[tokio::test]
async fn a_slug_chooses_the_uuid() {
    let mut world = World::new().await;
    world.client.set("slug", "my-own");
    assert_eq!(world.client.post("/api/vsvip", &json!({"name": "a"})).await.uuid(), "vsvip-my-own");
    world.client.post("/api/vsvip", &json!({"name": "b"})).await.refused(409);
}

#[tokio::test]
async fn a_put_replaces_all_and_keeps_fields_that_the_lab_never_heard_of() {
    let world = World::new().await;
    let mut body = world.client.get(&world.shop_path()).await.ok();
    assert_eq!(body["field_of_the_future"], json!({"kept": [1, 2]}));
    body["name"] = json!("renamed");
    let before = body["_last_modified"].as_str().unwrap().to_owned();
    let after = world.client.put(&world.shop_path(), &body).await.ok();
    assert_eq!((&after["name"], &after["field_of_the_future"]), (&json!("renamed"), &json!({"kept": [1, 2]})));
    assert!(after["_last_modified"].as_str().unwrap().parse::<i64>().unwrap() > before.parse().unwrap());
    body.as_object_mut().unwrap().remove("field_of_the_future");
    body.as_object_mut().unwrap().remove("_last_modified");
    let after = world.client.put(&world.shop_path(), &body).await.ok();
    assert!(after.get("field_of_the_future").is_none());
}

#[tokio::test]
async fn a_stale_put_is_refused_and_one_without_a_stamp_is_not() {
    let world = World::new().await;
    let mut body = world.client.get(&world.shop_path()).await.ok();
    world.lab.edit("virtualservice", "shop-443", |service| service["description"] = json!("by another")).unwrap();
    let text = world.client.put(&world.shop_path(), &body).await.refused(412);
    assert_eq!(text, "Need to reload object data VirtualService");
    assert_eq!(world.client.get(&world.shop_path()).await.ok()["description"], "by another");
    body.as_object_mut().unwrap().remove("_last_modified");
    assert!(world.client.put(&world.shop_path(), &body).await.ok().get("description").is_none());
}

#[tokio::test]
async fn another_writer_can_come_in_between() {
    let world = World::new().await;
    world.lab.edit_on_next("PUT virtualservice", Moment::Before, &world.shop, |service| {
        service["description"] = json!("first")
    });
    let body = world.client.get(&world.shop_path()).await.ok();
    assert_eq!(world.lab.pending_faults(), 1);
    world.client.put(&world.shop_path(), &body).await.refused(412);
    assert_eq!(world.lab.pending_faults(), 0);
    assert_eq!(world.lab.object("virtualservice", "shop-443").unwrap()["description"], "first");
}

#[tokio::test]
async fn patches_add_and_delete_by_key_and_leave_all_else() {
    let world = World::new().await;
    let before = world.client.get(&world.shop_path()).await.ok();
    let set = world.lab.create("admin", "httppolicyset", json!({"name": "set"})).unwrap();
    let elements = json!({
        "http_policies": [{"index": 1_000_001, "http_policy_set_ref": format!("/api/httppolicyset/{set}")}],
        "services": [{"port": 80, "port_range_end": 80, "enable_ssl": false, "enable_http2": false}],
    });
    let added = world.client.patch(&world.shop_path(), &json!({"add": elements})).await.ok();
    assert_eq!(added["services"].as_array().unwrap().len(), 2);
    let mut removed = world.client.patch(&world.shop_path(), &json!({"delete": elements})).await.ok();
    removed["_last_modified"] = before["_last_modified"].clone();
    assert_eq!(removed, before);

    world.client.patch(&world.shop_path(), &json!({"delete": elements})).await.ok();
    world.lab.set_behaviour(|behaviour| behaviour.absent_patch_element = AbsentElement::Refused);
    world.client.patch(&world.shop_path(), &json!({"delete": elements})).await.refused(400);
}

#[tokio::test]
async fn what_is_in_use_is_not_deleted() {
    let world = World::new().await;
    let vip = world.lab.object("vsvip", "shop").unwrap()["uuid"].as_str().unwrap().to_owned();
    let path = format!("/api/vsvip/{vip}");
    let text = world.client.delete(&path).await.refused(403);
    assert_eq!(text, "Cannot delete, object is referred by: ['VirtualService shop-443']");
    world.lab.set_behaviour(|behaviour| behaviour.in_use_status = 400);
    world.client.delete(&path).await.refused(400);
    assert_eq!(world.client.delete(&world.shop_path()).await.status, 204);
    let gone = world.client.delete(&path).await;
    assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
    world.client.delete(&path).await.refused(404);
}

#[tokio::test]
async fn nothing_is_written_during_an_upgrade() {
    let world = World::new().await;
    world.lab.set_behaviour(|behaviour| behaviour.upgrading = true);
    let text = world.client.post("/api/vsvip", &json!({"name": "a"})).await.refused(403);
    assert_eq!(text, "Configuration is disallowed during upgrade");
    world.client.get("/api/vsvip").await.ok();
}

#[tokio::test]
async fn warning_days_keep_at_least_three_entries() {
    let world = World::new().await;
    let path = "/api/controllerproperties";
    let added = world.client.patch(path, &json!({"add": {"ssl_certificate_expiry_warning_days": [45]}})).await.ok();
    assert_eq!(added["ssl_certificate_expiry_warning_days"], json!([30, 7, 1, 45]));
    let days = json!({"replace": {"ssl_certificate_expiry_warning_days": [60, 30]}});
    world.client.patch(path, &days).await.refused(400);
}
