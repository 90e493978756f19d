//! The traits that the engine drives. Each is implemented once per kind of other side: `providers` for CAs, load balancers
//! and probes, `store` for databases, `app` for whoever wants to be told.

mod ca;
mod load_balancer;
mod notify;
mod probe;
mod store;

pub use ca::{
    AboutAuthority, Account, Authorization, AuthorizationStatus, CertificateAuthority, Http01Challenge, Order,
    OrderRequest, OrderStatus, RevocationReason,
};
pub use load_balancer::{Bundle, Capabilities, KeyRequest, LoadBalancer, Replacement};
pub use notify::Notify;
pub use probe::{HttpAnswer, Probe};
pub use store::{AccountRecord, HistoryFilter, Lease, NewVersion, OpenChallenge, Store};
