//! Reads fields that are nice to have: a CA that gets one of them wrong must not lose us the order.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use url::Url;

use crate::problem::Problem;

/// An RFC 3339 time; absent when it is not one.
pub(crate) fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_str().and_then(|text| text.parse().ok()))
}

/// A string; absent when it is something else.
pub(crate) fn string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

/// A list; empty when it is null, which is how Go writes a list without elements.
pub(crate) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A problem document; absent when it is not an object.
pub(crate) fn problem<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Problem>, D::Error> {
    Ok(Problem::from_json(&Value::deserialize(deserializer)?))
}

/// A web page for people; absent when it is not http or https.
pub(crate) fn web_page(json: Option<&Value>) -> Option<Url> {
    let url = Url::parse(json?.as_str()?).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(url)
}
