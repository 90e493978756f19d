//! The traits that the engine drives. Each is implemented once per kind of other side: `providers` for CAs, load balancers,
//! DNS and probes, `store` for databases, `app` for whoever wants to be told.

mod ca;
mod dns;
mod load_balancer;
mod notify;
mod probe;
mod store;

pub use ca::{
    AboutAuthority, Account, Authorization, AuthorizationStatus, CertificateAuthority, Dns01Challenge, Http01Challenge,
    Order, OrderRequest, OrderStatus, RevocationReason, dns01_value,
};
pub use dns::{DnsLookup, DnsProvider, DnsZone, NameServer, TxtRecord};
pub use load_balancer::{Bundle, Capabilities, InCommon, KeyRequest, LoadBalancer, Replacement};
pub use notify::Notify;
pub use probe::{HttpAnswer, Probe};
pub use store::{AccountRecord, DnsPlace, HistoryFilter, Lease, NewVersion, OpenChallenge, Store};
