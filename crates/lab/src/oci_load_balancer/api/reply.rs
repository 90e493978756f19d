//! What goes back over the wire.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::{error::ApiError, faults::RetryAfter};

/// Status, headers and body.
pub(crate) struct Reply {
    pub(in super::super) status: StatusCode,
    /// The code of an error.
    pub(in super::super) code: Option<String>,
    /// For the log only.
    pub(in super::super) reason: Option<String>,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        let mut reply = Self::empty(StatusCode::OK);
        reply.body = value.to_string().into_bytes();
        reply.with(http::header::CONTENT_TYPE, "application/json")
    }

    pub(in super::super) fn text(text: &str) -> Self {
        let mut reply = Self::empty(StatusCode::OK);
        reply.body = text.as_bytes().to_vec();
        reply.with(http::header::CONTENT_TYPE, "text/plain")
    }

    /// 204 with the work request's id.
    pub(super) fn accepted(work_request_id: &str) -> Self {
        Self::empty(StatusCode::NO_CONTENT).with(WORK_REQUEST_ID, work_request_id)
    }

    pub(crate) fn error(error: ApiError) -> Self {
        let mut reply = Self::json(&json!({ "code": error.code, "message": error.message }));
        reply.status = error.status;
        reply.code = Some(error.code.to_owned());
        reply.reason = error.reason;
        reply
    }

    /// An error that a fault rule wants.
    pub(super) fn fault(
        status: u16,
        code: &str,
        message: &str,
        retry_after: Option<RetryAfter>,
        now: Timestamp,
    ) -> Self {
        let mut reply = Self::json(&json!({ "code": code, "message": message }));
        reply.status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        reply.code = Some(code.to_owned());
        reply.reason = Some("a fault rule".into());
        match retry_after {
            None => reply,
            Some(RetryAfter::Seconds(seconds)) => reply.with(http::header::RETRY_AFTER, &seconds.to_string()),
            Some(RetryAfter::DateIn(seconds)) => {
                let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
                let date = now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX);
                reply.with(http::header::RETRY_AFTER, &httpdate::fmt_http_date(date.into()))
            }
        }
    }

    pub(super) fn html(status: u16, body: &str) -> Self {
        let mut reply = Self::empty(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY));
        reply.body = body.as_bytes().to_vec();
        reply.reason = Some("a fault rule".into());
        reply.with(http::header::CONTENT_TYPE, "text/html")
    }

    pub(crate) fn with(mut self, name: HeaderName, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The client's id with the service's own segments appended; all three are the service's where the client sent
    /// none.
    pub(super) fn with_request_id(self, sent: Option<&str>, number: usize) -> Self {
        let own = format!("{number:032X}");
        self.with(REQUEST_ID, &format!("{}/{own}/{own}", sent.unwrap_or(&own)))
    }

    pub(super) fn work_request_id(&self) -> Option<String> {
        let (_, id) = self.headers.iter().find(|(name, _)| name == WORK_REQUEST_ID)?;
        Some(id.clone())
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.into()));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            // What cannot be a header's value can only have come from a request's header, where it was one.
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// Without a body.
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, code: None, reason: None, headers: Vec::new(), body: Vec::new() }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("opc-request-id");
const WORK_REQUEST_ID: HeaderName = HeaderName::from_static("opc-work-request-id");
