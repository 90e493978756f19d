//! The lab's CA as a client sees it: over HTTPS with a JWS signer of the test's own, and by certferry-acme.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod account_key;
mod accounts;
mod certferry_acme_client;
mod certificates;
mod client;
mod dns_validation;
mod end;
mod faults;
mod finalize;
mod orders;
mod renewal;
mod requests;
mod site;
mod validation;
mod world;
