//! `openssl`, the judge of what a listener really serves: it shares no line of code with certferry.

use std::fs;
use std::net::SocketAddr;
use std::process::{Output, Stdio};

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::program::dies_with_us;

/// What a TLS handshake returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Served {
    /// The certificates as sent, in PEM, the leaf first.
    pub(crate) chain: Vec<String>,
    /// The leaf's serial number, lower-case hexadecimal without colons.
    pub(crate) serial: String,
}

/// What `address` serves for `server_name`, trusted or not. The error is what openssl said.
pub(crate) async fn served(address: SocketAddr, server_name: &str) -> Result<Served, String> {
    handshake(address, &["-servername", server_name]).await
}

/// The same, when the chain leads to `root_pem` and the leaf is for `server_name`. The error is what openssl said.
pub(crate) async fn served_and_trusted(
    address: SocketAddr,
    server_name: &str,
    root_pem: &str,
) -> Result<Served, String> {
    trusted_handshake(address, server_name, root_pem, &[]).await
}

/// What `address` serves to a client that sends no server name, as clients of an IP address do (RFC 6066 §3), when the chain
/// leads to `root_pem` and the leaf is for `ip_address`. The error is what openssl said.
pub(crate) async fn served_at_address_and_trusted(
    address: SocketAddr,
    ip_address: &str,
    root_pem: &str,
) -> Result<Served, String> {
    trusted(root_pem, async |root_file| {
        let verify = ["-CAfile", root_file, "-no-CApath", "-verify_return_error", "-verify_ip", ip_address];
        handshake(address, &[&["-noservername"], &verify[..]].concat()).await
    })
    .await
}

/// A kind of certificate's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Ecdsa,
    Rsa,
}

/// The same for a client that can only certificates with this kind of key.
pub(crate) async fn served_to_client_of(
    kind: KeyKind,
    address: SocketAddr,
    server_name: &str,
    root_pem: &str,
) -> Result<Served, String> {
    let signatures = match kind {
        KeyKind::Ecdsa => "ECDSA+SHA256:ECDSA+SHA384",
        KeyKind::Rsa => "RSA-PSS+SHA256:RSA+SHA256",
    };
    trusted_handshake(address, server_name, root_pem, &["-sigalgs", signatures]).await
}

async fn trusted_handshake(
    address: SocketAddr,
    server_name: &str,
    root_pem: &str,
    more: &[&str],
) -> Result<Served, String> {
    trusted(root_pem, async |root_file| {
        let verify = ["-CAfile", root_file, "-no-CApath", "-verify_return_error", "-verify_hostname", server_name];
        handshake(address, &[&["-servername", server_name], &verify[..], more].concat()).await
    })
    .await
}

/// Gives the root as a file to `handshake`.
async fn trusted(
    root_pem: &str,
    handshake: impl AsyncFnOnce(&str) -> Result<Served, String>,
) -> Result<Served, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root_file = folder.path().join("root.pem");
    fs::write(&root_file, root_pem).expect("write the root");
    handshake(root_file.to_str().expect("a temporary folder's name is text")).await
}

async fn handshake(address: SocketAddr, more: &[&str]) -> Result<Served, String> {
    let address = address.to_string();
    let mut arguments = vec!["s_client", "-connect", &address, "-showcerts"];
    arguments.extend(more);
    let Output { status, stdout, stderr } = openssl(&arguments, "").await;
    let said = String::from_utf8_lossy(&stdout).into_owned();
    if !status.success() {
        return Err(format!("{}\n{}", String::from_utf8_lossy(&stderr).trim(), said.trim()));
    }
    // s_client prints much beside the certificates; the PEM parser passes over all of it.
    let blocks = pem::parse_many(&said).map_err(|error| format!("{error} in what openssl printed: {said}"))?;
    let chain: Vec<String> = blocks.iter().filter(|block| block.tag() == "CERTIFICATE").map(pem::encode).collect();
    let leaf = chain.first().ok_or_else(|| format!("no certificate was served: {said}"))?;
    let serial = serial(leaf).await;
    Ok(Served { chain, serial })
}

/// A certificate's serial number, lower-case hexadecimal without colons.
pub(crate) async fn serial(certificate_pem: &str) -> String {
    let Output { status, stdout, stderr } = openssl(&["x509", "-noout", "-serial"], certificate_pem).await;
    assert!(status.success(), "openssl x509: {}", String::from_utf8_lossy(&stderr));
    let said = String::from_utf8_lossy(&stdout);
    let digits = said.trim().strip_prefix("serial=").unwrap_or_else(|| panic!("openssl x509 said {said}"));
    digits.to_lowercase()
}

/// A new RSA key in PKCS#8 PEM, such as an OCI user has.
pub(crate) async fn new_rsa_key(bits: u16) -> String {
    let size = format!("rsa_keygen_bits:{bits}");
    let Output { status, stdout, stderr } = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &size], "").await;
    assert!(status.success(), "openssl genpkey: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("PEM is text")
}

/// Runs openssl with `input`; an end of input makes s_client leave after the handshake.
async fn openssl(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::from(dies_with_us("openssl".as_ref()));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("start setpriv, of util-linux; run ./test once: it looks for it");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.expect("openssl reads its input");
    drop(stdin);
    let output = child.wait_with_output().await.expect("wait for openssl");
    // setpriv's own exit code for a program that is not there.
    assert_ne!(output.status.code(), Some(127), "there is no openssl; run ./test once: it brings it");
    output
}
