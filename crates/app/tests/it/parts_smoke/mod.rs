//! Each real part starts, does what tests will ask of it, and ends. When one of these fails, look here first: the
//! tests that build on the part cannot be right either.

use std::io::{BufRead, BufReader, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpStream, UdpSocket};

use crate::parts::caddy::{Caddy, CaddyOptions};
use crate::parts::own_network::{own_address, ran_in_own_network};
use crate::parts::pebble::{Pebble, PebbleOptions, PebbleVersion};
use crate::parts::{eventually, https_client, openssl};

use issuing::Issuing;

mod avisdk;
mod issuing;
mod oci_cli;

/// Tells the test below that it is the process to be killed.
const TO_BE_KILLED: &str = "CERTFERRY_TEST_TO_BE_KILLED";

#[tokio::test]
async fn pebble_has_a_directory_over_verified_https_and_ends_when_dropped() {
    let pebble = Pebble::start(PebbleOptions::validating_at(1)).await;

    let client = https_client(pebble.https_root_pem());
    let answer = client.get(pebble.directory_url()).send().await.expect("the directory answers");
    let directory: serde_json::Value = answer.json().await.expect("the directory is JSON");
    assert!(directory["newOrder"].is_string(), "{directory}");
    assert!(directory["renewalInfo"].is_string(), "Pebble older than 2.6 has no ARI: {directory}");

    let port = pebble.directory_port();
    drop(pebble);
    let refused = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.expect_err("nobody listens any more");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn pebble_issues_what_its_options_say() {
    for version in [PebbleVersion::V2_4, PebbleVersion::V2_6] {
        issues_what_its_options_say(version).await;
    }
}

async fn issues_what_its_options_say(version: PebbleVersion) {
    let issuing = Issuing::at((Ipv4Addr::LOCALHOST, 0).into()).await;
    let mut options = PebbleOptions { version, ..PebbleOptions::validating_at(issuing.port()) };
    options.chain_length = 2;
    options.alternate_roots = 1;
    options.nonce_reject_percent = 30;
    options.certificate_validity_seconds = Some(3600);
    options.blocked_domains = vec!["blocked.test".to_owned()];
    let pebble = Pebble::start(options).await;
    let (directory, root) = (pebble.directory_url(), pebble.https_root_pem().to_owned());

    let chain = issuing.issue(&directory, &root, "smoke.test").await.unwrap_or_else(|error| {
        panic!("{error}\nPebble said:\n{}", pebble.log());
    });
    let certificates = pem::parse_many(&chain.pem).expect("the chain is PEM");
    assert_eq!(certificates.len(), 3, "a leaf and two intermediates: {}", chain.pem);
    assert_eq!(chain.alternates.len(), 1, "one alternate chain");
    assert_eq!(seconds_of_validity(certificates[0].contents()), 3600 - 1);

    let serial = openssl::serial(&chain.pem).await;
    let status = pebble.certificate_status(&serial).await.expect("Pebble knows what it issued");
    assert_eq!(status["Status"], "Valid", "{status}");
    assert_eq!(pebble.certificate_status("abcdef").await, None);
    assert_eq!(pebble.issuing_roots().await, 2);
    assert_ne!(pebble.issuing_root_pem(0).await, pebble.issuing_root_pem(1).await);

    let refused = issuing.issue(&directory, &root, "blocked.test").await.expect_err("a blocked name");
    assert!(refused.to_string().contains("rejectedIdentifier"), "{refused}");
}

#[tokio::test]
async fn pebble_asks_where_its_dns_says() {
    let issuing = Issuing::at((Ipv4Addr::LOCALHOST, 0).into()).await;
    let pebble = Pebble::start(PebbleOptions::validating_at(issuing.port())).await;
    let (directory, root) = (pebble.directory_url(), pebble.https_root_pem().to_owned());
    assert_eq!(address_of("anything.test", pebble.dns_port()).await, Some(Ipv4Addr::LOCALHOST));

    let elsewhere = Ipv4Addr::new(127, 0, 9, 9);
    pebble.resolve("elsewhere.test", &[IpAddr::V4(elsewhere)]).await;
    assert_eq!(address_of("elsewhere.test", pebble.dns_port()).await, Some(elsewhere));
    let failed = issuing.issue(&directory, &root, "elsewhere.test").await.expect_err("nobody listens there");
    assert!(failed.contains("127.0.9.9"), "{failed}");

    pebble.fail_resolving("broken.test").await;
    let failed = issuing.issue(&directory, &root, "broken.test").await.expect_err("SERVFAIL");
    assert!(failed.contains("could not resolve"), "{failed}");
}

#[tokio::test]
async fn pebble_2_4_keeps_the_common_name_and_has_no_ari_and_runs_beside_2_6() {
    let issuing = Issuing::at((Ipv4Addr::LOCALHOST, 0).into()).await;
    let newer = Pebble::start(PebbleOptions::validating_at(issuing.port())).await;
    let options =
        PebbleOptions { version: PebbleVersion::V2_4, chain_length: 2, ..PebbleOptions::validating_at(issuing.port()) };
    let older = Pebble::start(options).await;
    let answer = https_client(older.https_root_pem()).get(older.directory_url()).send().await;
    let directory: serde_json::Value = answer.expect("the directory answers").json().await.expect("it is JSON");
    assert_eq!(directory.get("renewalInfo"), None, "{directory}");

    for (pebble, expected) in [(&older, "CN=smoke.test"), (&newer, "")] {
        let (directory, root) = (pebble.directory_url(), pebble.https_root_pem().to_owned());
        let chain = issuing.issue(&directory, &root, "smoke.test").await.unwrap_or_else(|error| {
            panic!("{error}\nPebble said:\n{}", pebble.log());
        });
        let leaf = pem::parse(&chain.pem).expect("the chain is PEM");
        let (_, leaf) = x509_parser::parse_x509_certificate(leaf.contents()).expect("a certificate");
        assert_eq!(leaf.subject().to_string(), expected);
    }
}

#[tokio::test]
async fn caddy_is_a_ca_that_asks_port_80_of_a_private_address() {
    if ran_in_own_network("parts_smoke::caddy_is_a_ca_that_asks_port_80_of_a_private_address") {
        return;
    }
    let address = own_address();
    let issuing = Issuing::at((address, 80).into()).await;
    let hosts = vec![("caddy-smoke.test".to_owned(), address)];
    let caddy = Caddy::start(CaddyOptions { hosts, lifetime_hours: 24 }).await;

    let root = caddy.root_pem();
    let chain = issuing.issue(&caddy.directory_url(), &root, "caddy-smoke.test").await.unwrap_or_else(|error| {
        panic!("{error}\nCaddy said:\n{}", caddy.log());
    });
    assert_eq!(pem::parse_many(&chain.pem).expect("the chain is PEM").len(), 2, "a leaf and an intermediate");
}

#[tokio::test]
async fn openssl_reads_and_judges_what_is_served() {
    let pebble = Pebble::start(PebbleOptions::validating_at(1)).await;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, pebble.directory_port()));

    let served = openssl::served(address, "localhost").await.expect("a handshake");
    assert_eq!(served.chain.len(), 1);
    assert_eq!(served.serial, x509_serial(&served.chain[0]));
    let trusted = openssl::served_and_trusted(address, "localhost", pebble.https_root_pem()).await;
    assert_eq!(trusted, Ok(served));

    let other_root = pebble.issuing_root_pem(0).await;
    let refused = openssl::served_and_trusted(address, "localhost", &other_root).await.expect_err("another root");
    assert!(refused.contains("unable to get local issuer certificate"), "{refused}");
    let refused = openssl::served_and_trusted(address, "other.test", pebble.https_root_pem()).await;
    let refused = refused.expect_err("another name");
    assert!(refused.contains("hostname mismatch") || refused.contains("Hostname mismatch"), "{refused}");
    drop(pebble);
    openssl::served(address, "localhost").await.expect_err("nobody listens any more");
}

/// Runs itself as another process, which starts Pebble and is then killed as an aborted test run would be.
#[tokio::test]
async fn a_program_ends_when_its_test_process_is_killed() {
    if std::env::var_os(TO_BE_KILLED).is_some() {
        let pebble = Pebble::start(PebbleOptions::validating_at(1)).await;
        println!("\nprocess {}", pebble.process_id());
        return std::future::pending().await;
    }

    let itself = std::env::current_exe().expect("the path of this program");
    let mut other = Command::new(itself)
        .args(["--exact", "parts_smoke::a_program_ends_when_its_test_process_is_killed", "--nocapture"])
        .env(TO_BE_KILLED, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("start this program again");
    let mut lines = BufReader::new(other.stdout.take().expect("it is piped")).lines();
    let process = lines.find_map(|line| Some(line.ok()?.strip_prefix("process ")?.to_owned()));
    let process = process.expect("the other process names its Pebble");
    assert!(is_running(&process));

    other.kill().expect("kill the other process");
    other.wait().expect("it ends");
    let ended = eventually(Duration::from_secs(10), async || (!is_running(&process)).then_some(())).await;
    assert_eq!(ended, Some(()), "process {process} is still there");
}

/// An ended process that nobody has waited for yet stays in the list as a zombie.
fn is_running(process: &str) -> bool {
    let status = std::fs::read_to_string(Path::new("/proc").join(process).join("status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
}

fn seconds_of_validity(certificate_der: &[u8]) -> i64 {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate_der).expect("a certificate");
    let validity = certificate.validity();
    validity.not_after.timestamp() - validity.not_before.timestamp()
}

fn x509_serial(certificate_pem: &str) -> String {
    let block = pem::parse(certificate_pem).expect("PEM");
    let (_, certificate) = x509_parser::parse_x509_certificate(block.contents()).expect("a certificate");
    let digits = format!("{:x}", certificate.tbs_certificate.serial);
    if digits.len() % 2 == 0 { digits } else { format!("0{digits}") }
}

/// Asks the DNS server for an A record by hand (RFC 1035 §4.1), as Pebble does.
async fn address_of(name: &str, dns_port: u16) -> Option<Ipv4Addr> {
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).expect("a label is short"));
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);

    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a UDP port");
    socket.send_to(&question, (Ipv4Addr::LOCALHOST, dns_port)).await.expect("the question is sent");
    let mut answer = [0; 512];
    let received = tokio::time::timeout(Duration::from_secs(10), socket.recv(&mut answer)).await;
    received.expect("the DNS server answers").expect("an answer");
    if answer[6..8] == [0, 0] {
        return None;
    }
    // The question comes back before the answer. A name in an answer is a pointer, or labels and an empty one.
    let mut position = question.len();
    while answer[position] != 0 && answer[position] < 0xc0 {
        position += 1 + usize::from(answer[position]);
    }
    let after_name = position + if answer[position] == 0 { 1 } else { 2 };
    let data = after_name + 2 + 2 + 4 + 2;
    let address: [u8; 4] = answer[data..data + 4].try_into().expect("four bytes");
    Some(Ipv4Addr::from(address))
}
