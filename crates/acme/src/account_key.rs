//! The key that an account is: signing, JWK (RFC 7517), thumbprint (RFC 7638).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::token::{KeyAuthorization, Token};

/// An account's private key, or that of a certificate which signs its own revocation. Cheap to clone; does not print.
///
/// An account's key must not be the key of any certificate (RFC 8555 §11.1).
#[derive(Clone)]
pub struct AccountKey {
    key: Arc<Key>,
}

impl AccountKey {
    /// A new key from the system's randomness. RSA takes up to seconds of one core.
    pub fn generate(kind: AccountKeyType) -> Result<Self, KeyRejected> {
        let rsa = |size| RsaKeyPair::generate(size).map(Key::Rsa).map_err(|_| KeyRejected);
        let key = match kind {
            AccountKeyType::EcdsaP256 => {
                EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Key::EcdsaP256).map_err(|_| KeyRejected)?
            }
            AccountKeyType::EcdsaP384 => {
                EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).map(Key::EcdsaP384).map_err(|_| KeyRejected)?
            }
            AccountKeyType::Rsa2048 => rsa(KeySize::Rsa2048)?,
            AccountKeyType::Rsa3072 => rsa(KeySize::Rsa3072)?,
            AccountKeyType::Rsa4096 => rsa(KeySize::Rsa4096)?,
        };
        Ok(Self { key: Arc::new(key) })
    }

    /// Reads an unencrypted PKCS#8 key in DER, of any kind that this client signs with.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyRejected> {
        let p256 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).map(Key::EcdsaP256);
        let p384 = || EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, der).map(Key::EcdsaP384);
        let rsa = || RsaKeyPair::from_pkcs8(der).map(Key::Rsa);
        let key = p256().or_else(|_| p384()).or_else(|_| rsa()).map_err(|_| KeyRejected)?;
        let key = Self { key: Arc::new(key) };
        // RSA keys of other sizes have no name here, and CAs refuse them (Boulder: 2048, 3072 or 4096).
        key.kind().map(|_| key.clone()).ok_or(KeyRejected)
    }

    /// The key as unencrypted PKCS#8 in DER; wiped when dropped.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, KeyRejected> {
        match &*self.key {
            Key::EcdsaP256(pair) | Key::EcdsaP384(pair) => {
                let document = pair.to_pkcs8v1().map_err(|_| KeyRejected)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
            Key::Rsa(pair) => {
                let document: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| KeyRejected)?;
                Ok(Zeroizing::new(document.as_ref().to_vec()))
            }
        }
    }

    /// Which kind of key it is.
    pub fn key_type(&self) -> AccountKeyType {
        self.kind().unwrap_or_default()
    }

    fn kind(&self) -> Option<AccountKeyType> {
        match &*self.key {
            Key::EcdsaP256(_) => Some(AccountKeyType::EcdsaP256),
            Key::EcdsaP384(_) => Some(AccountKeyType::EcdsaP384),
            Key::Rsa(pair) => match pair.public_modulus_len() * 8 {
                2048 => Some(AccountKeyType::Rsa2048),
                3072 => Some(AccountKeyType::Rsa3072),
                4096 => Some(AccountKeyType::Rsa4096),
                _ => None,
            },
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
            Key::EcdsaP256(pair) => Jwk::ec("P-256", pair),
            Key::EcdsaP384(pair) => Jwk::ec("P-384", pair),
            Key::Rsa(pair) => {
                let public = pair.public_key();
                let encode = |number: &[u8]| URL_SAFE_NO_PAD.encode(number);
                Jwk::Rsa {
                    e: encode(public.exponent().big_endian_without_leading_zero()),
                    kty: "RSA",
                    n: encode(public.modulus().big_endian_without_leading_zero()),
                }
            }
        }
    }

    /// The `alg` of a JWS made with this key (RFC 7518 §3.1).
    pub(crate) fn algorithm(&self) -> &'static str {
        match &*self.key {
            Key::EcdsaP256(_) => "ES256",
            Key::EcdsaP384(_) => "ES384",
            Key::Rsa(_) => "RS256",
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyRejected> {
        let random = SystemRandom::new();
        match &*self.key {
            Key::EcdsaP256(pair) | Key::EcdsaP384(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| KeyRejected)?;
                Ok(signature.as_ref().to_vec())
            }
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(|_| KeyRejected)?;
                Ok(signature)
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
    /// ECDSA on P-384 with SHA-384 (`ES384`).
    EcdsaP384,
    /// RSA with 2048 bits (`RS256`), as certbot made them for long.
    Rsa2048,
    /// RSA with 3072 bits (`RS256`).
    Rsa3072,
    /// RSA with 4096 bits (`RS256`), as acme-tiny makes them.
    Rsa4096,
}

/// The key cannot be read, made or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the account key is not a usable unencrypted PKCS#8 key: ECDSA P-256 or P-384, or RSA with 2048, 3072 or 4096 bits"
)]
pub struct KeyRejected;

/// A public key in JSON. The order of members matters for the thumbprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Jwk {
    Ec { crv: &'static str, kty: &'static str, x: String, y: String },
    Rsa { e: String, kty: &'static str, n: String },
}

impl Jwk {
    fn ec(crv: &'static str, pair: &EcdsaKeyPair) -> Self {
        // An uncompressed point: 0x04, then both coordinates (SEC 1 §2.3.3).
        let point = pair.public_key().as_ref();
        let coordinates = point.get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        Self::Ec { crv, kty: "EC", x: URL_SAFE_NO_PAD.encode(x), y: URL_SAFE_NO_PAD.encode(y) }
    }

    pub(crate) fn to_json(&self) -> String {
        // All members are plain ASCII without quotes, so this is what a JSON writer would give.
        match self {
            Self::Ec { crv, kty, x, y } => format!(r#"{{"crv":"{crv}","kty":"{kty}","x":"{x}","y":"{y}"}}"#),
            Self::Rsa { e, kty, n } => format!(r#"{{"e":"{e}","kty":"{kty}","n":"{n}"}}"#),
        }
    }
}

enum Key {
    EcdsaP256(EcdsaKeyPair),
    EcdsaP384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
        VerificationAlgorithm,
    };

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

    /// Whether a signature holds for a key's public half.
    fn verifies(key: &AccountKey, message: &[u8], signature: &[u8]) -> bool {
        let (algorithm, public): (&dyn VerificationAlgorithm, &[u8]) = match &*key.key {
            Key::EcdsaP256(pair) => (&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref()),
            Key::EcdsaP384(pair) => (&ECDSA_P384_SHA384_FIXED, pair.public_key().as_ref()),
            Key::Rsa(pair) => (&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref()),
        };
        UnparsedPublicKey::new(algorithm, public).verify(message, signature).is_ok()
    }

    #[test]
    fn a_key_of_any_kind_survives_export_and_import() {
        for kind in [
            AccountKeyType::EcdsaP256,
            AccountKeyType::EcdsaP384,
            AccountKeyType::Rsa2048,
            AccountKeyType::Rsa3072,
            AccountKeyType::Rsa4096,
        ] {
            let key = AccountKey::generate(kind).unwrap();
            let copy = AccountKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap();
            assert_eq!((copy.key_type(), copy.jwk()), (kind, key.jwk()));
            assert_eq!(serde_json::to_string(&key.jwk()).unwrap(), key.jwk().to_json());
            let signature = copy.sign(b"message").unwrap();
            assert!(verifies(&key, b"message", &signature) && !verifies(&key, b"another", &signature), "{kind:?}");
        }
    }

    /// The key and thumbprint of RFC 7638 §3.1.
    #[test]
    fn the_thumbprint_of_an_rsa_key_is_the_rfcs() {
        let n = concat!(
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst",
            "n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajr",
            "n1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
        );
        let json = Jwk::Rsa { e: "AQAB".to_owned(), kty: "RSA", n: n.to_owned() }.to_json();
        let thumbprint = URL_SAFE_NO_PAD.encode(digest(&SHA256, json.as_bytes()));
        assert_eq!(thumbprint, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn keys_of_other_tools_and_other_kinds() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
            let pair = rcgen::KeyPair::generate_for(algorithm).unwrap();
            assert!(AccountKey::from_pkcs8(pair.serialized_der()).is_ok());
        }
        let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        assert_eq!(AccountKey::from_pkcs8(ed25519.serialized_der()).unwrap_err(), KeyRejected);
        assert_eq!(AccountKey::from_pkcs8(b"rubbish").unwrap_err(), KeyRejected);
    }

    #[test]
    fn debug_shows_the_public_half_only() {
        let shown = format!("{:?}", rfc_7515_key());
        assert_eq!(shown, "AccountKey(EcdsaP256, thumbprint oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U)");
    }
}
