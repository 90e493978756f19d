//! HTTP policy rules: what they match and what they do.

use ::http::StatusCode;
use regex_lite::Regex;
use serde_json::Value;

use super::super::json::{Object, flag, has, number, object, objects, text, texts};

/// What a rule can look at.
pub(super) struct Facts<'a> {
    pub(super) host: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// The service's own port, whichever socket stands for it.
    pub(super) port: u16,
    pub(super) query: &'a str,
    pub(super) tls: bool,
}

pub(super) struct Rule {
    pub(super) name: String,
    /// A hit makes a line in the logs.
    pub(super) log: bool,
    pub(super) action: Action,
    matches: Vec<Match>,
}

pub(super) enum Action {
    /// Goes on as if there were no further security rules.
    Allow,
    CloseConnection,
    Redirect(Redirect),
    Respond {
        status: StatusCode,
        file: Option<File>,
    },
    /// Sends the request to another pool, by uuid.
    SelectPool(String),
    /// Without an effect in the lab.
    Nothing,
}

pub(super) struct File {
    pub(super) content_type: String,
    pub(super) content: String,
}

pub(super) struct Redirect {
    status: StatusCode,
    https: bool,
    host: Option<String>,
    path: Option<String>,
    port: Option<u64>,
    keep_query: bool,
}

enum Match {
    Host(Text),
    Method {
        names: Vec<String>,
        is_in: bool,
    },
    Path(Text),
    Port {
        ports: Vec<u64>,
        is_in: bool,
    },
    Protocol {
        tls: bool,
        is_in: bool,
    },
    /// Of a type that the lab does not know: the rule never matches.
    Unknown,
}

struct Text {
    kind: Kind,
    negated: bool,
    any_case: bool,
    values: Vec<String>,
}

enum Kind {
    Begins,
    Contains,
    Ends,
    Equals,
    Exists,
    Matches(Vec<Regex>),
}

/// The enabled rules of one kind (`http_security_policy`, `http_request_policy`) of a policy set, by index.
pub(super) fn rules(set: &Object, policy: &str) -> Vec<Rule> {
    let mut rules: Vec<&Object> = object(set, policy)
        .into_iter()
        .flat_map(|policy| objects(policy, "rules"))
        .filter(|rule| flag(rule, "enable"))
        .collect();
    rules.sort_by_key(|rule| rule.get("index").and_then(Value::as_i64));
    rules.into_iter().map(Rule::new).collect()
}

impl Rule {
    fn new(rule: &Object) -> Self {
        let matches =
            object(rule, "match").into_iter().flatten().map(|(name, value)| Match::new(name, value)).collect();
        Self { name: text(rule, "name").to_owned(), log: flag(rule, "log"), action: Action::new(rule), matches }
    }

    /// All match types must hold; of the values of one, any.
    pub(super) fn hits(&self, facts: &Facts<'_>) -> bool {
        self.matches.iter().all(|part| part.holds(facts))
    }
}

impl Action {
    fn new(rule: &Object) -> Self {
        if let Some(redirect) = object(rule, "redirect_action") {
            return Self::Redirect(Redirect::new(redirect));
        }
        let nothing = Object::new();
        let action = object(rule, "action").or_else(|| object(rule, "switching_action")).unwrap_or(&nothing);
        match text(action, "action") {
            "HTTP_SECURITY_ACTION_ALLOW" => Self::Allow,
            "HTTP_SECURITY_ACTION_CLOSE_CONN" => Self::CloseConnection,
            "HTTP_SECURITY_ACTION_REDIRECT_TO_HTTPS" => {
                Self::Redirect(Redirect::to_https(number(action, "https_port").unwrap_or(443)))
            }
            "HTTP_SECURITY_ACTION_SEND_RESPONSE" | "HTTP_SWITCHING_SELECT_LOCAL" => Self::Respond {
                status: status(text(action, "status_code"), "HTTP_LOCAL_RESPONSE_STATUS_CODE_", StatusCode::OK),
                file: object(action, "file").map(|file| File {
                    content_type: text(file, "content_type").to_owned(),
                    content: text(file, "file_content").to_owned(),
                }),
            },
            "HTTP_SWITCHING_SELECT_POOL" => {
                Self::SelectPool(super::super::references::uuid(text(action, "pool_ref")).to_owned())
            }
            _ => Self::Nothing,
        }
    }
}

impl Redirect {
    pub(super) fn to_https(port: u64) -> Self {
        let port = (port != 443).then_some(port);
        Self { status: StatusCode::FOUND, https: true, host: None, path: None, port, keep_query: true }
    }

    fn new(redirect: &Object) -> Self {
        let https = text(redirect, "protocol") == "HTTPS";
        let literal = |field: &str| {
            let tokens: Vec<&str> = object(redirect, field)
                .into_iter()
                .flat_map(|uri| objects(uri, "tokens"))
                .map(|token| text(token, "str_value"))
                .collect();
            (!tokens.is_empty()).then(|| tokens.join(if field == "host" { "." } else { "/" }))
        };
        Self {
            status: status(text(redirect, "status_code"), "HTTP_REDIRECT_STATUS_CODE_", StatusCode::FOUND),
            https,
            host: literal("host"),
            path: literal("path"),
            port: number(redirect, "port").filter(|port| *port != if https { 443 } else { 80 }),
            keep_query: redirect.get("keep_query") != Some(&Value::Bool(false)),
        }
    }

    /// Status and Location.
    pub(super) fn of(&self, facts: &Facts<'_>) -> (StatusCode, String) {
        let scheme = if self.https { "https" } else { "http" };
        let host = self.host.as_deref().unwrap_or(facts.host);
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = self.path.as_deref().unwrap_or(facts.path).trim_start_matches('/');
        let query =
            if facts.query.is_empty() || !self.keep_query { String::new() } else { format!("?{}", facts.query) };
        (self.status, format!("{scheme}://{host}{port}/{path}{query}"))
    }
}

impl Match {
    fn new(name: &str, value: &Value) -> Self {
        let Value::Object(value) = value else {
            return Self::Unknown;
        };
        let is_in = text(value, "match_criteria") != "IS_NOT_IN";
        match name {
            "host_hdr" => Text::new(value, "value", "HDR_").map_or(Self::Unknown, Self::Host),
            "method" => Self::Method {
                names: texts(value, "methods").map(|name| name.trim_start_matches("HTTP_METHOD_").to_owned()).collect(),
                is_in,
            },
            "path" if !has(value, "string_group_refs") => {
                Text::new(value, "match_str", "").map_or(Self::Unknown, |text| Self::Path(text.without_leading_slash()))
            }
            "protocol" => Self::Protocol { tls: text(value, "protocols") == "HTTPS", is_in },
            "vs_port" => Self::Port {
                ports: value
                    .get("ports")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_u64)
                    .collect(),
                is_in,
            },
            _ => Self::Unknown,
        }
    }

    fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Host(text) => text.holds(facts.host),
            Self::Method { names, is_in } => names.iter().any(|name| name == facts.method) == *is_in,
            // The slash at the start counts for neither side.
            Self::Path(text) => text.holds(facts.path.trim_start_matches('/')),
            Self::Port { ports, is_in } => ports.contains(&u64::from(facts.port)) == *is_in,
            Self::Protocol { tls, is_in } => (*tls == facts.tls) == *is_in,
            Self::Unknown => false,
        }
    }
}

impl Text {
    fn new(value: &Object, field: &str, prefix: &str) -> Option<Self> {
        let criteria = text(value, "match_criteria").strip_prefix(prefix)?;
        let any_case = text(value, "match_case") != "SENSITIVE";
        let values: Vec<String> =
            texts(value, field).map(|text| if any_case { text.to_lowercase() } else { text.to_owned() }).collect();
        let (kind, negated) = match criteria {
            "BEGINS_WITH" => (Kind::Begins, false),
            "CONTAINS" => (Kind::Contains, false),
            "DOES_NOT_BEGIN_WITH" => (Kind::Begins, true),
            "DOES_NOT_CONTAIN" => (Kind::Contains, true),
            "DOES_NOT_END_WITH" => (Kind::Ends, true),
            "DOES_NOT_EQUAL" => (Kind::Equals, true),
            "DOES_NOT_EXIST" => (Kind::Exists, true),
            "ENDS_WITH" => (Kind::Ends, false),
            "EQUALS" => (Kind::Equals, false),
            "EXISTS" => (Kind::Exists, false),
            "REGEX_DOES_NOT_MATCH" | "REGEX_MATCH" => {
                let expressions = values.iter().filter_map(|value| Regex::new(value).ok()).collect();
                (Kind::Matches(expressions), criteria == "REGEX_DOES_NOT_MATCH")
            }
            _ => return None,
        };
        Some(Self { kind, negated, any_case, values })
    }

    fn without_leading_slash(mut self) -> Self {
        for value in &mut self.values {
            *value = value.trim_start_matches('/').to_owned();
        }
        self
    }

    fn holds(&self, given: &str) -> bool {
        let given = if self.any_case { given.to_lowercase() } else { given.to_owned() };
        let any = |fits: &dyn Fn(&str) -> bool| self.values.iter().any(|value| fits(value));
        let holds = match &self.kind {
            Kind::Begins => any(&|value| given.starts_with(value)),
            Kind::Contains => any(&|value| given.contains(value)),
            Kind::Ends => any(&|value| given.ends_with(value)),
            Kind::Equals => any(&|value| given == value),
            Kind::Exists => !given.is_empty(),
            Kind::Matches(expressions) => expressions.iter().any(|expression| expression.is_match(&given)),
        };
        holds != self.negated
    }
}

fn status(text: &str, prefix: &str, default: StatusCode) -> StatusCode {
    let code = text.strip_prefix(prefix).and_then(|code| code.parse().ok());
    code.and_then(|code: u16| StatusCode::from_u16(code).ok()).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn hits(matches: Value, facts: &Facts<'_>) -> bool {
        let set =
            json!({"http_security_policy": {"rules": [{"name": "r", "index": 1, "enable": true, "match": matches}]}});
        rules(set.as_object().unwrap(), "http_security_policy")[0].hits(facts)
    }

    #[test]
    fn matches_follow_criteria_and_case() {
        let facts =
            Facts { host: "shop.some-domain.com", method: "GET", path: "/a/Token", port: 80, query: "", tls: false };
        let path = |criteria: &str, case: &str, value: &str| json!({"path": {"match_criteria": criteria, "match_case": case, "match_str": [value]}});
        let cases = [
            (json!({}), true),
            (path("EQUALS", "SENSITIVE", "/a/Token"), true),
            (path("EQUALS", "SENSITIVE", "a/Token"), true),
            (path("EQUALS", "SENSITIVE", "/a/token"), false),
            (path("EQUALS", "INSENSITIVE", "/A/TOKEN"), true),
            (path("EQUALS", "SENSITIVE", "/a"), false),
            (path("BEGINS_WITH", "SENSITIVE", "/a/"), true),
            (path("CONTAINS", "SENSITIVE", "a/Tok"), true),
            (path("ENDS_WITH", "SENSITIVE", "ken"), true),
            (path("DOES_NOT_EQUAL", "SENSITIVE", "/a/Token"), false),
            (path("REGEX_MATCH", "SENSITIVE", "^a/T.*n$"), true),
            (path("NOT_INVENTED_YET", "SENSITIVE", "/a/Token"), false),
            (
                json!({"host_hdr": {"match_criteria": "HDR_EQUALS", "match_case": "INSENSITIVE", "value": ["Shop.some-domain.com"]}}),
                true,
            ),
            (json!({"host_hdr": {"match_criteria": "HDR_EQUALS", "value": ["other"]}}), false),
            (json!({"vs_port": {"match_criteria": "IS_IN", "ports": [80]}}), true),
            (json!({"vs_port": {"match_criteria": "IS_NOT_IN", "ports": [80]}}), false),
            (json!({"protocol": {"match_criteria": "IS_IN", "protocols": "HTTPS"}}), false),
            (json!({"method": {"match_criteria": "IS_IN", "methods": ["HTTP_METHOD_GET"]}}), true),
            (json!({"client_ip": {"match_criteria": "IS_IN"}}), false),
            (
                json!({"vs_port": {"match_criteria": "IS_IN", "ports": [80]}, "path": {"match_criteria": "EQUALS", "match_str": ["/no"]}}),
                false,
            ),
        ];
        for (matches, expected) in cases {
            assert_eq!(hits(matches.clone(), &facts), expected, "{matches}");
        }
    }

    #[test]
    fn a_redirect_keeps_what_it_does_not_change() {
        let facts = Facts { host: "a.test", method: "GET", path: "/p", port: 80, query: "q=1", tls: false };
        assert_eq!(Redirect::to_https(443).of(&facts).1, "https://a.test/p?q=1");
        assert_eq!(Redirect::to_https(8443).of(&facts).1, "https://a.test:8443/p?q=1");
        let moved = json!({"protocol": "HTTPS", "port": 443, "keep_query": false, "status_code": "HTTP_REDIRECT_STATUS_CODE_301",
            "host": {"type": "URI_PARAM_TYPE_TOKENIZED", "tokens": [{"type": "URI_TOKEN_TYPE_STRING", "str_value": "b.test"}]}});
        let (status, location) = Redirect::new(moved.as_object().unwrap()).of(&facts);
        assert_eq!((status.as_u16(), location.as_str()), (301, "https://b.test/p"));
    }
}
