//! The providers against the lab. One binary, one module per subject.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod acme_issuer;
mod avi_contract;
mod avi_control_script;
mod avi_faults;
mod avi_fixture;
mod avi_http01;
mod avi_old_script;
mod avi_rights_and_logs;
mod avi_script;
mod avi_session;
mod load_balancer_contract;
mod oci_certificates_service;
mod oci_changes;
mod oci_contract;
mod oci_denied;
mod oci_dns;
mod oci_faults;
mod oci_fixture;
mod oci_http01;
mod oci_instance_principal;
mod oci_keys_and_tokens;
