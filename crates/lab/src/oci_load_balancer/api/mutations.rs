//! The POST, PUT and DELETE operations: each is checked, accepted, and carried out by a work request.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{Context, SHA256};
use http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::{
    super::{
        change::Change,
        error::ApiError,
        faults::Effect,
        fields::{Fields, without_nulls},
        options::OpenWorkRequest,
        service::{Ending, RetryToken, Service, State},
    },
    Call, check_etag,
    reply::Reply,
    routes::{Action, Route},
};

pub(super) fn mutate(
    service: &Arc<Service>,
    state: &mut State,
    call: &Call,
    route: &Route,
    effect: Option<Effect>,
) -> Result<Reply, ApiError> {
    let id = route.load_balancer.as_deref().unwrap_or_default();
    state.load_balancer(id)?;
    let token = retry_token(call)?;
    if let Some(work_request_id) = replayed(state, call, token)? {
        return Ok(Reply::accepted(&work_request_id));
    }
    check_etag(state, call, id)?;
    check_open_work_requests(state, id)?;
    let change = change(&route.action, call)?;
    if !state.behaviour.certificates.allowed && change.names_certificate_ids() {
        return Err(ApiError::not_found("a policy to read certificates of the Certificates service"));
    }
    let (ending, delay) = match effect {
        Some(Effect::WorkRequestFails(errors)) => (Ending::Fails(errors), None),
        Some(Effect::WorkRequestStuck) => (Ending::Stuck, None),
        Some(Effect::WorkRequestTakes(delay)) => (Ending::Normal, Some(delay)),
        _ => (Ending::Normal, None),
    };
    let work_request_id = service.accept(state, id, route.operation, change, delay, ending)?;
    remember(state, call, token, &work_request_id);
    Ok(Reply::accepted(&work_request_id))
}

/// The token of a POST or PUT; a DELETE has none.
pub(super) fn retry_token(call: &Call) -> Result<Option<&str>, ApiError> {
    match call.header("opc-retry-token") {
        Some(token) if call.parts.method != Method::DELETE => {
            if token.is_empty() || token.len() > 64 {
                return Err(ApiError::invalid_parameter("opc-retry-token must have 1 to 64 characters"));
            }
            Ok(Some(token))
        }
        _ => Ok(None),
    }
}

/// What an earlier call with the same token and content made.
pub(super) fn replayed(state: &State, call: &Call, token: Option<&str>) -> Result<Option<String>, ApiError> {
    let Some(token) = token else {
        return Ok(None);
    };
    let key = (call.key_id.clone(), token.to_owned());
    match state.retry_tokens.get(&key) {
        Some(used) if state.now().duration_since(used.used_at).unsigned_abs() >= TOKEN_LIFETIME => Ok(None),
        Some(used) if used.request == fingerprint(call) => Ok(Some(used.made.clone())),
        Some(_) => Err(ApiError::new(
            StatusCode::CONFLICT,
            "InvalidatedRetryToken",
            format!("The retry token '{token}' was used for another request"),
        )),
        None => Ok(None),
    }
}

/// Keeps what a call with a token made, for [`replayed`].
pub(super) fn remember(state: &mut State, call: &Call, token: Option<&str>, made: &str) {
    if let Some(token) = token {
        let used = RetryToken { request: fingerprint(call), used_at: state.now(), made: made.to_owned() };
        state.retry_tokens.insert((call.key_id.clone(), token.to_owned()), used);
    }
}

fn fingerprint(call: &Call) -> Vec<u8> {
    let mut context = Context::new(&SHA256);
    context.update(call.parts.method.as_str().as_bytes());
    context.update(b" ");
    context.update(call.parts.uri.path().as_bytes());
    context.update(b"\n");
    context.update(&call.body);
    context.finish().as_ref().to_vec()
}

fn check_open_work_requests(state: &State, id: &str) -> Result<(), ApiError> {
    if !state.has_open_work_request(id) {
        return Ok(());
    }
    let code = match state.behaviour.open_work_request {
        OpenWorkRequest::Accepted => return Ok(()),
        OpenWorkRequest::Conflict => "Conflict",
        OpenWorkRequest::IncorrectState => "IncorrectState",
    };
    Err(ApiError::new(
        StatusCode::CONFLICT,
        code,
        format!("Load balancer {id} has a work request that is not finished"),
    ))
}

fn change(action: &Action, call: &Call) -> Result<Change, ApiError> {
    Ok(match action {
        Action::ChangeCompartment => attributes(object(call)?, &["compartmentId"])?,
        Action::Create(collection) => {
            let body = object(call)?;
            let name = Fields::new(format!("a new {}", collection.noun()), &body).required_text("name")?.to_owned();
            Change::Create(*collection, name, body)
        }
        Action::CreateBackend(set) => Change::CreateBackend { set: set.clone(), backend: object(call)? },
        Action::CreateCertificate => Change::CreateCertificate(object(call)?),
        Action::Delete(collection, name) => Change::Delete(*collection, name.clone()),
        Action::DeleteBackend(set, backend) => Change::DeleteBackend { set: set.clone(), backend: backend.clone() },
        Action::DeleteCertificate(name) => Change::DeleteCertificate(name.clone()),
        Action::Update(collection, name) => Change::Replace(*collection, name.clone(), object(call)?),
        Action::UpdateBackend(set, backend) => {
            Change::UpdateBackend { set: set.clone(), backend: backend.clone(), body: object(call)? }
        }
        Action::UpdateHealthChecker(set) => Change::UpdateHealthChecker { set: set.clone(), checker: object(call)? },
        Action::UpdateLoadBalancer => attributes(object(call)?, UPDATABLE)?,
        Action::UpdateNetworkSecurityGroups => attributes(object(call)?, &["networkSecurityGroupIds"])?,
        Action::UpdateShape => attributes(object(call)?, &["shapeName", "shapeDetails"])?,
        read => return Err(ApiError::not_found(format_args!("{read:?}"))),
    })
}

fn attributes(body: Map<String, Value>, known: &[&str]) -> Result<Change, ApiError> {
    match body.keys().find(|field| !known.contains(&field.as_str())) {
        Some(field) => Err(ApiError::cannot_parse(format_args!("Unrecognized field {field:?}"))),
        None => Ok(Change::Attributes(body)),
    }
}

/// The body.
pub(super) fn object(call: &Call) -> Result<Map<String, Value>, ApiError> {
    let json: Value = serde_json::from_slice(&call.body).map_err(ApiError::cannot_parse)?;
    match without_nulls(json) {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::cannot_parse("the body is not an object")),
    }
}

/// The fields of UpdateLoadBalancerDetails.
const UPDATABLE: &[&str] = &[
    "definedTags",
    "displayName",
    "freeformTags",
    "ipMode",
    "isDeleteProtectionEnabled",
    "isRequestIdEnabled",
    "requestIdHeader",
    "securityAttributes",
];
const TOKEN_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
