//! The HTTP side.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, IF_MATCH};
use http::{HeaderValue, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::record_set::{Items, Place, RecordSet};
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
    let (status, shown) = match answered {
        Ok(shown) => (StatusCode::OK, shown),
        Err(error) => (error.status, Shown::from(json!({ "code": error.code, "message": error.message }))),
    };
    let mut response = Response::new(Full::new(Bytes::from(shown.json.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("opc-request-id", HeaderValue::from_static("LAB"));
    if let Some(etag) = shown.etag.and_then(|etag| HeaderValue::try_from(etag).ok()) {
        response.headers_mut().insert(ETAG, etag);
    }
    Ok(response)
}

/// The body of an answer, and the tag of what it shows.
struct Shown {
    json: Value,
    etag: Option<String>,
}

impl From<Value> for Shown {
    fn from(json: Value) -> Self {
        Self { json, etag: None }
    }
}

impl Shown {
    fn set(place: &Place, set: &RecordSet) -> Self {
        Self { json: set.json(place), etag: Some(set.etag(place)) }
    }
}

fn answer(service: &Service, parts: &Parts, body: &Bytes) -> Result<Shown, ApiError> {
    let mut state = service.state();
    signature::verify(parts, body, &state.keys, &service.authorities, clock::now())?;
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    state.requests.push(format!("{} {target}", parts.method));
    if let Some((status, code)) = state.answers.pop_front() {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = if code == "TooManyRequests" { "TooManyRequests" } else { "InternalError" };
        return Err(ApiError::new(status, code, "a fault was asked for"));
    }
    let path = parts.uri.path().strip_prefix(BASE_PATH).unwrap_or_default();
    let segments: Vec<String> =
        path.split('/').map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (segments.as_slice(), &parts.method) {
        (["zones"], &Method::GET) => Ok(list(&state, parts.uri.query().unwrap_or_default()).into()),
        (["zones", name], &Method::GET) => Ok(shown(name, zone(&mut state, name)?).into()),
        (["zones", name, "records", domain, kind], method) => {
            let place = (domain.to_ascii_lowercase(), kind.to_ascii_uppercase());
            if !(domain == name || domain.ends_with(&format!(".{name}"))) {
                return Err(ApiError::invalid_parameter(format!("{domain} is not in zone {name}")));
            }
            if method == Method::PATCH
                && let Some((zone, place, set)) = state.sooner.take()
                && let Some(zone) = state.zones.get_mut(&zone)
            {
                zone.write(place, set);
            }
            if method != Method::GET && state.denied.contains(&((*name).to_owned(), place.1.clone())) {
                return Err(ApiError::not_found(&place.0));
            }
            let if_match = parts.headers.get(IF_MATCH).and_then(|tag| tag.to_str().ok());
            records(zone(&mut state, name)?, place, method, if_match, body)
        }
        _ => Err(ApiError::not_found(path)),
    }
}

fn records(
    zone: &mut Zone,
    place: Place,
    method: &Method,
    if_match: Option<&str>,
    body: &Bytes,
) -> Result<Shown, ApiError> {
    let items = || serde_json::from_slice::<Items>(body).map_err(ApiError::cannot_parse);
    let there = zone.record_sets.get(&place);
    if *method == Method::GET {
        return there.map(|set| Shown::set(&place, set)).ok_or_else(|| ApiError::not_found(&place.0));
    }
    if let Some(wanted) = if_match {
        let tag = there.map_or_else(String::new, |set| set.etag(&place));
        if tag != wanted && !(wanted == "*" && there.is_some()) {
            return Err(ApiError::no_etag_match(&place.0, &tag, wanted));
        }
    }
    let set = match *method {
        Method::PATCH => {
            let mut set = there.cloned().unwrap_or_default();
            set.patch(&place, &items()?.items)?;
            set
        }
        Method::PUT => RecordSet::replaced(&place, &items()?.items)?,
        Method::DELETE => RecordSet::default(),
        _ => return Err(ApiError::not_found(&place.0)),
    };
    check_neighbours(zone, &place, &set)?;
    let set = zone.write(place.clone(), set);
    Ok(Shown::set(&place, &set))
}

/// Nothing stands beside a CNAME record (RFC 1034 §3.6.2).
fn check_neighbours(zone: &Zone, (domain, kind): &Place, set: &RecordSet) -> Result<(), ApiError> {
    let mut others = zone.record_sets.keys().filter(|(other, of)| other == domain && of != kind).map(|(_, of)| of);
    let is_alone = set.values.is_empty()
        || match kind.as_str() {
            "CNAME" => others.next().is_none() && set.values.len() == 1,
            _ => others.all(|of| of != "CNAME"),
        };
    match is_alone {
        true => Ok(()),
        false => Err(ApiError::invalid_parameter(format!("a CNAME record of {domain} would not be alone"))),
    }
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
