//! What the CA remembers.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;

use super::ari::Window;
use super::faults::{Endpoint, Faults};
use super::issuance::is_address;
use super::jws::{PublicKey, encode};
use super::options::{AcmeCaOptions, Behaviour, Profile};
use super::problem::Problem;
use super::validation::ValidationRequest;
use crate::pki::Pki;

/// The CA behind its sockets.
pub(super) struct Ca {
    pub(super) base: String,
    state: Mutex<State>,
    stopped: watch::Sender<bool>,
}

/// All that it remembers.
pub(super) struct State {
    pub(super) behaviour: Behaviour,
    pub(super) issuing: Pki,
    pub(super) faults: Faults,
    pub(super) windows: BTreeMap<String, Window>,
    pub(super) nonces: HashSet<String>,
    pub(super) accounts: Vec<Account>,
    pub(super) authorizations: Vec<Authorization>,
    pub(super) orders: Vec<Order>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) counts: BTreeMap<Endpoint, usize>,
    /// Calls that were left without an answer so far.
    pub(super) hanging: usize,
    pub(super) validation_requests: Vec<ValidationRequest>,
    /// Never one that was taken before, so that what a forgotten account had stays out of reach.
    next_account: usize,
    random: u64,
}

/// An account.
pub(super) struct Account {
    pub(super) id: usize,
    pub(super) key: PublicKey,
    pub(super) contact: Value,
    pub(super) deactivated: bool,
}

/// An authorization with its challenges, which have one token.
pub(super) struct Authorization {
    pub(super) account: usize,
    /// A wildcard's without its asterisk.
    pub(super) name: String,
    pub(super) wildcard: bool,
    pub(super) status: AuthorizationStatus,
    pub(super) token: String,
    /// The challenge that was answered, if one was.
    pub(super) answered: Option<Challenge>,
    /// It is being validated.
    pub(super) validating: bool,
    pub(super) error: Option<Problem>,
    pub(super) expires: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthorizationStatus {
    Pending,
    Valid,
    Invalid,
}

/// A type of challenge (RFC 8555 §8, RFC 8737).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    Http01,
    Dns01,
    TlsAlpn01,
}

/// An order.
pub(super) struct Order {
    pub(super) account: usize,
    pub(super) names: Vec<String>,
    pub(super) profile: Option<String>,
    pub(super) replaces: Option<String>,
    pub(super) authorizations: Vec<usize>,
    pub(super) finalized: usize,
    /// Reads until the certificate is there; `None` before finalize.
    pub(super) processing_reads: Option<usize>,
    pub(super) certificate: Option<usize>,
    pub(super) expires: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OrderStatus {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
}

/// A certificate that was issued.
pub(super) struct Certificate {
    pub(super) account: usize,
    pub(super) serial: String,
    pub(super) ari_id: String,
    pub(super) names: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    pub(super) chain_pem: String,
}

/// One order, for tests to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRecord {
    /// Names, sorted.
    pub names: Vec<String>,
    /// Profile asked for.
    pub profile: Option<String>,
    /// Id (RFC 9773 §4.1) of the certificate that it replaces.
    pub replaces: Option<String>,
    /// `pending`, `ready`, `processing`, `valid` or `invalid`.
    pub status: &'static str,
    /// How often it was finalized with success: once, or never.
    pub finalized: usize,
    /// Serial of its certificate, lower-case hex.
    pub serial: Option<String>,
}

impl Ca {
    pub(super) fn new(address: SocketAddr, issuing: Pki, options: AcmeCaOptions) -> Self {
        let state = State {
            behaviour: options.behaviour,
            issuing,
            faults: Faults::default(),
            windows: BTreeMap::new(),
            nonces: HashSet::new(),
            accounts: Vec::new(),
            authorizations: Vec::new(),
            orders: Vec::new(),
            certificates: Vec::new(),
            counts: BTreeMap::new(),
            hanging: 0,
            validation_requests: Vec::new(),
            next_account: 0,
            random: options.seed,
        };
        let base = format!("https://localhost:{}", address.port());
        Self { base, state: Mutex::new(state), stopped: watch::Sender::new(false) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends validations that are under way.
    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopped.subscribe()
    }
}

impl State {
    /// The CA's time.
    pub(super) fn now(&self) -> Timestamp {
        crate::clock::now() + self.behaviour.clock_offset
    }

    /// A number below `below`, from the seed (splitmix64).
    pub(super) fn random_below(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }

    pub(super) fn new_nonce(&mut self) -> String {
        let nonce = random_token();
        self.nonces.insert(nonce.clone());
        nonce
    }

    pub(super) fn new_account(&mut self, key: PublicKey, contact: Value) -> &Account {
        let id = self.next_account;
        self.next_account += 1;
        self.accounts.push(Account { id, key, contact, deactivated: false });
        &self.accounts[self.accounts.len() - 1]
    }

    /// For an order's name: a wildcard is proved by its base name (RFC 8555 §7.1.3).
    pub(super) fn new_authorization(&mut self, account: usize, identifier: &str) -> usize {
        let now = self.now();
        let base = identifier.strip_prefix("*.");
        let (name, wildcard) = (base.unwrap_or(identifier), base.is_some());
        if self.behaviour.reuse_authorizations {
            let reusable = |one: &Authorization| {
                one.account == account
                    && one.name == name
                    && one.wildcard == wildcard
                    && one.status == AuthorizationStatus::Valid
                    && one.expires > now
            };
            if let Some(index) = self.authorizations.iter().position(reusable) {
                return index;
            }
        }
        self.authorizations.push(Authorization {
            account,
            name: name.to_owned(),
            wildcard,
            status: AuthorizationStatus::Pending,
            token: random_token(),
            answered: None,
            validating: false,
            error: None,
            expires: now + SignedDuration::from_hours(24 * 7),
        });
        self.authorizations.len() - 1
    }

    /// Whether a client that answers such a challenge is looked up.
    pub(super) fn validates(&self, kind: Challenge) -> bool {
        match kind {
            Challenge::Http01 => true,
            Challenge::Dns01 => self.behaviour.dns_server.is_some(),
            Challenge::TlsAlpn01 => false,
        }
    }

    /// Where an order stands, which follows from everything else (RFC 8555 §7.1.6).
    pub(super) fn order_status(&self, order: &Order) -> OrderStatus {
        let mut authorizations = order.authorizations.iter().map(|index| self.authorizations[*index].status);
        if order.certificate.is_some() {
            return match order.processing_reads {
                Some(reads) if reads > 0 => OrderStatus::Processing,
                _ => OrderStatus::Valid,
            };
        }
        let expired = order.expires <= self.now();
        if expired || authorizations.clone().any(|status| status == AuthorizationStatus::Invalid) {
            OrderStatus::Invalid
        } else if authorizations.all(|status| status == AuthorizationStatus::Valid) {
            OrderStatus::Ready
        } else {
            OrderStatus::Pending
        }
    }

    /// The profile of an order: the one asked for, else the first.
    pub(super) fn profile(&self, name: Option<&str>) -> Option<Profile> {
        let profiles = &self.behaviour.profiles;
        match name {
            Some(name) => profiles.iter().find(|(known, _)| known == name).map(|(_, profile)| *profile),
            None => profiles.first().map(|(_, profile)| *profile),
        }
    }

    pub(super) fn order_records(&self) -> Vec<OrderRecord> {
        let record = |order: &Order| OrderRecord {
            names: order.names.clone(),
            profile: order.profile.clone(),
            replaces: order.replaces.clone(),
            status: self.order_status(order).as_str(),
            finalized: order.finalized,
            serial: order.certificate.map(|index| self.certificates[index].serial.clone()),
        };
        self.orders.iter().map(record).collect()
    }
}

impl Authorization {
    /// What may be answered: of an address not dns-01 (RFC 8738 §7), of a wildcard nothing else (RFC 8555 §7.1.4 and §8.3).
    pub(super) fn offered(&self) -> impl Iterator<Item = Challenge> {
        let (wildcard, address) = (self.wildcard, is_address(&self.name));
        Challenge::ALL.into_iter().filter(move |kind| match kind {
            Challenge::Http01 | Challenge::TlsAlpn01 => !wildcard,
            Challenge::Dns01 => !address,
        })
    }
}

impl Challenge {
    pub(super) const ALL: [Self; 3] = [Self::Http01, Self::Dns01, Self::TlsAlpn01];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

impl OrderStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
        }
    }
}

/// 128 bits, base64url.
fn random_token() -> String {
    let mut bytes = [0; 16];
    // A machine without randomness could not have made the CA's keys.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    encode(&bytes)
}
