//! `avi install-control-script`: plan, work, and nothing to do.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{ADMIN_PASSWORD, AviStage, INSTALL, LOGIN, PASSWORD, TOKEN};

const ALL: [&str; 4] =
    ["ControlScript `certferry`", "role `certferry`", "user `certferry`", "certificate management profile `certferry`"];

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_shown_then_carried_out_and_then_there_is_nothing_to_do() {
    let stage = AviStage::new().await;
    let plan = stage.install(&["--plan"]).await.expect_exit(2);
    for part in ALL.iter().chain(&["create", "timeout: 600", "script_params.token: (secret)", "4 steps"]) {
        assert!(plan.stdout().contains(part), "{part} is not in {}", plan.stdout());
    }
    assert!(plan.stderr().contains("made ") && plan.stderr().contains("certferry-api.pem"), "{}", plan.stderr());
    assert_eq!(stage.writes(), 0);

    let done = stage.install(&["--yes"]).await.expect_exit(0);
    assert!(done.stdout().starts_with(&plan.stdout()), "what is planned is shown first:\n{}", done.stdout());
    for part in ALL {
        assert!(done.stdout().contains(&format!("done: create {part}")), "{part} is not in {}", done.stdout());
    }
    assert_eq!(done.stderr(), "", "the certificate is there already");
    assert_eq!(stage.writes(), 4);
    assert_eq!(stage.parameter("url").unwrap(), format!("https://{}", stage.api()));
    assert_eq!(stage.parameter("load_balancer").as_deref(), Some("edge"));
    assert_eq!(stage.parameter("token").as_deref(), Some(TOKEN));
    let certificate = std::fs::read_to_string(stage.path("certferry-api.pem")).unwrap();
    assert_eq!(stage.parameter("trusted_roots").unwrap(), certificate);
    let key = std::fs::metadata(stage.path("certferry-api.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);

    for (arguments, expected) in [(&["--yes"], "nothing to do\n"), (&["--plan"], "nothing to do\n")] {
        assert_eq!(stage.install(arguments).await.expect_exit(0).stdout(), expected);
    }
    let json = stage.install(&["--plan", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(json, json!({"load_balancer": "edge", "done": 0, "steps": []}));
    assert_eq!(stage.writes(), 4);

    // The user that was made can do its work.
    stage.certferry(&["avi", "logs", "edge"]).await.expect_exit(0);
    stage.certferry(&["check", "--online"]).await.expect_exit(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_are_a_document_for_programs() {
    let stage = AviStage::new().await;
    let planned = stage.install(&["--plan", "--output", "json"]).await.expect_exit(2).json();
    assert_eq!(planned["done"], 0);
    let steps = planned["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| step["object"].as_str().unwrap()).collect::<Vec<_>>(), ALL);
    assert_eq!(
        (&steps[0]["action"], &steps[0]["fields"][1]),
        (&json!("create"), &json!({"name": "timeout", "wanted": "600"}))
    );
    let done = stage.install(&["--yes", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!((&done["done"], &done["steps"]), (&json!(4), &planned["steps"]));

    stage.lab.edit("alertscriptconfig", "certferry", |script| script["timeout"] = json!(60)).unwrap();
    let drift = stage.install(&["--plan", "--output", "json"]).await.expect_exit(2).json();
    let field = json!({"name": "timeout", "found": "60", "wanted": "600"});
    assert_eq!((&drift["steps"][0]["action"], &drift["steps"][0]["fields"]), (&json!("update"), &json!([field])));
    let text = stage.install(&["--plan"]).await.expect_exit(2).stdout();
    assert!(text.contains("1. update ControlScript `certferry`\n     timeout: 60 -> 600\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_nothing_is_done_until_somebody_said_yes() {
    let stage = AviStage::new().await;
    for format in ["text", "json"] {
        let ended = stage.install(&["--output", format]).await.expect_exit(64);
        assert!(ended.stdout().contains("user `certferry`"), "the plan is shown: {}", ended.stdout());
        assert!(ended.stderr().contains("hint: add `--yes`"), "{}", ended.stderr());
    }
    assert_eq!(stage.writes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_the_answer_decides() {
    let stage = AviStage::new().await;
    let (code, shown) = on_terminal(&stage, "n\n").await;
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("Carry this out? [y/N]") && shown.contains("nothing was done"), "{shown}");
    assert_eq!(stage.writes(), 0);
    let (code, shown) = on_terminal(&stage, "y\n").await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("Carry this out? [y/N]") && shown.contains("done: create user"), "{shown}");
    assert_eq!(stage.writes(), 4);
}

/// The exit code and what is shown when somebody types `answer` on a terminal, which script(1) is for the program.
async fn on_terminal(stage: &AviStage, answer: &str) -> (Option<i32>, String) {
    let line = [&[env!("CARGO_BIN_EXE_certferry")], &INSTALL[..], &LOGIN].concat().join(" ");
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(stage.folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", stage.folder.path())
        .env("SHELL", "/bin/sh")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(answer.as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    drop(stdin);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_token_in_the_config_the_user_is_left_alone_and_that_is_said() {
    let stage = AviStage::new().await;
    stage.configure(|text| text.replace("password: file:avi.password", "token: file:avi.password"));
    stage.write("admin.token", &stage.lab.new_token("admin", 1).unwrap());
    let login = ["--as", "admin", "--token", "file:admin.token", "--yes"];
    let ended = stage.certferry(&[&INSTALL[..], &login].concat()).await.expect_exit(0);
    assert!(ended.stderr().contains("user `certferry` and its role are left alone"), "{}", ended.stderr());
    assert!(stage.lab.object("role", "certferry").is_err());
    assert!(stage.lab.object("user", "certferry").is_err());
    assert_eq!(stage.parameter("token").as_deref(), Some(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_have_the_names_that_were_asked_for_and_the_user_can_be_left_out() {
    let stage = AviStage::new().await;
    let names = ["--script", "ferry script", "--profile", "ferry profile", "--no-user", "--yes"];
    stage.install(&names).await.expect_exit(0);
    let profile = stage.lab.object("certificatemanagementprofile", "ferry profile").unwrap();
    let script = stage.lab.object("alertscriptconfig", "ferry script").unwrap();
    assert!(profile["run_script_ref"].as_str().unwrap().contains(script["uuid"].as_str().unwrap()), "{profile}");
    assert!(stage.lab.object("user", "certferry").is_err());
    let names = ["--script", "ferry script", "--profile", "ferry profile", "--role", "least", "--yes"];
    stage.install(&names).await.expect_exit(0);
    stage.lab.object("role", "least").unwrap();
    assert!(stage.lab.object("role", "certferry").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_written_again_when_that_is_asked_for() {
    let stage = AviStage::new().await;
    stage.install(&["--yes"]).await.expect_exit(0);
    let other = "open-0123456789-0123456789-another";
    stage.write("edge.token", &format!("{other}\n"));
    assert_eq!(stage.install(&["--plan"]).await.expect_exit(0).stdout(), "nothing to do\n");
    let plan = stage.install(&["--rewrite-secrets", "--plan"]).await.expect_exit(2).stdout();
    assert!(plan.contains("password: written again") && plan.contains("script_params.token: written again"), "{plan}");
    stage.install(&["--rewrite-secrets", "--yes"]).await.expect_exit(0);
    assert_eq!(stage.parameter("token").as_deref(), Some(other));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ones_own_is_trusted_by_the_roots_that_are_named() {
    let stage = AviStage::new().await;
    // Any pair and any root.
    stage.install(&["--plan"]).await.expect_exit(2);
    std::fs::rename(stage.path("certferry-api.pem"), stage.path("api.pem")).unwrap();
    std::fs::rename(stage.path("certferry-api.key"), stage.path("api.key")).unwrap();
    stage.configure(|text| text.replace("api: {", "api: { certificate: api.pem, key: api.key,"));
    stage.install(&["--yes"]).await.expect_exit(0);
    assert_eq!(stage.parameter("trusted_roots"), None, "the controller's own");
    stage.install(&["--trusted-roots", "ca.pem", "--yes"]).await.expect_exit(0);
    assert_eq!(stage.parameter("trusted_roots").as_deref(), Some(stage.ca.trusted_root_pem()));
    assert!(!stage.path("certferry-api.pem").exists());
    let ended = stage.install(&["--trusted-roots", "nowhere.pem", "--yes"]).await.expect_exit(1);
    assert!(ended.stderr().contains("nowhere.pem"), "{}", ended.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_printed_needs_neither_a_controller_nor_a_secret() {
    let stage = AviStage::new().await;
    stage.configure(|text| {
        let text = text
            .replace("file:edge.token", "env:CERTFERRY_EDGE_TOKEN")
            .replace(&stage.lab.url(), "https://127.0.0.1:1");
        text.replace("file:avi.password", "env:AVI_PASSWORD")
    });
    let ended = stage.certferry(&[&INSTALL[..], &["--print"]].concat()).await.expect_exit(0);
    let certificate = std::fs::read_to_string(stage.path("certferry-api.pem")).unwrap();
    for part in [
        "Templates > Scripts > ControlScripts > Create",
        "user `certferry`",
        &format!("url = https://{}", stage.api()),
        "token = (the token of certferry's API for `edge`, from where the config points)",
        "def certificate_request(csr, common_name, args):",
        certificate.trim(),
    ] {
        assert!(ended.stdout().contains(part), "{part} is not in {}", ended.stdout());
    }
    assert!(!ended.stdout().contains("AAAAAAAAAAAAAAAA"), "what stands for a secret is not shown: {}", ended.stdout());
    let json = stage.certferry(&[&INSTALL[..], &["--print", "--output", "json"]].concat()).await.expect_exit(0).json();
    assert_eq!(json["instructions"].as_str().unwrap().trim_end(), ended.stdout().trim_end());
    assert!(
        json["instructions"]
            .as_str()
            .unwrap()
            .trim_end()
            .ends_with(json["control_script"].as_str().unwrap().trim_end())
    );
    assert!(stage.lab.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_any_output() {
    let stage = AviStage::new().await;
    let mut printed = String::new();
    let mut keep = |ended: crate::stage::Ended| {
        printed.push_str(&ended.stdout());
        printed.push_str(&ended.stderr());
    };
    for format in ["text", "json"] {
        let seen = ["-vv", "--output", format];
        keep(stage.install(&[&["--plan"][..], &seen].concat()).await);
        keep(stage.install(&seen).await.expect_exit(64));
        keep(stage.install(&[&["--print"][..], &seen].concat()).await.expect_exit(0));
        keep(stage.install(&[&["--yes"][..], &seen].concat()).await.expect_exit(0));
        keep(stage.install(&[&["--yes", "--rewrite-secrets"][..], &seen].concat()).await.expect_exit(0));
        for command in [&["policy", "edge"][..], &["avi", "logs", "edge"], &["check", "--online"]] {
            keep(stage.certferry(&[command, &seen].concat()).await.expect_exit(0));
        }
        // Refused by the controller, and by certferry.
        stage.write("admin.password", "not-the-admins-password");
        keep(stage.install(&[&["--yes"][..], &seen].concat()).await.expect_exit(1));
        stage.write("admin.password", ADMIN_PASSWORD);
        stage.lab.edit("alertscriptconfig", "certferry", |script| script["action_script"] = json!("print(1)")).unwrap();
        keep(stage.install(&[&["--yes"][..], &seen].concat()).await.expect_exit(1));
        stage
            .lab
            .edit("alertscriptconfig", "certferry", |script| script["action_script"] = json!("# certferry: x"))
            .unwrap();
    }
    assert!(printed.contains("DEBUG"), "-vv logs: {printed}");
    let key = std::fs::read_to_string(stage.path("certferry-api.key")).unwrap();
    let key = key.lines().nth(1).unwrap();
    for secret in [ADMIN_PASSWORD, PASSWORD, TOKEN, "not-the-admins-password", key] {
        assert!(!printed.contains(secret), "{secret} is in what was printed");
    }
}
