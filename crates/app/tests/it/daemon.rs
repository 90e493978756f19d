//! `certferry daemon`: it does by itself what `apply` does once, and stops when it is asked to.

use std::path::Path;
use std::time::Duration;

use certferry_lab::acme_ca::{Answer, Endpoint, Fault};
use certferry_lab::oci_load_balancer::HeldCertificates;

use crate::parts::eventually;
use crate::parts::openssl::served;
use crate::parts::program::{Program, dies_with_us};
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

/// A daemon in `folder`, looking every second.
pub(crate) fn daemon(folder: &Path) -> Program {
    let mut command = dies_with_us(Path::new(env!("CARGO_BIN_EXE_certferry")));
    command.args(["daemon", "--every", "1s"]).current_dir(folder).env("HOME", folder);
    Program::start("certferry daemon", command, folder.join("daemon.log"))
}

/// Asks it to stop, and gives its exit code.
pub(crate) async fn stopped(daemon: &mut Program) -> Option<i32> {
    let process = daemon.process_id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    let ended = eventually(LIMIT, async || daemon.ended()).await;
    ended.unwrap_or_else(|| panic!("it still runs: {}", daemon.last_words())).code()
}

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_issues_delivers_repairs_and_stops_when_asked() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let mut daemon = daemon(stage.folder.path());
    let verified = eventually(LIMIT, async || {
        let state = stage.certferry(&["status", "--output", "json"]).await;
        let state = state.stdout().contains("\"verified\"");
        state.then(|| stage.bound("https"))
    });
    let ours = verified.await.unwrap_or_else(|| panic!("nothing verified: {}", daemon.last_words()));
    assert!(ours.starts_with("cf-"), "{ours}");
    let issued = stage.issued_serial().await;
    assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, issued);

    let held = stage.certferry(&["apply"]).await.expect_exit(1);
    assert!(held.stderr().contains("certferry daemon"), "it says who works on the state: {}", held.stderr());

    let by_hand = |json: &mut serde_json::Value| {
        json["listeners"]["https"]["sslConfiguration"]["certificateName"] = BY_HAND.into();
    };
    stage.lab.edit_load_balancer(stage.id(), by_hand).unwrap();
    let repaired = eventually(LIMIT, async || (stage.bound("https") == ours).then_some(())).await;
    assert!(repaired.is_some(), "{}", daemon.last_words());
    assert_eq!(ca.ca.orders().len(), 1, "a repair needs no order");

    assert_eq!(stopped(&mut daemon).await, Some(0), "{}", daemon.last_words());
    assert!(daemon.printed().ends_with("stopped\n"), "{}", daemon.last_words());
    stage.apply().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_outlives_a_ca_that_is_down_and_goes_on_when_it_is_back() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    for _ in 0..8 {
        let answer = Answer::Html { status: 503, retry_after: None };
        ca.ca.add_fault(Fault { endpoint: Endpoint::NewOrder, skip: 0, answer });
    }
    stage.configure(&ca.issuer(), &stage.www());
    let mut daemon = daemon(stage.folder.path());
    let bound = eventually(LIMIT, async || stage.bound("https").starts_with("cf-").then_some(())).await;
    assert!(bound.is_some(), "{}", daemon.last_words());
    assert_eq!(stopped(&mut daemon).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_with_a_config_that_is_wrong_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("certferry.yaml"), "certificates: [").unwrap();
    crate::stage::certferry(folder.path(), &["daemon"]).await.expect_exit(64);
    let ended = crate::stage::certferry(folder.path(), &["daemon", "--every", "5"]).await.expect_exit(64);
    assert!(ended.stderr().contains("15m"), "{}", ended.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_does_not_bind_what_it_has_put_back_at_every_look_but_at_its_start() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_with(&ca.issuer(), "    verify-within: 1s\n", &stage.www());
    stage.lab.hold_certificates(HeldCertificates::All);
    for starts in 1..=2 {
        let mut daemon = daemon(stage.folder.path());
        let looks = || daemon.printed().matches("it is tried again at").count();
        let waited = eventually(LIMIT, async || (looks() >= 3).then_some(())).await;
        assert!(waited.is_some(), "{}", daemon.last_words());
        assert_eq!(stage.bound("https"), BY_HAND);
        let history = stage.certferry(&["history"]).await.expect_exit(0).stdout();
        let put_back = history.lines().filter(|line| line.contains("roll_back") && line.contains("done")).count();
        assert_eq!(put_back, starts, "{history}");
        let status = stage.status().await["certificates"][0]["deployments"][0].take();
        assert_eq!((&status["state"], status["retry_at"].is_string()), (&"failed".into(), true), "{status}");
        assert_eq!(stopped(&mut daemon).await, Some(0), "{}", daemon.last_words());
    }
    stage.lab.release_certificates();
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1);
}
