//! What an operator types and reads: exit codes, messages, JSON.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::stage::{Stage, certferry};

/// A stage whose config is good, and its text.
async fn good() -> (Stage, String) {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let text = std::fs::read_to_string(stage.config_path()).unwrap();
    (stage, text)
}

/// `check` refuses a changed config: the message shows the place and these pieces, and stdout stays empty.
async fn refused(change: impl FnOnce(&str) -> String, pieces: &[&str]) {
    let (stage, text) = good().await;
    let changed = change(&text);
    assert_ne!(changed, text, "the change changes nothing");
    std::fs::write(stage.config_path(), changed).unwrap();
    let ended = stage.certferry(&["check"]).await.expect_exit(64);
    for piece in [&["error: ", "certferry.yaml:"], pieces].concat() {
        assert!(ended.stderr().contains(piece), "`{piece}` is missing:\n{}", ended.stderr());
    }
    assert_eq!(ended.stdout(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_config_is_good() {
    let (stage, _) = good().await;
    let ended = stage.certferry(&["check"]).await.expect_exit(0);
    assert!(ended.stdout().contains("the config is good"), "{}", ended.stdout());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_key_shows_its_line_and_what_was_meant() {
    refused(|text| text.replace("listen:", "lisen:"), &["lisen", "listen"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_variable_shows_its_line_and_its_name() {
    let eab = "    eab: { kid: kid-1, hmac-key: env:NO_SUCH_VARIABLE }\n";
    let change = |text: &str| text.replace("load-balancers:\n", &format!("{eab}load-balancers:\n"));
    refused(change, &["NO_SUCH_VARIABLE"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_file_shows_its_line_and_its_path() {
    refused(|text| text.replace("trusted-roots: ca.pem", "trusted-roots: no-such.pem"), &["no-such.pem"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dangling_reference_shows_its_line_and_what_there_is() {
    refused(|text| text.replace("load-balancer: front", "load-balancer: frnt"), &["frnt", "front"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_name_shows_its_line() {
    let again = |text: &str| {
        let (_, entry) = text.split_once("certificates:\n").unwrap();
        format!("{text}{entry}")
    };
    refused(again, &["www"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_others_can_read_is_refused_with_the_command_that_helps() {
    let (stage, text) = good().await;
    std::fs::write(stage.config_path(), format!("state:\n  key-file: my.key\n{text}")).unwrap();
    std::fs::write(stage.path("my.key"), "x").unwrap();
    std::fs::set_permissions(stage.path("my.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ended = stage.certferry(&["check"]).await.expect_exit(64);
    for piece in ["my.key", "chmod 600", "certferry.yaml:2"] {
        assert!(ended.stderr().contains(piece), "`{piece}` is missing:\n{}", ended.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_config_and_wrong_words_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    let ended = certferry(folder.path(), &["plan"]).await.expect_exit(64);
    assert!(ended.stderr().contains("--config"), "{}", ended.stderr());
    certferry(folder.path(), &["dance"]).await.expect_exit(64);
    certferry(folder.path(), &[]).await.expect_exit(64);
    certferry(folder.path(), &["--version"]).await.expect_exit(0);
    let (stage, _) = good().await;
    let ended = stage.certferry(&["apply", "--only", "wwww"]).await.expect_exit(64);
    assert!(ended.stderr().contains("`wwww`") && ended.stderr().contains("www"), "{}", ended.stderr());
    stage.certferry(&["policy", "nowhere"]).await.expect_exit(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_has_json_and_nothing_else_on_stdout() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let before: [(&[&str], i32); 4] = [(&["check"], 0), (&["check", "--online"], 0), (&["plan"], 2), (&["apply"], 0)];
    let after: [(&[&str], i32); 5] =
        [(&["plan"], 0), (&["apply"], 0), (&["status"], 0), (&["history"], 0), (&["policy", "front"], 0)];
    for (command, exit) in before.into_iter().chain(after) {
        let arguments = [command, &["--output", "json", "-vv"]].concat();
        let document = stage.certferry(&arguments).await.expect_exit(exit).json();
        assert!(document.is_object(), "{command:?}: {document}");
        keys_are_snake_case(&document);
    }
    // A failure is a document too.
    stage.configure(&ca.issuer(), &stage.www().replace("listener: https,", "listener: htps,"));
    let document = stage.certferry(&["apply", "--output", "json"]).await.expect_exit(4).json();
    assert_eq!(document["failures"][0]["listener"], "htps", "{document}");
    let policy = stage.certferry(&["policy", "front"]).await.expect_exit(0).stdout();
    assert!(policy.contains("to use load-balancers in compartment"), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_in_the_config_is_in_the_document_of_check() {
    let (stage, text) = good().await;
    let spare = "  spare: { oci: { load-balancer-id: ocid1.loadbalancer.oc1.iad.spare, auth: instance-principal } }\n";
    let changed = text.replacen("load-balancers:\n", &format!("load-balancers:\n{spare}"), 1);
    std::fs::write(stage.config_path(), changed).unwrap();
    let document = stage.certferry(&["check", "--output", "json"]).await.expect_exit(0).json();
    let warning = document["warnings"][0].as_str().unwrap();
    assert!(warning.contains("certferry.yaml:") && warning.contains("load balancer `spare`"), "{document}");
}

fn keys_are_snake_case(value: &Value) {
    match value {
        Value::Array(values) => values.iter().for_each(keys_are_snake_case),
        Value::Object(map) => {
            for (key, value) in map {
                let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
                assert!(key.chars().all(fits), "{key}");
                keys_are_snake_case(value);
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_engine_on_a_store_is_told_who_holds_it() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    ca.ca.set_behaviour(|behaviour| behaviour.validation_delay = std::time::Duration::from_secs(3));
    stage.configure(&ca.issuer(), &stage.www());
    let (first, second) = tokio::join!(stage.certferry(&["apply"]), async {
        // The first one holds the lease when the CA has been asked to validate.
        while ca.ca.count(certferry_lab::acme_ca::Endpoint::Challenge) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        stage.certferry(&["apply"]).await
    });
    first.expect_exit(0);
    let second = second.expect_exit(1);
    assert!(second.stderr().contains("certferry apply"), "{}", second.stderr());
    assert!(second.stderr().contains("hint:"), "{}", second.stderr());
    stage.status().await;
}
