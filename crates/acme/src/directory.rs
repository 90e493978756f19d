//! The directory (RFC 8555 §7.1.1): where a CA keeps what, and what it says about itself.

use std::collections::BTreeMap;

use serde_json::Value;
use url::Url;

use crate::error::{Error, ErrorKind};
use crate::lenient;
use crate::printable;
use crate::resource_url::ResourceUrl;
use crate::transport::Answer;

/// A CA's directory. Unknown keys are ignored: Let's Encrypt adds a random one each time to keep clients honest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Directory {
    /// `newNonce`.
    pub new_nonce: ResourceUrl,
    /// `newAccount`.
    pub new_account: ResourceUrl,
    /// `newOrder`.
    pub new_order: ResourceUrl,
    /// `newAuthz`.
    pub new_authz: Option<ResourceUrl>,
    /// `revokeCert`.
    pub revoke_cert: Option<ResourceUrl>,
    /// `keyChange`.
    pub key_change: Option<ResourceUrl>,
    /// `renewalInfo` (RFC 9773).
    pub renewal_info: Option<ResourceUrl>,
    /// What the CA says about itself.
    pub meta: DirectoryMeta,
}

impl Directory {
    pub(crate) fn from_answer(answer: &Answer) -> Result<Self, Error> {
        let json: Value = answer.json()?;
        let optional = |key: &str| match json.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => text
                .parse::<ResourceUrl>()
                .map(Some)
                .map_err(|error| answer.malformed(format!("the directory's {key} cannot be used: {error}"))),
            Some(_) => Err(answer.malformed(format!("the directory's {key} is not a string"))),
        };
        let required = |key: &str| {
            optional(key)?.ok_or_else(|| {
                answer.malformed(format!("the directory has no {key}; is this the URL of an ACME directory?"))
            })
        };
        Ok(Self {
            new_nonce: required("newNonce")?,
            new_account: required("newAccount")?,
            new_order: required("newOrder")?,
            new_authz: optional("newAuthz")?,
            revoke_cert: optional("revokeCert")?,
            key_change: optional("keyChange")?,
            renewal_info: optional("renewalInfo")?,
            meta: DirectoryMeta::from_json(json.get("meta").unwrap_or(&Value::Null)),
        })
    }
}

/// The directory's `meta`. Texts are made printable; a field of a wrong type counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DirectoryMeta {
    /// The terms that a new account agrees to.
    pub terms_of_service: Option<Url>,
    /// The CA's web site.
    pub website: Option<Url>,
    /// The names by which CAA records allow this CA.
    pub caa_identities: Vec<String>,
    /// New accounts need an [`ExternalAccountBinding`](crate::ExternalAccountBinding).
    pub external_account_required: bool,
    /// Profile names and what each is for (draft-ietf-acme-profiles).
    pub profiles: BTreeMap<String, String>,
}

impl DirectoryMeta {
    fn from_json(json: &Value) -> Self {
        let shown = |value: &Value| value.as_str().map(|text| printable::line(text, SHOWN_CHARACTERS));
        let profiles = json.get("profiles").and_then(Value::as_object);
        Self {
            terms_of_service: lenient::web_page(json.get("termsOfService")),
            website: lenient::web_page(json.get("website")),
            caa_identities: json
                .get("caaIdentities")
                .and_then(Value::as_array)
                .map(|identities| identities.iter().filter_map(shown).collect())
                .unwrap_or_default(),
            external_account_required: json.get("externalAccountRequired").and_then(Value::as_bool).unwrap_or(false),
            profiles: profiles
                .into_iter()
                .flatten()
                // A name that cannot be printed cannot be chosen.
                .filter(|(name, _)| printable::line(name, SHOWN_CHARACTERS) == **name)
                .map(|(name, text)| (name.clone(), shown(text).unwrap_or_default()))
                .collect(),
        }
    }
}

/// A resource that not every CA has.
pub(crate) fn offered<'a>(
    resource: &'static str,
    url: Option<&'a ResourceUrl>,
    operation: crate::error::Operation,
) -> Result<&'a ResourceUrl, Error> {
    url.ok_or_else(|| {
        let said = format!("the CA's directory has no {resource}");
        Error::new(ErrorKind::NotOffered { resource }, operation, said)
    })
}

const SHOWN_CHARACTERS: usize = 500;
