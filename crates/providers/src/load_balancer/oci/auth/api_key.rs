//! The API key: found through the SDK's config file, with the private key beside it.

use std::fs;
use std::path::Path;

use certferry_core::{Error, ErrorKind, Secret};
use zeroize::Zeroizing;

use super::super::signature::SigningKey;
use super::config::ApiKeyFile;
use super::files::{check_key_mode, config_file, expand, refused};
use super::private_key;
use super::profile::ApiKeyProfile;

/// An API key that can sign, and the region that its profile names.
#[derive(Clone, Debug)]
pub(in super::super) struct ApiKey {
    pub(super) signer: SigningKey,
    pub(super) region: Option<String>,
}

impl ApiKey {
    /// Reads config file and key file.
    pub(super) fn load(file: &ApiKeyFile, home: Option<&Path>) -> Result<Self, Error> {
        let path = expand(&file.config_file, home);
        let text = config_file(&path, OPERATION)?;
        let profile = ApiKeyProfile::parse(&text, &file.profile).map_err(|refusal| refusal.about(&path, OPERATION))?;
        let key_path = expand(&profile.key_file, home);
        check_key_mode(&key_path, OPERATION)?;
        let pem = fs::read(&key_path).map(Zeroizing::new).map_err(|error| {
            refused(&key_path, OPERATION, ErrorKind::NotFound, &error.to_string())
                .with_hint(format!("`key_file` of profile {} names it", file.profile))
        })?;
        let pass_phrase = file.pass_phrase.as_ref().or(profile.pass_phrase.as_ref());
        let pair = private_key::parse(&pem, pass_phrase.map(Secret::expose).map(String::as_str))
            .map_err(|problem| problem.refusal(PASS_PHRASE).about(&key_path, OPERATION))?;
        let key_id = format!("{}/{}/{}", profile.tenancy, profile.user, profile.fingerprint);
        Ok(Self { signer: SigningKey::new(pair, key_id), region: profile.region })
    }
}

const OPERATION: &str = "reading the API key";

/// Where the pass phrase is looked for.
const PASS_PHRASE: &str = "`pass-phrase: env:NAME` or `pass-phrase: file:PATH` beside `config-file`, or `pass_phrase` in \
                           the profile";

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::private_key::samples;
    use super::*;

    const CONFIG: &str = "[DEFAULT]\nuser=ocid1.user.oc1..u\ntenancy=ocid1.tenancy.oc1..t\n\
        fingerprint=00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\nkey_file=~/key.pem\nregion=us-ashburn-1\n\
        [other]\nregion = eu-frankfurt-1\n";

    fn home(config: &str, key: &str, mode: u32) -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".oci")).unwrap();
        fs::write(home.path().join(".oci/config"), config).unwrap();
        fs::write(home.path().join("key.pem"), key).unwrap();
        fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
        home
    }

    fn file(profile: &str) -> ApiKeyFile {
        ApiKeyFile { config_file: "~/.oci/config".into(), profile: profile.to_owned(), pass_phrase: None }
    }

    #[test]
    fn a_profile_inherits_from_default_and_finds_its_key() {
        let home = home(CONFIG, &format!("{}OCI_API_KEY\n", samples::pkcs8()), 0o600);
        let key = ApiKey::load(&file("other"), Some(home.path())).unwrap();
        assert_eq!(
            key.signer.name(),
            "ocid1.tenancy.oc1..t/ocid1.user.oc1..u/00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"
        );
        assert_eq!(key.region.as_deref(), Some("eu-frankfurt-1"));
        assert!(!format!("{key:?}").contains("BEGIN"));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_helps() {
        let home = home(CONFIG, &samples::pkcs8(), 0o640);
        let error = ApiKey::load(&file("DEFAULT"), Some(home.path())).unwrap_err();
        assert!(error.to_string().contains("0640") && error.to_string().contains("key.pem"), "{error}");
        assert!(error.hint().unwrap().starts_with("chmod 600 "), "{error}");
    }

    #[test]
    fn an_encrypted_key_is_opened_by_the_configs_pass_phrase_before_the_profiles() {
        let right = home(&format!("{CONFIG}pass_phrase={}\n", samples::PASS_PHRASE), samples::ENCRYPTED, 0o600);
        ApiKey::load(&file("other"), Some(right.path())).unwrap();
        let other = ApiKeyFile { pass_phrase: Some(Secret::new("other".to_owned())), ..file("other") };
        let error = ApiKey::load(&other, Some(right.path())).unwrap_err();
        assert!(error.to_string().contains("the pass phrase does not open it"), "{error}");
        let wrong = home(&format!("{CONFIG}pass_phrase=wrong\n"), samples::ENCRYPTED, 0o600);
        let given = Some(Secret::new(samples::PASS_PHRASE.to_owned()));
        ApiKey::load(&ApiKeyFile { pass_phrase: given, ..file("other") }, Some(wrong.path())).unwrap();
        let none = home(CONFIG, samples::ENCRYPTED, 0o600);
        let error = ApiKey::load(&file("other"), Some(none.path())).unwrap_err();
        assert!(error.to_string().contains("encrypted") && error.to_string().contains("key.pem"), "{error}");
        assert!(error.hint().unwrap().contains("pass-phrase: env:NAME"), "{error}");
    }
}
