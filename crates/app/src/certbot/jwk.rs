//! An account key as certbot keeps it, a JWK (RFC 7517, RFC 7518 §6), as PKCS#8.

use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certferry_core::Secret;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::private_key::{PrivateKey, ecdsa, rsa};

/// Reads an RSA key of 2048, 3072 or 4096 bits, or an EC key on P-256 or P-384.
///
/// # Errors
/// What is wrong; nothing of the key is in it.
pub(super) fn private_key(json: &str) -> Result<PrivateKey, String> {
    // serde's messages quote what they stumble over, and that may be the key.
    let jwk: Jwk = serde_json::from_str(json).map_err(|error| {
        format!("is not a private key as JWK with `kty` RSA or EC (line {}, column {})", error.line(), error.column())
    })?;
    match jwk {
        Jwk::Ec(key) => key.read(),
        Jwk::Rsa(key) => key.read(),
    }
}

#[derive(Deserialize)]
#[serde(tag = "kty")]
enum Jwk {
    #[serde(rename = "EC")]
    Ec(Ec),
    #[serde(rename = "RSA")]
    Rsa(Rsa),
}

/// RFC 7518 §6.2.
#[derive(Deserialize)]
struct Ec {
    crv: String,
    x: Number,
    y: Number,
    d: Number,
}

impl Ec {
    fn read(self) -> Result<PrivateKey, String> {
        let (algorithm, length): (&'static EcdsaSigningAlgorithm, usize) = match self.crv.as_str() {
            "P-256" => (&ECDSA_P256_SHA256_FIXED_SIGNING, 32),
            "P-384" => (&ECDSA_P384_SHA384_FIXED_SIGNING, 48),
            _ => {
                return Err(
                    "is an EC key on a curve other than P-256 and P-384, with which certferry does not sign".to_owned()
                );
            }
        };
        let padded = |number: &Number, name: &str| {
            number
                .padded(length)
                .ok_or_else(|| format!("has a `{name}` that is longer than its curve's {length} bytes"))
        };
        let mut point = vec![UNCOMPRESSED];
        point.extend_from_slice(&padded(&self.x, "x")?);
        point.extend_from_slice(&padded(&self.y, "y")?);
        let private = padded(&self.d, "d")?;
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, &private, &point)
            .map_err(|_| "has an EC key whose parts do not belong together".to_owned())
            .and_then(|pair| ecdsa(&pair))
    }
}

/// RFC 7518 §6.3.
#[derive(Deserialize)]
struct Rsa {
    n: Number,
    e: Number,
    d: Number,
    p: Number,
    q: Number,
    dp: Number,
    dq: Number,
    qi: Number,
}

impl Rsa {
    fn read(self) -> Result<PrivateKey, String> {
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: self.n.bare(), e: self.e.bare() },
            d: self.d.bare(),
            p: self.p.bare(),
            q: self.q.bare(),
            dP: self.dp.bare(),
            dQ: self.dq.bare(),
            qInv: self.qi.bare(),
        };
        RsaKeyPair::from_components(&components)
            .map_err(|_| "has an RSA key whose parts do not belong together, or of fewer than 2048 bits".to_owned())
            .and_then(|pair| rsa(&pair))
    }
}

/// A big-endian number in base64url, wiped when dropped.
struct Number(Secret<Vec<u8>>);

impl Number {
    /// Without zeros in front.
    fn bare(&self) -> &[u8] {
        let bytes = self.0.expose().as_slice();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        &bytes[zeros..]
    }

    /// With zeros in front, up to `length`; `None` when it is longer.
    fn padded(&self, length: usize) -> Option<Zeroizing<Vec<u8>>> {
        let bare = self.bare();
        let mut bytes = Zeroizing::new(vec![0; length.checked_sub(bare.len())?]);
        bytes.extend_from_slice(bare);
        Some(bytes)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let decoded = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
        decoded.map(|bytes| Self(Secret::new(bytes))).map_err(|_| serde::de::Error::custom("not base64url"))
    }
}

/// SEC 1 §2.3.3: both coordinates follow.
const UNCOMPRESSED: u8 = 4;
