//! External account binding (RFC 8555 §7.3.4): the key id and MAC key that some CAs hand out.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Credentials from the CA's web site that bind a new account to an existing customer. Needed once, at registration.
#[derive(Clone)]
pub struct ExternalAccountBinding {
    key_id: String,
    mac_key: Arc<Zeroizing<Vec<u8>>>,
    algorithm: MacAlgorithm,
}

impl ExternalAccountBinding {
    /// The key id and the MAC key as the CA shows them; the key in base64url, or base64, with or without padding.
    pub fn new(key_id: impl Into<String>, mac_key: &str, algorithm: MacAlgorithm) -> Result<Self, InvalidMacKey> {
        let mac_key = mac_key.trim();
        // The decoder's error quotes the offending byte of the secret, so it is dropped.
        let decoded = BASE64URL.decode(mac_key).or_else(|_| BASE64.decode(mac_key)).map_err(|_| InvalidMacKey)?;
        if decoded.is_empty() {
            return Err(InvalidMacKey);
        }
        Ok(Self { key_id: key_id.into(), mac_key: Arc::new(Zeroizing::new(decoded)), algorithm })
    }

    /// The CA's name for the MAC key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    pub(crate) fn algorithm(&self) -> MacAlgorithm {
        self.algorithm
    }

    pub(crate) fn mac_key(&self) -> &[u8] {
        &self.mac_key
    }
}

impl fmt::Debug for ExternalAccountBinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ExternalAccountBinding({}, {:?})", self.key_id, self.algorithm)
    }
}

/// How the binding is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256, which nearly every CA wants.
    #[default]
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}

impl MacAlgorithm {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    pub(crate) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Hs256 => hmac::HMAC_SHA256,
            Self::Hs384 => hmac::HMAC_SHA384,
            Self::Hs512 => hmac::HMAC_SHA512,
        }
    }
}

/// The MAC key is not base64url. Does not quote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the external account's MAC key is empty or not base64url; copy it again from the CA's web site")]
pub struct InvalidMacKey;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mac_key_is_read_in_every_usual_spelling() {
        for text in ["-_8", "-_8=", "+/8", "+/8=", " -_8=\n"] {
            let binding = ExternalAccountBinding::new("kid-1", text, MacAlgorithm::Hs256).unwrap();
            assert_eq!(binding.mac_key(), [0xfb, 0xff]);
        }
        for text in ["", "!", "a"] {
            assert_eq!(ExternalAccountBinding::new("k", text, MacAlgorithm::Hs256).unwrap_err(), InvalidMacKey);
        }
    }

    #[test]
    fn debug_does_not_show_the_mac_key() {
        let binding = ExternalAccountBinding::new("kid-1", "c2VjcmV0", MacAlgorithm::Hs512).unwrap();
        assert_eq!(format!("{binding:?}"), "ExternalAccountBinding(kid-1, Hs512)");
    }
}
