//! How requests to OCI are signed, as written.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::config::spanned::{SecretReference, Spanned};

/// How API requests are signed: one of these.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub enum OciAuth {
    /// By an API key, described by the config file that the `oci` CLI uses; `{ api-key: {} }` for its defaults.
    ApiKey(ApiKey),
    /// As the compute instance that certferry runs on (`auth: instance-principal`): no key on disk; a dynamic group that
    /// the instance matches is allowed things instead of a user.
    InstancePrincipal,
    /// As the function, container instance or other resource that certferry runs in (`auth: resource-principal`), by
    /// what its platform puts into the environment (`OCI_RESOURCE_PRINCIPAL_VERSION` 2.2).
    ResourcePrincipal,
    /// By the token of a person's session, as `oci session authenticate` gets it. It ends within a day.
    SessionToken(SessionToken),
}

// By hand, because a derived one that finds `api-key` as a word complains about the line after it.
impl<'de> Deserialize<'de> for OciAuth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AuthVisitor;

        impl<'de> Visitor<'de> for AuthVisitor {
            type Value = OciAuth;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a way to sign requests")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<OciAuth, E> {
                match word {
                    "api-key" | "session-token" => Err(E::custom(format!(
                        "`{word}` says nothing more: write `{{ {word}: {{}} }}` for its defaults"
                    ))),
                    "instance-principal" => Ok(OciAuth::InstancePrincipal),
                    "resource-principal" => Ok(OciAuth::ResourcePrincipal),
                    _ => Err(E::unknown_variant(word, &WAYS)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OciAuth, A::Error> {
                let mut auth = None;
                while let Some(key) = map.next_key::<String>()? {
                    let one = match key.as_str() {
                        "api-key" => OciAuth::ApiKey(map.next_value()?),
                        "session-token" => OciAuth::SessionToken(map.next_value()?),
                        "instance-principal" | "resource-principal" => {
                            return Err(de::Error::custom(format!("`{key}` is a word: write `auth: {key}`")));
                        }
                        _ => return Err(de::Error::unknown_field(&key, &WITH_SETTINGS)),
                    };
                    if auth.replace(one).is_some() {
                        return Err(de::Error::custom("requests are signed in one way: write one of the two"));
                    }
                }
                auth.ok_or_else(|| de::Error::missing_field("api-key"))
            }
        }

        deserializer.deserialize_any(AuthVisitor)
    }
}

const WAYS: [&str; 4] = ["api-key", "instance-principal", "resource-principal", "session-token"];
const WITH_SETTINGS: [&str; 2] = ["api-key", "session-token"];

/// An API key in a config file of the `oci` CLI.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApiKey {
    /// The config file, relative to this file; `~` is the home directory. Default: `~/.oci/config`.
    pub config_file: Option<Spanned<String>>,
    /// The profile (section) in it. Default: `DEFAULT`.
    pub profile: Option<Spanned<String>>,
    /// What an encrypted key file is decrypted with, as `env:NAME` or `file:PATH`; never the pass phrase itself. Default:
    /// the profile's `pass_phrase`.
    pub pass_phrase: Option<Spanned<SecretReference>>,
}

/// A session in a config file of the `oci` CLI: a profile with `security_token_file` and `key_file`. Both files are read
/// anew for every request, so that `oci session refresh` is enough.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionToken {
    /// The config file, relative to this file; `~` is the home directory. Default: `~/.oci/config`.
    pub config_file: Option<Spanned<String>>,
    /// The profile (section) in it. Default: `DEFAULT`.
    pub profile: Option<Spanned<String>>,
}
