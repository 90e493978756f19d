//! Whoever wants to be told what happens.

use crate::event::Event;

/// Told of every event, in order. Must not block.
pub trait Notify: Send + Sync {
    /// Something happened.
    fn notify(&self, event: &Event);
}
