//! The real programs that tests run against. `./test` brings them into `.parts/`; each starter here ends its program
//! when it is dropped, and the program ends by itself when the test process dies.

#![allow(
    dead_code,
    reason = "a starter offers what its program can do; which of it today's tests need is not its matter"
)]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

pub(crate) mod avisdk;
pub(crate) mod bind;
pub(crate) mod caddy;
pub(crate) mod certbot;
pub(crate) mod oci_cli;
pub(crate) mod openssl;
pub(crate) mod own_network;
pub(crate) mod pebble;
pub(crate) mod program;

/// The path of a file of a part, such as `pebble/usr/bin/pebble`.
///
/// # Panics
///
/// Fails the test when the part is not there, and says how to bring it.
pub(crate) fn part(file: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.parts").join(file);
    assert!(path.exists(), "the part {} is missing; run ./test once: it brings it", path.display());
    path
}

/// TCP ports of 127.0.0.1 that nobody else is given as a free one while this lives. The sockets that hold them do not
/// listen and have SO_REUSEADDR, and so have the listeners of programs in Go: those can listen there.
#[derive(Debug)]
pub(crate) struct ReservedPorts<const COUNT: usize> {
    sockets: [TcpSocket; COUNT],
}

impl<const COUNT: usize> ReservedPorts<COUNT> {
    pub(crate) fn new() -> Self {
        let reserve = || {
            let socket = TcpSocket::new_v4()?;
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
            Ok::<_, std::io::Error>(socket)
        };
        Self { sockets: [(); COUNT].map(|()| reserve().expect("bind a free port of 127.0.0.1")) }
    }

    pub(crate) fn numbers(&self) -> [u16; COUNT] {
        self.sockets.each_ref().map(|socket| socket.local_addr().expect("a bound socket has an address").port())
    }
}

/// Asks again and again until `condition` gives a value; `None` when `limit` has passed.
pub(crate) async fn eventually<T>(limit: Duration, mut condition: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(value) = condition().await {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An HTTPS client that trusts `root_pem` and nothing else, whatever the environment says.
pub(crate) fn https_client(root_pem: &str) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(root_pem.as_bytes()).expect("a root in PEM");
    reqwest::Client::builder()
        .tls_certs_only([root])
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .expect("an HTTPS client")
}
