//! `Retry-After`: seconds or an HTTP date (RFC 9110 §10.2.3). Pebble sends either, at random.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use jiff::Timestamp;

/// How long the answer asks to wait. A date is measured against the answer's own `Date`, so that a wrong local clock
/// does no harm, and against `now` when there is none. `None` when the header is absent or unreadable.
pub(crate) fn from_headers(headers: &HeaderMap, now: impl FnOnce() -> Option<Timestamp>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = parse_seconds(value) {
        return Some(seconds);
    }
    let until = parse_date(value)?;
    let date = headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(parse_date);
    let from = date.or_else(|| now().map(SystemTime::from))?;
    // A date in the past means "now".
    Some(until.duration_since(from).unwrap_or(Duration::ZERO).min(LONGEST))
}

fn parse_seconds(value: &str) -> Option<Duration> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Too many digits for a u64 is still a number, and still "very long".
    Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST))
}

fn parse_date(value: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(value.trim()).ok()
}

/// Longer than any honest answer, short enough that a caller may add it to a time without overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(retry_after: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        headers
    }

    #[test]
    fn seconds_and_dates_are_read() {
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, expected) in [
            ("120", None, Some(120)),
            (" 0 ", None, Some(0)),
            ("99999999999999999999999999", None, Some(LONGEST.as_secs())),
            ("Sun, 06 Nov 1994 08:51:37 GMT", date, Some(120)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", date, Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", date, Some(LONGEST.as_secs())),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some("rubbish"), None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("", None, None),
        ] {
            let read = from_headers(&headers(value, date), || None);
            assert_eq!(read, expected.map(Duration::from_secs), "{value:?} at {date:?}");
        }
    }

    #[test]
    fn the_clock_stands_in_for_a_missing_date() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let read = from_headers(&headers("Sun, 06 Nov 1994 08:50:37 GMT", None), || Some(now));
        assert_eq!(read, Some(Duration::from_secs(60)));
    }

    proptest! {
        #[test]
        fn no_header_panics_or_overflows(value in any::<Vec<u8>>(), date in any::<Vec<u8>>()) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) { headers.insert(RETRY_AFTER, value); }
            if let Ok(date) = HeaderValue::from_bytes(&date) { headers.insert(DATE, date); }
            prop_assert!(from_headers(&headers, || Some(Timestamp::MIN)).is_none_or(|wait| wait <= LONGEST));
        }

        #[test]
        fn any_date_gives_a_bounded_wait(seconds in 0u64..253_402_300_800, now in -377_705_023_201i64..253_402_207_200) {
            let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(seconds));
            let now = Timestamp::from_second(now).unwrap();
            let wait = from_headers(&headers(&date, None), || Some(now));
            prop_assert!(wait.is_some_and(|wait| wait <= LONGEST));
        }
    }
}
