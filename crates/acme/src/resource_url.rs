//! A URL that the CA named and that this client is willing to open.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use url::{Host, Url};

use crate::printable;

/// An absolute https URL with a host and without credentials or fragment; plain http only to loopback, for tests.
///
/// Keeps the CA's spelling: an account URL is compared byte for byte as `kid` (RFC 8555 §6.2) and in DNS records.
#[derive(Clone)]
pub struct ResourceUrl {
    text: String,
    url: Url,
}

impl ResourceUrl {
    /// The URL exactly as the CA (or the caller) wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL in parsed form.
    pub fn as_url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn is_plain_http(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Resolves a reference from a `Location` or `Link` header against this URL (RFC 3986 §5).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, InvalidUrl> {
        // An absolute reference keeps its own spelling.
        if Url::parse(reference).is_ok() {
            return reference.parse();
        }
        refuse_odd_characters(reference)?;
        match self.url.join(reference) {
            Ok(url) => url.as_str().parse(),
            Err(_) => Err(InvalidUrl::new(reference, "it is not a URL")),
        }
    }

    /// The URL with one more path segment, of characters that need no escaping.
    pub(crate) fn with_segment(&self, segment: &str) -> Self {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{segment}", self.url.path().trim_end_matches('/')));
        Self { text: url.as_str().to_owned(), url }
    }

    /// For logs and errors: without the query, where some CAs put secrets.
    pub(crate) fn without_query(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

impl FromStr for ResourceUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        refuse_odd_characters(text)?;
        let url = Url::parse(text).map_err(|_| InvalidUrl::new(text, "it is not an absolute URL"))?;
        if url.host().is_none() || url.cannot_be_a_base() {
            return Err(InvalidUrl::new(text, "it has no host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidUrl::new(text, "it carries credentials"));
        }
        if url.fragment().is_some() {
            return Err(InvalidUrl::new(text, "it has a fragment"));
        }
        match url.scheme() {
            "https" => {}
            "http" if is_loopback(&url) => {}
            "http" => return Err(InvalidUrl::new(text, "plain http is allowed to loopback only")),
            _ => return Err(InvalidUrl::new(text, "its scheme is not https")),
        }
        Ok(Self { text: text.to_owned(), url })
    }
}

impl fmt::Display for ResourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for ResourceUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ResourceUrl({})", self.without_query())
    }
}

impl PartialEq for ResourceUrl {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for ResourceUrl {}

impl Hash for ResourceUrl {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Serialize for ResourceUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ResourceUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Why a URL is not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the URL {url:?} is refused: {reason}")]
pub struct InvalidUrl {
    url: String,
    reason: &'static str,
}

impl InvalidUrl {
    fn new(url: &str, reason: &'static str) -> Self {
        Self { url: printable::line(url, SHOWN_CHARACTERS), reason }
    }

    /// The reason alone, without the URL.
    pub fn reason(&self) -> &'static str {
        self.reason
    }
}

/// The parser would drop tabs and line ends and escape the rest in silence; the CA has no business sending them.
fn refuse_odd_characters(text: &str) -> Result<(), InvalidUrl> {
    if text.len() > MAX_LENGTH {
        return Err(InvalidUrl::new(text, "it is longer than 2048 bytes"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidUrl::new(text, "it holds a space, a control character or non-ASCII text"));
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(domain)) => domain == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

const MAX_LENGTH: usize = 2048;
const SHOWN_CHARACTERS: usize = 200;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn https_and_loopback_http_are_accepted_as_written() {
        for text in [
            "https://ca.example/acme/acct/1",
            "https://ca.example",
            "https://ca.example:443/acct/1?x=%7E",
            "http://127.0.0.1:14000/dir",
            "http://[::1]:14000/dir",
            "http://localhost:14000/dir",
        ] {
            assert_eq!(text.parse::<ResourceUrl>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("http://ca.example/dir", "plain http is allowed to loopback only"),
            ("http://127.0.0.1.evil.example/", "plain http is allowed to loopback only"),
            ("ftp://ca.example/", "its scheme is not https"),
            ("file:///etc/passwd", "it has no host"),
            ("data:text/plain,x", "it has no host"),
            ("/relative", "it is not an absolute URL"),
            ("", "it is not an absolute URL"),
            ("https://user:pass@ca.example/", "it carries credentials"),
            ("https://ca.example/#x", "it has a fragment"),
            ("https://ca.example/\n", "it holds a space, a control character or non-ASCII text"),
        ] {
            assert_eq!(text.parse::<ResourceUrl>().unwrap_err().reason(), reason, "{text}");
        }
    }

    #[test]
    fn a_relative_reference_is_resolved_and_checked() {
        let base: ResourceUrl = "https://ca.example/cert/7".parse().unwrap();
        assert_eq!(base.join("/cert/7/1").unwrap().as_str(), "https://ca.example/cert/7/1");
        assert_eq!(base.join("8").unwrap().as_str(), "https://ca.example/cert/8");
        assert_eq!(base.join("//other.example/c").unwrap().as_str(), "https://other.example/c");
        assert!(base.join("http://ca.example/c").is_err());
        assert!(base.join("file:///etc/passwd").is_err());
    }

    #[test]
    fn debug_hides_the_query() {
        let url: ResourceUrl = "https://ca.example/unpause?jwt=secret".parse().unwrap();
        assert!(!format!("{url:?}").contains("secret"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>(), base in "https://[a-z]{1,5}\\.example/[a-z/]{0,8}") {
            let _ = text.parse::<ResourceUrl>();
            let _ = base.parse::<ResourceUrl>().unwrap().join(&text);
        }
    }
}
