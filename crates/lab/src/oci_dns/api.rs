//! The HTTP side.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::record_set::{Items, RecordSet};
use super::{Service, State, Zone};
use crate::clock;
use crate::oci_load_balancer::{api::accept, error::ApiError, signature};

/// Accepts and answers until the task is aborted; its connections end with it.
pub(super) async fn serve(service: Arc<Service>, listener: TcpListener) {
    accept(listener, move |request| handle(Arc::clone(&service), request)).await;
}

async fn handle(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let answered = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => answer(&service, &parts, &body.to_bytes()),
        Err(_) => Err(ApiError::cannot_parse("the body is too large")),
    };
    let (status, json) = match answered {
        Ok(json) => (StatusCode::OK, json),
        Err(error) => (error.status, json!({ "code": error.code, "message": error.message })),
    };
    let mut response = Response::new(Full::new(Bytes::from(json.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response.headers_mut().insert("opc-request-id", http::HeaderValue::from_static("LAB"));
    Ok(response)
}

fn answer(service: &Service, parts: &Parts, body: &Bytes) -> Result<Value, ApiError> {
    let mut state = service.state();
    signature::verify(parts, body, &state.keys, &service.authorities, clock::now())?;
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    state.requests.push(format!("{} {target}", parts.method));
    if let Some((status, code)) = state.answers.pop_front() {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = if code == "TooManyRequests" { "TooManyRequests" } else { "InternalError" };
        return Err(ApiError::new(status, code, "a fault was asked for"));
    }
    let path = parts.uri.path().strip_prefix(BASE_PATH).unwrap_or_default().to_owned();
    let segments: Vec<&str> = path.split('/').collect();
    match (segments.as_slice(), &parts.method) {
        (["zones"], &Method::GET) => Ok(list(&state, parts.uri.query().unwrap_or_default())),
        (["zones", name], &Method::GET) => Ok(shown(name, zone(&mut state, name)?)),
        (["zones", name, "records", domain, kind], method) => {
            let place = (domain.to_ascii_lowercase(), (*kind).to_owned());
            if !(domain == name || domain.ends_with(&format!(".{name}"))) {
                return Err(ApiError::invalid_parameter(format!("{domain} is not in zone {name}")));
            }
            records(zone(&mut state, name)?, &place, method, body)
        }
        _ => Err(ApiError::not_found(&path)),
    }
}

fn records(zone: &mut Zone, place: &(String, String), method: &Method, body: &Bytes) -> Result<Value, ApiError> {
    let items = || serde_json::from_slice::<Items>(body).map_err(ApiError::cannot_parse);
    let set = match *method {
        Method::GET => {
            let set = zone.record_sets.get(place).ok_or_else(|| ApiError::not_found(&place.0))?;
            return Ok(set.json(place, zone.version));
        }
        Method::PATCH => {
            let mut set = zone.record_sets.get(place).cloned().unwrap_or_default();
            set.patch(place, &items()?.items)?;
            set
        }
        Method::PUT => RecordSet::replaced(place, &items()?.items)?,
        Method::DELETE => RecordSet::default(),
        _ => return Err(ApiError::not_found(&place.0)),
    };
    zone.version += 1;
    let shown = set.json(place, zone.version);
    if set.values.is_empty() {
        zone.record_sets.remove(place);
    } else {
        zone.record_sets.insert(place.clone(), set);
    }
    Ok(shown)
}

fn zone<'a>(state: &'a mut State, name: &str) -> Result<&'a mut Zone, ApiError> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    state.zones.get_mut(&name).ok_or_else(|| ApiError::not_found(name))
}

fn list(state: &State, query: &str) -> Value {
    let compartment = query.split('&').find_map(|pair| pair.strip_prefix("compartmentId="));
    let zones = state.zones.iter().filter(|(_, zone)| compartment.is_none_or(|id| id == zone.compartment_id));
    zones.map(|(name, zone)| shown(name, zone)).collect()
}

fn shown(name: &str, zone: &Zone) -> Value {
    json!({
        "name": name, "id": format!("ocid1.dns-zone.oc1..lab{name}"), "zoneType": "PRIMARY", "scope": "GLOBAL",
        "compartmentId": zone.compartment_id, "isProtected": false, "lifecycleState": "ACTIVE", "serial": zone.version,
        "version": zone.version.to_string(), "self": format!("{BASE_PATH}zones/{name}"),
        "timeCreated": "2026-01-01T00:00:00.000Z",
        "nameservers": zone.servers.iter().map(|server| json!({ "hostname": server })).collect::<Vec<_>>(),
    })
}

const BASE_PATH: &str = "/20180115/";

const LARGEST_BODY: usize = 1 << 20;
