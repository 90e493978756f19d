//! Certification authorities, through the ACME client of `certferry-acme`.

mod config;

pub use config::{ExternalAccount, IssuerConfig};
