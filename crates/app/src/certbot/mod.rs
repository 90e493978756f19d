//! What certbot keeps below its config folder (`/etc/letsencrypt`): read, and never written.
//!
//! ```text
//! accounts/SERVER/PATH/ID/{private_key,regr}.json   the key as JWK, and the account's URL
//! renewal/NAME.conf                                 a lineage's options, in ConfigObj's syntax
//! live/NAME/{fullchain,privkey}.pem                 links to the newest files of the lineage
//! archive/NAME/{fullchain,privkey}N.pem             the files
//! ```

mod account;
mod config_obj;
mod jwk;
mod lineage;
mod matching;
mod private_key;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use url::Url;
use zeroize::Zeroizing;

pub(crate) use account::Account;
pub(crate) use lineage::{Lineage, Pair};
pub(crate) use matching::{NoMatch, certificate_for};

/// All that is below one config folder.
#[derive(Debug, Default)]
pub(crate) struct Folder {
    /// The accounts, by server and ID.
    pub(crate) accounts: Vec<Account>,
    /// The lineages, by name.
    pub(crate) lineages: Vec<Lineage>,
    /// What cannot be used, and why.
    pub(crate) unusable: Vec<FileError>,
}

impl Folder {
    /// Reads `folder`. What cannot be used does not stop the rest.
    ///
    /// # Errors
    /// It is no config folder of certbot's.
    pub(crate) fn read(folder: &Path) -> Result<Self, FileError> {
        if !folder.join("renewal").is_dir() && !folder.join("accounts").is_dir() {
            let what = "it has neither a folder `renewal` nor a folder `accounts`, so it is not certbot's config folder \
                        (usually /etc/letsencrypt)";
            return Err(FileError::new(folder, what));
        }
        let mut all = Self::default();
        account::read_all(&folder.join("accounts"), &mut all);
        lineage::read_all(folder, &mut all);
        Ok(all)
    }
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub(crate) struct FileError {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is wrong in it; never what is secret in it.
    pub(crate) what: String,
}

impl FileError {
    fn new(path: &Path, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), what: what.into() }
    }
}

/// certbot's name of a server's folder below `accounts`: the directory's URL without its scheme. A port that every https
/// URL has is left out.
pub(crate) fn server_path(directory: &Url) -> String {
    let port = directory.port().map_or_else(String::new, |port| format!(":{port}"));
    format!("{}{port}{}", directory.host_str().unwrap_or_default(), directory.path().trim_end_matches('/'))
}

/// The text of a file of certbot's, wiped when dropped.
fn read_text(path: &Path) -> Result<Zeroizing<String>, FileError> {
    let failed = |error: io::Error| FileError::new(path, format!("cannot be read: {error}"));
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(FileError::new(path, format!("is larger than {LARGEST_FILE} bytes: certbot writes no such file")));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(FileError::new(path, "is not UTF-8 text")),
    }
}

/// The entries of a folder, sorted; none where there is no folder.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let failed = |error: io::Error| FileError::new(folder, format!("cannot be read: {error}"));
    let listing = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut paths: Vec<PathBuf> =
        listing.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// Ten certificates of the largest kind are a tenth of it.
const LARGEST_FILE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests;
