//! Anti-replay nonces (RFC 8555 §6.5), shared by all requests to one CA.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use tokio::sync::Semaphore;

/// Nonces that answers brought along. The newest goes first: old ones may have expired.
pub(crate) struct NoncePool {
    nonces: Mutex<VecDeque<String>>,
    /// A CA allows few newNonce requests a second (Let's Encrypt: 20). Behind this gate callers look into the pool once
    /// more, where an answer may have left a nonce meanwhile.
    pub(crate) gate: Semaphore,
}

impl NoncePool {
    pub(crate) fn new() -> Self {
        Self { nonces: Mutex::default(), gate: Semaphore::new(MAX_FETCHES) }
    }

    pub(crate) fn take(&self) -> Option<String> {
        self.lock().pop_back()
    }

    pub(crate) fn put(&self, nonce: String) {
        let mut nonces = self.lock();
        if nonces.len() >= CAPACITY {
            nonces.pop_front();
        }
        nonces.push_back(nonce);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<String>> {
        // No code panics while it holds the lock, and a list of nonces has no invariant to lose.
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer's nonce. One that is not base64url is ignored, as RFC 8555 §6.5.1 demands.
pub(crate) fn from_headers(headers: &HeaderMap) -> Option<String> {
    let nonce = headers.get("replay-nonce")?.to_str().ok()?;
    let is_base64url = nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    (is_base64url && (1..=MAX_LENGTH).contains(&nonce.len())).then(|| nonce.to_owned())
}

const CAPACITY: usize = 64;
const MAX_FETCHES: usize = 4;
const MAX_LENGTH: usize = 512;

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_newest_goes_first_and_the_oldest_is_dropped() {
        let pool = NoncePool::new();
        for number in 0..CAPACITY + 10 {
            pool.put(number.to_string());
        }
        let taken: Vec<String> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!(taken.len(), CAPACITY);
        assert_eq!(taken.first(), Some(&(CAPACITY + 9).to_string()));
        assert_eq!(taken.last(), Some(&10.to_string()));
    }

    #[test]
    fn only_base64url_is_a_nonce() {
        for (value, accepted) in
            [("oFvnlFP1wIhRlYS2jTaXbA", true), ("-_", true), ("", false), ("a b", false), ("a\"", false), ("a=", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert("replay-nonce", HeaderValue::from_static(value));
            assert_eq!(from_headers(&headers).is_some(), accepted, "{value:?}");
        }
        assert_eq!(from_headers(&HeaderMap::new()), None);
    }
}
