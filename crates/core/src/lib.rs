//! The words and rules of certferry, without I/O and without an async runtime.
//!
//! * Words: [`Identifier`], [`DnsName`], [`CertificateName`], [`BundleName`], [`KeyType`], [`Chain`], [`Serial`], [`Secret`].
//! * The loop: [`desired`] (what the config wants), [`observed`] (what load balancers and probes say), [`recorded`] (what
//!   the store remembers) go into [`plan::plan`], which gives steps. `plan` is pure: no clock, no I/O, no randomness.
//! * When: [`renewal`] (ARI or a share of the lifetime), [`retry`] (how soon again after a failure),
//!   [`expiry_warning`] (when people are warned) and [`overdue`] (of which certificates).
//! * [`inventory`]: every certificate on a load balancer, for people.
//! * [`preflight`]: what can be seen before anything is ordered, judged.
//! * [`pointing`]: what it takes to point a name at its load balancer.
//! * [`port`]: the traits that the engine drives and that the other crates implement.
//! * [`Error`]: the one shape in which anything remote can fail.

#![forbid(unsafe_code)]

pub mod chain;
pub mod clock;
pub mod csr;
pub mod desired;
pub mod error;
pub mod event;
pub mod expiry_warning;
pub mod identifier;
pub mod inventory;
pub mod key;
pub mod name;
pub mod observed;
pub mod overdue;
pub mod plan;
pub mod pointing;
pub mod port;
pub mod preflight;
pub mod printable;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod recorded;
pub mod renewal;
pub mod retry;
pub mod secret;

pub use chain::{Chain, ChainError, LeafFacts, Serial, Sha256};
pub use clock::{Clock, SystemClock};
pub use csr::{Csr, CsrError};
pub use error::{Error, ErrorKind, Retry};
pub use event::{Event, Outcome};
pub use expiry_warning::ExpiryWarning;
pub use identifier::Identifier;
pub use key::{KeyFamily, KeyType};
pub use name::{
    BundleName, CertificateName, DnsName, DnsProviderName, IssuerName, ListenerName, LoadBalancerName, NameError,
};
pub use overdue::Overdue;
pub use secret::Secret;
