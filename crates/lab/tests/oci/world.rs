//! Certificates, backends and the load balancer that most tests start with.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use certferry_lab::oci_load_balancer::{LoadBalancerSpec, OciLab, OciOptions, certificate_entry};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::client::Client;

/// A self-signed certificate.
pub(crate) struct Leaf {
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Leaf {
    pub(crate) fn ecdsa(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub(crate) fn rsa(name: &str) -> Self {
        Self::with_key(name, KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
    }

    fn with_key(name: &str, key: KeyPair) -> Self {
        let certificate = CertificateParams::new([name.to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    pub(crate) fn entry(&self, name: &str) -> Value {
        certificate_entry(name, &self.pem, &self.key_pem)
    }
}

/// A lab with one load balancer: listener `https` on 443 with bundle `old` and every field set, `http` on 80.
pub(crate) struct World {
    pub(crate) lab: OciLab,
    pub(crate) client: Client,
    pub(crate) id: String,
    pub(crate) old: Leaf,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_backends(json!([])).await
    }

    pub(crate) async fn with_backends(backends: Value) -> Self {
        let lab = OciLab::start(OciOptions::default()).await.unwrap();
        let old = Leaf::ecdsa("www.some-domain.com");
        let spec = LoadBalancerSpec::new("web").configured(json!({
            "certificates": { "old": old.entry("old") },
            "hostnames": { "www": { "hostname": "www.some-domain.com" } },
            "backendSets": {
                "app": {
                    "policy": "ROUND_ROBIN",
                    "backends": backends,
                    "healthChecker": { "protocol": "TCP", "port": 0, "retries": 1 },
                },
            },
            "ruleSets": {
                "hsts": { "items": [
                    { "action": "ADD_HTTP_RESPONSE_HEADER", "header": "strict-transport-security", "value": "max-age=1" },
                ] },
            },
            "routingPolicies": {
                "policy": { "conditionLanguageVersion": "V1", "rules": [] },
            },
            "listeners": {
                "https": https(),
                "http": { "defaultBackendSetName": "app", "port": 80, "protocol": "HTTP" },
            },
        }));
        let id = lab.add_load_balancer(spec).unwrap();
        let client = Client::new(&lab);
        Self { lab, client, id, old }
    }

    /// A path under the load balancer.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/loadBalancers/{}{rest}", self.id)
    }

    pub(crate) fn listener(&self, name: &str) -> Value {
        self.lab.load_balancer(&self.id).unwrap()["listeners"][name].clone()
    }

    pub(crate) async fn upload(&self, name: &str, leaf: &Leaf) {
        let answer = self.client.post(&self.path("/certificates"), &leaf.entry(name)).await;
        self.client.succeeded(&answer).await;
    }
}

/// A backend set without backends, as it is created and updated.
pub(crate) fn plain_backend_set() -> Value {
    json!({
        "policy": "ROUND_ROBIN",
        "backends": [],
        "healthChecker": { "protocol": "TCP", "port": 0, "retries": 1 },
    })
}

/// The listener `https` with every field, one of them unknown to the lab.
pub(crate) fn https() -> Value {
    json!({
        "defaultBackendSetName": "app",
        "port": 443,
        "protocol": "HTTP",
        "hostnameNames": ["www"],
        "ruleSetNames": ["hsts"],
        "routingPolicyName": "policy",
        "connectionConfiguration": { "idleTimeout": 1200 },
        "futureField": { "nested": [1, 2, 3] },
        "sslConfiguration": {
            "certificateName": "old",
            "protocols": ["TLSv1.2", "TLSv1.3"],
            "cipherSuiteName": "oci-tls-12-13-wider-ssl-cipher-suite-v1",
            "verifyPeerCertificate": false,
            "verifyDepth": 1,
            "hasSessionResumption": false,
            "serverOrderPreference": "DISABLED",
            "futureSetting": true,
        },
    })
}

/// An HTTP server that answers with its name and what it saw.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let name: Arc<str> = name.into();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let name = Arc::clone(&name);
                let service = service_fn(move |request| echo(Arc::clone(&name), request));
                connections
                    .spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, task }
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "ipAddress": "127.0.0.1", "port": self.address.port() })
    }

    pub(crate) async fn stop(self) {
        self.task.abort();
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

async fn echo(name: Arc<str>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let headers: serde_json::Map<String, Value> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().into()))
        .collect();
    let target = request.uri().to_string();
    let body = request.into_body().collect().await?.to_bytes();
    let seen = json!({
        "backend": &*name,
        "target": target,
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    Ok(Response::new(Full::from(seen.to_string())))
}
