//! Everything that talks to somebody else's API.

#![forbid(unsafe_code)]

pub mod acme;
pub mod dns;
pub mod http;
pub mod load_balancer;
pub mod probe;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod systemd_credential;
