//! One connection to a port of a load balancer.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;

use super::{
    Live, backend, http,
    serving::{Listener, Protocol},
};

pub(super) async fn serve(stream: TcpStream, client: SocketAddr, port: u16, live: Arc<Live>) {
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
