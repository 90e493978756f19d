//! Connections to an address that is given, not looked up, within a limit.

use std::io;
use std::net::SocketAddr;

use certferry_core::KeyFamily;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::NetworkProbe;

impl NetworkProbe {
    /// A TCP connection.
    pub(super) async fn connect(&self, address: SocketAddr) -> Result<TcpStream, String> {
        let limit = self.limits.connect;
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(format!("no connection to {address}: {}", words(&error))),
            Err(_) => Err(format!("no connection to {address} within {} s", limit.as_secs_f32())),
        }
    }

    /// A TLS connection with `server_name` as SNI, by a client that can only certificates of `family` if one is given.
    pub(super) async fn handshake(
        &self,
        address: SocketAddr,
        server_name: &str,
        family: Option<KeyFamily>,
    ) -> Result<TlsStream<TcpStream>, String> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| format!("`{server_name}` cannot be sent as a server name (RFC 6066 §3)"))?;
        let stream = self.connect(address).await?;
        let limit = self.limits.connect;
        match timeout(limit, TlsConnector::from(self.tls.for_keys(family)).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => {
                Err(format!("the TLS handshake with {address} for `{server_name}` failed: {}", explain(&error)))
            }
            Err(_) => Err(format!(
                "the TLS handshake with {address} for `{server_name}` did not end within {} s",
                limit.as_secs_f32()
            )),
        }
    }
}

/// What the system said, without its number for it.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or_else(|| text.clone(), |(words, _)| words.to_lowercase())
}

/// What went wrong in a handshake, in words that say where to look.
fn explain(error: &io::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error};

    match error.get_ref().and_then(|source| source.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::BadSignature)) => {
            "the peer does not hold the private key of the certificate that it sends".to_owned()
        }
        Some(Error::InvalidMessage(_)) => "the answer is not TLS".to_owned(),
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => {
            "the peer refuses it (handshake_failure); its cipher suites may not fit its certificate's key".to_owned()
        }
        Some(Error::AlertReceived(AlertDescription::UnrecognisedName)) => {
            "the peer serves no such name (unrecognized_name)".to_owned()
        }
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the peer closed the connection".to_owned(),
        None => words(error),
    }
}
