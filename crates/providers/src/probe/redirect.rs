//! Redirects as a CA follows them (RFC 8555 §8.3 leaves it to the CA; these are Let's Encrypt's rules), and where the
//! next request goes when the first one went to an address that was given.

use std::net::SocketAddr;

use http::StatusCode;
use url::Url;

/// More redirects are not followed.
pub(super) const MOST_REDIRECTS: usize = 10;

/// A redirect's path is not longer.
const LONGEST_PATH: usize = 2000;

/// Whether a CA follows an answer of this status.
pub(super) fn is_followed(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
}

/// The URL that a redirect leads to.
pub(super) fn target(from: &Url, location: &str) -> Result<Url, String> {
    let refuse = |why: &str| Err(format!("{from} redirects to `{location}`, {why}"));
    let Ok(to) = from.join(location) else { return refuse("which is not a URL") };
    let port = match to.scheme() {
        "http" => 80,
        "https" => 443,
        _ => return refuse("which is neither http nor https; a CA does not follow it"),
    };
    if to.port_or_known_default() != Some(port) {
        return refuse("but a CA follows redirects to ports 80 (http) and 443 (https) only");
    }
    if to.path().len() > LONGEST_PATH {
        return refuse("whose path is longer than 2000 characters; a CA does not follow it");
    }
    Ok(to)
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To this address.
    Address(SocketAddr),
    /// To wherever the host name resolves.
    Resolved,
}

/// Where the request for `to` goes when the first request, for `name`, went to `address`.
///
/// An address with port 80 is the real one: the name's https is at port 443 of it, and other hosts are where DNS says.
/// Any other port is a stand-in for port 80 (`probe:` in the config), and nobody knows what stands in for port 443.
pub(super) fn destination(address: SocketAddr, name: &str, to: &Url) -> Result<Destination, String> {
    let real = address.port() == 80;
    match to.scheme() {
        "https" if !real => Err(format!(
            "redirects to {to}, which cannot be followed through the probe address {address}: that stands for port 80"
        )),
        _ if real && to.host_str() != Some(name) => Ok(Destination::Resolved),
        "https" => Ok(Destination::Address(SocketAddr::new(address.ip(), 443))),
        _ => Ok(Destination::Address(address)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    #[test]
    fn redirects_are_followed_as_a_ca_follows_them() {
        let from = url("http://www.some-domain.com/.well-known/acme-challenge/abc");
        let long = format!("/{}", "a".repeat(2000));
        for (location, to) in [
            ("https://www.some-domain.com/x", Some("https://www.some-domain.com/x")),
            ("https://www.some-domain.com:443/x", Some("https://www.some-domain.com/x")),
            ("//other.some-domain.com/x", Some("http://other.some-domain.com/x")),
            ("/x", Some("http://www.some-domain.com/x")),
            ("x", Some("http://www.some-domain.com/.well-known/acme-challenge/x")),
            ("http://www.some-domain.com:8080/x", None),
            ("https://www.some-domain.com:80/x", None),
            // Let's Encrypt follows to addresses too since it issues for them (boulder, va/http.go).
            ("http://192.0.2.7/x", Some("http://192.0.2.7/x")),
            ("https://[2001:db8::1]/x", Some("https://[2001:db8::1]/x")),
            ("http://[2001:db8::1]:8080/x", None),
            ("ftp://www.some-domain.com/x", None),
            ("http://", None),
            (long.as_str(), None),
        ] {
            assert_eq!(target(&from, location).ok().as_ref().map(Url::as_str), to, "{location}");
        }
        for (status, followed) in [(301, true), (302, true), (303, false), (307, true), (308, true), (300, false)] {
            assert_eq!(is_followed(StatusCode::from_u16(status).unwrap()), followed, "{status}");
        }
    }

    #[test]
    fn the_next_request_goes_where_a_ca_would_go() {
        let name = "www.some-domain.com";
        let (real, stand_in): (SocketAddr, SocketAddr) =
            ("192.0.2.7:80".parse().unwrap(), "127.0.0.1:18080".parse().unwrap());
        let to = |address, url: &str| destination(address, name, &url.parse().unwrap());
        let address = |text: &str| Ok(Destination::Address(text.parse().unwrap()));
        assert_eq!(to(real, "http://www.some-domain.com/x"), address("192.0.2.7:80"));
        assert_eq!(to(real, "https://www.some-domain.com/x"), address("192.0.2.7:443"));
        assert_eq!(to(real, "https://acme.some-domain.com/x"), Ok(Destination::Resolved));
        assert_eq!(to(stand_in, "http://acme.some-domain.com/x"), address("127.0.0.1:18080"));
        let own = |address, url: &str| destination(address, "[2001:db8::1]", &url.parse().unwrap());
        let six = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!(own(six, "https://[2001:db8::1]/x"), address("[2001:db8::1]:443"));
        assert_eq!(own(six, "https://www.some-domain.com/x"), Ok(Destination::Resolved));
        let error = to(stand_in, "https://www.some-domain.com/x").unwrap_err();
        assert!(error.contains("https://www.some-domain.com/x") && error.contains("127.0.0.1:18080"), "{error}");
    }
}
