//! References between objects, in all forms in which clients write them.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{error::ApiError, json::Object, kind::Kind, store::Store};

/// The uuid in `/api/<type>/<uuid>`, with or without host and `#name`.
pub(super) fn uuid(reference: &str) -> &str {
    let path = reference.split(['#', '?']).next().unwrap_or_default();
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

pub(super) fn to(kind: &Kind, uuid: &str) -> String {
    format!("/api/{}/{uuid}", kind.path)
}

/// Visits every reference in an object, its parts too.
pub(super) fn each(fields: &Object, visit: &mut impl FnMut(&str)) {
    for (name, value) in fields {
        each_value(name, value, visit);
    }
}

fn each_value(name: &str, value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::String(reference) if is_reference(name) => visit(reference),
        Value::Array(list) => list.iter().for_each(|value| each_value(name, value, visit)),
        Value::Object(fields) => each(fields, visit),
        _ => {}
    }
}

/// Changes every reference in an object, its parts too.
pub(super) fn rewrite<E>(fields: &mut Object, change: &mut impl FnMut(&str) -> Result<String, E>) -> Result<(), E> {
    for (name, value) in fields {
        rewrite_value(name, value, change)?;
    }
    Ok(())
}

fn rewrite_value<E>(
    name: &str,
    value: &mut Value,
    change: &mut impl FnMut(&str) -> Result<String, E>,
) -> Result<(), E> {
    match value {
        Value::String(reference) if is_reference(name) => *reference = change(reference)?,
        Value::Array(list) => list.iter_mut().try_for_each(|value| rewrite_value(name, value, change))?,
        Value::Object(fields) => rewrite(fields, change)?,
        _ => {}
    }
    Ok(())
}

/// As the store keeps references: `/api/<type>/<uuid>`, of objects that exist and that the tenant sees.
pub(super) fn resolve_all(fields: &mut Object, store: &Store, tenant: &str) -> Result<(), ApiError> {
    rewrite(fields, &mut |reference| resolve(reference, store, tenant))
}

/// Absolute or from `/api` on, by uuid or by `?name=`.
pub(super) fn resolve(reference: &str, store: &Store, tenant: &str) -> Result<String, ApiError> {
    if reference.is_empty() {
        return Ok(String::new());
    }
    let not_understood = || ApiError::bad_request(format!("Invalid reference {reference}"));
    let start = reference.find("/api/").ok_or_else(not_understood)?;
    let path = reference[start + "/api/".len()..].split('#').next().unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let word = parts.next().ok_or_else(not_understood)?;
    let kind = Kind::of(word).ok_or_else(|| ApiError::bad_request(format!("{word} object not found!")))?;
    let found = match (parts.next(), query.strip_prefix("name=")) {
        (Some(uuid), _) => store.get(kind.path, uuid).filter(|object| store.is_visible(object, tenant)),
        (None, Some(name)) => {
            let name = percent_decode_str(name.split('&').next().unwrap_or_default()).decode_utf8_lossy();
            store.named(kind, tenant, &name)
        }
        (None, None) => kind.singleton.and_then(|uuid| store.find(uuid)),
    };
    match found {
        Some(object) => Ok(to(kind, &object.uuid)),
        None => Err(ApiError::bad_request(format!("{} object not found: {reference}", kind.class))),
    }
}

fn is_reference(field: &str) -> bool {
    field.ends_with("_ref") || field.ends_with("_refs")
}
