//! Tokens: JWTs (RFC 7519) that the service signs and remembers, each for one public key.

use aws_lc_rs::{
    rand::{self, SystemRandom},
    rsa::{KeyPair, KeySize},
    signature::RSA_PKCS1_SHA256,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::{error::LabError, service::State, signature::RegisteredKey};

/// What a token says.
pub(super) struct Claims {
    pub(super) subject: Subject,
    pub(super) issued_at: Timestamp,
    pub(super) lifetime: SignedDuration,
}

/// Whose token it is.
pub(super) struct Subject {
    /// `instance`, `resource` or `user`.
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) tenancy: String,
}

/// The key that tokens are signed with, made when it is first needed.
#[derive(Default)]
pub(in super::super) struct Tokens {
    key: Option<KeyPair>,
}

impl State {
    /// A token for this public key (DER SubjectPublicKeyInfo), which signs requests from now on.
    pub(super) fn issue_token(&mut self, claims: &Claims, public_key: &[u8]) -> Result<String, LabError> {
        // JWTs count in whole seconds.
        let expires_at = claims.issued_at.as_second().saturating_add(claims.lifetime.as_secs());
        let token = self.tokens.sign(claims, expires_at)?;
        let expires_at = Timestamp::from_second(expires_at).ok();
        let key = RegisteredKey { public_key: public_key.to_vec(), expires_at, owner: Some(claims.subject.id.clone()) };
        self.keys.insert(format!("{KEY_ID_PREFIX}{token}"), key);
        Ok(token)
    }
}

impl Tokens {
    fn sign(&mut self, claims: &Claims, expires_at: i64) -> Result<String, LabError> {
        let failed = |problem: &str| LabError::ApiKey { key_id: "token".into(), problem: problem.into() };
        let mut unique = [0; 16];
        rand::fill(&mut unique).map_err(|_| failed("no randomness"))?;
        let Subject { kind, id, tenancy } = &claims.subject;
        let header = json!({ "kid": "lab", "alg": "RS256", "typ": "JWT" });
        let payload = json!({
            "iss": "authService.oracle.com",
            "sub": id,
            "ptype": kind,
            "tenant": tenancy,
            "res_tenant": tenancy,
            "res_compartment": tenancy,
            "iat": claims.issued_at.as_second(),
            "exp": expires_at,
            "jti": unique.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        });
        let text = [header, payload].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        let key = match &mut self.key {
            Some(key) => key,
            none => none.insert(KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("no key could be generated"))?),
        };
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .map_err(|_| failed("it cannot be signed"))?;
        Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// What a `keyId` that is a token starts with.
pub(super) const KEY_ID_PREFIX: &str = "ST$";
