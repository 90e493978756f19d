//! Private keys as PEM files hold them: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017 appendix A.1.2) or SEC 1 (RFC 5915).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use certferry_core::{KeyType, Secret};
use zeroize::Zeroizing;

/// A private key of a type that certferry knows.
#[derive(Clone, Debug)]
pub(crate) struct PrivateKey {
    /// PKCS#8 PEM.
    pub(crate) pem: Secret<String>,
    /// Its type.
    pub(crate) key_type: KeyType,
    /// Its public key (SubjectPublicKeyInfo, DER).
    pub(crate) public_key_info: Vec<u8>,
}

impl PrivateKey {
    /// Reads the one private key in PEM text.
    ///
    /// # Errors
    /// What is wrong; nothing of the key is in it.
    pub(super) fn from_pem(text: &str) -> Result<Self, String> {
        let blocks = pem::parse_many(text).map_err(|_| "is not PEM".to_owned())?;
        // openssl puts the curve's name in front of a SEC 1 key.
        let mut keys = blocks.into_iter().filter(|block| block.tag() != "EC PARAMETERS");
        let (Some(block), None) = (keys.next(), keys.next()) else {
            return Err("does not hold exactly one private key".to_owned());
        };
        let tag = block.tag().to_owned();
        let has_headers = block.headers().iter().next().is_some();
        let der = Zeroizing::new(block.into_contents());
        match tag.as_str() {
            "ENCRYPTED PRIVATE KEY" => return Err(ENCRYPTED.to_owned()),
            // RFC 1421 §4.6: Proc-Type and DEK-Info.
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" if has_headers => return Err(ENCRYPTED.to_owned()),
            "EC PRIVATE KEY" | "PRIVATE KEY" | "RSA PRIVATE KEY" => {}
            other => return Err(format!("holds a block `{other}` where a private key belongs")),
        }
        let elliptic = [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING].into_iter();
        let mut elliptic = elliptic.filter_map(|kind| EcdsaKeyPair::from_private_key_der(kind, &der).ok());
        if tag != "RSA PRIVATE KEY"
            && let Some(pair) = elliptic.next()
        {
            return ecdsa(&pair);
        }
        match RsaKeyPair::from_pkcs8(&der).or_else(|_| RsaKeyPair::from_der(&der)) {
            Ok(pair) => rsa(&pair),
            Err(_) => Err(format!("holds no key of a known type, which are {}", known_types())),
        }
    }
}

pub(super) fn ecdsa(pair: &EcdsaKeyPair) -> Result<PrivateKey, String> {
    let document = pair.to_pkcs8v1().map_err(|_| unwritable())?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| unwritable())?;
    // An uncompressed point: one byte, and two coordinates (SEC 1 §2.3.3).
    let key_type = match pair.public_key().as_ref().len() {
        65 => KeyType::EcdsaP256,
        _ => KeyType::EcdsaP384,
    };
    Ok(PrivateKey { pem: to_pem(document.as_ref()), key_type, public_key_info: public.as_ref().to_vec() })
}

pub(super) fn rsa(pair: &RsaKeyPair) -> Result<PrivateKey, String> {
    let bits = pair.public_modulus_len() * 8;
    let key_type = match bits {
        2048 => KeyType::Rsa2048,
        3072 => KeyType::Rsa3072,
        4096 => KeyType::Rsa4096,
        _ => return Err(format!("holds an RSA key of {bits} bits; known types are {}", known_types())),
    };
    let document: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| unwritable())?;
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| unwritable())?;
    Ok(PrivateKey { pem: to_pem(document.as_ref()), key_type, public_key_info: public.as_ref().to_vec() })
}

fn to_pem(der: &[u8]) -> Secret<String> {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    Secret::new(pem::encode_config(&pem::Pem::new("PRIVATE KEY", der), lines))
}

fn known_types() -> String {
    KeyType::ALL.map(KeyType::as_str).join(", ")
}

fn unwritable() -> String {
    "holds a key that cannot be written as PKCS#8".to_owned()
}

const ENCRYPTED: &str = "holds an encrypted key; certbot leaves its keys as they are, and so must this one be";
