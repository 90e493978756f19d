//! What holds whatever a CA sends. Each function takes any bytes and panics where its property does not hold; the fuzz
//! targets of the same names (`fuzz/`) and the quick tests below call them.

use std::time::Duration;

use http::header::{DATE, LINK, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::certificate::holds_only_certificates;
use crate::certificate_id::CertificateId;
use crate::error::{Error, ErrorKind, Operation};
use crate::link;
use crate::problem::{Problem, ProblemType};
use crate::renewal_info::RenewalInfo;
use crate::resource_url::ResourceUrl;
use crate::retry_after;
use crate::token::Token;
use crate::transport::Answer;

/// `Link` headers, one a line: every target stands in a header, and a header written with the targets has the same ones.
pub fn link(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(LINK, value);
        }
    }
    let targets = link::targets(&headers, "alternate");
    for target in &targets {
        let stands_in = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains(target.as_str()));
        assert!(headers.get_all(LINK).iter().any(stands_in), "{target:?} stands in no header");
        if let Ok(url) = base().join(target) {
            check_url(&url);
        }
    }
    let opened = data.iter().filter(|byte| **byte == b'<').count();
    assert!(targets.len() <= opened, "{} targets of {opened} links", targets.len());
    let written = targets.iter().map(|target| format!("<{target}>; rel=\"alternate\"")).collect::<Vec<_>>().join(", ");
    let mut again = HeaderMap::new();
    again.append(LINK, HeaderValue::from_str(&written).expect("targets are of header characters"));
    assert_eq!(link::targets(&again, "alternate"), targets);
}

/// A clock of eight bytes, then a `Retry-After` and a `Date`, a line each: the wait is at most a year, a number is that many
/// seconds, a date is never before the answer's own, and no wait overflows a time that it is added to.
pub fn retry_after(data: &[u8]) {
    let (now, text) = data.split_at(data.len().min(8));
    let now = timestamp(now);
    let mut lines = text.splitn(2, |byte| *byte == b'\n');
    let mut headers = HeaderMap::new();
    for name in [RETRY_AFTER, DATE] {
        if let Some(Ok(value)) = lines.next().map(HeaderValue::from_bytes) {
            headers.insert(name, value);
        }
    }
    let wait = retry_after::from_headers(&headers, || Some(now));
    let value = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim).unwrap_or_default();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().map_or(YEAR, Duration::from_secs);
        assert_eq!(wait, Some(seconds.min(YEAR)));
    }
    let Some(wait) = wait else { return };
    assert!(wait <= YEAR, "{wait:?}");
    let seconds = HeaderValue::from(wait.as_secs());
    headers.insert(RETRY_AFTER, seconds);
    let again = retry_after::from_headers(&headers, || None);
    assert_eq!(again.map(|wait| wait.as_secs()), Some(wait.as_secs()));
}

/// The body of an answer without success: what people and logs are shown of it is one line of bounded length, without
/// control characters and without links that act for whoever opens them.
pub fn problem(data: &[u8]) {
    for status in [StatusCode::BAD_REQUEST, StatusCode::TOO_MANY_REQUESTS, StatusCode::BAD_GATEWAY] {
        let error = answer(Operation::NewOrder, status, data).to_error();
        check_shown(&error.to_string());
        check_shown(&format!("{error:?}"));
        assert_eq!(error.status(), Some(status));
        match (error.kind(), error.problem()) {
            (ErrorKind::Problem(kind), Some(problem)) => {
                assert_eq!(kind, &problem.kind);
                check_problem(problem);
            }
            (kind, problem) => assert!(kind == &ErrorKind::Status && problem.is_none(), "{kind:?}"),
        }
    }
}

/// The body of an answer to a question for renewal information: a window that is taken starts before it ends, and is taken
/// again when it is written; a window that ends before it starts is refused.
pub fn ari(data: &[u8]) {
    let read = RenewalInfo::read(&answer(Operation::RenewalInfo, StatusCode::OK, data));
    let info = match read {
        Ok(info) => info,
        Err(error) => return check_refusal(&error),
    };
    assert!(info.start < info.end, "{} to {}", info.start, info.end);
    // Bytes that are no UTF-8 may stand in fields that are passed over, and serde takes lists for objects.
    let json: Option<Value> = serde_json::from_slice(data).ok();
    if let Some(written) = json.as_ref().and_then(|json| json.get("suggestedWindow")).filter(|json| json.is_object()) {
        let bound = |name: &str| written[name].as_str()?.parse::<Timestamp>().ok();
        assert_eq!((bound("start"), bound("end")), (Some(info.start), Some(info.end)));
    }
    if let Some(page) = &info.explanation {
        assert!(["http", "https"].contains(&page.scheme()), "{page}");
    }
    let window = |start: Timestamp, end: Timestamp| {
        let json = json!({"suggestedWindow": {"start": start.to_string(), "end": end.to_string()},
            "explanationURL": info.explanation.as_ref().map(|page| page.as_str())});
        RenewalInfo::read(&answer(Operation::RenewalInfo, StatusCode::OK, json.to_string().as_bytes()))
    };
    assert_eq!(window(info.start, info.end).ok().as_ref(), Some(&info));
    assert!(window(info.end, info.start).is_err() && window(info.start, info.start).is_err());
}

/// A challenge's token: what is taken is taken as it is, and safe wherever it is put.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Token>() {
        Ok(token) => {
            assert_eq!((token.as_str(), token.to_string().as_str()), (text, text));
            assert!((1..=256).contains(&text.len()));
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text:?}");
        }
        Err(error) => check_shown(&error.to_string()),
    }
}

/// A URL that the CA names, absolute or from a header: what is taken leads to https or to this machine, and is kept as
/// it was written.
pub fn resource_url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<ResourceUrl>() {
        Ok(url) => {
            assert_eq!(url.as_str(), text);
            check_url(&url);
        }
        Err(error) => check_shown(&error.to_string()),
    }
    match base().join(text) {
        Ok(url) => check_url(&url),
        Err(error) => check_shown(&error.to_string()),
    }
}

/// What a CA sends for a chain: text that passes holds blocks of certificates only, wherever in a line they begin.
pub fn pem_chain(data: &[u8]) {
    let _ = CertificateId::from_der(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if !holds_only_certificates(text) {
        return;
    }
    let mut blocks = text.split("-----BEGIN ").skip(1);
    assert!(blocks.all(|block| block.starts_with("CERTIFICATE-----")), "{text:?}");
    assert!(!text.chars().any(|letter| letter.is_control() && !letter.is_ascii_whitespace()), "{text:?}");
}

fn check_problem(problem: &Problem) {
    check_shown(&problem.to_string());
    check_shown(&format!("{problem:?}"));
    let detail = problem.detail();
    assert!(detail.chars().count() <= 500, "{detail:?}");
    if !matches!(problem.kind, ProblemType::Unknown(_)) {
        let again = json!({"type": format!("urn:ietf:params:acme:error:{}", problem.kind), "detail": &detail});
        let again = Problem::from_json(&again).expect("it has a type");
        assert_eq!((&again.kind, again.detail()), (&problem.kind, detail));
    }
    for subproblem in &problem.subproblems {
        assert!(subproblem.subproblems.is_empty());
        check_problem(subproblem);
    }
}

fn check_refusal(error: &Error) {
    assert_eq!(error.kind(), &ErrorKind::Malformed);
    check_shown(&error.to_string());
}

/// What stands on a terminal or in a log.
fn check_shown(text: &str) {
    assert!(text.chars().count() <= LONGEST_LINE, "{} characters", text.chars().count());
    assert!(!text.chars().any(|letter| letter.is_control() || reorders(letter)), "{text:?}");
    // `{"` in base64 begins a JWT; with so many letters of that alphabet after it, it is one.
    let tokens = text.match_indices("eyJ").map(|(at, _)| &text[at..]);
    let length =
        |token: &str| token.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte)).count();
    assert!(tokens.map(length).all(|length| length < 40), "{text:?}");
}

/// Unicode's Bidi_Control (UAX 9): text after one may read as something else.
fn reorders(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn check_url(url: &ResourceUrl) {
    let parsed = url.as_url();
    assert!(url.as_str().len() <= 2048 && url.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
    assert!(parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none(), "{url}");
    let host = parsed.host_str().expect("a host");
    let is_loopback = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    assert!(parsed.scheme() == "https" || parsed.scheme() == "http" && is_loopback, "{url}");
    assert_eq!(url.as_str().parse::<ResourceUrl>().ok().as_ref(), Some(url));
    assert!(!url.without_query().contains('?') && !format!("{url:?}").contains('?'), "{url:?}");
    assert!(url.with_segment("a.b").as_url().path().ends_with("/a.b"));
}

fn answer(operation: Operation, status: StatusCode, body: &[u8]) -> Answer {
    Answer { operation, url: base(), status, headers: HeaderMap::new(), retry_after: None, body: body.to_vec() }
}

fn base() -> ResourceUrl {
    "https://ca.example/acme/cert/7".parse().expect("a URL")
}

/// Any time, out of at most eight bytes.
fn timestamp(bytes: &[u8]) -> Timestamp {
    let mut seconds = [0; 8];
    seconds[..bytes.len()].copy_from_slice(bytes);
    let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let second = first + i64::from_le_bytes(seconds).rem_euclid(last - first);
    Timestamp::from_second(second).expect("within the range")
}

const YEAR: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A URL, a detail and six subproblems, each with an identifier.
const LONGEST_LINE: usize = 10_000;

#[cfg(test)]
#[path = "../../../fuzz/quick_test.rs"]
mod quick_test;

#[cfg(test)]
mod tests {
    use super::quick_test;

    #[test]
    fn a_links_targets_stand_in_its_header_and_read_back() {
        quick_test::check("link", super::link);
    }

    #[test]
    fn no_retry_after_asks_for_more_than_a_year() {
        quick_test::check("retry_after", super::retry_after);
    }

    #[test]
    fn what_is_shown_of_a_refusal_is_one_short_harmless_line() {
        quick_test::check("problem", super::problem);
    }

    #[test]
    fn a_window_that_is_taken_starts_before_it_ends() {
        quick_test::check("ari", super::ari);
    }

    #[test]
    fn a_token_is_safe_wherever_it_is_put() {
        quick_test::check("token", super::token);
    }

    #[test]
    fn a_url_of_the_cas_leads_to_https_or_to_this_machine() {
        quick_test::check("resource_url", super::resource_url);
    }

    #[test]
    fn a_chain_that_is_passed_on_holds_certificates_only() {
        quick_test::check("pem_chain", super::pem_chain);
    }
}
