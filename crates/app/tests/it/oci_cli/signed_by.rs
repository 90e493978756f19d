//! certferry on a stage whose load balancer is asked in another way than by the stage's API key, which the lab no longer
//! takes: what works then works by that other way.

use std::process::Stdio;

use tokio::process::Command;

use crate::stage::{LabCa, Stage};

/// A stage, and what certferry's environment holds besides.
pub(super) struct SignedBy {
    pub(super) stage: Stage,
    pub(super) ca: LabCa,
    environment: Vec<(String, String)>,
}

/// A run that has ended.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) exit_code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl SignedBy {
    /// `auth` as the config writes it.
    pub(super) async fn new(stage: Stage, auth: &str) -> Self {
        let ca = stage.lab_ca().await;
        stage.configure(&ca.issuer(), &stage.www());
        let config = std::fs::read_to_string(stage.config_path()).unwrap();
        let line = config.lines().find(|line| line.trim_start().starts_with("auth:")).unwrap();
        std::fs::write(stage.config_path(), config.replace(line, &format!("      auth: {auth}"))).unwrap();
        let profile = std::fs::read_to_string(&stage.key_files.config).unwrap();
        let value = |key: &str| profile.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
        stage.lab.revoke_key(&format!("{}/{}/{}", value("tenancy="), value("user="), value("fingerprint=")));
        Self { stage, ca, environment: Vec::new() }
    }

    /// With one more variable in certferry's environment.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Runs certferry to its end.
    pub(super) async fn certferry(&self, arguments: &[&str]) -> Run {
        let output = Command::new(env!("CARGO_BIN_EXE_certferry"))
            .args(arguments)
            .current_dir(self.stage.folder.path())
            .env_clear()
            .env("HOME", self.stage.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .unwrap();
        Run {
            exit_code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// How many calls were answered so.
    pub(super) fn answered(&self, status: u16) -> usize {
        self.stage.lab.requests().iter().filter(|call| call.status == Some(status)).count()
    }
}

impl Run {
    /// The exit code must be this one; otherwise the test shows everything that was printed.
    #[track_caller]
    pub(super) fn expect_exit(self, code: i32) -> Self {
        assert_eq!(self.exit_code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}
