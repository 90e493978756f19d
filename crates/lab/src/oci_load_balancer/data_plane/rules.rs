//! The items of rule sets that change what a client or a backend sees.

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use super::redirect::{Redirect, Target};
use crate::json::{Object, text, texts};

pub(super) enum Rule {
    Methods { allowed: Vec<String>, status: StatusCode },
    Redirect(Redirect),
    Request(HeaderChange),
    Response(HeaderChange),
}

pub(super) struct HeaderChange {
    name: HeaderName,
    kind: ChangeKind,
}

enum ChangeKind {
    /// Sets the header where it is not there yet.
    Add(HeaderValue),
    Extend {
        prefix: String,
        suffix: String,
    },
    Remove,
}

impl Rule {
    /// `None` for actions without an effect in the lab.
    pub(super) fn parse(item: &Object) -> Option<Self> {
        let change = |kind: ChangeKind| Some(HeaderChange { name: text(item, "header").parse().ok()?, kind });
        let add = || text(item, "value").parse().ok().map(ChangeKind::Add);
        let extend =
            || ChangeKind::Extend { prefix: text(item, "prefix").to_owned(), suffix: text(item, "suffix").to_owned() };
        Some(match text(item, "action") {
            "ADD_HTTP_REQUEST_HEADER" => Self::Request(change(add()?)?),
            "ADD_HTTP_RESPONSE_HEADER" => Self::Response(change(add()?)?),
            "CONTROL_ACCESS_USING_HTTP_METHODS" => Self::Methods {
                allowed: texts(item, "allowedMethods").map(str::to_owned).collect(),
                status: status(item, "statusCode", StatusCode::METHOD_NOT_ALLOWED),
            },
            "EXTEND_HTTP_REQUEST_HEADER_VALUE" => Self::Request(change(extend())?),
            "EXTEND_HTTP_RESPONSE_HEADER_VALUE" => Self::Response(change(extend())?),
            "REDIRECT" => Self::Redirect(Redirect::new(item, status(item, "responseCode", StatusCode::FOUND))),
            "REMOVE_HTTP_REQUEST_HEADER" => Self::Request(change(ChangeKind::Remove)?),
            "REMOVE_HTTP_RESPONSE_HEADER" => Self::Response(change(ChangeKind::Remove)?),
            _ => return None,
        })
    }

    /// Status and Location when the rule redirects this request.
    pub(super) fn redirect(&self, target: &Target<'_>) -> Option<(StatusCode, String)> {
        match self {
            Self::Redirect(redirect) => redirect.apply(target),
            _ => None,
        }
    }

    pub(super) fn change_request(&self, headers: &mut HeaderMap) {
        if let Self::Request(change) = self {
            change.apply(headers);
        }
    }

    pub(super) fn change_response(&self, headers: &mut HeaderMap) {
        if let Self::Response(change) = self {
            change.apply(headers);
        }
    }
}

impl HeaderChange {
    fn apply(&self, headers: &mut HeaderMap) {
        match &self.kind {
            ChangeKind::Add(value) => {
                headers.entry(&self.name).or_insert_with(|| value.clone());
            }
            ChangeKind::Extend { prefix, suffix } => {
                let Some(value) = headers.get_mut(&self.name) else {
                    return;
                };
                let extended = value.to_str().map(|text| format!("{prefix}{text}{suffix}"));
                if let Some(extended) = extended.ok().and_then(|text| HeaderValue::try_from(text).ok()) {
                    *value = extended;
                }
            }
            ChangeKind::Remove => {
                headers.remove(&self.name);
            }
        }
    }
}

fn status(item: &Object, field: &str, default: StatusCode) -> StatusCode {
    item.get(field)
        .and_then(Value::as_u64)
        .and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok())
        .unwrap_or(default)
}
