//! HTTPS on loopback: connections, and the drops that faults ask for.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::AcmeCaError;
use super::state::Ca;
use crate::pki::Issued;

pub(super) async fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

pub(super) fn tls(certificate: &Issued) -> Result<TlsAcceptor, AcmeCaError> {
    let failed = |error: &dyn std::fmt::Display| AcmeCaError::Tls(error.to_string());
    let chain = CertificateDer::pem_slice_iter(certificate.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
    let key = PrivateKeyDer::from_pem_slice(certificate.private_key_pem.as_bytes());
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_no_client_auth()
        .with_single_cert(chain.map_err(|error| failed(&error))?, key.map_err(|error| failed(&error))?)
        .map_err(|error| failed(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until its task is aborted; then every connection ends too.
pub(super) async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ca: Arc<Ca>) {
    let mut connections = JoinSet::new();
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&ca)));
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, ca: Arc<Ca>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let ca = Arc::clone(&ca);
        async move { ca.answer(request).await.ok_or(Dropped) }
    });
    // An error of the service closes the connection without an answer, which is what a drop is.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;
