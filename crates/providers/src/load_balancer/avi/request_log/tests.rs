use proptest::prelude::*;
use serde_json::json;

use super::*;

fn query() -> RequestLogQuery {
    RequestLogQuery {
        virtual_services: Vec::new(),
        within: Duration::from_secs(600),
        host: None,
        token: None,
        limit: 10,
    }
}

fn entry() -> Value {
    json!({"report_timestamp": "2026-01-02T03:04:05.678901+00:00", "client_ip": "203.0.113.9", "host": "www.some-domain.com",
        "uri_path": "/.well-known/acme-challenge/Tok-1", "response_code": 200, "http_security_policy_rule_name": "Tok-1",
        "http_request_policy_rule_name": "", "user_agent": "Mozilla/5.0 (compatible; validation)", "adf": false,
        "significant": 0})
}

fn changed(key: &str, value: Value) -> Value {
    let mut entry = entry();
    entry[key] = value;
    entry
}

#[test]
fn an_entry_becomes_a_line_for_people() {
    let request = ValidationRequest::new(&entry(), "shop-80").unwrap();
    assert_eq!(request.significant, Some(false));
    assert_eq!(
        request.to_string(),
        "2026-01-02T03:04:05Z `203.0.113.9` asked virtual service `shop-80` for \
         `www.some-domain.com/.well-known/acme-challenge/Tok-1`: 200 by rule `Tok-1`, user agent `Mozilla/5.0 \
         (compatible; validation)`"
    );
    let bare = json!({"report_timestamp": 1_767_323_045, "uri_path": "/.well-known/acme-challenge/x"});
    assert_eq!(
        ValidationRequest::new(&bare, "shop-80").unwrap().to_string(),
        "2026-01-02T03:04:05Z `` asked virtual service `shop-80` for `/.well-known/acme-challenge/x`: closed without an \
         answer by no rule"
    );
}

#[test]
fn fields_are_read_in_all_their_forms() {
    let read = |key: &str, value: Value| ValidationRequest::new(&changed(key, value), "shop-80");
    for (value, expected) in [
        (json!("2026-01-02T03:04:05Z"), Some("2026-01-02T03:04:05Z")),
        (json!("2026-01-02T04:04:05+01:00"), Some("2026-01-02T03:04:05Z")),
        (json!(1_767_323_045), Some("2026-01-02T03:04:05Z")),
        (json!(1_767_323_045_000_i64), Some("2026-01-02T03:04:05Z")),
        (json!(1_767_323_045_000_000_i64), Some("2026-01-02T03:04:05Z")),
        (json!("1767323045000000"), Some("2026-01-02T03:04:05Z")),
        (json!(1_767_323_045_000_000_000_i64), Some("2026-01-02T03:04:05Z")),
        (json!("yesterday"), None),
        (json!(u64::MAX), None),
        (Value::Null, None),
    ] {
        let at = read("report_timestamp", value.clone()).map(|request| request.at);
        assert_eq!(at, expected.map(|text| text.parse().unwrap()), "{value}");
    }
    for (value, expected) in [
        (json!("2001:db8::1"), "2001:db8::1"),
        (json!(3_405_803_785_u32), "203.0.113.9"),
        (json!(0), ""),
        (json!(1.5), ""),
    ] {
        assert_eq!(read("client_ip", value.clone()).unwrap().client, expected, "{value}");
    }
    let only_6 = json!({"report_timestamp": 0, "client_ip": 0, "client_ip6": "2001:db8::2"});
    assert_eq!(ValidationRequest::new(&only_6, "shop-80").unwrap().client, "2001:db8::2");
    for (adf, number, expected) in
        [(json!(true), json!(0), Some(true)), (Value::Null, json!(5), Some(true)), (Value::Null, Value::Null, None)]
    {
        let mut entry = changed("adf", adf);
        entry["significant"] = number;
        assert_eq!(ValidationRequest::new(&entry, "shop-80").unwrap().significant, expected, "{entry}");
    }
    assert_eq!(read("response_code", json!(70_000)).unwrap().status, 0);
    let by_request_rule = json!({"report_timestamp": 0, "http_request_policy_rule_name": "Tok-1"});
    assert_eq!(ValidationRequest::new(&by_request_rule, "shop-80").unwrap().rule.as_deref(), Some("Tok-1"));
}

#[test]
fn what_is_asked_for_is_compared_as_it_came() {
    let www = || Some("www.some-domain.com".parse().unwrap());
    let (all, token) = (query(), RequestLogQuery { token: Some("Tok-1".to_owned()), ..query() });
    let host = RequestLogQuery { host: www(), ..query() };
    for (query, key, value, expected) in [
        (&all, "uri_path", "/.well-known/acme-challenge/anything/else", true),
        (&all, "uri_path", "/shop?acme-challenge", false),
        (&all, "uri_path", "/.WELL-KNOWN/acme-challenge/Tok-1", false),
        (&token, "uri_path", "/.well-known/acme-challenge/Tok-1", true),
        (&token, "uri_path", "/.well-known/acme-challenge/tok-1", false),
        (&token, "uri_path", "/.well-known/acme-challenge/Tok-1/", false),
        (&token, "uri_path", "/.well-known/acme-challenge/Tok\u{200b}-1", false),
        (&host, "host", "WWW.some-domain.com", true),
        (&host, "host", "www.some-domain.com.:80", true),
        (&host, "host", "www.some-domain.com:80:80", false),
        (&host, "host", "www.some-domain.com.evil.com", false),
        (&host, "host", "", false),
    ] {
        assert_eq!(query.asks_for(&changed(key, json!(value))), expected, "{value:?}");
    }
    assert!(!all.asks_for(&json!({"uri_path": 7})));
}

#[test]
fn hostile_texts_do_nothing_to_a_terminal_or_a_line() {
    for (text, expected) in [
        ("\u{1b}[2J\u{1b}]0;owned\u{7}x", "[2J]0;ownedx"),
        ("a\r\n2026-01-02T03:04:05Z forged", "a2026-01-02T03:04:05Z forged"),
        ("a\u{202e}b\u{2066}c\u{200d}\u{feff}\u{e0041}\u{9b}1m", "abc1m"),
        ("a`, user agent `b", "a', user agent 'b"),
        ("Zürich ✓ 世界", "Zürich ✓ 世界"),
    ] {
        assert_eq!(harmless(text, 100), expected, "{text:?}");
    }
    assert_eq!(harmless("世界世界", 3), "世界世…");
    assert_eq!(harmless("abc\u{200b}", 3), "abc");
    let long = "x".repeat(100_000);
    let mut hostile = entry();
    for key in ["client_ip", "host", "uri_path", "http_security_policy_rule_name", "user_agent"] {
        hostile[key] = json!(long);
    }
    let line = ValidationRequest::new(&hostile, &long).unwrap().to_string();
    assert!(line.chars().count() < 1_600, "{}", line.len());
}

proptest! {
    #[test]
    fn no_text_gets_through_a_line(text in any::<String>()) {
        let mut entry = entry();
        for key in ["client_ip", "host", "uri_path", "http_security_policy_rule_name", "user_agent"] {
            entry[key] = json!(text);
        }
        let line = ValidationRequest::new(&entry, &text).unwrap().to_string();
        prop_assert!(!line.chars().any(|letter| letter.is_control() || is_invisible(letter)), "{line:?}");
        // Two around each of the five that are shown.
        prop_assert!(line.matches('`').count() <= 10, "{line:?}");
    }

    #[test]
    fn no_host_header_makes_it_panic(header in any::<String>()) {
        let _ = is_host(&header, &"www.some-domain.com".parse().unwrap());
    }

    #[test]
    fn no_number_is_no_time_that_panics(number in any::<i64>()) {
        let _ = instant(&json!(number));
    }
}
