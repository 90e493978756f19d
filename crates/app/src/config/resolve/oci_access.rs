//! How OCI is called.

use std::path::PathBuf;

use certferry_core::Secret;
use certferry_providers::load_balancer::oci::{
    ApiKeyFile, Auth, CustomRegions, InstancePrincipal, OciAccess, ResourcePrincipal, SessionTokenFile,
};

use super::Resolver;
use crate::config::file;
use crate::config::spanned::{Position, Spanned};

impl Resolver<'_> {
    /// `at` is what is pointed at when no credential is written.
    pub(super) fn oci_access(
        &mut self,
        auth: Option<&Spanned<file::OciAuth>>,
        endpoint: Option<&Spanned<String>>,
        at: Position,
    ) -> Option<OciAccess> {
        let auth = self.oci_auth(auth, at);
        let endpoint = match endpoint {
            Some(endpoint) => self.parsed(endpoint, "write `https://host`, as in the API's own endpoint").map(Some),
            None => Some(None),
        };
        let custom_regions = self.custom_regions();
        Some(OciAccess { endpoint: endpoint?, custom_regions, ..OciAccess::signed_by(auth?) })
    }

    fn oci_auth(&mut self, written: Option<&Spanned<file::OciAuth>>, at: Position) -> Option<Auth> {
        let Some(auth) = written else {
            return self.api_key(&file::ApiKey::default(), at).map(Auth::ApiKey);
        };
        match &auth.value {
            file::OciAuth::ApiKey(key) => self.api_key(key, auth.at).map(Auth::ApiKey),
            file::OciAuth::SessionToken(token) => {
                let (config_file, profile) =
                    self.oci_profile(token.config_file.as_ref(), token.profile.as_ref(), auth.at, "session-token")?;
                Some(Auth::SessionToken(SessionTokenFile { config_file, profile }))
            }
            // What the environment lacks is told when the resource is to act, not when its config is looked at elsewhere.
            file::OciAuth::InstancePrincipal => Some(Auth::InstancePrincipal(InstancePrincipal {
                metadata_base_url: self.environment.variable("OCI_METADATA_BASE_URL"),
                auth_url: self.environment.variable("OCI_SDK_AUTH_CLIENT_REGION_URL"),
            })),
            file::OciAuth::ResourcePrincipal => {
                let variable = |name: &str| self.environment.variable(&format!("OCI_RESOURCE_PRINCIPAL_{name}"));
                let secret = |name: &str| variable(name).map(Secret::new);
                Some(Auth::ResourcePrincipal(Box::new(ResourcePrincipal {
                    version: variable("VERSION"),
                    session_token: secret("RPST"),
                    private_key: secret("PRIVATE_PEM"),
                    pass_phrase: secret("PRIVATE_PEM_PASSPHRASE"),
                    region: variable("REGION"),
                })))
            }
        }
    }

    /// Regions that no table holds, as Oracle's own tools are told of them.
    fn custom_regions(&self) -> CustomRegions {
        CustomRegions {
            region_metadata: self.environment.variable("OCI_REGION_METADATA"),
            default_domain: self.environment.variable("OCI_DEFAULT_REALM"),
        }
    }

    fn api_key(&mut self, key: &file::ApiKey, at: Position) -> Option<ApiKeyFile> {
        let found = self.oci_profile(key.config_file.as_ref(), key.profile.as_ref(), at, "api-key");
        let pass_phrase = match &key.pass_phrase {
            Some(reference) => self.secret(reference, "OCI_KEY_PASS_PHRASE").map(Some),
            None => Some(None),
        };
        let (config_file, profile) = found?;
        Some(ApiKeyFile { config_file, profile, pass_phrase: pass_phrase? })
    }

    fn oci_profile(
        &mut self,
        config_file: Option<&Spanned<String>>,
        profile: Option<&Spanned<String>>,
        at: Position,
        way: &str,
    ) -> Option<(PathBuf, String)> {
        let usual = Spanned { value: DEFAULT_OCI_CONFIG.to_owned(), at };
        let written = config_file.unwrap_or(&usual);
        let path = self.path(written)?;
        let path = self.existing(
            path,
            written.at,
            if config_file.is_some() { "the OCI config file" } else { "the usual OCI config file" },
            &format!("`oci setup config` makes one; name another with `auth: {{ {way}: {{ config-file: … }} }}`"),
        )?;
        Some((path, profile.map_or_else(|| "DEFAULT".to_owned(), |profile| profile.value.clone())))
    }
}

const DEFAULT_OCI_CONFIG: &str = "~/.oci/config";
