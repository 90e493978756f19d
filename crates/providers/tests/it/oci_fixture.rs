//! One OCI load balancer in the lab, and the provider that drives it, with limits small enough for tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use certferry_core::observed::Place;
use certferry_core::port::Bundle;
use certferry_core::{BundleName, Chain, Clock, Secret, SystemClock};
use certferry_lab::oci_load_balancer::{
    ApiKey, KeyLabel, LoadBalancerSpec, OciLab, OciOptions, RequestRecord, certificate_entry,
};
use certferry_lab::pki::Pki;
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::oci::{
    ApiKeyFile, Auth, HealthCheck, Hold, Http01Config, Limits, NewListener, OciAccess, OciConfig, OciLoadBalancer,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::load_balancer_contract::Subject;

/// A suite with TLS 1.3, ECDSA and RSA ciphers.
pub(crate) const WIDE_SUITE: &str = "oci-tls-12-13-wider-ssl-cipher-suite-v1";

pub(crate) struct Fixture {
    pub(crate) lab: OciLab,
    pub(crate) id: String,
    pub(crate) front: OciLoadBalancer,
    pub(crate) config: OciConfig,
    pub(crate) key: &'static ApiKey,
    bundles: [Bundle; 2],
    folder: tempfile::TempDir,
}

/// The machine's clock, moved.
#[derive(Default)]
pub(crate) struct MovedClock(AtomicI64);

impl MovedClock {
    /// By so many seconds from the true time.
    pub(crate) fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_secs(self.0.load(Ordering::Relaxed))
    }
}

impl Fixture {
    /// With the usual load balancer.
    pub(crate) async fn start() -> Self {
        Self::with(usual(), |_| {}).await
    }

    /// With a load balancer and a config of one's own.
    pub(crate) async fn with(configuration: Value, adjust: impl FnOnce(&mut OciConfig)) -> Self {
        let lab = OciLab::start(OciOptions::default()).await.unwrap();
        let id = lab.add_load_balancer(LoadBalancerSpec::new("front").configured(configuration)).unwrap();
        let key: &ApiKey = &KEY;
        lab.register_key(key.key_id(), key.public_key_der());
        let folder = tempfile::tempdir().unwrap();
        let files = key.write_config(folder.path(), KeyLabel::Present).unwrap();
        let key_file = ApiKeyFile { config_file: files.config, profile: "DEFAULT".to_owned(), pass_phrase: None };
        let access = OciAccess {
            endpoint: Some(lab.endpoint().parse().unwrap()),
            limits: quick(),
            ..OciAccess::signed_by(Auth::ApiKey(key_file))
        };
        let mut config = OciConfig {
            load_balancer_id: id.parse().unwrap(),
            access,
            hold: Hold::LoadBalancer,
            http01: Some(http01()),
            create: BTreeMap::from([("new".parse().unwrap(), new_listener())]),
        };
        adjust(&mut config);
        let front = provider(config.clone());
        Self { lab, id, front, config, key, bundles: [bundle(), bundle()], folder }
    }

    /// With the usual load balancer, whose certificates the Certificates service holds, and a config of one's own.
    pub(crate) async fn with_certificates_service(adjust: impl FnOnce(&mut OciConfig)) -> Self {
        let hold = Hold::CertificatesService { compartment: None };
        let mut fixture = Self::with(usual(), |config| {
            config.hold = hold;
            adjust(config);
        })
        .await;
        fixture.bundles = [version_of_www(), version_of_www()];
        fixture
    }

    /// The two bundles.
    pub(crate) fn bundles(&self) -> &[Bundle; 2] {
        &self.bundles
    }

    pub(crate) fn subject(&self) -> Subject<'_> {
        Subject {
            load_balancer: &self.front,
            listener: "https".parse().unwrap(),
            new_listener: Some("new".parse().unwrap()),
            bundles: self.bundles.clone(),
        }
    }

    /// The bundle that most tests upload.
    pub(crate) fn bundle(&self) -> &Bundle {
        &self.bundles[0]
    }

    /// A folder that ends with the fixture.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// GetLoadBalancer, as the lab itself sees it.
    pub(crate) fn json(&self) -> Value {
        self.lab.load_balancer(&self.id).unwrap()
    }

    /// Calls of an operation so far.
    pub(crate) fn calls(&self, operation: &str) -> Vec<RequestRecord> {
        self.lab.requests().into_iter().filter(|record| record.operation == operation).collect()
    }
}

pub(crate) fn provider(config: OciConfig) -> OciLoadBalancer {
    OciLoadBalancer::new("front".parse().unwrap(), config, Arc::new(SystemClock)).unwrap()
}

pub(crate) fn https() -> Place {
    Place::Listener("https".parse().unwrap())
}

/// A listener that has everything a listener can have, fields from the future included; beside it a second one, a backend
/// set with a bundle, and nothing on port 80.
pub(crate) fn usual() -> Value {
    let old = bundle();
    json!({
        "certificates": {"old": certificate_entry("old", old.chain.pem(), old.private_key.as_ref().unwrap().expose())},
        "hostnames": {"www": {"name": "www", "hostname": "www.some-domain.com"}},
        "ruleSets": {"hsts": {"name": "hsts", "items": [
            {"action": "ADD_HTTP_RESPONSE_HEADER", "header": "Strict-Transport-Security", "value": "max-age=63072000"}]}},
        "routingPolicies": {"rp": {"name": "rp", "conditionLanguageVersion": "V1", "rules": [
            {"name": "all", "condition": "any(http.request.url.path sw '/')",
                "actions": [{"name": "FORWARD_TO_BACKENDSET", "backendSetName": "app"}]}]}},
        "backendSets": {
            "app": {"name": "app", "policy": "LEAST_CONNECTIONS",
                "backends": [{"ipAddress": "127.0.0.1", "port": 9, "weight": 3, "drain": true, "notInvented": {"a": 1}}],
                "healthChecker": {"protocol": "TCP", "port": 9, "retries": 7},
                "lbCookieSessionPersistenceConfiguration": {"cookieName": "c", "isSecure": true},
                "notInventedYet": [1, {"two": "three"}]},
            "secure": {"name": "secure", "policy": "IP_HASH",
                "backends": [{"ipAddress": "127.0.0.1", "port": 10}],
                "healthChecker": {"protocol": "TCP", "port": 10},
                "sslConfiguration": {"certificateName": "old", "verifyDepth": 2, "cipherSuiteName": WIDE_SUITE},
                "notInventedYet": [1, {"two": "three"}]}},
        "listeners": {
            "https": {"name": "https", "defaultBackendSetName": "app", "port": 443, "protocol": "HTTP",
                "hostnameNames": ["www"], "ruleSetNames": ["hsts"], "routingPolicyName": "rp",
                "connectionConfiguration": {"idleTimeout": 277},
                "notInventedYet": {"depth": [1, 2, {"three": true}]},
                "sslConfiguration": {"certificateName": "old", "verifyDepth": 3, "verifyPeerCertificate": false,
                    "protocols": ["TLSv1.2", "TLSv1.3"], "cipherSuiteName": WIDE_SUITE,
                    "serverOrderPreference": "DISABLED", "hasSessionResumption": false, "alsoNew": "kept"}},
            "tcp": {"name": "tcp", "defaultBackendSetName": "app", "port": 9000, "protocol": "TCP"}},
    })
}

pub(crate) fn http01() -> Http01Config {
    Http01Config {
        listener: "http".parse().unwrap(),
        responder: "127.0.0.1:8080".parse().unwrap(),
        backend_set: "certferry-acme".to_owned(),
        health_check: HealthCheck::TcpPort(22),
        probe: Vec::new(),
    }
}

pub(crate) fn new_listener() -> NewListener {
    NewListener {
        port: 8443,
        backend_set: "app".to_owned(),
        protocols: vec!["TLSv1.2".to_owned(), "TLSv1.3".to_owned()],
        cipher_suite: Some(WIDE_SUITE.to_owned()),
    }
}

/// An ECDSA certificate and its key.
pub(crate) fn bundle() -> Bundle {
    bundle_of(&rcgen::PKCS_ECDSA_P256_SHA256)
}

pub(crate) fn bundle_of(algorithm: &'static rcgen::SignatureAlgorithm) -> Bundle {
    let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
    let params = rcgen::CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
    let chain = Chain::parse(&params.self_signed(&key).unwrap().pem()).unwrap();
    let name = BundleName::for_version(&"www".parse().unwrap(), chain.leaf());
    Bundle { name, chain, private_key: Some(Secret::new(key.serialize_pem())) }
}

/// A version of certificate `www` as a CA hands it out, for an object that all of them share.
pub(crate) fn version_of_www() -> Bundle {
    version_for(&["www.some-domain.com"])
}

/// The same for other names, of which the first is the common name.
pub(crate) fn version_for(names: &[&str]) -> Bundle {
    let issued = PKI.issue(names, 30).unwrap();
    let chain = Chain::parse(&issued.chain_pem).unwrap();
    let name = BundleName::for_subject_and_usages(&"www".parse().unwrap(), chain.leaf());
    Bundle { name, chain, private_key: Some(Secret::new(issued.private_key_pem)) }
}

static PKI: LazyLock<Pki> = LazyLock::new(|| Pki::new().unwrap());

/// One for all tests: an RSA key takes a while to make.
static KEY: LazyLock<ApiKey> = LazyLock::new(|| ApiKey::generate().unwrap());

fn quick() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        request: Duration::from_secs(5),
        retry: Duration::from_secs(20),
        work_request: Duration::from_secs(20),
        first_poll: Duration::from_millis(2),
        backoff: Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(50) },
    }
}
