//! The config file in two layers: [`mod@file`] as written, [`Config`] as resolved.
//!
//! Parsing ([`parse`]) touches nothing but the text. Resolving ([`resolve`]) parses names, fills defaults in, checks
//! references, and reads the secrets and certificates that the file refers to. Errors of both point at line and column.

mod diagnostic;
mod extend;
pub mod file;
mod parse;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod reference;
mod resolve;
mod resolved;
mod spanned;
mod suggest;
mod surroundings;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

pub use diagnostic::{Diagnostic, Findings, Severity};
pub use extend::{NewCertificate, with_certificates};
pub use parse::parse;
pub use resolve::resolve;
pub use resolved::{Api, Config, ControlScript, Dns, DnsProvider, LoadBalancer, Provider, State};
pub use spanned::{Entries, Position, SecretReference, Spanned};
pub use surroundings::{Environment, ProcessEnvironment};

/// Finds, reads and resolves the config: `path`, or else the first of [`SEARCHED`] that is there.
///
/// # Errors
/// No file, a file that cannot be read, or one with something wrong in it.
pub fn load(path: Option<&Path>) -> Result<Config, ConfigError> {
    load_with(&locate(path)?, &ProcessEnvironment)
}

/// Reads and resolves the config at `path`, with an environment of the caller's.
///
/// # Errors
/// The file cannot be read, or something in it is wrong.
pub fn load_with(path: &Path, environment: &dyn Environment) -> Result<Config, ConfigError> {
    check_with(path, &text(path)?, environment)
}

/// The text of the config at `path`.
///
/// # Errors
/// The file cannot be read.
pub fn text(path: &Path) -> Result<String, ConfigError> {
    read(path).map_err(|error| ConfigError::unreadable(path, &error))
}

/// What the config at `path` would be with this text.
///
/// # Errors
/// Something in it is wrong.
pub fn check(path: &Path, text: &str) -> Result<Config, ConfigError> {
    check_with(path, text, &ProcessEnvironment)
}

fn check_with(path: &Path, text: &str, environment: &dyn Environment) -> Result<Config, ConfigError> {
    let folder = absolute_folder(path).map_err(|error| ConfigError::unreadable(path, &error))?;
    let refuse = |findings: Vec<Diagnostic>| ConfigError(Findings::new(path, text, findings));
    let file = parse(text).map_err(|finding| refuse(vec![finding]))?;
    let (mut config, warnings) = resolve(&file, &folder, environment).map_err(refuse)?;
    config.path = path.to_owned();
    config.warnings = Findings::new(path, text, warnings);
    Ok(config)
}

/// Where the config is looked for when the command line does not say.
pub const SEARCHED: [&str; 2] = ["certferry.yaml", "/etc/certferry/certferry.yaml"];

/// Which file is the config.
///
/// # Errors
/// None was named, and none of [`SEARCHED`] is there.
pub fn locate(path: Option<&Path>) -> Result<PathBuf, ConfigError> {
    if let Some(path) = path {
        return Ok(path.to_owned());
    }
    SEARCHED.into_iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
        let [here, there] = SEARCHED;
        let missing = Diagnostic::error(None, format!("there is no {here} here, and no {there}"))
            .with_hint("name the file with `--config FILE`; docs/configuration.md starts with an example to copy");
        ConfigError(Findings::new(Path::new(here), "", [missing]))
    })
}

/// A config that cannot be used, with everything that is wrong with it. `Display` is what a person reads: a block of
/// lines per finding, of which the first stands without its `error:`, for the caller to put before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Findings);

impl ConfigError {
    fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        let finding = Diagnostic::error(None, format!("the config file cannot be read: {}", resolve::plain(error)))
            .with_hint("name another one with `--config FILE`");
        Self(Findings::new(path, "", [finding]))
    }

    /// What is wrong.
    pub fn findings(&self) -> &Findings {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        formatter.write_str(text.strip_prefix("error: ").unwrap_or(&text))
    }
}

impl std::error::Error for ConfigError {}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let length = std::fs::File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    match u64::try_from(length) {
        Ok(length) if length <= LARGEST => Ok(text),
        _ => Err(std::io::Error::other(format!("it is larger than {} MiB", LARGEST / 1024 / 1024))),
    }
}

/// A hundred thousand certificates take about 20 MiB.
const LARGEST: u64 = 256 * 1024 * 1024;

fn absolute_folder(path: &Path) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?;
    Ok(absolute.parent().map(Path::to_owned).unwrap_or_default())
}
