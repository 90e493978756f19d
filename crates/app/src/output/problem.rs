//! What stands in the way of a certificate, as programs read it.

use certferry_core::plan::Problem;
use serde::Serialize;

/// One problem as a JSON row.
#[derive(Serialize)]
pub(crate) struct ProblemRow {
    certificate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_balancer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<String>,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl From<&Problem> for ProblemRow {
    fn from(problem: &Problem) -> Self {
        Self {
            certificate: problem.certificate.to_string(),
            load_balancer: problem.load_balancer.as_ref().map(ToString::to_string),
            listener: problem.listener.as_ref().map(ToString::to_string),
            error: problem.error.to_string(),
            hint: problem.error.hint().map(str::to_owned),
        }
    }
}
