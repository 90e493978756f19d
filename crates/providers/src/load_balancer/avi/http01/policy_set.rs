//! The policy set with the tokens: its name, which says what was made with it, and its rules.

use certferry_core::port::Http01Challenge;
use serde_json::{Map, Value, json};

use super::super::model::{OWNER, list, name, uuid};
use super::super::tenant::Tenant;
use super::site::{Kind, Site};

/// With which the names of all of them begin.
pub(in super::super) const PREFIX: &str = "certferry-acme-";

/// In which kind of rule an answer stands. Security rules come before everything else; the smaller licences have no answers
/// in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RuleKind {
    Request,
    Security,
}

impl RuleKind {
    pub(super) fn of(tenant: &Tenant) -> Self {
        if tenant.answers_by_request_rules { Self::Request } else { Self::Security }
    }

    fn policy(self) -> &'static str {
        match self {
            Self::Request => "http_request_policy",
            Self::Security => "http_security_policy",
        }
    }

    fn action(self) -> (&'static str, &'static str) {
        match self {
            Self::Request => ("switching_action", "HTTP_SWITCHING_SELECT_LOCAL"),
            Self::Security => ("action", "HTTP_SECURITY_ACTION_SEND_RESPONSE"),
        }
    }
}

/// The name of a site's policy set that is not there yet. It is written before the port 80 that it speaks of, so that
/// what a killed run made can be told from what was there.
pub(super) fn new_name(site: &Site<'_>) -> String {
    match site.kind {
        Kind::AddService => named(WITH_PORT_80, site),
        Kind::Link => named("", site),
        Kind::Sibling => named(OF_SIBLING, site),
    }
}

/// The names that a site's policy set may have.
pub(super) fn names(site: &Site<'_>) -> Vec<String> {
    match site.kind {
        Kind::AddService => vec![named(WITH_PORT_80, site)],
        Kind::Link => vec![named("", site), named(WITH_PORT_80, site)],
        Kind::Sibling => vec![named(OF_SIBLING, site)],
    }
}

/// Whether a policy set came with a port 80 on this virtual service.
pub(super) fn came_with_port_80(set: &Value, service: &Value) -> bool {
    name(set) == named(WITH_PORT_80, &Site { service, kind: Kind::AddService })
}

/// A new policy set, with a rule for the challenge where there is one.
pub(super) fn new(set_name: &str, challenge: Option<&Http01Challenge>, kind: RuleKind) -> Value {
    let set = json!({"name": set_name, "created_by": OWNER, "is_internal_policy": false});
    challenge.and_then(|challenge| with_rule(&set, challenge, kind)).unwrap_or(set)
}

/// The rules, of either kind.
pub(super) fn rules(set: &Value) -> impl Iterator<Item = &Value> {
    let policies = [RuleKind::Security, RuleKind::Request].into_iter().filter_map(|kind| set.get(kind.policy()));
    policies.flat_map(|policy| list(policy, "rules"))
}

/// The policy set with a rule for the challenge; `None` when it has it already.
pub(super) fn with_rule(set: &Value, challenge: &Http01Challenge, kind: RuleKind) -> Option<Value> {
    let (field, action) = kind.action();
    if rules(set).any(|rule| answers(rule, challenge, field)) {
        return None;
    }
    let mut changed = without_rule(set, &challenge.token);
    let index = rules(&changed).filter_map(|rule| rule.get("index")?.as_i64()).max().unwrap_or(0).saturating_add(1);
    let mut rule = json!({"name": challenge.token, "index": index, "enable": true,
        // Paths match without regard to case unless told otherwise, and tokens differ by case.
        "match": {"path": {"match_criteria": "EQUALS", "match_case": "SENSITIVE", "match_str": [path(challenge)]}},
        field: {"action": action, "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_200",
            "file": {"content_type": "text/plain", "file_content": challenge.key_authorization}}});
    if kind == RuleKind::Security {
        // So that the CA's requests are in the log whatever the virtual service logs; the smaller licences lack this too.
        rule["log"] = json!(true);
    }
    let policies = changed.as_object_mut()?;
    let policy = policies.entry(kind.policy()).or_insert_with(|| Value::Object(Map::new()));
    if !policy.is_object() {
        *policy = Value::Object(Map::new());
    }
    let rules = policy.as_object_mut()?.entry("rules").or_insert_with(|| json!([]));
    match rules.as_array_mut() {
        Some(rules) => rules.push(rule),
        None => *rules = json!([rule]),
    }
    Some(changed)
}

/// The policy set without the token's rule.
pub(super) fn without_rule(set: &Value, token: &str) -> Value {
    let mut changed = set.clone();
    for kind in [RuleKind::Security, RuleKind::Request] {
        let Some(rules) = changed.get_mut(kind.policy()).and_then(|policy| policy.get_mut("rules")) else { continue };
        if let Some(rules) = rules.as_array_mut() {
            rules.retain(|rule| name(rule) != token);
        }
    }
    changed
}

fn answers(rule: &Value, challenge: &Http01Challenge, field: &str) -> bool {
    let pointer = |path: &str| rule.pointer(path).and_then(Value::as_str);
    // The controller may report the path without its leading slash, with which it compares neither.
    let reported = pointer("/match/path/match_str/0").map(|path| path.trim_start_matches('/').to_owned());
    name(rule) == challenge.token
        && reported.as_deref() == Some(path(challenge).trim_start_matches('/'))
        && pointer(&format!("/{field}/file/file_content")) == Some(&challenge.key_authorization)
}

/// Under which a CA looks (RFC 8555 §8.3).
fn path(challenge: &Http01Challenge) -> String {
    format!("/.well-known/acme-challenge/{}", challenge.token)
}

fn named(what: &str, site: &Site<'_>) -> String {
    let id = uuid(site.service).unwrap_or_default();
    format!("{PREFIX}{what}{}", id.strip_prefix("virtualservice-").unwrap_or(id))
}

const OF_SIBLING: &str = "sibling-";
const WITH_PORT_80: &str = "port80-";
