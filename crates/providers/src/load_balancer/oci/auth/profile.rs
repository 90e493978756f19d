//! A profile of the SDK's config file (`~/.oci/config`,
//! <https://docs.oracle.com/iaas/Content/API/Concepts/sdkconfig.htm>).

use std::path::PathBuf;

use certferry_core::Secret;

use super::files::Refusal;
use super::ini::{Ini, Section};

/// What a profile with an API key says.
#[derive(Debug)]
pub(super) struct ApiKeyProfile {
    pub(super) tenancy: String,
    pub(super) user: String,
    pub(super) fingerprint: String,
    pub(super) key_file: PathBuf,
    pub(super) pass_phrase: Option<Secret<String>>,
    pub(super) region: Option<String>,
}

/// What a profile with a session token says.
#[derive(Debug)]
pub(super) struct SessionProfile {
    pub(super) token_file: PathBuf,
    pub(super) key_file: PathBuf,
    pub(super) pass_phrase: Option<Secret<String>>,
    pub(super) region: Option<String>,
}

impl ApiKeyProfile {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, Refusal> {
        let ini = parse(text)?;
        let section = section(&ini, name)?;
        if section.get("security_token_file").is_some() {
            return Err(Refusal::new(
                format!("profile {name} holds a session token, not an API key"),
                format!("say so: `auth: {{ session-token: {{ profile: {name} }} }}`"),
            ));
        }
        let keys = "a profile needs user, tenancy, fingerprint, key_file and region";
        let profile = Self {
            tenancy: required(&section, name, "tenancy", keys)?,
            user: required(&section, name, "user", keys)?,
            fingerprint: required(&section, name, "fingerprint", keys)?,
            key_file: PathBuf::from(required(&section, name, "key_file", keys)?),
            pass_phrase: pass_phrase(&section),
            region: region(&section),
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

impl SessionProfile {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, Refusal> {
        let ini = parse(text)?;
        let section = section(&ini, name)?;
        let hint = format!("`oci session authenticate --profile-name {name}` writes such a profile");
        Ok(Self {
            token_file: PathBuf::from(required(&section, name, "security_token_file", &hint)?),
            key_file: PathBuf::from(required(&section, name, "key_file", &hint)?),
            pass_phrase: pass_phrase(&section),
            region: region(&section),
        })
    }
}

fn parse(text: &str) -> Result<Ini, Refusal> {
    Ini::parse(text).map_err(|error| Refusal::new(error.to_string(), "correct that line"))
}

fn section<'a>(ini: &'a Ini, name: &str) -> Result<Section<'a>, Refusal> {
    ini.section(name).ok_or_else(|| {
        let known = ini.section_names().collect::<Vec<_>>().join(", ");
        Refusal::new(format!("it has no profile {name}"), format!("profiles in it: {known}"))
    })
}

fn required(section: &Section<'_>, profile: &str, key: &str, hint: &str) -> Result<String, Refusal> {
    let value = section.get(key).filter(|value| !value.is_empty());
    value.map(str::to_owned).ok_or_else(|| Refusal::new(format!("profile {profile} has no `{key}`"), hint))
}

fn pass_phrase(section: &Section<'_>) -> Option<Secret<String>> {
    section.get("pass_phrase").filter(|phrase| !phrase.is_empty()).map(|phrase| Secret::new(phrase.to_owned()))
}

fn region(section: &Section<'_>) -> Option<String> {
    section.get("region").filter(|region| !region.is_empty()).map(str::to_owned)
}

fn is_fingerprint(text: &str) -> bool {
    let pairs: Vec<&str> = text.split(':').collect();
    let hex = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    pairs.len() == 16 && pairs.iter().all(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "[DEFAULT]\nuser=ocid1.user.oc1..u\ntenancy=ocid1.tenancy.oc1..t\n\
        fingerprint=00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\nkey_file=~/key.pem\nregion=us-ashburn-1\n\
        [other]\nregion = eu-frankfurt-1\n";

    #[test]
    fn a_profile_that_lacks_something_says_what() {
        let without = |key: &str| CONFIG.lines().filter(|line| !line.starts_with(key)).collect::<Vec<_>>().join("\n");
        for key in ["user", "tenancy", "fingerprint", "key_file"] {
            let refusal = ApiKeyProfile::parse(&without(key), "DEFAULT").unwrap_err();
            assert!(refusal.problem.contains(key), "{refusal:?}");
        }
        let missing = ApiKeyProfile::parse(CONFIG, "third").unwrap_err();
        assert!(missing.hint.contains("DEFAULT, other"), "{missing:?}");
        let short = CONFIG.replace("00:11:", "");
        assert!(ApiKeyProfile::parse(&short, "DEFAULT").unwrap_err().problem.contains("fingerprint"));
    }

    #[test]
    fn the_two_kinds_of_profile_are_told_apart() {
        let session = format!("{CONFIG}security_token_file=~/token\npass_phrase = hunter2\n");
        let refusal = ApiKeyProfile::parse(&session, "other").unwrap_err();
        assert!(refusal.hint.contains("session-token: { profile: other }"), "{refusal:?}");
        let profile = SessionProfile::parse(&session, "other").unwrap();
        assert_eq!((profile.token_file, profile.key_file), (PathBuf::from("~/token"), PathBuf::from("~/key.pem")));
        assert_eq!(profile.region.as_deref(), Some("eu-frankfurt-1"));
        assert!(profile.pass_phrase.is_some_and(|phrase| phrase.expose() == "hunter2"));
        let refusal = SessionProfile::parse(CONFIG, "other").unwrap_err();
        assert!(refusal.problem.contains("security_token_file"), "{refusal:?}");
        assert!(refusal.hint.contains("oci session authenticate --profile-name other"), "{refusal:?}");
    }

    #[test]
    fn a_profile_does_not_print_its_pass_phrase() {
        let profile = ApiKeyProfile::parse(&format!("{CONFIG}pass_phrase=hunter2"), "other").unwrap();
        assert!(!format!("{profile:?}").contains("hunter2"));
    }
}
