//! What a fault rule can do to a call of this service.

use std::time::Duration;

use super::work_requests::WorkRequestError;
use crate::faults;

pub(super) use crate::faults::Edit;
pub use crate::faults::{Moment, RetryAfter};

/// Hits the next calls of one operation by its API name (`UpdateListener`, `CreateCertificate`, `GetLoadBalancer`,
/// `GetWorkRequest` …) or one of the Certificates service (`UpdateCertificate` …); `*` is every operation. Both services have a
/// `CreateCertificate` and a `ListCertificates`: `load-balancers/CreateCertificate` and `certificates/CreateCertificate` are
/// one of them. Requests whose signature is wrong count for no rule.
pub type Fault = faults::Fault<Effect>;

impl Fault {
    /// Only for calls about this load balancer.
    #[must_use]
    pub fn for_load_balancer(self, id: impl Into<String>) -> Self {
        self.for_object(id)
    }

    /// Only for calls about this certificate of the Certificates service.
    #[must_use]
    pub fn for_certificate(self, id: impl Into<String>) -> Self {
        self.for_object(id)
    }
}

/// What a [`Fault`] does to a call.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Effect {
    /// An error of the API, without any effect on the load balancer.
    Answer {
        /// HTTP status.
        status: u16,
        /// The API's code, for example `TooManyRequests`.
        code: String,
        /// The text.
        message: String,
        /// A Retry-After header.
        retry_after: Option<RetryAfter>,
    },
    /// The call takes effect; the connection closes without an answer.
    CloseAfter,
    /// The connection closes without an answer or effect.
    CloseBefore,
    /// No answer until the client gives up, and no effect.
    Hang,
    /// The call takes effect; no answer until the client gives up.
    HangAfter,
    /// What a proxy in between would send: no effect.
    HtmlPage {
        /// HTTP status.
        status: u16,
        /// The page.
        body: String,
    },
    /// The mutation is accepted; its work request ends FAILED and changes nothing. In the Certificates service it is the
    /// new certificate or the new version that becomes FAILED, with the first error as the reason.
    WorkRequestFails(Vec<WorkRequestError>),
    /// The mutation is accepted; its work request stays IN_PROGRESS for ever. A certificate of the Certificates service
    /// stays CREATING or UPDATING.
    WorkRequestStuck,
    /// The mutation's work request, or the change in the Certificates service, takes this long.
    WorkRequestTakes(Duration),
}

impl Effect {
    /// [`Effect::Answer`] without Retry-After.
    pub fn answer(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Answer { status, code: code.into(), message: message.into(), retry_after: None }
    }

    /// 429 as the service words it.
    pub fn too_many_requests(retry_after: Option<RetryAfter>) -> Self {
        Self::Answer {
            status: 429,
            code: "TooManyRequests".into(),
            message: "User-rate limit exceeded.".into(),
            retry_after,
        }
    }
}

/// The rules and edits that wait for calls.
pub(super) type Faults = faults::Faults<Effect>;
