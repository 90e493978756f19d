//! Answers on their way out.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::error::ApiError;
use crate::faults::RetryAfter;

pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
    /// For the lab's log.
    pub(super) error: Option<String>,
    pub(super) reason: Option<String>,
    /// The uuid of the object made.
    pub(super) object: Option<String>,
}

impl Reply {
    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(super) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Self::new(status, "application/json", String::new())
    }

    pub(super) fn error(error: ApiError) -> Self {
        let body = if error.plain { error.text.clone() } else { json!({"error": error.text}).to_string() };
        let mut reply = Self::new(error.status, "application/json", body);
        reply.error = Some(error.text);
        reply.reason = error.reason;
        reply
    }

    pub(super) fn fault(status: u16, error: &str, retry_after: Option<RetryAfter>, now: Timestamp) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut reply = Self::error(ApiError::new(status, error));
        match retry_after {
            None => {}
            Some(RetryAfter::Seconds(seconds)) => reply.set(header::RETRY_AFTER, &seconds.to_string()),
            Some(RetryAfter::DateIn(seconds)) => {
                let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
                let at = now.checked_add(seconds).unwrap_or(Timestamp::MAX);
                reply.set(header::RETRY_AFTER, &httpdate::fmt_http_date(at.into()));
            }
        }
        reply
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
        Self::new(status, "text/html", body.to_owned())
    }

    fn new(status: StatusCode, content_type: &'static str, body: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        Self { status, headers, body: body.into(), error: None, reason: None, object: None }
    }

    pub(super) fn set(&mut self, name: HeaderName, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }

    pub(super) fn set_cookie(&mut self, cookie: &str) {
        if let Ok(value) = HeaderValue::from_str(cookie) {
            self.headers.append(header::SET_COOKIE, value);
        }
    }

    /// The session's cookies, which every answer carries again.
    pub(super) fn set_session(&mut self, id: &str) {
        for name in ["avi-sessionid", "sessionid"] {
            self.set_cookie(&format!("{name}={id}; HttpOnly; Max-Age=86400; Path=/; Secure"));
        }
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
