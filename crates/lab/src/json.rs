//! Reading fields of objects whose shape is not known for sure.

use serde_json::{Map, Value};

pub(crate) type Object = Map<String, Value>;

/// The text of a field; empty when it is absent or something else.
pub(crate) fn text<'a>(object: &'a Object, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn texts<'a>(object: &'a Object, field: &str) -> impl Iterator<Item = &'a str> + use<'a> {
    object.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

pub(crate) fn objects<'a>(object: &'a Object, field: &str) -> impl Iterator<Item = &'a Object> + use<'a> {
    object.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object)
}

pub(crate) fn objects_mut<'a>(object: &'a mut Object, field: &str) -> impl Iterator<Item = &'a mut Object> + use<'a> {
    object.get_mut(field).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

pub(crate) fn object<'a>(object: &'a Object, field: &str) -> Option<&'a Object> {
    object.get(field).and_then(Value::as_object)
}

pub(crate) fn flag(object: &Object, field: &str) -> bool {
    object.get(field) == Some(&Value::Bool(true))
}

pub(crate) fn number(object: &Object, field: &str) -> Option<u64> {
    object.get(field).and_then(Value::as_u64)
}

pub(crate) fn has(object: &Object, field: &str) -> bool {
    match object.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        Some(_) => true,
    }
}

/// The map of `json!({…})`; empty for anything else.
pub(crate) fn map(value: Value) -> Object {
    match value {
        Value::Object(map) => map,
        _ => Object::new(),
    }
}
