//! Renewal information (RFC 9773).

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::jws::{decode, encode};
use super::problem::{Problem, Reply, json_reply};
use super::state::{Certificate, State};

/// How long clients are asked to wait before they ask again.
const ASK_AGAIN_AFTER: u64 = 21_600;

/// A window that the CA's owner suggests instead of the CA's own.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// From, until, and a page that explains.
    Between(Timestamp, Timestamp, Option<String>),
    /// This JSON, whatever it is.
    Raw(Value),
}

/// The answer for `/renewal-info/<certificate id>`.
pub(super) fn renewal_info(state: &State, id: &str) -> Result<Reply, Problem> {
    let certificate = find(state, id).ok_or_else(|| Problem::not_found("certificate"))?;
    let body = match state.windows.get(&certificate.serial) {
        Some(Window::Raw(json)) => json.clone(),
        Some(Window::Between(start, end, explanation)) => document(*start, *end, explanation.as_deref()),
        None => {
            let (start, end) = usual(certificate.not_before, certificate.not_after);
            document(start, end, None)
        }
    };
    let mut reply = json_reply(StatusCode::OK, &body);
    reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(ASK_AGAIN_AFTER));
    Ok(reply)
}

/// The certificate that an id names (RFC 9773 §4.1): key identifier of its authority, a dot, its serial.
pub(super) fn find<'a>(state: &'a State, id: &str) -> Option<&'a Certificate> {
    state.certificates.iter().find(|certificate| certificate.ari_id == id)
}

/// Whether text has the form of an id at all.
pub(super) fn is_well_formed(id: &str) -> bool {
    id.split_once('.').is_some_and(|(key, serial)| {
        !key.is_empty() && !serial.is_empty() && decode(key).is_ok() && decode(serial).is_ok()
    })
}

/// The id of a certificate.
pub(super) fn id(authority_key_identifier: &[u8], serial: &[u8]) -> String {
    format!("{}.{}", encode(authority_key_identifier), encode(serial))
}

/// As Boulder's: around two thirds of the lifetime (one half under ten days), one percent of it to each side.
fn usual(not_before: Timestamp, not_after: Timestamp) -> (Timestamp, Timestamp) {
    let lifetime = not_after.duration_since(not_before);
    let short = lifetime < SignedDuration::from_hours(24 * 10);
    let middle = if short { not_before + lifetime / 2 } else { not_before + lifetime / 3 * 2 };
    (middle - lifetime / 100, middle + lifetime / 100)
}

fn document(start: Timestamp, end: Timestamp, explanation: Option<&str>) -> Value {
    let mut document = json!({ "suggestedWindow": { "start": start.to_string(), "end": end.to_string() } });
    if let Some(url) = explanation {
        document["explanationURL"] = json!(url);
    }
    document
}
