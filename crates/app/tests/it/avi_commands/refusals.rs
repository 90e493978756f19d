//! What is refused, and what is said then.

use super::{ADMIN_PASSWORD, AviStage, INSTALL};

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let stage = AviStage::new().await;
    for (option, value) in [
        ("--password", "hunter2"),
        ("--password", "hunter2:with-a-colon"),
        ("--password", "ENV:hunter2"),
        ("--password", "hunter2env:NAME"),
        ("--token", "hunter2"),
    ] {
        for written in [vec![option.to_owned(), value.to_owned()], vec![format!("{option}={value}")]] {
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            let ended = stage.certferry(&[&INSTALL[..], &["--yes", "-vv"], &written].concat()).await.expect_exit(64);
            let said = ended.stderr();
            assert!(said.contains(&format!("`{option}` takes no secret, only a reference to one")), "{said}");
            assert!(said.contains(&format!("hint: write `{option} env:")), "{said}");
            assert!(!said.contains("hunter2") && !ended.stdout().contains("hunter2"), "{said}");
        }
    }
    assert!(stage.lab.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_leads_nowhere_is_named() {
    let stage = AviStage::new().await;
    stage.write("empty", "\n");
    for (reference, exit, expected) in [
        ("env:AVI_ADMIN_PASSWORD", 64, "the environment variable `AVI_ADMIN_PASSWORD` is not set"),
        ("file:nowhere", 1, "cannot be read from nowhere"),
        ("file:empty", 64, "the secret that `--password` points to is empty"),
    ] {
        let ended = stage.certferry(&[&INSTALL[..], &["--password", reference]].concat()).await.expect_exit(exit);
        assert!(ended.stderr().contains(expected), "{}", ended.stderr());
    }
    let ended = stage.certferry(&INSTALL).await.expect_exit(64);
    assert!(
        ended.stderr().contains("administrator's login") && ended.stderr().contains("--print"),
        "{}",
        ended.stderr()
    );
    let both = ["--password", "file:admin.password", "--token", "file:admin.password"];
    stage.certferry(&[&INSTALL[..], &both].concat()).await.expect_exit(64);
    stage.install(&["--plan", "--yes"]).await.expect_exit(64);
    assert!(stage.lab.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_without_a_control_script_or_unknown_is_a_usage_error() {
    let stage = AviStage::new().await;
    let login = ["--password", "file:admin.password", "--yes"];
    let unknown = stage.certferry(&[&["avi", "install-control-script", "edgee"][..], &login].concat()).await;
    assert!(unknown.expect_exit(64).stderr().contains("no load balancer `edgee`; it has: edge"));
    stage.configure(|text| text.replace("      control-script: { token: file:edge.token }\n", ""));
    let ended = stage.install(&["--yes"]).await.expect_exit(64);
    assert!(ended.stderr().contains("has no `control-script` in the config"), "{}", ended.stderr());
    assert!(ended.stderr().contains("hint: add `control-script:"), "{}", ended.stderr());
    for (within, said) in [("soon", "`--within soon`"), ("0s", "`--within 0s`"), ("721h", "`--within 721h`")] {
        let ended = stage.certferry(&["avi", "logs", "edge", "--within", within]).await.expect_exit(64);
        assert!(ended.stderr().contains(said) && ended.stderr().contains("hint: "), "{}", ended.stderr());
    }
    stage.certferry(&["avi", "logs", "edge", "--name", "no host"]).await.expect_exit(64);
    assert!(stage.lab.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_set_it_up_is_told_which_right_is_missing() {
    let stage = AviStage::new().await;
    stage.make_user().await;
    let login = ["--as", "certferry", "--password", "file:avi.password", "--yes"];
    let ended = stage.certferry(&[&INSTALL[..], &login].concat()).await.expect_exit(1);
    assert!(
        ended.stderr().contains("PERMISSION_ALERTCONFIG") && ended.stderr().contains("hint: "),
        "{}",
        ended.stderr()
    );
    assert_eq!(stage.writes(), 0);
    assert!(!ended.stderr().contains(ADMIN_PASSWORD));
}
