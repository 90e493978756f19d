//! What holds whatever load balancers and CAs send. Each function takes any bytes and panics where its property does not
//! hold; the fuzz targets of the same names (`fuzz/`) and the quick tests below call them.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::http;
use crate::load_balancer::{avi, oci};

/// An OCI load balancer's JSON, or edits of the sample.
pub fn oci_json(data: &[u8]) {
    oci::properties::load_balancer(data);
    oci::properties::refusal(data);
}

/// The objects of an Avi tenant, or edits of the sample.
pub fn avi_json(data: &[u8]) {
    avi::properties::tenant(data);
    avi::properties::refusal(data);
}

/// An answer without success: what is said of it is one short line.
pub fn problem(data: &[u8]) {
    oci::properties::refusal(data);
    avi::properties::refusal(data);
}

/// Private keys and chains from outside.
pub fn pem_chain(data: &[u8]) {
    oci::properties::key_file(data);
    oci::properties::upload(data);
}

/// A clock of eight bytes, then a `Retry-After`: the wait is bounded, and a number is that many seconds.
pub fn retry_after(data: &[u8]) {
    let (now, text) = data.split_at(data.len().min(8));
    let mut seconds = [0; 8];
    seconds[..now.len()].copy_from_slice(now);
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let now = first + i64::from_le_bytes(seconds).rem_euclid(last - first);
    let now = Timestamp::from_second(now).expect("within the range");
    let Ok(value) = std::str::from_utf8(text.split(|byte| *byte == b'\n').next().unwrap_or_default()) else { return };
    let wait = http::retry_after(value, now);
    let trimmed = value.trim();
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = trimmed.parse().map_or(YEAR, Duration::from_secs);
        assert_eq!(wait, Some(seconds.min(YEAR)), "{value:?}");
    }
    assert!(wait.is_none_or(|wait| wait <= YEAR), "{wait:?}");
    if trimmed.starts_with(['+', '-']) {
        assert_eq!(wait, None, "{value:?}");
    }
}

/// What stands on a terminal or in a log.
pub(crate) fn check_shown(text: &str) {
    assert!(text.chars().count() <= LONGEST_LINE, "{} characters", text.chars().count());
    assert!(!text.chars().any(|letter| letter.is_control() || reorders(letter)), "{text:?}");
}

/// Unicode's Bidi_Control (UAX 9): text after one may read as something else.
fn reorders(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON from a fuzzer: text that begins as JSON does, or else edits of `sample`, which keep most of its shape. `None` for text
/// that is no object.
pub(crate) fn edited(data: &[u8], sample: &str) -> Option<Value> {
    if data.first().is_none_or(|first| first.is_ascii_whitespace() || *first == b'{') {
        return serde_json::from_slice(data).ok().filter(Value::is_object);
    }
    let mut json: Value = serde_json::from_str(sample).expect("the sample is JSON");
    for edit in data.chunks_exact(4).take(MOST_EDITS) {
        let nodes = count(&json);
        // The top stays an object.
        let at = 1 + usize::from(u16::from_le_bytes([edit[0], edit[1]])) % (nodes - 1).max(1);
        let other = node(&mut json, usize::from(edit[3]) * nodes / 256).cloned().unwrap_or_default();
        if let Some(place) = node(&mut json, at) {
            change(place, edit[2], edit[3], other);
        }
    }
    // Copies in copies may be deeper than any reader takes JSON to be, so that no answer holds them.
    serde_json::from_str(&json.to_string()).ok().filter(Value::is_object)
}

fn change(place: &mut Value, how: u8, which: u8, other: Value) {
    match (how % 8, &mut *place) {
        (0, _) => *place = Value::Null,
        (1, Value::Object(fields)) => {
            let key = fields.keys().nth(usize::from(which) % fields.len().max(1)).cloned();
            key.and_then(|key| fields.shift_remove(&key));
        }
        (2, Value::Object(fields)) => {
            fields.insert(WORDS[usize::from(which) % WORDS.len()].to_owned(), other);
        }
        (1, Value::Array(items)) => drop(items.pop()),
        (2, Value::Array(items)) => items.push(other),
        (3, Value::Number(_)) | (4, _) => {
            *place = Value::from([0, 22, 80, 443, 8080, -1, 65536][usize::from(which) % 7])
        }
        (5, _) => *place = Value::from(WORDS[usize::from(which) % WORDS.len()]),
        (6, _) => *place = Value::from(which.is_multiple_of(2)),
        _ => *place = other,
    }
}

fn count(json: &Value) -> usize {
    1 + match json {
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        Value::Array(items) => items.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// The value at a place in the order of the text, the whole being 0.
fn node(json: &mut Value, at: usize) -> Option<&mut Value> {
    if at == 0 {
        return Some(json);
    }
    let mut left = at - 1;
    let below: Vec<&mut Value> = match json {
        Value::Object(fields) => fields.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for value in below {
        let size = count(value);
        if left < size {
            return node(value, left);
        }
        left -= size;
    }
    None
}

/// What edits write: names that mean something here and there.
const WORDS: [&str; 24] = [
    "",
    "name",
    "uuid",
    "certferry",
    "certferry_acme",
    "certferry-acme",
    "certificateName",
    "sslConfiguration",
    "port",
    "http",
    "HTTP",
    "app",
    "pathRoutes",
    "rules",
    "/.well-known/acme-challenge/",
    "PREFIX_MATCH",
    "FORCE_LONGEST_PREFIX_MATCH",
    "healthChecker",
    "backends",
    "created_by",
    "http_policies",
    "ssl_key_and_certificate_refs",
    "services",
    "fromTheFuture",
];

const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
const LONGEST_LINE: usize = 2000;
const MOST_EDITS: usize = 64;

#[cfg(test)]
#[path = "../../../fuzz/quick_test.rs"]
mod quick_test;

#[cfg(test)]
mod tests {
    use super::quick_test;

    #[test]
    fn a_change_leaves_every_other_field_of_an_oci_load_balancer() {
        quick_test::check("oci_json", super::oci_json);
    }

    #[test]
    fn a_change_touches_only_what_it_is_about_on_an_avi_controller() {
        quick_test::check("avi_json", super::avi_json);
    }

    #[test]
    fn what_is_said_of_a_refusal_is_one_short_line() {
        quick_test::check("problem", super::problem);
    }

    #[test]
    fn a_key_that_is_refused_is_refused_with_a_reason() {
        quick_test::check("pem_chain", super::pem_chain);
    }

    #[test]
    fn no_retry_after_asks_for_more_than_a_year() {
        quick_test::check("retry_after", super::retry_after);
    }
}
