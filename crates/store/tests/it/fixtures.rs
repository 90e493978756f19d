//! Values that tests put into a store.

use std::sync::LazyLock;

use certferry_core::desired::{KeyHolder, VersionSpec};
use certferry_core::event::{Event, Outcome};
use certferry_core::port::{NewVersion, OpenChallenge};
use certferry_core::recorded::{BundleRecord, Deployment, DeploymentState, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::{IssueFailure, RollBack};
use certferry_core::{BundleName, CertificateName, Chain, KeyType, Secret, Serial};
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256,
};

/// Three chains of two certificates, no two alike: without and with a common name, and one of an RSA key.
pub(crate) static CHAINS: LazyLock<[Chain; 3]> = LazyLock::new(|| {
    [
        chain(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), None),
        chain(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), Some("www.some-domain.com")),
        chain(&KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap(), None),
    ]
});

fn chain(key: &KeyPair, common_name: Option<&str>) -> Chain {
    let issuer_key = KeyPair::generate().unwrap();
    let mut issuer = CertificateParams::new(Vec::new()).unwrap();
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    issuer.distinguished_name.push(DnType::CommonName, "Ünit Test CA");
    let issuer_pem = issuer.self_signed(&issuer_key).unwrap().pem();
    let names = ["www.some-domain.com", "*.some-domain.com"].map(str::to_owned);
    let mut leaf = CertificateParams::new(names).unwrap();
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        leaf.distinguished_name.push(DnType::CommonName, name);
    }
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf = leaf.signed_by(key, &Issuer::new(issuer, issuer_key)).unwrap().pem();
    Chain::parse(&format!("{leaf}{issuer_pem}")).unwrap()
}

/// An instant so many microseconds after a fixed one.
pub(crate) fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(1_780_000_000_123_456 + micros).unwrap()
}

pub(crate) fn name(text: &str) -> CertificateName {
    text.parse().unwrap()
}

pub(crate) fn spec() -> VersionSpec {
    VersionSpec {
        names: ["*.some-domain.com", "www.some-domain.com", "192.0.2.1", "2001:db8::1"]
            .map(|name| name.parse().unwrap())
            .to_vec(),
        key: KeyType::EcdsaP256,
        key_holder: KeyHolder::Store,
        issuer: "letsencrypt".parse().unwrap(),
        directory: "https://ca.test/directory".to_owned(),
        profile: None,
    }
}

/// A version of `certificate` whose key says so.
pub(crate) fn new_version(certificate: &str) -> NewVersion {
    NewVersion {
        certificate: name(certificate),
        spec: spec(),
        replaces: None,
        private_key: Some(Secret::new(private_key(certificate))),
        csr: None,
        created_at: at(0),
    }
}

pub(crate) fn private_key(mark: &str) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{mark}\n-----END PRIVATE KEY-----\n")
}

pub(crate) fn window(start: i64) -> RenewalWindow {
    RenewalWindow {
        start: at(start),
        end: at(start + 7),
        explanation_url: Some("https://ca.some-domain.com/why".to_owned()),
        next_fetch: at(start - 1),
    }
}

pub(crate) fn failure(count: u32) -> IssueFailure {
    IssueFailure {
        at: at(i64::from(count)),
        count,
        error: format!("failure {count}"),
        retry_at: at(60_000_000),
        ordered: Some(spec().digest()),
    }
}

pub(crate) fn challenge(token: &str, version: VersionId) -> OpenChallenge {
    OpenChallenge {
        version,
        name: "www.some-domain.com".parse().unwrap(),
        token: token.to_owned(),
        key_authorization: format!("{token}.thumbprint"),
        load_balancers: vec!["front".parse().unwrap(), "edge".parse().unwrap()],
        dns: None,
    }
}

pub(crate) fn bundle(bundle: &str, version: VersionId, served_at: Option<i64>) -> BundleRecord {
    BundleRecord {
        load_balancer: "front".parse().unwrap(),
        name: BundleName::observed(bundle),
        certificate: name("www"),
        version,
        served_at: served_at.map(at),
        served_version: served_at.map(|_| version),
    }
}

/// A deployment with every field filled.
pub(crate) fn deployment(certificate: &str, listener: &str, version: VersionId, state: DeploymentState) -> Deployment {
    Deployment {
        certificate: name(certificate),
        load_balancer: "front".parse().unwrap(),
        listener: listener.parse().unwrap(),
        state,
        version,
        bundle: BundleName::observed("cf-www-2"),
        previous_bundle: Some(BundleName::observed("by hand")),
        deployed_serial: Some(Serial::from_hex("0a01")),
        served_serial: Some(Serial::from_hex("ff")),
        verified_at: Some(at(5)),
        last_error: Some("no connection".to_owned()),
        roll_back: Some(RollBack { at: at(7), count: 3, error: "serial ff".to_owned(), retry_at: at(6_000_000_000) }),
        updated_at: at(6),
    }
}

pub(crate) fn event(certificate: Option<&str>, detail: &str, outcome: Outcome) -> Event {
    Event {
        at: at(0),
        action: "upload".to_owned(),
        certificate: certificate.map(name),
        load_balancer: Some("front".parse().unwrap()),
        listener: Some("https, the main one".parse().unwrap()),
        object: Some("bundle cf-www-2".to_owned()),
        outcome,
        detail: detail.to_owned(),
    }
}
