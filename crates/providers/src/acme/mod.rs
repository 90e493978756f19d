//! Certification authorities, through the ACME client of `certferry-acme`.

mod account;
mod config;
mod convert;
mod failure;
mod issuer;
mod new_order;
#[cfg(test)]
mod tests;

pub use certferry_acme::{Contact, ExternalAccountBinding, MacAlgorithm};
pub use config::IssuerConfig;
pub use issuer::AcmeIssuer;
