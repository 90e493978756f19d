//! Answers and problem documents (RFC 8555 §6.7).

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

/// An answer of the CA.
pub(super) type Reply = Response<Full<Bytes>>;

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    kind: &'static str,
    detail: String,
    subproblems: Vec<Value>,
    /// For badSignatureAlgorithm (RFC 8555 §6.2).
    algorithms: Option<&'static [&'static str]>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        Self { status, kind, detail: detail.into(), subproblems: Vec::new(), algorithms: None }
    }

    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    pub(super) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "malformed", format!("no such {what}"))
    }

    pub(super) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "unauthorized", detail)
    }

    /// Adds what is wrong with one name.
    pub(super) fn about(mut self, identifier: Value, kind: &str, detail: &str) -> Self {
        self.subproblems.push(json!({
            "type": format!("urn:ietf:params:acme:error:{kind}"),
            "detail": detail,
            "identifier": identifier,
        }));
        self
    }

    pub(super) fn with_algorithms(mut self, algorithms: &'static [&'static str]) -> Self {
        self.algorithms = Some(algorithms);
        self
    }

    /// The document.
    pub(super) fn document(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:ietf:params:acme:error:{}", self.kind),
            "detail": self.detail,
            "status": self.status.as_u16(),
        });
        if !self.subproblems.is_empty() {
            document["subproblems"] = Value::Array(self.subproblems.clone());
        }
        if let Some(algorithms) = self.algorithms {
            document["algorithms"] = json!(algorithms);
        }
        document
    }

    pub(super) fn reply(&self) -> Reply {
        let mut reply = json_reply(self.status, &self.document());
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        reply
    }
}

/// A JSON answer.
pub(super) fn json_reply(status: StatusCode, body: &Value) -> Reply {
    let mut reply = Response::new(Full::from(body.to_string()));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}
