//! What a certificate is for (RFC 8555 §9.7.7): a DNS name, or an IP address (RFC 8738).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::name::{DnsName, NameError};

/// A name of a certificate. Sorted, DNS names come before IP addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identifier {
    /// A DNS name, possibly a wildcard.
    Dns(DnsName),
    /// An IP address. One that no host can have (unspecified, multicast, broadcast) is never parsed.
    Ip(IpAddr),
}

impl Identifier {
    /// The DNS name; `None` for an IP address.
    pub fn dns(&self) -> Option<&DnsName> {
        match self {
            Self::Dns(name) => Some(name),
            Self::Ip(_) => None,
        }
    }

    /// The IP address; `None` for a DNS name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Dns(_) => None,
            Self::Ip(address) => Some(*address),
        }
    }

    /// Whether it is a wildcard; an IP address never is.
    pub fn is_wildcard(&self) -> bool {
        self.dns().is_some_and(DnsName::is_wildcard)
    }

    /// What a client asks for that this stands for: itself, or a host name below a wildcard that nobody uses.
    #[must_use]
    pub fn sample(&self) -> Self {
        match self {
            Self::Dns(name) => Self::Dns(name.sample()),
            Self::Ip(_) => self.clone(),
        }
    }

    /// Whether a certificate for `self` also answers for `name`: equal, or a wildcard one label up.
    pub fn covers(&self, name: &Self) -> bool {
        match (self, name) {
            (Self::Dns(own), Self::Dns(name)) => own.covers(name),
            _ => self == name,
        }
    }

    /// How it stands as the host in a URL and in a Host header: an IPv6 address in brackets (RFC 3986 §3.2.2).
    pub fn host(&self) -> String {
        match self {
            Self::Ip(IpAddr::V6(address)) => format!("[{address}]"),
            Self::Dns(_) | Self::Ip(IpAddr::V4(_)) => self.to_string(),
        }
    }
}

impl FromStr for Identifier {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why: &str| Err(NameError::new("IP address", text, why));
        let Ok(address) = text.parse::<IpAddr>() else {
            if text.starts_with('[') || text.matches(':').nth(1).is_some() {
                return refuse("write an IPv6 address without brackets, prefix length and zone, such as 2001:db8::1");
            }
            // A name whose last label is a number is read as an IPv4 address by clients, however it is written.
            if text.trim_end_matches('.').rsplit('.').next().is_some_and(is_number) {
                return refuse("write an IPv4 address as four numbers up to 255 without leading zeros");
            }
            return text.parse().map(Self::Dns);
        };
        if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
            return refuse("write an IPv4 address as such, not mapped into IPv6");
        }
        let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || is_broadcast {
            return refuse("no host has it as its own, so no CA may sign for it");
        }
        Ok(Self::Ip(address))
    }
}

/// IPv4 dotted, IPv6 in the shortest form (RFC 5952), which is how RFC 8738 §3 wants them in orders.
impl fmt::Display for Identifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => name.fmt(formatter),
            Self::Ip(address) => address.fmt(formatter),
        }
    }
}

impl From<DnsName> for Identifier {
    fn from(name: DnsName) -> Self {
        Self::Dns(name)
    }
}

impl From<IpAddr> for Identifier {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

fn is_number(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Identifier {
        text.parse().unwrap()
    }

    #[test]
    fn every_writing_of_an_address_is_one_identifier() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
            ("2001:0db8::0001", "2001:db8::1"),
            ("::1", "::1"),
            ("WWW.Some-Domain.com.", "www.some-domain.com"),
            ("*.some-domain.com", "*.some-domain.com"),
            ("192.0.2.1.some-domain.com", "192.0.2.1.some-domain.com"),
        ] {
            assert_eq!(parsed(text).to_string(), expected, "{text}");
        }
        assert_eq!(parsed("2001:db8:0::1"), parsed("2001:DB8::1"));
    }

    #[test]
    fn what_no_ca_may_sign_for_is_refused() {
        for text in [
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "::ffff:192.0.2.1",
            "[2001:db8::1]",
            "fe80::1%eth0",
            "2001:db8::/32",
            "192.0.2.1/24",
            "192.0.2.01",
            "192.0.2.256",
            "192.0.2",
            "192.0.2.1.",
            "*.192.0.2.1",
            "localhost",
            "",
        ] {
            assert!(text.parse::<Identifier>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_covers_itself_only() {
        let (four, six, name) = (parsed("192.0.2.1"), parsed("2001:db8::1"), parsed("*.some-domain.com"));
        assert!(
            four.covers(&four) && six.covers(&parsed("2001:db8:0::1")) && name.covers(&parsed("a.some-domain.com"))
        );
        assert!(!four.covers(&six) && !name.covers(&four) && !four.covers(&name));
        assert_eq!((four.sample(), four.is_wildcard(), name.is_wildcard()), (four.clone(), false, true));
        assert_eq!((four.host(), six.host()), ("192.0.2.1".to_owned(), "[2001:db8::1]".to_owned()));
        assert!(name < four && four < six, "the common name is looked for in order");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bits in any::<u128>(), four in any::<bool>()) {
            let address = match four {
                true => IpAddr::V4(std::net::Ipv4Addr::from(u32::try_from(bits >> 96).unwrap())),
                false => IpAddr::V6(std::net::Ipv6Addr::from(bits)),
            };
            if let Ok(identifier) = address.to_string().parse::<Identifier>() {
                prop_assert_eq!(identifier.ip(), Some(address));
                prop_assert_eq!(parsed(&identifier.to_string()), identifier);
            }
        }
    }
}
