//! Problem documents (RFC 8555 §6.7, RFC 9457).

use std::fmt;

use serde_json::Value;

use crate::identifier::Identifier;
use crate::printable;

/// What the CA says went wrong.
///
/// `Display` and `Debug` are safe to log: one line, no control characters, no bearer links.
#[derive(Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which problem it is.
    pub kind: ProblemType,
    /// The HTTP status that the document itself states.
    pub status: Option<u16>,
    /// In a subproblem: what it is about.
    pub identifier: Option<Identifier>,
    /// One problem for each failing identifier. They have no subproblems of their own.
    pub subproblems: Vec<Problem>,
    detail: String,
}

impl Problem {
    /// Reads a problem document; `None` when the value is not an object with a `type` or a `detail`. Fields of a wrong
    /// type count as absent: a half readable reason is better than none.
    pub(crate) fn from_json(json: &Value) -> Option<Self> {
        let mut problem = Self::from_json_without_subproblems(json)?;
        if let Some(subproblems) = json.get("subproblems").and_then(Value::as_array) {
            problem.subproblems = subproblems.iter().filter_map(Self::from_json_without_subproblems).collect();
        }
        Some(problem)
    }

    fn from_json_without_subproblems(json: &Value) -> Option<Self> {
        let kind = json.get("type").and_then(Value::as_str);
        let detail = json.get("detail").and_then(Value::as_str);
        if kind.is_none() && detail.is_none() {
            return None;
        }
        Some(Self {
            kind: ProblemType::from_uri(kind.unwrap_or(BLANK)),
            status: json.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok()),
            identifier: json.get("identifier").and_then(Identifier::from_json),
            subproblems: Vec::new(),
            detail: detail.unwrap_or_default().to_owned(),
        })
    }

    /// The CA's own words, fit for a log: one line, with the tokens of bearer links cut out.
    pub fn detail(&self) -> String {
        printable::line(&self.detail, SHOWN_CHARACTERS)
    }

    /// The CA's own words as sent. They may hold a link that acts for whoever opens it (Let's Encrypt's unpause page):
    /// for the operator's eyes, never for a log.
    pub fn sensitive_detail(&self) -> &str {
        &self.detail
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(formatter, "{identifier}: ")?;
        }
        write!(formatter, "{}", self.kind)?;
        if !self.detail.is_empty() {
            write!(formatter, ": {}", self.detail())?;
        }
        for subproblem in self.subproblems.iter().take(SHOWN_SUBPROBLEMS) {
            write!(formatter, "; {subproblem}")?;
        }
        match self.subproblems.len().saturating_sub(SHOWN_SUBPROBLEMS) {
            0 => Ok(()),
            more => write!(formatter, "; and {more} more"),
        }
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Problem({self})")
    }
}

/// The meaning of a problem: the registry of RFC 8555 §6.7 and its successors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the registry's word for it")]
pub enum ProblemType {
    AccountDoesNotExist,
    /// The `replaces` of an order names a certificate that another order replaces (RFC 9773 §7.4).
    AlreadyReplaced,
    AlreadyRevoked,
    BadCsr,
    BadNonce,
    BadPublicKey,
    BadRevocationReason,
    BadSignatureAlgorithm,
    Caa,
    Compound,
    /// Boulder's own.
    Conflict,
    Connection,
    Dns,
    ExternalAccountRequired,
    IncorrectResponse,
    InvalidContact,
    /// draft-ietf-acme-profiles.
    InvalidProfile,
    Malformed,
    OrderNotReady,
    RateLimited,
    RejectedIdentifier,
    ServerInternal,
    Tls,
    Unauthorized,
    UnsupportedContact,
    UnsupportedIdentifier,
    UserActionRequired,
    /// Any other; the `type` as sent, cut to a printable line.
    Unknown(String),
}

impl ProblemType {
    fn from_uri(uri: &str) -> Self {
        let known = uri
            .strip_prefix(NAMESPACE)
            .and_then(|name| NAMES.iter().find(|(_, known)| name.eq_ignore_ascii_case(known)));
        match known {
            Some((kind, _)) => kind.clone(),
            None => Self::Unknown(printable::line(uri, SHOWN_CHARACTERS)),
        }
    }
}

/// The registry's name, such as `rateLimited`.
impl fmt::Display for ProblemType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(uri) => formatter.write_str(uri),
            known => {
                let name = NAMES.iter().find(|(kind, _)| kind == known).map_or("unknown", |(_, name)| name);
                formatter.write_str(name)
            }
        }
    }
}

const NAMESPACE: &str = "urn:ietf:params:acme:error:";
/// RFC 9457 §4.2.1.
const BLANK: &str = "about:blank";
const SHOWN_CHARACTERS: usize = 500;
const SHOWN_SUBPROBLEMS: usize = 5;

const NAMES: &[(ProblemType, &str)] = &[
    (ProblemType::AccountDoesNotExist, "accountDoesNotExist"),
    (ProblemType::AlreadyReplaced, "alreadyReplaced"),
    (ProblemType::AlreadyRevoked, "alreadyRevoked"),
    (ProblemType::BadCsr, "badCSR"),
    (ProblemType::BadNonce, "badNonce"),
    (ProblemType::BadPublicKey, "badPublicKey"),
    (ProblemType::BadRevocationReason, "badRevocationReason"),
    (ProblemType::BadSignatureAlgorithm, "badSignatureAlgorithm"),
    (ProblemType::Caa, "caa"),
    (ProblemType::Compound, "compound"),
    (ProblemType::Conflict, "conflict"),
    (ProblemType::Connection, "connection"),
    (ProblemType::Dns, "dns"),
    (ProblemType::ExternalAccountRequired, "externalAccountRequired"),
    (ProblemType::IncorrectResponse, "incorrectResponse"),
    (ProblemType::InvalidContact, "invalidContact"),
    (ProblemType::InvalidProfile, "invalidProfile"),
    (ProblemType::Malformed, "malformed"),
    (ProblemType::OrderNotReady, "orderNotReady"),
    (ProblemType::RateLimited, "rateLimited"),
    (ProblemType::RejectedIdentifier, "rejectedIdentifier"),
    (ProblemType::ServerInternal, "serverInternal"),
    (ProblemType::Tls, "tls"),
    (ProblemType::Unauthorized, "unauthorized"),
    (ProblemType::UnsupportedContact, "unsupportedContact"),
    (ProblemType::UnsupportedIdentifier, "unsupportedIdentifier"),
    (ProblemType::UserActionRequired, "userActionRequired"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_known_type_reads_back_as_itself() {
        for (kind, name) in NAMES {
            assert_eq!(&ProblemType::from_uri(&format!("{NAMESPACE}{name}")), kind);
            assert_eq!(kind.to_string(), *name);
        }
        assert_eq!(ProblemType::from_uri("urn:x:y"), ProblemType::Unknown("urn:x:y".into()));
        assert_eq!(ProblemType::from_uri("rateLimited"), ProblemType::Unknown("rateLimited".into()));
    }

    #[test]
    fn subproblems_keep_their_identifiers() {
        let problem = Problem::from_json(&json!({
            "type": "urn:ietf:params:acme:error:compound", "detail": "two\nnames", "status": 403,
            "subproblems": [
                {"type": "urn:ietf:params:acme:error:caa", "detail": "forbidden",
                 "identifier": {"type": "dns", "value": "a.example"}},
                {"type": "urn:ietf:params:acme:error:rejectedIdentifier",
                 "identifier": {"type": "dns", "value": "b.example"}},
                "not an object",
            ],
        }))
        .unwrap();
        assert_eq!(
            problem.to_string(),
            "compound: two names; a.example: caa: forbidden; b.example: rejectedIdentifier"
        );
        assert_eq!(problem.status, Some(403));
    }

    #[test]
    fn many_subproblems_are_counted_not_listed() {
        let subproblem = json!({"type": "urn:ietf:params:acme:error:caa"});
        let problem = Problem::from_json(&json!({"detail": "x", "subproblems": vec![subproblem; 40]})).unwrap();
        assert_eq!(problem.to_string(), "about:blank: x; caa; caa; caa; caa; caa; and 35 more");
    }

    #[test]
    fn an_unpause_link_is_only_in_the_sensitive_text() {
        let detail = "paused: https://unpause.example/?jwt=eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
        let problem = Problem::from_json(&json!({"detail": detail})).unwrap();
        assert!(!format!("{problem} {problem:?} {}", problem.detail()).contains("eyJ"));
        assert_eq!(problem.sensitive_detail(), detail);
    }

    #[test]
    fn what_is_no_problem_document_is_not_read_as_one() {
        for json in [json!(null), json!([]), json!("x"), json!({}), json!({"type": 1}), json!({"error": "x"})] {
            assert_eq!(Problem::from_json(&json), None, "{json}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let key = prop_oneof![
            Just("type".to_owned()),
            Just("detail".to_owned()),
            Just("status".to_owned()),
            Just("identifier".to_owned()),
            Just("subproblems".to_owned()),
            Just("value".to_owned()),
            any::<String>(),
        ];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((key.clone(), inner), 0..6).prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_document_panics_or_breaks_the_line(json in any_json()) {
            if let Some(problem) = Problem::from_json(&json) {
                prop_assert!(!problem.to_string().chars().any(char::is_control));
            }
        }
    }
}
