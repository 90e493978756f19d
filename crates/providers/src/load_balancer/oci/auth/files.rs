//! Files with credentials: where they are, and whether others can read them.

use std::fs;
use std::path::{Path, PathBuf};

use certferry_core::{Error, ErrorKind};

use crate::systemd_credential::bits_for_others;

/// `~/` is the home directory.
pub(super) fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

/// The SDK's config file.
pub(super) fn config_file(path: &Path, operation: &str) -> Result<String, Error> {
    let text = fs::read_to_string(path).map_err(|error| {
        refused(path, operation, ErrorKind::NotFound, &error.to_string())
            .with_hint("write the file with `oci setup config`, or name another with `config-file`")
    })?;
    if readable_by_others(path).is_some() {
        tracing::warn!(
            file = %path.display(),
            "the OCI config file can be read by others; it names your key: chmod 600 it"
        );
    }
    Ok(text)
}

/// A private key that others can read is not private: refused, as ssh does.
pub(super) fn check_key_mode(path: &Path, operation: &str) -> Result<(), Error> {
    match readable_by_others(path) {
        None => Ok(()),
        Some(mode) => {
            let said = format!("its mode is {mode:04o}: others can read the private key");
            Err(refused(path, operation, ErrorKind::Denied, &said).with_hint(format!("chmod 600 {}", path.display())))
        }
    }
}

/// An error about a file.
pub(super) fn refused(path: &Path, operation: &str, kind: ErrorKind, said: &str) -> Error {
    Error::new(kind, operation, format!("file {}", path.display())).said(said)
}

/// What is wrong with a file, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) problem: String,
    pub(super) hint: String,
}

impl Refusal {
    pub(super) fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }

    /// The error about that file.
    pub(super) fn about(self, path: &Path, operation: &str) -> Error {
        refused(path, operation, ErrorKind::Invalid, &self.problem).with_hint(self.hint)
    }
}

/// The mode, when group or others may read. A file that is not there is somebody else's finding.
#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & bits_for_others(path, 0o044, None) != 0).then_some(mode)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> Option<u32> {
    None
}
