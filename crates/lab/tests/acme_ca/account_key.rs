//! Account keys that sign as RFC 7518 says.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::KeyPair;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

pub(crate) enum AccountKey {
    Curve { pair: EcdsaKeyPair, algorithm: &'static str },
    Rsa(rsa::KeyPair),
}

impl AccountKey {
    pub(crate) fn p256() -> Self {
        Self::from_p256(&KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub(crate) fn p384() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self::Curve { pair, algorithm: "ES384" }
    }

    pub(crate) fn rsa() -> Self {
        Self::Rsa(rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap())
    }

    /// For keys that are to stand in a CSR too.
    pub(crate) fn from_p256(key: &KeyPair) -> Self {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.serialized_der()).unwrap();
        Self::Curve { pair, algorithm: "ES256" }
    }

    /// For keys that are to stand in a CSR too.
    pub(crate) fn from_rsa(key: &KeyPair) -> Self {
        Self::Rsa(rsa::KeyPair::from_pkcs8(key.serialized_der()).unwrap())
    }

    pub(crate) fn algorithm(&self) -> &'static str {
        match self {
            Self::Curve { algorithm, .. } => algorithm,
            Self::Rsa(_) => "RS256",
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        match self {
            Self::Curve { pair, algorithm } => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at((pair.public_key().as_ref().len() - 1) / 2);
                let curve = if *algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({ "crv": curve, "kty": "EC", "x": encode(x), "y": encode(y) })
            }
            Self::Rsa(pair) => {
                let info = pair.public_key().as_der().unwrap();
                let (_, info) = SubjectPublicKeyInfo::from_der(info.as_ref()).unwrap();
                let PublicKey::RSA(key) = info.parsed().unwrap() else { panic!("not an RSA key") };
                let number = |bytes: &[u8]| encode(bytes.strip_prefix(&[0]).unwrap_or(bytes));
                json!({ "e": number(key.exponent), "kty": "RSA", "n": number(key.modulus) })
            }
        }
    }

    /// RFC 7638; the members of `jwk` stand in alphabetical order.
    pub(crate) fn thumbprint(&self) -> String {
        encode(digest(&SHA256, self.jwk().to_string().as_bytes()).as_ref())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Curve { pair, .. } => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
