//! JSON Web Signatures in the flattened JSON form (RFC 7515 §7.2.2), as RFC 8555 §6.2 wants them.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use crate::account_key::{AccountKey, Jwk, KeyRejected};
use crate::external_account::ExternalAccountBinding;

/// A signed request body.
#[derive(Debug, Serialize)]
pub(crate) struct Jws {
    protected: String,
    payload: String,
    signature: String,
}

impl Jws {
    /// Signs a request. `account_url` names the key; without it the key itself is sent, as newAccount needs. An empty
    /// payload makes a POST-as-GET (RFC 8555 §6.3).
    pub(crate) fn request(
        key: &AccountKey,
        account_url: Option<&str>,
        url: &str,
        nonce: &str,
        payload: &str,
    ) -> Result<Self, KeyRejected> {
        let jwk = account_url.is_none().then(|| key.jwk());
        let header = Header { alg: key.algorithm(), kid: account_url, jwk, nonce: Some(nonce), url };
        Self::assemble(&header, payload, |message| key.sign(message))
    }

    /// The proof that the holder of an account elsewhere agrees to this key (RFC 8555 §7.3.4).
    pub(crate) fn external_account(
        binding: &ExternalAccountBinding,
        url: &str,
        key: &AccountKey,
    ) -> Result<Self, KeyRejected> {
        let (alg, kid) = (binding.algorithm().name(), Some(binding.key_id()));
        let header = Header { alg, kid, jwk: None, nonce: None, url };
        Self::assemble(&header, &key.jwk().to_json(), |message| {
            let mac_key = hmac::Key::new(binding.algorithm().hmac(), binding.mac_key());
            Ok(hmac::sign(&mac_key, message).as_ref().to_vec())
        })
    }

    /// The proof that the holder of a new key agrees to become an account's (RFC 8555 §7.3.5).
    pub(crate) fn key_change(new: &AccountKey, url: &str, payload: &str) -> Result<Self, KeyRejected> {
        let header = Header { alg: new.algorithm(), kid: None, jwk: Some(new.jwk()), nonce: None, url };
        Self::assemble(&header, payload, |message| new.sign(message))
    }

    pub(crate) fn to_json(&self) -> Result<String, KeyRejected> {
        serde_json::to_string(self).map_err(|_| KeyRejected)
    }

    fn assemble(
        header: &Header<'_>,
        payload: &str,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, KeyRejected>,
    ) -> Result<Self, KeyRejected> {
        let header = serde_json::to_string(header).map_err(|_| KeyRejected)?;
        let protected = URL_SAFE_NO_PAD.encode(header);
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = URL_SAFE_NO_PAD.encode(sign(format!("{protected}.{payload}").as_bytes())?);
        Ok(Self { protected, payload, signature })
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwk: Option<Jwk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    url: &'a str,
}
