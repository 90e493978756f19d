//! What a run did.

use certferry_core::plan::{Problem, Stage};

/// What a run did and what it could not do.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Steps done.
    pub done: usize,
    /// Everything that failed, by certificate.
    pub failures: Vec<Problem>,
}

impl Report {
    /// The worst stage in which something failed; `None` when all is well.
    pub fn worst(&self) -> Option<Stage> {
        self.failures.iter().map(|problem| problem.stage).max()
    }

    pub(crate) fn merge(&mut self, other: Self) {
        self.done += other.done;
        self.failures.extend(other.failures);
    }
}
