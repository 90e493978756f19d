//! Names that have rules: parsed once, then carried as types.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::chain::{LeafFacts, Sha256};
use crate::identifier::Identifier;
use crate::key::KeyType;
use crate::printable;

/// A DNS name for which a certificate is asked: lower case, no trailing dot, A-labels (RFC 5280 §4.2.1.6), at most 253
/// characters in labels of at most 63. A first label of `*` makes it a wildcard (RFC 8555 §7.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsName(String);

impl DnsName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is a wildcard (`*.some-domain.com`), which http-01 cannot validate (RFC 8555 §8.3).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with("*.")
    }

    /// Where a CA looks for the dns-01 response for this name: `_acme-challenge.<name>`, the same for a name and the wildcard
    /// below it (RFC 8555 §8.4).
    ///
    /// # Errors
    /// The label makes the name longer than a DNS name may be.
    pub fn dns01_record(&self) -> Result<Self, NameError> {
        format!("_acme-challenge.{}", self.0.strip_prefix("*.").unwrap_or(&self.0)).parse()
    }

    /// A host name that this name stands for: itself, or one below a wildcard that nobody uses.
    #[must_use]
    pub fn sample(&self) -> Self {
        let Some(parent) = self.0.strip_prefix("*.") else { return self.clone() };
        let sample = format!("certferry-check.{parent}");
        Self(if sample.len() <= 253 { sample } else { format!("x.{parent}") })
    }

    /// The name without its first label; `None` for a name of two labels.
    pub fn parent(&self) -> Option<Self> {
        let (_, parent) = self.0.split_once('.')?;
        parent.contains('.').then(|| Self(parent.to_owned()))
    }

    /// Whether a certificate or virtual host for `self` also answers for `name`: equal, or a wildcard one label up.
    pub fn covers(&self, name: &Self) -> bool {
        self == name
            || self
                .0
                .strip_prefix("*.")
                .is_some_and(|parent| name.0.split_once('.').is_some_and(|(_, rest)| rest == parent))
    }
}

impl FromStr for DnsName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |why: &str| Err(NameError::new("DNS name", text, why));
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if !name.is_ascii() {
            return refuse("write international names as A-labels (xn--…)");
        }
        if name.len() > 253 {
            return refuse("longer than 253 characters");
        }
        let host = name.strip_prefix("*.").unwrap_or(&name);
        if host.parse::<std::net::IpAddr>().is_ok() {
            return refuse("an IP address is not a DNS name");
        }
        if !host.contains('.') {
            return refuse("needs at least two labels");
        }
        for label in host.split('.') {
            let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
            if label.is_empty() || label.len() > 63 || !letters || label.starts_with('-') || label.ends_with('-') {
                return refuse("labels hold letters, digits and inner dashes, 1 to 63 of them");
            }
        }
        Ok(Self(name))
    }
}

/// The name of a bundle on a load balancer: letters, digits, `-` and `_`, at most 64 (OCI's rule for `certificateName`).
///
/// Names that other people gave are kept as they are; [`BundleName::for_version`] makes certferry's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleName(String);

impl BundleName {
    /// The longest name that certferry makes; no source states OCI's own maximum.
    pub const MAX_LEN: usize = 64;

    /// A name as a load balancer reports it.
    pub fn observed(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The name of a version where versions stand side by side: `cf-<certificate>-<UTC date of notBefore>-<first 8 of the
    /// leaf's SHA-256>`. Derived from the content, so that uploading twice is uploading once.
    pub fn for_version(certificate: &CertificateName, leaf: &LeafFacts) -> Self {
        let date = utc_date(leaf.not_before);
        let suffix = format!("-{date}-{}", &leaf.sha256.to_string()[..8]);
        let mut name = stem(certificate);
        name.truncate(Self::MAX_LEN - suffix.len());
        Self(format!("{name}{suffix}"))
    }

    /// The name of a certificate's object where a version replaces another in place: `cf-<certificate>`. Where the rules
    /// cost letters, the first 8 of the name's SHA-256 follow, so that no two certificates share an object.
    pub fn in_place(certificate: &CertificateName) -> Self {
        let mut name = stem(certificate);
        if name.len() <= Self::MAX_LEN && name.ends_with(certificate.as_str()) {
            return Self(name);
        }
        let suffix = format!("-{}", &Sha256::of(certificate.as_str().as_bytes()).to_string()[..8]);
        name.truncate(Self::MAX_LEN - suffix.len());
        Self(format!("{name}{suffix}"))
    }

    /// The name of the object that holds a key which the load balancer made: `cf-<certificate>-<first 8 of the SHA-256 of
    /// what the key's CSR asks for>`. Renewals reuse key and object; other names or another type need a new key, hence
    /// another object.
    pub fn for_key(certificate: &CertificateName, key: KeyType, names: &[Identifier]) -> Self {
        let mut asked = key.to_string();
        names.iter().for_each(|name| asked.push_str(&format!(",{name}")));
        Self::in_place_for(certificate, &asked)
    }

    /// The name of an object whose versions must have common name and extended key usages in common:
    /// `cf-<certificate>-<first 8 of the SHA-256 of these>`. A version that differs in them has another object.
    pub fn for_subject_and_usages(certificate: &CertificateName, leaf: &LeafFacts) -> Self {
        let subject = leaf.common_name.as_deref().unwrap_or_default();
        Self::in_place_for(certificate, &format!("{subject},{}", leaf.extended_key_usages.join(",")))
    }

    fn in_place_for(certificate: &CertificateName, what: &str) -> Self {
        let suffix = format!("-{}", &Sha256::of(what.as_bytes()).to_string()[..8]);
        let mut name = Self::in_place(certificate).0;
        name.truncate(Self::MAX_LEN - suffix.len());
        Self(format!("{name}{suffix}"))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `cf-<certificate>` in letters that every load balancer takes; all of them are ASCII.
fn stem(certificate: &CertificateName) -> String {
    let safe = certificate.as_str().replace(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-', "_");
    format!("cf-{safe}")
}

fn utc_date(instant: Timestamp) -> String {
    instant.strftime("%Y%m%d").to_string()
}

/// A name that broke a rule: what it was meant to be, the text, and why it is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} `{text}` is refused: {why}")]
pub struct NameError {
    kind: &'static str,
    text: String,
    why: String,
}

impl NameError {
    /// A refusal of `text` as a `kind`, because of `why`.
    pub fn new(kind: &'static str, text: impl Into<String>, why: impl Into<String>) -> Self {
        Self { kind, text: printable::line(&text.into(), SHOWN_CHARACTERS), why: why.into() }
    }
}

/// Of a text that is no name.
const SHOWN_CHARACTERS: usize = 300;

/// Names that the config gives to its own things share one rule: 1 to 64 of letters, digits, `-`, `_` and `.`, starting
/// with a letter or digit, so that they can stand in file names, bundle names and command lines as they are.
fn config_name(kind: &'static str, text: &str) -> Result<String, NameError> {
    let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let letters = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if starts_well && letters && text.len() <= 64 {
        return Ok(text.to_owned());
    }
    Err(NameError::new(kind, text, "1 to 64 letters, digits, `-`, `_` or `.`, starting with a letter or digit"))
}

/// A listener's name is the load balancer's word, not ours: anything printable goes.
fn foreign_name(kind: &'static str, text: &str) -> Result<String, NameError> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err(NameError::new(kind, text, "1 to 255 printable characters"));
    }
    Ok(text.to_owned())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $parse:path) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $parse($kind, text).map(Self)
            }
        }
    };
}

name! {
    /// The stable name of a certificate in the config.
    CertificateName, "certificate name", config_name
}
name! {
    /// The name of a DNS provider in the config.
    DnsProviderName, "DNS provider name", config_name
}
name! {
    /// The name of an issuer in the config.
    IssuerName, "issuer name", config_name
}
name! {
    /// The name of a load balancer in the config.
    LoadBalancerName, "load balancer name", config_name
}
name! {
    /// The name of a listener on its load balancer (OCI listener, Avi virtual service).
    ListenerName, "listener name", foreign_name
}

macro_rules! text {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

text!(BundleName, CertificateName, DnsName, DnsProviderName, IssuerName, ListenerName, LoadBalancerName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names_are_normalised_and_checked() {
        for (text, expected) in [
            ("WWW.Some-Domain.com.", Some("www.some-domain.com")),
            ("*.some-domain.com", Some("*.some-domain.com")),
            ("a_b.test", Some("a_b.test")),
            ("localhost", None),
            ("127.0.0.1", None),
            ("a..b", None),
            ("-a.b", None),
            ("a.*.b", None),
            ("", None),
            ("bücher.example", None),
        ] {
            assert_eq!(text.parse::<DnsName>().ok().as_ref().map(DnsName::as_str), expected, "{text}");
        }
    }

    #[test]
    fn a_wildcard_covers_one_label_only() {
        let wildcard: DnsName = "*.some-domain.com".parse().unwrap();
        assert!(wildcard.covers(&"www.some-domain.com".parse().unwrap()));
        assert!(!wildcard.covers(&"a.www.some-domain.com".parse().unwrap()));
        assert!(!wildcard.covers(&"some-domain.com".parse().unwrap()));
    }

    #[test]
    fn a_name_and_its_wildcard_share_a_dns01_record() {
        for name in ["some-domain.com", "*.some-domain.com"] {
            let name: DnsName = name.parse().unwrap();
            assert_eq!(name.dns01_record().unwrap().as_str(), "_acme-challenge.some-domain.com");
        }
        let long: DnsName = format!("{}.test", ["a".repeat(60).as_str(); 4].join(".")).parse().unwrap();
        assert!(long.dns01_record().is_err());
    }

    #[test]
    fn a_wildcards_sample_is_a_name_that_it_covers() {
        let long = format!("*.{}.test", ["a".repeat(60).as_str(); 4].join("."));
        for name in ["some-domain.com", "*.some-domain.com", &long] {
            let name: DnsName = name.parse().unwrap();
            let sample: DnsName = name.sample().as_str().parse().unwrap();
            assert!(name.covers(&sample) && !sample.is_wildcard(), "{sample}");
        }
    }

    #[test]
    fn a_bundle_name_keeps_to_the_rules_of_the_load_balancer() {
        let leaf = LeafFacts::for_tests("2026-01-02T03:04:05Z", "2026-04-02T03:04:05Z", Sha256::of(b"leaf"));
        let name = BundleName::for_version(&"www.some-domain.com".parse().unwrap(), &leaf);
        assert!(name.as_str().starts_with("cf-www_some-domain_com-20260102-"), "{name}");
        let long: CertificateName = "x".repeat(64).parse().unwrap();
        assert_eq!(BundleName::for_version(&long, &leaf).as_str().len(), BundleName::MAX_LEN);
    }

    #[test]
    fn an_object_is_shared_by_versions_with_one_common_name_and_one_set_of_usages() {
        let www: CertificateName = "www".parse().unwrap();
        let name = |certificate: &CertificateName, common_name: Option<&str>, usages: &[&str], content: &[u8]| {
            let mut leaf = LeafFacts::for_tests("2026-01-02T03:04:05Z", "2026-04-02T03:04:05Z", Sha256::of(content));
            leaf.common_name = common_name.map(str::to_owned);
            leaf.extended_key_usages = usages.iter().map(|usage| (*usage).to_owned()).collect();
            BundleName::for_subject_and_usages(certificate, &leaf)
        };
        let one = name(&www, Some("a.test"), &["1.2"], b"one");
        assert!(one.as_str().starts_with("cf-www-") && one.as_str().len() == "cf-www-".len() + 8, "{one}");
        assert_eq!(name(&www, Some("a.test"), &["1.2"], b"two"), one);
        for other in [
            name(&www, Some("b.test"), &["1.2"], b"one"),
            name(&www, Some("a.test"), &["1.2", "1.3"], b"one"),
            name(&www, Some("a.test"), &[], b"one"),
            name(&www, None, &["1.2"], b"one"),
            name(&"shop".parse().unwrap(), Some("a.test"), &["1.2"], b"one"),
        ] {
            assert_ne!(other, one);
        }
        let long: CertificateName = "x".repeat(64).parse().unwrap();
        assert_eq!(name(&long, Some("a.test"), &[], b"one").as_str().len(), BundleName::MAX_LEN);
    }

    #[test]
    fn no_two_certificates_share_an_object_that_is_replaced_in_place() {
        let in_place = |name: &str| BundleName::in_place(&name.parse().unwrap());
        assert_eq!(in_place("www_a-b").as_str(), "cf-www_a-b");
        assert_ne!(in_place("a.b"), in_place("a_b"));
        let (one, two) = (in_place(&format!("{}1", "x".repeat(63))), in_place(&format!("{}2", "x".repeat(63))));
        assert_ne!(one, two);
        assert_eq!(one.as_str().len(), BundleName::MAX_LEN);
    }
}
