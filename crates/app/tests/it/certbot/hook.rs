//! `certferry deploy-hook`, run by certbot.

use certferry_lab::oci_load_balancer::{Effect, Fault};

use super::WithCertbot;
use crate::daemon::{daemon, stopped};
use crate::parts::openssl::served_at_address_and_trusted;
use crate::stage::{SERVER_NAME, Stage};

/// The hook as it stands in certbot's config.
fn hook(stage: &Stage, more: &str) -> String {
    format!("{} deploy-hook --config {}{more}", env!("CARGO_BIN_EXE_certferry"), stage.config_path().display())
}

/// Certificate `www`, renewed by certbot.
fn by_certbot(stage: &Stage) -> String {
    stage.www().replace("    deploy:", "    renewed-by: certbot\n    deploy:")
}

async fn with_hook() -> (WithCertbot, String) {
    let all = WithCertbot::new().await;
    all.configure(&by_certbot(&all.stage));
    let hook = hook(&all.stage, "");
    (all, hook)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certbot_renews_is_delivered_by_its_hook_and_never_ordered_by_certferry() {
    let (all, hook) = with_hook().await;
    let waits = all.stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    assert!(waits.contains("has not handed over a version yet") && waits.contains("deploy-hook"), "{waits}");

    let run = all.certbot.certonly(&[SERVER_NAME], &["--deploy-hook", &hook]).await.expect_success();
    assert!(run.printed.contains("delivered and verified"), "{}", run.printed);
    let first = all.lineage_serial(SERVER_NAME);
    assert_eq!((all.served_serial().await, all.issued()), (first.clone(), 1));
    all.stage.certferry(&["plan"]).await.expect_exit(0);

    all.certbot.run(&["renew", "--force-renewal", "--no-random-sleep-on-renew"]).await.expect_success();
    let second = all.lineage_serial(SERVER_NAME);
    assert_ne!(second, first);
    assert_eq!((all.served_serial().await, all.issued()), (second.clone(), 2));

    all.stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    assert_eq!((all.served_serial().await, all.issued()), (second.clone(), 2), "certferry orders nothing");
    let status = all.stage.status().await;
    let www = &status["certificates"][0];
    assert_eq!((&www["state"], &www["issued"]["serial"]), (&"ok".into(), &second.into()), "{status}");
    assert_eq!(all.stage.own_bundles().len(), 2, "the one before stays for rollback");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_hook_cannot_deliver_certbot_shows_and_a_later_apply_delivers() {
    let (all, hook) = with_hook().await;
    let refuse = Effect::answer(400, "LimitExceeded", "the certificate store is full");
    all.stage.lab.add_fault(Fault::new("CreateCertificate", refuse).always());
    let run = all.certbot.certonly(&[SERVER_NAME], &["--deploy-hook", &hook]).await;
    for piece in ["error code 4", "the certificate store is full", "NOT delivered"] {
        assert!(run.printed.contains(piece), "`{piece}` is missing in\n{}", run.printed);
    }
    all.stage.certferry(&["apply"]).await.expect_exit(4);
    all.stage.lab.clear_faults();
    all.stage.apply().await;
    assert_eq!((all.served_serial().await, all.issued()), (all.lineage_serial(SERVER_NAME), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_does_not_fit_says_what_to_write() {
    let all = WithCertbot::new().await;
    let alone = all.stage.certferry(&["deploy-hook"]).await.expect_exit(64).stderr();
    assert!(alone.contains("RENEWED_LINEAGE") && alone.contains("deploy-hook = certferry deploy-hook"), "{alone}");
    let hook = hook(&all.stage, "");
    let run = all.certbot.certonly(&[SERVER_NAME], &["--deploy-hook", &hook]).await;
    for piece in ["error code 64", "renewed-by: certbot", "certferry import certbot"] {
        assert!(run.printed.contains(piece), "`{piece}` is missing in\n{}", run.printed);
    }
    all.configure(&by_certbot(&all.stage).replace("    names:", "    key: rsa-2048\n    names:"));
    let renew = ["renew", "--force-renewal", "--no-random-sleep-on-renew"];
    let run = all.certbot.run(&renew).await;
    assert!(run.printed.contains("key: ecdsa-p256"), "{}", run.printed);
    all.configure(&by_certbot(&all.stage).replace(SERVER_NAME, "other.some-domain.test"));
    let run = all.certbot.run(&renew).await;
    assert!(run.printed.contains(&format!("names: [{SERVER_NAME}]")), "{}", run.printed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lineage_that_is_there_already_is_handed_over_by_import() {
    let all = WithCertbot::new().await;
    all.certbot.certonly(&[SERVER_NAME], &[]).await.expect_success();
    all.configure(&by_certbot(&all.stage));
    all.import(&["--yes"]).await.expect_exit(0);
    all.stage.apply().await;
    assert_eq!((all.served_serial().await, all.issued()), (all.lineage_serial(SERVER_NAME), 1));
    let refused = all.stage.certferry(&["revoke", "www", "--yes"]).await.expect_exit(64).stderr();
    assert!(refused.contains("certbot revoke"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_holds_the_state_delivers_what_the_hook_took_over_and_the_hook_waits_for_it() {
    let (all, hook) = with_hook().await;
    // The daemon's responder listens all the time, so certbot's needs another address.
    let text = std::fs::read_to_string(all.stage.config_path()).unwrap();
    std::fs::write(all.stage.config_path(), text.replace("listen: 127.0.0.1:", "listen: 127.0.0.2:")).unwrap();
    let mut daemon = daemon(all.stage.folder.path());
    let run = all.certbot.certonly(&[SERVER_NAME], &["--deploy-hook", &hook]).await.expect_success();
    assert!(run.printed.contains("delivered and verified"), "{}\n{}", run.printed, daemon.last_words());
    let serial = all.lineage_serial(SERVER_NAME);
    assert_eq!((all.served_serial().await, all.issued()), (serial.clone(), 1));
    assert_eq!(stopped(&mut daemon).await, Some(0));
    // Once more changes nothing.
    let lineage = all.certbot.config_folder().join("live").join(SERVER_NAME).display().to_string();
    let again = ["deploy-hook", "--output", "json"];
    let again = all.stage.certferry_with(&[("RENEWED_LINEAGE", &lineage)], &again).await.expect_exit(0).json();
    assert_eq!((&again["taken_over"], &again["delivered"]), (&false.into(), &true.into()), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certbot_gets_for_an_address_is_delivered_too() {
    let (all, hook) = with_hook().await;
    let address = all.stage.address(443).ip().to_string();
    all.configure(&by_certbot(&all.stage).replace(&format!("[{SERVER_NAME}]"), &format!("[{address}, {SERVER_NAME}]")));
    let more = ["--ip-address", address.as_str(), "--cert-name", "site", "--deploy-hook", hook.as_str()];
    let run = all.certbot.certonly(&[SERVER_NAME], &more).await.expect_success();
    assert!(run.printed.contains("delivered and verified"), "{}", run.printed);
    let root = all.pebble.issuing_root_pem(0).await;
    let served = served_at_address_and_trusted(all.stage.address(443), &address, &root).await.unwrap();
    assert_eq!((served.serial, all.issued()), (all.lineage_serial("site"), 1));
}
