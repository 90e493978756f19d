//! The time that an answer says it is.

use http::HeaderMap;
use http::header::{AGE, DATE};
use jiff::{SignedDuration, Timestamp};

/// The answer's `Date` (RFC 9110 §6.6.1), plus its `Age` where a cache kept it (RFC 9111 §5.1). `None` when there is none,
/// or one that cannot be read.
pub(crate) fn of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).map(str::trim);
    let date = httpdate::parse_http_date(text(DATE)?).ok()?;
    let age = text(AGE).map_or(Some(0), |age| age.parse::<u32>().ok())?;
    Timestamp::try_from(date).ok()?.checked_add(SignedDuration::from_secs(i64::from(age))).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_date_grows_with_its_age() {
        let said = |date: Option<&'static str>, age: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            date.map(|date| headers.insert(DATE, HeaderValue::from_static(date)));
            age.map(|age| headers.insert(AGE, HeaderValue::from_static(age)));
            of(&headers).map(|time| time.to_string())
        };
        let date = Some("Sun, 01 Feb 2026 12:00:00 GMT");
        assert_eq!(said(date, None).as_deref(), Some("2026-02-01T12:00:00Z"));
        assert_eq!(said(date, Some("90")).as_deref(), Some("2026-02-01T12:01:30Z"));
        for (date, age) in [(None, None), (Some("today"), None), (date, Some("old")), (date, Some("-1"))] {
            assert_eq!(said(date, age), None, "{date:?} {age:?}");
        }
        assert_eq!(said(Some("Fri, 31 Dec 9999 23:59:59 GMT"), Some("4294967295")), None);
    }
}
