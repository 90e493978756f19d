//! The web server of the names that are validated: http, and https with a certificate that nobody trusts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use certferry_lab::pki::Pki;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// What is answered at a path, whatever the host.
#[derive(Clone)]
pub(crate) enum Page {
    Body(String),
    /// Status and Location.
    Redirect(u16, String),
}

pub(crate) struct Site {
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    pages: Pages,
    _servers: JoinSet<()>,
}

type Pages = Arc<Mutex<BTreeMap<String, Page>>>;

impl Site {
    pub(crate) async fn start() -> Self {
        let pages = Pages::default();
        let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let encrypted = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (http, https) = (plain.local_addr().unwrap(), encrypted.local_addr().unwrap());
        let mut servers = JoinSet::new();
        servers.spawn(accept(plain, None, Arc::clone(&pages)));
        servers.spawn(accept(encrypted, Some(untrusted_certificate()), Arc::clone(&pages)));
        Self { http, https, pages, _servers: servers }
    }

    pub(crate) fn put(&self, path: impl Into<String>, page: Page) {
        self.pages.lock().unwrap().insert(path.into(), page);
    }

    /// Answers a challenge.
    pub(crate) fn present(&self, token: &str, page: Page) {
        self.put(challenge_path(token), page);
    }
}

pub(crate) fn challenge_path(token: &str) -> String {
    format!("/.well-known/acme-challenge/{token}")
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, pages: Pages) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, pages) = (tls.clone(), Arc::clone(&pages));
        connections.spawn(async move {
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        serve(stream, pages).await;
                    }
                }
                None => serve(stream, pages).await,
            }
        });
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, pages: Pages) {
    let service = service_fn(|request: Request<Incoming>| {
        let page = pages.lock().unwrap().get(request.uri().path()).cloned();
        async move { Ok::<_, hyper::Error>(answer(page)) }
    });
    // The CA closes a connection when it has read enough.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn answer(page: Option<Page>) -> Response<Full<Bytes>> {
    let response = Response::builder();
    match page {
        Some(Page::Body(body)) => response.body(Full::from(body)),
        Some(Page::Redirect(status, location)) => {
            response.status(status).header("location", location).body(Full::default())
        }
        None => response.status(404).body(Full::from("nothing here")),
    }
    .unwrap()
}

/// Of a PKI that ends here, and for another name.
fn untrusted_certificate() -> TlsAcceptor {
    let issued = Pki::new().unwrap().issue(&["elsewhere.test"], 1).unwrap();
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
