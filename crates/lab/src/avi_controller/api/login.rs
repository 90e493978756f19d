//! Login, logout, and what the controller says about itself.

use std::sync::Arc;

use http::{StatusCode, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::{Call, reply::Reply};
use crate::avi_controller::{
    access::{self, Need, Scope},
    controller::{Controller, State},
    error::ApiError,
    json::{flag, text},
    kind::{ADMIN, Kind, SYSTEM_CONFIGURATION, TENANT},
    store::Stored,
};

/// `POST /login`: a form or JSON with `username` and `password`, or `token` instead of the password.
pub(super) fn log_in(controller: &Arc<Controller>, state: &mut State, call: &Call) -> Result<Reply, ApiError> {
    let fields = credentials(call)?;
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let username = field("username").ok_or_else(|| ApiError::bad_request("username is required"))?;
    let secret = field("password").or_else(|| field("token")).unwrap_or_default();
    let now = controller.clock.now();
    let user = access::user(&state.store, username).cloned();
    let session = state.sessions.log_in(username, user.as_ref(), secret, state.behaviour.lockout_after, now)?;
    let user = user.ok_or_else(|| ApiError::not_authenticated("Invalid credentials", "no such user"))?;
    let mut reply = Reply::ok(&login_body(controller, state, &user));
    reply.set_cookie(&format!("csrftoken={}; Max-Age=31449600; Path=/; Secure", session.csrf_token));
    reply.set_session(&session.id);
    Ok(reply)
}

/// `GET /api/initial-data`, which needs no session.
pub(super) fn initial_data(controller: &Controller) -> Reply {
    Reply::ok(&json!({"setup_failed": false, "user_initialized": true, "version": version(controller)}))
}

pub(super) fn cluster_version(controller: &Controller) -> Reply {
    Reply::ok(&version(controller))
}

pub(super) fn cluster_status() -> Reply {
    Reply::ok(&json!({
        "cluster_state": {"state": "CLUSTER_UP_NO_HA", "progress": 100},
        "node_states": [{"name": "127.0.0.1", "role": "CLUSTER_LEADER", "state": "CLUSTER_ACTIVE"}],
    }))
}

/// `GET /api/useraccount`: the caller's own account.
pub(super) fn own_account(user: &Stored) -> Reply {
    Reply::ok(&user_body(user))
}

fn credentials(call: &Call) -> Result<Vec<(String, String)>, ApiError> {
    let content_type = call.header(header::CONTENT_TYPE.as_str()).unwrap_or_default();
    if !content_type.starts_with("application/json") {
        return Ok(form_urlencoded::parse(&call.body).into_owned().collect());
    }
    let json: Value = serde_json::from_slice(&call.body)
        .map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("JSON parse error - {error}")))?;
    let fields = json.as_object().into_iter().flatten();
    Ok(fields.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect())
}

fn login_body(controller: &Controller, state: &State, user: &Stored) -> Value {
    let tenants: Vec<Value> = access::tenants(&state.store, user)
        .filter_map(|uuid| state.store.get(TENANT, uuid))
        .map(|tenant| {
            let url = format!("https://{}/api/tenant/{}", controller.authority, tenant.uuid);
            json!({"name": tenant.name(), "uuid": tenant.uuid, "url": url})
        })
        .collect();
    let mut body = json!({
        "user_initialized": true,
        "version": version(controller),
        "user": user_body(user),
        "tenants": tenants,
        "controller": {"api_idle_timeout": state.session_lifetime().idle.as_mins()},
        "session_cookie_name": "avi-sessionid",
    });
    let configuration = Kind::of(SYSTEM_CONFIGURATION).zip(state.store.of_kind(SYSTEM_CONFIGURATION).next());
    if let Some((kind, configuration)) = configuration
        && access::check(&state.store, user, &Scope::One(ADMIN.into()), kind, Need::Read).is_ok()
    {
        body["system_config"] = Value::Object(configuration.fields.clone());
    }
    body
}

fn user_body(user: &Stored) -> Value {
    json!({
        "name": text(&user.fields, "username"),
        "username": text(&user.fields, "username"),
        "full_name": text(&user.fields, "full_name"),
        "uuid": user.uuid,
        "is_superuser": flag(&user.fields, "is_superuser"),
        "local": flag(&user.fields, "local"),
        "default_tenant_ref": text(&user.fields, "default_tenant_ref"),
    })
}

fn version(controller: &Controller) -> Value {
    let version = controller.version.to_string();
    json!({
        "Version": version, "Tag": format!("{version}-9001-lab"), "build": 9001, "Product": "controller",
        "ProductName": "Avi Cloud Controller", "Date": "2024-01-01T00:00:00+00:00",
        // A number and not a version: so it was recorded.
        "min_version": 15.2,
    })
}
