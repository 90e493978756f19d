//! Which backend takes a request, and the connection to it.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    health::{Board, Health},
    serving::{Backend, BackendSet},
};

/// A byte stream to a backend, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Connects to the first backend in turn that takes the connection.
pub(super) async fn connect(set: &BackendSet, board: &Board) -> Option<Box<dyn Stream>> {
    for backend in candidates(set, board) {
        match open(backend.address, set.tls.as_ref()).await {
            Ok(stream) => return Some(stream),
            Err(error) => tracing::debug!(set = set.name, backend = backend.name, %error, "the backend is not there"),
        }
    }
    None
}

/// Copies both ways until both are done.
pub(super) async fn relay<S: AsyncRead + AsyncWrite + Unpin>(mut client: S, mut backend: Box<dyn Stream>) {
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut backend).await {
        tracing::debug!(%error, "a TCP connection ended early");
    }
}

/// Never leaves the machine: other addresses are as good as down.
pub(super) async fn open(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> io::Result<Box<dyn Stream>> {
    if !address.ip().is_loopback() {
        return Err(io::Error::other("the lab connects to loopback addresses only"));
    }
    let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await.map_err(io::Error::from)??;
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(settings) => {
            let connector = TlsConnector::from(Arc::clone(settings));
            let name = ServerName::IpAddress(address.ip().into());
            Ok(Box::new(connector.connect(name, stream).await?))
        }
    }
}

/// The usable backends, each once, starting with the one whose turn it is by weight. Backups only when nothing else
/// is usable.
fn candidates<'a>(set: &'a BackendSet, board: &Board) -> Vec<&'a Backend> {
    let usable = |backup: bool| -> Vec<&'a Backend> {
        set.backends
            .iter()
            .filter(|backend| backend.backup == backup && !backend.drain && !backend.offline)
            .filter(|backend| board.of(&set.name, &backend.name).health != Health::Critical)
            .collect()
    };
    let mut backends = usable(false);
    if backends.is_empty() {
        backends = usable(true);
    }
    let total: usize = backends.iter().map(|backend| backend.weight).sum();
    if total == 0 {
        return backends;
    }
    let mut turn = set.turn.fetch_add(1, Ordering::Relaxed) % total;
    let first = backends.iter().position(|backend| {
        let taken = turn < backend.weight;
        turn = turn.saturating_sub(backend.weight);
        taken
    });
    backends.rotate_left(first.unwrap_or_default());
    backends
}

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
