//! Events: what the controller tells about itself.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::store::Stored;

/// An event, as `GET /api/analytics/logs?type=2` shows it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// `SSL_CERT_EXPIRE`, `SSL_CERT_RENEW`, `SSL_CERT_RENEW_FAILED`, `SSL_KEY_EXPORTED`, `CONFIG_CREATE`,
    /// `CONFIG_UPDATE`, `CONFIG_DELETE`.
    pub event_id: &'static str,
    /// By the controller's clock.
    pub at: Timestamp,
    /// The uuid of the object that it is about.
    pub obj_uuid: String,
    /// Its name.
    pub obj_name: String,
    /// Its type, in capitals.
    pub obj_type: String,
    /// A sentence.
    pub description: String,
    /// `event_details`.
    pub details: Value,
}

impl Event {
    pub(super) fn about(
        object: &Stored,
        event_id: &'static str,
        at: Timestamp,
        description: String,
        details: Value,
    ) -> Self {
        Self {
            event_id,
            at,
            obj_uuid: object.uuid.clone(),
            obj_name: object.name().to_owned(),
            obj_type: object.kind.class.to_ascii_uppercase(),
            description,
            details,
        }
    }

    /// A change of the configuration by a user.
    pub(super) fn config(object: &Stored, event_id: &'static str, at: Timestamp, user: &str) -> Self {
        let word = event_id.trim_start_matches("CONFIG_").to_ascii_lowercase();
        let details = json!({(format!("config_{word}_details")): {
            "resource_type": object.kind.class.to_ascii_uppercase(), "resource_name": object.name(), "user": user,
            "status": "SYSERR_SUCCESS",
        }});
        Self::about(object, event_id, at, format!("{} {word} by {user}", object.label()), details)
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "event_id": self.event_id,
            "report_timestamp": self.at.to_string(),
            "obj_uuid": self.obj_uuid,
            "obj_name": self.obj_name,
            "obj_type": self.obj_type,
            "module": "CONFIG",
            "internal": "EVENT_EXTERNAL",
            "event_description": self.description,
            "event_details": self.details,
        })
    }
}
