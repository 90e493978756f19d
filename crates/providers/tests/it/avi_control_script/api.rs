//! What stands in for certferry's API: HTTPS with a certificate of a PKI of its own, which signs the CSRs that come with the
//! right token, unless it is told to answer otherwise.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use certferry_lab::pki::{Issued, Pki, Validity};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::{SignedDuration, Timestamp};
use rcgen::CertificateSigningRequestParams;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::TOKEN;

/// An answer that is no chain.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Status, Retry-After, body.
    Answer(u16, Option<String>, String),
    /// The connection ends without one.
    Dropped,
}

impl Reply {
    pub(super) fn error(status: u16, retry_after: Option<&str>, error: &str, hint: &str) -> Self {
        let body = json!({"error": error, "hint": hint}).to_string();
        Self::Answer(status, retry_after.map(str::to_owned), body)
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) line: String,
    pub(super) body: Value,
}

pub(super) struct Api {
    pub(super) url: String,
    pub(super) root_pem: String,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    pki: Pki,
    start: Timestamp,
    replies: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
    signed: Mutex<i64>,
}

impl Api {
    /// For a name or address. Its certificates live 90 days: the first from `start` on, each other from 83 days after the
    /// one before it.
    pub(super) async fn start(name: &str, start: Timestamp) -> Self {
        let pki = Pki::new().unwrap();
        let acceptor = acceptor(&pki.issue(&[name], 30).unwrap());
        let root_pem = pki.root_pem().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            pki,
            start,
            replies: Mutex::default(),
            seen: Mutex::default(),
            signed: Mutex::default(),
        });
        let server = tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self { url, root_pem, shared, server }
    }

    /// The next request is answered so.
    pub(super) fn reply(&self, reply: Reply) {
        self.shared.replies.lock().unwrap().push_back(reply);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let line = format!("{} {}", parts.method, parts.uri);
    shared.seen.lock().unwrap().push(Seen { line, body: body.clone() });
    let scripted = shared.replies.lock().unwrap().pop_front();
    let bearer = format!("Bearer {TOKEN}");
    let (status, retry_after, text) = match scripted {
        Some(Reply::Answer(status, retry_after, text)) => (status, retry_after, text),
        Some(Reply::Dropped) => return Err(std::io::Error::other("dropped on purpose")),
        None if parts.headers.get("authorization").is_none_or(|sent| sent != bearer.as_str()) => {
            (401, None, json!({"error": "the token is another one"}).to_string())
        }
        None => (200, None, json!({"chain": sign(&shared, &body)}).to_string()),
    };
    let mut response = Response::builder().status(status).header("content-type", "application/json");
    if let Some(retry_after) = retry_after {
        response = response.header("retry-after", retry_after);
    }
    response.body(Full::new(Bytes::from(text))).map_err(std::io::Error::other)
}

fn sign(shared: &Shared, body: &Value) -> String {
    let csr = CertificateSigningRequestParams::from_pem(body["csr"].as_str().unwrap()).unwrap();
    let mut signed = shared.signed.lock().unwrap();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let not_before = shared.start + days(83 * *signed);
    *signed += 1;
    let common_name = body["common_name"].as_str().map(str::to_owned);
    let validity = Validity { common_name, not_before, not_after: not_before + days(90) };
    shared.pki.sign_csr(csr, &validity).unwrap()
}

fn acceptor(issued: &Issued) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
