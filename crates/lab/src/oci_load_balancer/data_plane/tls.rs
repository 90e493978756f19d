//! TLS settings of listeners and towards backends.

use std::sync::Arc;

use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, crypto::CryptoProvider,
    server::WebPkiClientVerifier, sign::SingleCertAndKey,
};
use serde_json::Value;

use super::super::{bundle::Bundle, configuration::Configuration, validation};
use crate::any_certificate::AnyCertificate;
use crate::json::{Object, text, texts};

/// A listener's settings: its own certificate, protocol versions and ciphers. `None`, with a line in the log, where
/// rustls cannot serve them (TLS 1.1 alone, CBC ciphers alone).
pub(super) fn server(
    configuration: &Configuration,
    listener: &str,
    ssl: &Object,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<ServerConfig>> {
    match try_server(configuration, ssl, provider) {
        Ok(settings) => Some(Arc::new(settings)),
        Err(problem) => {
            tracing::warn!(listener, problem, "the listener's handshakes will fail");
            None
        }
    }
}

fn try_server(
    configuration: &Configuration,
    ssl: &Object,
    provider: &Arc<CryptoProvider>,
) -> Result<ServerConfig, String> {
    let bundle = bundle(configuration, ssl).ok_or("its certificate is not held by the load balancer")?;
    let provider = Arc::new(limited(provider, configuration, text(ssl, "cipherSuiteName")));
    let certified = bundle.certified_key(&provider)?;
    let versions = versions(ssl);
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)
        .map_err(|error| error.to_string())?;
    let builder = if ssl.get("verifyPeerCertificate") == Some(&Value::Bool(true)) {
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(bundle)), provider)
            .build()
            .map_err(|error| error.to_string())?;
        builder.with_client_cert_verifier(verifier)
    } else {
        builder.with_no_client_auth()
    };
    let mut settings = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    settings.ignore_client_order = text(ssl, "serverOrderPreference") == "ENABLED";
    Ok(settings)
}

/// Towards backends: the certificate is verified only where `verifyPeerCertificate` asks for it.
pub(super) fn client(
    configuration: &Configuration,
    ssl: &Object,
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<ClientConfig>> {
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(provider)).with_protocol_versions(&versions(ssl)).ok()?;
    if ssl.get("verifyPeerCertificate") == Some(&Value::Bool(true)) {
        let roots = bundle(configuration, ssl).map_or_else(RootCertStore::empty, roots);
        return Some(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
    }
    // What `verifyPeerCertificate: false` means.
    let verifier = Arc::new(AnyCertificate(Arc::clone(provider)));
    Some(Arc::new(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()))
}

fn bundle<'a>(configuration: &'a Configuration, ssl: &Object) -> Option<&'a Bundle> {
    let fetched = || texts(ssl, "certificateIds").find_map(|id| configuration.fetched.get(id));
    configuration.certificates.get(text(ssl, "certificateName")).or_else(fetched)
}

fn roots(bundle: &Bundle) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(bundle.ca_chain());
    roots
}

/// The provider with the suite's ciphers only, in the suite's order.
fn limited(provider: &CryptoProvider, configuration: &Configuration, suite: &str) -> CryptoProvider {
    let ciphers = validation::ciphers(configuration, suite).unwrap_or_default();
    let mut limited = provider.clone();
    limited.cipher_suites = ciphers
        .iter()
        .filter_map(|cipher| {
            let name = rustls_name(cipher);
            provider.cipher_suites.iter().find(|known| known.suite().as_str() == Some(name.as_str())).copied()
        })
        .collect();
    limited
}

/// `ECDHE-RSA-AES128-GCM-SHA256` is `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`; TLS 1.3 names begin with `TLS13_` there.
fn rustls_name(openssl_name: &str) -> String {
    if let Some(rest) = openssl_name.strip_prefix("TLS_") {
        return format!("TLS13_{rest}");
    }
    for (kind, prefix) in [("ECDHE-ECDSA-", "TLS_ECDHE_ECDSA_WITH_"), ("ECDHE-RSA-", "TLS_ECDHE_RSA_WITH_")] {
        if let Some(cipher) = openssl_name.strip_prefix(kind) {
            let cipher = cipher.replace("AES128", "AES_128").replace("AES256", "AES_256").replace('-', "_");
            let hash = if cipher.ends_with("POLY1305") { "_SHA256" } else { "" };
            return format!("{prefix}{cipher}{hash}");
        }
    }
    String::new()
}

fn versions(ssl: &Object) -> Vec<&'static SupportedProtocolVersion> {
    texts(ssl, "protocols")
        .filter_map(|protocol| match protocol {
            "TLSv1.2" => Some(&rustls::version::TLS12),
            "TLSv1.3" => Some(&rustls::version::TLS13),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::rustls_name;

    #[test]
    fn every_cipher_of_rustls_is_found_by_its_openssl_name() {
        let names = [
            "TLS_AES_128_GCM_SHA256",
            "TLS_AES_256_GCM_SHA384",
            "TLS_CHACHA20_POLY1305_SHA256",
            "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-AES256-GCM-SHA384",
            "ECDHE-ECDSA-CHACHA20-POLY1305",
            "ECDHE-RSA-AES128-GCM-SHA256",
            "ECDHE-RSA-AES256-GCM-SHA384",
            "ECDHE-RSA-CHACHA20-POLY1305",
        ];
        let mut expected: Vec<_> = names.into_iter().map(rustls_name).collect();
        let mut known: Vec<_> = rustls::crypto::aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .filter_map(|suite| suite.suite().as_str())
            .map(str::to_owned)
            .collect();
        expected.sort();
        known.sort();
        assert_eq!(expected, known);
    }
}
