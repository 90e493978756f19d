//! certbot's lineages: a certificate with its renewals, and the options with which it is renewed.

use std::path::{Path, PathBuf};

use certferry_core::{Chain, Identifier};
use url::Url;

use super::config_obj::Section;
use super::private_key::PrivateKey;
use super::{FileError, Folder, entries, read_text};

/// One lineage, with its newest certificate.
#[derive(Clone, Debug)]
pub(crate) struct Lineage {
    /// Its name.
    pub(crate) name: String,
    /// The directory that it is ordered from.
    pub(crate) server: Url,
    /// The ID of the account that orders it.
    pub(crate) account: Option<String>,
    /// How its names are validated: `standalone`, `webroot`, `dns-route53` …
    pub(crate) authenticator: Option<String>,
    /// The profile that is preferred or required.
    pub(crate) profile: Option<String>,
    /// The chain that is preferred.
    pub(crate) preferred_chain: Option<String>,
    /// Its newest certificate and key.
    pub(crate) pair: Pair,
}

/// A certificate and its key, which belong together.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The chain.
    pub(crate) chain: Chain,
    /// The names, sorted.
    pub(crate) names: Vec<Identifier>,
    /// The key.
    pub(crate) key: PrivateKey,
    /// The folder, for people.
    pub(crate) from: String,
}

impl Pair {
    /// Reads `fullchain.pem` and `privkey.pem` of a lineage's folder below `live`.
    ///
    /// # Errors
    /// A file that cannot be read, or that does not belong to the other.
    pub(crate) fn read(live: &Path) -> Result<Self, FileError> {
        Self::of(&live.join("fullchain.pem"), &live.join("privkey.pem"), live)
    }

    /// The newest files below `archive`: for a copy whose links are broken or were left out.
    fn read_newest(archive: &Path) -> Result<Option<Self>, FileError> {
        let number = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            name.strip_prefix("fullchain")?.strip_suffix(".pem")?.parse::<u32>().ok()
        };
        let Some(newest) = entries(archive)?.iter().filter_map(number).max() else { return Ok(None) };
        let file = |name: &str| archive.join(format!("{name}{newest}.pem"));
        Self::of(&file("fullchain"), &file("privkey"), archive).map(Some)
    }

    fn of(chain_file: &Path, key_file: &Path, folder: &Path) -> Result<Self, FileError> {
        let wrong = |what: String| FileError::new(chain_file, what);
        let chain = Chain::parse(&read_text(chain_file)?).map_err(|error| wrong(error.to_string()))?;
        let key = PrivateKey::from_pem(&read_text(key_file)?).map_err(|what| FileError::new(key_file, what))?;
        if chain.has_other_names() {
            return Err(wrong(
                "is also for something that is neither DNS name nor IP address, which certferry does not order"
                    .to_owned(),
            ));
        }
        let names: Result<Vec<Identifier>, _> = chain.leaf().names.iter().map(|name| name.parse()).collect();
        let mut names = names.map_err(|error| wrong(error.to_string()))?;
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Err(wrong("is for neither DNS name nor IP address".to_owned()));
        }
        chain
            .check_ordered(&key.public_key_info, &names)
            .map_err(|_| wrong(format!("does not belong to the private key in {}", key_file.display())))?;
        Ok(Self { chain, names, key, from: folder.display().to_string() })
    }
}

/// Reads every lineage that certbot would renew.
pub(super) fn read_all(folder: &Path, into: &mut Folder) {
    let renewal = match entries(&folder.join("renewal")) {
        Ok(paths) => paths,
        Err(error) => return into.unusable.push(error),
    };
    for path in renewal.iter().filter(|path| path.extension().is_some_and(|extension| extension == "conf")) {
        match read(folder, path) {
            Ok(lineage) => into.lineages.push(lineage),
            Err(error) => into.unusable.push(error),
        }
    }
}

fn read(folder: &Path, file: &Path) -> Result<Lineage, FileError> {
    let wrong = |what: String| FileError::new(file, what);
    let root = Section::parse(&read_text(file)?).map_err(|error| wrong(error.to_string()))?;
    let options = root.section("renewalparams").ok_or_else(|| wrong("has no section [renewalparams]".to_owned()))?;
    let server = options.text("server").unwrap_or(DEFAULT_SERVER);
    let server = server.parse().map_err(|error| wrong(format!("`server` is not a URL: {error}")))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = |key: &str| options.text(key).map(str::to_owned);
    let live = folder.join("live").join(&name);
    let pair = match live.join("fullchain.pem").exists() {
        true => Pair::read(&live)?,
        false => Pair::read_newest(&folder.join("archive").join(&name))?.ok_or_else(|| {
            wrong(format!(
                "has no certificate: neither {} nor a file in archive/{name}",
                live.join("fullchain.pem").display()
            ))
        })?,
    };
    Ok(Lineage {
        server,
        account: text("account"),
        authenticator: text("authenticator"),
        profile: text("required_profile").or_else(|| text("preferred_profile")),
        preferred_chain: text("preferred_chain"),
        pair,
        name,
    })
}

/// certbot's own default.
const DEFAULT_SERVER: &str = "https://acme-v02.api.letsencrypt.org/directory";
