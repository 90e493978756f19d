//! What can be seen before anything is ordered, judged: where names point, who answers on port 80, what CAA records allow,
//! how far the clock is off. Records and answers come in as values.

mod addresses;
mod caa;
mod clock;
mod port_80;

pub(crate) use addresses::is_private;
pub use addresses::{LookupFailure, Lookups, NameOnLoadBalancer, addresses, own_address};
pub use caa::{CaaQuestion, CaaRecord, caa, domains, relevant_caa};
pub use clock::clock;
pub use port_80::port_80;

/// Something that will be, or may be, in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about, for people: ``name `www.some-domain.com` ``.
    pub subject: String,
    /// What is so.
    pub said: String,
    /// The next thing to do.
    pub fix: String,
}

/// How bad something is; the worse, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It may be right as it is; a person should look.
    Warning,
    /// Issuing will fail.
    Error,
}
