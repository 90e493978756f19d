//! certbot, as its users run it: standalone, with a config folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::part;
use super::program::dies_with_us;

/// One config folder of certbot's, and the CA that it asks.
#[derive(Clone, Debug)]
pub(crate) struct Certbot {
    folder: PathBuf,
    server: String,
    trusted_roots: PathBuf,
    answers_on: SocketAddr,
}

/// What one run printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub(crate) exit_code: Option<i32>,
    /// All that it printed.
    pub(crate) printed: String,
}

impl Certbot {
    /// Below `folder`, from the directory `server` whose HTTPS leads to the roots in this PEM file; its standalone server
    /// answers challenges on `answers_on`.
    pub(crate) fn new(folder: &Path, server: String, trusted_roots: &Path, answers_on: SocketAddr) -> Self {
        Self { folder: folder.to_owned(), server, trusted_roots: trusted_roots.to_owned(), answers_on }
    }

    /// What stands for /etc/letsencrypt.
    pub(crate) fn config_folder(&self) -> PathBuf {
        self.folder.join("letsencrypt")
    }

    /// A file of a lineage, such as `fullchain.pem`.
    pub(crate) fn live(&self, lineage: &str, file: &str) -> String {
        let path = self.config_folder().join("live").join(lineage).join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
    }

    /// Gets a certificate for `names`; the first names the lineage.
    pub(crate) async fn certonly(&self, names: &[&str], more: &[&str]) -> Outcome {
        let names: Vec<&str> = names.iter().flat_map(|name| ["-d", name]).collect();
        let port = self.answers_on.port().to_string();
        let address = self.answers_on.ip().to_string();
        let usual = [
            "certonly",
            "--server",
            &self.server,
            "--standalone",
            "--http-01-port",
            &port,
            "--http-01-address",
            &address,
            "--agree-tos",
            "--register-unsafely-without-email",
        ];
        self.run(&[&usual[..], &names, more].concat()).await
    }

    /// Runs `certbot ARGUMENTS`, which asks nothing.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::from(dies_with_us(&part("certbot/bin/certbot")));
        command
            .args(arguments)
            .arg("--non-interactive")
            .arg("--config-dir")
            .arg(self.config_folder())
            .arg("--work-dir")
            .arg(self.folder.join("work"))
            .arg("--logs-dir")
            .arg(self.folder.join("logs"))
            .env("REQUESTS_CA_BUNDLE", &self.trusted_roots)
            .env("HOME", &self.folder)
            .env_remove("PYTHONPATH")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let Output { status, stdout, stderr } = command.output().await.expect("start certbot");
        let printed = [stdout, stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Outcome { exit_code: status.code(), printed }
    }
}

impl Outcome {
    /// The exit code must be 0; otherwise the test shows everything that was printed.
    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        assert_eq!(self.exit_code, Some(0), "certbot failed:\n{}", self.printed);
        self
    }
}
