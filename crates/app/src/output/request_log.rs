//! The CA's requests for challenges, printed.

use certferry_core::LoadBalancerName;
use certferry_providers::load_balancer::avi::ValidationRequest;
use serde::Serialize;

use crate::output::{instant, table};

/// `avi logs --output json`: newest first.
#[derive(Serialize)]
pub(crate) struct RequestsDocument<'a> {
    load_balancer: &'a str,
    requests: Vec<RequestRow<'a>>,
}

/// `status` is null when the connection was closed without an answer; `rule` when no policy rule answered; `significant`
/// when the controller does not say whether it counts the request as an error.
#[derive(Serialize)]
struct RequestRow<'a> {
    at: String,
    virtual_service: &'a str,
    client: &'a str,
    host: &'a str,
    path: &'a str,
    status: Option<u16>,
    rule: Option<&'a str>,
    user_agent: Option<&'a str>,
    significant: Option<bool>,
}

impl<'a> RequestsDocument<'a> {
    /// The document for these requests.
    pub(crate) fn new(load_balancer: &'a LoadBalancerName, requests: &'a [ValidationRequest]) -> Self {
        Self { load_balancer: load_balancer.as_str(), requests: requests.iter().map(RequestRow::from).collect() }
    }
}

impl<'a> From<&'a ValidationRequest> for RequestRow<'a> {
    fn from(request: &'a ValidationRequest) -> Self {
        Self {
            at: instant(request.at),
            virtual_service: &request.virtual_service,
            client: &request.client,
            host: &request.host,
            path: &request.path,
            status: (request.status != 0).then_some(request.status),
            rule: request.rule.as_deref(),
            user_agent: request.user_agent.as_deref(),
            significant: request.significant,
        }
    }
}

/// The requests for people, oldest first, as a log reads. `within`: how far back was looked.
pub(crate) fn requests_text(requests: &[ValidationRequest], within: &str) -> String {
    if requests.is_empty() {
        return format!(
            "no request for a challenge was logged in the last {within}; a virtual service logs errors, and what certferry's \
             rules answer; it forgets all when it is removed"
        );
    }
    let rows = requests.iter().rev().map(|request| {
        let row = RequestRow::from(request);
        [
            row.at,
            row.virtual_service.to_owned(),
            row.client.to_owned(),
            format!("{}{}", row.host, row.path),
            row.status.map_or_else(|| "closed".to_owned(), |status| status.to_string()),
            row.rule.unwrap_or("-").to_owned(),
            row.user_agent.unwrap_or("-").to_owned(),
        ]
    });
    table(["at", "virtual service", "client", "asked for", "answer", "rule", "user agent"], rows)
}
