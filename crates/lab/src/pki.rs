//! A throw-away PKI: a root, one to three intermediates, leaves. For the lab's CA, for demo and for tests.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, RsaKeySize, SerialNumber, SigningKey,
};

/// The key type of a PKI's certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PkiKey {
    /// ECDSA P-256.
    #[default]
    Ecdsa,
    /// RSA 2048.
    Rsa,
}

/// A root with its intermediates.
pub struct Pki {
    root_pem: String,
    /// The intermediates as PEM, the issuing one first.
    intermediates_pem: Vec<String>,
    issuer: Issuer<'static, KeyPair>,
}

impl Pki {
    /// A PKI with one intermediate and ECDSA keys.
    ///
    /// # Errors
    /// No randomness.
    pub fn new() -> Result<Self, PkiError> {
        Self::with_intermediates(1, PkiKey::Ecdsa)
    }

    /// A PKI with `count` intermediates (at least one) whose keys are of one type.
    ///
    /// # Errors
    /// No randomness.
    pub fn with_intermediates(count: usize, key: PkiKey) -> Result<Self, PkiError> {
        let root_key = new_key(key)?;
        let root = authority("lab root", &root_key);
        let root_pem = root.self_signed(&root_key)?.pem();
        let mut issuer = Issuer::new(root, root_key);
        let mut intermediates_pem = Vec::new();
        for number in (1..=count.max(1)).rev() {
            let next_key = new_key(key)?;
            let next = authority(&format!("lab intermediate {number}"), &next_key);
            intermediates_pem.insert(0, next.signed_by(&next_key, &issuer)?.pem());
            issuer = Issuer::new(next, next_key);
        }
        Ok(Self { root_pem, intermediates_pem, issuer })
    }

    /// The root, PEM.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// The intermediates as a chain carries them: the issuing one first, without the root.
    pub fn intermediates_pem(&self) -> String {
        self.intermediates_pem.concat()
    }

    /// A server certificate for `names` (host names or IP addresses) with a new ECDSA key, from an hour ago for `days`.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate, or no randomness.
    pub fn issue(&self, names: &[&str], days: i64) -> Result<Issued, PkiError> {
        self.issue_with(names, days, PkiKey::Ecdsa)
    }

    /// The same with a key of another type.
    ///
    /// # Errors
    /// As [`Pki::issue`].
    pub fn issue_with(&self, names: &[&str], days: i64, key: PkiKey) -> Result<Issued, PkiError> {
        let key = new_key(key)?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let common_name = names.first().cloned();
        let mut params = CertificateParams::new(names)?;
        let now = crate::clock::now();
        let hour = SignedDuration::from_hours(1);
        leaf(&mut params, common_name, now - hour, now + hour * 24 * i32::try_from(days).unwrap_or(i32::MAX))?;
        let leaf = params.signed_by(&key, &self.issuer)?.pem();
        let chain_pem = format!("{leaf}{}", self.intermediates_pem());
        Ok(Issued { chain_pem, private_key_pem: key.serialize_pem() })
    }

    /// A leaf for a CSR whose signature and names the caller has checked; the chain as PEM, leaf first.
    ///
    /// # Errors
    /// A CSR that the PKI cannot sign, or no randomness.
    pub fn sign_csr(&self, csr: CertificateSigningRequestParams, validity: &Validity) -> Result<String, PkiError> {
        let CertificateSigningRequestParams { mut params, public_key } = csr;
        params.distinguished_name = DistinguishedName::new();
        leaf(&mut params, validity.common_name.clone(), validity.not_before, validity.not_after)?;
        let leaf = CertificateSigningRequestParams { params, public_key }.signed_by(&self.issuer)?.pem();
        Ok(format!("{leaf}{}", self.intermediates_pem()))
    }
}

/// What a leaf says besides what its CSR asks for.
#[derive(Clone, Debug)]
pub struct Validity {
    /// Common name; `None` leaves the subject empty.
    pub common_name: Option<String>,
    /// Start, to the second.
    pub not_before: Timestamp,
    /// End, to the second.
    pub not_after: Timestamp,
}

/// A certificate with its key.
pub struct Issued {
    /// Leaf and intermediates, PEM.
    pub chain_pem: String,
    /// The key, PKCS#8 PEM.
    pub private_key_pem: String,
}

/// A key or certificate that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the lab's PKI: {0}")]
pub struct PkiError(#[from] rcgen::Error);

fn new_key(key: PkiKey) -> Result<KeyPair, rcgen::Error> {
    match key {
        PkiKey::Ecdsa => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        PkiKey::Rsa => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
    }
}

/// A CA certificate's content. Its subject carries part of its key's digest, so that several PKIs can be told apart.
fn authority(name: &str, key: &impl SigningKey) -> CertificateParams {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key.subject_public_key_info());
    let tag: String = digest.as_ref().iter().take(3).map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{name} {tag}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn leaf(
    params: &mut CertificateParams,
    common_name: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<(), rcgen::Error> {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| rcgen::Error::RingUnspecified)?;
    // Positive in DER, and never zero.
    serial[0] = serial[0] & 0x7f | 0x01;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.distinguished_name = DistinguishedName::new();
    if let Some(name) = common_name.filter(|name| name.len() <= 64) {
        params.distinguished_name.push(DnType::CommonName, name);
    }
    params.not_before = std::time::SystemTime::from(not_before).into();
    params.not_after = std::time::SystemTime::from(not_after).into();
    params.is_ca = IsCa::NoCa;
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(())
}

#[cfg(test)]
mod tests {
    use certferry_core::Chain;

    use super::*;

    #[test]
    fn chains_of_every_length_and_key_type_hold() {
        for count in 1..=3 {
            for key in [PkiKey::Ecdsa, PkiKey::Rsa] {
                let issued = Pki::with_intermediates(count, key).unwrap().issue(&["a.some-domain.test"], 9).unwrap();
                let chain = Chain::parse(&issued.chain_pem).unwrap();
                assert_eq!(chain.certificates().len(), count + 1);
                assert_eq!(chain.leaf().common_name.as_deref(), Some("a.some-domain.test"));
            }
        }
    }
}
