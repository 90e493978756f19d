//! Promise 4: no secret in an output, a log, the history, the database, or a file that others can read.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use certferry::{config, wiring};
use certferry_lab::acme_ca::ExternalAccountKey;
use certferry_lab::oci_load_balancer::{Effect, Fault, WorkRequestError};

use crate::stage::{Ended, Stage};

/// An eighth of the key for external account binding.
const HMAC_KEY: [u8; 4] = [0x5a, 0x11, 0xc3, 0x97];

/// The key as CAs hand it out, in base64url.
const HMAC_KEY_TEXT: &str = "WhHDl1oRw5daEcOXWhHDl1oRw5daEcOXWhHDl1oRw5c";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_printed_logged_or_left_readable_in_whole_runs() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    let external = ExternalAccountKey { kid: "kid-1".to_owned(), hmac_key: HMAC_KEY.repeat(8) };
    ca.ca.set_behaviour(|behaviour| behaviour.external_account_keys = vec![external]);
    std::fs::write(stage.path("eab.key"), HMAC_KEY_TEXT).unwrap();
    stage.configure(&ca.issuer(), &stage.www());
    let bound = "    trusted-roots: ca.pem\n    eab: { kid: kid-1, hmac-key: file:eab.key }\n";
    let config = std::fs::read_to_string(stage.config_path()).unwrap();
    std::fs::write(stage.config_path(), config.replace("    trusted-roots: ca.pem\n", bound)).unwrap();

    let mut printed = String::new();
    for (arguments, exit) in [(&["check", "--online"][..], 0), (&["plan"], 2), (&["apply"], 0)] {
        keep(&mut printed, stage.certferry(&[arguments, &["-vv"]].concat()).await.expect_exit(exit));
    }
    // The store forgets the keys of versions that are long past.
    let mut secrets = stored_secrets(&stage).await;
    let errors = vec![WorkRequestError::internal_error("not today")];
    stage.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestFails(errors)).always());
    keep(&mut printed, stage.certferry(&["apply", "--force-renewal", "-vv"]).await.expect_exit(4));
    stage.lab.clear_faults();
    for arguments in [&["apply"][..], &["apply", "--force-renewal"], &["status"], &["history"], &["policy", "front"]] {
        keep(&mut printed, stage.certferry(&[arguments, &["-vv"]].concat()).await.expect_exit(0));
        let json = [arguments, &["-vv", "--output", "json"]].concat();
        keep(&mut printed, stage.certferry(&json).await.expect_exit(0));
    }
    assert!(printed.contains("DEBUG"), "-vv logs: {printed}");

    secrets.extend(stored_secrets(&stage).await);
    secrets.push(Secret::text("the EAB key", HMAC_KEY_TEXT));
    secrets.push(Secret::of_rsa("the API key", &std::fs::read_to_string(api_key(&stage)).unwrap()));
    secrets.push(Secret::text("the master key", master_key(&stage).trim()));
    assert!(secrets.len() >= 8, "one version, then two more, an account each time, and three keys in files");
    for secret in &secrets {
        secret.must_not_be_in(printed.as_bytes(), "what was printed");
    }
    for name in ["certferry.db", "certferry.db-wal", "certferry.db-shm", "certferry.db.lock"] {
        let Ok(bytes) = std::fs::read(stage.path(name)) else { continue };
        secrets.iter().for_each(|secret| secret.must_not_be_in(&bytes, name));
        only_the_owner_may_read(&stage.path(name));
    }
    only_the_owner_may_read(&stage.path("certferry.key"));
}

fn keep(printed: &mut String, ended: Ended) {
    printed.push_str(&ended.stdout());
    printed.push_str(&ended.stderr());
}

#[track_caller]
fn only_the_owner_may_read(path: &PathBuf) {
    let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & 0o077, 0, "{} has mode {mode:04o}", path.display());
}

/// Where the config of the `oci` CLI says that its key is.
fn api_key(stage: &Stage) -> PathBuf {
    let config = std::fs::read_to_string(&stage.key_files.config).unwrap();
    let line = config.lines().find_map(|line| line.strip_prefix("key_file")).unwrap();
    line.trim_start_matches([' ', '=']).trim().into()
}

fn master_key(stage: &Stage) -> String {
    let file = std::fs::read_to_string(stage.path("certferry.key")).unwrap();
    file.lines().find(|line| !line.starts_with('#')).unwrap().to_owned()
}

/// The private keys of account and versions, unsealed.
async fn stored_secrets(stage: &Stage) -> Vec<Secret> {
    let config = config::load(Some(&stage.config_path())).unwrap();
    let store = wiring::store(&config).await.unwrap();
    let (issuer, issuer_config) = config.issuers.iter().next().unwrap();
    let account = store.account(issuer, issuer_config.directory.as_str()).await.unwrap().unwrap();
    let mut secrets = vec![Secret::of_elliptic("the account's key", account.key.expose())];
    let recorded = store.recorded().await.unwrap();
    let newest = recorded.certificates.values().next().unwrap().current.as_ref().unwrap().id;
    for number in 1..=newest.0 {
        let version = certferry_core::recorded::VersionId(number);
        let Ok(key) = store.private_key(version).await else { continue };
        secrets.push(Secret::of_elliptic("a certificate's key", key.expose()));
    }
    secrets
}

/// What must never be told.
pub(crate) struct Secret {
    what: &'static str,
    /// Any of these gives it away.
    pieces: Vec<Vec<u8>>,
}

impl Secret {
    pub(crate) fn text(what: &'static str, text: &str) -> Self {
        assert!(text.len() >= 12, "{what} is too short to be searched for");
        Self { what, pieces: vec![text.as_bytes().to_vec()] }
    }

    /// A P-256 key, PKCS#8 PEM: its private half is bytes 36 to 68 of the DER, and stands in the first two lines. What
    /// follows is the public half, which is in every certificate.
    pub(crate) fn of_elliptic(what: &'static str, text: &str) -> Self {
        let der = pem::parse(text).unwrap().into_contents();
        let mut pieces = vec![der[36..68].to_vec()];
        pieces.extend(lines(text).take(2));
        Self { what, pieces }
    }

    /// An RSA key, PEM: every line.
    pub(crate) fn of_rsa(what: &'static str, text: &str) -> Self {
        Self { what, pieces: lines(text).collect() }
    }

    #[track_caller]
    fn must_not_be_in(&self, bytes: &[u8], place: &str) {
        for piece in &self.pieces {
            assert!(!bytes.windows(piece.len()).any(|window| window == piece), "{} is in {place}", self.what);
        }
    }

    /// The same for a text, of which there is much.
    #[track_caller]
    pub(crate) fn must_not_be_told(&self, text: &str, place: &str) {
        for piece in self.pieces.iter().filter_map(|piece| str::from_utf8(piece).ok()) {
            assert!(!text.contains(piece), "{} is told, {place}: {text}", self.what);
        }
    }
}

fn lines(pem: &str) -> impl Iterator<Item = Vec<u8>> {
    pem.lines().filter(|line| !line.starts_with("-----") && line.len() >= 16).map(|line| line.as_bytes().to_vec())
}
