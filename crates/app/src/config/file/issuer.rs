//! Issuers as written.

use std::fmt;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::config::spanned::{SecretReference, Spanned};

/// A certification authority, and the account that is used with it. The account's key is made on first use and kept in
/// the state.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Issuer {
    /// `letsencrypt`, `letsencrypt-staging`, or the https URL of an ACME directory (RFC 8555 §7.1.1). Plain http is
    /// accepted on loopback addresses only. With another one, the next run orders all of the issuer's certificates anew.
    pub directory: Spanned<String>,
    /// Mail addresses that the CA may write to. Default: none; the account has no contact then.
    #[serde(default)]
    pub contact: Vec<Spanned<String>>,
    /// PEM file with root certificates that are trusted for the directory's HTTPS beside the system's, relative to this file:
    /// for a private CA. Default: the system's trust store alone.
    pub trusted_roots: Option<Spanned<String>>,
    /// External account binding (RFC 8555 §7.3.4), for CAs that ask for one. Used once, when the account is made.
    /// Default: none.
    pub eab: Option<ExternalAccount>,
    /// The profile to order with: `classic`, `tlsserver`, `shortlived` … as the CA names them; the same as `{ require: … }`.
    /// With `{ prefer: … }` a CA that does not offer it is ordered from all the same. Default: the CA's own default.
    pub profile: Option<Spanned<Profile>>,
    /// Which of the chains that the CA offers: the common name of the root, or of the last certificate sent, such as
    /// `ISRG Root X1`. Where none has it, the CA's default is used and the log says so. Default: the CA's default.
    pub preferred_chain: Option<Spanned<String>>,
    /// What kind of key a new account gets: `ecdsa-p256`, `ecdsa-p384`, `rsa-2048`, `rsa-3072` or `rsa-4096`. An account
    /// that is there keeps its key; `certferry account rotate-key` gives it another. Default: `ecdsa-p256`.
    pub account_key: Option<Spanned<String>>,
}

/// A profile, and what to do without it.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub enum Profile {
    /// It must be offered.
    Name(String),
    /// One of two wishes.
    Wish(ProfileWish),
}

/// A profile that is preferred or required.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileWish {
    /// Where it is not offered, the CA's default decides.
    Prefer(String),
    /// Where it is not offered, nothing is ordered.
    Require(String),
}

// By hand: a derived untagged enum loses what was wrong inside.
impl<'de> Deserialize<'de> for Profile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProfileVisitor;

        impl<'de> Visitor<'de> for ProfileVisitor {
            type Value = Profile;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a profile's name, or `{ prefer: NAME }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Profile, E> {
                Ok(Profile::Name(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Profile, A::Error> {
                let mut wish = None;
                while let Some(key) = map.next_key::<String>()? {
                    wish = Some(match key.as_str() {
                        "prefer" if wish.is_none() => ProfileWish::Prefer(map.next_value()?),
                        "require" if wish.is_none() => ProfileWish::Require(map.next_value()?),
                        "prefer" | "require" => {
                            return Err(de::Error::custom("`prefer` and `require` exclude each other"));
                        }
                        _ => return Err(de::Error::unknown_field(&key, &["prefer", "require"])),
                    });
                }
                wish.map(Profile::Wish).ok_or_else(|| de::Error::missing_field("prefer"))
            }
        }

        deserializer.deserialize_any(ProfileVisitor)
    }
}

/// The credentials of an external account binding, from the CA's web site.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExternalAccount {
    /// The key identifier.
    pub kid: Spanned<String>,
    /// The HMAC key in base64url, as `env:NAME` or `file:PATH`; never the key itself.
    pub hmac_key: Spanned<SecretReference>,
    /// How the binding is signed: `HS256`, `HS384` or `HS512`. Default: `HS256`.
    pub algorithm: Option<Spanned<MacAlgorithm>>,
}

/// How an external account binding is signed.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum MacAlgorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
}
