//! How ARI names a certificate (RFC 9773 §4.1).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

/// Authority key identifier and serial number of a certificate, in the form `base64url.base64url`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CertificateId(String);

impl CertificateId {
    /// Reads both from the end-entity certificate.
    pub fn from_der(leaf: &[u8]) -> Result<Self, CertificateIdError> {
        let (rest, certificate) = X509Certificate::from_der(leaf).map_err(|_| CertificateIdError::NotACertificate)?;
        if !rest.is_empty() {
            return Err(CertificateIdError::NotACertificate);
        }
        let key_identifier = certificate
            .iter_extensions()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(authority) => authority.key_identifier.as_ref(),
                _ => None,
            })
            .ok_or(CertificateIdError::NoAuthorityKeyIdentifier)?;
        Ok(Self::from_parts(key_identifier.0, certificate.raw_serial()))
    }

    /// The text, as in the URL and in an order's `replaces`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `serial` is the DER content of the INTEGER, with its leading zero byte where it has one.
    fn from_parts(key_identifier: &[u8], serial: &[u8]) -> Self {
        Self(format!("{}.{}", URL_SAFE_NO_PAD.encode(key_identifier), URL_SAFE_NO_PAD.encode(serial)))
    }
}

/// Reads the text form back, from a store.
impl FromStr for CertificateId {
    type Err = CertificateIdError;

    fn from_str(text: &str) -> Result<Self, CertificateIdError> {
        let (key_identifier, serial) = text.split_once('.').ok_or(CertificateIdError::NotAnIdentifier)?;
        for part in [key_identifier, serial] {
            match URL_SAFE_NO_PAD.decode(part) {
                Ok(bytes) if !bytes.is_empty() => {}
                _ => return Err(CertificateIdError::NotAnIdentifier),
            }
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for CertificateId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for CertificateId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Why a certificate has no ARI identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateIdError {
    /// ARI needs the extension; self-signed certificates often lack it.
    #[error("the certificate has no authority key identifier, so its CA cannot be asked for renewal information")]
    NoAuthorityKeyIdentifier,
    /// Not one DER certificate.
    #[error("not a certificate in DER")]
    NotACertificate,
    /// Not the text form of an identifier.
    #[error("not an ARI certificate identifier (base64url, a dot, base64url)")]
    NotAnIdentifier,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair, SerialNumber};

    use super::*;

    const RFC_KEY_IDENTIFIER: [u8; 20] = [
        0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae, 0x2c, 0xde, 0x01,
        0xc8, 0xd4,
    ];

    /// A leaf with the authority key identifier and serial number of RFC 9773 appendix A.
    fn rfc_9773_leaf() -> Vec<u8> {
        let mut ca = CertificateParams::new(vec![]).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_identifier_method = KeyIdMethod::PreSpecified(RFC_KEY_IDENTIFIER.to_vec());
        let issuer = Issuer::new(ca, KeyPair::generate().unwrap());
        let mut leaf = CertificateParams::new(vec!["example.com".into()]).unwrap();
        leaf.use_authority_key_identifier_extension = true;
        leaf.serial_number = Some(SerialNumber::from_slice(&[0x87, 0x65, 0x43, 0x21]));
        leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec()
    }

    #[test]
    fn the_identifier_is_the_rfcs() {
        let identifier = CertificateId::from_der(&rfc_9773_leaf()).unwrap();
        assert_eq!(identifier.to_string(), "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
        assert_eq!(identifier.as_str().parse(), Ok(identifier));
    }

    #[test]
    fn what_has_no_identifier_says_why() {
        let mut trailing = rfc_9773_leaf();
        trailing.push(0);
        assert_eq!(CertificateId::from_der(&trailing), Err(CertificateIdError::NotACertificate));
        assert_eq!(CertificateId::from_der(b"rubbish"), Err(CertificateIdError::NotACertificate));
        let plain = CertificateParams::new(vec!["example.com".into()]).unwrap();
        let plain = plain.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(CertificateId::from_der(plain.der()), Err(CertificateIdError::NoAuthorityKeyIdentifier));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>(), text in any::<String>()) {
            let _ = CertificateId::from_der(&bytes);
            let _ = text.parse::<CertificateId>();
        }

        #[test]
        fn no_flipped_byte_panics(position in 0usize..300, value in any::<u8>()) {
            let mut leaf = rfc_9773_leaf();
            if let Some(byte) = leaf.get_mut(position) { *byte = value; }
            let _ = CertificateId::from_der(&leaf);
        }
    }
}
