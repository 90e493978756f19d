//! A login: what it sends, what it gets (cookies, CSRF token, the controller's version), and what is sent with every call.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::header::{COOKIE, REFERER, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use zeroize::Zeroizing;

use super::config::Credential;
use super::model::text;
use super::version::ApiVersion;

/// A session, shared by all calls until one is told that it has ended.
pub(super) struct Session {
    /// The how-many-eth login it is: two calls that find it ended log in once.
    pub(super) number: u64,
    pub(super) version: ApiVersion,
    /// The licence tier, which decides what kind of rule may answer. Only privileged users see it.
    pub(super) tier: Option<String>,
    cookies: Mutex<Cookies>,
}

/// Why a login that was answered 200 is no session.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoSession {
    #[error("the answer sets no csrftoken cookie")]
    NoCsrfToken,
    #[error("the answer does not say which version the controller has")]
    NoVersion,
    #[error("the controller has version {0}, certferry needs {oldest} or later", oldest = ApiVersion::OLDEST)]
    TooOld(ApiVersion),
}

impl Session {
    /// Reads the answer to a login.
    pub(super) fn new(number: u64, headers: &HeaderMap, body: &Value) -> Result<Self, NoSession> {
        let mut cookies = Cookies::default();
        cookies.absorb(headers);
        if cookies.csrf_token().is_none() {
            return Err(NoSession::NoCsrfToken);
        }
        let release = body.get("version").and_then(|version| text(version, "Version"));
        let release: ApiVersion = release.and_then(|text| text.parse().ok()).ok_or(NoSession::NoVersion)?;
        let version = release.negotiated().ok_or(NoSession::TooOld(release))?;
        let tier = body.get("system_config").and_then(|config| text(config, "default_license_tier"));
        Ok(Self { number, version, tier: tier.map(str::to_owned), cookies: Mutex::new(cookies) })
    }

    /// What every call of the session sends. The Referer must be the controller's own for calls that change something.
    pub(super) fn headers(&self, tenant: &str, referer: &str) -> HeaderMap {
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        let mut headers = HeaderMap::new();
        let mut add = |name: HeaderName, text: &str, secret: bool| {
            // Cookies and names with letters that no header may have were refused before.
            if let Ok(mut value) = HeaderValue::from_str(text) {
                value.set_sensitive(secret);
                headers.insert(name, value);
            }
        };
        add(COOKIE, &cookies.to_header(), true);
        add(X_CSRF_TOKEN, cookies.csrf_token().unwrap_or_default(), true);
        add(REFERER, referer, false);
        add(X_AVI_VERSION, &self.version.to_string(), false);
        add(X_AVI_TENANT, tenant, false);
        headers
    }

    /// Takes over cookies that an answer issues anew.
    pub(super) fn absorb(&self, headers: &HeaderMap) {
        if headers.contains_key(SET_COOKIE) {
            self.cookies.lock().unwrap_or_else(PoisonError::into_inner).absorb(headers);
        }
    }
}

/// The body of a login, as a form.
pub(super) fn login_form(username: &str, credential: &Credential) -> Bytes {
    let (field, secret) = match credential {
        Credential::Password(password) => ("password", password),
        Credential::Token(token) => ("token", token),
    };
    // Room for the whole, so that growing leaves no copies of the secret behind.
    let room = Zeroizing::new(String::with_capacity(3 * (username.len() + secret.expose().len()) + 64));
    let mut form = url::form_urlencoded::Serializer::new(Form(room));
    form.append_pair("username", username).append_pair(field, secret.expose());
    Bytes::from_owner(form.finish())
}

/// A form's text, wiped when it is dropped.
struct Form(Zeroizing<String>);

impl url::form_urlencoded::Target for Form {
    type Finished = FormBytes;

    fn as_mut_string(&mut self) -> &mut String {
        &mut self.0
    }

    fn finish(self) -> FormBytes {
        FormBytes(self.0)
    }
}

struct FormBytes(Zeroizing<String>);

impl AsRef<[u8]> for FormBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The controller's cookies. Their attributes do not matter: there is one controller, and they go nowhere else.
#[derive(Default)]
struct Cookies(BTreeMap<String, Zeroizing<String>>);

impl Cookies {
    fn absorb(&mut self, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            let Ok(cookie) = header.to_str() else { continue };
            let pair = cookie.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            if value.is_empty() || value == "\"\"" {
                self.0.remove(name);
            } else if !name.is_empty() {
                self.0.insert(name.to_owned(), Zeroizing::new(value.to_owned()));
            }
        }
    }

    fn csrf_token(&self) -> Option<&str> {
        self.0.get("csrftoken").map(|token| token.as_str())
    }

    fn to_header(&self) -> Zeroizing<String> {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={}", value.as_str())).collect();
        Zeroizing::new(pairs.join("; "))
    }
}

const X_AVI_TENANT: HeaderName = HeaderName::from_static("x-avi-tenant");
const X_AVI_VERSION: HeaderName = HeaderName::from_static("x-avi-version");
const X_CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrftoken");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (SET_COOKIE, cookie.parse().unwrap())).collect()
    }

    #[test]
    fn a_session_sends_what_the_controller_gave() {
        let cookies = headers(&["csrftoken=c1; Path=/; Secure", "avi-sessionid=s1; HttpOnly", "sessionid=s1", "odd"]);
        let body = json!({"version": {"Version": "22.1.3"}, "system_config": {"default_license_tier": "BASIC"}});
        let session = Session::new(1, &cookies, &body).unwrap();
        session.absorb(&headers(&["sessionid=s2; Max-Age=86400"]));
        let sent = session.headers("admin", "https://avi.some-domain.com/");
        assert_eq!(sent["cookie"], "avi-sessionid=s1; csrftoken=c1; sessionid=s2");
        assert_eq!(sent["x-csrftoken"], "c1");
        assert_eq!(sent["referer"], "https://avi.some-domain.com/");
        assert_eq!(
            (&sent["x-avi-version"], &sent["x-avi-tenant"]),
            (&"22.1.3".parse().unwrap(), &"admin".parse().unwrap())
        );
        assert!(sent["cookie"].is_sensitive() && sent["x-csrftoken"].is_sensitive());
        assert_eq!(session.tier.as_deref(), Some("BASIC"));
    }

    #[test]
    fn what_is_no_session_is_told() {
        let csrf = headers(&["csrftoken=c1"]);
        for (cookies, body, expected) in [
            (&HeaderMap::new(), json!({"version": {"Version": "22.1.3"}}), NoSession::NoCsrfToken),
            (&csrf, json!({}), NoSession::NoVersion),
            (&csrf, json!({"version": {"Version": "18.2.1"}}), NoSession::TooOld("18.2.1".parse().unwrap())),
        ] {
            assert_eq!(Session::new(1, cookies, &body).err(), Some(expected));
        }
    }

    #[test]
    fn a_login_form_escapes_what_it_carries() {
        let form = login_form("a&b", &Credential::Password("p=w d".to_owned().into()));
        assert_eq!(form, "username=a%26b&password=p%3Dw+d");
        assert_eq!(login_form("a", &Credential::Token("t".to_owned().into())), "username=a&token=t");
    }
}
