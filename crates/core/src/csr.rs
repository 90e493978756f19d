//! Certificate signing requests that somebody else made (RFC 2986): what they ask for, and that they are signed by their key.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::chain::ip_address;
use crate::identifier::Identifier;
use crate::key::KeyType;
use crate::name::NameError;
use crate::printable;

/// A CSR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr {
    der: Vec<u8>,
    public_key_info: Vec<u8>,
    key_type: Option<KeyType>,
    names: Vec<Identifier>,
    common_name: Option<String>,
}

impl Csr {
    /// The longest CSR that is read, in bytes: an RSA key of 16384 bits and a hundred names need less.
    pub const MAX_LEN: usize = 64 * 1024;

    /// Reads PEM text with one `CERTIFICATE REQUEST` (or `NEW CERTIFICATE REQUEST`, as older tools write).
    ///
    /// # Errors
    /// No PEM, another block, or what [`Csr::from_der`] refuses.
    pub fn from_pem(text: &str) -> Result<Self, CsrError> {
        if text.len() > 2 * Self::MAX_LEN {
            return Err(CsrError::TooLong);
        }
        let block = pem::parse(text).map_err(|error| CsrError::Pem(printable::pem_fault(&error)))?;
        if !["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"].contains(&block.tag()) {
            return Err(CsrError::Pem(format!("a block `{}`", shown(block.tag()))));
        }
        Self::from_der(block.contents())
    }

    /// Reads DER, and checks that the request is signed by the key that is in it.
    ///
    /// # Errors
    /// DER that is no CSR, a signature that does not hold, no name at all, or names that are neither DNS names nor IP addresses.
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > Self::MAX_LEN {
            return Err(CsrError::TooLong);
        }
        let (rest, request) =
            X509CertificationRequest::from_der(der).map_err(|error| CsrError::Der(error.to_string()))?;
        if !rest.is_empty() {
            return Err(CsrError::Der("bytes after the request".to_owned()));
        }
        request.verify_signature().map_err(|_| CsrError::Signature)?;
        let info = &request.certification_request_info;
        let common_name = info.subject.iter_common_name().next().and_then(|name| name.as_str().ok());
        let mut names: Vec<Identifier> = Vec::new();
        for extension in request.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(alternatives) = extension else { continue };
            for alternative in &alternatives.general_names {
                match alternative {
                    GeneralName::DNSName(name) => names.push(Identifier::Dns(name.parse()?)),
                    GeneralName::IPAddress(bytes) => match ip_address(bytes) {
                        Some(address) => names.push(address.to_string().parse()?),
                        None => return Err(CsrError::OtherName(shown(&alternative.to_string()))),
                    },
                    other => return Err(CsrError::OtherName(shown(&other.to_string()))),
                }
            }
        }
        // A common name is a name too in the eyes of a CA (RFC 8555 §7.4), wherever it looks like one.
        match common_name.map(str::parse::<Identifier>) {
            Some(Ok(name)) => names.push(name),
            Some(Err(error)) if names.is_empty() => return Err(error.into()),
            Some(Err(_)) | None => {}
        }
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(CsrError::NoName);
        }
        Ok(Self {
            der: der.to_vec(),
            public_key_info: info.subject_pki.raw.to_vec(),
            key_type: key_type(&info.subject_pki),
            names,
            common_name: common_name.map(str::to_owned),
        })
    }

    /// The request as DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The public key (SubjectPublicKeyInfo, DER).
    pub fn public_key_info(&self) -> &[u8] {
        &self.public_key_info
    }

    /// The type of its key; `None` for one that certferry has no word for.
    pub fn key_type(&self) -> Option<KeyType> {
        self.key_type
    }

    /// The names that it asks for, common name included; sorted, without duplicates.
    pub fn names(&self) -> &[Identifier] {
        &self.names
    }

    /// The common name that it asks for.
    pub fn common_name(&self) -> Option<&str> {
        self.common_name.as_deref()
    }
}

fn shown(text: &str) -> String {
    printable::line(text, SHOWN_CHARACTERS)
}

fn key_type(key: &SubjectPublicKeyInfo<'_>) -> Option<KeyType> {
    match key.parsed().ok()? {
        PublicKey::RSA(key) => match key.key_size() {
            2048 => Some(KeyType::Rsa2048),
            3072 => Some(KeyType::Rsa3072),
            4096 => Some(KeyType::Rsa4096),
            _ => None,
        },
        PublicKey::EC(_) => match key.algorithm.parameters.as_ref()?.as_oid().ok()?.to_id_string().as_str() {
            "1.2.840.10045.3.1.7" => Some(KeyType::EcdsaP256), // secp256r1, RFC 5480 §2.1.1.1
            "1.3.132.0.34" => Some(KeyType::EcdsaP384),        // secp384r1
            _ => None,
        },
        _ => None,
    }
}

/// Of what somebody else wrote.
const SHOWN_CHARACTERS: usize = 300;

/// Why a CSR is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// DER that is no CSR.
    #[error("it does not parse: {0}")]
    Der(String),
    /// A name for which no certificate can be ordered.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No name at all.
    #[error("it asks for no name, neither as common name nor as subject alternative name")]
    NoName,
    /// Another kind of name.
    #[error("it asks for {0}, and only DNS names and IP addresses can be validated")]
    OtherName(String),
    /// Text that is not one PEM block of a CSR.
    #[error("it is not the PEM of a certificate request: {0}")]
    Pem(String),
    /// The signature does not hold.
    #[error("it is not signed by the key that it holds")]
    Signature,
    /// More bytes than any CSR needs.
    #[error("it is longer than {max} bytes", max = Csr::MAX_LEN)]
    TooLong,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn csr(common_name: Option<&str>, names: &[&str]) -> rcgen::CertificateSigningRequest {
        let mut params =
            CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.serialize_request(&KeyPair::generate().unwrap()).unwrap()
    }

    fn names(csr: &Csr) -> Vec<String> {
        csr.names().iter().map(Identifier::to_string).collect()
    }

    #[test]
    fn common_name_and_alternative_names_are_what_it_asks_for() {
        let both = Csr::from_pem(&csr(Some("b.some-domain.com"), &["c.some-domain.com"]).pem().unwrap()).unwrap();
        assert_eq!(names(&both), ["b.some-domain.com", "c.some-domain.com"]);
        assert_eq!((both.common_name(), both.key_type()), (Some("b.some-domain.com"), Some(KeyType::EcdsaP256)));
        let only_common = Csr::from_der(csr(Some("B.some-domain.com"), &[]).der()).unwrap();
        assert_eq!(names(&only_common), ["b.some-domain.com"]);
        let a_person = Csr::from_der(csr(Some("Front door"), &["c.some-domain.com"]).der()).unwrap();
        assert_eq!(names(&a_person), ["c.some-domain.com"]);
        let addresses = Csr::from_der(csr(Some("192.0.2.1"), &["2001:db8::1", "c.some-domain.com"]).der()).unwrap();
        assert_eq!(names(&addresses), ["c.some-domain.com", "192.0.2.1", "2001:db8::1"]);
    }

    #[test]
    fn what_asks_for_nothing_that_can_be_validated_is_refused() {
        assert_eq!(Csr::from_der(csr(None, &[]).der()), Err(CsrError::NoName));
        assert!(matches!(Csr::from_der(csr(Some("Front door"), &[]).der()), Err(CsrError::Name(_))));
        assert!(matches!(Csr::from_der(csr(None, &["0.0.0.0"]).der()), Err(CsrError::Name(_))));
        assert!(matches!(Csr::from_pem("hello"), Err(CsrError::Pem(_))));
        assert_eq!(Csr::from_der(&vec![0; Csr::MAX_LEN + 1]), Err(CsrError::TooLong));
    }

    #[test]
    fn a_request_that_somebody_changed_is_refused() {
        let mut der = csr(Some("a.some-domain.com"), &[]).der().to_vec();
        let at = der.windows(2).position(|bytes| bytes == b"a.").unwrap();
        der[at] = b'b';
        assert_eq!(Csr::from_der(&der), Err(CsrError::Signature));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
            let mut der = csr(Some("a.some-domain.com"), &["b.some-domain.com"]).der().to_vec();
            for (at, byte) in flips {
                let at = at.index(der.len());
                der[at] = byte;
            }
            let _ = Csr::from_der(&der);
        }
    }
}
