//! One port of a load balancer: its reservation, and the task that accepts while it has listeners.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::LazyConfigAcceptor;

use super::{
    super::error::LabError,
    Live, backend, http,
    serving::{Listener, Protocol},
};

pub(super) struct Port {
    address: SocketAddr,
    /// Bound and never listening: keeps the port.
    _reservation: TcpSocket,
    accepting: Option<JoinHandle<()>>,
}

impl Port {
    /// Binds without listening; port 0 takes a free one.
    pub(super) fn reserve(wanted: SocketAddr) -> Result<Self, LabError> {
        let listen_error = |source| LabError::Listen { address: wanted, source };
        let socket = bound(wanted).map_err(listen_error)?;
        let address = socket.local_addr().map_err(listen_error)?;
        Ok(Self { address, _reservation: socket, accepting: None })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen, unless it does already. Must be called within a tokio runtime.
    pub(super) fn open(&mut self, number: u16, live: Arc<Live>) -> Result<(), LabError> {
        if self.accepting.is_some() {
            return Ok(());
        }
        let listener = bound(self.address)
            .and_then(|socket| socket.listen(BACKLOG))
            .map_err(|source| LabError::Listen { address: self.address, source })?;
        self.accepting = Some(tokio::spawn(accept(listener, number, live)));
        Ok(())
    }

    /// Stops listening and ends the port's connections.
    pub(super) fn close(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.close();
    }
}

fn bound(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, number: u16, live: Arc<Live>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, client)) = accepted else { continue };
                connections.spawn(serve(stream, client, number, Arc::clone(&live)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, port: u16, live: Arc<Live>) {
    // Small writes of a TLS handshake must not wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is not available");
    }
    let serving = live.serving();
    let Some(service) = serving.ports.get(&port) else {
        return;
    };
    let connection = http::Connection { client, live, port, server_name: None, tls: service.uses_tls() };
    if !service.uses_tls() {
        if let Some(listener) = service.pick(None) {
            carry(stream, listener, connection).await;
        }
        return;
    }
    let hello = match LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await {
        Ok(hello) => hello,
        Err(error) => return tracing::debug!(%client, %error, "no TLS ClientHello"),
    };
    let server_name = hello.client_hello().server_name().map(str::to_owned);
    let Some(listener) = service.pick(server_name.as_deref()) else {
        return;
    };
    let Some(settings) = listener.tls.as_ref().and_then(|tls| tls.settings.clone()) else {
        return tracing::debug!(listener = listener.name, "the listener has no certificate to serve");
    };
    match hello.into_stream(settings).await {
        Ok(stream) => {
            let connection = http::Connection { server_name, ..connection };
            carry(stream, listener, connection).await;
        }
        Err(error) => tracing::debug!(%client, listener = listener.name, %error, "the TLS handshake failed"),
    }
}

async fn carry<S>(stream: S, listener: &Listener, connection: http::Connection)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    match listener.protocol {
        Protocol::Http => http::serve(stream, connection).await,
        Protocol::Tcp => {
            let serving = connection.live.serving();
            let Some(set) = serving.backend_sets.get(&listener.default_backend_set) else {
                return;
            };
            if let Some(backend) = backend::connect(set, &connection.live.board).await {
                backend::relay(stream, backend).await;
            }
        }
    }
}

const BACKLOG: u32 = 1024;
