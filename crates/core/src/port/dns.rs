//! DNS, as the engine needs it: somebody who writes records, and a look at what name servers answer.

use std::net::SocketAddr;

use async_trait::async_trait;

use crate::error::{Error, ErrorKind};
use crate::name::{DnsName, DnsProviderName};
use crate::pointing::{AddressRecords, SetChange};

/// Whoever can write TXT records into a zone. Changes are made one at a time by the engine; both can be done twice.
#[async_trait]
pub trait DnsProvider: Send + Sync {
    /// Its name in the config.
    fn name(&self) -> &DnsProviderName;

    /// The zone in which it would write `record`; `None` where it does not know.
    ///
    /// # Errors
    /// Not reachable, not allowed, or no such zone.
    async fn zone(&self, record: &DnsName) -> Result<Option<DnsZone>, Error>;

    /// Adds the value beside others of the same name. There already is success.
    ///
    /// # Errors
    /// Refused.
    async fn present(&self, record: &TxtRecord) -> Result<(), Error>;

    /// Takes exactly this value away. Gone already is success.
    ///
    /// # Errors
    /// Refused.
    async fn withdraw(&self, record: &TxtRecord) -> Result<(), Error>;

    /// The records that say where `name` is, as they stand in the zone.
    ///
    /// # Errors
    /// As for [`zone`](DnsProvider::zone), or [`NotOffered`](ErrorKind::NotOffered).
    async fn address_records(&self, name: &DnsName) -> Result<AddressRecords, Error> {
        Err(not_offered(self.name(), name))
    }

    /// Changes one record set of `name`, if it still is what it was when that was decided.
    ///
    /// # Errors
    /// [`Conflict`](ErrorKind::Conflict) when it is something else by now, and nothing was changed; refused; or
    /// [`NotOffered`](ErrorKind::NotOffered).
    async fn change_addresses(&self, name: &DnsName, change: &SetChange) -> Result<(), Error> {
        let _ = change;
        Err(not_offered(self.name(), name))
    }
}

fn not_offered(provider: &DnsProviderName, name: &DnsName) -> Error {
    Error::new(ErrorKind::NotOffered, "address records", format!("{name} (DNS provider `{provider}`)"))
        .said("this kind of DNS provider writes the TXT records of dns-01 only")
}

/// What name servers answer, asked anew each time.
#[async_trait]
pub trait DnsLookup: Send + Sync {
    /// The name of which `name` is an alias (its CNAME); `None` when it is none.
    ///
    /// # Errors
    /// The resolver does not answer, or fails.
    async fn alias(&self, name: &DnsName) -> Result<Option<DnsName>, Error>;

    /// The authoritative servers of the zone that holds `name`, as the zone's NS records name them.
    ///
    /// # Errors
    /// The resolver does not answer, or fails, or no zone can be found.
    async fn servers(&self, name: &DnsName) -> Result<Vec<NameServer>, Error>;

    /// The TXT values that one server has for `name`; none when it has no such name. The error is a line for people.
    async fn txt(&self, server: SocketAddr, name: &DnsName) -> Result<Vec<String>, String>;
}

/// A TXT record with one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxtRecord {
    /// Its name.
    pub name: DnsName,
    /// Its value: printable ASCII without quotes and backslashes, at most 255 characters.
    pub value: String,
}

/// A zone at a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsZone {
    /// The zone's name.
    pub name: DnsName,
    /// The names of its authoritative servers, where the provider tells.
    pub servers: Vec<String>,
}

/// An authoritative server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameServer {
    /// Its name, or its address where that is all there is.
    pub name: String,
    /// Its addresses. The first one that answers speaks for the server.
    pub addresses: Vec<SocketAddr>,
}
