//! Tokens: JWTs (RFC 7519) of which only the end matters here; whether they are genuine is the service's to judge.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certferry_core::Secret;
use jiff::Timestamp;
use serde::Deserialize;

/// A token. Does not print.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// The token itself.
    pub(super) text: Secret<String>,
    /// When it ends, by the clock of the one who issued it.
    pub(super) expires_at: Timestamp,
}

impl Token {
    /// Reads a token, with or without white space around it. The error does not repeat it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        // It goes into a header between quotation marks.
        let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.=".contains(&byte));
        if text.is_empty() || text.len() > LONGEST || !letters {
            return Err("it is not a token (a JWT)");
        }
        let payload = text.split('.').nth(1).ok_or("it is not a token (a JWT): there is no payload")?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .map_err(|_| "it is not a token (a JWT): the payload is not base64url")?;
        let claims: Claims =
            serde_json::from_slice(&payload).map_err(|_| "it is a token (a JWT) that does not say when it ends")?;
        let expires_at =
            Timestamp::from_second(claims.exp).map_err(|_| "it is a token (a JWT) without a sensible end")?;
        Ok(Self { text: Secret::new(text.to_owned()), expires_at })
    }
}

/// From when to when a token may be used, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// When it was got.
    pub(super) from: Timestamp,
    /// When it ends.
    pub(super) until: Timestamp,
}

/// How a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Use it.
    Fresh,
    /// Use it, but get another one.
    Due,
    /// It has ended.
    Ended,
}

impl Lifetime {
    /// How it stands. Another one is due when a quarter of its time is left, at most five minutes: so that what is signed
    /// shortly before is still accepted, and that a service which is down for a while does no harm.
    pub(super) fn standing(&self, now: Timestamp) -> Standing {
        let lifetime = Duration::try_from(self.until.duration_since(self.from)).unwrap_or(Duration::ZERO);
        let margin = (lifetime / 4).min(LONGEST_MARGIN);
        if now >= self.until || now < self.from.saturating_sub(LONGEST_MARGIN).unwrap_or(Timestamp::MIN) {
            return Standing::Ended; // a clock that was put back tells nothing about what was got before
        }
        match Duration::try_from(self.until.duration_since(now)) {
            Ok(left) if left > margin => Standing::Fresh,
            _ => Standing::Due,
        }
    }
}

#[derive(Deserialize)]
struct Claims {
    exp: i64,
}

/// What Go's SDK takes.
const LONGEST_MARGIN: Duration = Duration::from_secs(5 * 60);

/// Tokens of the real service have 1 to 4 KiB; servers take headers of 8 KiB and more.
const LONGEST: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn jwt(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn the_end_of_a_token_is_read() {
        let token = Token::parse(&format!("{}\n", jwt(r#"{"exp":1767225600,"sub":"x"}"#))).unwrap();
        assert_eq!(token.expires_at, "2026-01-01T00:00:00Z".parse().unwrap());
        assert!(!token.text.expose().contains('\n'));
        assert!(!format!("{token:?}").contains("e30"));
    }

    #[test]
    fn what_is_no_token_is_refused_without_repeating_it() {
        for text in [
            String::new(),
            "hunter2".to_owned(),
            "hunter2.hunter2".to_owned(),
            "hun\"ter2.e30.x".to_owned(),
            jwt("{}"),
            jwt(r#"{"exp":"soon"}"#),
            jwt(r#"{"exp":9223372036854775807}"#),
            format!("e30.{}.x", "A".repeat(LONGEST)),
        ] {
            let error = Token::parse(&text).unwrap_err();
            assert!(error.contains("token") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn another_one_is_due_a_while_before_the_end() {
        let at = |seconds: i64| Timestamp::from_second(1_767_225_600 + seconds).unwrap();
        for (lifetime, now, expected) in [
            (1200, 0, Standing::Fresh),
            (1200, 899, Standing::Fresh),
            (1200, 900, Standing::Due),
            (1200, 1199, Standing::Due),
            (1200, 1200, Standing::Ended),
            (3600, 3299, Standing::Fresh),
            (3600, 3300, Standing::Due),
            (4, 2, Standing::Fresh),
            (4, 3, Standing::Due),
            (4, 4, Standing::Ended),
            (0, 0, Standing::Ended),
            (-60, 0, Standing::Ended),
            (1200, -60, Standing::Fresh),
            (1200, -3600, Standing::Ended),
        ] {
            let token = Lifetime { from: at(0), until: at(lifetime) };
            assert_eq!(token.standing(at(now)), expected, "{lifetime} s, after {now} s");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,80}") {
            let _ = Token::parse(&text);
        }
    }
}
