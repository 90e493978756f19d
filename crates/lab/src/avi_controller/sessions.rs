//! Logins: sessions with their cookies and CSRF tokens, auth tokens, and lockout after wrong passwords.

use std::{collections::HashMap, fmt::Write as _};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderMap;
use jiff::{SignedDuration, Timestamp};

use super::{error::ApiError, json::text, store::Stored};

#[derive(Default)]
pub(super) struct Sessions {
    sessions: HashMap<String, Session>,
    tokens: HashMap<String, Token>,
    failures: HashMap<String, Failures>,
}

struct Session {
    user: String,
    csrf_token: String,
    created: Timestamp,
    used: Timestamp,
}

struct Token {
    user: String,
    /// `None`: good for one login.
    expires: Option<Timestamp>,
}

#[derive(Default)]
struct Failures {
    count: u32,
    locked_until: Option<Timestamp>,
}

/// What a login gives a client.
pub(super) struct NewSession {
    pub(super) id: String,
    pub(super) csrf_token: String,
}

/// How long sessions live.
pub(super) struct Lifetime {
    /// Zero: no limit.
    pub(super) idle: SignedDuration,
    pub(super) forced: SignedDuration,
}

impl Sessions {
    /// Checks a password or token. A user with too many failures is not even listened to.
    pub(super) fn log_in(
        &mut self,
        username: &str,
        user: Option<&Stored>,
        secret: &str,
        lockout_after: u32,
        now: Timestamp,
    ) -> Result<NewSession, ApiError> {
        self.check_password(username, user, secret, lockout_after, now)?;
        let session = NewSession { id: random(), csrf_token: random() };
        let user = user.map(|user| user.uuid.clone()).unwrap_or_default();
        let kept = Session { user, csrf_token: session.csrf_token.clone(), created: now, used: now };
        self.sessions.insert(session.id.clone(), kept);
        Ok(session)
    }

    pub(super) fn check_password(
        &mut self,
        username: &str,
        user: Option<&Stored>,
        secret: &str,
        lockout_after: u32,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let failures = self.failures.entry(username.to_owned()).or_default();
        if failures.locked_until.is_some_and(|until| until > now) {
            return Err(ApiError::not_authenticated("Account is locked. Try again later", "locked"));
        }
        let password = user.map(|user| text(&user.fields, "password")).filter(|password| !password.is_empty());
        let mut by_token = || user.is_some_and(|user| spend(&mut self.tokens, &user.uuid, secret, now));
        if password == Some(secret) || by_token() {
            failures.count = 0;
            return Ok(());
        }
        failures.count += 1;
        if failures.count >= lockout_after {
            *failures = Failures { count: 0, locked_until: Some(now + LOCKED) };
        }
        Err(ApiError::not_authenticated("Invalid credentials", "wrong user, password or token"))
    }

    /// The user of a session, which is used by that.
    pub(super) fn user(&mut self, id: &str, lifetime: &Lifetime, now: Timestamp) -> Option<String> {
        let session = self.sessions.get_mut(id)?;
        let idle = !lifetime.idle.is_zero() && now.duration_since(session.used) > lifetime.idle;
        if idle || now.duration_since(session.created) > lifetime.forced {
            self.sessions.remove(id);
            return None;
        }
        session.used = now;
        Some(session.user.clone())
    }

    /// The CSRF token must be the session's, and the Referer this controller.
    pub(super) fn check_csrf(&self, id: &str, headers: &HeaderMap) -> Result<(), ApiError> {
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let session = self.sessions.get(id).ok_or_else(|| ApiError::csrf("no session"))?;
        if header("x-csrftoken") != Some(session.csrf_token.as_str()) {
            return Err(ApiError::csrf("X-CSRFToken is not the session's"));
        }
        let referer = header("referer").and_then(|referer| url::Url::parse(referer).ok());
        let authority = referer.as_ref().filter(|url| url.scheme() == "https").map(url::Url::authority);
        if authority.is_none() || authority != header("host") {
            return Err(ApiError::csrf("Referer is not this controller"));
        }
        Ok(())
    }

    pub(super) fn end(&mut self, id: &str) {
        self.sessions.remove(id);
    }

    pub(super) fn end_all(&mut self) {
        self.sessions.clear();
    }

    /// A token that stands for the user's password; 0 hours: for one login.
    pub(super) fn new_token(&mut self, user: &str, hours: u32, now: Timestamp) -> String {
        let token = random();
        let expires = (hours > 0).then(|| now + SignedDuration::from_hours(i64::from(hours)));
        self.tokens.insert(token.clone(), Token { user: user.to_owned(), expires });
        token
    }
}

/// The first cookie of a name; clients may repeat them.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value.trim_matches('"'))
}

/// User and password of `Authorization: Basic …`.
pub(super) fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// 32 random hex digits.
pub(super) fn random() -> String {
    let mut bytes = [0; 16];
    if aws_lc_rs::rand::fill(&mut bytes).is_err() {
        tracing::error!("the operating system gives no randomness");
    }
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn spend(tokens: &mut HashMap<String, Token>, user: &str, secret: &str, now: Timestamp) -> bool {
    let Some(token) = tokens.get(secret).filter(|token| token.user == user) else {
        return false;
    };
    let good = token.expires.is_none_or(|expires| expires > now);
    if token.expires.is_none() || !good {
        tokens.remove(secret);
    }
    good
}

const LOCKED: SignedDuration = SignedDuration::from_mins(30);
