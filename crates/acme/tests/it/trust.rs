//! Whose https is believed.

use std::sync::Arc;
use std::time::Duration;

use certferry_acme::{Client, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A private CA's https: its root, and the address of a server with a certificate from it.
struct PrivateHttps {
    root: CertificateDer<'static>,
    address: std::net::SocketAddr,
}

impl PrivateHttps {
    /// Answers every connection with this body, whatever it asks.
    async fn start(body: &'static str) -> Self {
        let (root, issuer) = private_root();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                let _ = stream.shutdown().await;
            }
        });
        Self { root, address }
    }

    fn client(&self, root: CertificateDer<'static>) -> Client {
        Client::builder(&format!("https://{}/directory", self.address))
            .user_agent("certferry-test/1.0")
            .trusted_roots([root])
            .retry_budget(Duration::from_secs(5))
            .build()
            .unwrap()
    }
}

fn private_root() -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().der().clone();
    (root, Issuer::new(params, key))
}

const DIRECTORY: &str = r#"{"newNonce":"https://ca.example/n","newAccount":"https://ca.example/a",
    "newOrder":"https://ca.example/o","renewalInfo":"http://127.0.0.1:1/renewal-info"}"#;

#[tokio::test]
async fn a_private_root_is_trusted_when_given() {
    let server = PrivateHttps::start(DIRECTORY).await;
    let directory = server.client(server.root.clone()).directory().await.unwrap();
    assert_eq!(directory.new_order.as_str(), "https://ca.example/o");
}

#[tokio::test]
async fn an_unknown_root_is_refused_at_once() {
    let server = PrivateHttps::start(DIRECTORY).await;
    let (other_root, _) = private_root();
    let error = server.client(other_root).directory().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Transport);
    assert_eq!(error.attempts(), 1, "an untrusted certificate stays untrusted");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn a_ca_on_https_cannot_send_the_client_to_plain_http_on_this_machine() {
    let server = PrivateHttps::start(DIRECTORY).await;
    let client = server.client(server.root.clone());
    let error = client.renewal_info(&"AA.AA".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Malformed);
    assert!(error.to_string().contains("plain http URL"), "{error}");
    assert_eq!(error.attempts(), 0);
}
