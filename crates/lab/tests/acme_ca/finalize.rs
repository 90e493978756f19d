//! Finalizing an order (RFC 8555 §7.4): which CSRs are taken, and how often.

use rcgen::{DnType, DnValue, KeyPair, RsaKeySize, SanType};
use serde_json::json;

use crate::account_key::AccountKey;
use crate::client::Client;
use crate::world::{Order, World, csr, request};

const NAMES: [&str; 2] = ["a.some-domain.test", "b.some-domain.test"];

/// Refused, and the order is as it was.
async fn is_refused(world: &World, order: &Order, csr: &[u8]) {
    world.finalize(order, csr).await.is_problem(400, "badCSR");
    assert_eq!(world.read(order).await["status"], "ready");
}

#[tokio::test]
async fn an_order_is_finalized_when_it_is_ready_and_once() {
    let world = World::new().await;
    let order = world.order(&NAMES).await;
    let csr = csr(&NAMES, &KeyPair::generate().unwrap());
    world.finalize(&order, &csr).await.is_problem(403, "orderNotReady");
    assert_eq!(world.ca.orders()[0].finalized, 0);

    world.prove(&order).await;
    assert_eq!(world.finalize(&order, &csr).await.json()["status"], "processing");
    world.finalize(&order, &csr).await.is_problem(403, "orderNotReady");
    let chain = world.certificate(&order).await;
    world.finalize(&order, &csr).await.is_problem(403, "orderNotReady");

    let record = world.ca.orders().remove(0);
    assert_eq!((record.status, record.finalized), ("valid", 1));
    assert_eq!(record.serial.as_deref(), Some(chain.leaf().serial.as_str()));
    assert_eq!(world.certificate(&order).await.pem(), chain.pem(), "it can be read again");
}

#[tokio::test]
async fn a_csr_has_exactly_the_orders_names() {
    let world = World::new().await;
    let order = world.ready_order(&NAMES).await;
    let key = KeyPair::generate().unwrap();
    for names in [
        &NAMES[..1],
        &["a.some-domain.test", "b.some-domain.test", "c.some-domain.test"],
        &["a.some-domain.test", "c.some-domain.test"],
        &["a.some-domain.test", "a.some-domain.test", "b.some-domain.test"],
        &[],
    ] {
        is_refused(&world, &order, &csr(names, &key)).await;
    }
    let mut with_address = request(&NAMES);
    with_address.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
    is_refused(&world, &order, with_address.serialize_request(&key).unwrap().der()).await;

    let backwards = csr(&[NAMES[1], NAMES[0]], &key);
    assert_eq!(world.finalize(&order, &backwards).await.status, 200, "their order does not matter");
}

#[tokio::test]
async fn a_csrs_common_name_is_one_of_its_names() {
    let world = World::new().await;
    let order = world.ready_order(&NAMES).await;
    let key = KeyPair::generate().unwrap();
    let mut params = request(&NAMES);
    params.distinguished_name.push(DnType::CommonName, "c.some-domain.test");
    is_refused(&world, &order, params.serialize_request(&key).unwrap().der()).await;

    params.distinguished_name.push(DnType::CommonName, DnValue::Utf8String(NAMES[1].to_owned()));
    assert_eq!(world.finalize(&order, params.serialize_request(&key).unwrap().der()).await.status, 200);
    assert_eq!(world.certificate(&order).await.leaf().common_name.as_deref(), Some(NAMES[0]), "the CA chooses");
}

#[tokio::test]
async fn a_csr_is_whole_and_signed_by_its_key() {
    let world = World::new().await;
    let order = world.ready_order(&NAMES).await;
    let good = csr(&NAMES, &KeyPair::generate().unwrap());
    let mut badly_signed = good.clone();
    *badly_signed.last_mut().unwrap() ^= 1;
    let mut trailing = good.clone();
    trailing.push(0);
    for spoiled in [&badly_signed, &trailing, &good[..good.len() - 1].to_vec(), &Vec::new(), &b"csr".to_vec()] {
        is_refused(&world, &order, spoiled).await;
    }
    let url = order.body["finalize"].as_str().unwrap();
    for payload in [json!({}), json!({ "csr": 7 }), json!({ "csr": "not+base64url=" })] {
        world.client.post(url, &payload).await.is_problem(400, "malformed");
    }
    assert_eq!(world.finalize(&order, &good).await.status, 200);
}

#[tokio::test]
async fn an_accounts_key_is_no_certificates_key() {
    let curve = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let rsa = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    for (key, account_key) in [(&curve, AccountKey::from_p256(&curve)), (&rsa, AccountKey::from_rsa(&rsa))] {
        let mut world = World::new().await;
        world.client = Client::registered(&world.ca, account_key).await;
        let order = world.ready_order(&NAMES).await;
        is_refused(&world, &order, &csr(&NAMES, key)).await;
        let other = KeyPair::generate().unwrap();
        assert_eq!(world.finalize(&order, &csr(&NAMES, &other)).await.status, 200);
    }
}
