//! The name server's sockets: the same port for UDP and TCP (RFC 1035 §4.2).

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

use super::Service;
use super::answer::answer;

/// Both sockets of one port.
pub(super) struct Sockets {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Sockets {
    /// On a port of 127.0.0.1 that is free for both.
    pub(super) async fn bind() -> io::Result<Self> {
        let mut last = None;
        for _ in 0..TRIES {
            let tcp = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Self { tcp, udp }),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| io::Error::from(io::ErrorKind::AddrInUse)))
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers until the task is aborted; its connections end with it.
    pub(super) async fn serve(self, service: Arc<Service>) {
        let mut connections = JoinSet::new();
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            tokio::select! {
                received = self.udp.recv_from(&mut buffer) => {
                    let Ok((length, client)) = received else { continue };
                    if let Some(bytes) = answered(&service, &buffer[..length], Transport::Udp) {
                        // A client that is gone is no matter.
                        let _ = self.udp.send_to(&bytes, client).await;
                    }
                }
                accepted = self.tcp.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    connections.spawn(converse(Arc::clone(&service), stream));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transport {
    Tcp,
    Udp,
}

/// One question after another, each with its length in front.
async fn converse(service: Arc<Service>, mut stream: TcpStream) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; usize::from(length)];
        if stream.read_exact(&mut bytes).await.is_err() {
            return;
        }
        let Some(bytes) = answered(&service, &bytes, Transport::Tcp) else { return };
        let Ok(length) = u16::try_from(bytes.len()) else { return };
        let framed = [&length.to_be_bytes()[..], &bytes].concat();
        if stream.write_all(&framed).await.is_err() {
            return;
        }
    }
}

/// `None` for what is no question.
fn answered(service: &Service, bytes: &[u8], transport: Transport) -> Option<Vec<u8>> {
    let query = Message::from_vec(bytes).ok()?;
    let mut message = answer(&service.state().zones, &query);
    let bytes = message.to_vec().ok()?;
    let most = query.edns.as_ref().map_or(MOST_OF_UDP, |edns| edns.max_payload().max(MOST_OF_UDP));
    if transport == Transport::Tcp || bytes.len() <= usize::from(most) {
        return Some(bytes);
    }
    // The client asks again over TCP.
    message.answers.clear();
    message.authorities.clear();
    message.metadata.truncation = true;
    message.to_vec().ok()
}

/// RFC 1035 §4.2.1.
const MOST_OF_UDP: u16 = 512;

const TRIES: usize = 16;
