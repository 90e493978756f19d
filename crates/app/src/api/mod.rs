//! The daemon's HTTPS API: HTTP/1.1 over TLS, one endpoint (`signing`), everything else 404.

mod orders;
mod served_pair;
mod signing;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certferry_core::{Error, ErrorKind, Secret};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub(crate) use signing::Signing;

use served_pair::ServedPair;

use crate::config::Api;
use crate::failure::Failure;

/// Connections served at once; more wait in the kernel's queue.
const CONNECTIONS_AT_ONCE: usize = 64;

/// A connection that has not finished its handshake, or sent its request, within this is closed.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// A CSR in JSON is a few KiB.
const LARGEST_REQUEST: usize = 256 * 1024;

/// Listens until it is stopped or dropped.
pub(crate) struct ApiServer {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: JoinSet<()>,
}

impl ApiServer {
    /// Listens where `api` says, with the pair that it names and whatever takes its place, and passes requests on to
    /// `signing`.
    pub(crate) async fn start(api: &Api, signing: Arc<Signing>) -> Result<Self, Failure> {
        let listen = api.listen;
        let acceptor = TlsAcceptor::from(Arc::new(server_config(ServedPair::new(api)?)?));
        let cannot = |error: std::io::Error| {
            Error::new(ErrorKind::Unavailable, "listen", format!("API address {listen}"))
                .said(error.to_string())
                .with_hint("another process may listen there; change `api: listen:`")
        };
        let listener = TcpListener::bind(listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let (stop, stopped) = watch::channel(false);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, acceptor, signing, stopped));
        Ok(Self { address, stop, accepting })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more connections, and waits until the open ones have their answers.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.accepting.join_next().await.is_some() {}
    }
}

fn server_config(pair: ServedPair) -> Result<ServerConfig, Error> {
    let unusable =
        |error: rustls::Error| Error::new(ErrorKind::Unexpected, "listen", "the API").said(error.to_string());
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    Ok(builder.with_no_client_auth().with_cert_resolver(Arc::new(pair)))
}

async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    signing: Arc<Signing>,
    mut stopped: watch::Receiver<bool>,
) {
    let turns = Arc::new(Semaphore::new(CONNECTIONS_AT_ONCE));
    let mut connections = JoinSet::new();
    loop {
        let Ok(turn) = turns.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = is_set(&mut stopped) => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let (acceptor, signing, stopped) = (acceptor.clone(), signing.clone(), stopped.clone());
                connections.spawn(async move {
                    serve(stream, peer, acceptor, signing, stopped).await;
                    drop(turn);
                });
            }
            // Out of file handles, or a client that hung up: the listener itself is still good.
            Err(error) => {
                tracing::warn!("the API could not accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    signing: Arc<Signing>,
    mut stopped: watch::Receiver<bool>,
) {
    let stream = match timeout(REQUEST_WITHIN, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, "API handshake: {error}"),
        Err(_) => return tracing::debug!(%peer, "API handshake: not finished in time"),
    };
    let service = service_fn(move |request| {
        let signing = signing.clone();
        async move { Ok::<_, Infallible>(answer(request, peer, &signing).await.into_response()) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(REQUEST_WITHIN).max_buf_size(64 * 1024);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = is_set(&mut stopped) => {
            // The request that is being answered still gets its answer.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, "API connection: {error}");
    }
}

/// Ends when the flag is set, or nobody is left who could.
pub(crate) async fn is_set(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|set| *set).await;
}

async fn answer(request: Request<Incoming>, peer: SocketAddr, signing: &Arc<Signing>) -> Answer {
    let path = request.uri().path().to_owned();
    let answer = match signing::load_balancer_in(&path) {
        Some(_) if *request.method() != Method::POST => Answer::refusal(
            StatusCode::METHOD_NOT_ALLOWED,
            "this is for POST only",
            "is the control script certferry's?",
        ),
        Some(load_balancer) => {
            let token = bearer(&request);
            match timeout(REQUEST_WITHIN, Limited::new(request.into_body(), LARGEST_REQUEST).collect()).await {
                Ok(Ok(body)) => signing.answer(load_balancer, token.as_ref(), &body.to_bytes()).await,
                Ok(Err(_)) | Err(_) => Answer::refusal(
                    StatusCode::BAD_REQUEST,
                    "the request is too long, or did not come through",
                    "is the control script certferry's?",
                ),
            }
        }
        None => {
            Answer::refusal(StatusCode::NOT_FOUND, "there is nothing here", "is the profile's parameter `url` right?")
        }
    };
    tracing::info!(%peer, path, status = answer.status.as_u16(), "API request");
    answer
}

fn bearer(request: &Request<Incoming>) -> Option<Secret<String>> {
    let header = request.headers().get(AUTHORIZATION)?.to_str().ok()?;
    header.strip_prefix("Bearer ").map(|token| Secret::new(token.trim().to_owned()))
}

/// An answer of the API.
pub(crate) struct Answer {
    status: StatusCode,
    body: Body,
    /// Seconds after which to ask again.
    retry_after: Option<u64>,
}

/// What stands in an answer.
#[derive(Serialize)]
#[serde(untagged)]
enum Body {
    Chain { chain: String },
    Refusal { error: String, hint: String },
}

impl Answer {
    /// The chain (PEM, leaf first).
    fn chain(chain: String) -> Self {
        Self { status: StatusCode::OK, body: Body::Chain { chain }, retry_after: None }
    }

    fn refusal(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, body: Body::Refusal { error: error.into(), hint: hint.into() }, retry_after: None }
    }

    fn after(mut self, seconds: u64) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
