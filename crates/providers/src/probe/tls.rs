//! What a TLS handshake returns.

use std::net::SocketAddr;
use std::sync::Arc;

use certferry_core::observed::ServedChain;
use certferry_core::{Identifier, KeyFamily, LeafFacts, Sha256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, SupportedCipherSuite};
use tokio::io::AsyncWriteExt;

use super::NetworkProbe;

/// The chain that `address` serves to a client which asks for `server_name`.
pub(super) async fn served(
    probe: &NetworkProbe,
    address: SocketAddr,
    server_name: &Identifier,
    family: Option<KeyFamily>,
) -> Result<ServedChain, String> {
    let mut stream = probe.handshake(address, &server_name.to_string(), family).await?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = read(certificates).map_err(|error| format!("{address} serves for `{server_name}` {error}"));
    // Polite, and of no consequence: everything that matters has been seen.
    let _ = tokio::time::timeout(probe.limits.connect, stream.shutdown()).await;
    chain
}

fn read(certificates: &[CertificateDer<'_>]) -> Result<ServedChain, String> {
    let leaf = certificates.first().ok_or("no certificate")?;
    let leaf = LeafFacts::from_der(leaf).map_err(|error| format!("a certificate that cannot be read: {error}"))?;
    Ok(ServedChain { leaf, digests: certificates.iter().map(|der| Sha256::of(der)).collect() })
}

/// The clients that a probe can be.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    any: Arc<ClientConfig>,
    ecdsa: Arc<ClientConfig>,
    rsa: Arc<ClientConfig>,
}

impl Clients {
    pub(super) fn new() -> Self {
        let client = |family| Arc::new(config(family));
        Self { any: client(None), ecdsa: client(Some(KeyFamily::Ecdsa)), rsa: client(Some(KeyFamily::Rsa)) }
    }

    /// The client that can only certificates of `family`; any, if none is given.
    pub(super) fn for_keys(&self, family: Option<KeyFamily>) -> Arc<ClientConfig> {
        Arc::clone(match family {
            None => &self.any,
            Some(KeyFamily::Ecdsa) => &self.ecdsa,
            Some(KeyFamily::Rsa) => &self.rsa,
        })
    }
}

/// TLS 1.2 and 1.3, without judging trust, and without resumption: a resumed session would show an old chain or none.
fn config(family: Option<KeyFamily>) -> ClientConfig {
    let mut provider = crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| match suite {
        SupportedCipherSuite::Tls12(suite) => suite.sign.iter().any(|scheme| fits(*scheme, family)),
        // Those of TLS 1.3 say nothing about keys.
        SupportedCipherSuite::Tls13(_) => true,
    });
    let provider = Arc::new(provider);
    let verifier = Arc::new(AnyChain { provider: Arc::clone(&provider), family });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("this provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// Whether a signature is made with a key of `family`.
fn fits(scheme: SignatureScheme, family: Option<KeyFamily>) -> bool {
    use SignatureScheme as Scheme;

    let is_ecdsa =
        matches!(scheme, Scheme::ECDSA_NISTP256_SHA256 | Scheme::ECDSA_NISTP384_SHA384 | Scheme::ECDSA_NISTP521_SHA512);
    let is_rsa = matches!(
        scheme,
        Scheme::RSA_PKCS1_SHA256
            | Scheme::RSA_PKCS1_SHA384
            | Scheme::RSA_PKCS1_SHA512
            | Scheme::RSA_PSS_SHA256
            | Scheme::RSA_PSS_SHA384
            | Scheme::RSA_PSS_SHA512
    );
    match family {
        None => true,
        Some(KeyFamily::Ecdsa) => is_ecdsa,
        Some(KeyFamily::Rsa) => is_rsa,
    }
}

/// Takes any chain, but checks that the peer signs the handshake with the leaf's key.
#[derive(Debug)]
struct AnyChain {
    provider: Arc<CryptoProvider>,
    family: Option<KeyFamily>,
}

impl ServerCertVerifier for AnyChain {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        crypto::verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let schemes = self.provider.signature_verification_algorithms.supported_schemes();
        schemes.into_iter().filter(|scheme| fits(*scheme, self.family)).collect()
    }
}
