//! Private keys as people upload them, and whether they belong to a certificate.

use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::{
    InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

/// PKCS#8, PKCS#1, SEC1 or, with a passphrase, encrypted PKCS#8. The error is a sentence without a subject.
pub(crate) fn parse(pem: &str, passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>, &'static str> {
    let block = pem::parse(pem).map_err(|_| "it is not PEM")?;
    if block.tag() != "ENCRYPTED PRIVATE KEY" {
        if passphrase.is_some() {
            return Err("a passphrase is given but the key is not encrypted");
        }
        return PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| "it is neither PKCS#8 nor PKCS#1 nor SEC1");
    }
    let passphrase = passphrase.ok_or("it is encrypted and no passphrase is given")?;
    let document = EncryptedPrivateKeyInfoRef::try_from(block.contents())
        .map_err(|_| "the encrypted PKCS#8 structure is malformed")?
        .decrypt(passphrase)
        .map_err(|_| "the passphrase does not decrypt it")?;
    PrivateKeyDer::try_from(document.as_bytes().to_vec()).map_err(|_| "the passphrase does not decrypt it to a key")
}

/// Chain and key for a TLS server, when the key is the leaf's.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'static>,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let signer = provider
        .key_provider
        .load_private_key(key.clone_key())
        .map_err(|error| format!("Invalid private key: {error}"))?;
    let certified = CertifiedKey::new(chain, signer);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(_) => Err("Private key does not match the public certificate".into()),
    }
}
