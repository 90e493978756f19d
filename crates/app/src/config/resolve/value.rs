//! Single values: names, addresses, durations, paths, secrets.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use certferry_core::Secret;
use certferry_providers::systemd_credential::bits_for_others;
use jiff::SignedDuration;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::Resolver;
use crate::config::diagnostic::Diagnostic;
use crate::config::spanned::{Position, SecretReference, Spanned};

impl Resolver<'_> {
    /// A value whose type says what is wrong with it.
    pub(super) fn parsed<T>(&mut self, value: &Spanned<String>, hint: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: std::fmt::Display,
    {
        match value.value.parse() {
            Ok(parsed) => Some(parsed),
            Err(error) => self.refuse(value.at, T::Err::to_string(&error), hint),
        }
    }

    /// `IP:port`; `example` is one to show, with the port that is usual there.
    pub(super) fn address(&mut self, value: &Spanned<String>, example: &str) -> Option<SocketAddr> {
        let text = value.value.as_str();
        let (example_ip, usual) = example.rsplit_once(':').unwrap_or((example, "8080"));
        let message = format!("`{text}` is not an address and port");
        match text.parse::<SocketAddr>() {
            Ok(address) if address.port() == 0 => {
                self.refuse(value.at, format!("`{text}` has port 0"), "write the port, 1 to 65535")
            }
            Ok(address) => Some(address),
            Err(_) if text.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()) => {
                self.refuse(value.at, message, format!("add a port: `\"[{text}]:{usual}\"`"))
            }
            Err(_) if text.parse::<IpAddr>().is_ok() => {
                self.refuse(value.at, message, format!("add a port: `{text}:{usual}`"))
            }
            Err(_) if text.trim_start_matches(':').parse::<u16>().is_ok() => {
                let port = text.trim_start_matches(':');
                self.refuse(value.at, message, format!("write the address too: `{example_ip}:{port}`"))
            }
            Err(_) => self.refuse(
                value.at,
                message,
                format!("write an IP address and a port, such as `{example}`; host names are not looked up here"),
            ),
        }
    }

    /// The addresses of a list; `example` as for [`address`](Resolver::address).
    pub(super) fn addresses(&mut self, values: &[Spanned<String>], example: &str) -> Vec<SocketAddr> {
        values.iter().filter_map(|value| self.address(value, example)).collect()
    }

    /// A duration of one second to one day, or the default.
    pub(super) fn limit(&mut self, value: Option<&Spanned<String>>, default: Duration) -> Option<Duration> {
        let Some(value) = value else { return Some(default) };
        let text = value.value.as_str();
        if text.parse::<f64>().is_ok() {
            let message = format!("`{text}` has no unit");
            return self.refuse(value.at, message, format!("write `{text}s` for seconds or `{text}m` for minutes"));
        }
        let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
        match parsed {
            None => self.refuse(value.at, format!("`{text}` is not a duration"), "write `90s`, `2m` or `1h 30m`"),
            Some(limit) if limit < SHORTEST_LIMIT || limit > LONGEST_LIMIT => {
                self.refuse(value.at, format!("`{text}` is no sensible limit"), "write something from `1s` to `24h`")
            }
            Some(limit) => Some(limit),
        }
    }

    /// A path: relative to the config's folder, `~/` being the home directory.
    pub(super) fn path(&mut self, value: &Spanned<String>) -> Option<PathBuf> {
        let text = value.value.as_str();
        if text.is_empty() {
            return self.refuse(value.at, "a path is missing here", "write the path of a file");
        }
        let Some(rest) = text.strip_prefix('~') else { return Some(self.folder.join(text)) };
        match (rest.is_empty() || rest.starts_with('/'), self.environment.home()) {
            (true, Some(home)) => Some(home.join(rest.trim_start_matches('/'))),
            (true, None) => self.refuse(
                value.at,
                "`~` is the home directory, but the environment variable `HOME` is not set",
                "set HOME, or write the whole path",
            ),
            (false, _) => self.refuse(
                value.at,
                format!("`{text}` means another user's home directory, which is not looked up"),
                "write the whole path",
            ),
        }
    }

    /// The file behind `sqlite:PATH`.
    pub(super) fn database(&mut self, url: &Spanned<String>) -> Option<PathBuf> {
        let text = url.value.as_str();
        let Some((scheme, rest)) = text.split_once(':') else {
            return self.refuse(url.at, format!("`{text}` is not a state URL"), format!("write `sqlite:{text}`"));
        };
        match scheme {
            "sqlite" => {}
            // The rest of the URL may hold a password: it is not repeated.
            "postgres" | "postgresql" => {
                return self.refuse(
                    url.at,
                    "PostgreSQL is not supported in this version",
                    "write `sqlite:certferry.db`; one engine at a time works on a state",
                );
            }
            _ => {
                return self.refuse(
                    url.at,
                    format!("state URLs do not start with `{scheme}:`"),
                    "write `sqlite:certferry.db`",
                );
            }
        }
        if rest.contains('?') {
            return self.refuse(url.at, "the state URL has options", "write the path only: `sqlite:certferry.db`");
        }
        let path = rest.strip_prefix("//").unwrap_or(rest);
        if path.contains(":memory:") {
            return self.refuse(
                url.at,
                "a state in memory forgets the account and every key at the end of the run",
                "name a file: `sqlite:certferry.db`",
            );
        }
        self.path(&Spanned { value: path.to_owned(), at: url.at })
    }

    /// A file that may hold a key: when it is there, others cannot read it.
    pub(super) fn private(&mut self, path: PathBuf, at: Option<Position>) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;

        let shown = path.display();
        let error = match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(path),
            Err(error) => Some((
                format!("the key file {shown} cannot be looked at: {}", plain(&error)),
                format!("is {shown} readable?"),
            )),
            Ok(metadata) if !metadata.is_file() => Some((
                format!("the key file {shown} is not a file"),
                "name a file; it is made when it is not there".to_owned(),
            )),
            Ok(metadata) if metadata.permissions().mode() & self.bits_for_others(&path) != 0 => {
                let mode = metadata.permissions().mode() & 0o777;
                Some((
                    format!("the key file {shown} is open to others (mode {mode:04o})"),
                    format!("chmod 600 {shown}"),
                ))
            }
            Ok(_) => None,
        };
        let Some((message, hint)) = error else { return Some(path) };
        self.errors.push(Diagnostic::error(at, message).with_hint(hint));
        None
    }

    /// Which bits of a key file's mode let others in.
    fn bits_for_others(&self, path: &Path) -> u32 {
        let directory = self.environment.variable("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        bits_for_others(path, 0o077, directory.as_deref())
    }

    /// The secret behind a reference, without the line end that editors put after it.
    pub(super) fn secret(&mut self, reference: &Spanned<SecretReference>, example: &str) -> Option<Secret<String>> {
        let at = reference.at;
        let secret = match reference.value.0.split_once(':') {
            Some(("env", name)) if !name.is_empty() => match self.environment.variable(name) {
                Some(value) => Zeroizing::new(value),
                None => {
                    let message = format!("the environment variable `{name}` is not set");
                    return self.refuse(at, message, "set it where certferry is started, or write `file:PATH`");
                }
            },
            Some(("file", path)) if !path.is_empty() => {
                let path = self.path(&Spanned { value: path.to_owned(), at })?;
                Zeroizing::new(self.text(&path, at, "the secret")?)
            }
            _ => {
                return self.refuse(
                    at,
                    "a secret does not belong into this file, only a reference to it",
                    format!("write `env:{example}` for an environment variable, or `file:PATH` for a file"),
                );
            }
        };
        let text = secret.trim_end_matches(['\r', '\n']);
        if text.is_empty() {
            return self.refuse(at, "the secret is empty", "put it where this reference points");
        }
        Some(Secret::new(text.to_owned()))
    }

    /// The certificates of a PEM file.
    pub(super) fn roots(&mut self, value: &Spanned<String>) -> Option<Vec<CertificateDer<'static>>> {
        let path = self.path(value)?;
        let text = self.text(&path, value.at, "the file with trusted roots")?;
        let shown = path.display();
        match CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>() {
            Ok(roots) if !roots.is_empty() => Some(roots),
            Ok(_) => self.refuse(
                value.at,
                format!("there is no certificate in {shown}"),
                "it must hold the root in PEM (`-----BEGIN CERTIFICATE-----`)",
            ),
            Err(error) => self.refuse(
                value.at,
                format!("{shown} is not PEM: {error}"),
                "it must hold the root in PEM (`-----BEGIN CERTIFICATE-----`)",
            ),
        }
    }

    /// The PEM text of trusted roots.
    pub(super) fn roots_text(&mut self, value: &Spanned<String>) -> Option<String> {
        let encoded = |root: &CertificateDer<'_>| pem::encode(&pem::Pem::new("CERTIFICATE", root.to_vec()));
        self.roots(value).map(|roots| roots.iter().map(encoded).collect())
    }

    /// A file that must be there, though it is read later.
    pub(super) fn existing(&mut self, path: PathBuf, at: Position, what: &str, hint: &str) -> Option<PathBuf> {
        match std::fs::File::open(&path) {
            Ok(_) => Some(path),
            Err(error) => self.refuse(at, unreadable(what, &path, &error), hint),
        }
    }

    fn text(&mut self, path: &Path, at: Position, what: &str) -> Option<String> {
        let mut text = String::new();
        let read = std::fs::File::open(path).and_then(|file| file.take(LARGEST_FILE).read_to_string(&mut text));
        match read {
            Ok(_) => Some(text),
            Err(error) => {
                let hint = format!("relative paths start at {}", self.folder.display());
                self.refuse(at, unreadable(what, path, &error), hint)
            }
        }
    }
}

fn unreadable(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("{what} cannot be read from {}: {}", path.display(), plain(error))
}

/// What the system said, without its number for it.
pub(in crate::config) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split_once(" (os error").map_or_else(|| text.clone(), |(words, _)| words.to_lowercase())
}

const SHORTEST_LIMIT: Duration = Duration::from_secs(1);
const LONGEST_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Secrets and root certificates are small; a wrong path may lead to something endless.
const LARGEST_FILE: u64 = 4 * 1024 * 1024;
