//! Reads typed fields out of request objects, with the service's complaints.

use serde_json::{Map, Value};

use super::error::ApiError;

/// An object of a request and the words that name it in messages.
pub(super) struct Fields<'a> {
    owner: String,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(owner: impl Into<String>, map: &'a Map<String, Value>) -> Self {
        Self { owner: owner.into(), map }
    }

    pub(super) fn required_text(&self, name: &str) -> Result<&'a str, ApiError> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ApiError> {
        self.typed(name, "a string", Value::as_str)
    }

    pub(super) fn required_integer(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<u64, ApiError> {
        self.integer(name, range)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn integer(&self, name: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let words = format!("an integer from {} to {}", range.start(), range.end());
        self.typed(name, &words, |value| value.as_u64().filter(|number| range.contains(number)))
    }

    pub(super) fn required_flag(&self, name: &str) -> Result<bool, ApiError> {
        self.flag(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.typed(name, "a boolean", Value::as_bool)
    }

    pub(super) fn required_object(&self, name: &str) -> Result<&'a Map<String, Value>, ApiError> {
        self.object(name)?.ok_or_else(|| self.missing(name))
    }

    pub(super) fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, ApiError> {
        self.typed(name, "an object", Value::as_object)
    }

    pub(super) fn required_objects(&self, name: &str) -> Result<Vec<&'a Map<String, Value>>, ApiError> {
        self.typed(name, "a list of objects", |value| value.as_array()?.iter().map(Value::as_object).collect())?
            .ok_or_else(|| self.missing(name))
    }

    /// Empty when absent.
    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'a str>, ApiError> {
        Ok(self
            .typed(name, "a list of strings", |value| value.as_array()?.iter().map(Value::as_str).collect())?
            .unwrap_or_default())
    }

    /// One of the words.
    pub(super) fn required_word(&self, name: &str, words: &[&str]) -> Result<&'a str, ApiError> {
        let word = self.required_text(name)?;
        if words.contains(&word) {
            return Ok(word);
        }
        Err(ApiError::invalid_parameter(format!("{}: {name} '{word}' is not one of {}", self.owner, words.join(", "))))
    }

    fn typed<T>(
        &self,
        name: &str,
        words: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        match self.map.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| ApiError::invalid_parameter(format!("{}: {name} must be {words}", self.owner))),
        }
    }

    fn missing(&self, name: &str) -> ApiError {
        ApiError::invalid_parameter(format!("{}: {name} must not be null", self.owner))
    }
}

/// Explicit nulls in a request mean "not given".
pub(super) fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name, without_nulls(value)))
                .collect(),
        ),
        Value::Array(values) => Value::Array(values.into_iter().map(without_nulls).collect()),
        other => other,
    }
}
