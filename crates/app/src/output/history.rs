//! The history, printed.

use certferry_core::Event;
use serde::Serialize;

use crate::output::{instant, place, table};

/// One event as a JSON row.
#[derive(Serialize)]
pub(crate) struct EventRow {
    at: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_balancer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<String>,
    outcome: &'static str,
    detail: String,
}

impl From<&Event> for EventRow {
    fn from(event: &Event) -> Self {
        Self {
            at: instant(event.at),
            action: event.action.clone(),
            certificate: event.certificate.as_ref().map(ToString::to_string),
            load_balancer: event.load_balancer.as_ref().map(ToString::to_string),
            listener: event.listener.as_ref().map(ToString::to_string),
            object: event.object.clone(),
            outcome: event.outcome.as_str(),
            detail: event.detail.clone(),
        }
    }
}

/// The history for people, oldest first, as a log reads.
pub(crate) fn history_text(events: &[Event]) -> String {
    if events.is_empty() {
        return "nothing was done yet".to_owned();
    }
    let rows = events.iter().rev().map(|event| {
        let object = event.object.clone().unwrap_or_default();
        let outcome = event.outcome.to_string();
        [instant(event.at), place(event), event.action.clone(), outcome, object, event.detail.clone()]
    });
    table(["at", "what", "action", "outcome", "object", "detail"], rows)
}
