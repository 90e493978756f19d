//! What a client of a running API sees.

use std::collections::BTreeMap;
use std::path::Path;

use certferry_core::desired::Desired;
use certferry_core::port::Probe;
use certferry_core::{Sha256, SystemClock};
use certferry_engine::{Engine, Limits, Responder};
use certferry_providers::probe::NetworkProbe;
use rcgen::KeyPair;
use tempfile::TempDir;

use super::*;
use crate::config;
use crate::progress::Progress;
use crate::wiring;

const HOST: &str = "certferry.some-domain.com";

/// A running API with a pair of its owner's.
struct Running {
    folder: TempDir,
    server: ApiServer,
}

impl Running {
    async fn with(pair: &Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        pair.put(folder.path());
        let path = folder.path().join("certferry.yaml");
        let text =
            format!("api: {{ url: 'https://{HOST}', certificate: api.pem, key: api.key }}\ncertificates: {{}}\n");
        std::fs::write(&path, text).unwrap();
        let config = config::load_with(&path, &BTreeMap::<String, String>::new()).unwrap();
        let store = wiring::store(&config).await.unwrap();
        let (progress, clock) = (Arc::new(Progress::new(false)), Arc::new(SystemClock));
        let parts = wiring::parts(&config, store, progress, clock.clone(), Responder::default()).await.unwrap();
        let engine = Arc::new(Engine::new(Desired::default(), parts, Limits::default()));
        let signing = Arc::new(Signing::new(engine, BTreeMap::new(), clock));
        let api = Api { listen: ([127, 0, 0, 1], 0).into(), ..config.api.unwrap() };
        let server = ApiServer::start(&api, signing).await.unwrap_or_else(|failure| panic!("{}", failure.render()));
        Self { folder, server }
    }

    /// The digest of the leaf that a handshake shows.
    async fn served(&self) -> Sha256 {
        let (address, name) = (self.server.address(), HOST.parse().unwrap());
        NetworkProbe::new().tls(address, &name, None).await.unwrap().digests[0]
    }
}

/// A certificate and its key.
struct Pair {
    leaf: Sha256,
    chain_pem: String,
    key_pem: String,
}

impl Pair {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new([HOST.to_owned()]).unwrap().self_signed(&key).unwrap();
        Self { leaf: Sha256::of(certificate.der()), chain_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }

    fn put(&self, folder: &Path) {
        replace(folder, "api.pem", &self.chain_pem);
        replace(folder, "api.key", &self.key_pem);
    }
}

/// As renewals do it: a file beside it, renamed over it.
fn replace(folder: &Path, name: &str, text: &str) {
    crate::private_file::write(&folder.join(name), text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_pair_that_was_renewed_in_place_is_served_from_the_next_handshake_on() {
    let (old, new) = (Pair::new(), Pair::new());
    let running = Running::with(&old).await;
    assert_eq!(running.served().await, old.leaf);
    new.put(running.folder.path());
    assert_eq!(running.served().await, new.leaf);
}

#[tokio::test]
async fn while_a_renewed_pair_cannot_be_served_the_one_before_is() {
    let (old, new) = (Pair::new(), Pair::new());
    let running = Running::with(&old).await;
    let folder = running.folder.path();
    // Between the two renames, the certificate does not fit the key.
    replace(folder, "api.pem", &new.chain_pem);
    assert_eq!(running.served().await, old.leaf);
    replace(folder, "api.key", "no PEM");
    assert_eq!(running.served().await, old.leaf);
    std::fs::remove_file(folder.join("api.key")).unwrap();
    assert_eq!(running.served().await, old.leaf);
    replace(folder, "api.key", &new.key_pem);
    assert_eq!(running.served().await, new.leaf);
}
