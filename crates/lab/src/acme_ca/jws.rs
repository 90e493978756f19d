//! JWS as RFC 8555 §6.2 wants it, and nothing else.

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Map, Value};
use x509_parser::public_key::PublicKey as CertificateKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::problem::Problem;

const ALGORITHMS: &[&str] = &["ES256", "ES384", "RS256"];

/// A request body that is a well-formed JWS; its signature is not checked yet.
pub(super) struct Jws {
    pub(super) nonce: String,
    pub(super) url: String,
    pub(super) signer: Signer,
    pub(super) payload: Vec<u8>,
    algorithm: String,
    signed: String,
    signature: Vec<u8>,
}

/// Who says to have signed.
pub(super) enum Signer {
    /// The account's URL.
    Account(String),
    /// A key that is not an account's yet.
    Key(PublicKey),
}

/// A public key, from a JWK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    /// RFC 7638.
    pub(super) thumbprint: String,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    /// The uncompressed point, on P-256 or P-384.
    Curve { is_p384: bool, point: Vec<u8> },
    /// Modulus and exponent.
    Rsa { modulus: Vec<u8>, exponent: Vec<u8> },
}

impl Jws {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let outer: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| Problem::malformed(format!("not a JSON object: {error}")))?;
        if let Some(other) = outer.keys().find(|key| !["protected", "payload", "signature"].contains(&key.as_str())) {
            return Err(Problem::malformed(format!("a flattened JWS has no `{other}`")));
        }
        let protected_text = text(&outer, "protected")?;
        let payload_text = text(&outer, "payload")?;
        let protected: Map<String, Value> = serde_json::from_slice(&decode(protected_text)?)
            .map_err(|error| Problem::malformed(format!("the protected header is not a JSON object: {error}")))?;
        if let Some(other) = protected.keys().find(|key| !["alg", "nonce", "url", "jwk", "kid"].contains(&key.as_str()))
        {
            return Err(Problem::malformed(format!("the protected header must not have `{other}`")));
        }
        let signer = match (protected.get("jwk"), protected.get("kid")) {
            (Some(jwk), None) => Signer::Key(PublicKey::from_jwk(jwk)?),
            (None, Some(Value::String(kid))) => Signer::Account(kid.clone()),
            _ => return Err(Problem::malformed("exactly one of jwk and kid must be there")),
        };
        Ok(Self {
            nonce: text(&protected, "nonce")?.to_owned(),
            url: text(&protected, "url")?.to_owned(),
            algorithm: text(&protected, "alg")?.to_owned(),
            payload: decode(payload_text)?,
            signed: format!("{protected_text}.{payload_text}"),
            signature: decode(text(&outer, "signature")?)?,
            signer,
        })
    }

    /// Checks the signature.
    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), Problem> {
        if !ALGORITHMS.contains(&self.algorithm.as_str()) {
            let detail = format!("algorithm {} is not supported", self.algorithm);
            let problem = Problem::new(StatusCode::BAD_REQUEST, "badSignatureAlgorithm", detail);
            return Err(problem.with_algorithms(ALGORITHMS));
        }
        if key.verify(&self.algorithm, self.signed.as_bytes(), &self.signature) {
            return Ok(());
        }
        Err(Problem::malformed("the JWS's signature does not verify"))
    }
}

impl PublicKey {
    fn from_jwk(jwk: &Value) -> Result<Self, Problem> {
        let bad = |why: &str| Problem::new(StatusCode::BAD_REQUEST, "badPublicKey", why);
        let jwk = jwk.as_object().ok_or_else(|| bad("the jwk is not an object"))?;
        if jwk.contains_key("d") {
            return Err(bad("the jwk holds a private key"));
        }
        match text(jwk, "kty")? {
            "EC" => {
                let is_p384 = match text(jwk, "crv")? {
                    "P-256" => false,
                    "P-384" => true,
                    other => return Err(bad(&format!("curve {other} is not supported"))),
                };
                let (x, y) = (decode(text(jwk, "x")?)?, decode(text(jwk, "y")?)?);
                let size = if is_p384 { 48 } else { 32 };
                if x.len() != size || y.len() != size {
                    return Err(bad("a coordinate has the wrong length"));
                }
                let canonical = serde_json::json!({ "crv": jwk["crv"], "kty": "EC", "x": jwk["x"], "y": jwk["y"] });
                let point = [vec![4], x, y].concat();
                Ok(Self { thumbprint: thumbprint(&canonical), material: Material::Curve { is_p384, point } })
            }
            "RSA" => {
                let (modulus, exponent) = (decode(text(jwk, "n")?)?, decode(text(jwk, "e")?)?);
                if !(256..=512).contains(&modulus.len()) {
                    return Err(bad("RSA keys have 2048 to 4096 bits"));
                }
                let canonical = serde_json::json!({ "e": jwk["e"], "kty": "RSA", "n": jwk["n"] });
                Ok(Self { thumbprint: thumbprint(&canonical), material: Material::Rsa { modulus, exponent } })
            }
            other => Err(bad(&format!("key type {other} is not supported"))),
        }
    }

    /// Whether a certificate's public key is this one.
    pub(super) fn is_of(&self, info: &SubjectPublicKeyInfo<'_>) -> bool {
        match (&self.material, info.parsed()) {
            (Material::Curve { point, .. }, Ok(CertificateKey::EC(other))) => point == other.data(),
            // DER's sign byte is no part of the number.
            (Material::Rsa { modulus, .. }, Ok(CertificateKey::RSA(other))) => {
                other.modulus.strip_prefix(&[0]).unwrap_or(other.modulus) == modulus
            }
            _ => false,
        }
    }

    fn verify(&self, algorithm: &str, message: &[u8], given: &[u8]) -> bool {
        match (&self.material, algorithm) {
            (Material::Curve { is_p384: false, point }, "ES256") => {
                UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point).verify(message, given).is_ok()
            }
            (Material::Curve { is_p384: true, point }, "ES384") => {
                UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, point).verify(message, given).is_ok()
            }
            (Material::Rsa { modulus, exponent }, "RS256") => {
                let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
                key.verify(&signature::RSA_PKCS1_2048_8192_SHA256, message, given).is_ok()
            }
            _ => false,
        }
    }
}

/// Checks an external account binding (RFC 8555 §7.3.4).
pub(super) fn verify_binding(
    binding: &Value,
    account_key: &PublicKey,
    new_account_url: &str,
    hmac_key: impl Fn(&str) -> Option<Vec<u8>>,
) -> Result<(), Problem> {
    let outer = binding.as_object().ok_or_else(|| Problem::malformed("externalAccountBinding is not a JWS"))?;
    let protected_text = text(outer, "protected")?;
    let payload_text = text(outer, "payload")?;
    let protected: Map<String, Value> = serde_json::from_slice(&decode(protected_text)?)
        .map_err(|error| Problem::malformed(format!("the binding's protected header: {error}")))?;
    if protected.contains_key("nonce") || text(&protected, "url")? != new_account_url {
        return Err(Problem::malformed("the binding has a nonce or another URL"));
    }
    let refused = || Problem::unauthorized("the external account binding is not valid");
    let algorithm = match text(&protected, "alg")? {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        other => return Err(Problem::malformed(format!("the binding's algorithm {other} is no HMAC"))),
    };
    let key = hmac_key(text(&protected, "kid")?).ok_or_else(refused)?;
    let signed = format!("{protected_text}.{payload_text}");
    let key = hmac::Key::new(algorithm, &key);
    hmac::verify(&key, signed.as_bytes(), &decode(text(outer, "signature")?)?).map_err(|_| refused())?;
    let jwk: Value = serde_json::from_slice(&decode(payload_text)?).map_err(|_| refused())?;
    if PublicKey::from_jwk(&jwk)? != *account_key {
        return Err(Problem::malformed("the binding is for another account key"));
    }
    Ok(())
}

/// Base64url without padding, and nothing else (RFC 8555 §6.1).
pub(super) fn decode(text: &str) -> Result<Vec<u8>, Problem> {
    URL_SAFE_NO_PAD.decode(text).map_err(|error| Problem::malformed(format!("not base64url: {error}")))
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A string member that must be there.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, Problem> {
    object
        .get(key)
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::malformed(format!("`{key}` is missing or no string")))
}

/// The keys of `canonical` stand in the order of RFC 7638 already: serde_json keeps it.
fn thumbprint(canonical: &Value) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, canonical.to_string().as_bytes());
    encode(digest.as_ref())
}
