//! An ACME CA that really listens: RFC 8555, ARI (RFC 9773) and profiles; strict about JWS; validates http-01 by real
//! requests, to addresses that its owner names, and dns-01 by a question to a server of its owner's; can be told to fail.
//!
//! It follows Let's Encrypt's Boulder where the RFC leaves a choice: the same open order for the same names, a refused
//! `replaces` refuses the order, a failed challenge ends its order.
//!
//! It has no key change, no revocation, no alternate chains and no tls-alpn-01.

mod ari;
mod dns01;
mod endpoints;
mod faults;
mod issuance;
mod jws;
mod options;
mod problem;
mod resources;
mod server;
mod state;
mod validation;

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::task::JoinHandle;

pub use self::ari::Window;
pub use self::faults::{Answer, Endpoint, Fault, RetryAfter};
pub use self::options::{AcmeCaOptions, Behaviour, ExternalAccountKey, Profile};
pub use self::state::OrderRecord;
pub use self::validation::ValidationRequest;

use self::state::Ca;
use crate::pki::{Pki, PkiError};

/// The running CA. Dropping it ends every task and closes every socket.
pub struct AcmeCa {
    address: SocketAddr,
    /// Of the directory's own HTTPS; another one than it issues from.
    trusted_root_pem: String,
    ca: Arc<Ca>,
    accepting: JoinHandle<()>,
}

impl AcmeCa {
    /// Listens on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// No randomness, or no free port.
    pub async fn start(options: AcmeCaOptions) -> Result<Self, AcmeCaError> {
        let site = Pki::new()?;
        let certificate = site.issue(&["localhost", "127.0.0.1"], 3650)?;
        let issuing = Pki::with_intermediates(options.intermediates, options.ca_key)?;
        let (listener, address) = server::listen().await?;
        let ca = Arc::new(Ca::new(address, issuing, options));
        let accepting = tokio::spawn(server::accept(listener, server::tls(&certificate)?, Arc::clone(&ca)));
        Ok(Self { address, trusted_root_pem: site.root_pem().to_owned(), ca, accepting })
    }

    /// URL of the directory.
    pub fn directory_url(&self) -> String {
        format!("https://localhost:{}/directory", self.address.port())
    }

    /// Root of the directory's own HTTPS, PEM.
    pub fn trusted_root_pem(&self) -> &str {
        &self.trusted_root_pem
    }

    /// Root of the certificates that it issues, PEM.
    pub fn issuing_root_pem(&self) -> String {
        self.ca.state().issuing.root_pem().to_owned()
    }

    /// Where validation requests for every name without an address of its own go, instead of ports 80 and 443.
    pub fn resolve_all_to(&self, http: SocketAddr, https: SocketAddr) {
        self.ca.state().behaviour.default_address = Some((http, https));
    }

    /// Where validation requests for `name` go, instead of ports 80 and 443.
    pub fn resolve(&self, name: &str, http: SocketAddr, https: SocketAddr) {
        self.ca.state().behaviour.addresses.insert(name.to_owned(), (http, https));
    }

    /// The DNS server that dns-01 is validated at from now on; with one, the CA issues for wildcards too.
    pub fn resolve_challenges_at(&self, dns_server: SocketAddr) {
        self.ca.state().behaviour.dns_server = Some(dns_server);
    }

    /// Moves the CA's clock forward.
    pub fn advance(&self, span: SignedDuration) {
        self.ca.state().behaviour.clock_offset += span;
    }

    /// Changes how the CA behaves.
    pub fn set_behaviour(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.ca.state().behaviour);
    }

    /// Issues from a new hierarchy from now on.
    ///
    /// # Errors
    /// No randomness.
    pub fn use_intermediates(&self, count: usize, key: crate::pki::PkiKey) -> Result<(), PkiError> {
        let issuing = Pki::with_intermediates(count, key)?;
        self.ca.state().issuing = issuing;
        Ok(())
    }

    /// Adds a fault rule. The first rule that fits a call is used, and used up; the next rule for that endpoint counts
    /// from there.
    pub fn add_fault(&self, fault: Fault) {
        self.ca.state().faults.add(fault);
    }

    /// Adds an outage: from the call that the rule strikes on, every call of every endpoint fares like it.
    pub fn add_outage(&self, fault: Fault) {
        self.ca.state().faults.add_outage(fault);
    }

    /// Removes all fault rules and outages.
    pub fn clear_faults(&self) {
        self.ca.state().faults.clear();
    }

    /// How many calls were left hanging so far; those that had an effect have had it.
    pub fn hanging(&self) -> usize {
        self.ca.state().hanging
    }

    /// Suggests a renewal window for the certificate with this serial (lower-case hex).
    pub fn suggest_window(&self, serial: &str, window: Window) {
        self.ca.state().windows.insert(serial.to_owned(), window);
    }

    /// Forgets every account, as a CA does that was set up anew.
    pub fn forget_accounts(&self) {
        self.ca.state().accounts.clear();
    }

    /// How many accounts there are.
    pub fn accounts(&self) -> usize {
        self.ca.state().accounts.len()
    }

    /// Every order so far, oldest first.
    pub fn orders(&self) -> Vec<OrderRecord> {
        self.ca.state().order_records()
    }

    /// How many calls an endpoint has had, refused ones too.
    pub fn count(&self, endpoint: Endpoint) -> usize {
        self.ca.state().counts.get(&endpoint).copied().unwrap_or_default()
    }

    /// Every validation request so far (http-01), oldest first.
    pub fn validation_requests(&self) -> Vec<ValidationRequest> {
        self.ca.state().validation_requests.clone()
    }
}

impl Drop for AcmeCa {
    fn drop(&mut self) {
        self.accepting.abort();
        self.ca.stop();
    }
}

/// A CA that could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcmeCaError {
    /// No socket.
    #[error("the lab's CA cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// No key or certificate.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The HTTPS certificate cannot be used.
    #[error("the lab's CA cannot use its own HTTPS certificate: {0}")]
    Tls(String),
}
