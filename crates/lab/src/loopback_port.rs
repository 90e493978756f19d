//! One port of a data plane on loopback: its reservation, and the task that accepts while it serves something.
//!
//! The address is held by a socket that is bound and never listens. While something is served there, a second socket
//! on the same address (SO_REUSEPORT) listens; when that ends, only that one is closed. So an address stays its
//! owner's, and connections to it are refused while nothing listens.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Where a data plane listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// On the very port numbers that are configured; those below 1024 need root.
    Exact,
    /// Each on a free port of 127.0.0.1, which the lab tells (`data_plane_address`).
    Mapped,
}

pub(crate) struct LoopbackPort {
    address: SocketAddr,
    /// Bound and never listening: keeps the port.
    _reservation: TcpSocket,
    accepting: Option<JoinHandle<()>>,
}

impl LoopbackPort {
    /// Binds without listening; port 0 takes a free one.
    pub(crate) fn reserve(wanted: SocketAddr) -> io::Result<Self> {
        let socket = bound(wanted)?;
        let address = socket.local_addr()?;
        Ok(Self { address, _reservation: socket, accepting: None })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts to listen and to give each connection to `serve`, unless it does already. Must be called within a tokio
    /// runtime.
    pub(crate) fn open<S, F>(&mut self, serve: S) -> io::Result<()>
    where
        S: Fn(TcpStream, SocketAddr) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        if self.accepting.is_some() {
            return Ok(());
        }
        let listener = bound(self.address)?.listen(BACKLOG)?;
        self.accepting = Some(tokio::spawn(accept(listener, serve)));
        Ok(())
    }

    /// Stops listening and ends the port's connections.
    pub(crate) fn close(&mut self) {
        if let Some(task) = self.accepting.take() {
            task.abort();
        }
    }
}

impl Drop for LoopbackPort {
    fn drop(&mut self) {
        self.close();
    }
}

fn bound(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept<S, F>(listener: TcpListener, serve: S)
where
    S: Fn(TcpStream, SocketAddr) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, client)) = accepted else { continue };
                // Small writes of a TLS handshake must not wait for each other.
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY is not available");
                }
                connections.spawn(serve(stream, client));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

const BACKLOG: u32 = 1024;
