//! Work requests: every mutation is one, and the API client polls it.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{clock, options::Nulls};

/// A work request as the lab holds it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkRequest {
    /// `ocid1.loadbalancerworkrequest…`.
    pub id: String,
    /// The load balancer that it changes.
    pub load_balancer_id: String,
    /// The operation that made it, for example `UpdateListener`: the API's `type`.
    pub operation: String,
    /// Where it stands.
    pub state: WorkRequestState,
    /// One sentence; the reason when it failed.
    pub message: String,
    /// Why it failed.
    pub errors: Vec<WorkRequestError>,
    pub(super) compartment_id: String,
    pub(super) accepted_at: Timestamp,
    pub(super) finished_at: Option<Timestamp>,
}

impl WorkRequest {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, WorkRequestState::Accepted | WorkRequestState::InProgress)
    }

    pub(super) fn finish(&mut self, errors: Vec<WorkRequestError>, now: Timestamp) {
        self.finished_at = Some(now);
        match errors.first() {
            None => {
                self.state = WorkRequestState::Succeeded;
                self.message = "OK".into();
            }
            Some(error) => {
                self.state = WorkRequestState::Failed;
                self.message = error.message.clone();
            }
        }
        self.errors = errors;
    }

    pub(super) fn to_json(&self, nulls: Nulls) -> Value {
        let mut json = json!({
            "id": self.id,
            "loadBalancerId": self.load_balancer_id,
            "compartmentId": self.compartment_id,
            "type": self.operation,
            "lifecycleState": self.state.as_str(),
            "message": self.message,
            "timeAccepted": clock::written(self.accepted_at),
            "errorDetails": self.errors.iter().map(|error| json!({
                "errorCode": error.code,
                "message": error.message,
            })).collect::<Vec<_>>(),
        });
        match (self.finished_at, nulls) {
            (Some(time), _) => json["timeFinished"] = clock::written(time).into(),
            (None, Nulls::Explicit) => json["timeFinished"] = Value::Null,
            (None, Nulls::Omitted) => {}
        }
        json
    }
}

/// One of a failed work request's `errorDetails`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkRequestError {
    /// `BAD_INPUT` or `INTERNAL_ERROR`.
    pub code: String,
    /// What went wrong.
    pub message: String,
}

impl WorkRequestError {
    /// The client's fault.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self { code: "BAD_INPUT".into(), message: message.into() }
    }

    /// The service's fault.
    pub fn internal_error(message: impl Into<String>) -> Self {
        Self { code: "INTERNAL_ERROR".into(), message: message.into() }
    }
}

/// The states in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkRequestState {
    /// Taken on.
    Accepted,
    /// Under way.
    InProgress,
    /// Ended without effect.
    Failed,
    /// Ended, and in effect.
    Succeeded,
}

impl WorkRequestState {
    /// The API's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "ACCEPTED",
            Self::InProgress => "IN_PROGRESS",
            Self::Failed => "FAILED",
            Self::Succeeded => "SUCCEEDED",
        }
    }
}
