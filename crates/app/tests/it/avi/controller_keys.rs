//! Keys that the controller makes and never gives away: certferry gets a CSR, and brings the signed chain.

use certferry::{config, wiring};
use certferry_core::recorded::VersionId;
use certferry_lab::avi_controller::HeldCertificates;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::stage::{AviStage, BY_HAND, SHOP, differences};
use super::{apply_as_planned, issued, issuer, listens_on_port_80, nothing_is_left_to_do, pebble, served_from, set};
use crate::parts::openssl::{self, KeyKind, Served};
use crate::parts::pebble::{Pebble, PebbleVersion};
use crate::stage::SERVER_NAME;

const RENEW: [&str; 3] = ["apply", "--force-renewal", "-vv"];

fn entry(stage: &AviStage, key: &str, names: &[&str]) -> String {
    stage.certificate("www", names, SHOP, &format!("    key: {{ on: controller, type: {key} }}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_elliptic_key_stays_on_the_controller_through_issue_and_renewal() {
    stays_on_the_controller("ecdsa-p256", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_key_stays_on_the_controller_through_issue_and_renewal() {
    stays_on_the_controller("rsa-2048", 1).await;
}

/// `replaced` is the index of the certificate made by hand that has the same kind of key.
async fn stays_on_the_controller(key: &str, replaced: usize) {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    stage.configure(&stage.config(&issuer(&pebble), entry(&stage, key, &[SERVER_NAME]))).await;
    let changed = apply_as_planned(&stage).await;
    let bundle = own_objects(&stage).remove(0);
    let expected = [
        "+ sslkeyandcertificate ",
        &format!("+ sslkeyandcertificate {bundle}"),
        "virtualservice shop-443: ssl_key_and_certificate_refs",
    ];
    assert_eq!(changed, set(&expected));
    let mut bound = BY_HAND.map(str::to_owned);
    bound[replaced] = bundle.clone();
    assert_eq!(stage.bound(SHOP), bound);
    assert!(!listens_on_port_80(&stage).await);
    let first = served(&stage, &pebble, key).await;
    let (uuid, private_key) = (object(&stage, &bundle)["uuid"].clone(), private_key(&stage, &bundle));

    let (objects, writes) = (stage.objects(), writes_on_shop(&stage));
    let renewed = stage.certferry(&RENEW).await.expect_exit(0);
    let second = served(&stage, &pebble, key).await;
    assert_ne!(second.serial, first.serial);
    assert_eq!(public_key(&second), public_key(&first), "a renewal keeps the key");
    assert_eq!(object(&stage, &bundle)["uuid"], uuid);
    assert_eq!(differences(&objects, &stage.objects()), set(&[&format!("sslkeyandcertificate {bundle}: certificate")]));
    assert_eq!(writes_on_shop(&stage), writes);
    assert_eq!(issued(&pebble), 2);

    never_leaves(&stage, &private_key, &[renewed.stdout(), renewed.stderr()]).await;
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_names_make_another_object_and_the_old_one_goes_at_the_next_renewal() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let config = |names: &[&str]| stage.config(&issuer(&pebble), entry(&stage, "ecdsa-p256", names));
    stage.configure(&config(&[SERVER_NAME])).await;
    stage.apply().await;
    let old = own_objects(&stage).remove(0);
    let first = served(&stage, &pebble, "ecdsa-p256").await;

    let names = [SERVER_NAME, "shop.some-domain.test"];
    stage.configure(&config(&names)).await;
    let changed = apply_as_planned(&stage).await;
    let new = own_objects(&stage).into_iter().find(|name| *name != old).unwrap();
    let expected = [&format!("+ sslkeyandcertificate {new}"), "virtualservice shop-443: ssl_key_and_certificate_refs"];
    assert_eq!(changed, set(&expected));
    assert_eq!(stage.bound(SHOP), [&new, BY_HAND[1]]);
    for name in names {
        let served = served_from(&pebble, &stage, "www", name).await;
        assert_ne!(public_key(&served), public_key(&first), "{name}");
    }
    assert_eq!(own_objects(&stage).len(), 2, "the one before is kept, to go back to");
    nothing_is_left_to_do(&stage, &pebble).await;

    let writes = writes_on_shop(&stage);
    stage.certferry(&RENEW).await.expect_exit(0);
    assert_eq!(own_objects(&stage), [new]);
    assert_eq!(writes_on_shop(&stage), writes);
    served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(issued(&pebble), 3);
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_somebody_removed_took_its_key_along_so_a_new_one_is_ordered() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    stage.configure(&stage.config(&issuer(&pebble), entry(&stage, "ecdsa-p256", &[SERVER_NAME]))).await;
    let by_hand = stage.objects()["virtualservice shop-443"]["ssl_key_and_certificate_refs"].clone();
    stage.apply().await;
    let bundle = own_objects(&stage).remove(0);
    let first = served(&stage, &pebble, "ecdsa-p256").await;
    stage.lab.edit("virtualservice", SHOP, move |shop| shop["ssl_key_and_certificate_refs"] = by_hand).unwrap();
    stage.lab.delete("sslkeyandcertificate", &bundle).unwrap();

    stage.apply().await;
    let second = served(&stage, &pebble, "ecdsa-p256").await;
    assert_ne!(public_key(&second), public_key(&first));
    assert_eq!(stage.bound(SHOP), [own_objects(&stage).remove(0).as_str(), BY_HAND[1]]);
    assert_eq!(issued(&pebble), 2);
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_old_certificate_goes_on_being_served_it_is_put_back_beside_the_same_key() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let config = stage.config(&issuer(&pebble), entry(&stage, "ecdsa-p256", &[SERVER_NAME]));
    stage.configure(&config.verify_within("2s")).await;
    stage.apply().await;
    let (first, objects) = (served(&stage, &pebble, "ecdsa-p256").await, stage.objects());
    stage.lab.hold_certificates(HeldCertificates::VirtualService(SHOP.to_owned()));
    stage.certferry(&RENEW).await.expect_exit(5);
    assert_eq!(differences(&objects, &stage.objects()), set(&[]));
    stage.lab.release_certificates();
    assert_eq!(stage.served(SERVER_NAME).await, first);
    stage.apply().await;
    assert_ne!(served(&stage, &pebble, "ecdsa-p256").await, first);
    assert_eq!(issued(&pebble), 2);
}

/// What the virtual service serves, with a key of this type, that of the object's CSR.
async fn served(stage: &AviStage, pebble: &Pebble, key: &str) -> Served {
    let root = pebble.issuing_root_pem(0).await;
    let kind = if key.starts_with("rsa") { KeyKind::Rsa } else { KeyKind::Ecdsa };
    let served = openssl::served_to_client_of(kind, stage.address(443), SERVER_NAME, &root).await.unwrap();
    assert_eq!(served.serial, stage.issued_serial("www").await);
    served
}

/// The private key is in no request and no answer, nor in what certferry printed or keeps.
async fn never_leaves(stage: &AviStage, private_key: &str, printed: &[String]) {
    let requests = stage.lab.requests();
    for request in &requests {
        let body = request.body.as_ref().unwrap_or(&Value::Null);
        let carries_key = request.operation.contains("sslkeyandcertificate") && body.get("key").is_some();
        assert!(!carries_key, "a key was sent: {} {}", request.operation, request.target);
        assert!(!request.target.contains("export_key=true"), "a key was asked for: {}", request.target);
    }
    let exported = stage.lab.events().iter().any(|event| event.event_id == "SSL_KEY_EXPORTED");
    assert!(!exported, "the controller gave a key away");
    let signed = requests.iter().filter(|request| request.operation == "PATCH sslkeyandcertificate");
    assert_eq!(signed.count(), 2, "a signed chain was brought twice");

    let config = config::load(Some(&stage.path("certferry.yaml"))).unwrap();
    let store = wiring::store(&config).await.unwrap();
    for version in [VersionId(1), VersionId(2)] {
        assert!(store.chain(version).await.is_ok(), "there are two versions");
        assert!(store.private_key(version).await.is_err(), "version {version} has a key in the store");
    }
    let lines: Vec<&str> = private_key.lines().filter(|line| !line.starts_with("-----")).collect();
    assert!(lines.len() >= 3, "no private key");
    for line in lines {
        for text in printed {
            assert!(!text.contains(line), "the key was printed");
        }
        for file in ["certferry.db", "certferry.db-wal"] {
            let Ok(bytes) = std::fs::read(stage.path(file)) else { continue };
            assert!(!bytes.windows(line.len()).any(|window| window == line.as_bytes()), "the key is in {file}");
        }
    }
}

/// The key that the controller keeps, as only the lab's owner sees it.
fn private_key(stage: &AviStage, bundle: &str) -> String {
    let stored = stage.lab.stored("sslkeyandcertificate", bundle).unwrap();
    let pem = stored["key"].as_str().unwrap();
    assert!(pem.starts_with("-----BEGIN"));
    pem.to_owned()
}

fn public_key(served: &Served) -> Vec<u8> {
    let leaf = pem::parse(&served.chain[0]).unwrap().into_contents();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    leaf.public_key().raw.to_vec()
}

fn object(stage: &AviStage, bundle: &str) -> Value {
    stage.lab.object("sslkeyandcertificate", bundle).unwrap()
}

/// The certificates that certferry made on the controller, without issuers.
fn own_objects(stage: &AviStage) -> Vec<String> {
    let all = stage.lab.objects("sslkeyandcertificate").unwrap();
    let own = all.iter().filter(|object| object["created_by"] == json!("certferry"));
    own.filter(|object| object["type"] == "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE")
        .map(|object| object["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Writes on [`SHOP`] itself, not on a sibling of it.
fn writes_on_shop(stage: &AviStage) -> usize {
    let uuid = stage.lab.object("virtualservice", SHOP).unwrap()["uuid"].as_str().unwrap().to_owned();
    stage.writes().iter().filter(|record| record.object.as_ref() == Some(&uuid)).count()
}
