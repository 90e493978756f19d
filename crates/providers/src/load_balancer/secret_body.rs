//! Request bodies that hold a secret.

use bytes::Bytes;
use serde::Serialize;
use zeroize::Zeroizing;

/// A value with a secret in it as JSON, wiped from memory when the last reference goes. `room` is more than it needs, so that
/// growing leaves no copies of the secret behind.
///
/// # Errors
/// Those of the value's own serialization.
pub(super) fn secret_body(value: &impl Serialize, room: usize) -> Result<Bytes, serde_json::Error> {
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    serde_json::to_writer(&mut *body, value)?;
    Ok(Bytes::from_owner(body))
}
