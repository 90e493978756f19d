//! How values stand in columns.

use std::fmt::Display;
use std::str::FromStr;

use certferry_core::{KeyFamily, Sha256};
use jiff::Timestamp;

use super::failure::Failure;

/// Microseconds since 1970. What is finer is cut off.
pub(super) fn micros(instant: Timestamp) -> i64 {
    instant.as_microsecond()
}

pub(super) fn instant(column: &'static str, micros: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_microsecond(micros).map_err(|error| damaged(column, error))
}

pub(super) fn optional_instant(column: &'static str, micros: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    micros.map(|micros| instant(column, micros)).transpose()
}

/// A JSON array of text.
pub(super) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<serde_json::Value>().to_string()
}

pub(super) fn texts(column: &'static str, json: &str) -> Result<Vec<String>, Failure> {
    serde_json::from_str(json).map_err(|error| damaged(column, error))
}

pub(super) fn parsed_list<T: FromStr<Err: Display>>(column: &'static str, json: &str) -> Result<Vec<T>, Failure> {
    texts(column, json)?.iter().map(|text| parsed(column, text)).collect()
}

pub(super) fn parsed<T: FromStr<Err: Display>>(column: &'static str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error| damaged(column, error))
}

pub(super) fn optional<T: FromStr<Err: Display>>(
    column: &'static str,
    text: Option<&str>,
) -> Result<Option<T>, Failure> {
    text.map(|text| parsed(column, text)).transpose()
}

pub(super) fn word<T>(column: &'static str, text: &str, from: impl Fn(&str) -> Option<T>) -> Result<T, Failure> {
    from(text).ok_or_else(|| damaged(column, format!("unknown word `{text}`")))
}

pub(super) fn sha256(column: &'static str, text: &str) -> Result<Sha256, Failure> {
    Sha256::from_hex(text).ok_or_else(|| damaged(column, "not 64 hex digits"))
}

pub(super) fn key_family_word(family: KeyFamily) -> &'static str {
    match family {
        KeyFamily::Ecdsa => "ecdsa",
        KeyFamily::Rsa => "rsa",
    }
}

pub(super) fn key_family(text: &str) -> Option<KeyFamily> {
    [KeyFamily::Ecdsa, KeyFamily::Rsa].into_iter().find(|family| key_family_word(*family) == text)
}

pub(super) fn damaged(column: &'static str, why: impl Display) -> Failure {
    Failure::Damaged { column, why: why.to_string() }
}
