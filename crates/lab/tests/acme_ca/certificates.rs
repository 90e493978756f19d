//! What is issued: it holds up to a verifier that is not the lab's, for every kind of key and chain.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::{Chain, Identifier};
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use certferry_lab::pki::PkiKey;
use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, PublicKeyData, RsaKeySize};
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::json;

use crate::world::World;

const NAMES: [&str; 2] = ["a.some-domain.test", "b.some-domain.test"];

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// As a browser that trusts the CA's root would, two hours after the certificate's start.
fn verify(ca: &AcmeCa, chain: &Chain, name: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.issuing_root_pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let certificates: Vec<CertificateDer<'_>> =
        chain.certificates().iter().map(|der| CertificateDer::from(der.as_slice())).collect();
    let at = u64::try_from((chain.leaf().not_before + HOUR * 2).as_second()).unwrap();
    let at = UnixTime::since_unix_epoch(Duration::from_secs(at));
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(&certificates[0], &certificates[1..], &name, &[], at).map(drop)
}

fn rsa() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()
}

#[tokio::test]
async fn every_hierarchy_signs_every_key() {
    let keys = [
        rsa(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
    ];
    let names: Vec<Identifier> = NAMES.iter().map(|name| name.parse().unwrap()).collect();
    for ca_key in [PkiKey::Ecdsa, PkiKey::Rsa] {
        for intermediates in 1..=3 {
            let world = World::with(AcmeCaOptions { intermediates, ca_key, ..AcmeCaOptions::default() }).await;
            for key in &keys {
                let chain = world.issue_with(&NAMES, json!({}), key).await;
                assert_eq!(chain.certificates().len(), intermediates + 1, "the leaf and no root");
                chain.check_ordered(&key.subject_public_key_info(), &names).unwrap();
                for name in NAMES {
                    verify(&world.ca, &chain, name).unwrap();
                }
                verify(&world.ca, &chain, "c.some-domain.test").unwrap_err();
            }
        }
    }
}

#[tokio::test]
async fn the_hierarchy_can_change_while_the_ca_runs() {
    let world = World::new().await;
    let old = world.issue(&NAMES).await;
    let old_root = world.ca.issuing_root_pem();
    world.ca.use_intermediates(3, PkiKey::Rsa).unwrap();
    assert_ne!(world.ca.issuing_root_pem(), old_root);
    let new = world.issue(&NAMES).await;
    assert_eq!((old.certificates().len(), new.certificates().len()), (2, 4));
    verify(&world.ca, &new, NAMES[0]).unwrap();
    verify(&world.ca, &old, NAMES[0]).unwrap_err();
    assert_ne!(old.leaf().issuer, new.leaf().issuer);
}

#[tokio::test]
async fn the_ca_does_not_issue_from_its_own_sites_root() {
    let world = World::new().await;
    assert_ne!(world.ca.issuing_root_pem(), world.ca.trusted_root_pem());
}

#[tokio::test]
async fn lifetime_and_common_name_follow_the_profile() {
    let world = World::new().await;
    for (profile, hours, common_name) in [
        (json!({}), 24 * 90, Some(NAMES[0])),
        (json!({ "profile": "classic" }), 24 * 90, Some(NAMES[0])),
        (json!({ "profile": "tlsserver" }), 24 * 45, None),
        (json!({ "profile": "shortlived" }), 160, None),
    ] {
        let before = now(&world).await;
        let chain = world.issue_with(&NAMES, profile.clone(), &KeyPair::generate().unwrap()).await;
        let after = now(&world).await;
        let leaf = chain.leaf();
        assert_eq!(leaf.common_name.as_deref(), common_name, "{profile}");
        assert!((before..=after).contains(&(leaf.not_before + HOUR)), "{profile}: {leaf:?}, {before} to {after}");
        assert_eq!(leaf.not_after.duration_since(leaf.not_before), SignedDuration::from_hours(hours) + HOUR);
        verify(&world.ca, &chain, NAMES[1]).unwrap();
    }
}

#[tokio::test]
async fn one_lifetime_can_overrule_all_profiles() {
    let world = World::new().await;
    world.ca.set_behaviour(|behaviour| behaviour.lifetime = Some(SignedDuration::from_mins(5)));
    let chain = world.issue_with(&NAMES, json!({ "profile": "tlsserver" }), &KeyPair::generate().unwrap()).await;
    let leaf = chain.leaf();
    assert_eq!(leaf.not_after.duration_since(leaf.not_before), SignedDuration::from_mins(65));
}

#[tokio::test]
async fn certificates_start_by_the_cas_clock() {
    let world = World::new().await;
    let first = world.issue(&NAMES).await;
    world.ca.advance(SignedDuration::from_hours(24 * 60));
    let second = world.issue(&NAMES).await;
    let between = second.leaf().not_before.duration_since(first.leaf().not_before).as_hours();
    assert_eq!(between, 24 * 60);
}

#[tokio::test]
async fn serials_differ_and_key_usage_is_a_servers() {
    let world = World::new().await;
    let (first, second) = (world.issue(&NAMES).await, world.issue(&NAMES).await);
    assert_ne!(first.leaf().serial, second.leaf().serial);
    let (_, leaf) = x509_parser::parse_x509_certificate(first.leaf_der()).unwrap();
    assert!(!leaf.is_ca());
    assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(!leaf.raw_serial().starts_with(&[0]) && leaf.raw_serial().len() == 16, "{:?}", leaf.raw_serial());
}

#[tokio::test]
async fn a_common_name_that_is_too_long_is_left_out() {
    let world = World::new().await;
    let long = format!("{}.{}.test", "a".repeat(40), "b".repeat(40));
    let chain = world.issue(&[&long]).await;
    assert_eq!((chain.leaf().common_name.as_deref(), &chain.leaf().names), (None, &vec![long.clone()]));
    verify(&world.ca, &chain, &long).unwrap();
}

#[tokio::test]
async fn names_are_limited_by_profile() {
    let names: Vec<String> = (0..=100).map(|number| format!("n{number:03}.some-domain.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = World::new().await;
    world.client.new_order(&names, json!({})).await.is_problem(400, "malformed");
    let chain = world.issue(&names[..100]).await;
    assert_eq!(chain.leaf().names, names[..100]);

    let extra = json!({ "profile": "tlsserver" });
    world.client.new_order(&names[..26], extra.clone()).await.is_problem(400, "malformed");
    let chain = world.issue_with(&names[..25], extra, &KeyPair::generate().unwrap()).await;
    assert_eq!(chain.leaf().names, names[..25]);
}

/// The CA's time, by the header of an answer: to the second.
async fn now(world: &World) -> Timestamp {
    let header = world.client.get(&world.ca.directory_url()).await.header("date");
    httpdate::parse_http_date(&header).unwrap().try_into().unwrap()
}
