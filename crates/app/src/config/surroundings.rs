//! What a config may refer to outside itself: environment variables and files.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Environment variables, as a value, so that tests need not change the process's own.
pub trait Environment {
    /// The value of a variable; `None` when it is not set or not text.
    fn variable(&self, name: &str) -> Option<String>;

    /// The home directory, for `~`.
    fn home(&self) -> Option<PathBuf> {
        self.variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
    }
}

/// The process's own environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

impl Environment for BTreeMap<String, String> {
    fn variable(&self, name: &str) -> Option<String> {
        self.get(name).cloned()
    }
}
