//! REDIRECT rules (<https://docs.oracle.com/iaas/Content/Balance/Tasks/managingrulesets.htm>).

use ::http::StatusCode;
use serde_json::Value;

use super::route::PathMatch;
use crate::json::{Object, objects, text};

pub(super) struct Redirect {
    conditions: Vec<(PathMatch, String)>,
    host: String,
    path: String,
    port: String,
    protocol: String,
    query: String,
    status: StatusCode,
}

/// Where a request wanted to go.
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) port: u16,
    pub(super) query: &'a str,
    pub(super) tls: bool,
}

impl Redirect {
    pub(super) fn new(item: &Object, status: StatusCode) -> Self {
        let uri = item.get("redirectUri").and_then(Value::as_object);
        let part = |name: &str, default: &str| match uri.and_then(|uri| uri.get(name)) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => default.to_owned(),
        };
        Self {
            conditions: objects(item, "conditions")
                .filter(|condition| text(condition, "attributeName") == "PATH")
                .map(|condition| {
                    let value = text(condition, "attributeValue").to_owned();
                    (PathMatch::from_word(text(condition, "operator")), value)
                })
                .collect(),
            host: part("host", "{host}"),
            path: part("path", "/{path}"),
            port: part("port", "{port}"),
            protocol: part("protocol", "{protocol}"),
            query: part("query", "?{query}"),
            status,
        }
    }

    /// Status and Location, when every condition holds.
    pub(super) fn apply(&self, target: &Target<'_>) -> Option<(StatusCode, String)> {
        if !self.conditions.iter().all(|(kind, value)| kind.matches(value, target.path)) {
            return None;
        }
        let scheme = if target.tls { "https" } else { "http" };
        let expanded = |template: &str| {
            template
                .replace("{protocol}", scheme)
                .replace("{host}", target.host)
                .replace("{port}", &target.port.to_string())
                .replace("{path}", target.path.trim_start_matches('/'))
                .replace("{query}", target.query)
        };
        let protocol = expanded(&self.protocol).to_ascii_lowercase();
        let port = match (protocol.as_str(), expanded(&self.port).as_str()) {
            ("http", "80") | ("https", "443") | (_, "") => String::new(),
            (_, port) => format!(":{port}"),
        };
        let path = expanded(&self.path);
        let query = expanded(&self.query);
        let query = match query.trim_start_matches('?') {
            "" => String::new(),
            query => format!("?{query}"),
        };
        let location = format!("{protocol}://{}{port}/{}{query}", expanded(&self.host), path.trim_start_matches('/'));
        Some((self.status, location))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_location_is_built_from_template_and_request() {
        let cases = [
            (
                json!({ "protocol": "HTTPS", "host": "{host}", "port": 443, "path": "{path}", "query": "{query}" }),
                "https://www.some-domain.com/a/b?c=d",
            ),
            (json!({ "protocol": "HTTPS", "port": 8443 }), "https://www.some-domain.com:8443/a/b?c=d"),
            (
                json!({ "host": "other.some-domain.com", "path": "/new/{path}", "query": "" }),
                "http://other.some-domain.com/new/a/b",
            ),
        ];
        for (uri, expected) in cases {
            let item = json!({ "redirectUri": uri });
            let redirect = Redirect::new(item.as_object().unwrap(), StatusCode::FOUND);
            let target = Target { host: "www.some-domain.com", path: "/a/b", port: 80, query: "c=d", tls: false };
            assert_eq!(redirect.apply(&target), Some((StatusCode::FOUND, expected.to_owned())));
        }
    }
}
