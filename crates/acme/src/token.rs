//! Challenge tokens and key authorizations (RFC 8555 §8.1, §8.3).

use std::fmt;
use std::str::FromStr;

/// A challenge token: 1 to 256 characters of the base64url alphabet, nothing else, so that it is safe in a path, a DNS
/// name, a load balancer's API and a file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// The token as the CA wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        if text.is_empty() {
            return Err(InvalidToken::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(InvalidToken::TooLong { length: text.len() });
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
            return Err(InvalidToken::Charset);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a challenge's token is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidToken {
    /// It holds something outside the base64url alphabet.
    #[error("the challenge token holds characters outside the base64url alphabet")]
    Charset,
    /// It is the empty string.
    #[error("the challenge token is empty")]
    Empty,
    /// The challenge has none, or it is not a string.
    #[error("the challenge has no token")]
    Missing,
    /// It is longer than 256 characters.
    #[error("the challenge token is {length} characters long, more than 256")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
}

/// What the CA expects to find: `token.thumbprint-of-the-account-key`. Not secret: it is served to anybody who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAuthorization(String);

impl KeyAuthorization {
    pub(crate) fn new(token: &Token, thumbprint: &str) -> Self {
        Self(format!("{token}.{thumbprint}"))
    }

    /// The text that http-01 serves, and whose SHA-256 the other challenges use.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyAuthorization {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

const MAX_LENGTH: usize = 256;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_base64url_is_a_token() {
        for text in ["a", "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", "-_", &"x".repeat(256)] {
            assert_eq!(text.parse::<Token>().unwrap().as_str(), text);
        }
        for (text, error) in [
            ("", InvalidToken::Empty),
            ("../../etc/passwd", InvalidToken::Charset),
            ("a b", InvalidToken::Charset),
            ("a=", InvalidToken::Charset),
            ("a\n", InvalidToken::Charset),
            ("$(id)", InvalidToken::Charset),
            ("tökén", InvalidToken::Charset),
            (&"x".repeat(257), InvalidToken::TooLong { length: 257 }),
        ] {
            assert_eq!(text.parse::<Token>(), Err(error), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_safe(text in any::<String>()) {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert!(token.as_str().bytes().all(|byte| b"-_".contains(&byte) || byte.is_ascii_alphanumeric()));
                prop_assert!((1..=256).contains(&token.as_str().len()));
            }
        }
    }
}
