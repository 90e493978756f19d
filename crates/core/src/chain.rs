//! Certificate chains as a CA hands them out: parsed, checked, and reduced to the facts that decisions need.

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::digest;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::x509::X509Name;

use crate::identifier::Identifier;
use crate::key::KeyFamily;
use crate::printable;

/// A chain: the leaf first, then the intermediates in order; no root needed.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    pem: String,
    certificates: Vec<Vec<u8>>,
    leaf: LeafFacts,
}

impl Chain {
    /// More certificates than any public CA chains (Let's Encrypt's longest has four).
    pub const MAX_CERTIFICATES: usize = 10;

    /// Parses PEM text with the leaf first, and checks that every certificate is signed by the next one.
    ///
    /// # Errors
    /// Text that is not PEM, holds anything else than certificates, too many of them, or links that do not hold.
    pub fn parse(text: &str) -> Result<Self, ChainError> {
        let blocks = pem::parse_many(text).map_err(|error| ChainError::Pem(printable::pem_fault(&error)))?;
        if blocks.is_empty() {
            return Err(ChainError::Pem("no certificate in it".to_owned()));
        }
        if blocks.len() > Self::MAX_CERTIFICATES {
            return Err(ChainError::TooLong(blocks.len()));
        }
        if let Some(other) = blocks.iter().find(|block| block.tag() != "CERTIFICATE") {
            let tag = printable::line(other.tag(), SHOWN_CHARACTERS);
            return Err(ChainError::Pem(format!("a block `{tag}` where only CERTIFICATE belongs")));
        }
        let certificates: Vec<Vec<u8>> = blocks.into_iter().map(pem::Pem::into_contents).collect();
        check_links(&certificates)?;
        let leaf = LeafFacts::from_der(&certificates[0])?;
        Ok(Self { pem: to_pem(&certificates), certificates, leaf })
    }

    /// The chain as PEM: LF line ends, leaf first, nothing between the blocks.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificates as DER, leaf first.
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// The leaf's facts.
    pub fn leaf(&self) -> &LeafFacts {
        &self.leaf
    }

    /// Whether the leaf is also for something that is neither DNS name nor IP address, a mailbox say.
    pub fn has_other_names(&self) -> bool {
        let Ok((_, leaf)) = X509Certificate::from_der(self.leaf_der()) else { return false };
        let names = leaf.subject_alternative_name().ok().flatten();
        names.is_some_and(|names| names.value.general_names.iter().any(|name| name_text(name).is_none()))
    }

    /// The leaf as DER.
    pub fn leaf_der(&self) -> &[u8] {
        &self.certificates[0]
    }

    /// The common name of whoever issued the last certificate, which is the root's unless the root itself is sent.
    pub fn top(&self) -> String {
        self.names_of_last().map_or_else(String::new, |(_, issuer)| issuer)
    }

    /// Whether the chain ends in a certificate of this common name: as the last one, or as the one that issued it.
    pub fn ends_in(&self, common_name: &str) -> bool {
        self.names_of_last().is_some_and(|(subject, issuer)| [subject, issuer].iter().any(|name| name == common_name))
    }

    fn names_of_last(&self) -> Option<(String, String)> {
        let (_, last) = X509Certificate::from_der(self.certificates.last()?).ok()?;
        Some((common_name(last.subject()).unwrap_or_default(), common_name(last.issuer()).unwrap_or_default()))
    }

    /// Whether the leaf is what was ordered: its public key is `public_key_info` (SubjectPublicKeyInfo, DER) and its names
    /// are exactly `names`.
    ///
    /// # Errors
    /// The first difference.
    pub fn check_ordered(&self, public_key_info: &[u8], names: &[Identifier]) -> Result<(), ChainError> {
        let (_, leaf) =
            X509Certificate::from_der(self.leaf_der()).map_err(|error| ChainError::Der(error.to_string()))?;
        if leaf.public_key().raw != public_key_info {
            return Err(ChainError::OtherKey);
        }
        let mut ordered: Vec<String> = names.iter().map(Identifier::to_string).collect();
        ordered.sort_unstable();
        let mut got = self.leaf.names.clone();
        got.sort_unstable();
        if ordered != got {
            let got = printable::line(&got.join(", "), SHOWN_CHARACTERS);
            return Err(ChainError::OtherNames { ordered: ordered.join(", "), got });
        }
        Ok(())
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Chain")
            .field("certificates", &self.certificates.len())
            .field("leaf", &self.leaf)
            .finish()
    }
}

/// What decisions need of a leaf certificate; small enough to be kept in the store's columns for every version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafFacts {
    /// Serial number.
    pub serial: Serial,
    /// Start of validity.
    pub not_before: Timestamp,
    /// End of validity.
    pub not_after: Timestamp,
    /// SHA-256 of the leaf's DER.
    pub sha256: Sha256,
    /// DNS names of the subjectAltName extension, as written there, and its IP addresses as [`Identifier`] shows them.
    pub names: Vec<String>,
    /// Common name of the subject; several profiles leave it out.
    pub common_name: Option<String>,
    /// What the extendedKeyUsage extension allows, as OIDs, sorted.
    pub extended_key_usages: Vec<String>,
    /// RSA or ECDSA; `None` for anything else.
    pub key_family: Option<KeyFamily>,
    /// Common name of the issuer, for people.
    pub issuer: String,
}

impl LeafFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// DER that is not a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, ChainError> {
        let certificate = whole(der)?;
        let instant = |seconds| Timestamp::from_second(seconds).map_err(|error| ChainError::Der(error.to_string()));
        let names = certificate.extensions().iter().flat_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => names.general_names.as_slice(),
            _ => &[],
        });
        let oid = certificate.public_key().algorithm.algorithm.to_id_string();
        Ok(Self {
            serial: Serial::from_der_integer(certificate.raw_serial()),
            not_before: instant(certificate.validity().not_before.timestamp())?,
            not_after: instant(certificate.validity().not_after.timestamp())?,
            sha256: Sha256::of(der),
            names: names.filter_map(name_text).collect(),
            common_name: common_name(certificate.subject()),
            extended_key_usages: extended_key_usages(&certificate),
            key_family: key_family(&oid),
            issuer: common_name(certificate.issuer())
                .map_or_else(|| shown(certificate.issuer()), |name| printable::line(&name, SHOWN_CHARACTERS)),
        })
    }

    /// Facts that only carry a validity and a fingerprint, for tables of decisions.
    #[doc(hidden)]
    pub fn for_tests(not_before: &str, not_after: &str, sha256: Sha256) -> Self {
        let instant = |text: &str| text.parse().unwrap_or(Timestamp::UNIX_EPOCH);
        Self {
            serial: Serial(sha256.to_string()[..16].to_owned()),
            not_before: instant(not_before),
            not_after: instant(not_after),
            sha256,
            names: Vec::new(),
            common_name: None,
            extended_key_usages: Vec::new(),
            key_family: Some(KeyFamily::Ecdsa),
            issuer: "test".to_owned(),
        }
    }
}

/// A serial number: lower-case hex, two digits a byte, without colons and without DER's sign byte, so that it reads as
/// `openssl x509 -serial` prints it (but for the case).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Serial(String);

impl Serial {
    /// From the content bytes of the DER INTEGER.
    pub fn from_der_integer(bytes: &[u8]) -> Self {
        let value = match bytes {
            [0, rest @ ..] if !rest.is_empty() => rest,
            _ => bytes,
        };
        Self(hex(value))
    }

    /// From text that this type printed before.
    pub fn from_hex(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A SHA-256 digest; prints as lower-case hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut value = [0; 32];
        value.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(value)
    }

    /// From text that this type printed before; `None` if it is not 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut value = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (index, byte) in value.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(Self(value))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.0))
    }
}

/// Why a chain is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A certificate that does not parse.
    #[error("a certificate does not parse: {0}")]
    Der(String),
    /// A certificate that the next one did not sign.
    #[error("certificate {position} (`{subject}`) is not signed by the one after it (`{next}`)")]
    Link {
        /// Position in the chain, the leaf being 1.
        position: usize,
        /// Subject of that certificate.
        subject: String,
        /// Subject of the one after it.
        next: String,
    },
    /// The leaf holds another key than the one that was ordered with.
    #[error("the leaf's public key is not the one in the order's CSR")]
    OtherKey,
    /// The leaf holds other names than ordered.
    #[error("the leaf is for [{got}], ordered was [{ordered}]")]
    OtherNames {
        /// What was ordered.
        ordered: String,
        /// What came.
        got: String,
    },
    /// Text that is not the PEM of certificates.
    #[error("not a PEM chain: {0}")]
    Pem(String),
    /// More certificates than any chain needs.
    #[error("{0} certificates in one chain, at most {max} are accepted", max = Chain::MAX_CERTIFICATES)]
    TooLong(usize),
    /// A certificate that stands there already.
    #[error("certificate {position} (`{subject}`) stands in the chain before")]
    Twice {
        /// Position in the chain, the leaf being 1.
        position: usize,
        /// Subject of that certificate.
        subject: String,
    },
}

fn check_links(certificates: &[Vec<u8>]) -> Result<(), ChainError> {
    let parsed = certificates.iter().map(|der| whole(der)).collect::<Result<Vec<_>, _>>()?;
    for (index, der) in certificates.iter().enumerate() {
        if certificates[..index].contains(der) {
            return Err(ChainError::Twice { position: index + 1, subject: shown(parsed[index].subject()) });
        }
    }
    for (index, pair) in parsed.windows(2).enumerate() {
        let named = pair[0].issuer().as_raw() == pair[1].subject().as_raw();
        if !named || pair[0].verify_signature(Some(pair[1].public_key())).is_err() {
            return Err(ChainError::Link {
                position: index + 1,
                subject: shown(pair[0].subject()),
                next: shown(pair[1].subject()),
            });
        }
    }
    Ok(())
}

/// The certificate that these bytes are, and nothing else.
fn whole(der: &[u8]) -> Result<X509Certificate<'_>, ChainError> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| ChainError::Der(error.to_string()))?;
    if !rest.is_empty() {
        return Err(ChainError::Der("bytes after the certificate".to_owned()));
    }
    Ok(certificate)
}

fn shown(name: &X509Name<'_>) -> String {
    printable::line(&name.to_string(), SHOWN_CHARACTERS)
}

fn to_pem(certificates: &[Vec<u8>]) -> String {
    let lines = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let block = |der: &Vec<u8>| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.clone()), lines);
    certificates.iter().map(block).collect()
}

/// A name that can be ordered, as text. An address that is written as a DNS name is none: no client takes it for the
/// address (RFC 9110 §4.3.5).
pub(crate) fn name_text(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) if name.parse::<IpAddr>().is_err() => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => ip_address(bytes).map(|address| address.to_string()),
        _ => None,
    }
}

/// The address in an iPAddress of a subjectAltName: four or sixteen octets (RFC 5280 §4.2.1.6).
pub(crate) fn ip_address(octets: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
}

/// RFC 5280 §4.2.1.12.
fn extended_key_usages(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.extended_key_usage() else { return Vec::new() };
    let usages = extension.value;
    let named = [
        (usages.any, "2.5.29.37.0"),
        (usages.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usages.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usages.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usages.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usages.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usages.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let named = named.into_iter().filter(|(is_allowed, _)| *is_allowed).map(|(_, oid)| oid.to_owned());
    let mut all: Vec<String> = named.chain(usages.other.iter().map(|oid| oid.to_id_string())).collect();
    all.sort();
    all
}

fn key_family(algorithm: &str) -> Option<KeyFamily> {
    match algorithm {
        "1.2.840.10045.2.1" => Some(KeyFamily::Ecdsa),  // id-ecPublicKey, RFC 5480
        "1.2.840.113549.1.1.1" => Some(KeyFamily::Rsa), // rsaEncryption, RFC 3279
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of a name that somebody else wrote.
const SHOWN_CHARACTERS: usize = 300;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    struct Made {
        leaf: String,
        intermediate: String,
        public_key_info: Vec<u8>,
    }

    fn made() -> Made {
        let key = KeyPair::generate().unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let intermediate = ca.self_signed(&ca_key).unwrap().pem();
        let issuer = Issuer::new(ca, ca_key);
        let leaf = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap().pem();
        Made { leaf, intermediate, public_key_info: rcgen::PublicKeyData::subject_public_key_info(&key) }
    }

    #[test]
    fn a_chain_is_parsed_leaf_first() {
        let made = made();
        let chain = Chain::parse(&format!("{}{}", made.leaf, made.intermediate)).unwrap();
        assert_eq!(chain.certificates().len(), 2);
        assert_eq!(chain.leaf().names, ["www.some-domain.com"]);
        assert_eq!(chain.leaf().key_family, Some(KeyFamily::Ecdsa));
        assert!(!chain.pem().contains('\r'));
        assert_eq!(Chain::parse(chain.pem()).unwrap(), chain);
        assert!(!chain.has_other_names());
        let names = ["www.some-domain.com".parse().unwrap()];
        chain.check_ordered(&made.public_key_info, &names).unwrap();
        assert_eq!(chain.check_ordered(b"other", &names), Err(ChainError::OtherKey));
        let other = ["shop.some-domain.com".parse().unwrap()];
        assert!(matches!(chain.check_ordered(&made.public_key_info, &other), Err(ChainError::OtherNames { .. })));
    }

    #[test]
    fn addresses_are_names_of_a_leaf() {
        let key = KeyPair::generate().unwrap();
        let names = vec!["www.some-domain.com".to_owned(), "192.0.2.1".to_owned(), "2001:DB8::1".to_owned()];
        let leaf = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let chain = Chain::parse(&leaf.pem()).unwrap();
        assert_eq!(chain.leaf().names, ["www.some-domain.com", "192.0.2.1", "2001:db8::1"]);
        assert!(!chain.has_other_names());
        let public_key_info = rcgen::PublicKeyData::subject_public_key_info(&key);
        let ordered = ["192.0.2.1", "2001:db8:0::1", "www.some-domain.com"].map(|name| name.parse().unwrap());
        chain.check_ordered(&public_key_info, &ordered).unwrap();
        assert!(chain.check_ordered(&public_key_info, &ordered[1..]).is_err(), "one address too many");
    }

    #[test]
    fn an_address_that_is_written_as_a_dns_name_is_not_that_address() {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
        params.subject_alt_names.push(rcgen::SanType::DnsName("192.0.2.1".try_into().unwrap()));
        let chain = Chain::parse(&params.self_signed(&key).unwrap().pem()).unwrap();
        assert_eq!(chain.leaf().names, ["www.some-domain.com"]);
        assert!(chain.has_other_names());
        let ordered = ["www.some-domain.com", "192.0.2.1"].map(|name| name.parse().unwrap());
        assert!(chain.check_ordered(&rcgen::PublicKeyData::subject_public_key_info(&key), &ordered).is_err());
    }

    #[test]
    fn what_a_leaf_may_be_used_for_does_not_depend_on_the_order_in_which_it_says_so() {
        use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, Other, ServerAuth};

        let usages = |purposes: Vec<rcgen::ExtendedKeyUsagePurpose>| {
            let mut leaf = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
            leaf.extended_key_usages = purposes;
            let leaf = leaf.self_signed(&KeyPair::generate().unwrap()).unwrap();
            LeafFacts::from_der(leaf.der()).unwrap().extended_key_usages
        };
        let (server, client, other) = ("1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "1.3.6.1.4.1.311.10.3.4");
        assert_eq!(usages(vec![]), [""; 0]);
        assert_eq!(usages(vec![ServerAuth]), [server]);
        let all = vec![ServerAuth, Other(vec![1, 3, 6, 1, 4, 1, 311, 10, 3, 4]), ClientAuth];
        assert_eq!(usages(all.clone()), [other, server, client]);
        assert_eq!(usages(all.into_iter().rev().collect()), [other, server, client]);
    }

    #[test]
    fn a_broken_link_is_refused() {
        let (one, two) = (made(), made());
        let error = Chain::parse(&format!("{}{}", one.leaf, two.intermediate)).unwrap_err();
        assert!(matches!(error, ChainError::Link { position: 1, .. }), "{error}");
    }

    #[test]
    fn a_certificate_that_stands_twice_is_refused() {
        let root =
            CertificateParams::new(Vec::new()).unwrap().self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
        let error = Chain::parse(&root.repeat(2)).unwrap_err();
        assert!(matches!(error, ChainError::Twice { position: 2, .. }), "{error}");
    }

    #[test]
    fn bytes_after_an_intermediate_are_refused() {
        let made = made();
        let mut intermediate = pem::parse(&made.intermediate).unwrap().into_contents();
        intermediate.push(0);
        let intermediate = pem::encode(&pem::Pem::new("CERTIFICATE", intermediate));
        let error = Chain::parse(&format!("{}{intermediate}", made.leaf)).unwrap_err();
        assert_eq!(error, ChainError::Der("bytes after the certificate".to_owned()));
    }

    #[test]
    fn an_issuer_that_would_move_the_cursor_is_cut() {
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.distinguished_name.push(rcgen::DnType::CommonName, "a\u{1b}[2Jb");
        let leaf = ca.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(LeafFacts::from_der(leaf.der()).unwrap().issuer, "a [2Jb");
    }

    #[test]
    fn text_that_is_no_chain_is_refused() {
        let key = KeyPair::generate().unwrap().serialize_pem();
        for text in ["", "hello", key.as_str()] {
            assert!(matches!(Chain::parse(text), Err(ChainError::Pem(_))));
        }
        let many = made().leaf.repeat(11);
        assert_eq!(Chain::parse(&many), Err(ChainError::TooLong(11)));
    }

    #[test]
    fn a_serial_reads_as_openssl_prints_it() {
        assert_eq!(Serial::from_der_integer(&[0x00, 0x87, 0x65]).as_str(), "8765");
        assert_eq!(Serial::from_der_integer(&[0x0a, 0x01]).as_str(), "0a01");
        assert_eq!(Serial::from_der_integer(&[0x00]).as_str(), "00");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,400}") {
            let _ = Chain::parse(&text);
        }

        #[test]
        fn a_digest_survives_its_own_text(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let digest = Sha256::of(&bytes);
            prop_assert_eq!(Sha256::from_hex(&digest.to_string()), Some(digest));
        }
    }
}
