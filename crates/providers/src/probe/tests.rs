//! Against servers in this process that do it right, and that do it wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use certferry_core::Sha256;
use certferry_core::port::Probe;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{NetworkProbe, ProbeLimits};

/// A certificate for `name`, its intermediate, and the key of the leaf.
struct Made {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
}

fn made(name: &str) -> Made {
    let (key, ca_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let intermediate = ca.self_signed(&ca_key).unwrap().der().clone();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().der().clone();
    Made { chain: vec![leaf, intermediate], key }
}

/// Serves one chain with one key, whether they belong together or not.
#[derive(Debug)]
struct Serves(Vec<(&'static str, Arc<CertifiedKey>)>);

impl ResolvesServerCert for Serves {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().unwrap_or(NO_NAME);
        self.0.iter().find(|(name, _)| *name == asked).map(|(_, key)| Arc::clone(key))
    }
}

fn certified(chain: &[CertificateDer<'static>], key: &KeyPair) -> Arc<CertifiedKey> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(CertifiedKey::new(chain.to_vec(), key))
}

async fn tls_server(
    serves: Vec<(&'static str, Arc<CertifiedKey>)>,
    versions: &[&'static SupportedProtocolVersion],
) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Serves(serves)));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    serve(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 16]).await;
            }
        }
    })
    .await
}

/// An HTTP server: `answer` gets the head of the request.
async fn http_server(answer: impl Fn(String) -> String + Send + Sync + 'static) -> SocketAddr {
    let answer = Arc::new(answer);
    serve(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => return,
                }
            }
            let _ = stream.write_all(answer(String::from_utf8(head).unwrap()).as_bytes()).await;
        }
    })
    .await
}

async fn serve<F, A>(each: F) -> SocketAddr
where
    F: Fn(TcpStream) -> A + Send + 'static,
    A: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(each(stream));
        }
    });
    address
}

fn hasty() -> NetworkProbe {
    NetworkProbe::with_limits(ProbeLimits { connect: Duration::from_millis(300), answer: Duration::from_millis(300) })
}

const NAME: &str = "www.some-domain.com";
const NO_NAME: &str = "no server name";
const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];

#[tokio::test]
async fn the_chain_comes_back_for_the_name_that_was_asked_with_either_tls_version() {
    let (www, shop) = (made(NAME), made("shop.some-domain.com"));
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13][..], BOTH] {
        let serves =
            vec![(NAME, certified(&www.chain, &www.key)), ("shop.some-domain.com", certified(&shop.chain, &shop.key))];
        let address = tls_server(serves, versions).await;
        for (name, made) in [(NAME, &www), ("shop.some-domain.com", &shop)] {
            let served = NetworkProbe::new().tls(address, &name.parse().unwrap(), None).await.unwrap();
            let digests: Vec<Sha256> = made.chain.iter().map(|der| Sha256::of(der)).collect();
            assert_eq!(served.digests, digests);
            assert_eq!(served.leaf.names, [name]);
            assert_eq!(served.leaf.sha256, digests[0]);
        }
    }
}

/// RFC 6066 §3: a literal address is no host name.
#[tokio::test]
async fn for_an_address_no_server_name_is_sent() {
    let (www, bare) = (made(NAME), made("192.0.2.1"));
    let serves = vec![(NAME, certified(&www.chain, &www.key)), (NO_NAME, certified(&bare.chain, &bare.key))];
    let address = tls_server(serves, BOTH).await;
    for name in ["192.0.2.1", "2001:db8::1"] {
        let served = NetworkProbe::new().tls(address, &name.parse().unwrap(), None).await.unwrap();
        assert_eq!(served.leaf.names, ["192.0.2.1"]);
    }
}

#[tokio::test]
async fn a_challenge_of_an_address_is_fetched_with_the_address_as_host() {
    let answer = |head: String| format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}", host_of(&head));
    let address = http_server(answer).await;
    for (name, host) in [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]")] {
        let answer = NetworkProbe::new().http01(address, &name.parse().unwrap(), "abc").await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, host));
    }
}

fn host_of(head: &str) -> String {
    let line = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("host: ").map(str::to_owned));
    line.unwrap_or_default()
}

#[tokio::test]
async fn a_second_probe_is_a_full_handshake_too() {
    let made = made(NAME);
    let address = tls_server(vec![(NAME, certified(&made.chain, &made.key))], BOTH).await;
    let probe = NetworkProbe::new();
    for _ in 0..3 {
        assert_eq!(probe.tls(address, &NAME.parse().unwrap(), None).await.unwrap().digests.len(), 2);
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_a_failure() {
    let (one, two) = (made(NAME), made(NAME));
    for versions in [&[&rustls::version::TLS12][..], &[&rustls::version::TLS13][..]] {
        let address = tls_server(vec![(NAME, certified(&one.chain, &two.key))], versions).await;
        let error = NetworkProbe::new().tls(address, &NAME.parse().unwrap(), None).await.unwrap_err();
        assert!(error.contains("does not hold the private key"), "{error}");
    }
}

#[tokio::test]
async fn what_is_not_tls_and_what_serves_no_such_name_is_told_apart() {
    let plain = http_server(|_| "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned()).await;
    let speaks_first = serve(async |mut stream| {
        let _ = stream.write_all(b"220 mail.some-domain.com ESMTP\r\n").await;
        let _ = stream.read(&mut [0; 16]).await;
    })
    .await;
    let made = made(NAME);
    let other = tls_server(vec![("other", certified(&made.chain, &made.key))], BOTH).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = serve(async |mut stream| while stream.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {}).await;
    for (address, expected) in [
        (speaks_first, "the answer is not TLS"),
        (other, "for `www.some-domain.com` failed: "),
        (gone, "connection refused"),
        (silent, "did not end within 0.3 s"),
        (plain, "did not end within 0.3 s"),
    ] {
        let error = hasty().tls(address, &NAME.parse().unwrap(), None).await.unwrap_err();
        assert!(error.contains(expected) && error.contains(&address.to_string()), "{error}");
    }
}

#[tokio::test]
async fn a_challenge_response_comes_back_with_its_host_and_path() {
    let address = http_server(|head| {
        assert!(head.starts_with("GET /.well-known/acme-challenge/to-ken_1 HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("\r\nhost: www.some-domain.com\r\n"), "{head}");
        "HTTP/1.1 200 OK\r\nserver: nginx\r\ncontent-length: 12\r\n\r\nto-ken_1.key".to_owned()
    })
    .await;
    let answer = NetworkProbe::new().http01(address, &NAME.parse().unwrap(), "to-ken_1").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "to-ken_1.key"));
    assert_eq!((answer.server.as_deref(), answer.redirects.len()), (Some("nginx"), 0));
}

#[tokio::test]
async fn redirects_to_port_80_are_followed_and_told() {
    let address = http_server(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        match head.split(' ').nth(1).unwrap_or_default() {
            "/.well-known/acme-challenge/abc" => "HTTP/1.1 302 Found\r\nlocation: /moved?x=1\r\n\r\n".to_owned(),
            "/moved?x=1" => "HTTP/1.1 308 Gone\r\nlocation: http://acme.some-domain.com/abc\r\n\r\n".to_owned(),
            _ => format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{host}"),
        }
    })
    .await;
    let answer = NetworkProbe::new().http01(address, &NAME.parse().unwrap(), "abc").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "acme.some-domain.com"));
    assert_eq!(answer.redirects, ["/moved?x=1", "http://acme.some-domain.com/abc"]);
}

#[tokio::test]
async fn redirects_that_a_ca_does_not_follow_are_told() {
    for (location, expected) in [
        ("https://www.some-domain.com/abc", "redirects to https://www.some-domain.com/abc, which cannot be followed"),
        ("http://www.some-domain.com:8080/abc", "ports 80 (http) and 443 (https) only"),
        ("/again", "more than 10 redirects"),
    ] {
        let address = http_server(move |_| format!("HTTP/1.1 301 Moved\r\nlocation: {location}\r\n\r\n")).await;
        let error = NetworkProbe::new().http01(address, &NAME.parse().unwrap(), "abc").await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let address =
        http_server(|_| "HTTP/1.1 303 See Other\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".to_owned()).await;
    let answer = NetworkProbe::new().http01(address, &NAME.parse().unwrap(), "abc").await.unwrap();
    assert_eq!((answer.status, answer.redirects.len()), (303, 0));
}

#[tokio::test]
async fn a_long_or_endless_body_is_cut() {
    let long =
        http_server(|_| format!("HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n{}", "<p>".repeat(9999))).await;
    let answer = NetworkProbe::new().http01(long, &NAME.parse().unwrap(), "abc").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (404, 128));

    let stalls = serve(async |mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nabc").await;
        while stream.read(&mut [0; 512]).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    let error = hasty().http01(stalls, &NAME.parse().unwrap(), "abc").await.unwrap_err();
    assert!(error.contains("the body of status 200 within 0.3 s"), "{error}");
}

#[tokio::test]
async fn what_is_not_http_is_told() {
    let banner = http_server(|_| "220 mail.some-domain.com ESMTP\r\n".to_owned()).await;
    let closes = http_server(|_| String::new()).await;
    for (address, expected) in [(banner, "the answer is not HTTP"), (closes, "closed before the answer")] {
        let error = NetworkProbe::new().http01(address, &NAME.parse().unwrap(), "abc").await.unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
}
