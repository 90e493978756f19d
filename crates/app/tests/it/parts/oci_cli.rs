//! Oracle's `oci` command line and Python SDK as clients of the lab: they prove that it speaks the real protocol.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;

use super::part;
use super::program::dies_with_us;

/// What one run printed, and how it ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The exit code; `None` when a signal ended it.
    pub(crate) exit_code: Option<i32>,
    /// What it printed for programs: JSON, or nothing for an empty list.
    pub(crate) stdout: String,
    /// What it printed for people; a service error is JSON here, after a line that says `ServiceError:`.
    pub(crate) stderr: String,
}

/// The clients, pointed at one endpoint.
#[derive(Clone, Debug)]
pub(crate) struct OciCli {
    endpoint: String,
    config_file: PathBuf,
    trusted_roots: Option<PathBuf>,
    environment: Vec<(String, String)>,
}

impl OciCli {
    /// Requests go to `endpoint`, such as `http://127.0.0.1:4000`, signed as the profile DEFAULT of `config_file` says.
    pub(crate) fn new(endpoint: impl Into<String>, config_file: impl Into<PathBuf>) -> Self {
        Self {
            endpoint: endpoint.into(),
            config_file: config_file.into(),
            trusted_roots: None,
            environment: Vec::new(),
        }
    }

    /// Trusts the roots of this PEM file, for an endpoint with https.
    pub(crate) fn trusting(mut self, roots: impl Into<PathBuf>) -> Self {
        self.trusted_roots = Some(roots.into());
        self
    }

    /// With one more variable in the environment, such as `OCI_CLI_AUTH`.
    pub(crate) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Runs `oci ARGUMENTS`, such as `["lb", "certificate", "list", "--load-balancer-id", id]`.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = Command::from(dies_with_us(&part("oci_cli/bin/oci")));
        command.args(arguments);
        self.outcome(command).await
    }

    /// Runs a piece of Python that sees `config` (of the config file) and `endpoint`, with the package `oci` imported:
    /// `client = oci.load_balancer.LoadBalancerClient(config, service_endpoint=endpoint)`.
    pub(crate) async fn python(&self, snippet: &str) -> Outcome {
        let prelude = "import json, os, oci\n\
            config = oci.config.from_file(os.environ['OCI_CLI_CONFIG_FILE'])\n\
            endpoint = os.environ['OCI_CLI_ENDPOINT']\n";
        let mut command = Command::from(dies_with_us(&part("oci_cli/bin/python")));
        // -I: nothing but the virtual environment; the snippet goes in as text, not as a file.
        command.args(["-I", "-c", &format!("{prelude}{snippet}")]);
        self.outcome(command).await
    }

    async fn outcome(&self, mut command: Command) -> Outcome {
        // A developer's own profile, credentials or proxy settings must not get in.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if name.starts_with("OCI_") || name.starts_with("PYTHON") {
                command.env_remove(&variable);
            }
        }
        command
            .env("OCI_CLI_ENDPOINT", &self.endpoint)
            .env("OCI_CLI_CONFIG_FILE", &self.config_file)
            .env("OCI_CLI_RC_FILE", self.config_file.with_file_name("no-oci-cli-rc"))
            .env("OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING", "True")
            .env("SUPPRESS_LABEL_WARNING", "True")
            .env("PYTHONWARNINGS", "ignore")
            .env("HOME", self.config_file.parent().unwrap_or_else(|| Path::new("/")))
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        if let Some(roots) = &self.trusted_roots {
            command.env("OCI_CLI_CERT_BUNDLE", roots).env("REQUESTS_CA_BUNDLE", roots);
        }
        let Output { status, stdout, stderr } = command.output().await.expect("start the oci client");
        Outcome {
            exit_code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

impl Outcome {
    /// What it printed, as JSON; `null` for the nothing that stands for an empty list.
    ///
    /// # Panics
    ///
    /// Fails the test when the run failed.
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.exit_code, Some(0), "the oci client failed:\n{}\n{}", self.stdout, self.stderr);
        if self.stdout.trim().is_empty() {
            return serde_json::Value::Null;
        }
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

/// A user's API key as a config file holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ApiKey<'a> {
    /// OCID of the user.
    pub(crate) user: &'a str,
    /// OCID of the tenancy.
    pub(crate) tenancy: &'a str,
    /// MD5 of the public key, in pairs with colons.
    pub(crate) fingerprint: &'a str,
    /// Such as `us-ashburn-1`.
    pub(crate) region: &'a str,
    /// The RSA private key.
    pub(crate) key_pem: &'a str,
}

/// Writes `config` and `key.pem` into `folder`; returns the config's path.
pub(crate) fn write_config(folder: &Path, key: ApiKey<'_>) -> PathBuf {
    let key_file = folder.join("key.pem");
    let config_file = folder.join("config");
    let ApiKey { user, tenancy, fingerprint, region, key_pem } = key;
    let config = format!(
        "[DEFAULT]\nuser={user}\ntenancy={tenancy}\nfingerprint={fingerprint}\nregion={region}\nkey_file={}\n",
        key_file.display()
    );
    fs::write(&key_file, key_pem).expect("write the API key");
    fs::write(&config_file, config).expect("write the config");
    config_file
}
