//! The client against a CA that follows a script, on loopback http.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod directory;
mod fake_ca;
mod keys;
mod lost_answers;
mod nonces;
mod orders;
mod renewal_info;
mod retries;
mod trust;
