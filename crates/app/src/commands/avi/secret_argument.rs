//! Secrets that the command line refers to. As in the config: `env:NAME` or `file:PATH`, here relative to the working
//! folder.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use certferry_core::Secret;
use zeroize::Zeroizing;

use crate::cli::SecretArgument;
use crate::config::{Environment, ProcessEnvironment};
use crate::failure::Failure;

use super::usage;

/// The secret behind the argument of `option`, without the line end that editors put after it. What was written is repeated
/// only where it is a reference: it may be the secret itself.
pub(super) fn read(option: &str, argument: &SecretArgument, example: &str) -> Result<Secret<String>, Failure> {
    let text = match argument.0.expose().split_once(':') {
        Some(("env", name)) if !name.is_empty() => variable(option, name)?,
        Some(("file", path)) if !path.is_empty() => file(option, path)?,
        _ => {
            return Err(usage(
                format!("`{option}` takes no secret, only a reference to one: other users see the command line"),
                &format!(
                    "write `{option} env:{example}` or `{option} file:PATH`; if a secret stood there, change it: the \
                     shell's history may keep it"
                ),
            ));
        }
    };
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(usage(format!("the secret that `{option}` points to is empty"), "put it there"));
    }
    Ok(Secret::new(secret.to_owned()))
}

fn variable(option: &str, name: &str) -> Result<Zeroizing<String>, Failure> {
    let unset = || {
        let said = format!("the environment variable `{name}` is not set");
        usage(said, &format!("set it, or write `{option} file:PATH`"))
    };
    ProcessEnvironment.variable(name).map(Zeroizing::new).ok_or_else(unset)
}

fn file(option: &str, path: &str) -> Result<Zeroizing<String>, Failure> {
    // The shell leaves a `~` alone that stands after `file:`.
    let path = match (path.strip_prefix("~/"), ProcessEnvironment.home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    };
    let mut text = Zeroizing::new(String::with_capacity(LARGEST_SECRET));
    let read = File::open(&path).and_then(|file| file.take(LARGEST_SECRET as u64).read_to_string(&mut text));
    read.map_err(|source| Failure::Machine {
        what: format!("the secret that `{option}` points to cannot be read from {}", path.display()),
        source,
    })?;
    Ok(text)
}

const LARGEST_SECRET: usize = 64 * 1024;
