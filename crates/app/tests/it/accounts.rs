//! Accounts and exported files, with Pebble as the CA.

use std::os::unix::fs::PermissionsExt;

use crate::parts::openssl::served;
use crate::parts::pebble::{Pebble, PebbleOptions};
use crate::stage::{Issuer, SERVER_NAME, Stage};

/// A stage whose CA is Pebble.
pub(crate) async fn with_pebble() -> (Stage, Pebble) {
    let stage = Stage::new().await;
    let pebble = Pebble::start(PebbleOptions::validating_at(stage.address(80).port())).await;
    let issuer = Issuer { directory_url: pebble.directory_url(), trusted_root_pem: pebble.https_root_pem().to_owned() };
    stage.configure(&issuer, &stage.www());
    (stage, pebble)
}

fn issuer_lines(stage: &Stage, lines: &str) {
    let text = std::fs::read_to_string(stage.config_path()).unwrap();
    let with = format!("trusted-roots: ca.pem\n    {lines}");
    std::fs::write(stage.config_path(), text.replace("trusted-roots: ca.pem", &with)).unwrap();
}

/// The account's URL and what `account show` says of its key; the CA must know both.
pub(crate) async fn shown(stage: &Stage) -> (String, String) {
    let ended = stage.certferry(&["account", "show", "--online", "--output", "json"]).await.expect_exit(0);
    let account = ended.json()["accounts"][0].clone();
    assert_eq!((&account["at_ca"], &account["key_change_under_way"]), (&"valid".into(), &false.into()), "{account}");
    (account["account"].as_str().unwrap().to_owned(), account["key"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_gets_a_new_key_and_stays_the_same_account() {
    let (stage, _pebble) = with_pebble().await;
    stage.apply().await;
    let (url, first) = shown(&stage).await;
    assert!(first.starts_with("ecdsa-p256, thumbprint "), "{first}");
    let mut last = first;
    for kind in ["rsa-2048", "ecdsa-p384"] {
        let text = std::fs::read_to_string(stage.config_path()).unwrap();
        let text: String =
            text.lines().filter(|line| !line.contains("account-key")).map(|line| format!("{line}\n")).collect();
        std::fs::write(stage.config_path(), text).unwrap();
        issuer_lines(&stage, &format!("account-key: {kind}"));
        stage.certferry(&["account", "rotate-key", "ca"]).await.expect_exit(0);
        let (same, key) = shown(&stage).await;
        assert_eq!(same, url);
        assert!(key.starts_with(kind) && key != last, "{key}");
        last = key;
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
        assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
    }
    let history = stage.certferry(&["history"]).await.expect_exit(0).stdout();
    assert!(history.contains("rotate_account_key"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_given_up_orders_nothing_and_is_not_replaced_silently() {
    let (stage, _pebble) = with_pebble().await;
    stage.apply().await;
    let refused = stage.certferry(&["account", "deactivate", "ca"]).await.expect_exit(64);
    assert!(refused.stderr().contains("--yes"), "{}", refused.stderr());
    stage.certferry(&["account", "deactivate", "ca", "--yes"]).await.expect_exit(0);
    let ended = stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(3);
    assert!(ended.stderr().contains("another name"), "{}", ended.stderr());
    stage.certferry(&["account", "rotate-key", "nobody"]).await.expect_exit(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_revoked_by_account_or_key_and_the_next_run_orders_another() {
    let (stage, pebble) = with_pebble().await;
    stage.apply().await;
    stage.certferry(&["revoke", "www"]).await.expect_exit(64);
    for arguments in
        [&["revoke", "www", "--reason", "superseded", "--yes"][..], &["revoke", "www", "--by-key", "--yes"]]
    {
        let serial = stage.issued_serial().await;
        stage.certferry(arguments).await.expect_exit(0);
        // Once more changes nothing.
        stage.certferry(arguments).await.expect_exit(0);
        let status = pebble.certificate_status(&serial).await.expect("Pebble knows it");
        assert_eq!(status["Status"], "Revoked", "{status}");
        let planned = stage.certferry(&["plan"]).await.expect_exit(2).stdout();
        assert!(planned.contains("was revoked at"), "{planned}");
        stage.apply().await;
        assert_ne!(stage.issued_serial().await, serial);
        assert_eq!(served(stage.address(443), SERVER_NAME).await.unwrap().serial, stage.issued_serial().await);
        stage.certferry(&["plan"]).await.expect_exit(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_a_document_too() {
    let (stage, _pebble) = with_pebble().await;
    stage.apply().await;
    let serial = stage.issued_serial().await;
    let document = stage.certferry(&["revoke", "www", "--yes", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!((&document["certificate"], &document["serial"]), (&"www".into(), &serial.into()), "{document}");
    let event = &document["events"][0];
    assert_eq!((&event["action"], &event["outcome"]), (&"revoke".into(), &"done".into()), "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exported_is_what_is_served_and_only_its_owner_reads_it() {
    let (stage, _pebble) = with_pebble().await;
    let early = stage.certferry(&["certificates", "export", "www", "--to", "live"]).await.expect_exit(1);
    assert!(early.stderr().contains("certferry apply"), "{}", early.stderr());
    stage.apply().await;
    let ended = stage.certferry(&["certificates", "export", "www", "--to", "live", "--output", "json"]).await;
    assert_eq!(ended.expect_exit(0).json()["files"].as_array().unwrap().len(), 4);
    let read = |name: &str| {
        let path = stage.path("live/www").join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
        std::fs::read_to_string(path).unwrap()
    };
    let chain = served(stage.address(443), SERVER_NAME).await.unwrap().chain;
    let blocks =
        |text: &str| pem::parse_many(text).unwrap().into_iter().map(pem::Pem::into_contents).collect::<Vec<_>>();
    let served: Vec<Vec<u8>> = chain.iter().flat_map(|one| blocks(one)).collect();
    assert_eq!(blocks(&read("fullchain.pem")), served);
    assert_eq!(blocks(&read("cert.pem")), served[..1]);
    assert_eq!(blocks(&read("chain.pem")), served[1..]);
    let key = rcgen::KeyPair::from_pem(&read("privkey.pem")).unwrap();
    let leaf = x509_parser::parse_x509_certificate(&served[0]).unwrap().1;
    assert_eq!(leaf.public_key().raw, rcgen::PublicKeyData::subject_public_key_info(&key));
}
