//! What differs between what is on the controller and what is to be there, field by field. What a controller adds of its own
//! is no difference; what it does not show is none either.

use std::collections::{BTreeMap, BTreeSet};

use certferry_core::Sha256;
use serde_json::Value;

use super::super::model::{ADMIN_TENANT, Collection, flag, list, reference, referred, text};
use super::control_script_text;
use super::desired::{Desired, PROFILE_MARK, Parameter, SCRIPT_SECONDS, TRUSTED_ROOTS};
use super::step::SetupField;

/// What differs in a ControlScript; all of it where there is none.
pub(super) fn script_fields(found: Option<&Value>, desired: &Desired<'_>) -> Vec<SetupField> {
    let mut fields = Vec::new();
    let script = found.and_then(|found| text(found, "action_script"));
    if script.map(lines) != Some(lines(control_script_text())) {
        fields.push(field("action_script", script.map(digest), digest(control_script_text())));
    }
    let timeout = found.and_then(|found| found.get("timeout")).and_then(Value::as_u64);
    if desired.timeout && timeout != Some(SCRIPT_SECONDS) {
        fields.push(field("timeout", timeout.map(|seconds| seconds.to_string()), SCRIPT_SECONDS.to_string()));
    }
    fields
}

/// Rights that a role does not name are none, and a controller may name them all.
pub(super) fn role_fields(found: &Value, desired: &Desired<'_>) -> Vec<SetupField> {
    let rights = |privileges: &[Value]| -> BTreeMap<String, String> {
        let right = |one: &Value| Some((text(one, "resource")?.to_owned(), text(one, "type")?.to_owned()));
        privileges.iter().filter_map(right).filter(|(_, access)| access != NO_ACCESS).collect()
    };
    let (found, wanted) = (rights(list(found, "privileges")), rights(&desired.privileges));
    let resources: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    let differs = resources.into_iter().filter(|resource| found.get(*resource) != wanted.get(*resource));
    differs
        .map(|resource| {
            let wanted = wanted.get(resource).map_or(NO_ACCESS, String::as_str);
            field(&format!("privileges.{resource}"), found.get(resource).cloned(), wanted.to_owned())
        })
        .collect()
}

/// What differs in a user, its password aside. `role` is the uuid of the role that it is to have.
pub(super) fn user_fields(found: &Value, role: Option<&str>, desired: &Desired<'_>) -> Vec<SetupField> {
    let mut fields = Vec::new();
    let accesses = list(found, "access");
    let right = |access: &Value| {
        reference(access, "role_ref") == role && is_in(access, desired.tenant) && !flag(access, "all_tenants", false)
    };
    if role.is_none() || accesses.len() != 1 || !accesses.iter().all(right) {
        let wanted = format!("role `{}` in tenant `{}` only", desired.setup.role_name, desired.tenant);
        let described = format!("other access ({} entries)", accesses.len());
        fields.push(field("access", (!accesses.is_empty()).then_some(described), wanted));
    }
    for (name, wanted) in [("is_superuser", false), ("local", true)] {
        if flag(found, name, wanted) != wanted {
            fields.push(field(name, Some((!wanted).to_string()), wanted.to_string()));
        }
    }
    fields
}

/// Parameters that certferry does not know are the operator's, `time_limit` for one: they are no difference.
pub(super) fn profile_fields(found: &Value, script: Option<&str>, desired: &Desired<'_>) -> Vec<SetupField> {
    let mut fields = Vec::new();
    if script.is_none() || reference(found, "run_script_ref") != script {
        let described = text(found, "run_script_ref").map(|written| match written.split_once('#') {
            Some((_, name)) => Collection::ControlScripts.object(name),
            None => written.to_owned(),
        });
        fields.push(field("run_script_ref", described, Collection::ControlScripts.object(&desired.setup.script_name)));
    }
    let params = list(found, "script_params");
    let own = desired.parameters();
    // The mark alone is no reason to write: a profile made by hand may lack it.
    for wanted in own.iter().filter(|own| own.name != PROFILE_MARK.0 || found.is_null()) {
        let same: Vec<&Value> = params.iter().filter(|one| is_named(one, wanted.name)).collect();
        if !matches!(same.as_slice(), [one] if is_as(one, wanted)) {
            let shown = if wanted.is_sensitive { SECRET.to_owned() } else { short(wanted.value) };
            let found = same.first().map(|one| described(one, wanted));
            fields.push(field(&format!("script_params.{}", wanted.name), found, shown));
        }
    }
    let has_roots = params.iter().any(|one| is_named(one, TRUSTED_ROOTS));
    if has_roots && desired.setup.trusted_roots.is_none() {
        fields.push(field("script_params.trusted_roots", Some("set".to_owned()), "absent".to_owned()));
    }
    fields
}

/// Whether a parameter is as it is wanted, a secret as far as can be seen. Line ends are the controller's matter.
fn is_as(found: &Value, wanted: &Parameter<'_>) -> bool {
    let same_value = || text(found, "value").is_some_and(|value| words(value).eq(words(wanted.value)));
    flag(found, "is_sensitive", false) == wanted.is_sensitive
        && flag(found, "is_dynamic", false) == wanted.is_dynamic
        && (wanted.is_sensitive || same_value())
}

/// A parameter for people. What should have been hidden is not shown either.
fn described(found: &Value, wanted: &Parameter<'_>) -> String {
    let mut text = match text(found, "value") {
        _ if wanted.is_sensitive => "set".to_owned(),
        Some(value) => short(value),
        None => "empty".to_owned(),
    };
    for (flag_name, shown, otherwise, wanted) in [
        ("is_sensitive", "sensitive", "not sensitive", wanted.is_sensitive),
        ("is_dynamic", "dynamic", "not dynamic", wanted.is_dynamic),
    ] {
        let is = flag(found, flag_name, false);
        if is != wanted {
            text.push_str(&format!(" ({})", if is { shown } else { otherwise }));
        }
    }
    text
}

/// Whether a parameter has this name.
pub(super) fn is_named(parameter: &Value, wanted: &str) -> bool {
    text(parameter, "name") == Some(wanted)
}

/// Whether `tenant_ref` leads to the tenant of this name, which the reference carries; `admin`'s uuid is its name.
pub(super) fn is_in(object: &Value, tenant: &str) -> bool {
    match text(object, "tenant_ref") {
        Some(written) => match written.split_once('#') {
            Some((_, name)) => name == tenant,
            None => referred(written) == Some(tenant),
        },
        None => tenant == ADMIN_TENANT,
    }
}

/// A field to write.
pub(super) fn field(name: &str, found: Option<String>, wanted: String) -> SetupField {
    SetupField { name: name.to_owned(), found, wanted }
}

/// A text without what line ends and input fields do to it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// A script without what line ends do to it.
fn lines(text: &str) -> Vec<&str> {
    text.trim().lines().map(str::trim_end).collect()
}

/// A value for people: a text of several lines as what it can be recognized by.
fn short(value: &str) -> String {
    if value.trim().contains('\n') { digest(value) } else { value.trim().to_owned() }
}

fn digest(text: &str) -> String {
    let sha256 = Sha256::of(lines(text).join("\n").as_bytes()).to_string();
    format!("{} lines, SHA-256 {}…", text.trim().lines().count(), sha256.get(..8).unwrap_or_default())
}

const NO_ACCESS: &str = "NO_ACCESS";
/// What stands in place of a secret.
pub(super) const SECRET: &str = "(secret)";
