//! The first `apply`, and the one after it, for every shape of virtual service.

use super::stage::{AviStage, BY_HAND, CHILD, PARENT, SHOP, SISTER, SISTER_NAME};
use super::{
    answered_challenges, apply_as_planned, issued, issuer, listens_on_port_80, nothing_is_left_to_do, pebble,
    served_from, set,
};
use crate::parts::openssl::{self, KeyKind};
use crate::parts::pebble::PebbleVersion;
use crate::stage::SERVER_NAME;

#[tokio::test(flavor = "multi_thread")]
async fn where_there_is_only_port_443_port_80_is_there_for_the_order_only() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    stage.configure_www(&issuer(&pebble)).await;
    assert!(!listens_on_port_80(&stage).await);
    let changed = apply_as_planned(&stage).await;
    let expected = [
        "+ sslkeyandcertificate ",
        "+ sslkeyandcertificate cf-www",
        "virtualservice shop-443: ssl_key_and_certificate_refs",
    ];
    assert_eq!(changed, set(&expected));
    assert_eq!(stage.bound(SHOP), ["cf-www", BY_HAND[1]], "the RSA certificate stays");
    assert!(!listens_on_port_80(&stage).await, "what was made for the order is gone");
    let answered = answered_challenges(&stage);
    assert_eq!(answered.keys().collect::<Vec<_>>(), ["shop-443-certferry-acme"]);
    assert!(answered.values().sum::<usize>() >= 2, "certferry looked, and then the CA: {answered:?}");

    let served = served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(served.chain.len(), 2, "a leaf and its issuer");
    let status = stage.status("www").await;
    assert_eq!((&status["state"], &status["deployments"][0]["state"]), (&"ok".into(), &"verified".into()), "{status}");
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn port_80_may_be_added_to_the_virtual_service_for_the_order() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    // Its profile sends clients to https where no rule answers before; the order of the two is not documented.
    stage.configure(&stage.config(&issuer(&pebble), stage.www()).http01("port-80: add-service")).await;
    let changed = apply_as_planned(&stage).await;
    assert_eq!(changed.len(), 3, "{changed:?}");
    assert!(changed.contains("virtualservice shop-443: ssl_key_and_certificate_refs"), "{changed:?}");
    assert_eq!(answered_challenges(&stage).into_keys().collect::<Vec<_>>(), [SHOP]);
    assert!(!listens_on_port_80(&stage).await);
    served_from(&pebble, &stage, "www", SERVER_NAME).await;
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sni_child_gets_its_own_certificate_and_its_sister_and_parent_keep_theirs() {
    let stage = AviStage::bare().await.with_sni_child(&[SERVER_NAME]);
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let entry = stage.certificate("www", &[SERVER_NAME], CHILD, "");
    stage.configure(&stage.config(&issuer(&pebble), entry)).await;
    let sister = stage.served(SISTER_NAME).await;
    let parent = stage.served("elsewhere.test").await;
    let changed = apply_as_planned(&stage).await;
    let expected = [
        "+ sslkeyandcertificate ",
        "+ sslkeyandcertificate cf-www",
        "virtualservice child: ssl_key_and_certificate_refs",
    ];
    assert_eq!(changed, set(&expected));
    assert_eq!(stage.bound(CHILD), ["cf-www", BY_HAND[1]]);
    served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(stage.served(SISTER_NAME).await, sister);
    assert_eq!(stage.served("elsewhere.test").await, parent);
    assert!(!listens_on_port_80(&stage).await);
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evh_childs_certificate_is_in_its_parents_list_and_the_others_stay_there() {
    let stage = AviStage::bare().await.with_evh_child(SERVER_NAME);
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let entry = stage.certificate("www", &[SERVER_NAME], CHILD, "");
    stage.configure(&stage.config(&issuer(&pebble), entry)).await;
    let sister = stage.served(SISTER_NAME).await;
    let changed = apply_as_planned(&stage).await;
    let expected = [
        "+ sslkeyandcertificate ",
        "+ sslkeyandcertificate cf-www",
        "virtualservice shared: ssl_key_and_certificate_refs",
    ];
    assert_eq!(changed, set(&expected));
    assert_eq!(stage.bound(PARENT), ["of-the-sister", "cf-www", BY_HAND[1]]);
    assert!(stage.bound(CHILD).is_empty() && stage.bound(SISTER).is_empty());
    served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(stage.served(SISTER_NAME).await, sister);
    assert!(!listens_on_port_80(&stage).await);
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_certificate_for_two_children_is_served_by_each_for_its_own_name() {
    let stage = AviStage::bare().await.with_sni_child(&[SERVER_NAME]);
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let entry = stage.certificate("www", &[SERVER_NAME, SISTER_NAME], CHILD, "");
    stage.configure(&stage.config(&issuer(&pebble), entry + &stage.deploy(SISTER))).await;
    let changed = apply_as_planned(&stage).await;
    let expected = [
        "+ sslkeyandcertificate ",
        "+ sslkeyandcertificate cf-www",
        "virtualservice child: ssl_key_and_certificate_refs",
        "virtualservice sister: ssl_key_and_certificate_refs",
    ];
    assert_eq!(changed, set(&expected));
    let served = served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(served_from(&pebble, &stage, "www", SISTER_NAME).await, served);
    assert!(!listens_on_port_80(&stage).await);
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_childs_wildcard_leads_names_below_it_to_the_child() {
    let stage = AviStage::bare().await.with_sni_child(&["*.apps.some-domain.test"]);
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let (name, other) = ("a.apps.some-domain.test", "b.apps.some-domain.test");
    // The listener is named by the host name that leads to it.
    let entry = stage.certificate("www", &[name], name, "");
    stage.configure(&stage.config(&issuer(&pebble), entry)).await;
    let before = stage.objects();
    stage.apply().await;
    let changed = super::stage::differences(&before, &stage.objects());
    assert_eq!(changed.len(), 3, "{changed:?}");
    assert!(changed.contains("virtualservice child: ssl_key_and_certificate_refs"), "{changed:?}");
    let served = served_from(&pebble, &stage, "www", name).await;
    assert_eq!(stage.served(other).await, served, "the child serves it for all of its names");
    assert_ne!(stage.served("apps.some-domain.test").await, served, "that is no name of the child");
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_of_one_virtual_service_are_in_one_certificate() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let names = [SERVER_NAME, "shop.some-domain.test"];
    stage.configure(&stage.config(&issuer(&pebble), stage.certificate("www", &names, SHOP, ""))).await;
    let changed = apply_as_planned(&stage).await;
    assert_eq!(changed.len(), 3, "{changed:?}");
    assert!(!listens_on_port_80(&stage).await);
    let first = served_from(&pebble, &stage, "www", names[0]).await;
    assert_eq!(served_from(&pebble, &stage, "www", names[1]).await, first);
    assert_eq!(issued(&pebble), 1);
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_service_serves_each_client_the_kind_of_key_that_it_can() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let entries = [("elliptic", "ecdsa-p256"), ("rsa", "rsa-2048")]
        .map(|(name, key)| stage.certificate(name, &[SERVER_NAME], SHOP, &format!("    key: {key}\n")));
    stage.configure(&stage.config(&issuer(&pebble), entries.concat())).await;
    let changed = apply_as_planned(&stage).await;
    let expected = [
        "+ sslkeyandcertificate ",
        "+ sslkeyandcertificate cf-elliptic",
        "+ sslkeyandcertificate cf-rsa",
        "virtualservice shop-443: ssl_key_and_certificate_refs",
    ];
    assert_eq!(changed, set(&expected));
    assert_eq!(stage.bound(SHOP), ["cf-elliptic", "cf-rsa"]);
    assert!(!listens_on_port_80(&stage).await);
    let root = pebble.issuing_root_pem(0).await;
    for (certificate, kind) in [("elliptic", KeyKind::Ecdsa), ("rsa", KeyKind::Rsa)] {
        let served = openssl::served_to_client_of(kind, stage.address(443), SERVER_NAME, &root).await.unwrap();
        assert_eq!(served.serial, stage.issued_serial(certificate).await, "{kind:?}");
        assert_eq!(stage.status(certificate).await["deployments"][0]["state"], "verified");
    }
    nothing_is_left_to_do(&stage, &pebble).await;
}
