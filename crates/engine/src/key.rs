//! Certificate keys and the CSRs made with them.

use certferry_core::{Csr, DnsName, Error, ErrorKind, Identifier, KeyType, Secret};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, RsaKeySize};

/// A new private key, PKCS#8 PEM. RSA takes up to seconds of one core: the work is done off the runtime's threads.
pub(crate) async fn generate(key_type: KeyType) -> Result<Secret<String>, Error> {
    let made = tokio::task::spawn_blocking(move || generate_now(key_type)).await;
    made.map_err(|error| failed("generate key", error))?
}

fn generate_now(key_type: KeyType) -> Result<Secret<String>, Error> {
    let pair = match key_type {
        KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyType::Rsa2048 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048),
        KeyType::Rsa3072 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072),
        KeyType::Rsa4096 => KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_4096),
    };
    pair.map(|pair| Secret::new(pair.serialize_pem())).map_err(|error| failed("generate key", error))
}

/// With what a version is ordered.
pub(crate) enum RequestKey {
    /// A CSR that somebody else made, who keeps the key.
    Elsewhere(Csr),
    /// A key of the store's, with which a CSR is made.
    Own(OrderKey),
}

impl RequestKey {
    /// The public key (SubjectPublicKeyInfo, DER).
    pub(crate) fn public_key_info(&self) -> Vec<u8> {
        match self {
            Self::Elsewhere(csr) => csr.public_key_info().to_vec(),
            Self::Own(key) => key.public_key_info(),
        }
    }

    /// The CSR (DER).
    pub(crate) fn csr(&self, names: &[Identifier], common_name: Option<&DnsName>) -> Result<Vec<u8>, Error> {
        match self {
            Self::Elsewhere(csr) => Ok(csr.der().to_vec()),
            Self::Own(key) => key.csr(names, common_name),
        }
    }
}

/// A key with which a version is ordered.
pub(crate) struct OrderKey(KeyPair);

impl OrderKey {
    /// Reads a key that [`generate`] made.
    pub(crate) fn read(pem: &Secret<String>) -> Result<Self, Error> {
        KeyPair::from_pem(pem.expose()).map(Self).map_err(|error| failed("read key", error))
    }

    /// Its SubjectPublicKeyInfo, DER.
    fn public_key_info(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// A CSR (DER) for `names`, with a common name where one is wanted: a CA that drops it loses nothing, but some load
    /// balancers refuse a certificate without.
    fn csr(&self, names: &[Identifier], common_name: Option<&DnsName>) -> Result<Vec<u8>, Error> {
        // Text that is an IP address becomes an iPAddress there (RFC 8738 §3).
        let names: Vec<String> = names.iter().map(Identifier::to_string).collect();
        let mut params = CertificateParams::new(names).map_err(|error| failed("make CSR", error))?;
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        let csr = params.serialize_request(&self.0).map_err(|error| failed("make CSR", error))?;
        Ok(csr.der().to_vec())
    }
}

fn failed(operation: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, operation, "the private key").said(error.to_string()).with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_asked_for_as_such_and_never_as_the_common_name() {
        let key = OrderKey::read(&generate(KeyType::EcdsaP256).await.unwrap()).unwrap();
        for (names, common_name) in [
            (&["192.0.2.1"][..], None),
            (&["192.0.2.1", "2001:db8::1"], None),
            (&["www.some-domain.com", "192.0.2.1"], Some("www.some-domain.com")),
        ] {
            let names: Vec<Identifier> = names.iter().map(|name| name.parse().unwrap()).collect();
            let host = names.iter().find_map(Identifier::dns);
            let csr = Csr::from_der(&key.csr(&names, host).unwrap()).unwrap();
            assert_eq!((csr.names(), csr.common_name()), (&names[..], common_name));
        }
    }

    #[tokio::test]
    async fn every_key_type_makes_a_csr_for_its_names() {
        let names: Vec<Identifier> = vec!["a.some-domain.com".parse().unwrap(), "b.some-domain.com".parse().unwrap()];
        for key_type in KeyType::ALL {
            let pem = generate(key_type).await.unwrap();
            let key = OrderKey::read(&pem).unwrap();
            let plain = key.csr(&names, None).unwrap();
            let named = key.csr(&names, names[0].dns()).unwrap();
            assert!(named.len() > plain.len(), "{key_type}: the common name is only there when wanted");
            assert!(!key.public_key_info().is_empty());
        }
    }
}
