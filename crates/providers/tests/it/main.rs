//! The providers against the lab. One binary, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acme_issuer;
mod avi_script;
mod avi_session;
mod load_balancer_contract;
mod oci_changes;
mod oci_contract;
mod oci_denied;
mod oci_faults;
mod oci_fixture;
mod oci_http01;
