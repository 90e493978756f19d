//! Dynamic updates (RFC 2136) to the zone's primary server, signed with TSIG (RFC 8945). Always over TCP, and never believed
//! before the answer's own signature was.

mod addresses;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use certferry_core::pointing::{AddressRecords, SetChange};
use certferry_core::port::{DnsProvider, DnsZone, TxtRecord};
use certferry_core::{Clock, DnsName, DnsProviderName, Error, ErrorKind, Secret};
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType, TSigner};
use zeroize::Zeroizing;

use super::exchange::{code, over_tcp, read};
use super::failure;
use super::lookup::{dns, zone_in};

/// A primary server that takes updates.
#[derive(Clone, Debug)]
pub struct Rfc2136Config {
    /// Its address.
    pub server: SocketAddr,
    /// The key to sign with.
    pub tsig: TsigKey,
}

/// A TSIG key.
#[derive(Clone, Debug)]
pub struct TsigKey {
    /// Its name, as the server knows it.
    pub name: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The key itself, in base64 as `tsig-keygen` prints it.
    pub secret: Secret<String>,
}

/// How a TSIG key signs (RFC 8945 §6; those that are not broken).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// `hmac-sha256`
    #[default]
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::HmacSha256, Self::HmacSha384, Self::HmacSha512];

    /// Its name in server configs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text);
        known.ok_or_else(|| format!("there is no TSIG algorithm `{text}`"))
    }
}

/// A primary server.
pub struct Rfc2136 {
    name: DnsProviderName,
    server: SocketAddr,
    signer: TSigner,
    clock: Arc<dyn Clock>,
}

impl Rfc2136 {
    /// Prepares the key; makes no call. `clock` dates the signatures, which are good for five minutes.
    ///
    /// # Errors
    /// A secret that is not base64, or a key name that is none.
    pub fn new(name: DnsProviderName, config: &Rfc2136Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let refuse = |said: String| failure(&name, ErrorKind::Invalid, "reading the TSIG key", "key").said(said);
        let key = Zeroizing::new(
            STANDARD
                .decode(config.tsig.secret.expose().trim())
                .map_err(|_| refuse("its secret is not base64, as `tsig-keygen` prints it".to_owned()))?,
        );
        let key_name = Name::from_ascii(&config.tsig.name).map_err(|error| refuse(error.to_string()))?;
        let algorithm = match config.tsig.algorithm {
            Algorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
            Algorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
            Algorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
        };
        let signer =
            TSigner::new(key.to_vec(), algorithm, key_name, FUDGE).map_err(|error| refuse(error.to_string()))?;
        Ok(Self { name, server: config.server, signer, clock })
    }

    async fn update(&self, record: &TxtRecord, change: Change) -> Result<(), Error> {
        let owner = dns(&record.name)?;
        let zone = self.zone_of(&owner, &record.name).await?;
        let mut message = update_of(&zone);
        message.authorities.push(change.of(owner, &record.value));
        let object = format!("TXT {} in zone {}", record.name, plain(&zone));
        let answer = self.signed(message, change.operation(), &object).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            answered => Err(self.refused(answered, change.operation(), &object, &record.name, "TXT")),
        }
    }

    /// An update of records of this type that the server did not make.
    fn refused(&self, answered: ResponseCode, operation: &str, object: &str, name: &DnsName, kind: &str) -> Error {
        let error = |error_kind| {
            failure(&self.name, error_kind, operation, object).said(format!("{} says {}", self.server, code(answered)))
        };
        let key = plain(self.signer.signer_name());
        match answered {
            ResponseCode::Refused => error(ErrorKind::Denied).with_hint(format!(
                "let key `{key}` change it, in BIND by `update-policy {{ grant {key} name {name}. {kind}; }};` of the zone"
            )),
            ResponseCode::NotAuth | ResponseCode::NotZone => {
                error(ErrorKind::Invalid).with_hint("is `server` the zone's primary? secondaries take no updates")
            }
            ResponseCode::ServFail => {
                error(ErrorKind::Unavailable).with_hint("look at the server's log: can it write its journal?")
            }
            _ => error(ErrorKind::Unexpected).with_hint("look at the server's log"),
        }
    }

    /// The zone that holds `owner`, as the server itself says.
    async fn zone_of(&self, owner: &Name, shown: &DnsName) -> Result<Name, Error> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(owner.clone(), RecordType::SOA));
        let object = format!("zone of {shown}");
        let answer = self.signed(message, "SOA query", &object).await?;
        if let Some(zone) = zone_in(&answer, owner).filter(|_| answer.metadata.authoritative) {
            return Ok(zone);
        }
        Err(failure(&self.name, ErrorKind::NotFound, "SOA query", &object)
            .said(format!("{} has no zone for it ({})", self.server, answered(&answer)))
            .with_hint("is `server` the primary of that zone? A CNAME at the record can lead to a zone that it has"))
    }

    /// Sends a message with a signature, and believes only an answer with one.
    async fn signed(&self, mut message: Message, operation: &str, object: &str) -> Result<Message, Error> {
        let refuse = |kind, said: String| failure(&self.name, kind, operation, object).said(said);
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or_default();
        let (signature, verifier) = self
            .signer
            .sign_message(&message, now)
            .map_err(|error| refuse(ErrorKind::Unexpected, format!("it cannot be signed: {error}")))?;
        message.set_signature(signature);
        let bytes = message.to_vec().map_err(|error| refuse(ErrorKind::Unexpected, error.to_string()))?;
        let answer = over_tcp(self.server, &bytes).await.map_err(|said| {
            refuse(ErrorKind::Unavailable, format!("{}: {said}", self.server))
                .with_hint("does the server listen on TCP there, and is it reachable from here?")
        })?;
        let read = read(&answer, &message)
            .map_err(|said| refuse(ErrorKind::Unexpected, format!("{}: {said}", self.server)))?;
        let trouble = read.signature().and_then(|record| record.data.error);
        if let Some(trouble) = trouble {
            return Err(self.refused_key(trouble, now, &read, refuse));
        }
        let verified = verifier.is_some_and(|mut verifier| verifier.verify(&answer).is_ok());
        if verified {
            return Ok(read);
        }
        Err(refuse(
            ErrorKind::Denied,
            format!("the answer of {} ({}) does not carry a good signature of the key", self.server, answered(&read)),
        )
        .with_hint("does the server know the key at all, and is nobody in between?"))
    }

    fn refused_key(
        &self,
        trouble: TsigError,
        now: u64,
        answer: &Message,
        refuse: impl Fn(ErrorKind, String) -> Error,
    ) -> Error {
        let key = plain(self.signer.signer_name());
        let server = self.server;
        match trouble {
            TsigError::BadKey => refuse(ErrorKind::Denied, format!("{server} does not know TSIG key `{key}` (BADKEY)"))
                .with_hint("write the key's name and algorithm as they stand in the server's config"),
            TsigError::BadSig => {
                refuse(ErrorKind::Denied, format!("{server} knows TSIG key `{key}` with another secret (BADSIG)"))
                    .with_hint("is the secret the one in the server's config, and `algorithm` the same?")
            }
            TsigError::BadTime => {
                let theirs = answer.signature().map(|record| seconds(&record.data.other)).unwrap_or_default();
                let said = format!("{server} refuses the time of the signature (BADTIME)");
                refuse(ErrorKind::Denied, said).with_hint(format!(
                    "its clock and this machine's differ by {} s; {FUDGE} s are allowed: set both by NTP",
                    theirs.abs_diff(now)
                ))
            }
            other => refuse(ErrorKind::Denied, format!("{server} refuses the signature ({})", u16::from(other))),
        }
    }
}

/// An update of a zone (RFC 2136 §2.3) that does nothing yet.
fn update_of(zone: &Name) -> Message {
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Update;
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(zone.clone(), RecordType::SOA));
    message
}

#[async_trait]
impl DnsProvider for Rfc2136 {
    fn name(&self) -> &DnsProviderName {
        &self.name
    }

    async fn zone(&self, record: &DnsName) -> Result<Option<DnsZone>, Error> {
        let zone = self.zone_of(&dns(record)?, record).await?;
        // The primary may be hidden: which servers the zone has, its NS records tell.
        Ok(plain(&zone).parse().ok().map(|name| DnsZone { name, servers: Vec::new() }))
    }

    async fn present(&self, record: &TxtRecord) -> Result<(), Error> {
        self.update(record, Change::Add).await
    }

    async fn withdraw(&self, record: &TxtRecord) -> Result<(), Error> {
        self.update(record, Change::Remove).await
    }

    async fn address_records(&self, name: &DnsName) -> Result<AddressRecords, Error> {
        self.read_addresses(name).await
    }

    async fn change_addresses(&self, name: &DnsName, change: &SetChange) -> Result<(), Error> {
        self.write_addresses(name, change).await
    }
}

/// The two updates; a duplicate that is added and a record that is not there are both let pass (RFC 2136 §3.4.2).
#[derive(Clone, Copy)]
enum Change {
    /// §2.5.1.
    Add,
    /// §2.5.4.
    Remove,
}

impl Change {
    fn of(self, owner: Name, value: &str) -> Record {
        let text = RData::TXT(TXT::new(vec![value.to_owned()]));
        match self {
            Self::Add => Record::from_rdata(owner, TTL, text),
            Self::Remove => {
                let mut record = Record::from_rdata(owner, 0, text);
                record.dns_class = DNSClass::NONE;
                record
            }
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Self::Add => "UPDATE (add)",
            Self::Remove => "UPDATE (delete)",
        }
    }
}

impl fmt::Debug for Rfc2136 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Rfc2136({} at {})", self.name, self.server)
    }
}

fn answered(answer: &Message) -> String {
    match answer.metadata.response_code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        other => code(other),
    }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// The server's time in the answer to a request of the wrong time: 48 bits (RFC 8945 §5.2.3).
fn seconds(other: &[u8]) -> u64 {
    other.iter().take(6).fold(0, |seconds, byte| seconds << 8 | u64::from(*byte))
}

/// What RFC 8945 §10 recommends.
const FUDGE: u16 = 300;

/// Seconds. Short, because the next validation has another value.
const TTL: u32 = 60;
