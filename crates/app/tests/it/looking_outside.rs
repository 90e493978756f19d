//! `certferry check --online`: what a CA would find in DNS and on port 80, and how far the clock is off.

use hickory_proto::rr::RecordType;
use jiff::SignedDuration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::dns::Dns;
use crate::stage::{LabCa, RESOLVER_FILE, SERVER_NAME, Stage};

/// A stage with a config for [`SERVER_NAME`] and a DNS server that does not know it yet. The load balancer says that it is
/// at 127.0.0.1.
async fn stage() -> (Stage, LabCa, Dns) {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let dns = Dns::start();
    std::fs::write(stage.path(RESOLVER_FILE), dns.address().to_string()).unwrap();
    (stage, ca, dns)
}

/// `check --online` ends so, with these pieces in what it says; none: it says nothing.
async fn checked(stage: &Stage, exit: i32, pieces: &[&str]) {
    let ended = stage.certferry(&["check", "--online"]).await.expect_exit(exit);
    let said = ended.stderr();
    for piece in pieces {
        assert!(said.contains(piece), "`{piece}` is missing:\n{said}");
    }
    assert!(!pieces.is_empty() || said.is_empty(), "{said}");
    assert!(pieces.is_empty() || said.contains("hint:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_names_point_is_compared_with_the_load_balancer() {
    let (stage, _ca, dns) = stage().await;
    checked(&stage, 3, &["error: ", "certificate `www`", SERVER_NAME, "neither an A nor an AAAA"]).await;
    dns.point(SERVER_NAME, &["127.0.0.1"]);
    checked(&stage, 0, &[]).await;
    dns.point(SERVER_NAME, &["127.0.0.9"]);
    checked(&stage, 3, &["points to 127.0.0.9", "127.0.0.1", "`front`"]).await;
    dns.point(SERVER_NAME, &["127.0.0.1", "::1"]);
    checked(&stage, 3, &["AAAA record says ::1", "has no IPv6 address"]).await;
    // The load balancer knows only its inside.
    dns.point(SERVER_NAME, &["203.0.113.9"]);
    checked(&stage, 0, &["warning: ", "private addresses only", "NAT"]).await;
    let document = stage.certferry(&["check", "--online", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(document["findings"].as_array().unwrap().len(), 0, "{document}");
    assert!(document["warnings"][0].as_str().unwrap().contains("203.0.113.9"), "{document}");
    dns.point(SERVER_NAME, &["127.0.0.1"]);
    dns.fail(SERVER_NAME, RecordType::AAAA);
    checked(&stage, 3, &["AAAA records cannot be read", "SERVFAIL", &dns.address().to_string()]).await;
}

/// Nothing in DNS leads from an address to a load balancer, and no CAA record is about one: this DNS server would say that
/// there is no such name.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_compared_with_the_load_balancers_own_without_dns() {
    let (stage, ca, _dns) = stage().await;
    let with = |name: &str| stage.configure(&ca.issuer(), &stage.www().replace(SERVER_NAME, name));
    with("127.0.0.1");
    checked(&stage, 0, &[]).await;
    with("127.0.0.9");
    checked(&stage, 3, &["IP address `127.0.0.9`", "none of the addresses of load balancer `front` (127.0.0.1)"]).await;
    with("'2001:db8::1'");
    checked(&stage, 0, &["warning: ", "IP address `2001:db8::1`", "private addresses only"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolver_that_does_not_answer_is_a_warning() {
    let (stage, _ca, dns) = stage().await;
    dns.point(SERVER_NAME, &["127.0.0.1"]);
    std::fs::write(stage.path(RESOLVER_FILE), "nowhere").unwrap();
    checked(&stage, 64, &["`CERTFERRY_RESOLVER` is `nowhere`", "10.0.0.53:53"]).await;
    // A socket that nobody reads.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    std::fs::write(stage.path(RESOLVER_FILE), silent.local_addr().unwrap().to_string()).unwrap();
    checked(&stage, 0, &["warning: ", "cannot be read", "no answer within"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_resolvers_of_the_config_come_before_those_of_the_environment() {
    let (stage, ca, dns) = stage().await;
    let (silent, config) = (std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), Dns::start());
    dns.point(SERVER_NAME, &["127.0.0.9"]);
    config.point(SERVER_NAME, &["127.0.0.1"]);
    // The second one is asked when the first one does not answer.
    let resolvers = format!("resolvers: [{}, {}]\n", silent.local_addr().unwrap(), config.address());
    stage.configure(&ca.issuer(), &format!("{}{resolvers}", stage.www()));
    checked(&stage, 0, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caa_records_are_judged_as_the_ca_judges_them() {
    let (stage, _ca, dns) = stage().await;
    dns.point(SERVER_NAME, &["127.0.0.1"]);
    dns.allow("some-domain.test", &["issue other.test"]);
    checked(&stage, 3, &["`other.test`", "some-domain.test. CAA 0 issue \"lab.test\""]).await;
    // The nearest domain decides.
    dns.allow(SERVER_NAME, &["issue lab.test"]);
    checked(&stage, 0, &[]).await;
    dns.allow(SERVER_NAME, &["issue lab.test", "!future x"]);
    checked(&stage, 3, &["critical tag `future`"]).await;
    dns.allow(SERVER_NAME, &["issue lab.test; validationmethods=dns-01"]);
    checked(&stage, 3, &["not by http-01"]).await;
    dns.allow(SERVER_NAME, &["issue lab.test; accounturi=https://lab.test/acct/1"]);
    checked(&stage, 0, &["warning: ", "no account with the CA yet"]).await;
    dns.allow(SERVER_NAME, &[]);
    stage.apply().await;
    dns.allow(SERVER_NAME, &["issue lab.test; accounturi=https://lab.test/acct/1"]);
    checked(&stage, 3, &["accounturi=https://lab.test/acct/1", "the account is "]).await;
    let shown = stage.certferry(&["account", "show", "--output", "json"]).await.expect_exit(0).stdout();
    let url = shown.split('"').find(|piece| piece.contains("/acct") || piece.contains("/account")).unwrap();
    dns.allow(SERVER_NAME, &[&format!("issue lab.test; accounturi={url}")]);
    checked(&stage, 0, &[]).await;
    dns.fail("some-domain.test", RecordType::CAA);
    dns.allow(SERVER_NAME, &[]);
    checked(&stage, 3, &["CAA records cannot be read", "SERVFAIL"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_on_port_80_is_told() {
    let (stage, _ca, dns) = stage().await;
    dns.point(SERVER_NAME, &["127.0.0.1"]);
    stage.apply().await;
    // The path is complete, and nobody answers behind it: as it should be between runs.
    checked(&stage, 0, &[]).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(stage.responder).unwrap();
    let listener = socket.listen(8).unwrap();
    let site = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1024]).await;
                let answer = "HTTP/1.1 200 OK\r\nServer: shop\r\nContent-Length: 7\r\nConnection: close\r\n\r\nwelcome";
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    // The load balancer's health check finds it a little later.
    let mut said = String::new();
    for _ in 0..100 {
        said = stage.certferry(&["check", "--online"]).await.stderr();
        if !said.is_empty() {
            break;
        }
    }
    for piece in ["error: ", "answered by something else", "status 200", "`welcome`", "hint:"] {
        assert!(said.contains(piece), "`{piece}` is missing:\n{said}");
    }
    site.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_told_by_the_cas() {
    let (stage, ca, dns) = stage().await;
    dns.point(SERVER_NAME, &["127.0.0.1"]);
    for (seconds, exit, piece) in [(90, 0, "warning: the clock"), (3600, 3, "error: the clock"), (-90, 0, "ahead of")] {
        ca.ca.set_behaviour(|behaviour| behaviour.clock_offset = SignedDuration::from_secs(seconds));
        checked(&stage, exit, &[piece, "issuer `ca`", "NTP"]).await;
    }
    ca.ca.set_behaviour(|behaviour| behaviour.clock_offset = SignedDuration::ZERO);
    checked(&stage, 0, &[]).await;
}
