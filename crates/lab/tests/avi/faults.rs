//! Failures on demand.

use std::time::{Duration, Instant};

use certferry_lab::avi_controller::{Effect, Fault, RetryAfter};
use http::Method;
use serde_json::json;

use crate::{client::Client, world::World};

#[tokio::test]
async fn answers_come_with_status_text_and_retry_after_and_have_no_effect() {
    let world = World::new().await;
    let effect = Effect::Answer { status: 429, error: "slow down".into(), retry_after: Some(RetryAfter::Seconds(7)) };
    world.lab.add_fault(Fault::new("POST vsvip", effect).after(1).times(2));
    let post = async |name: &str| world.client.post("/api/vsvip", &json!({"name": name})).await;
    post("a").await.ok();
    for _ in 0..2 {
        let answer = post("b").await;
        assert_eq!(answer.headers["retry-after"], "7");
        assert_eq!(answer.refused(429), "slow down");
    }
    assert_eq!(world.lab.pending_faults(), 0);
    post("b").await.ok();
    assert_eq!(world.lab.count("POST vsvip"), 4);
    world.lab.add_fault(Fault::new("PATCH virtualservice", Effect::stale("VirtualService")).for_object(&world.shop));
    let patch = json!({"add": {"description": "x"}});
    world.client.patch("/api/virtualservice/virtualservice-other", &patch).await.refused(404);
    world.client.patch(&world.shop_path(), &patch).await.refused(412);
    world.client.patch(&world.shop_path(), &patch).await.ok();
}

#[tokio::test]
async fn connections_close_before_or_after_the_effect() {
    let world = World::new().await;
    for (name, effect, there) in [("before", Effect::CloseBefore, false), ("after", Effect::CloseAfter, true)] {
        world.lab.add_fault(Fault::new("POST vsvip", effect));
        world.client.try_call(Method::POST, "/api/vsvip", Some(&json!({"name": name}))).await.unwrap_err();
        assert_eq!(world.lab.object("vsvip", name).is_ok(), there, "{name}");
    }
}

#[tokio::test]
async fn pages_of_proxies_hangs_and_delays() {
    let world = World::new().await;
    world.lab.add_fault(Fault::new("*", Effect::HtmlPage { status: 503, body: "<html>down</html>".into() }));
    let answer = world.client.get("/api/vsvip").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (503, "<html>down</html>"));
    world.lab.add_fault(Fault::new("GET vsvip", Effect::Hang));
    let hanging = tokio::time::timeout(Duration::from_millis(100), world.client.get("/api/vsvip")).await;
    hanging.unwrap_err();
    world.lab.add_fault(Fault::new("GET vsvip", Effect::Delay(Duration::from_millis(60))));
    let started = Instant::now();
    world.client.get("/api/vsvip").await.ok();
    assert!(started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_session_ends_in_the_middle_and_logins_fail() {
    let world = World::new().await;
    world.lab.add_fault(Fault::new("GET vsvip", Effect::SessionEnds));
    world.client.get("/api/vsvip").await.refused(401);
    world.client.get("/api/vsvip").await.refused(401);
    world.lab.add_fault(Fault::new("POST login", Effect::answer(503, "starting")));
    let client = Client::new(&world.lab);
    assert_eq!(client.form_login("admin", "lab-admin-password").await.refused(503), "starting");
    Client::admin(&world.lab).await.get("/api/vsvip").await.ok();
}

#[tokio::test]
async fn calls_without_a_session_count_for_no_rule() {
    let world = World::new().await;
    world.lab.add_fault(Fault::new("*", Effect::answer(500, "boom")).always());
    Client::new(&world.lab).get("/api/vsvip").await.refused(401);
    world.client.get("/api/vsvip").await.refused(500);
    world.client.get("/api/vsvip").await.refused(500);
    world.lab.clear_faults();
    world.client.get("/api/vsvip").await.ok();
}
