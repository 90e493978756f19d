//! How the CA is set up, and what may be changed while it runs.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use jiff::SignedDuration;

use super::faults::RetryAfter;
use crate::pki::PkiKey;

/// Fixed when the CA starts, but for [`Behaviour`].
#[derive(Clone, Debug)]
pub struct AcmeCaOptions {
    /// Intermediates between leaf and root, one to three.
    pub intermediates: usize,
    /// Key type of root and intermediates.
    pub ca_key: PkiKey,
    /// Seeds the choice of nonces that are rejected.
    pub seed: u64,
    /// The behaviour to start with.
    pub behaviour: Behaviour,
}

impl Default for AcmeCaOptions {
    fn default() -> Self {
        Self { intermediates: 1, ca_key: PkiKey::Ecdsa, seed: 1, behaviour: Behaviour::default() }
    }
}

/// What may be changed while the CA runs.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Profiles by name; the first is the default.
    pub profiles: Vec<(String, Profile)>,
    /// Lifetime of certificates, over every profile's own.
    pub lifetime: Option<SignedDuration>,
    /// Good nonces that are rejected all the same, in percent.
    pub nonce_rejection: u8,
    /// How often an order is still `processing` when it is read after finalize.
    pub processing_reads: usize,
    /// Retry-After on orders that are processing and on authorizations that are being validated.
    pub retry_after: Option<RetryAfter>,
    /// How long a validation takes, besides its request.
    pub validation_delay: Duration,
    /// Whether a valid authorization serves the account's next orders too.
    pub reuse_authorizations: bool,
    /// Whether ARI is offered.
    pub offers_ari: bool,
    /// Keys for external account binding; without any, none is wanted.
    pub external_account_keys: Vec<ExternalAccountKey>,
    /// The CA's clock minus the true time.
    pub clock_offset: SignedDuration,
    /// Where validation requests go: http and https, by name.
    pub addresses: BTreeMap<String, (SocketAddr, SocketAddr)>,
    /// Where validation requests for other names go. `None`: they do not resolve.
    pub default_address: Option<(SocketAddr, SocketAddr)>,
    /// The server that is asked for the TXT records of dns-01, by UDP. `None`: dns-01 is not validated, and so there are no
    /// wildcards.
    pub dns_server: Option<SocketAddr>,
}

impl Default for Behaviour {
    /// As Let's Encrypt in 2026, but quick.
    fn default() -> Self {
        let days = |count: i64| SignedDuration::from_hours(24 * count);
        let profile =
            |lifetime, max_names, common_name| Profile { lifetime, max_names, common_name, ip_addresses: false };
        Self {
            profiles: vec![
                ("classic".to_owned(), profile(days(90), 100, true)),
                ("tlsserver".to_owned(), profile(days(45), 25, false)),
                (
                    "shortlived".to_owned(),
                    Profile { ip_addresses: true, ..profile(SignedDuration::from_hours(160), 25, false) },
                ),
            ],
            lifetime: None,
            nonce_rejection: 0,
            processing_reads: 1,
            retry_after: None,
            validation_delay: Duration::ZERO,
            reuse_authorizations: false,
            offers_ari: true,
            external_account_keys: Vec::new(),
            clock_offset: SignedDuration::ZERO,
            addresses: BTreeMap::new(),
            default_address: None,
            dns_server: None,
        }
    }
}

/// A profile (draft-ietf-acme-profiles).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Lifetime of certificates, from their issue on; like Let's Encrypt's, they start an hour before it.
    pub lifetime: SignedDuration,
    /// Most names of one certificate.
    pub max_names: usize,
    /// Whether the first DNS name, in alphabetical order, becomes the common name.
    pub common_name: bool,
    /// Whether it is for IP addresses too (RFC 8738).
    pub ip_addresses: bool,
}

/// A key for external account binding (RFC 8555 §7.3.4).
#[derive(Clone)]
pub struct ExternalAccountKey {
    /// Key identifier.
    pub kid: String,
    /// HMAC key.
    pub hmac_key: Vec<u8>,
}

impl std::fmt::Debug for ExternalAccountKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ExternalAccountKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}
