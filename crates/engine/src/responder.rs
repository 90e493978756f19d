//! The answers to http-01 requests, as a service without a socket (RFC 8555 §8.3).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The path under which a CA looks.
pub const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Knows the open tokens, and answers for nothing else. Clones share the tokens.
#[derive(Clone, Default)]
pub struct Responder {
    open: Arc<RwLock<HashMap<String, String>>>,
}

impl Responder {
    /// The key authorization to send for a request path; `None` is a 404.
    pub fn answer(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(CHALLENGE_PATH)?;
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(token).cloned()
    }

    pub(crate) fn open(&self, token: &str, key_authorization: &str) {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(token.to_owned(), key_authorization.to_owned());
    }

    pub(crate) fn is_open(&self, token: &str) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).contains_key(token)
    }

    pub(crate) fn close(&self, token: &str) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_open_tokens_are_answered() {
        let responder = Responder::default();
        responder.open("token", "token.thumbprint");
        assert_eq!(responder.answer("/.well-known/acme-challenge/token").as_deref(), Some("token.thumbprint"));
        for path in ["/", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/other", "/token", "token"] {
            assert_eq!(responder.answer(path), None, "{path}");
        }
        responder.close("token");
        assert_eq!(responder.answer("/.well-known/acme-challenge/token"), None);
    }
}
