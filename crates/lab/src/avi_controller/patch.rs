//! PATCH: `{"add": …, "replace": …, "delete": …}` and `{"json_patch": [{"op", "path", "value"}]}`.
//!
//! Only the first level of an object is looked at: a field is set or reset as a whole, and elements of a list are told
//! apart by a key, not by their whole value. Which fields are the key of `http_policies` and `services` is not
//! documented; the lab uses what makes an element unique.

use serde_json::Value;

use super::{error::ApiError, json::Object, options::AbsentElement, references};

/// Applies the operations in the order delete, replace, add; references must be resolved already.
pub(super) fn apply(fields: &mut Object, patch: &Object, absent: AbsentElement) -> Result<(), ApiError> {
    for operation in patch.keys() {
        if !["add", "delete", "json_patch", "replace"].contains(&operation.as_str()) {
            return Err(ApiError::bad_request(format!("Invalid patch operation {operation}")));
        }
    }
    for (name, value) in operation(patch, "delete")? {
        delete(fields, name, value, absent)?;
    }
    for (name, value) in operation(patch, "replace")? {
        fields.insert(name.clone(), value.clone());
    }
    for (name, value) in operation(patch, "add")? {
        add(fields, name, value);
    }
    match patch.get("json_patch") {
        None => {}
        Some(Value::Array(steps)) => {
            let mut whole = Value::Object(std::mem::take(fields));
            for step in steps {
                json_patch(&mut whole, step)?;
            }
            *fields = super::json::map(whole);
        }
        Some(_) => return Err(ApiError::bad_request("json_patch must be a list of operations")),
    }
    fields.retain(|_, value| *value != Value::Array(Vec::new()));
    Ok(())
}

fn operation<'a>(patch: &'a Object, name: &str) -> Result<Vec<(&'a String, &'a Value)>, ApiError> {
    match patch.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Object(fields)) => Ok(fields.iter().collect()),
        Some(_) => Err(ApiError::bad_request(format!("patch operation {name} must hold an object"))),
    }
}

fn add(fields: &mut Object, name: &str, value: &Value) {
    let Value::Array(new) = value else {
        fields.insert(name.to_owned(), value.clone());
        return;
    };
    let Value::Array(list) = fields.entry(name).or_insert_with(|| Value::Array(Vec::new())) else {
        fields.insert(name.to_owned(), value.clone());
        return;
    };
    for element in new {
        match list.iter_mut().find(|known| same(name, known, element)) {
            Some(known) => *known = element.clone(),
            None => list.push(element.clone()),
        }
    }
}

/// A scalar goes back to its default, whatever value is given.
fn delete(fields: &mut Object, name: &str, value: &Value, absent: AbsentElement) -> Result<(), ApiError> {
    let (Value::Array(gone), Some(Value::Array(list))) = (value, fields.get_mut(name)) else {
        let missing = fields.remove(name).is_none() && value.is_array();
        return if missing { refuse(name, absent) } else { Ok(()) };
    };
    for element in gone {
        let before = list.len();
        list.retain(|known| !same(name, known, element));
        if list.len() == before {
            refuse(name, absent)?;
        }
    }
    Ok(())
}

fn refuse(name: &str, absent: AbsentElement) -> Result<(), ApiError> {
    match absent {
        AbsentElement::Ignored => Ok(()),
        AbsentElement::Refused => Err(ApiError::bad_request(format!("{name}: no such element to delete"))),
    }
}

/// Whether two elements of a list have the same key.
fn same(list: &str, one: &Value, other: &Value) -> bool {
    let (Value::Object(one), Value::Object(other)) = (one, other) else {
        return one == other;
    };
    let number = |element: &Object, field: &str| element.get(field).and_then(Value::as_u64);
    let reference = |element: &Object, field: &str| {
        element.get(field).and_then(Value::as_str).map(|reference| references::uuid(reference).to_owned())
    };
    match list {
        "http_policies" => {
            number(one, "index") == number(other, "index")
                && reference(one, "http_policy_set_ref") == reference(other, "http_policy_set_ref")
        }
        "services" => {
            let last = |element: &Object| match number(element, "port_range_end") {
                None | Some(0) => number(element, "port"),
                last => last,
            };
            number(one, "port") == number(other, "port") && last(one) == last(other)
        }
        "ca_certs" => reference(one, "ca_ref") == reference(other, "ca_ref"),
        "dns_info" => one.get("fqdn") == other.get("fqdn"),
        "servers" => one.get("ip") == other.get("ip") && one.get("port") == other.get("port"),
        "vip" => one.get("vip_id") == other.get("vip_id"),
        "script_params" | "dynamic_params" => one.get("name") == other.get("name"),
        "markers" => one.get("key") == other.get("key"),
        _ => one == other,
    }
}

/// One step, RFC 6902: add, replace or remove at a JSON pointer.
fn json_patch(whole: &mut Value, step: &Value) -> Result<(), ApiError> {
    let path = step["path"].as_str().unwrap_or_default();
    let refused = |problem: &str| ApiError::bad_request(format!("json_patch {path}: {problem}"));
    let (parent, last) = path.rsplit_once('/').ok_or_else(|| refused("not a path"))?;
    let last = last.replace("~1", "/").replace("~0", "~");
    let parent = whole.pointer_mut(parent).ok_or_else(|| refused("no such place"))?;
    let value = step.get("value").cloned();
    let needs_value = || value.clone().ok_or_else(|| refused("value is missing"));
    let op = step["op"].as_str().unwrap_or_default();
    match parent {
        Value::Object(fields) => match op {
            "add" => drop(fields.insert(last, needs_value()?)),
            "replace" if fields.contains_key(&last) => drop(fields.insert(last, needs_value()?)),
            "remove" if fields.contains_key(&last) => drop(fields.remove(&last)),
            "replace" | "remove" => return Err(refused("no such field")),
            _ => return Err(refused("op must be add, replace or remove")),
        },
        Value::Array(list) => {
            let position = match last.as_str() {
                "-" => list.len(),
                number => number.parse().map_err(|_| refused("not a position"))?,
            };
            match op {
                "add" if position <= list.len() => list.insert(position, needs_value()?),
                "replace" if position < list.len() => list[position] = needs_value()?,
                "remove" if position < list.len() => drop(list.remove(position)),
                "add" | "replace" | "remove" => return Err(refused("no such element")),
                _ => return Err(refused("op must be add, replace or remove")),
            }
        }
        _ => return Err(refused("no such place")),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn operations_change_the_first_level_and_tell_list_elements_apart_by_key() {
        let service = json!({"port": 443, "port_range_end": 443, "enable_ssl": true});
        let policy =
            |index, set: &str| json!({"index": index, "http_policy_set_ref": format!("/api/httppolicyset/{set}")});
        let cases = [
            (json!({}), json!({"add": {"fqdn": "a"}}), json!({"fqdn": "a"})),
            (json!({"fqdn": "a"}), json!({"replace": {"fqdn": "b"}}), json!({"fqdn": "b"})),
            (json!({"fqdn": "a"}), json!({"delete": {"fqdn": "anything"}}), json!({})),
            (
                json!({"services": [service]}),
                json!({"add": {"services": [{"port": 80}]}}),
                json!({"services": [service, {"port": 80}]}),
            ),
            (
                json!({"services": [service]}),
                json!({"add": {"services": [{"port": 443, "enable_ssl": false}]}}),
                json!({"services": [{"port": 443, "enable_ssl": false}]}),
            ),
            (json!({"services": [service]}), json!({"delete": {"services": [{"port": 443}]}}), json!({})),
            (
                json!({"http_policies": [policy(1, "a"), policy(2, "b")]}),
                json!({"delete": {"http_policies": [policy(2, "b"), policy(1, "b")]}}),
                json!({"http_policies": [policy(1, "a")]}),
            ),
            (
                json!({"x_refs": ["/api/x/1"]}),
                json!({"add": {"x_refs": ["/api/x/1", "/api/x/2"]}}),
                json!({"x_refs": ["/api/x/1", "/api/x/2"]}),
            ),
            (json!({"l": [1]}), json!({"delete": {"l": [1]}, "add": {"m": 2}}), json!({"m": 2})),
            (
                json!({"l": [1, 2]}),
                json!({"json_patch": [{"op": "remove", "path": "/l/0"},
                {"op": "add", "path": "/l/-", "value": 3}, {"op": "add", "path": "/n", "value": {"a": 1}},
                {"op": "replace", "path": "/n/a", "value": 2}]}),
                json!({"l": [2, 3], "n": {"a": 2}}),
            ),
        ];
        for (before, patch, after) in cases {
            let mut fields = before.as_object().unwrap().clone();
            apply(&mut fields, patch.as_object().unwrap(), AbsentElement::Ignored).unwrap();
            assert_eq!(Value::Object(fields), after, "{before} with {patch}");
        }
    }

    #[test]
    fn what_cannot_be_applied_is_refused() {
        let fields = json!({"l": [1], "o": {}}).as_object().unwrap().clone();
        for patch in [
            json!({"remove": {"l": 1}}),
            json!({"add": []}),
            json!({"delete": {"l": [2]}}),
            json!({"delete": {"other": [2]}}),
            json!({"json_patch": {}}),
            json!({"json_patch": [{"op": "remove", "path": "/l/1"}]}),
            json!({"json_patch": [{"op": "replace", "path": "/x", "value": 1}]}),
            json!({"json_patch": [{"op": "add", "path": "/x"}]}),
            json!({"json_patch": [{"op": "move", "path": "/l/0"}]}),
            json!({"json_patch": [{"op": "add", "path": "/no/place", "value": 1}]}),
        ] {
            let refused = apply(&mut fields.clone(), patch.as_object().unwrap(), AbsentElement::Refused);
            assert_eq!(refused.unwrap_err().status, 400, "{patch}");
        }
    }
}
