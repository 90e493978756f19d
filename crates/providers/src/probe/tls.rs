//! What a TLS handshake returns.

use std::net::SocketAddr;
use std::sync::Arc;

use certferry_core::observed::ServedChain;
use certferry_core::{DnsName, LeafFacts, Sha256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{self, CryptoProvider};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::AsyncWriteExt;

use super::NetworkProbe;

/// The chain that `address` serves to a client which asks for `server_name`.
pub(super) async fn served(
    probe: &NetworkProbe,
    address: SocketAddr,
    server_name: &DnsName,
) -> Result<ServedChain, String> {
    let mut stream = probe.handshake(address, server_name.as_str()).await?;
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

/// TLS 1.2 and 1.3, without judging trust, and without resumption: a resumed session would show an old chain or none.
pub(super) fn config() -> ClientConfig {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyChain { provider: Arc::clone(&provider) });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("this provider has cipher suites for TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// Takes any chain, but checks that the peer signs the handshake with the leaf's key.
#[derive(Debug)]
struct AnyChain {
    provider: Arc<CryptoProvider>,
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
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
