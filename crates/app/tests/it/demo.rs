//! README command 1.

use crate::stage::certferry;

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_tells_the_whole_story_and_ends_in_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let ended = certferry(folder.path(), &["demo"]).await.expect_exit(0);
    let story = ended.stdout();
    for piece in [
        "certferry plan",
        "issue done",
        "upload done",
        "bind done",
        "verify done",
        "nothing to do",
        "retire done",
        "serial before",
        "left alone: certferry did not make it",
        "kept for rollback",
        "removed: superseded twice",
    ] {
        assert!(story.contains(piece), "`{piece}` is missing in:\n{story}");
    }
    assert!(!story.contains("CHANGED"), "{story}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "the demo leaves no file behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_as_json_says_what_was_served_before_and_after() {
    let folder = tempfile::tempdir().unwrap();
    let document = certferry(folder.path(), &["demo", "--output", "json"]).await.expect_exit(0).json();
    let listeners = document["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 2);
    for listener in listeners {
        assert_ne!(listener["serial_before"], listener["serial_after"]);
        assert_eq!(listener["other_fields_unchanged"], true);
    }
    assert_eq!(document["bundles_gone"].as_array().unwrap().len(), 1);
}
