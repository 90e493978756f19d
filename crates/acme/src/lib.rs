//! ACME client: RFC 8555, ARI (RFC 9773), profiles (draft-ietf-acme-profiles).
//!
//! [`Client`] talks to one CA, [`Account`] signs with one key there. Every answer comes as a [`Fetched`], which
//! carries the CA's `Retry-After` beside the value: this library asks once and answers, polling belongs to the caller.
//!
//! Whatever the CA sends is hostile until proved: bodies are read up to a cap, URLs must be https, tokens must be
//! base64url, and texts are stripped of control characters before they reach an error.

#![forbid(unsafe_code)]

pub use account::{Account, AccountState, AccountStatus, NewAccount, RegisteredAccount};
pub use account_key::{AccountKey, AccountKeyType, KeyRejected};
pub use authorization::{Authorization, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType};
pub use certificate::CertificateChain;
pub use certificate_id::{CertificateId, CertificateIdError};
pub use client::{Client, ClientBuilder};
pub use contact::{Contact, InvalidContact};
pub use directory::{Directory, DirectoryMeta};
pub use error::{Error, ErrorKind, Operation};
pub use external_account::{ExternalAccountBinding, InvalidMacKey, MacAlgorithm};
pub use fetched::Fetched;
pub use identifier::Identifier;
pub use order::{NewOrder, Order, OrderStatus};
pub use problem::{Problem, ProblemType};
pub use renewal_info::RenewalInfo;
pub use resource_url::{InvalidUrl, ResourceUrl};
pub use revocation::{RevocationReason, UnknownReason};
pub use token::{InvalidToken, KeyAuthorization, Token};

mod account;
mod account_key;
mod authorization;
mod certificate;
mod certificate_id;
mod client;
mod contact;
mod date;
mod directory;
mod error;
mod exchange;
mod external_account;
mod fetched;
mod identifier;
mod jws;
mod key_change;
mod lenient;
mod link;
mod nonce;
mod order;
mod patience;
mod printable;
mod problem;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod renewal_info;
mod resource_url;
mod retry_after;
mod revocation;
mod tls;
mod token;
mod transport;
