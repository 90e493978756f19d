//! Authorizations and challenges (RFC 8555 §7.1.4, §7.5, §8).

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::account::Account;
use crate::error::{Error, Operation};
use crate::fetched::Fetched;
use crate::identifier::Identifier;
use crate::lenient;
use crate::printable;
use crate::problem::Problem;
use crate::resource_url::ResourceUrl;
use crate::token::{InvalidToken, Token};

impl Account {
    /// The authorization at this URL.
    pub async fn authorization(&self, url: &ResourceUrl) -> Result<Fetched<Authorization>, Error> {
        let answer = self.client().post(self.read(Operation::Authorization, url)).await?;
        answer.fetched(answer.json()?)
    }

    /// Tells the CA that the challenge at this URL is answered and may be checked.
    ///
    /// Never sent twice after a lost answer ([`Error::is_effect_unknown`]): fetch the authorization instead.
    pub async fn respond(&self, challenge_url: &ResourceUrl) -> Result<Fetched<Challenge>, Error> {
        let post = self.act(Operation::Challenge, challenge_url, "{}".to_owned());
        let answer = self.client().post(post).await?;
        let read = answer.json().and_then(|challenge| answer.fetched(challenge));
        read.map_err(Error::with_effect_unknown)
    }
}

/// The CA's view of the right to one identifier.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Authorization {
    /// The identifier, without `*.`.
    pub identifier: Identifier,
    /// How far it is.
    pub status: AuthorizationStatus,
    /// When the CA forgets it.
    #[serde(default, deserialize_with = "lenient::timestamp")]
    pub expires: Option<Timestamp>,
    /// It is for `*.` and the identifier.
    #[serde(default)]
    pub wildcard: bool,
    /// The ways to prove it; one is enough.
    #[serde(default, deserialize_with = "lenient::list")]
    pub challenges: Vec<Challenge>,
}

impl Authorization {
    /// The challenge of this type.
    pub fn challenge(&self, kind: &ChallengeType) -> Option<&Challenge> {
        self.challenges.iter().find(|challenge| challenge.kind == *kind)
    }

    /// What the CA says about the challenge that failed.
    pub fn error(&self) -> Option<&Problem> {
        self.challenges.iter().find_map(|challenge| challenge.error.as_ref())
    }
}

/// RFC 8555 §7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizationStatus {
    /// Given up by its account.
    Deactivated,
    /// Too old.
    Expired,
    /// A challenge failed.
    Invalid,
    /// No challenge has been met yet.
    Pending,
    /// Taken away by the CA.
    Revoked,
    /// Proved.
    Valid,
}

/// One way to prove the right to an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Challenge {
    /// Which way.
    pub kind: ChallengeType,
    /// Where to [respond](Account::respond).
    pub url: ResourceUrl,
    /// How far it is.
    pub status: ChallengeStatus,
    /// When the CA saw it answered.
    pub validated: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<Problem>,
    /// The fields that not every type has, such as dns-persist-01's `issuer-domain-names`. Unchecked.
    pub fields: Map<String, Value>,
    token: Result<Token, InvalidToken>,
}

impl Challenge {
    /// The token, if the CA sent one that is safe to use.
    pub fn token(&self) -> Result<&Token, &InvalidToken> {
        self.token.as_ref()
    }
}

impl<'de> Deserialize<'de> for Challenge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(rename = "type")]
            kind: ChallengeType,
            url: ResourceUrl,
            status: ChallengeStatus,
            #[serde(default, deserialize_with = "lenient::timestamp")]
            validated: Option<Timestamp>,
            #[serde(default, deserialize_with = "lenient::problem")]
            error: Option<Problem>,
            #[serde(flatten)]
            fields: Map<String, Value>,
        }
        let mut wire = Wire::deserialize(deserializer)?;
        let token = match wire.fields.remove("token") {
            Some(Value::String(text)) => text.parse(),
            _ => Err(InvalidToken::Missing),
        };
        Ok(Self {
            kind: wire.kind,
            url: wire.url,
            status: wire.status,
            validated: wire.validated,
            error: wire.error,
            fields: wire.fields,
            token,
        })
    }
}

/// The `type` of a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChallengeType {
    /// `dns-01` (RFC 8555 §8.4).
    Dns01,
    /// `dns-account-01` (draft-ietf-acme-dns-account-label).
    DnsAccount01,
    /// `dns-persist-01` (draft-ietf-acme-dns-persist); has no token.
    DnsPersist01,
    /// `http-01` (RFC 8555 §8.3).
    Http01,
    /// `tls-alpn-01` (RFC 8737).
    TlsAlpn01,
    /// Any other, as the CA wrote it, cut to a printable line.
    Unknown(String),
}

impl<'de> Deserialize<'de> for ChallengeType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(match name.as_str() {
            "dns-01" => Self::Dns01,
            "dns-account-01" => Self::DnsAccount01,
            "dns-persist-01" => Self::DnsPersist01,
            "http-01" => Self::Http01,
            "tls-alpn-01" => Self::TlsAlpn01,
            other => Self::Unknown(printable::line(other, SHOWN_CHARACTERS)),
        })
    }
}

impl fmt::Display for ChallengeType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Dns01 => "dns-01",
            Self::DnsAccount01 => "dns-account-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Unknown(name) => name,
        })
    }
}

/// RFC 8555 §7.1.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChallengeStatus {
    /// The answer was not found, or was wrong.
    Invalid,
    /// Not tried yet.
    Pending,
    /// The CA is looking.
    Processing,
    /// The answer was found.
    Valid,
    /// A status that no RFC knows. One challenge among several must not spoil the authorization.
    #[serde(other)]
    Unknown,
}

const SHOWN_CHARACTERS: usize = 100;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn authorization(challenges: Value) -> Authorization {
        serde_json::from_value(json!({
            "identifier": {"type": "dns", "value": "example.com"}, "status": "pending", "challenges": challenges,
        }))
        .unwrap()
    }

    #[test]
    fn a_bad_token_spoils_its_own_challenge_only() {
        let read = authorization(json!([
            {"type": "http-01", "url": "https://ca.example/c/1", "status": "pending", "token": "../../x"},
            {"type": "dns-01", "url": "https://ca.example/c/2", "status": "pending", "token": "good-token_1"},
            {"type": "tls-alpn-01", "url": "https://ca.example/c/3", "status": "pending", "token": 7},
        ]));
        let token = |kind| read.challenge(&kind).unwrap().token();
        assert_eq!(token(ChallengeType::Http01), Err(&InvalidToken::Charset));
        assert_eq!(token(ChallengeType::Dns01).unwrap().as_str(), "good-token_1");
        assert_eq!(token(ChallengeType::TlsAlpn01), Err(&InvalidToken::Missing));
    }

    #[test]
    fn unknown_challenges_are_kept_with_their_fields() {
        let read = authorization(json!([
            {"type": "dns-persist-01", "url": "https://ca.example/c/1", "status": "pending",
             "issuer-domain-names": ["ca.example"], "accounturi": "https://ca.example/acct/1"},
            {"type": "quantum-01", "url": "https://ca.example/c/2", "status": "entangled"},
        ]));
        let persist = read.challenge(&ChallengeType::DnsPersist01).unwrap();
        assert_eq!(persist.fields["issuer-domain-names"], json!(["ca.example"]));
        let unknown = read.challenge(&ChallengeType::Unknown("quantum-01".into())).unwrap();
        assert_eq!(unknown.status, ChallengeStatus::Unknown);
        assert!(unknown.fields.is_empty());
    }

    #[test]
    fn an_authorization_without_challenges_can_be_read() {
        assert!(authorization(Value::Null).challenges.is_empty());
    }
}
