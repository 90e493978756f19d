//! Filters, order and paging of collections.

use serde_json::{Value, json};
use url::form_urlencoded;

use super::{
    error::ApiError,
    json::Object,
    kind::Kind,
    references,
    store::{Store, Stored},
};

/// The query of a call, decoded; a name may come more than once.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, |value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"))
    }

    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        let wrong = |text| ApiError::bad_request(format!("Invalid value {text} for query parameter {name}"));
        self.get(name).map_or(Ok(default), |text| text.parse().map_err(|_| wrong(text)))
    }

    /// Whether an object passes every filter.
    pub(super) fn selects(&self, object: &Stored, store: &Store) -> bool {
        let inverted: Vec<&str> = self.get("exclude").into_iter().flat_map(|names| names.split(',')).collect();
        self.0
            .iter()
            .filter(|(name, _)| !OPTIONS.contains(&name.as_str()))
            .all(|(name, value)| passes(object, store, name, value) != inverted.contains(&name.as_str()))
    }

    /// In the order that `sort` asks for.
    pub(super) fn sort(&self, objects: &mut [&Stored]) {
        let Some(sort) = self.get("sort") else { return };
        let (field, descending) = match sort.strip_prefix('-') {
            Some(field) => (field, true),
            None => (sort, false),
        };
        let value = |object: &Stored| match object.fields.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        objects.sort_by_key(|object| value(object));
        if descending {
            objects.reverse();
        }
    }

    /// A page of the results, and the query of the next one.
    pub(super) fn page<'a, T>(&self, results: &'a [T]) -> Result<(&'a [T], Option<String>), ApiError> {
        let size = self.number("page_size", DEFAULT_PAGE_SIZE)?;
        let page = self.number("page", 1)?;
        if !(1..=LARGEST_PAGE).contains(&size) {
            return Err(ApiError::bad_request(format!("page_size must be from 1 to {LARGEST_PAGE}")));
        }
        let start = page.saturating_sub(1).saturating_mul(size);
        if page == 0 || (page > 1 && start >= results.len()) {
            let mut error = ApiError::not_found("");
            error.text = "That page contains no results".into();
            return Err(error);
        }
        let end = (start + size).min(results.len());
        let next = (end < results.len()).then(|| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair("page", &(page + 1).to_string()).append_pair("page_size", &size.to_string());
            for (name, value) in self.0.iter().filter(|(name, _)| name != "page" && name != "page_size") {
                query.append_pair(name, value);
            }
            query.finish()
        });
        Ok((&results[start..end], next))
    }
}

fn passes(object: &Stored, store: &Store, name: &str, value: &str) -> bool {
    let listed = |text: &str| value.split(',').any(|one| one.trim() == text);
    match name {
        "uuid" => object.uuid == value,
        "uuid.in" => listed(&object.uuid),
        "name.in" => listed(object.name()),
        "search" => search(object, value, false),
        "isearch" => search(object, value, true),
        "refers_to" => points_at(object, typed_uuid(value)),
        "referred_by" => store.find(typed_uuid(value)).is_some_and(|other| points_at(other, &object.uuid)),
        "cloud_uuid" => refers(object, "cloud_ref", value),
        _ => match name.rsplit_once('.') {
            Some((field, "contains")) => contains(object.fields.get(field), value, false),
            Some((field, "icontains")) => contains(object.fields.get(field), value, true),
            Some((field, "uuid")) => refers(object, field, value),
            Some((field, "name")) => {
                store.referred(&object.fields, field).is_some_and(|referred| referred.name() == value)
            }
            _ if name.ends_with("_ref") => refers(object, name, value),
            _ => equals(object.fields.get(name), value),
        },
    }
}

fn points_at(object: &Stored, uuid: &str) -> bool {
    let mut found = false;
    references::each(&object.fields, &mut |reference| found |= references::uuid(reference) == uuid);
    found && object.uuid != uuid
}

/// `virtualservice:virtualservice-77aa`.
fn typed_uuid(value: &str) -> &str {
    match value.split_once(':') {
        Some((kind, uuid)) if Kind::of(kind).is_some() => uuid,
        _ => value,
    }
}

fn refers(object: &Stored, field: &str, uuid: &str) -> bool {
    object
        .fields
        .get(field)
        .and_then(Value::as_str)
        .is_some_and(|known| references::uuid(known) == references::uuid(uuid))
}

fn equals(field: Option<&Value>, wanted: &str) -> bool {
    match field {
        Some(Value::String(text)) => text == wanted,
        Some(Value::Bool(flag)) => flag.to_string() == wanted.to_ascii_lowercase(),
        Some(Value::Number(number)) => number.to_string() == wanted,
        Some(Value::Array(list)) => list.iter().any(|value| equals(Some(value), wanted)),
        _ => false,
    }
}

/// A substring of any text in the value.
fn contains(value: Option<&Value>, part: &str, any_case: bool) -> bool {
    match value {
        Some(Value::String(text)) if any_case => text.to_lowercase().contains(&part.to_lowercase()),
        Some(Value::String(text)) => text.contains(part),
        Some(Value::Number(number)) => number.to_string().contains(part),
        Some(Value::Array(list)) => list.iter().any(|value| contains(Some(value), part, any_case)),
        Some(Value::Object(fields)) => fields.values().any(|value| contains(Some(value), part, any_case)),
        _ => false,
    }
}

/// `text`, or `(field,text)` several times with `|` in between.
fn search(object: &Stored, wanted: &str, any_case: bool) -> bool {
    if !wanted.starts_with('(') {
        let whole = json!(object.fields);
        return contains(Some(&whole), wanted, any_case);
    }
    wanted.split('|').any(|part| {
        let inner = part.trim().trim_start_matches('(').trim_end_matches(')');
        inner
            .split_once(',')
            .is_some_and(|(field, text)| field_contains(&object.fields, field.trim(), text.trim(), any_case))
    })
}

/// A field of this name at any depth.
fn field_contains(fields: &Object, field: &str, text: &str, any_case: bool) -> bool {
    fields.iter().any(|(name, value)| {
        (name == field && contains(Some(value), text, any_case)) || nested(value, field, text, any_case)
    })
}

fn nested(value: &Value, field: &str, text: &str, any_case: bool) -> bool {
    match value {
        Value::Object(fields) => field_contains(fields, field, text, any_case),
        Value::Array(list) => list.iter().any(|value| nested(value, field, text, any_case)),
        _ => false,
    }
}

/// Parameters that say how to answer, not what to select.
const OPTIONS: [&str; 11] = [
    "exclude",
    "export_key",
    "fields",
    "include_name",
    "include_refs",
    "join_subresources",
    "limit_by",
    "page",
    "page_size",
    "skip_default",
    "sort",
];
const DEFAULT_PAGE_SIZE: usize = 25;
const LARGEST_PAGE: usize = 200;
