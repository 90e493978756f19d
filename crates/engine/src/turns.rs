//! Turns: what must not overlap with its like, though it may with all else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// One at a time for each key. Keys come and go: what nobody holds or waits for is forgotten.
pub(crate) struct Turns<K>(Mutex<BTreeMap<K, Weak<Turn<()>>>>);

impl<K: Ord> Turns<K> {
    /// Waits for the turn of `key`, and holds it until the guard is dropped.
    pub(crate) async fn take(&self, key: K) -> OwnedMutexGuard<()> {
        self.turn(key).lock_owned().await
    }

    fn turn(&self, key: K) -> Arc<Turn<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(&key).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::default();
        turns.insert(key, Arc::downgrade(&turn));
        turn
    }
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_key_is_held_by_one_at_a_time_and_others_are_free() {
        let turns = Turns::default();
        let first = turns.take("www").now_or_never();
        assert!(first.is_some());
        assert!(turns.take("www").now_or_never().is_none(), "it is held");
        let other = turns.take("shop").now_or_never();
        assert!(other.is_some(), "nobody holds this one");
        drop(first);
        assert!(turns.take("www").now_or_never().is_some(), "it is free again");
        drop(other);
        drop(turns.take("api").now_or_never());
        assert_eq!(turns.0.lock().unwrap().len(), 1, "what nobody holds is forgotten");
    }
}
