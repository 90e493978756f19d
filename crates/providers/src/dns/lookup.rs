//! What name servers answer: recursive ones about aliases and zones, authoritative ones about TXT values.

use std::net::SocketAddr;

use async_trait::async_trait;
use certferry_core::port::{DnsLookup, NameServer};
use certferry_core::preflight::LookupFailure;
use certferry_core::{DnsName, Error, ErrorKind};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::exchange::{ask, code};
use super::recursive::RecursiveServers;

/// Looks through recursive servers, and at authoritative ones.
#[derive(Clone, Debug)]
pub struct NetworkLookup {
    recursive: RecursiveServers,
}

impl NetworkLookup {
    /// Through these recursive servers, or through those of `/etc/resolv.conf` where none are given.
    pub fn new(resolvers: Vec<SocketAddr>) -> Self {
        Self { recursive: RecursiveServers::new(resolvers) }
    }

    async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Message, Error> {
        self.recursive.resolve(name, kind).await.map_err(|failure| unresolved(name, kind, failure))
    }

    /// The name of the zone that holds `name`: that of its SOA record, which comes as the answer or beside a negative one
    /// (RFC 2308 §3); where neither comes, the name above is asked about.
    async fn zone(&self, name: &DnsName) -> Result<Name, Error> {
        let mut at = Some(name.clone());
        while let Some(name) = at {
            let answer = self.resolve(&dns(&name)?, RecordType::SOA).await?;
            if let Some(apex) = zone_in(&answer, &dns(&name)?) {
                return Ok(apex);
            }
            at = name.parent();
        }
        Err(Error::new(ErrorKind::NotFound, "DNS look-up", format!("zone of {name}"))
            .said("no SOA record for it or any name above")
            .with_hint("is the domain registered and delegated? `servers: [IP:53]` of the DNS provider names servers"))
    }
}

#[async_trait]
impl DnsLookup for NetworkLookup {
    async fn alias(&self, name: &DnsName) -> Result<Option<DnsName>, Error> {
        let wanted = dns(name)?;
        let answer = self.resolve(&wanted, RecordType::CNAME).await?;
        let target = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(target) if record.name == wanted => Some(target.0.to_ascii()),
            _ => None,
        });
        let Some(target) = target else { return Ok(None) };
        target.parse().map(Some).map_err(|error: certferry_core::NameError| {
            Error::new(ErrorKind::Invalid, "DNS look-up", format!("CNAME {name}")).said(error.to_string())
        })
    }

    async fn servers(&self, name: &DnsName) -> Result<Vec<NameServer>, Error> {
        let zone = self.zone(name).await?;
        let answer = self.resolve(&zone, RecordType::NS).await?;
        let hosts = answer.answers.iter().filter_map(|record| match &record.data {
            RData::NS(host) if record.name == zone => Some(host.0.clone()),
            _ => None,
        });
        let mut servers = Vec::new();
        for host in hosts {
            let addresses = self.recursive.hosts(&host).await;
            let addresses = addresses.map_err(|failure| unresolved(&host, RecordType::A, failure))?;
            servers.push(NameServer { name: host.to_ascii().trim_end_matches('.').to_owned(), addresses });
        }
        if servers.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, "DNS look-up", format!("NS {zone}"))
                .said("the zone has no NS records")
                .with_hint("`servers: [IP:53]` of the DNS provider names servers"));
        }
        Ok(servers)
    }

    async fn txt(&self, server: SocketAddr, name: &DnsName) -> Result<Vec<String>, String> {
        let wanted = dns(name).map_err(|error| error.to_string())?;
        let answer = ask(server, &wanted, RecordType::TXT, false).await?;
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(texts(&answer, &wanted)),
            other => Err(code(other)),
        }
    }
}

/// A checked name as the DNS library has it.
pub(super) fn dns(name: &DnsName) -> Result<Name, Error> {
    Name::from_ascii(format!("{name}."))
        .map_err(|error| Error::new(ErrorKind::Invalid, "DNS look-up", format!("name {name}")).said(error.to_string()))
}

/// The zone that an answer to a SOA question about `name` shows.
pub(super) fn zone_in(answer: &Message, name: &Name) -> Option<Name> {
    let records = answer.answers.iter().chain(&answer.authorities);
    let mut owners = records.filter(|record| record.record_type() == RecordType::SOA).map(|record| &record.name);
    owners.find(|owner| owner.zone_of(name)).cloned()
}

/// TXT values of one name. A value in several strings is one, joined (RFC 8555 §8.4 leaves it to RFC 1035; CAs join).
fn texts(answer: &Message, name: &Name) -> Vec<String> {
    let of_name = answer.answers.iter().filter(|record| record.name == *name);
    of_name
        .filter_map(|record| match &record.data {
            RData::TXT(text) => {
                let bytes: Vec<u8> = text.txt_data.iter().flat_map(|part| part.iter().copied()).collect();
                Some(String::from_utf8_lossy(&bytes).replace(char::is_control, " "))
            }
            _ => None,
        })
        .collect()
}

fn unresolved(name: &Name, kind: RecordType, failure: LookupFailure) -> Error {
    Error::new(ErrorKind::Unavailable, "DNS look-up", format!("{kind} {name}"))
        .said(failure.said)
        .with_hint("is the resolver of this machine right? `resolvers: [IP:53]` in the config names others")
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{MessageType, OpCode};
    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::{SOA, TXT};

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn soa(owner: &str) -> Record {
        let soa = SOA::new(name("ns.a.test."), name("root.a.test."), 1, 2, 3, 4, 5);
        Record::from_rdata(name(owner), 60, RData::SOA(soa))
    }

    #[test]
    fn a_zone_is_found_in_positive_and_negative_answers_but_not_in_foreign_ones() {
        let wanted = name("_acme-challenge.www.a.test.");
        let mut answer = Message::new(1, MessageType::Response, OpCode::Query);
        assert_eq!(zone_in(&answer, &wanted), None);
        answer.authorities.push(soa("b.test."));
        assert_eq!(zone_in(&answer, &wanted), None, "somebody else's zone");
        answer.authorities.push(soa("a.test."));
        assert_eq!(zone_in(&answer, &wanted), Some(name("a.test.")));
        answer.answers.push(soa("www.a.test."));
        assert_eq!(zone_in(&answer, &wanted), Some(name("www.a.test.")));
    }

    #[test]
    fn values_are_joined_and_those_of_other_names_left_out() {
        let mut answer = Message::new(1, MessageType::Response, OpCode::Query);
        let mut add = |owner: &str, parts: &[&str]| {
            let text = TXT::new(parts.iter().map(|part| (*part).to_owned()).collect());
            answer.answers.push(Record::from_rdata(name(owner), 60, RData::TXT(text)));
        };
        add("x.a.test.", &["one", "two"]);
        add("X.a.test.", &["th\u{7}ree"]);
        add("y.a.test.", &["other"]);
        assert_eq!(texts(&answer, &name("x.a.test.")), ["onetwo", "th ree"]);
    }
}
