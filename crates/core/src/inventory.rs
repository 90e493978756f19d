//! Every certificate on a load balancer, whoever put it there, as facts: no PEM is kept.

use std::fmt;

use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::chain::{ChainError, LeafFacts, name_text};
use crate::key::KeyType;
use crate::name::BundleName;
use crate::observed::Observation;

/// One reading of one load balancer, with all that is said about each certificate.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// The load balancer as plans see it; the path of http-01 requests is left out.
    pub observation: Observation,
    /// Its certificates, by name.
    pub certificates: Vec<HeldCertificate>,
    /// What else may refer to a certificate and was not looked at, for people; `None` where all was seen.
    pub unseen_users: Option<&'static str>,
}

/// One object that holds certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCertificate {
    /// Its name there.
    pub name: BundleName,
    /// What its keeper knows it by, where that is not its name (OCI's Certificates service: the OCID).
    pub id: Option<String>,
    /// What it holds.
    pub content: HeldContent,
    /// What refers to it.
    pub users: Vec<CertificateUser>,
    /// Whether the load balancer says that certferry made it. Where it cannot say, only the store knows.
    pub is_marked: bool,
}

/// What an object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldContent {
    /// Certificates of authorities, to check peers with or to complete chains; no leaf with a key.
    Authorities,
    /// A certificate that can be served.
    Leaf(Box<HeldLeaf>),
    /// Neither, and why: a CSR that waits, a PEM that does not parse.
    Other(String),
}

/// A leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLeaf {
    /// What decisions need of it.
    pub facts: LeafFacts,
    /// The kind of its key: as the config writes it, else `rsa-1024`, `ed25519` or the algorithm's OID.
    pub key: String,
    /// Alternative names that are neither DNS names nor IP addresses (URIs, mailboxes), which certferry does not order.
    pub other_names: Vec<String>,
}

impl HeldLeaf {
    /// Reads a certificate.
    ///
    /// # Errors
    /// DER that is not a certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, ChainError> {
        let facts = LeafFacts::from_der(der)?;
        let (_, certificate) = X509Certificate::from_der(der).map_err(|error| ChainError::Der(error.to_string()))?;
        let names = certificate.extensions().iter().flat_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(names) => names.general_names.as_slice(),
            _ => &[],
        });
        Ok(Self { facts, key: key_kind(&certificate), other_names: names.filter_map(other_name).collect() })
    }

    /// The key type, where certferry makes such keys.
    pub fn key_type(&self) -> Option<KeyType> {
        self.key.parse().ok()
    }
}

/// What refers to a certificate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateUser {
    /// Its kind.
    pub kind: UserKind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for CertificateUser {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind.as_str().replace('_', " ");
        write!(formatter, "{kind} `{}`", self.name)
    }
}

/// The kinds of objects that refer to certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserKind {
    /// OCI: towards the backends.
    BackendSet,
    /// Avi: a certificate whose chain it completes.
    Certificate,
    /// OCI: towards clients.
    Listener,
    /// Avi: towards clients.
    VirtualService,
}

impl UserKind {
    /// The word that JSON has.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BackendSet => "backend_set",
            Self::Certificate => "certificate",
            Self::Listener => "listener",
            Self::VirtualService => "virtual_service",
        }
    }
}

fn key_kind(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    let algorithm = key.algorithm.algorithm.to_id_string();
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match (algorithm.as_str(), key.parsed()) {
        // The modulus' bytes tell its size: one with a leading zero byte does not count that.
        (_, Ok(PublicKey::RSA(rsa))) => format!("rsa-{}", rsa.key_size()),
        (ID_EC_PUBLIC_KEY, _) => match curve.map(|curve| curve.to_id_string()).as_deref() {
            Some("1.2.840.10045.3.1.7") => KeyType::EcdsaP256.to_string(), // RFC 5480 §2.1.1.1
            Some("1.3.132.0.34") => KeyType::EcdsaP384.to_string(),
            Some("1.3.132.0.35") => "ecdsa-p521".to_owned(),
            other => format!("ecdsa {}", other.unwrap_or("without a named curve")),
        },
        ("1.3.101.112", _) => "ed25519".to_owned(), // RFC 8410 §3
        _ => algorithm,
    }
}

fn other_name(name: &GeneralName<'_>) -> Option<String> {
    if name_text(name).is_some() {
        return None;
    }
    match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        GeneralName::RFC822Name(mail) => Some((*mail).to_owned()),
        other => Some(other.to_string()),
    }
}

const ID_EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_leaf_says_its_kind_of_key_and_what_cannot_be_ordered() {
        for (algorithm, kind, orderable) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ecdsa-p256", true),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ecdsa-p384", true),
            (&rcgen::PKCS_ED25519, "ed25519", false),
            (&rcgen::PKCS_RSA_SHA256, "rsa-2048", true),
        ] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let mut params = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
            params.subject_alt_names.push(SanType::IpAddress("192.0.2.7".parse().unwrap()));
            params.subject_alt_names.push(SanType::URI("https://some-domain.com/".try_into().unwrap()));
            let leaf = HeldLeaf::from_der(params.self_signed(&key).unwrap().der()).unwrap();
            assert_eq!((leaf.key.as_str(), leaf.key_type().is_some()), (kind, orderable));
            assert_eq!(leaf.facts.names, ["www.some-domain.com", "192.0.2.7"]);
            assert_eq!(leaf.other_names, ["https://some-domain.com/"]);
        }
        assert!(HeldLeaf::from_der(b"no").is_err());
    }

    #[test]
    fn a_user_is_named_for_people() {
        let user = CertificateUser { kind: UserKind::BackendSet, name: "app".to_owned() };
        assert_eq!(user.to_string(), "backend set `app`");
    }
}
