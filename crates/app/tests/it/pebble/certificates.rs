//! Certificates of every kind that the config can ask for, down to the handshake.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use super::{issuer, pebble, served_from};
use crate::parts::openssl;
use crate::stage::{SERVER_NAME, Stage};

/// Pebble 2.6 leaves the common name out, as Let's Encrypt's profile `tlsserver` does. OCI does not need one.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_a_common_name_is_served() {
    let stage = Stage::new().await;
    let leaf = leaf_of(&stage, "").await;
    let leaf = certificate(&leaf);
    assert_eq!(leaf.subject().iter().count(), 0, "Pebble has put something into the subject: {}", leaf.subject());
    let status = stage.status().await;
    assert_eq!(status["certificates"][0]["state"], "ok", "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rsa_2048_certificate_is_served() {
    let stage = Stage::new().await;
    let leaf = leaf_of(&stage, "    key: rsa-2048\n").await;
    let leaf = certificate(&leaf);
    let key = leaf.public_key().parsed().expect("a key that the parser knows");
    assert!(matches!(&key, PublicKey::RSA(key) if key.key_size() == 2048), "{key:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ecdsa_p384_certificate_is_served() {
    let stage = Stage::new().await;
    let leaf = leaf_of(&stage, "    key: ecdsa-p384\n").await;
    let leaf = certificate(&leaf);
    let key = leaf.public_key().parsed().expect("a key that the parser knows");
    assert!(matches!(&key, PublicKey::EC(point) if point.key_size() == 384), "{key:?}");
}

/// As many names as Let's Encrypt puts on one certificate.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_names_are_validated_and_served_on_one_certificate() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.nonce_reject_percent = 50).await;
    let mut names: Vec<String> = (1..100).map(|number| format!("n{number}.some-domain.test")).collect();
    names.push(SERVER_NAME.to_owned());
    let entry = format!("  www:\n    names: [{}]\n    deploy:\n{}", names.join(", "), stage.deploy(0, "https", 443));
    stage.configure(&issuer(&pebble), &entry);
    stage.apply().await;

    let served = served_from(&pebble, &stage).await;
    let leaf = pem::parse(&served.chain[0]).expect("PEM").into_contents();
    let leaf = certificate(&leaf);
    let alternatives = leaf.subject_alternative_name().expect("one such extension").expect("there is one");
    assert_eq!(alternatives.value.general_names.len(), 100);
    let root = pebble.issuing_root_pem(0).await;
    for name in [&names[0], &names[98]] {
        let again = openssl::served_and_trusted(stage.address(443), name, &root).await;
        assert_eq!(again.as_ref(), Ok(&served), "{name}");
    }
}

/// The leaf that is served after the first run of a certificate with these further lines of config, DER.
async fn leaf_of(stage: &Stage, lines: &str) -> Vec<u8> {
    let pebble = pebble(stage, |_| {}).await;
    stage.configure(&issuer(&pebble), &format!("{}{lines}", stage.www()));
    stage.apply().await;
    let served = served_from(&pebble, stage).await;
    pem::parse(&served.chain[0]).expect("PEM").into_contents()
}

fn certificate(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).expect("a certificate").1
}
