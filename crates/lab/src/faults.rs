//! Failures on demand: rules that hit the n-th calls of an operation, and other people's changes between two calls.

/// Hits the next calls of one operation, once unless [`Fault::times`] says otherwise. What it does to them is the
/// service's own matter.
///
/// Requests that are not authenticated are answered before any rule is looked at, and count for none.
#[derive(Clone, Debug)]
pub struct Fault<E> {
    operation: String,
    object: Option<String>,
    skip: usize,
    times: usize,
    effect: E,
}

impl<E> Fault<E> {
    /// For an operation by the name that the service's request log gives it; `*` is every operation.
    pub fn new(operation: impl Into<String>, effect: E) -> Self {
        Self { operation: operation.into(), object: None, skip: 0, times: 1, effect }
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

    /// Hits every call from then on, until the lab's faults are cleared.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Only for calls about the object with this id.
    #[must_use]
    pub fn for_object(mut self, id: impl Into<String>) -> Self {
        self.object = Some(id.into());
        self
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

/// A change to an object's JSON.
pub(crate) type Edit = Box<dyn FnOnce(&mut serde_json::Value) + Send>;

/// The rules and edits that wait for calls.
pub(crate) struct Faults<E> {
    rules: Vec<Fault<E>>,
    edits: Vec<WaitingEdit>,
}

struct WaitingEdit {
    operation: String,
    moment: Moment,
    /// The object that it changes.
    object: String,
    edit: Edit,
}

impl<E: Clone> Faults<E> {
    pub(crate) fn add(&mut self, fault: Fault<E>) {
        self.rules.push(fault);
    }

    pub(crate) fn add_edit(&mut self, operation: &str, moment: Moment, object: &str, edit: Edit) {
        self.edits.push(WaitingEdit { operation: operation.to_owned(), moment, object: object.to_owned(), edit });
    }

    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.edits.clear();
    }

    /// Rules and edits that have not been used up; a rule that holds for ever counts as one.
    pub(crate) fn pending(&self) -> usize {
        self.rules.len() + self.edits.len()
    }

    /// The effect on a call that arrives now, of the operation for whose names `is_named` holds.
    pub(crate) fn take(&mut self, is_named: impl Fn(&str) -> bool, object: Option<&str>) -> Option<E> {
        let mut effect = None;
        for rule in &mut self.rules {
            let other = rule.operation != "*" && !is_named(&rule.operation);
            let elsewhere = rule.object.is_some() && rule.object.as_deref() != object;
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

    /// The edits of objects for which `is_about` holds that come due with a call; each is given once.
    pub(crate) fn take_edits(
        &mut self,
        operation: &str,
        moment: Moment,
        is_about: impl Fn(&str) -> bool,
    ) -> Vec<(String, Edit)> {
        let due = |edit: &mut WaitingEdit| {
            (edit.operation == "*" || edit.operation == operation) && edit.moment == moment && is_about(&edit.object)
        };
        self.edits.extract_if(.., due).map(|edit| (edit.object, edit.edit)).collect()
    }
}

impl<E> Default for Faults<E> {
    fn default() -> Self {
        Self { rules: Vec::new(), edits: Vec::new() }
    }
}
