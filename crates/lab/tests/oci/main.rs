//! The OCI lab as a client sees it: over HTTP with signed requests, and over TLS with real handshakes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod api;
mod certificates;
mod certificates_service;
mod client;
mod data_plane;
mod dns;
mod faults;
mod listeners;
#[path = "../polling/mod.rs"]
mod polling;
mod principals;
mod signatures;
mod work_requests;
mod world;
