//! Proxies from the environment: HTTPS goes through the one that `HTTPS_PROXY` names, but for what `NO_PROXY` excepts.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use crate::stage::{Ended, LabCa, Stage};

/// An HTTP proxy that tunnels (RFC 9110 §9.3.6) until it is dropped.
struct Proxy {
    address: SocketAddr,
    targets: Arc<Mutex<Vec<String>>>,
    accepting: AbortHandle,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let targets = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&targets);
        let accepting = tokio::spawn(async move {
            let mut tunnels = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                tunnels.spawn(tunnel(client, Arc::clone(&seen)));
            }
        });
        Self { address, targets, accepting: accepting.abort_handle() }
    }

    /// Where tunnels led to so far.
    fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn tunnel(client: TcpStream, seen: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if client.read_line(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let target =
        request.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(target.clone());
    let mut server = TcpStream::connect(target).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await.map(|_| ())
}

async fn stage() -> (Stage, LabCa, String) {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let directory = ca.ca.directory_url();
    let authority = directory.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap().to_owned();
    (stage, ca, authority)
}

async fn apply(stage: &Stage, proxy: SocketAddr, no_proxy: &str) -> Ended {
    let proxy = format!("http://{proxy}");
    stage.certferry_with(&[("HTTPS_PROXY", &proxy), ("NO_PROXY", no_proxy)], &["apply"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_behind_a_proxy_is_reached_through_it() {
    let (stage, _ca, authority) = stage().await;
    let proxy = Proxy::start().await;
    apply(&stage, proxy.address, "").await.expect_exit(0);
    let targets = proxy.targets();
    assert!(!targets.is_empty() && targets.iter().all(|target| *target == authority), "{targets:?}");
    assert!(stage.bound("https").starts_with("cf-www-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_proxy_excepts_is_reached_directly() {
    let (stage, _ca, authority) = stage().await;
    let proxy = Proxy::start().await;
    let (host, _) = authority.rsplit_once(':').unwrap();
    apply(&stage, proxy.address, host).await.expect_exit(0);
    assert_eq!(proxy.targets(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_is_not_there_is_told_as_what_keeps_the_ca_away() {
    let (stage, _ca, authority) = stage().await;
    let gone = Proxy::start().await.address;
    let said = apply(&stage, gone, "").await.expect_exit(3).stderr();
    for piece in [authority.as_str(), "HTTPS_PROXY"] {
        assert!(said.contains(piece), "`{piece}` is missing:\n{said}");
    }
}
