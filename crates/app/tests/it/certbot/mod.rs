//! certbot's users: its lineages and account taken over, and its deploy hook. certbot is the real one, and Pebble the CA of
//! both programs.
//!
//! Pebble asks for challenges where both answer, one after the other: at the responder's port.

mod hook;
mod import;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use certferry_core::Chain;

use crate::parts::certbot::Certbot;
use crate::parts::openssl::served;
use crate::parts::pebble::{Pebble, PebbleOptions};
use crate::stage::{Issuer, SERVER_NAME, Stage};

/// A stage with Pebble, and certbot in a folder beside the config.
struct WithCertbot {
    stage: Stage,
    pebble: Pebble,
    certbot: Certbot,
}

impl WithCertbot {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let pebble = Pebble::start(PebbleOptions::validating_at(stage.responder.port())).await;
        let with = |stage: &Stage| {
            Certbot::new(&stage.path("certbot"), pebble.directory_url(), &stage.path("ca.pem"), stage.responder)
        };
        std::fs::create_dir(stage.path("certbot")).unwrap();
        let certbot = with(&stage);
        let all = Self { certbot, stage, pebble };
        all.configure(&all.stage.www());
        all
    }

    fn configure(&self, certificates: &str) {
        let directory_url = self.pebble.directory_url();
        let trusted_root_pem = self.pebble.https_root_pem().to_owned();
        self.stage.configure(&Issuer { directory_url, trusted_root_pem }, certificates);
    }

    /// `certferry import certbot` with certbot's folder.
    async fn import(&self, more: &[&str]) -> crate::stage::Ended {
        let folder = self.certbot.config_folder().display().to_string();
        self.stage.certferry(&[&["import", "certbot", &folder], more].concat()).await
    }

    /// The serial of a lineage's newest certificate.
    fn lineage_serial(&self, lineage: &str) -> String {
        let chain = Chain::parse(&self.certbot.live(lineage, "fullchain.pem")).unwrap();
        chain.leaf().serial.as_str().to_owned()
    }

    async fn served_serial(&self) -> String {
        served(self.stage.address(443), SERVER_NAME).await.unwrap().serial
    }

    /// How many certificates Pebble has issued.
    fn issued(&self) -> usize {
        self.count("Issued certificate serial")
    }

    fn count(&self, text: &str) -> usize {
        self.pebble.log().matches(text).count()
    }
}

/// Every file below a folder with its content, links by what they lead to.
fn everything_below(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match (path.is_symlink(), path.is_dir()) {
            (true, _) => {
                drop(all.insert(path.clone(), std::fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()))
            }
            (false, true) => all.extend(everything_below(&path)),
            (false, false) => drop(all.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    all
}
