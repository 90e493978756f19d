//! Fault rules: what the CA does wrong, at which call.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use jiff::Timestamp;

use super::problem::Reply;

/// The calls of RFC 8555 and RFC 9773.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as in the RFCs")]
pub enum Endpoint {
    Account,
    Authorization,
    Certificate,
    Challenge,
    Directory,
    Finalize,
    NewAccount,
    NewNonce,
    NewOrder,
    Order,
    RenewalInfo,
}

impl Endpoint {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Account,
        Self::Authorization,
        Self::Certificate,
        Self::Challenge,
        Self::Directory,
        Self::Finalize,
        Self::NewAccount,
        Self::NewNonce,
        Self::NewOrder,
        Self::Order,
        Self::RenewalInfo,
    ];

    /// The RFCs' name for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Authorization => "authorization",
            Self::Certificate => "certificate",
            Self::Challenge => "challenge",
            Self::Directory => "directory",
            Self::Finalize => "finalize",
            Self::NewAccount => "newAccount",
            Self::NewNonce => "newNonce",
            Self::NewOrder => "newOrder",
            Self::Order => "order",
            Self::RenewalInfo => "renewalInfo",
        }
    }
}

/// One rule, good for one call.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The call that it strikes.
    pub endpoint: Endpoint,
    /// How many such calls are let pass before.
    pub skip: usize,
    /// What happens.
    pub answer: Answer,
}

/// What happens instead of an answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The connection is closed after the call had its effect.
    DropAfter,
    /// The connection is closed before the call had an effect.
    DropBefore,
    /// No answer ever, and no effect.
    Hang,
    /// The call has its effect, and no answer ever.
    HangAfter,
    /// An HTML page, as a proxy in front of the CA sends it.
    Html {
        /// HTTP status.
        status: u16,
        /// Retry-After.
        retry_after: Option<RetryAfter>,
    },
    /// A problem document (RFC 7807).
    Problem {
        /// HTTP status.
        status: u16,
        /// Type without its prefix: `rateLimited`.
        kind: &'static str,
        /// Text.
        detail: String,
        /// Retry-After.
        retry_after: Option<RetryAfter>,
    },
}

/// The two forms of Retry-After (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// As a date, so far from the CA's now.
    Date(Duration),
    /// In seconds.
    Seconds(u64),
}

impl RetryAfter {
    pub(super) fn header(self, now: Timestamp) -> HeaderValue {
        match self {
            Self::Seconds(seconds) => HeaderValue::from(seconds),
            Self::Date(wait) => {
                let at = std::time::SystemTime::from(now) + wait;
                HeaderValue::from_str(&httpdate::fmt_http_date(at)).unwrap_or(HeaderValue::from_static("0"))
            }
        }
    }
}

/// The rules that are waiting, and what strikes every call.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<Fault>,
    /// What follows a rule that is there to stay.
    outages: Vec<Fault>,
    outage: Option<Answer>,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.rules.push(fault);
    }

    pub(super) fn add_outage(&mut self, fault: Fault) {
        self.outages.push(fault);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What strikes this call, if anything.
    pub(super) fn strike(&mut self, endpoint: Endpoint) -> Option<Answer> {
        if let Some(answer) = take(&mut self.outages, endpoint) {
            self.outage = Some(answer);
        }
        self.outage.clone().or_else(|| take(&mut self.rules, endpoint))
    }
}

fn take(faults: &mut Vec<Fault>, endpoint: Endpoint) -> Option<Answer> {
    let index = faults.iter().position(|fault| fault.endpoint == endpoint)?;
    if faults[index].skip > 0 {
        faults[index].skip -= 1;
        return None;
    }
    Some(faults.remove(index).answer)
}

/// The answer of a rule that answers at all.
pub(super) fn reply(answer: &Answer, now: Timestamp) -> Option<Reply> {
    let (status, content_type, body, retry_after) = match answer {
        Answer::DropAfter | Answer::DropBefore | Answer::Hang | Answer::HangAfter => return None,
        Answer::Html { status, retry_after } => {
            let body = "<html><body><h1>Service busy</h1></body></html>".to_owned();
            (*status, "text/html", body, *retry_after)
        }
        Answer::Problem { status, kind, detail, retry_after } => {
            let problem = serde_json::json!({
                "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status,
            });
            (*status, "application/problem+json", problem.to_string(), *retry_after)
        }
    };
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(retry_after) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, retry_after.header(now));
    }
    Some(response)
}
