//! README command 1.

use serde_json::{Value, json};

use crate::stage::certferry;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_the_whole_story_and_ends_in_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let ended = certferry(folder.path(), &["demo"]).await.expect_exit(0);
    let story = ended.stdout();
    for piece in [
        "certferry plan",
        "issue done",
        "www on front: upload done",
        "www on front/https: bind done",
        "www on front/https: verify done",
        "www on edge: upload done",
        "www on edge/shop-443: bind done: bundle `cf-www` instead of `by-hand-2025`",
        "www on edge/shop-443: verify done",
        "nothing to do",
        "www on front: retire done",
        "serial before",
        "left alone: certferry did not make it",
        "kept for rollback",
        "removed: superseded twice",
        "still the same object, renewed in place",
        "made for each order, and gone: virtual service `shop-443-certferry-acme`",
        "nothing else is different",
    ] {
        assert!(story.contains(piece), "`{piece}` is missing in:\n{story}");
    }
    assert_eq!(
        story.matches("www on edge/shop-443: bind done").count(),
        1,
        "a renewal in place binds nothing:\n{story}"
    );
    assert!(!story.contains("CHANGED"), "{story}");
    let long: Vec<&str> = story.lines().filter(|line| line.chars().count() > 100).collect();
    assert!(long.is_empty(), "{long:#?}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the demo leaves no file behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_as_json_says_what_was_served_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let document = certferry(folder.path(), &["demo", "--output", "json"]).await.expect_exit(0).json();
    let listeners = document["listeners"].as_array().unwrap();
    let places: Vec<_> = listeners.iter().map(|one| [&one["load_balancer"], &one["listener"]]).collect();
    assert_eq!(json!(places), json!([["front", "admin"], ["front", "https"], ["edge", "shop-443"]]));
    for listener in listeners {
        assert_ne!(listener["serial_before"], listener["serial_after"]);
        assert_eq!(listener["serial_after"], listeners[0]["serial_after"], "one certificate for all");
        assert_eq!((&listener["chain_length"], &listener["other_fields_unchanged"]), (&json!(2), &json!(true)));
    }
    assert_eq!(fates(&document, "front"), ["left_alone", "removed", "kept", "served"]);
    assert_eq!(fates(&document, "edge"), ["left_alone", "issuer", "renewed", "left_alone"]);

    let others = &document["others"];
    let path = ["backend set `certferry-acme`", "listener `http`", "path route set `certferry_acme`"];
    assert_eq!((&others[0]["made"], &others[0]["changed"]), (&json!(path), &json!([])));
    assert_eq!((&others[1]["made"], &others[1]["changed"]), (&json!([]), &json!([])));
    let sibling = &others[1]["came_and_went"]["virtual service `shop-443-certferry-acme`"];
    // Three orders of two names: each response is fetched by certferry, and that of one name by the CA too.
    assert!(sibling.as_u64().unwrap() >= 9, "{others}");
}

/// What became of the bundles of a load balancer, in the order of their names.
fn fates(document: &Value, load_balancer: &str) -> Vec<String> {
    let bundles = document["bundles"].as_array().unwrap().iter();
    let own = bundles.filter(|bundle| bundle["load_balancer"] == load_balancer);
    own.map(|bundle| bundle["fate"].as_str().unwrap().to_owned()).collect()
}
