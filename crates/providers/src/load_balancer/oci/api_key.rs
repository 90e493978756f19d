//! The API key: found through the SDK's config file (`~/.oci/config`,
//! <https://docs.oracle.com/iaas/Content/API/Concepts/sdkconfig.htm>), with the private key beside it.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::RsaKeyPair;
use certferry_core::{Error, ErrorKind};
use zeroize::Zeroizing;

use super::config::ApiKeyFile;
use super::ini::Ini;
use super::signature::SigningKey;

/// An API key that can sign, and the region that its profile names.
#[derive(Clone, Debug)]
pub(super) struct ApiKey {
    pub(super) signer: SigningKey,
    pub(super) region: Option<String>,
}

impl ApiKey {
    /// Reads config file and key file.
    pub(super) fn load(file: &ApiKeyFile, home: Option<&Path>) -> Result<Self, Error> {
        let path = expand(&file.config_file, home);
        let text = fs::read_to_string(&path).map_err(|error| {
            refused(&path, ErrorKind::NotFound, &error.to_string())
                .with_hint("write the file with `oci setup config`, or name another in auth.api-key.config-file")
        })?;
        if readable_by_others(&path).is_some() {
            tracing::warn!(
                file = %path.display(),
                "the OCI config file can be read by others; it names your key: chmod 600 it"
            );
        }
        let profile = Profile::parse(&text, &file.profile)
            .map_err(|error| refused(&path, ErrorKind::Invalid, &error.problem).with_hint(error.hint))?;
        let key_path = expand(&profile.key_file, home);
        check_key_mode(&key_path)?;
        let pem = fs::read(&key_path).map(Zeroizing::new).map_err(|error| {
            refused(&key_path, ErrorKind::NotFound, &error.to_string())
                .with_hint(format!("`key_file` of profile {} names it", file.profile))
        })?;
        let pair = parse_private_key(&pem)
            .map_err(|error| refused(&key_path, ErrorKind::Invalid, &error.problem).with_hint(error.hint))?;
        let key_id = format!("{}/{}/{}", profile.tenancy, profile.user, profile.fingerprint);
        Ok(Self { signer: SigningKey::new(pair, key_id), region: profile.region })
    }
}

/// What is wrong with a file, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    problem: String,
    hint: String,
}

impl Refusal {
    fn new(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { problem: problem.into(), hint: hint.into() }
    }
}

/// The keys of a profile that matter.
#[derive(Debug, PartialEq, Eq)]
struct Profile {
    tenancy: String,
    user: String,
    fingerprint: String,
    key_file: PathBuf,
    region: Option<String>,
}

impl Profile {
    fn parse(text: &str, name: &str) -> Result<Self, Refusal> {
        let ini = Ini::parse(text).map_err(|error| Refusal::new(error.to_string(), "correct that line"))?;
        let section = ini.section(name).ok_or_else(|| {
            let known = ini.section_names().collect::<Vec<_>>().join(", ");
            Refusal::new(format!("it has no profile {name}"), format!("profiles in it: {known}"))
        })?;
        if section.get("security_token_file").is_some() {
            return Err(Refusal::new(
                format!("profile {name} holds a session token, which ends within a day"),
                "name a profile with an API key (user, fingerprint, key_file)",
            ));
        }
        let required = |key: &str| {
            let value = section.get(key).filter(|value| !value.is_empty());
            value.map(str::to_owned).ok_or_else(|| {
                Refusal::new(
                    format!("profile {name} has no `{key}`"),
                    "a profile needs user, tenancy, fingerprint, key_file and region",
                )
            })
        };
        let profile = Self {
            tenancy: required("tenancy")?,
            user: required("user")?,
            fingerprint: required("fingerprint")?,
            key_file: PathBuf::from(required("key_file")?),
            region: section.get("region").filter(|region| !region.is_empty()).map(str::to_owned),
        };
        for (key, value, start) in
            [("tenancy", &profile.tenancy, "ocid1.tenancy."), ("user", &profile.user, "ocid1.user.")]
        {
            let letters = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
            if !letters || !value.starts_with(start) {
                return Err(Refusal::new(
                    format!("`{key}` of profile {name} is not an OCID"),
                    format!("expected {start}…"),
                ));
            }
        }
        if !is_fingerprint(&profile.fingerprint) {
            return Err(Refusal::new(
                format!("`fingerprint` of profile {name} is not 16 hex pairs with colons"),
                "copy it from the console: user settings, API keys",
            ));
        }
        Ok(profile)
    }
}

fn is_fingerprint(text: &str) -> bool {
    let pairs: Vec<&str> = text.split(':').collect();
    let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    pairs.len() == 16 && pairs.iter().all(hex)
}

/// PKCS#1 or PKCS#8; text around the block (newer console downloads end in a line `OCI_API_KEY`) is no matter.
fn parse_private_key(bytes: &[u8]) -> Result<RsaKeyPair, Refusal> {
    let hint = "download a key pair from the console: user settings, API keys";
    let blocks = pem::parse_many(bytes).map_err(|error| Refusal::new(format!("it is not PEM: {error}"), hint))?;
    for block in blocks {
        let tag = block.tag().to_owned();
        let encrypted = block.headers().get("Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"));
        let der = Zeroizing::new(block.into_contents());
        let pair = match tag.as_str() {
            "ENCRYPTED PRIVATE KEY" => return Err(encrypted_key()),
            "RSA PRIVATE KEY" if encrypted => return Err(encrypted_key()),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
            _ => continue,
        };
        return pair.map_err(|error| Refusal::new(format!("it holds no RSA key that can sign: {error}"), hint));
    }
    Err(Refusal::new("it holds no private key", hint))
}

fn encrypted_key() -> Refusal {
    Refusal::new(
        "its private key is encrypted, which is not supported yet",
        "use a key of its own without a pass phrase, in a file that only certferry's user can read",
    )
}

/// A private key that others can read is not private: refused, as ssh does.
fn check_key_mode(path: &Path) -> Result<(), Error> {
    match readable_by_others(path) {
        None => Ok(()),
        Some(mode) => {
            Err(refused(path, ErrorKind::Denied, &format!("its mode is {mode:04o}: others can read the private key"))
                .with_hint(format!("chmod 600 {}", path.display())))
        }
    }
}

/// The mode, when group or others may read. A file that is not there is somebody else's finding.
#[cfg(unix)]
fn readable_by_others(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o7777;
    (mode & 0o044 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn readable_by_others(_path: &Path) -> Option<u32> {
    None
}

fn expand(path: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path.to_owned(),
    }
}

fn refused(path: &Path, kind: ErrorKind, said: &str) -> Error {
    Error::new(kind, "reading the API key", format!("file {}", path.display())).said(said)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;

    use super::*;

    const CONFIG: &str = "[DEFAULT]\nuser=ocid1.user.oc1..u\ntenancy=ocid1.tenancy.oc1..t\n\
        fingerprint=00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\nkey_file=~/key.pem\nregion=us-ashburn-1\n\
        [other]\nregion = eu-frankfurt-1\n";

    fn key_pem() -> String {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref().to_vec()))
    }

    /// The RSAPrivateKey inside PKCS#8: the last OCTET STRING, whose length stands in the two bytes before it.
    fn pkcs1(pkcs8: &[u8]) -> Vec<u8> {
        pkcs8[26..].to_vec()
    }

    #[cfg(unix)]
    fn home(config: &str, key: &str, mode: u32) -> tempfile::TempDir {
        use std::os::unix::fs::PermissionsExt;

        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".oci")).unwrap();
        fs::write(home.path().join(".oci/config"), config).unwrap();
        fs::write(home.path().join("key.pem"), key).unwrap();
        fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
        home
    }

    fn file(profile: &str) -> ApiKeyFile {
        ApiKeyFile { config_file: "~/.oci/config".into(), profile: profile.to_owned() }
    }

    #[cfg(unix)]
    #[test]
    fn a_profile_inherits_from_default_and_finds_its_key() {
        let home = home(CONFIG, &format!("{}OCI_API_KEY\n", key_pem()), 0o600);
        let key = ApiKey::load(&file("other"), Some(home.path())).unwrap();
        assert_eq!(
            key.signer.key_id(),
            "ocid1.tenancy.oc1..t/ocid1.user.oc1..u/00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"
        );
        assert_eq!(key.region.as_deref(), Some("eu-frankfurt-1"));
        assert!(!format!("{key:?}").contains("BEGIN"));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
        let home = home(CONFIG, &key_pem(), 0o640);
        let error = ApiKey::load(&file("DEFAULT"), Some(home.path())).unwrap_err();
        assert!(error.to_string().contains("0640") && error.to_string().contains("key.pem"), "{error}");
        assert!(error.hint().unwrap().starts_with("chmod 600 "), "{error}");
    }

    #[test]
    fn a_profile_that_lacks_something_says_what() {
        let without = |key: &str| CONFIG.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
        for key in ["user", "tenancy", "fingerprint", "key_file"] {
            let refusal = Profile::parse(&without(key), "DEFAULT").unwrap_err();
            assert!(refusal.problem.contains(key), "{refusal:?}");
        }
        let missing = Profile::parse(CONFIG, "third").unwrap_err();
        assert!(missing.hint.contains("DEFAULT, other"), "{missing:?}");
        let session = format!("{CONFIG}security_token_file=/x\n");
        assert!(Profile::parse(&session, "other").unwrap_err().problem.contains("session token"));
        let short = CONFIG.replace("00:11:", "");
        assert!(Profile::parse(&short, "DEFAULT").unwrap_err().problem.contains("fingerprint"));
    }

    #[test]
    fn pkcs1_and_pkcs8_are_read_and_encrypted_keys_are_named() {
        let pem = key_pem();
        parse_private_key(pem.as_bytes()).unwrap();
        let der = pkcs1(pem::parse(&pem).unwrap().contents());
        let pkcs1 = pem::encode(&pem::Pem::new("RSA PRIVATE KEY", der));
        parse_private_key(format!("{pkcs1}OCI_API_KEY").as_bytes()).unwrap();
        let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(parse_private_key(encrypted.as_bytes()).unwrap_err().problem.contains("not supported yet"));
        let old = pkcs1.replace(
            "-----BEGIN RSA PRIVATE KEY-----",
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n",
        );
        assert!(parse_private_key(old.as_bytes()).unwrap_err().problem.contains("not supported yet"));
        for text in ["", "hello", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            parse_private_key(text.as_bytes()).unwrap_err();
        }
    }
}
