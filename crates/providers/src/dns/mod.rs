//! DNS: whoever writes the records, one file each, and the look at what name servers answer.

pub mod acme_dns;
mod exchange;
pub mod exec;
pub mod lookup;
pub mod oci;
pub mod recursive;
pub mod rfc2136;

use certferry_core::{DnsProviderName, Error, ErrorKind};

/// A failure on something that belongs to the DNS provider `name` of the config.
fn failure(name: &DnsProviderName, kind: ErrorKind, operation: &str, object: &str) -> Error {
    Error::new(kind, operation, format!("{object} (DNS provider `{name}`)"))
}
