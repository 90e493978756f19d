//! A CA that signs what a test wants to import.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256,
};
use serde_json::{Value, json};

use super::NAME;

/// A root and an intermediate.
pub(super) struct Authority {
    pub(super) root_pem: String,
    pub(super) intermediate_pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A leaf as the service takes it.
pub(super) struct Imported {
    pub(super) der: Vec<u8>,
    pub(super) leaf_pem: String,
    pub(super) chain_pem: String,
    pub(super) key_pem: String,
}

impl Authority {
    pub(super) fn new() -> Self {
        let (root_params, root_key) = authority("root");
        let root_pem = root_params.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root_params, root_key);
        let (params, key) = authority("intermediate");
        let intermediate_pem = params.signed_by(&key, &root).unwrap().pem();
        Self { root_pem, intermediate_pem, issuer: Issuer::new(params, key) }
    }

    /// For [`NAME`], with a P-256 key, as common servers have it.
    pub(super) fn issue(&self) -> Imported {
        self.issue_with(|_| {})
    }

    /// The same with something changed.
    pub(super) fn issue_with(&self, change: impl FnOnce(&mut CertificateParams)) -> Imported {
        self.issue_for_key(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), change)
    }

    pub(super) fn issue_for_key(&self, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Imported {
        let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
        params.distinguished_name = common_name(NAME);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut params);
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        Imported {
            der: leaf.der().to_vec(),
            leaf_pem: leaf.pem(),
            chain_pem: self.intermediate_pem.clone(),
            key_pem: key.serialize_pem(),
        }
    }
}

impl Imported {
    /// A `certificateConfig`.
    pub(super) fn config(&self) -> Value {
        json!({
            "configType": "IMPORTED",
            "certificatePem": self.leaf_pem,
            "certChainPem": self.chain_pem,
            "privateKeyPem": self.key_pem,
        })
    }

    /// The same with more fields.
    pub(super) fn config_with(&self, more: Value) -> Value {
        let mut config = self.config();
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    }
}

pub(super) fn common_name(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
}
