//! Address records. What the server answers may come from a wildcard of the zone or from an alias; what is in the zone itself,
//! only the prerequisites of an update see (RFC 2136 §2.4).

use certferry_core::pointing::{AddressData, AddressKind, AddressRecord, AddressRecords, SeenFrom, SetChange};
use certferry_core::{DnsName, Error, ErrorKind, NameError};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::{Rfc2136, answered, dns, failure, plain, update_of};

impl Rfc2136 {
    pub(super) async fn read_addresses(&self, name: &DnsName) -> Result<AddressRecords, Error> {
        let owner = dns(name)?;
        let zone = self.zone_holding(&owner, name).await?;
        let mut records = Vec::new();
        if self.is_in_use(&zone, &owner, name).await? {
            for kind in KINDS {
                records.extend(self.records(&zone, &owner, name, kind).await?);
            }
        }
        let apex = plain(&zone).parse().map_err(|error: NameError| {
            failure(&self.name, ErrorKind::Unexpected, "SOA query", &format!("zone of {name}")).said(error.to_string())
        })?;
        Ok(AddressRecords { zone: apex, seen_from: SeenFrom::Unknown, records })
    }

    pub(super) async fn write_addresses(&self, name: &DnsName, change: &SetChange) -> Result<(), Error> {
        let owner = dns(name)?;
        let zone = self.zone_holding(&owner, name).await?;
        let object = object(change.kind, name, &zone);
        let unreadable = |error: String| failure(&self.name, ErrorKind::Invalid, UPDATE, &object).said(error);
        let message = message(&zone, &owner, change).map_err(unreadable)?;
        let answer = self.signed(message, UPDATE, &object).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(()),
            // RFC 2136 §2.2: a prerequisite does not hold.
            ResponseCode::NXRRSet | ResponseCode::YXRRSet | ResponseCode::YXDomain | ResponseCode::NXDomain => {
                Err(failure(&self.name, ErrorKind::Conflict, UPDATE, &object)
                    .said("somebody else changed it meanwhile")
                    .with_hint("run the command again: it decides by what is there then"))
            }
            other => Err(self.refused(other, UPDATE, &object, name, change.kind.as_str())),
        }
    }

    /// The zone that holds a name which may be an alias: to a question about one, the server answers with the alias. One stands
    /// never at the top of a zone, so the name above is in the same.
    async fn zone_holding(&self, owner: &Name, name: &DnsName) -> Result<Name, Error> {
        match (self.zone_of(owner, name).await, name.parent()) {
            (Err(error), Some(parent)) if error.kind() == ErrorKind::NotFound => {
                self.zone_of(&dns(&parent)?, name).await
            }
            (outcome, _) => outcome,
        }
    }

    /// Whether the zone has records of that very name (§2.4.4): an update that changes nothing.
    async fn is_in_use(&self, zone: &Name, owner: &Name, name: &DnsName) -> Result<bool, Error> {
        let mut message = update_of(zone);
        message.answers.push(empty(owner, RecordType::ANY, DNSClass::ANY));
        let object = format!("{name} in zone {}", plain(zone));
        let answer = self.signed(message, UPDATE, &object).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError => Ok(true),
            ResponseCode::NXDomain => Ok(false),
            other => Err(self.refused(other, UPDATE, &object, name, "A AAAA CNAME")),
        }
    }

    async fn records(
        &self,
        zone: &Name,
        owner: &Name,
        name: &DnsName,
        kind: AddressKind,
    ) -> Result<Vec<AddressRecord>, Error> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(owner.clone(), record_type(kind)));
        let object = object(kind, name, zone);
        let answer = self.signed(message, "query", &object).await?;
        if !matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain) {
            return Err(failure(&self.name, ErrorKind::Unexpected, "query", &object)
                .said(format!("{} says {}", self.server, answered(&answer)))
                .with_hint("may this machine query the zone there?"));
        }
        let own = answer.answers.iter().filter(|record| record.name == *owner);
        Ok(own
            .filter_map(|record| {
                let data = match &record.data {
                    RData::A(address) => AddressData::Address(address.0.into()),
                    RData::AAAA(address) => AddressData::Address(address.0.into()),
                    RData::CNAME(target) => AddressData::Cname(target.0.to_ascii()),
                    _ => return None,
                };
                (data.kind() == kind).then_some(AddressRecord { data, ttl: record.ttl })
            })
            .collect())
    }
}

/// The whole change, on the condition that the set is what it was.
fn message(zone: &Name, owner: &Name, change: &SetChange) -> Result<Message, String> {
    let mut message = update_of(zone);
    let kind = record_type(change.kind);
    if change.found.is_empty() {
        // §2.4.3: there is no such set.
        message.answers.push(empty(owner, kind, DNSClass::NONE));
    }
    for record in &change.found {
        // §2.4.2: the set has these records and no others.
        message.answers.push(Record::from_rdata(owner.clone(), 0, data(&record.data)?));
    }
    if change.kind != AddressKind::Cname {
        // Beside an alias nothing would be added, and nothing be said (§3.4.2.2).
        message.answers.push(empty(owner, RecordType::CNAME, DNSClass::NONE));
    }
    for record in change.removed() {
        let mut record = Record::from_rdata(owner.clone(), 0, data(&record.data)?);
        record.dns_class = DNSClass::NONE;
        message.authorities.push(record);
    }
    for address in change.added() {
        message.authorities.push(Record::from_rdata(owner.clone(), change.ttl, data(&AddressData::Address(*address))?));
    }
    Ok(message)
}

fn empty(owner: &Name, kind: RecordType, class: DNSClass) -> Record {
    let mut record = Record::from_rdata(owner.clone(), 0, RData::Update0(kind));
    record.dns_class = class;
    record
}

fn data(data: &AddressData) -> Result<RData, String> {
    Ok(match data {
        AddressData::Address(std::net::IpAddr::V4(address)) => RData::A(A(*address)),
        AddressData::Address(std::net::IpAddr::V6(address)) => RData::AAAA(AAAA(*address)),
        AddressData::Alias(_) => return Err("name servers have no ALIAS records".to_owned()),
        AddressData::Cname(target) => RData::CNAME(CNAME(Name::from_ascii(target).map_err(|error| error.to_string())?)),
    })
}

fn record_type(kind: AddressKind) -> RecordType {
    match kind {
        AddressKind::A => RecordType::A,
        AddressKind::Aaaa => RecordType::AAAA,
        // There are none: what stands for them at OCI is answered as addresses.
        AddressKind::Alias | AddressKind::Cname => RecordType::CNAME,
    }
}

fn object(kind: AddressKind, name: &DnsName, zone: &Name) -> String {
    format!("{} {name} in zone {}", kind.as_str(), plain(zone))
}

/// The types that a zone of a name server can have.
const KINDS: [AddressKind; 3] = [AddressKind::Cname, AddressKind::A, AddressKind::Aaaa];

const UPDATE: &str = "UPDATE";
