//! A token with its key that somebody else renews: `oci session refresh`, or the platform that a resource runs on. Both are
//! read anew for every request, so that what was renewed is used from then on; they are small, and the calls are few.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use certferry_core::{Clock, Error, ErrorKind, Secret};
use zeroize::Zeroizing;

use super::super::signature::SigningKey;
use super::files::{check_key_mode, refused};
use super::private_key;
use super::token::Token;

/// A thing, or the file that holds it.
#[derive(Clone, Debug)]
pub(super) enum Held {
    File(PathBuf),
    Text(Secret<String>),
}

/// Whose token it is, which decides what can be done when it has ended.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    /// The platform of a resource.
    Platform,
    /// A person, who logged in with this command line of the `oci` CLI: its options for config file and profile.
    Session { options: String },
}

/// What is held, and what was read of it last.
pub(in super::super) struct HeldToken {
    holder: Holder,
    token: Held,
    private_key: Held,
    pass_phrase: Option<Held>,
    region: Option<String>,
    clock: Arc<dyn Clock>,
    last: Mutex<Option<Read>>,
}

/// What was read.
#[derive(Clone)]
struct Read {
    /// A digest of all that was read.
    content: [u8; 32],
    token: Token,
    key: SigningKey,
}

impl HeldToken {
    pub(super) fn new(
        holder: Holder,
        token: Held,
        private_key: Held,
        pass_phrase: Option<Held>,
        region: Option<String>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self { holder, token, private_key, pass_phrase, region, clock: Arc::clone(clock), last: Mutex::new(None) }
    }

    /// What to sign with.
    ///
    /// # Errors
    /// What is held cannot be read or used, or has ended.
    pub(super) async fn key(&self) -> Result<SigningKey, Error> {
        let read = self.read().await?;
        let now = self.clock.now();
        if now < read.token.expires_at {
            return Ok(read.key);
        }
        let ago = now.duration_since(read.token.expires_at).as_secs();
        Err(self
            .error(&self.token, ErrorKind::Denied, &format!("it ended {ago} s ago, at {}", read.token.expires_at))
            .with_hint(self.hint_when_ended()))
    }

    /// Whether there is something else by now than what was refused.
    pub(super) async fn renew(&self, refused: &SigningKey) -> Result<bool, Error> {
        Ok(!self.read().await?.key.is(refused))
    }

    pub(super) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    pub(super) fn is_principal(&self) -> bool {
        matches!(self.holder, Holder::Platform)
    }

    pub(super) fn hint_when_refused(&self) -> String {
        match &self.holder {
            Holder::Platform => {
                "OCI does not take this resource's token, though it has not ended: is this machine's clock right?"
                    .to_owned()
            }
            Holder::Session { options } => format!(
                "`oci session validate {options}` tells whether the session still holds, `oci session refresh {options}` \
                 renews it; is this machine's clock right?"
            ),
        }
    }

    fn hint_when_ended(&self) -> String {
        match &self.holder {
            Holder::Platform => {
                "the platform renews it: is the file that OCI_RESOURCE_PRINCIPAL_RPST names still mounted? A token that \
                 stands in the variable itself ends with the resource's start; restart it"
                    .to_owned()
            }
            Holder::Session { options } => format!(
                "`oci session refresh {options}` renews it; after a day or so, `oci session authenticate` starts another \
                 one. What runs without a person wants an API key or an instance principal"
            ),
        }
    }

    async fn read(&self) -> Result<Read, Error> {
        let token = self.content(&self.token, ErrorKind::NotFound).await?;
        if let (Holder::Session { .. }, Held::File(path)) = (&self.holder, &self.private_key) {
            check_key_mode(path, self.operation())?;
        }
        let private_key = self.content(&self.private_key, ErrorKind::NotFound).await?;
        let pass_phrase = match &self.pass_phrase {
            Some(held) => Some(self.content(held, ErrorKind::NotFound).await?),
            None => None,
        };
        let content = fingerprint([&token, &private_key, pass_phrase.as_deref().map_or(&[], Vec::as_slice)]);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.content == content) {
            return Ok(last.clone());
        }
        let text = str::from_utf8(&token).unwrap_or_default();
        let token = Token::parse(text).map_err(|problem| {
            self.error(&self.token, ErrorKind::Invalid, problem).with_hint(self.hint_when_ended())
        })?;
        let pass_phrase = pass_phrase.as_deref().and_then(|phrase| str::from_utf8(phrase).ok());
        let pair = private_key::parse(&private_key, pass_phrase.map(|phrase| phrase.trim_end_matches(['\r', '\n'])))
            .map_err(|problem| {
                let refusal = problem.refusal(self.pass_phrase_place());
                self.error(&self.private_key, ErrorKind::Invalid, &refusal.problem).with_hint(refusal.hint)
            })?;
        let key = SigningKey::with_token(pair, token.text.clone());
        let read = Read { content, token, key };
        *last = Some(read.clone());
        Ok(read)
    }

    async fn content(&self, held: &Held, kind: ErrorKind) -> Result<Zeroizing<Vec<u8>>, Error> {
        match held {
            Held::Text(text) => Ok(Zeroizing::new(text.expose().as_bytes().to_vec())),
            Held::File(path) => tokio::fs::read(path)
                .await
                .map(Zeroizing::new)
                .map_err(|error| self.error(held, kind, &error.to_string()).with_hint(self.hint_when_ended())),
        }
    }

    fn error(&self, held: &Held, kind: ErrorKind, said: &str) -> Error {
        match held {
            Held::File(path) => refused(path, self.operation(), kind, said),
            Held::Text(_) => {
                Error::new(kind, self.operation(), "the environment's OCI_RESOURCE_PRINCIPAL_…").said(said)
            }
        }
    }

    fn operation(&self) -> &'static str {
        match self.holder {
            Holder::Platform => "reading the resource principal",
            Holder::Session { .. } => "reading the session token",
        }
    }

    fn pass_phrase_place(&self) -> &'static str {
        match self.holder {
            Holder::Platform => "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE",
            Holder::Session { .. } => "`pass_phrase` in the profile",
        }
    }
}

/// One digest for several texts, whose borders count too.
fn fingerprint(parts: [&[u8]; 3]) -> [u8; 32] {
    let digests = parts.map(|part| digest(&SHA256, part));
    let mut all = [0; 32];
    let joined: Vec<u8> = digests.iter().flat_map(|digest| digest.as_ref().iter().copied()).collect();
    all.copy_from_slice(digest(&SHA256, &joined).as_ref());
    all
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use certferry_core::SystemClock;

    use super::super::private_key::samples;
    use super::*;

    fn token(subject: &str) -> String {
        let payload = format!(r#"{{"exp":{},"sub":"{subject}"}}"#, SystemClock.now().as_second() + 60);
        format!("e30.{}.x", URL_SAFE_NO_PAD.encode(payload))
    }

    #[tokio::test]
    async fn after_a_refusal_what_was_replaced_meanwhile_is_tried_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (token_file, key_file) = (folder.path().join("rpst"), folder.path().join("key.pem"));
        std::fs::write(&token_file, token("one")).unwrap();
        std::fs::write(&key_file, samples::pkcs8()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (token_held, key_held) = (Held::File(token_file.clone()), Held::File(key_file.clone()));
        let held = HeldToken::new(Holder::Platform, token_held, key_held, None, None, &clock);
        let used = held.key().await.unwrap();
        assert!(!held.renew(&used).await.unwrap());
        std::fs::write(&token_file, token("other")).unwrap();
        assert!(held.renew(&used).await.unwrap());
        let used = held.key().await.unwrap();
        std::fs::write(&key_file, samples::pkcs8()).unwrap();
        assert!(held.renew(&used).await.unwrap(), "the same token with another key");
    }

    #[test]
    fn moving_a_border_is_a_change() {
        assert_ne!(fingerprint([b"ab", b"c", b""]), fingerprint([b"a", b"bc", b""]));
    }
}
