//! An ACME CA and load balancers that really listen, terminate TLS and can be told to fail: for `demo`, tests and
//! benches. The lab never judges itself: what it claims is checked by real clients (openssl, the `oci` CLI, `avisdk`).

#![forbid(unsafe_code)]

pub mod acme_ca;
mod any_certificate;
pub mod avi_controller;
mod clock;
mod faults;
mod forwarding;
mod json;
mod loopback_port;
pub mod oci_dns;
pub mod oci_load_balancer;
pub mod pki;
mod private_key;
mod tasks;
