//! An answer with what its headers said.

use std::time::Duration;

use crate::resource_url::ResourceUrl;

/// A value from the CA and the two headers that steer what comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched<T> {
    /// What the body held.
    pub value: T,
    /// The `Location` header: where the resource lives. Always there after
    /// [`Account::new_order`](crate::Account::new_order).
    pub location: Option<ResourceUrl>,
    /// The `Retry-After` header: when to ask again. At most a year.
    pub retry_after: Option<Duration>,
}

impl<T> Fetched<T> {
    /// The same answer with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Fetched<U> {
        Fetched { value: change(self.value), location: self.location, retry_after: self.retry_after }
    }
}
