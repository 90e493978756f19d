//! Orders of other kinds: many at once, with nothing left to validate, refused, and of an account that is bound.

use std::collections::BTreeSet;

use super::{ISSUED, count, issuer, pebble, served_from};
use crate::parts::openssl;
use crate::parts::pebble::Pebble;
use crate::stage::{BY_HAND, SERVER_NAME, Stage, front};

/// Pebble 2.6 hangs for good at about 50 orders at once; 16 is what certferry has under way at most.
#[tokio::test(flavor = "multi_thread")]
async fn sixteen_certificates_on_two_load_balancers_are_issued_at_once() {
    let listeners: Vec<(String, u16)> = (0..8).map(|number| (format!("tls-{number}"), 8440 + number)).collect();
    let listeners: Vec<(&str, u16)> = listeners.iter().map(|(name, port)| (name.as_str(), *port)).collect();
    let stage = Stage::with(vec![("front", front(&listeners)), ("edge", front(&listeners))]).await;
    let pebble = pebble(&stage, |options| options.nonce_reject_percent = 5).await;
    let mut entries = String::new();
    let mut served_at = Vec::new();
    for (number, fronted) in stage.fronts.iter().enumerate() {
        for (listener, port) in &listeners {
            let name = format!("{listener}.{}.some-domain.test", fronted.name);
            entries +=
                &format!("  {}-{listener}:\n    names: [{name}]\n    http01: front\n    deploy:\n", fronted.name);
            entries += &stage.deploy(number, listener, *port);
            let address = stage.lab.data_plane_address(&fronted.id, *port).expect("the port is bound");
            served_at.push((name, address));
        }
    }
    stage.configure(&issuer(&pebble), &entries);
    stage.apply().await;

    let root = pebble.issuing_root_pem(0).await;
    let mut serials = BTreeSet::new();
    for (name, address) in &served_at {
        let served = openssl::served_and_trusted(*address, name, &root).await;
        serials.insert(served.unwrap_or_else(|said| panic!("{name} at {address}: {said}")).serial);
    }
    assert_eq!(serials.len(), 16);
    assert_eq!(count(&pebble, ISSUED), 16);
    assert_eq!(count(&pebble, "accounts in memory"), 1, "they share one account: {}", pebble.log());
}

/// RFC 8555 §7.1.3: an order whose authorizations are valid already starts `ready`.
#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_valid_already_are_not_validated_again() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.authz_reuse_percent = 100).await;
    stage.configure(&issuer(&pebble), &stage.www());
    stage.apply().await;
    let first = served_from(&pebble, &stage).await;
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    let second = served_from(&pebble, &stage).await;
    assert_ne!(first.serial, second.serial);
    assert_eq!(count(&pebble, "Starting 3 validations"), 1, "{}", pebble.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_ca_refuses_keeps_no_other_certificate_from_being_issued() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.blocked_domains = vec!["blocked.test".to_owned()]).await;
    let blocked = format!("  blocked:\n    names: [shop.blocked.test]\n    deploy:\n{}", stage.deploy(0, "shop", 8443));
    stage.configure(&issuer(&pebble), &format!("{}{blocked}", stage.www()));
    let failed = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    assert!(failed.contains("certificate `blocked`"), "{failed}");
    assert!(failed.contains("rejectedIdentifier"), "{failed}");
    assert!(failed.contains("this CA issues nothing for that name"), "{failed}");
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert_eq!(stage.bound("shop"), BY_HAND);
    let root = pebble.issuing_root_pem(0).await;
    openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await.expect("www is served");

    // No wait ends such a refusal: the CA is not asked again until the config asks for something else.
    let orders = count(&pebble, NEW_ORDER);
    let waiting = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    assert!(waiting.contains("the CA does not issue this"), "{waiting}");
    assert_eq!(count(&pebble, NEW_ORDER), orders, "{}", pebble.log());
    let config = std::fs::read_to_string(stage.config_path()).expect("the config is there");
    std::fs::write(stage.config_path(), config.replace("shop.blocked.test", "shop.some-domain.test"))
        .expect("write it");
    stage.apply().await;
    assert!(stage.bound("shop").starts_with("cf-blocked-"));
}

/// What Pebble prints when an order is asked for.
const NEW_ORDER: &str = "POST /order-plz";

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_bound_to_an_external_account() {
    let stage = Stage::new().await;
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let accounts = vec![("kid-1".to_owned(), key.to_owned())];
    let pebble = pebble(&stage, |options| options.external_accounts = accounts).await;
    stage.configure(&issuer(&pebble), &stage.www());
    let failed = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    assert!(failed.contains("`kid` and `hmac-key` under `eab`"), "{failed}");

    bind_account(&stage, &pebble, key);
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    served_from(&pebble, &stage).await;
}

fn bind_account(stage: &Stage, pebble: &Pebble, key: &str) {
    std::fs::write(stage.path("eab.key"), key).expect("write the key");
    let directory = format!("    directory: {}\n", pebble.directory_url());
    let bound = format!("{directory}    eab: {{ kid: kid-1, hmac-key: file:eab.key }}\n");
    let config = std::fs::read_to_string(stage.config_path()).expect("the config is there");
    assert!(config.contains(&directory), "{config}");
    std::fs::write(stage.config_path(), config.replace(&directory, &bound)).expect("write the config");
}
