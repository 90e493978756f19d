//! The vendor's Python SDK as a client of the lab's controller: it proves that the lab speaks the real protocol.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::part;
use super::program::dies_with_us;

/// The SDK, pointed at one controller.
#[derive(Clone, Debug)]
pub(crate) struct AviSdk {
    controller: SocketAddr,
    trusted_roots: PathBuf,
}

impl AviSdk {
    /// Sessions go to `controller`, whose certificate must hang from a root in the PEM file `trusted_roots`.
    pub(crate) fn new(controller: SocketAddr, trusted_roots: impl Into<PathBuf>) -> Self {
        Self { controller, trusted_roots: trusted_roots.into() }
    }

    /// The Python that has the SDK, for control scripts too.
    pub(crate) fn interpreter() -> PathBuf {
        part("avisdk/bin/python")
    }

    /// Runs a piece of Python and gives what it printed as JSON. It sees the SDK's exceptions, and
    /// `session(username, password, …)`, which makes an `ApiSession` with the arguments of its constructor.
    ///
    /// # Panics
    ///
    /// Fails the test when the run failed.
    pub(crate) async fn python(&self, snippet: &str) -> serde_json::Value {
        let prelude = "import json, os\n\
            from avi.sdk.avi_api import ApiSession, APIError, AviServerError, ObjectNotFound\n\
            def session(username, password, **options):\n\
            \x20   options.setdefault('api_version', '22.1.3')\n\
            \x20   options.setdefault('verify', os.environ['TRUSTED_ROOTS'])\n\
            \x20   return ApiSession(os.environ['CONTROLLER'], username, password, **options)\n";
        let mut command = Command::from(dies_with_us(&Self::interpreter()));
        // -I: nothing but the virtual environment; the snippet goes in as text, not as a file.
        command
            .args(["-I", "-c", &format!("{prelude}{snippet}")])
            .env("CONTROLLER", self.controller.to_string())
            .env("TRUSTED_ROOTS", &self.trusted_roots)
            // The SDK lets this one override what a session was told, after its login.
            .env("REQUESTS_CA_BUNDLE", &self.trusted_roots)
            .env("HOME", self.trusted_roots.parent().unwrap_or_else(|| Path::new("/")))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let Output { status, stdout, stderr } = command.output().await.expect("start Python with avisdk");
        let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(status.success(), "the SDK failed:\n{stdout}\n{stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error} in {stdout}\n{stderr}"))
    }
}
