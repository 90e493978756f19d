//! A private key and the certificate that it belongs to.

use certferry_core::{Chain, Secret};

/// Whether `key` (PKCS#8 PEM) belongs to the chain's leaf: better found here than by the load balancer, or by clients.
///
/// # Errors
/// What is wrong, for people.
pub(super) fn check(chain: &Chain, key: &Secret<String>) -> Result<(), String> {
    use rcgen::PublicKeyData;
    use x509_parser::prelude::{FromDer, X509Certificate};

    let key = rcgen::KeyPair::from_pem(key.expose())
        .map_err(|_| "the private key is not PKCS#8 PEM of a known kind".to_owned())?;
    let (_, leaf) = X509Certificate::from_der(chain.leaf_der()).map_err(|error| error.to_string())?;
    if leaf.public_key().raw == key.subject_public_key_info() {
        return Ok(());
    }
    Err("the private key does not belong to the leaf".to_owned())
}
