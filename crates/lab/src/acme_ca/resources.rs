//! Resources as JSON (RFC 8555 §7.1).

use http::StatusCode;
use http::header::{HeaderValue, LINK, RETRY_AFTER};
use serde_json::{Map, Value, json};

use super::issuance::is_address;
use super::problem::{Problem, Reply, json_reply};
use super::state::{Account, AuthorizationStatus, Ca, Challenge, OrderStatus, State};

pub(super) fn account(account: &Account) -> Reply {
    let status = if account.deactivated { "deactivated" } else { "valid" };
    json_reply(StatusCode::OK, &json!({ "status": status, "contact": account.contact }))
}

/// The contacts of a payload, checked (RFC 8555 §7.3).
pub(super) fn contact(payload: &Map<String, Value>) -> Result<Value, Problem> {
    let contacts = payload.get("contact").cloned().unwrap_or_else(|| json!([]));
    let list = contacts.as_array().ok_or_else(|| Problem::malformed("contact is a list"))?;
    for one in list {
        let url = one.as_str().unwrap_or_default();
        let Some(address) = url.strip_prefix("mailto:") else {
            let detail = format!("contact {url} is no mailto URL");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "unsupportedContact", detail));
        };
        if !address.contains('@') || address.contains(['?', ',']) {
            let detail = format!("{address} is no address");
            return Err(Problem::new(StatusCode::BAD_REQUEST, "invalidContact", detail));
        }
    }
    Ok(contacts)
}

pub(super) fn order(ca: &Ca, state: &State, id: usize) -> Reply {
    let order = &state.orders[id];
    let status = state.order_status(order);
    let mut body = json!({
        "status": status.as_str(),
        "expires": order.expires.to_string(),
        "identifiers": order.names.iter().map(|name| identifier(name)).collect::<Vec<_>>(),
        "authorizations": order.authorizations.iter().map(|id| format!("{}/authorization/{id}", ca.base)).collect::<Vec<_>>(),
        "finalize": format!("{}/order/{id}/finalize", ca.base),
    });
    if let Some(profile) = &order.profile {
        body["profile"] = json!(profile);
    }
    if let Some(replaces) = &order.replaces {
        body["replaces"] = json!(replaces);
    }
    if status == OrderStatus::Valid
        && let Some(certificate) = order.certificate
    {
        body["certificate"] = json!(format!("{}/certificate/{certificate}", ca.base));
    }
    let mut reply = json_reply(StatusCode::OK, &body);
    if status == OrderStatus::Processing {
        retry_after(&mut reply, state);
    }
    reply
}

fn identifier(name: &str) -> Value {
    json!({ "type": if is_address(name) { "ip" } else { "dns" }, "value": name })
}

pub(super) fn authorization(ca: &Ca, state: &State, id: usize) -> Reply {
    let authorization = &state.authorizations[id];
    let status = match authorization.status {
        AuthorizationStatus::Pending => "pending",
        AuthorizationStatus::Valid => "valid",
        AuthorizationStatus::Invalid => "invalid",
    };
    // All that there are, as by any CA, so that a client has to choose; later only the one that was tried (RFC 8555 §7.1.4).
    let shown = |kind: &Challenge| {
        authorization.status == AuthorizationStatus::Pending || authorization.answered == Some(*kind)
    };
    let challenges = authorization.offered().filter(shown).map(|kind| challenge_json(ca, state, id, kind));
    let mut body = json!({
        "status": status,
        "expires": authorization.expires.to_string(),
        "identifier": identifier(&authorization.name),
        "challenges": challenges.collect::<Vec<_>>(),
    });
    if authorization.wildcard {
        body["wildcard"] = json!(true);
    }
    let mut reply = json_reply(StatusCode::OK, &body);
    if authorization.validating {
        retry_after(&mut reply, state);
    }
    reply
}

pub(super) fn challenge(ca: &Ca, state: &State, id: usize, kind: Challenge) -> Reply {
    let mut reply = json_reply(StatusCode::OK, &challenge_json(ca, state, id, kind));
    let up = format!("<{}/authorization/{id}>;rel=\"up\"", ca.base);
    reply.headers_mut().extend(HeaderValue::from_str(&up).ok().map(|link| (LINK, link)));
    reply
}

fn challenge_json(ca: &Ca, state: &State, id: usize, kind: Challenge) -> Value {
    let authorization = &state.authorizations[id];
    let status = match authorization.status {
        _ if authorization.answered != Some(kind) => "pending",
        AuthorizationStatus::Pending if authorization.validating => "processing",
        AuthorizationStatus::Pending => "pending",
        AuthorizationStatus::Valid => "valid",
        AuthorizationStatus::Invalid => "invalid",
    };
    let kind_name = kind.as_str();
    let url = format!("{}/challenge/{id}/{kind_name}", ca.base);
    let mut challenge = json!({ "type": kind_name, "url": url, "status": status, "token": authorization.token });
    if let Some(error) = authorization.error.as_ref().filter(|_| authorization.answered == Some(kind)) {
        challenge["error"] = error.document();
    }
    challenge
}

fn retry_after(reply: &mut Reply, state: &State) {
    if let Some(wait) = state.behaviour.retry_after {
        reply.headers_mut().insert(RETRY_AFTER, wait.header(state.now()));
    }
}
