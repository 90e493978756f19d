//! Certification authorities, through the ACME client of `certferry-acme`.

mod account;
mod chain;
mod config;
mod convert;
mod failure;
mod issuer;
mod new_order;
#[cfg(test)]
mod tests;

pub use certferry_acme::{AccountKeyType, Contact, ExternalAccountBinding, MacAlgorithm};
pub use config::{IssuerConfig, Limits, WithoutProfile};
pub use issuer::AcmeIssuer;
