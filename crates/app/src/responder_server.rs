//! The responder on a socket: HTTP/1.1, plain, answers open tokens and nothing else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certferry_core::{Error, ErrorKind};
use certferry_engine::Responder;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS_AT_ONCE: usize = 512;

/// A connection that has not sent its request within this is closed.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// Listens until dropped.
pub(crate) struct ResponderServer {
    address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl ResponderServer {
    /// Listens on `listen`.
    pub(crate) async fn start(listen: SocketAddr, responder: Responder) -> Result<Self, Error> {
        let cannot = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "listen", format!("responder address {listen}"))
                .said(error.to_string())
                .with_hint("another process may listen there; change `responder: listen:`, and the backend with it")
        };
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, responder));
        Ok(Self { address, _accepting: accepting })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, responder: Responder) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS_AT_ONCE));
    let mut connections = JoinSet::new();
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let responder = responder.clone();
                connections.spawn(async move {
                    serve(stream, peer, responder).await;
                    drop(turn);
                });
            }
            // Out of file handles, or a client that hung up: the listener itself is still good.
            Err(error) => {
                tracing::warn!("the responder could not accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, responder: Responder) {
    let service = service_fn(move |request| {
        let responder = responder.clone();
        async move { Ok::<_, Infallible>(answer(&request, peer, &responder)) }
    });
    let mut connection = http1::Builder::new();
    connection.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN).max_buf_size(16 * 1024);
    if let Err(error) = connection.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%peer, "responder connection: {error}");
    }
}

fn answer(request: &Request<Incoming>, peer: SocketAddr, responder: &Responder) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let found = matches!(*request.method(), Method::GET | Method::HEAD).then(|| responder.answer(path)).flatten();
    tracing::info!(%peer, path, found = found.is_some(), "challenge request");
    let (status, body) = match found {
        Some(key_authorization) => (StatusCode::OK, key_authorization),
        None => (StatusCode::NOT_FOUND, "no such challenge is open\n".to_owned()),
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
