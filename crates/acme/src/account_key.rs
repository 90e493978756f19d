//! The key that an account is: signing, JWK (RFC 7517), thumbprint (RFC 7638).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::token::{KeyAuthorization, Token};

/// An account's private key. Cheap to clone; does not print.
///
/// It must not be the key of any certificate (RFC 8555 §11.1).
#[derive(Clone)]
pub struct AccountKey {
    key: Arc<Key>,
}

impl AccountKey {
    /// A new key from the system's randomness.
    pub fn generate(kind: AccountKeyType) -> Result<Self, KeyRejected> {
        match kind {
            AccountKeyType::EcdsaP256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| KeyRejected)?;
                Ok(Self { key: Arc::new(Key::EcdsaP256(pair)) })
            }
        }
    }

    /// Reads an unencrypted PKCS#8 key in DER.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyRejected> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map_err(|_| KeyRejected)?;
        Ok(Self { key: Arc::new(Key::EcdsaP256(pair)) })
    }

    /// The key as unencrypted PKCS#8 in DER; wiped when dropped.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyRejected> {
        match &*self.key {
            Key::EcdsaP256(pair) => {
                let document = pair.to_pkcs8v1().map_err(|_| KeyRejected)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }

    /// Which kind of key it is.
    pub fn key_type(&self) -> AccountKeyType {
        match &*self.key {
            Key::EcdsaP256(_) => AccountKeyType::EcdsaP256,
        }
    }

    /// The JWK thumbprint with SHA-256 (RFC 7638), base64url.
    pub fn thumbprint(&self) -> String {
        // The members of `Jwk` stand in lexicographic order and nothing is optional: its JSON is the canonical one.
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.jwk().to_json().as_bytes()))
    }

    /// What answers a challenge with this token (RFC 8555 §8.1).
    pub fn key_authorization(&self, token: &Token) -> KeyAuthorization {
        KeyAuthorization::new(token, &self.thumbprint())
    }

    pub(crate) fn jwk(&self) -> Jwk {
        match &*self.key {
            Key::EcdsaP256(pair) => {
                // An uncompressed point: 0x04, then both coordinates (SEC 1 §2.3.3).
                let point = pair.public_key().as_ref();
                let coordinates = point.get(1..).unwrap_or_default();
                let (x, y) = coordinates.split_at(coordinates.len() / 2);
                Jwk::Ec { crv: "P-256", kty: "EC", x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) }
            }
        }
    }

    /// The `alg` of a JWS made with this key (RFC 7518 §3.1).
    pub(crate) fn algorithm(&self) -> &'static str {
        match &*self.key {
            Key::EcdsaP256(_) => "ES256",
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyRejected> {
        match &*self.key {
            Key::EcdsaP256(pair) => {
                let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| KeyRejected)?;
                Ok(signature.as_ref().to_vec())
            }
        }
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "AccountKey({:?}, thumbprint {})", self.key_type(), self.thumbprint())
    }
}

/// The kinds of account key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AccountKeyType {
    /// ECDSA on P-256 with SHA-256 (`ES256`): the one kind that every CA takes.
    #[default]
    EcdsaP256,
}

/// The key cannot be read, made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the account key is not a usable unencrypted PKCS#8 key of type ECDSA P-256")]
pub struct KeyRejected;

/// A public key in JSON. The order of members matters for the thumbprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Jwk {
    Ec { crv: &'static str, kty: &'static str, x: String, y: String },
}

impl Jwk {
    pub(crate) fn to_json(&self) -> String {
        match self {
            // All four are plain ASCII without quotes, so this is what a JSON writer would give.
            Self::Ec { crv, kty, x, y } => format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#),
        }
    }
}

enum Key {
    EcdsaP256(EcdsaKeyPair),
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    /// The key of RFC 7515 appendix A.3.
    fn rfc_7515_key() -> AccountKey {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let mut point = vec![4];
        point.extend(decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"));
        point.extend(decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"));
        let private = decode("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI");
        let pair = EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, &private, &point);
        AccountKey { key: Arc::new(Key::EcdsaP256(pair.unwrap())) }
    }

    #[test]
    fn the_jwk_and_thumbprint_are_the_rfcs() {
        let key = rfc_7515_key();
        assert_eq!(
            key.jwk().to_json(),
            concat!(
                r#"{"crv":"P-256","kty":"EC","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#,
                r#""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#
            )
        );
        assert_eq!(serde_json::to_string(&key.jwk()).unwrap(), key.jwk().to_json());
        // Computed with `printf '%s' '<the JSON above>' | openssl dgst -sha256 -binary | basenc --base64url`.
        assert_eq!(key.thumbprint(), "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
        let token: Token = "DGyRejmCefe7v4NfDGDKfA".parse().unwrap();
        assert_eq!(
            key.key_authorization(&token).as_str(),
            "DGyRejmCefe7v4NfDGDKfA.oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"
        );
    }

    #[test]
    fn a_key_survives_export_and_import() {
        let key = AccountKey::generate(AccountKeyType::default()).unwrap();
        let copy = AccountKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(copy.jwk(), key.jwk());
        let signature = copy.sign(b"message").unwrap();
        let Key::EcdsaP256(pair) = &*key.key;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
            .verify(b"message", &signature)
            .unwrap();
    }

    #[test]
    fn keys_of_other_tools_and_other_kinds() {
        let p256 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        assert!(AccountKey::from_pkcs8(p256.serialized_der()).is_ok());
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(AccountKey::from_pkcs8(p384.serialized_der()).unwrap_err(), KeyRejected);
        assert_eq!(AccountKey::from_pkcs8(b"rubbish").unwrap_err(), KeyRejected);
    }

    #[test]
    fn debug_shows_the_public_half_only() {
        let shown = format!("{:?}", rfc_7515_key());
        assert_eq!(shown, "AccountKey(EcdsaP256, thumbprint oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U)");
    }
}
