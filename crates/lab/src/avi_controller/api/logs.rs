//! `GET /api/analytics/logs`: events (type 2) and requests to a virtual service (type 1).

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::reply::Reply;
use crate::avi_controller::{
    controller::{Controller, State},
    data_plane::{DataPlaneRequest, LoggedAs},
    error::ApiError,
    kind::VIRTUAL_SERVICE,
    query::Query,
};

pub(super) fn read(controller: &Controller, state: &State, query: &Query) -> Result<Reply, ApiError> {
    let mut entries: Vec<(Timestamp, Value)> = match query.get("type") {
        Some("2") => state.events.iter().map(|event| (event.at, event.to_json())).collect(),
        Some("1") => requests(controller, state, query)?,
        _ => return Err(ApiError::bad_request("type must be 1 (application) or 2 (events)")),
    };
    let now = controller.clock.now();
    let time = |name: &str| query.get(name).and_then(|text| text.parse::<Timestamp>().ok());
    let end = time("end").unwrap_or(now);
    let duration = query.number("duration", 0)?;
    let start = time("start").or_else(|| {
        let seconds = i64::try_from(duration).ok().filter(|seconds| *seconds > 0)?;
        now.checked_sub(SignedDuration::from_secs(seconds)).ok()
    });
    let filters = query.all("filter").map(Filter::parse).collect::<Result<Vec<_>, _>>()?;
    entries.retain(|(at, entry)| {
        *at <= end && start.is_none_or(|start| *at >= start) && filters.iter().all(|filter| filter.holds(entry))
    });
    if query.get("orderby") != Some("report_timestamp") {
        entries.reverse();
    }
    let size = query.number("page_size", 10)?.clamp(1, 10_000);
    let page = query.number("page", 1)?.max(1);
    let results: Vec<&Value> =
        entries.iter().map(|(_, entry)| entry).skip((page - 1).saturating_mul(size)).take(size).collect();
    Ok(Reply::ok(&json!({"count": entries.len(), "results": results, "percent_remaining": 0.0})))
}

fn requests(controller: &Controller, state: &State, query: &Query) -> Result<Vec<(Timestamp, Value)>, ApiError> {
    let uuid = query.get("virtualservice").ok_or_else(|| ApiError::bad_request("virtualservice is required"))?;
    if state.store.get(VIRTUAL_SERVICE, uuid).is_none() {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "VirtualService object not found!"));
    }
    let shown = |request: &DataPlaneRequest| match request.logged_as {
        LoggedAs::Dropped => false,
        LoggedAs::NonSignificant => query.flag("nf", false),
        LoggedAs::Significant => query.flag("adf", true),
        LoggedAs::UserDefined => query.flag("udf", false),
    };
    let all = controller.data_plane.requests().into_iter();
    Ok(all
        .filter(|request| request.virtual_service == uuid && shown(request))
        .map(|request| (request.at, entry(&request)))
        .collect())
}

fn entry(request: &DataPlaneRequest) -> Value {
    json!({
        "report_timestamp": request.at.to_string(),
        "virtualservice": request.virtual_service,
        "client_ip": request.client_ip.to_string(),
        "vs_port": request.port,
        "method": request.method,
        "host": request.host,
        "uri_path": request.uri_path,
        "uri_query": request.uri_query,
        "response_code": request.response_code,
        "sni_hostname": request.sni_hostname,
        "http_security_policy_rule_name": request.http_security_policy_rule_name,
        "http_request_policy_rule_name": request.http_request_policy_rule_name,
        "user_agent": request.user_agent,
        "adf": request.logged_as == LoggedAs::Significant,
        "udf": request.logged_as == LoggedAs::UserDefined,
    })
}

/// `co(uri_path,acme-challenge)`, `eq(event_id,[a,b])`.
struct Filter<'a> {
    operation: &'a str,
    field: &'a str,
    values: Vec<&'a str>,
}

impl<'a> Filter<'a> {
    fn parse(text: &'a str) -> Result<Self, ApiError> {
        let parsed = || {
            let (operation, rest) = text.split_once('(')?;
            let (field, value) = rest.strip_suffix(')')?.split_once(',')?;
            let value = value.trim();
            let listed = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
            let values = match listed {
                Some(list) => list.split(',').map(|value| value.trim().trim_matches('"')).collect(),
                None => vec![value.trim_matches('"')],
            };
            let known = ["co", "eq", "ge", "gt", "le", "lt", "nc", "ne", "sw"].contains(&operation);
            known.then_some(Self { operation, field: field.trim(), values })
        };
        parsed().ok_or_else(|| ApiError::bad_request(format!("Invalid filter {text}")))
    }

    fn holds(&self, entry: &Value) -> bool {
        let number = entry[self.field].as_i64();
        let text = match &entry[self.field] {
            Value::String(text) => text.to_lowercase(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let any = |fits: &dyn Fn(&str) -> bool| self.values.iter().any(|value| fits(&value.to_lowercase()));
        let compared = |fits: &dyn Fn(i64, i64) -> bool| {
            self.values.iter().any(|value| number.zip(value.parse().ok()).is_some_and(|(one, other)| fits(one, other)))
        };
        match self.operation {
            "co" => any(&|value| text.contains(value)),
            "eq" => any(&|value| text == value),
            "ge" => compared(&|one, other| one >= other),
            "gt" => compared(&|one, other| one > other),
            "le" => compared(&|one, other| one <= other),
            "lt" => compared(&|one, other| one < other),
            "nc" => !any(&|value| text.contains(value)),
            "ne" => !any(&|value| text == value),
            _ => any(&|value| text.starts_with(value)),
        }
    }
}
