//! Request signing (draft-cavage signatures, version 1:
//! <https://docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm>).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certferry_core::Secret;
use jiff::Timestamp;

/// An RSA key, with the id under which OCI knows it. Prints neither the key nor a token.
#[derive(Clone)]
pub(super) struct SigningKey {
    pair: Arc<RsaKeyPair>,
    key_id: KeyId,
}

#[derive(Clone)]
enum KeyId {
    /// `<tenancy>/<user>/<fingerprint>`, or `<tenancy>/fed-x509/<fingerprint>` of an instance's certificate.
    Name(String),
    /// A token that holds the public key.
    Token(Secret<String>),
}

impl SigningKey {
    /// `key_id` is `<tenancy>/<user>/<fingerprint>`, or that of an instance's certificate.
    pub(super) fn new(pair: RsaKeyPair, key_id: String) -> Self {
        Self { pair: Arc::new(pair), key_id: KeyId::Name(key_id) }
    }

    /// A key that `token` is for.
    pub(super) fn with_token(pair: RsaKeyPair, token: Secret<String>) -> Self {
        Self { pair: Arc::new(pair), key_id: KeyId::Token(token) }
    }

    /// The id, for people; of a token only that it is one.
    pub(super) fn name(&self) -> &str {
        match &self.key_id {
            KeyId::Name(name) => name,
            KeyId::Token(_) => "ST$…",
        }
    }

    /// Whether both sign alike.
    pub(super) fn is(&self, other: &Self) -> bool {
        let same_id = match (&self.key_id, &other.key_id) {
            (KeyId::Name(one), KeyId::Name(other)) => one == other,
            (KeyId::Token(one), KeyId::Token(other)) => one.expose() == other.expose(),
            _ => false,
        };
        same_id && self.pair.public_key().as_ref() == other.pair.public_key().as_ref()
    }

    /// Headers that sign `request`; `None` when the key does not sign.
    pub(super) fn sign(&self, request: &ToSign<'_>) -> Option<SignedHeaders> {
        let text = request.signing_string();
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).ok()?;
        let (prefix, key_id) = match &self.key_id {
            KeyId::Name(name) => ("", name),
            KeyId::Token(token) => ("ST$", token.expose()),
        };
        let authorization = format!(
            "Signature algorithm=\"rsa-sha256\",headers=\"{}\",keyId=\"{prefix}{key_id}\",signature=\"{}\",version=\"1\"",
            request.header_list(),
            STANDARD.encode(signature)
        );
        Some(SignedHeaders { authorization, content_sha256: request.body.map(content_sha256) })
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("key_id", &self.name()).finish_non_exhaustive()
    }
}

/// What is signed of a request, exactly as it goes over the wire.
pub(super) struct ToSign<'a> {
    /// `GET`, `PUT` …
    pub(super) method: &'a str,
    /// Path and query.
    pub(super) target: &'a str,
    /// Host, with the port where it is not the scheme's own; `None` where the service wants it unsigned (federation).
    pub(super) host: Option<&'a str>,
    /// The Date header.
    pub(super) date: &'a str,
    /// The body of POST, PUT and PATCH, which may be empty; `None` for the other methods.
    pub(super) body: Option<&'a [u8]>,
}

impl ToSign<'_> {
    fn signing_string(&self) -> String {
        let method = self.method.to_ascii_lowercase();
        let mut text = format!("date: {}\n(request-target): {method} {}", self.date, self.target);
        if let Some(host) = self.host {
            text.push_str(&format!("\nhost: {host}"));
        }
        if let Some(body) = self.body {
            let length = body.len();
            let digest = content_sha256(body);
            text.push_str(&format!(
                "\ncontent-length: {length}\ncontent-type: {CONTENT_TYPE}\nx-content-sha256: {digest}"
            ));
        }
        text
    }

    fn header_list(&self) -> String {
        let host = if self.host.is_some() { " host" } else { "" };
        let body = if self.body.is_some() { " content-length content-type x-content-sha256" } else { "" };
        format!("date (request-target){host}{body}")
    }
}

/// The headers that a signature adds.
pub(super) struct SignedHeaders {
    /// `Authorization`.
    pub(super) authorization: String,
    /// `x-content-sha256`, where there is a body.
    pub(super) content_sha256: Option<String>,
}

/// A Date header (RFC 9110 §5.6.7).
pub(super) fn http_date(now: Timestamp) -> String {
    now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The content type of every body; it is part of what is signed.
pub(super) const CONTENT_TYPE: &str = "application/json";

fn content_sha256(body: &[u8]) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, body))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
    const HOST: &str = "iaas.us-ashburn-1.oraclecloud.com";

    /// Expected values made with Oracle's own signer (Python SDK 2.189).
    #[test]
    fn the_signing_string_is_that_of_the_official_signer() {
        let body = br#"{"defaultBackendSetName":"app","port":443,"protocol":"HTTP","sslConfiguration":{"certificateName":"www-20260101"}}"#;
        let listener = "/20170115/loadBalancers/ocid1.loadbalancer.oc1.iad.example/listeners/https";
        let list = "/20170115/loadBalancers?compartmentId=ocid1.compartment.oc1..example&displayName=my+lb";
        let change = "/20170115/loadBalancers/ocid1.loadbalancer.oc1.iad.example/changeCompartment";
        for (method, target, body, expected) in [
            ("PUT", listener, Some(&body[..]), "spUtI0xbSTDJmrrwU58feuzJ9jvjLmopeU0O7w/yJ7o="),
            ("GET", list, None, "4yPdvfahZ3e8iP2rLbhysNWSeiZ8zbWoVe7+aTvloyU="),
            ("POST", change, Some(&b""[..]), "xs9ZNzSKmEWbYZBzzHVyekOVKLOHf5HHwLnIqQHMRRY="),
        ] {
            let request = ToSign { method, target, host: Some(HOST), date: DATE, body };
            assert_eq!(content_sha256(request.signing_string().as_bytes()), expected, "{method} {target}");
        }
        assert_eq!(content_sha256(body), "KUt7PKh2rj1GojQsixuwpRC59ZrDz2t85G+WzZz6fbs=");
        assert_eq!(content_sha256(b""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn the_signature_verifies_with_the_public_key() {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let public = pair.public_key().as_ref().to_vec();
        let key = SigningKey::new(pair, "tenancy/user/fingerprint".to_owned());
        let request = ToSign { method: "DELETE", target: "/x", host: Some(HOST), date: DATE, body: None };
        let headers = key.sign(&request).unwrap();
        assert!(headers.content_sha256.is_none());
        let rest = headers
            .authorization
            .strip_prefix(
                "Signature algorithm=\"rsa-sha256\",headers=\"date (request-target) host\",\
                 keyId=\"tenancy/user/fingerprint\",signature=\"",
            )
            .unwrap();
        let signature = STANDARD.decode(rest.strip_suffix("\",version=\"1\"").unwrap()).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(request.signing_string().as_bytes(), &signature)
            .unwrap();
        assert_eq!(format!("{key:?}"), "SigningKey { key_id: \"tenancy/user/fingerprint\", .. }");
    }

    #[test]
    fn a_token_is_sent_but_not_printed() {
        let pair = || RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let key = SigningKey::with_token(pair(), Secret::new("e30.hunter2.x".to_owned()));
        let request = ToSign { method: "POST", target: "/v1/x509", host: None, date: DATE, body: Some(b"{}") };
        let authorization = key.sign(&request).unwrap().authorization;
        assert!(authorization.contains("keyId=\"ST$e30.hunter2.x\""), "{authorization}");
        let signed = "headers=\"date (request-target) content-length content-type x-content-sha256\"";
        assert!(authorization.contains(signed), "{authorization}");
        assert!(!request.signing_string().contains("host"));
        assert!(!format!("{key:?} {}", key.name()).contains("hunter2"));
        assert!(key.is(&key.clone()) && !key.is(&SigningKey::with_token(pair(), Secret::new("e30.hunter2.x".into()))));
    }

    #[test]
    fn dates_are_written_as_http_wants_them() {
        assert_eq!(http_date("2026-01-01T00:00:00Z".parse().unwrap()), DATE);
        assert_eq!(http_date("2026-11-09T23:04:05.9Z".parse().unwrap()), "Mon, 09 Nov 2026 23:04:05 GMT");
    }
}
