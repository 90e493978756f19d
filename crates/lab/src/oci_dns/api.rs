//! The HTTP side.

use std::sync::Arc;

use bytes::Bytes;
use http::header::ETAG;
use http::{Method, Request, Response, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::record_set::{Items, Place, RecordSet};
use super::{Service, State, Zone};
use crate::clock;
use crate::oci_load_balancer::api::{Closed, Reply, Verdict, accept, carry_out, failure, logged, silence, text};
use crate::oci_load_balancer::{RequestRecord, error::ApiError, signature};

/// Accepts and answers until the task is aborted; its connections end with it.
pub(super) async fn serve(service: Arc<Service>, listener: TcpListener) {
    accept(listener, move |request| handle(Arc::clone(&service), request)).await;
}

async fn handle(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Closed)?;
    carry_out(answer(&service, &parts, &body.to_bytes())).await
}

/// Under one lock, so that checks and effect are one step.
fn answer(service: &Service, parts: &Parts, body: &Bytes) -> Verdict {
    let mut state = service.state();
    let now = clock::now();
    let target = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let route = Route::parse(&parts.method, parts.uri.path());
    let operation = match &route {
        Some(route) => route.operation.to_owned(),
        None => format!("{} {target}", parts.method),
    };
    let mut record = RequestRecord::new(operation, &parts.method, target);
    record.if_match = text(&parts.headers, "if-match").map(str::to_owned);
    record.request_id = text(&parts.headers, "opc-request-id").map(str::to_owned);
    record.body = serde_json::from_slice(body).ok();
    let verdict = match signature::verify(parts, body, &state.keys, &service.authorities, now) {
        Ok(_) => process(&mut state, parts, body, route, &record, now),
        Err(error) => Verdict::Reply(Reply::error(error)),
    };
    logged(record, verdict, &mut state.log, now)
}

fn process(
    state: &mut State,
    parts: &Parts,
    body: &Bytes,
    route: Option<Route>,
    record: &RequestRecord,
    now: Timestamp,
) -> Verdict {
    let effect = state.faults.take(|name| record.is(name), None);
    if let Some(verdict) = effect.as_ref().and_then(|effect| failure(effect, now)) {
        return verdict;
    }
    let reply = carried_out(state, parts, body, route).unwrap_or_else(Reply::error);
    effect.as_ref().and_then(silence).unwrap_or(Verdict::Reply(reply))
}

fn carried_out(state: &mut State, parts: &Parts, body: &Bytes, route: Option<Route>) -> Result<Reply, ApiError> {
    match route.ok_or_else(|| ApiError::not_found(parts.uri.path()))?.about {
        About::AllZones => Ok(Reply::json(&list(state, parts.uri.query().unwrap_or_default()))),
        About::Zone(name) => Ok(Reply::json(&shown(&name, zone(state, &name)?))),
        About::RecordSet(name, place) => {
            let domain = &place.0;
            if !(*domain == name || domain.ends_with(&format!(".{name}"))) {
                return Err(ApiError::invalid_parameter(format!("{domain} is not in zone {name}")));
            }
            if parts.method == Method::PATCH
                && let Some((zone, place, set)) = state.sooner.take()
                && let Some(zone) = state.zones.get_mut(&zone)
            {
                zone.write(place, set);
            }
            if parts.method != Method::GET && state.denied.contains(&(name.clone(), place.1.clone())) {
                return Err(ApiError::not_found(domain));
            }
            records(zone(state, &name)?, place, &parts.method, text(&parts.headers, "if-match"), body)
        }
    }
}

/// A call by the API's name for it, and what it is about.
struct Route {
    operation: &'static str,
    about: About,
}

enum About {
    AllZones,
    Zone(String),
    /// In the zone of that name.
    RecordSet(String, Place),
}

impl Route {
    fn parse(method: &Method, path: &str) -> Option<Self> {
        let segments = path.strip_prefix(BASE_PATH)?.split('/');
        let segments: Vec<String> =
            segments.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (about, offered): (About, &[_]) = match segments.as_slice() {
            ["zones"] => (About::AllZones, &[(Method::GET, "ListZones")]),
            ["zones", name] => (About::Zone((*name).to_owned()), &[(Method::GET, "GetZone")]),
            ["zones", name, "records", domain, kind] => {
                let place = (domain.to_ascii_lowercase(), kind.to_ascii_uppercase());
                (About::RecordSet((*name).to_owned(), place), &OF_RECORD_SETS)
            }
            _ => return None,
        };
        let (_, operation) = offered.iter().find(|(of, _)| of == method)?;
        Some(Self { operation, about })
    }
}

fn records(
    zone: &mut Zone,
    place: Place,
    method: &Method,
    if_match: Option<&str>,
    body: &Bytes,
) -> Result<Reply, ApiError> {
    let items = || serde_json::from_slice::<Items>(body).map_err(ApiError::cannot_parse);
    let there = zone.record_sets.get(&place);
    if *method == Method::GET {
        return there.map(|set| shown_set(&place, set)).ok_or_else(|| ApiError::not_found(&place.0));
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
    Ok(shown_set(&place, &set))
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

/// With the tag of what it shows.
fn shown_set(place: &Place, set: &RecordSet) -> Reply {
    Reply::json(&set.json(place)).with(ETAG, &set.etag(place))
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

/// What can be done with a record set.
const OF_RECORD_SETS: [(Method, &str); 4] = [
    (Method::GET, "GetRRSet"),
    (Method::PATCH, "PatchRRSet"),
    (Method::PUT, "UpdateRRSet"),
    (Method::DELETE, "DeleteRRSet"),
];

const BASE_PATH: &str = "/20180115/";

const LARGEST_BODY: usize = 1 << 20;
