//! certbot's accounts: `accounts/SERVER/PATH/ID/`.

use std::path::Path;

use serde::Deserialize;
use url::Url;

use super::private_key::PrivateKey;
use super::{FileError, Folder, entries, jwk, read_text};

/// One account.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// certbot's name for it: the folder's name.
    pub(crate) id: String,
    /// To which directory it belongs, as [`super::server_path`] writes it.
    pub(crate) server_path: String,
    /// Its URL.
    pub(crate) url: String,
    /// Its key.
    pub(crate) key: PrivateKey,
    /// The folder, for people.
    pub(crate) from: String,
}

/// Reads every account below `folder`.
pub(super) fn read_all(folder: &Path, into: &mut Folder) {
    walk(folder, "", 0, into);
}

fn walk(folder: &Path, server_path: &str, depth: usize, into: &mut Folder) {
    let paths = match entries(folder) {
        Ok(paths) => paths,
        Err(error) => return into.unusable.push(error),
    };
    for path in paths.iter().filter(|path| path.is_dir()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.join(KEY_FILE).exists() {
            match read(path, &name, server_path) {
                Ok(account) => into.accounts.push(account),
                Err(error) => into.unusable.push(error),
            }
        } else if depth < DEEPEST {
            let below = match server_path {
                "" => name.strip_suffix(":443").unwrap_or(&name).to_owned(),
                above => format!("{above}/{name}"),
            };
            walk(path, &below, depth + 1, into);
        }
    }
}

fn read(folder: &Path, id: &str, server_path: &str) -> Result<Account, FileError> {
    let key_file = folder.join(KEY_FILE);
    let key = jwk::private_key(&read_text(&key_file)?).map_err(|what| FileError::new(&key_file, what))?;
    let registration_file = folder.join("regr.json");
    let wrong = |what: String| FileError::new(&registration_file, what);
    let registration: Registration = serde_json::from_str(&read_text(&registration_file)?)
        .map_err(|error| wrong(format!("is not an account's registration: {error}")))?;
    if let Err(error) = registration.uri.parse::<Url>() {
        return Err(wrong(format!("`uri` is not the account's URL: {error}")));
    }
    Ok(Account {
        id: id.to_owned(),
        server_path: server_path.to_owned(),
        url: registration.uri,
        key,
        from: folder.display().to_string(),
    })
}

/// What certbot writes of the CA's answer to newAccount.
#[derive(Deserialize)]
struct Registration {
    uri: String,
}

const KEY_FILE: &str = "private_key.json";

/// A directory's URL has few parts; and links below `accounts` may go round in circles.
const DEEPEST: usize = 8;
