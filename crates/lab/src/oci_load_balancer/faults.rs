//! Failures on demand: rules that hit the n-th calls of an operation, and other people's changes between two calls.

use std::time::Duration;

use serde_json::Value;

use super::work_requests::WorkRequestError;

/// Hits the next calls of one operation, once unless [`Fault::times`] says otherwise.
///
/// Requests whose signature is wrong are answered 401 before any rule is looked at, and count for none.
#[derive(Clone, Debug)]
pub struct Fault {
    operation: String,
    load_balancer: Option<String>,
    skip: usize,
    times: usize,
    effect: Effect,
}

impl Fault {
    /// For an operation by its API name (`UpdateListener`, `CreateCertificate`, `GetLoadBalancer`, `GetWorkRequest` …);
    /// `*` is every operation.
    pub fn new(operation: impl Into<String>, effect: Effect) -> Self {
        Self { operation: operation.into(), load_balancer: None, skip: 0, times: 1, effect }
    }

    /// Lets so many calls pass first.
    #[must_use]
    pub fn after(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    /// Hits so many calls.
    #[must_use]
    pub fn times(mut self, calls: usize) -> Self {
        self.times = calls;
        self
    }

    /// Hits every call from then on, until [`OciLab::clear_faults`](super::OciLab::clear_faults).
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Only for calls about this load balancer.
    #[must_use]
    pub fn for_load_balancer(mut self, id: impl Into<String>) -> Self {
        self.load_balancer = Some(id.into());
        self
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
    /// What a proxy in between would send: no effect.
    HtmlPage {
        /// HTTP status.
        status: u16,
        /// The page.
        body: String,
    },
    /// The mutation is accepted; its work request ends FAILED and changes nothing.
    WorkRequestFails(Vec<WorkRequestError>),
    /// The mutation is accepted; its work request stays IN_PROGRESS for ever.
    WorkRequestStuck,
    /// The mutation's work request takes this long.
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

/// The two forms of the Retry-After header (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// As a date, so many seconds from the call.
    DateIn(u64),
    /// In seconds.
    Seconds(u64),
}

/// Whether another writer's change comes before or after the call that it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Just after the call has been answered.
    After,
    /// Just before the call is looked at.
    Before,
}

/// A change to the load balancer's JSON.
pub(super) type Edit = Box<dyn FnOnce(&mut Value) + Send>;

/// The rules and edits that wait for calls.
#[derive(Default)]
pub(super) struct Faults {
    rules: Vec<Fault>,
    edits: Vec<WaitingEdit>,
}

struct WaitingEdit {
    operation: String,
    moment: Moment,
    load_balancer: String,
    edit: Edit,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.rules.push(fault);
    }

    pub(super) fn add_edit(&mut self, operation: &str, moment: Moment, load_balancer: &str, edit: Edit) {
        self.edits.push(WaitingEdit {
            operation: operation.to_owned(),
            moment,
            load_balancer: load_balancer.to_owned(),
            edit,
        });
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
        self.edits.clear();
    }

    /// Rules and edits that have not been used up; a rule that holds for ever counts as one.
    pub(super) fn pending(&self) -> usize {
        self.rules.len() + self.edits.len()
    }

    /// The effect on a call that arrives now.
    pub(super) fn take(&mut self, operation: &str, load_balancer: Option<&str>) -> Option<Effect> {
        let mut effect = None;
        for rule in &mut self.rules {
            let other = rule.operation != "*" && rule.operation != operation;
            let elsewhere = rule.load_balancer.is_some() && rule.load_balancer.as_deref() != load_balancer;
            if other || elsewhere || effect.is_some() {
                continue;
            }
            if rule.skip > 0 {
                rule.skip -= 1;
            } else if rule.times > 0 {
                rule.times -= if rule.times == usize::MAX { 0 } else { 1 };
                effect = Some(rule.effect.clone());
            }
        }
        self.rules.retain(|rule| rule.times > 0);
        effect
    }

    /// The edits that come due with a call; each is given once.
    pub(super) fn take_edits(&mut self, operation: &str, moment: Moment, load_balancer: &str) -> Vec<Edit> {
        let due = |edit: &mut WaitingEdit| {
            (edit.operation == "*" || edit.operation == operation)
                && edit.moment == moment
                && edit.load_balancer == load_balancer
        };
        self.edits.extract_if(.., due).map(|edit| edit.edit).collect()
    }
}
