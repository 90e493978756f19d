//! The controller that most tests start with: one VIP, one virtual service on 443, and its certificate.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use certferry_lab::{
    avi_controller::{AviLab, AviOptions},
    pki::{Issued, Pki, PkiKey},
};
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::client::{Answer, Client};

pub(crate) const VIP: &str = "203.0.113.10";

pub(crate) struct World {
    pub(crate) lab: AviLab,
    pub(crate) client: Client,
    pub(crate) pki: Pki,
    /// The uuid of the virtual service `shop-443`.
    pub(crate) shop: String,
    pub(crate) old: Issued,
}

impl World {
    pub(crate) async fn new() -> Self {
        let lab = AviLab::start(AviOptions::default()).await.unwrap();
        let pki = Pki::new().unwrap();
        let old = pki.issue(&["www.some-domain.com"], 90).unwrap();
        lab.create("admin", "sslkeyandcertificate", pair("old", &old)).unwrap();
        lab.create("admin", "vsvip", vsvip("shop", VIP, &["www.some-domain.com"])).unwrap();
        let shop = lab
            .create(
                "admin",
                "virtualservice",
                json!({
                    "name": "shop-443",
                    "vsvip_ref": "/api/vsvip?name=shop",
                    "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
                    "services": [{"port": 443, "enable_ssl": true}],
                    "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=old"],
                    "field_of_the_future": {"kept": [1, 2]},
                }),
            )
            .unwrap();
        let client = Client::admin(&lab).await;
        Self { lab, client, pki, shop, old }
    }

    /// A virtual service `plain-80` on the shop's VIP.
    pub(crate) fn add_port_80(&self, profile: &str) -> String {
        let service = json!({
            "name": "plain-80", "vsvip_ref": "/api/vsvip?name=shop", "services": [{"port": 80}],
            "application_profile_ref": format!("/api/applicationprofile?name={profile}"),
        });
        self.lab.create("admin", "virtualservice", service).unwrap()
    }

    pub(crate) fn shop_path(&self) -> String {
        format!("/api/virtualservice/{}", self.shop)
    }

    pub(crate) fn address(&self, port: u16) -> SocketAddr {
        self.lab.data_plane_address(VIP.parse::<IpAddr>().unwrap(), port).unwrap()
    }

    /// The leaf that a port of the VIP serves, DER.
    pub(crate) async fn served(&self, port: u16, name: &str) -> Option<Vec<u8>> {
        served(self.address(port), name, Offer::Both).await.map(|mut chain| chain.remove(0))
    }
}

/// Key types that a TLS client accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Offer {
    Both,
    RsaOnly,
}

/// What an address serves under a name, DER; `None` when the handshake fails.
pub(crate) async fn served(address: SocketAddr, name: &str, offer: Offer) -> Option<Vec<Vec<u8>>> {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    if matches!(offer, Offer::RsaOnly) {
        provider.cipher_suites.retain(|suite| suite.suite().as_str().is_some_and(|name| name.contains("ECDHE_RSA")));
    }
    let versions: &[&rustls::SupportedProtocolVersion] = match offer {
        Offer::Both => rustls::ALL_VERSIONS,
        Offer::RsaOnly => &[&rustls::version::TLS12],
    };
    let verifier = Arc::new(Anything(matches!(offer, Offer::RsaOnly)));
    let settings = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(settings)).connect(name, stream).await.ok()?;
    let chain = stream.get_ref().1.peer_certificates()?;
    Some(chain.iter().map(|der| der.to_vec()).collect())
}

/// Looks at no certificate: what is served is compared by the tests. `true`: speaks RSA only.
#[derive(Debug)]
struct Anything(bool);

impl rustls::client::danger::ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        use rustls::SignatureScheme as Scheme;
        let rsa = [Scheme::RSA_PSS_SHA256, Scheme::RSA_PKCS1_SHA256];
        if self.0 { rsa.to_vec() } else { [Scheme::ECDSA_NISTP256_SHA256].into_iter().chain(rsa).collect() }
    }
}

/// The body that imports a pair.
pub(crate) fn pair(name: &str, issued: &Issued) -> Value {
    json!({
        "name": name, "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "certificate": {"certificate": issued.chain_pem}, "key": issued.private_key_pem,
    })
}

pub(crate) fn vsvip(name: &str, address: &str, names: &[&str]) -> Value {
    let names: Vec<Value> = names.iter().map(|name| json!({"fqdn": name, "type": "DNS_RECORD_A"})).collect();
    json!({"name": name, "vip": [{"ip_address": {"addr": address, "type": "V4"}}], "dns_info": names})
}

/// A policy set that answers one path with one text.
pub(crate) fn token_policy(name: &str, path: &str, text: &str) -> Value {
    json!({
        "name": name, "is_internal_policy": false,
        "http_security_policy": {"rules": [{
            "name": "token", "index": 1, "enable": true, "log": true,
            "match": {"path": {"match_criteria": "EQUALS", "match_case": "SENSITIVE", "match_str": [path]}},
            "action": {
                "action": "HTTP_SECURITY_ACTION_SEND_RESPONSE", "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_200",
                "file": {"content_type": "text/plain", "file_content": text},
            },
        }]},
    })
}

pub(crate) fn leaf(issued: &Issued) -> Vec<u8> {
    pem::parse(&issued.chain_pem).unwrap().into_contents()
}

pub(crate) fn rsa(pki: &Pki, name: &str) -> Issued {
    pki.issue_with(&[name], 90, PkiKey::Rsa).unwrap()
}

/// A plain HTTP request to an address under a host name; redirects are not followed.
pub(crate) async fn fetch(address: SocketAddr, host: &str, path: &str) -> Answer {
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .resolve(host, address)
        .build()
        .unwrap();
    let url = format!("http://{host}:{}{path}", address.port());
    let response = client.get(url).header("host", host).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}

/// The same over TLS, trusting `root_pem`.
pub(crate) async fn fetch_tls(address: SocketAddr, host: &str, path: &str, root_pem: &str) -> Answer {
    let root = reqwest::Certificate::from_pem(root_pem.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([root])
        .redirect(reqwest::redirect::Policy::none())
        .resolve(host, address)
        .build()
        .unwrap();
    let response = client.get(format!("https://{host}:{}{path}", address.port())).send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}
