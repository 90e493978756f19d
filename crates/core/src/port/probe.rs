//! Looking from outside: what an address really serves.

use std::net::SocketAddr;

use async_trait::async_trait;

use crate::identifier::Identifier;
use crate::key::KeyFamily;
use crate::observed::ServedChain;

/// Looks at addresses as a client would. Failures are texts for people: a probe is repeated until it fits or time is up.
#[async_trait]
pub trait Probe: Send + Sync {
    /// A TLS handshake with `server_name` as SNI (none for an IP address, RFC 6066 §3): the chain, after the peer proved
    /// that it holds the leaf's key. Trust is not judged: what was deployed is compared, not what a store trusts. With
    /// `family` the client can only such keys, so that a listener with several certificates shows that one.
    ///
    /// # Errors
    /// No connection, or the handshake failed.
    async fn tls(
        &self,
        address: SocketAddr,
        server_name: &Identifier,
        family: Option<KeyFamily>,
    ) -> Result<ServedChain, String>;

    /// `GET http://<name>/.well-known/acme-challenge/<token>`, sent to `address`, with redirects followed as a CA follows
    /// them (at most 10; only http on port 80 and https on port 443; https certificates not judged).
    ///
    /// # Errors
    /// No connection, or no HTTP answer.
    async fn http01(&self, address: SocketAddr, name: &Identifier, token: &str) -> Result<HttpAnswer, String>;
}

/// The answer to a fetched challenge response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status of the last answer.
    pub status: u16,
    /// The first bytes of its body, as text.
    pub body: String,
    /// The redirects followed, as they were given.
    pub redirects: Vec<String>,
    /// The Server header, which often tells who answered instead.
    pub server: Option<String>,
}
