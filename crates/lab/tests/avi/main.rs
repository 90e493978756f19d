//! The Avi lab as a client sees it: over HTTPS with sessions, and over TLS with real handshakes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access;
mod api;
mod certificates;
mod client;
mod data_plane;
mod faults;
mod logs;
#[path = "../polling/mod.rs"]
mod polling;
mod scripts;
mod sessions;
mod validation;
mod virtual_hosting;
mod world;
mod writes;
