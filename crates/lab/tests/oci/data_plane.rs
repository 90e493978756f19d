use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use certferry_lab::oci_load_balancer::{HeldCertificates, LabError, LoadBalancerSpec};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime},
};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::polling::eventually;
use crate::world::{Backend, Leaf, World, https};

#[tokio::test]
async fn a_port_refuses_until_a_listener_exists_and_again_when_it_is_gone() {
    let world = World::new().await;
    let client = &world.client;
    let address = world.lab.data_plane_address(&world.id, 8080).unwrap();
    assert_eq!(address, world.lab.data_plane_address(&world.id, 8080).unwrap());
    assert_refused(address).await;
    for _ in 0..3 {
        let body = json!({ "name": "extra", "port": 8080, "protocol": "HTTP", "defaultBackendSetName": "app" });
        client.succeeded(&client.post(&world.path("/listeners"), &body).await).await;
        assert_eq!(get(address, "any", "/").await.0, StatusCode::BAD_GATEWAY);
        client.succeeded(&client.delete(&world.path("/listeners/extra")).await).await;
        eventually("refused", || async { TcpStream::connect(address).await.is_err().then_some(()) }).await;
    }
    assert_eq!(address, world.lab.data_plane_address(&world.id, 8080).unwrap());
}

#[tokio::test]
async fn a_new_certificate_is_served_from_success_on_without_a_gap() {
    let world = World::new().await;
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    assert_eq!(served(address, "www.some-domain.com").await.unwrap(), vec![world.old.der.clone()]);
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = tokio::spawn({
        let stop = Arc::clone(&stop);
        async move {
            let mut handshakes = 0;
            while !stop.load(Ordering::Relaxed) {
                served(address, "www.some-domain.com").await.expect("no moment without service");
                handshakes += 1;
            }
            handshakes
        }
    });
    let mut current = "old".to_owned();
    for number in 0..5 {
        let leaf = Leaf::ecdsa("www.some-domain.com");
        let name = format!("new{number}");
        world.upload(&name, &leaf).await;
        let mut update = https();
        update["sslConfiguration"]["certificateName"] = name.as_str().into();
        world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
        assert_eq!(served(address, "www.some-domain.com").await.unwrap(), vec![leaf.der]);
        let path = world.path(&format!("/certificates/{current}"));
        world.client.succeeded(&world.client.delete(&path).await).await;
        current = name;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(watcher.await.unwrap() > 0);
}

#[tokio::test]
async fn listeners_of_a_port_are_told_apart_by_server_name() {
    let world = World::new().await;
    let (other, default) = (Leaf::ecdsa("other.some-domain.com"), Leaf::rsa("default.some-domain.com"));
    let (other_entry, default_entry) = (other.entry("other"), default.entry("default"));
    world
        .lab
        .edit_load_balancer(&world.id, move |json| {
            json["certificates"]["other"] = other_entry;
            json["certificates"]["default"] = default_entry;
            json["hostnames"]["wild"] = json!({ "hostname": "*.some-domain.com" });
            for (name, hostnames) in [("other", json!(["wild"])), ("default", json!([]))] {
                let mut listener = https();
                listener["hostnameNames"] = hostnames;
                listener["sslConfiguration"]["certificateName"] = name.into();
                json["listeners"][name] = listener;
            }
        })
        .unwrap();
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    for (name, leaf) in
        [("www.some-domain.com", &world.old), ("some.some-domain.com", &other), ("elsewhere.example.org", &default)]
    {
        assert_eq!(served(address, name).await.unwrap(), vec![leaf.der.clone()], "{name}");
    }
}

#[tokio::test]
async fn the_chain_is_served_as_uploaded() {
    let world = World::new().await;
    let (leaf, intermediate) = (Leaf::ecdsa("www.some-domain.com"), Leaf::ecdsa("intermediate"));
    let chain = format!("{}{}", leaf.pem, intermediate.pem);
    let entry = json!({ "certificateName": "chain", "publicCertificate": chain, "privateKey": leaf.key_pem });
    world.client.succeeded(&world.client.post(&world.path("/certificates"), &entry).await).await;
    let mut update = https();
    update["sslConfiguration"]["certificateName"] = "chain".into();
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    assert_eq!(served(address, "www.some-domain.com").await.unwrap(), vec![leaf.der, intermediate.der]);
}

#[tokio::test]
async fn the_cipher_suite_and_the_protocols_decide_who_gets_a_handshake() {
    let world = World::new().await;
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    world.upload("rsa", &Leaf::rsa("www.some-domain.com")).await;
    // Whatever is left out goes back to TLS 1.2 and the suite with RSA ciphers only.
    for (certificate, works) in [("old", false), ("rsa", true)] {
        let update = json!({ "defaultBackendSetName": "app", "port": 443, "protocol": "HTTP",
            "sslConfiguration": { "certificateName": certificate } });
        world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
        let handshake = handshake(address, "www.some-domain.com", &[&rustls::version::TLS12]).await;
        assert_eq!(handshake.is_ok(), works, "{certificate}: {:?}", handshake.err());
    }
    handshake(address, "www.some-domain.com", &[&rustls::version::TLS13]).await.unwrap_err();
}

#[tokio::test]
async fn a_held_certificate_goes_on_being_served() {
    let world = World::new().await;
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    let new = Leaf::ecdsa("www.some-domain.com");
    world.upload("new", &new).await;
    world
        .lab
        .hold_certificates(HeldCertificates::Listener { load_balancer: world.id.clone(), listener: "https".into() });
    let mut update = https();
    update["sslConfiguration"]["certificateName"] = "new".into();
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
    assert_eq!(served(address, "www.some-domain.com").await.unwrap(), vec![world.old.der.clone()]);
    world.lab.release_certificates();
    assert_eq!(served(address, "www.some-domain.com").await.unwrap(), vec![new.der]);
}

#[tokio::test]
async fn the_data_plane_may_follow_later() {
    let world = World::new().await;
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    let new = Leaf::ecdsa("www.some-domain.com");
    world.upload("new", &new).await;
    world.lab.set_behaviour(|behaviour| behaviour.data_plane_delay = Duration::from_millis(300));
    let mut update = https();
    update["sslConfiguration"]["certificateName"] = "new".into();
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
    assert_eq!(served(address, "www.some-domain.com").await.unwrap(), vec![world.old.der.clone()]);
    eventually("the new certificate", || async {
        (served(address, "www.some-domain.com").await.unwrap() == vec![new.der.clone()]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_reach_the_backend_over_http_and_https() {
    let backend = Backend::start("one").await;
    let world = World::with_backends(json!([backend.json()])).await;
    let plain = world.lab.data_plane_address(&world.id, 80).unwrap();
    let (status, body) = get(plain, "www.some-domain.com", "/a?b=c").await;
    assert_eq!(status, StatusCode::OK);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["target"], "/a?b=c");
    assert_eq!(seen["headers"]["host"], "www.some-domain.com");
    assert_eq!(seen["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(seen["headers"]["x-forwarded-proto"], "http");

    let secure = world.lab.data_plane_address(&world.id, 443).unwrap();
    let stream = handshake(secure, "www.some-domain.com", rustls::ALL_VERSIONS).await.unwrap();
    let request = Request::post("/form")
        .header("host", "www.some-domain.com")
        .header("x-forwarded-for", "10.0.0.1")
        .body(Full::from("some text"))
        .unwrap();
    let response = exchange(stream, request).await;
    assert_eq!(response.headers()["strict-transport-security"], "max-age=1");
    let seen: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(seen["body"], "some text");
    assert_eq!(seen["headers"]["x-forwarded-for"], "10.0.0.1, 127.0.0.1");
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
}

#[tokio::test]
async fn a_backend_that_is_down_is_not_used() {
    let (one, two) = (Backend::start("one").await, Backend::start("two").await);
    let world = World::with_backends(json!([one.json(), two.json()])).await;
    let address = world.lab.data_plane_address(&world.id, 80).unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let (_, body) = get(address, "any", "/").await;
        seen.push(serde_json::from_str::<Value>(&body).unwrap()["backend"].clone());
    }
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, ["one", "one", "two", "two"]);
    one.stop().await;
    for _ in 0..4 {
        let (status, body) = get(address, "any", "/").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("\"two\""), "{body}");
    }
    two.stop().await;
    assert_eq!(get(address, "any", "/").await.0, StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_failing_health_check_keeps_requests_away_from_a_backend_that_listens() {
    let backend = Backend::start("one").await;
    let world = World::with_backends(json!([backend.json()])).await;
    let address = world.lab.data_plane_address(&world.id, 80).unwrap();
    let checker = |code: u16, pattern: &'static str| {
        move |json: &mut Value| {
            json["backendSets"]["app"]["healthChecker"] = json!({
                "protocol": "HTTP", "urlPath": "/up", "returnCode": code, "retries": 1, "responseBodyRegex": pattern,
            });
        }
    };
    for (code, pattern, expected) in [
        (204, "", StatusCode::BAD_GATEWAY),
        (200, "\"/up\"", StatusCode::OK),
        (200, "other text", StatusCode::BAD_GATEWAY),
    ] {
        world.lab.edit_load_balancer(&world.id, checker(code, pattern)).unwrap();
        eventually("the health check's effect", || async {
            (get(address, "any", "/").await.0 == expected).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn paths_are_routed_by_route_set_and_by_policy() {
    let (app, acme) = (Backend::start("app").await, Backend::start("acme").await);
    let world = World::with_backends(json!([app.json()])).await;
    let client = &world.client;
    let address = world.lab.data_plane_address(&world.id, 80).unwrap();
    let set = json!({ "name": "acme", "policy": "ROUND_ROBIN", "backends": [acme.json()],
        "healthChecker": { "protocol": "TCP", "port": 0 } });
    client.succeeded(&client.post(&world.path("/backendSets"), &set).await).await;
    let routes = json!({ "name": "acme", "pathRoutes": [{ "path": "/.well-known/acme-challenge/",
        "pathMatchType": { "matchType": "PREFIX_MATCH" }, "backendSetName": "acme" }] });
    client.succeeded(&client.post(&world.path("/pathRouteSets"), &routes).await).await;
    let policy = json!({ "name": "acme", "conditionLanguageVersion": "V1", "rules": [
        { "name": "odd", "condition": "something else entirely", "actions": [forward("app")] },
        { "name": "acme", "condition": "any(http.request.url.path sw '/.well-known/acme-challenge/')",
          "actions": [forward("acme")] },
    ] });
    client.succeeded(&client.post(&world.path("/routingPolicies"), &policy).await).await;
    for field in ["pathRouteSetName", "routingPolicyName"] {
        let mut update = json!({ "defaultBackendSetName": "app", "port": 80, "protocol": "HTTP" });
        update[field] = "acme".into();
        client.succeeded(&client.put(&world.path("/listeners/http"), &update).await).await;
        let (_, body) = get(address, "any", "/.well-known/acme-challenge/token").await;
        assert!(body.contains("\"backend\":\"acme\""), "{field}: {body}");
        let (_, body) = get(address, "any", "/other").await;
        assert!(body.contains("\"backend\":\"app\""), "{field}: {body}");
    }
}

#[tokio::test]
async fn a_redirect_comes_before_routing() {
    let world = World::new().await;
    let client = &world.client;
    let rules = json!({ "name": "to_https", "items": [{
        "action": "REDIRECT",
        "responseCode": 301,
        "conditions": [{ "attributeName": "PATH", "attributeValue": "/", "operator": "FORCE_LONGEST_PREFIX_MATCH" }],
        "redirectUri": { "protocol": "HTTPS", "host": "{host}", "port": 443, "path": "{path}", "query": "{query}" },
    }] });
    client.succeeded(&client.post(&world.path("/ruleSets"), &rules).await).await;
    let update =
        json!({ "defaultBackendSetName": "app", "port": 80, "protocol": "HTTP", "ruleSetNames": ["to_https"] });
    client.succeeded(&client.put(&world.path("/listeners/http"), &update).await).await;
    let address = world.lab.data_plane_address(&world.id, 80).unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let request = Request::get("/.well-known/acme-challenge/token?x=y").header("host", "www.some-domain.com:80");
    let response = exchange(stream, request.body(Full::default()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::MOVED_PERMANENTLY);
    assert_eq!(response.headers()["location"], "https://www.some-domain.com/.well-known/acme-challenge/token?x=y");
}

#[tokio::test]
async fn a_tcp_listener_passes_bytes_through() {
    let backend = Backend::start("one").await;
    let world = World::with_backends(json!([backend.json()])).await;
    let body = json!({ "name": "tcp", "port": 5432, "protocol": "TCP", "defaultBackendSetName": "app" });
    world.client.succeeded(&world.client.post(&world.path("/listeners"), &body).await).await;
    let address = world.lab.data_plane_address(&world.id, 5432).unwrap();
    let (status, body) = get(address, "any", "/through").await;
    assert_eq!(status, StatusCode::OK);
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["target"], "/through");
    assert_eq!(seen["headers"].get("x-forwarded-for"), None);
}

#[tokio::test]
async fn a_backend_set_with_ssl_speaks_tls_to_its_backends() {
    // The second load balancer's HTTPS listener is the first one's backend.
    let backend = Backend::start("inner").await;
    let world = World::with_backends(json!([backend.json()])).await;
    let inner = world.lab.data_plane_address(&world.id, 443).unwrap();
    let spec = LoadBalancerSpec::new("outer").configured(json!({
        "certificates": { "inner": world.old.entry("inner") },
        "backendSets": { "app": {
            "policy": "ROUND_ROBIN",
            "backends": [{ "ipAddress": "127.0.0.1", "port": inner.port() }],
            "healthChecker": { "protocol": "TCP" },
            "sslConfiguration": { "certificateName": "inner" },
        } },
        "listeners": { "http": { "defaultBackendSetName": "app", "port": 80, "protocol": "HTTP" } },
    }));
    let outer = world.lab.add_load_balancer(spec).unwrap();
    let address = world.lab.data_plane_address(&outer, 80).unwrap();
    let (status, body) = get(address, "www.some-domain.com", "/").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let seen: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(seen["headers"]["x-forwarded-proto"], "https");
    assert_eq!(seen["headers"]["x-forwarded-for"], "127.0.0.1, 127.0.0.1");
}

#[tokio::test]
async fn a_client_certificate_is_demanded_where_the_listener_verifies_peers() {
    let world = World::new().await;
    let (ca_pem, client) = client_certificate();
    let mut entry = world.old.entry("with-ca");
    entry["caCertificate"] = ca_pem.into();
    world.client.succeeded(&world.client.post(&world.path("/certificates"), &entry).await).await;
    let mut update = https();
    update["sslConfiguration"]["certificateName"] = "with-ca".into();
    update["sslConfiguration"]["verifyPeerCertificate"] = true.into();
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    // In TLS 1.2 the client's certificate is judged within the handshake.
    let versions = &[&rustls::version::TLS12];
    handshake(address, "www.some-domain.com", versions).await.unwrap_err();
    connect(address, "www.some-domain.com", versions, Some(client)).await.unwrap();
}

#[tokio::test]
async fn exact_ports_are_the_listeners_own() {
    let world = World::new().await;
    let ip = Ipv4Addr::new(127, 0, 77, 1);
    // A port number that is free on the address: bound to find it, then left.
    let port = TcpListener::bind((ip, 0)).await.unwrap().local_addr().unwrap().port();
    let spec = LoadBalancerSpec::new("exact").on_exact_ports(ip).configured(json!({
        "backendSets": { "app": { "policy": "ROUND_ROBIN", "healthChecker": { "protocol": "TCP" } } },
        "listeners": { "http": { "defaultBackendSetName": "app", "port": port, "protocol": "HTTP" } },
    }));
    let id = world.lab.add_load_balancer(spec).unwrap();
    let address = world.lab.data_plane_address(&id, port).unwrap();
    assert_eq!(address, SocketAddr::from((ip, port)));
    assert_eq!(get(address, "any", "/").await.0, StatusCode::BAD_GATEWAY);
    let shown = world.lab.load_balancer(&id).unwrap();
    assert_eq!(shown["ipAddresses"][0]["ipAddress"], "127.0.77.1");

    // Without SO_REUSEPORT on both sides a port has one owner.
    let taken = TcpListener::bind((ip, 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let spec = LoadBalancerSpec::new("taken").on_exact_ports(ip).configured(json!({
        "backendSets": { "app": { "policy": "ROUND_ROBIN", "healthChecker": { "protocol": "TCP" } } },
        "listeners": { "http": { "defaultBackendSetName": "app", "port": port, "protocol": "HTTP" } },
    }));
    let error = world.lab.add_load_balancer(spec).unwrap_err();
    assert!(matches!(error, LabError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn everything_ends_with_the_lab() {
    let world = World::new().await;
    let api: SocketAddr = world.lab.endpoint().strip_prefix("http://").unwrap().parse().unwrap();
    let address = world.lab.data_plane_address(&world.id, 443).unwrap();
    drop(world);
    for address in [api, address] {
        eventually("refused", || async { TcpStream::connect(address).await.is_err().then_some(()) }).await;
    }
}

fn forward(set: &str) -> Value {
    json!({ "name": "FORWARD_TO_BACKENDSET", "backendSetName": set })
}

async fn assert_refused(address: SocketAddr) {
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

async fn get(address: SocketAddr, host: &str, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let request = Request::get(path).header("host", host).body(Full::default()).unwrap();
    let (parts, body) = exchange(stream, request).await.into_parts();
    (parts.status, String::from_utf8(body.to_vec()).unwrap())
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> http::Response<Bytes>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    connection.abort();
    http::Response::from_parts(parts, body)
}

/// The chain that a handshake returns.
pub(crate) async fn served(address: SocketAddr, name: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let stream = handshake(address, name, rustls::ALL_VERSIONS).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    Ok(chain.iter().map(|certificate| certificate.to_vec()).collect())
}

async fn handshake(
    address: SocketAddr,
    name: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    connect(address, name, versions, None).await
}

type ClientIdentity = (CertificateDer<'static>, PrivateKeyDer<'static>);

async fn connect(
    address: SocketAddr,
    name: &str,
    versions: &[&'static rustls::SupportedProtocolVersion],
    identity: Option<ClientIdentity>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anything(provider)));
    let settings = match identity {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(settings)).connect(name, stream).await
}

/// A CA, and a certificate that it issued to a client.
fn client_certificate() -> (String, ClientIdentity) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::new(["client".to_owned()])
        .unwrap()
        .signed_by(&key, &rcgen::Issuer::new(ca, ca_key))
        .unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    (ca_pem, (certificate.der().clone(), key))
}

/// The tests compare certificates themselves; signatures are still checked.
#[derive(Debug)]
struct Anything(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
