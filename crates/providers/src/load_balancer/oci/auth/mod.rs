//! What requests are signed with. An API key stays what it is; the others are short-lived tokens, which are renewed here:
//! before they end, and once more when the service refuses one.

mod api_key;
mod config;
mod federation;
mod files;
mod held_token;
mod identity;
mod ini;
mod instance_principal;
mod metadata;
mod private_key;
mod profile;
#[cfg(any(test, fuzzing))]
pub(super) mod properties;
mod resource_principal;
mod session_token;
mod token;

use std::path::Path;
use std::sync::Arc;

use certferry_core::{Clock, Error};

use super::config::Limits;
use super::region::{RegionInfo, Regions};
use super::signature::SigningKey;
use api_key::ApiKey;
pub use config::{ApiKeyFile, Auth, CustomRegions, InstancePrincipal, ResourcePrincipal, SessionTokenFile};
use held_token::HeldToken;
use instance_principal::Instance;
pub use instance_principal::Principals;

/// Something that signs requests.
pub(super) enum Credential {
    ApiKey(ApiKey),
    Instance(Arc<Instance>),
    Token(Box<HeldToken>),
}

impl Credential {
    /// Reads what does not change while the program runs. No call is made.
    pub(super) fn open(
        auth: &Auth,
        home: Option<&Path>,
        regions: &Regions,
        principals: &Principals,
        limits: &Limits,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        Ok(match auth {
            Auth::ApiKey(file) => Self::ApiKey(ApiKey::load(file, home)?),
            Auth::InstancePrincipal(places) => Self::Instance(principals.instance(places, regions, limits, clock)?),
            Auth::ResourcePrincipal(given) => Self::Token(Box::new(resource_principal::open(given, clock)?)),
            Auth::SessionToken(file) => Self::Token(Box::new(session_token::open(file, home, clock)?)),
        })
    }

    /// What to sign the next request with.
    pub(super) async fn key(&self) -> Result<SigningKey, Error> {
        match self {
            Self::ApiKey(key) => Ok(key.signer.clone()),
            Self::Instance(instance) => instance.key().await,
            Self::Token(token) => token.key().await,
        }
    }

    /// Looks for something else to sign with than what the service has just refused; says whether there is something.
    pub(super) async fn renew(&self, refused: &SigningKey) -> Result<bool, Error> {
        match self {
            Self::ApiKey(_) => Ok(false),
            Self::Instance(instance) => instance.renew(refused).await,
            Self::Token(token) => token.renew(refused).await,
        }
    }

    /// The region that profile or environment state.
    pub(super) fn stated_region(&self) -> Option<&str> {
        match self {
            Self::ApiKey(key) => key.region.as_deref(),
            Self::Instance(_) => None,
            Self::Token(token) => token.region(),
        }
    }

    /// The realm of the tenancy, where the key's id shows it (`ocid1.tenancy.<realm>…`).
    pub(super) fn realm(&self) -> Option<&str> {
        match self {
            Self::ApiKey(key) => key.signer.name().split('.').nth(2),
            Self::Instance(_) | Self::Token(_) => None,
        }
    }

    /// The region that the instance runs in, by its metadata; `None` for what is no instance.
    pub(super) async fn region(&self) -> Result<Option<RegionInfo>, Error> {
        match self {
            Self::Instance(instance) => instance.region().await.map(Some),
            Self::ApiKey(_) | Self::Token(_) => Ok(None),
        }
    }

    /// Whether [`region`](Self::region) gives one.
    pub(super) fn knows_its_region(&self) -> bool {
        matches!(self, Self::Instance(_))
    }

    /// What to look at when the service does not accept the signature.
    pub(super) fn hint_when_refused(&self) -> String {
        match self {
            Self::ApiKey(key) => format!(
                "is the API key {} still in the user's list in the console, do key_file and fingerprint belong together, and \
                 is this machine's clock right?",
                key.signer.name()
            ),
            Self::Instance(_) => {
                "the instance's token is new and refused all the same: is this machine's clock right, and \
                                  does the load balancer belong to the realm that the instance runs in?"
                    .to_owned()
            }
            Self::Token(token) => token.hint_when_refused(),
        }
    }

    /// The policy statement that may be missing, as far as it can be told.
    pub(super) fn statement(&self, what: &str) -> String {
        self.statement_where(what, "")
    }

    /// The same with a condition, unless that is empty.
    pub(super) fn statement_where(&self, what: &str, condition: &str) -> String {
        let (grantee, rule) = match self {
            Self::ApiKey(_) => ("group <group>", None),
            Self::Instance(instance) => {
                let id = instance.id().map_or_else(|| "<instance OCID>".to_owned(), str::to_owned);
                ("dynamic-group <dynamic group>", Some(format!("instance.id = '{id}'")))
            }
            Self::Token(token) if token.is_principal() => {
                ("dynamic-group <dynamic group>", Some("resource.id = '<resource OCID>'".to_owned()))
            }
            Self::Token(_) => ("group <group>", None),
        };
        let condition = if condition.is_empty() { String::new() } else { format!(" where {condition}") };
        let statement = format!("`Allow {grantee} to {what} in compartment <compartment>{condition}`");
        match rule {
            None => statement,
            Some(rule) => format!("{statement}, where the dynamic group's matching rule is true for `{rule}`"),
        }
    }
}
