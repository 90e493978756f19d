//! Where an API lives: https, or plain http on this machine only.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The base of an API's URLs: `https://host[:port][/path]`. Plain http is accepted on loopback only, where tests and labs
/// listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// The URL with `segments` appended, each percent-encoded.
    pub fn join<'a>(&self, segments: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.0.clone();
        // An http or https URL always has path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Whether the host is this machine.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        }
    }

    /// The URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, BaseUrlError> {
        let refuse = |why: &str| Err(BaseUrlError { text: text.to_owned(), why: why.to_owned() });
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BaseUrlError {
                text: "a URL with a password in it".to_owned(),
                why: "credentials do not belong in a URL".to_owned(),
            });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("a base URL has neither query nor fragment");
        }
        let base = Self(url);
        match base.0.scheme() {
            "https" => Ok(base),
            "http" if base.is_loopback() => Ok(base),
            "http" => refuse("use https; plain http is for this machine (127.0.0.1) only"),
            _ => refuse("not an https URL"),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A URL that is refused, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is refused: {why}")]
pub struct BaseUrlError {
    text: String,
    why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_only() {
        for (text, accepted) in [
            ("https://iaas.us-ashburn-1.oraclecloud.com", true),
            ("http://127.0.0.1:8080/base", true),
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("http://10.0.0.1", false),
            ("http://localhost.some-domain.com", false),
            ("ftp://127.0.0.1", false),
            ("https://host/?a=b", false),
            ("host", false),
        ] {
            assert_eq!(text.parse::<BaseUrl>().is_ok(), accepted, "{text}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_repeated() {
        let error = "https://user:hunter2@host/".parse::<BaseUrl>().unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }

    #[test]
    fn segments_are_encoded_one_by_one() {
        let base: BaseUrl = "https://host/base/".parse().unwrap();
        assert_eq!(base.join(["a b", "c/d", "10.0.0.6:90"]).path(), "/base/a%20b/c%2Fd/10.0.0.6:90");
    }
}
