//! What the config says about an Avi controller's tenant, parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use certferry_core::{Identifier, ListenerName, Secret};

use crate::http::{Backoff, BaseUrl};

/// One tenant of an Avi controller.
#[derive(Clone, Debug)]
pub struct AviConfig {
    /// The controller's (or its cluster's) address.
    pub controller: BaseUrl,
    /// Who logs in.
    pub username: String,
    /// With what.
    pub credential: Credential,
    /// The tenant that all objects are in.
    pub tenant: String,
    /// PEM of the roots that the controller's certificate is checked against; the platform's when absent.
    pub trusted_roots: Option<String>,
    /// What certificates are deployed to: a virtual service's name, or a host name that leads to exactly one.
    pub listeners: BTreeSet<ListenerName>,
    /// How http-01 requests are answered, where this tenant's virtual services answer them.
    pub http01: Option<Http01Config>,
    /// How host names are looked up that no object of the tenant holds.
    pub lookup: Lookup,
    /// Time limits.
    pub limits: Limits,
}

/// How the addresses of a host name are found.
#[derive(Clone, Debug, Default)]
pub enum Lookup {
    /// From a table.
    Fixed(BTreeMap<String, Vec<IpAddr>>),
    /// As this machine finds them.
    #[default]
    System,
}

/// How to log in.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A local user's password.
    Password(Secret<String>),
    /// An authentication token ("Generate Token" in the UI).
    Token(Secret<String>),
}

/// How http-01 requests are answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http01Config {
    /// The virtual services that a name leads to, written as listeners are, where the config says it. Any other name must
    /// lead to exactly one by itself: as a virtual host, an FQDN, or by its address.
    pub names: BTreeMap<Identifier, Vec<ListenerName>>,
    /// Where a name is answered for that leads nowhere by itself.
    pub otherwise: Vec<ListenerName>,
    /// What to do when nothing listens on port 80 of such a virtual service's address.
    pub port_80: Port80,
    /// Leave what was made in place, empty of tokens.
    pub keep: bool,
    /// Where to fetch challenge responses for the self-check; empty: the virtual services' own addresses, port 80.
    pub probe: Vec<SocketAddr>,
}

/// What to do when nothing listens on port 80, as the config writes it: `sibling`, `add-service` or `require`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Port80 {
    /// Add port 80 to the virtual service, which then answers there in clear text while the order lasts.
    AddService,
    /// Make nothing: it is an error.
    Require,
    /// Make a virtual service of certferry's own at the same address, which knows nothing but challenges.
    #[default]
    Sibling,
}

/// Time limits. The defaults suit the real controller; tests make them small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection to be made.
    pub connect: Duration,
    /// For one exchange. The controller's own limit is 60 s.
    pub request: Duration,
    /// For one read with all its repetitions, and for one change with all its new starts.
    pub retry: Duration,
    /// No second login within this time after one was refused: a controller locks a user out after 20 failures in half
    /// an hour.
    pub refused_login: Duration,
    /// Waits between repetitions.
    pub backoff: Backoff,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(75),
            retry: Duration::from_secs(5 * 60),
            refused_login: Duration::from_secs(30 * 60),
            backoff: Backoff::default(),
        }
    }
}

impl FromStr for Port80 {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let known = [Self::AddService, Self::Require, Self::Sibling];
        let found = known.into_iter().find(|choice| choice.as_str() == text);
        found.ok_or_else(|| ConfigError { text: text.to_owned() })
    }
}

impl Port80 {
    /// The word in the config.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddService => "add-service",
            Self::Require => "require",
            Self::Sibling => "sibling",
        }
    }
}

impl fmt::Display for Port80 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A word that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is refused: write sibling, add-service or require")]
pub struct ConfigError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_for_port_80_read_as_they_are_written() {
        for text in ["sibling", "add-service", "require"] {
            assert_eq!(text.parse::<Port80>().unwrap().to_string(), text);
        }
        assert!("Sibling".parse::<Port80>().is_err());
    }

    #[test]
    fn a_config_prints_without_its_password() {
        for credential in
            [Credential::Password("hunter2".to_owned().into()), Credential::Token("hunter2".to_owned().into())]
        {
            assert!(!format!("{credential:?}").contains("hunter2"));
        }
    }
}
