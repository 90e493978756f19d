//! How requests are signed, as the config and the environment say it.

use std::path::PathBuf;

use certferry_core::Secret;

/// How requests are signed.
#[derive(Clone, Debug)]
pub enum Auth {
    /// By the API key of a user.
    ApiKey(ApiKeyFile),
    /// As the compute instance that the program runs on.
    InstancePrincipal(InstancePrincipal),
    /// As the resource (function, container instance …) that the program runs in.
    ResourcePrincipal(Box<ResourcePrincipal>),
    /// By a session token, which a person gets with `oci session authenticate`.
    SessionToken(SessionTokenFile),
}

impl Auth {
    /// Whether OCI knows the caller as a resource, which is allowed things through a dynamic group.
    pub(crate) fn is_principal(&self) -> bool {
        matches!(self, Self::InstancePrincipal(_) | Self::ResourcePrincipal(_))
    }
}

/// Where an API key is described.
#[derive(Clone, Debug)]
pub struct ApiKeyFile {
    /// The SDK's config file; `~/` is the home directory.
    pub config_file: PathBuf,
    /// The profile (section) in it.
    pub profile: String,
    /// What an encrypted key file is decrypted with; `None`: the profile's `pass_phrase`.
    pub pass_phrase: Option<Secret<String>>,
}

/// Where a session token is described: a profile with `security_token_file` and `key_file`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTokenFile {
    /// The SDK's config file; `~/` is the home directory.
    pub config_file: PathBuf,
    /// The profile (section) in it.
    pub profile: String,
}

/// Where an instance asks for its identity, when not in the usual places. Each value is that of an environment variable
/// which Oracle's SDKs read too.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstancePrincipal {
    /// `OCI_METADATA_BASE_URL`: the metadata service with its version path, usually `http://169.254.169.254/opc/v2`.
    pub metadata_base_url: Option<String>,
    /// `OCI_SDK_AUTH_CLIENT_REGION_URL`: the authentication service, usually `https://auth.<region>.<domain>`.
    pub auth_url: Option<String>,
}

/// What the platform puts into the environment of a resource (version 2.2). Each value is that of an environment variable;
/// those of token, key and pass phrase may be the thing itself or the absolute path of a file with it.
#[derive(Clone, Debug, Default)]
pub struct ResourcePrincipal {
    /// `OCI_RESOURCE_PRINCIPAL_VERSION`.
    pub version: Option<String>,
    /// `OCI_RESOURCE_PRINCIPAL_RPST`: the session token.
    pub session_token: Option<Secret<String>>,
    /// `OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM`: the private key.
    pub private_key: Option<Secret<String>>,
    /// `OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE`: what an encrypted private key is decrypted with.
    pub pass_phrase: Option<Secret<String>>,
    /// `OCI_RESOURCE_PRINCIPAL_REGION`.
    pub region: Option<String>,
}

/// What the environment says about regions that no table holds, as Oracle's SDKs read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomRegions {
    /// `OCI_REGION_METADATA`: one region as a JSON object.
    pub region_metadata: Option<String>,
    /// `OCI_DEFAULT_REALM`: the second-level domain of realms that no table holds.
    pub default_domain: Option<String>,
}
