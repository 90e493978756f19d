//! Changes of the configuration: what a POST, PUT, PATCH and DELETE do, whoever asks for them.

use http::StatusCode;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    certificate,
    controller::State,
    defaults,
    error::ApiError,
    events::Event,
    json::{Object, map, text},
    kind::{CERTIFICATE, Kind, TENANT, USER},
    patch, references,
    schema::{self, Version},
    sessions,
    store::Stored,
    validation, view,
};

/// Who writes, and how.
pub(super) struct Writer<'a> {
    pub(super) user: &'a str,
    /// The uuid of the tenant.
    pub(super) tenant: &'a str,
    pub(super) version: Version,
}

/// Makes an object; its uuid. `slug` is a uuid that the client chose.
pub(super) fn create(
    state: &mut State,
    kind: &'static Kind,
    body: Object,
    slug: Option<&str>,
    writer: &Writer<'_>,
    now: Timestamp,
) -> Result<String, ApiError> {
    let prefix = format!("{}-", kind.path);
    let uuid = match slug {
        Some(slug) if slug.starts_with(&prefix) => slug.to_owned(),
        Some(slug) => format!("{prefix}{slug}"),
        None => format!("{prefix}{}", dashed(&sessions::random())),
    };
    if state.store.find(&uuid).is_some() {
        return Err(ApiError::conflict(format!("{} with uuid {uuid} already exists", kind.class)));
    }
    write(state, kind, &uuid, writer.tenant, body, None, writer, now)?;
    Ok(uuid)
}

/// Replaces an object as a whole. A body that carries `_last_modified` must carry the current one.
pub(super) fn replace(
    state: &mut State,
    stored: &Stored,
    mut body: Object,
    writer: &Writer<'_>,
    now: Timestamp,
) -> Result<(), ApiError> {
    check_owner(stored, writer)?;
    if let Some(given) = body.get("_last_modified")
        && given.as_str() != Some(stored.last_modified.to_string().as_str())
    {
        let text = format!("Need to reload object data {}", stored.kind.class);
        return Err(ApiError::new(StatusCode::PRECONDITION_FAILED, text));
    }
    view::unmask(stored.kind, &mut body, &stored.fields);
    write(state, stored.kind, &stored.uuid, &stored.tenant, body, Some(stored), writer, now)
}

/// Applies the operations of a PATCH to the object as it is now.
pub(super) fn patch(
    state: &mut State,
    stored: &Stored,
    mut body: Object,
    writer: &Writer<'_>,
    now: Timestamp,
) -> Result<(), ApiError> {
    check_owner(stored, writer)?;
    references::resolve_all(&mut body, &state.store, &stored.tenant)?;
    let mut fields = stored.fields.clone();
    patch::apply(&mut fields, &body, state.behaviour.absent_patch_element)?;
    view::unmask(stored.kind, &mut fields, &stored.fields);
    write(state, stored.kind, &stored.uuid, &stored.tenant, fields, Some(stored), writer, now)
}

/// Removes an object that nothing refers to.
pub(super) fn delete(state: &mut State, stored: &Stored, writer: &Writer<'_>, now: Timestamp) -> Result<(), ApiError> {
    check_owner(stored, writer)?;
    if stored.kind.singleton.is_some() {
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "Method \"DELETE\" not allowed."));
    }
    let users: Vec<String> =
        state.store.users_of(&stored.uuid).into_iter().map(|user| format!("'{}'", user.label())).collect();
    if !users.is_empty() {
        let status = StatusCode::from_u16(state.behaviour.in_use_status).unwrap_or(StatusCode::FORBIDDEN);
        let text = format!("Cannot delete, object is referred by: [{}]", users.join(", "));
        return Err(ApiError::new(status, text));
    }
    state.store.remove(&stored.uuid);
    state.tell(Event::config(stored, "CONFIG_DELETE", now, writer.user));
    Ok(())
}

/// All checks come before any effect.
#[expect(clippy::too_many_arguments, reason = "what is written, over what, by whom, when: each stands for itself")]
fn write(
    state: &mut State,
    kind: &'static Kind,
    uuid: &str,
    tenant: &str,
    mut fields: Object,
    stored: Option<&Stored>,
    writer: &Writer<'_>,
    now: Timestamp,
) -> Result<(), ApiError> {
    for field in ["url", "uuid", "_last_modified", "tls_ticket_key"] {
        fields.remove(field);
    }
    fields.retain(|_, value| !value.is_null());
    schema::restrict(&mut fields, kind, writer.version);
    if stored.is_none_or(|stored| stored.fields.get("vh_matches") != fields.get("vh_matches")) {
        schema::check_matches(&fields, kind, writer.version)?;
    }
    references::resolve_all(&mut fields, &state.store, tenant)?;
    if let Some(Value::String(named)) = fields.remove("tenant_ref")
        && references::uuid(&named) != tenant
    {
        return Err(ApiError::bad_request(format!("Cannot modify {}: tenant_ref is another tenant", kind.class)));
    }
    keep_unknown_to_version(&mut fields, kind, stored, writer.version);
    defaults::fill(kind, &mut fields);
    if kind.singleton.is_none() {
        state.store.check_name(kind, tenant, text(&fields, "name"), Some(uuid))?;
    }
    if kind.is(USER) && text(&fields, "password").is_empty() {
        return Err(ApiError::bad_request("User: password is required"));
    }
    let micros = now.as_microsecond();
    if kind.is(CERTIFICATE) {
        let prepared = certificate::prepare(fields, stored.map(|stored| &stored.fields), now)?;
        validation::check(kind, uuid, tenant, &prepared.fields, &state.store)?;
        fields = certificate::link_issuers(prepared, &mut state.store, tenant, micros);
    } else {
        validation::check(kind, uuid, tenant, &fields, &state.store)?;
    }
    // A tenant is its own owner.
    let tenant = if kind.is(TENANT) { uuid } else { tenant };
    let event_id = if stored.is_some() { "CONFIG_UPDATE" } else { "CONFIG_CREATE" };
    let event = Event::config(state.store.put(kind, uuid, tenant, fields, micros), event_id, now, writer.user);
    state.tell(event);
    Ok(())
}

/// What the writer's version cannot express stays as it is.
fn keep_unknown_to_version(fields: &mut Object, kind: &Kind, stored: Option<&Stored>, version: Version) {
    let Some(stored) = stored else { return };
    let mut known = stored.fields.clone();
    schema::restrict(&mut known, kind, version);
    let hidden = map(stored.fields.clone().into_iter().filter(|(name, _)| !known.contains_key(name)).collect());
    fields.extend(hidden);
}

/// What is shared from tenant admin is read-only elsewhere.
fn check_owner(stored: &Stored, writer: &Writer<'_>) -> Result<(), ApiError> {
    if stored.tenant == writer.tenant || stored.kind.is(TENANT) {
        return Ok(());
    }
    Err(ApiError::bad_request(format!("Cannot modify {}", stored.kind.class)))
}

/// 32 hex digits as a UUID is written.
fn dashed(hex: &str) -> String {
    [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)]
        .map(|(start, end)| hex.get(start..end).unwrap_or_default())
        .join("-")
}
