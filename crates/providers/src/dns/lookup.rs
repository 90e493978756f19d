//! What name servers answer: recursive ones about aliases and zones, authoritative ones about TXT values.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use async_trait::async_trait;
use certferry_core::port::{DnsLookup, NameServer};
use certferry_core::{DnsName, Error, ErrorKind};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::exchange::{ask, code};

/// Looks through these recursive servers; the first that answers counts.
#[derive(Clone, Debug)]
pub struct NetworkLookup {
    resolvers: Vec<SocketAddr>,
}

impl NetworkLookup {
    /// Through these servers, or through those of `/etc/resolv.conf` where none are given.
    pub fn new(resolvers: Vec<SocketAddr>) -> Self {
        if resolvers.is_empty() {
            return Self { resolvers: system_resolvers(Path::new("/etc/resolv.conf")) };
        }
        Self { resolvers }
    }

    async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Message, Error> {
        let mut failed = Vec::new();
        for resolver in &self.resolvers {
            match ask(*resolver, name, kind, true).await {
                Ok(answer) => match answer.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                    other => failed.push(format!("{resolver} says {}", code(other))),
                },
                Err(said) => failed.push(format!("{resolver}: {said}")),
            }
        }
        if failed.is_empty() {
            failed.push("there is no resolver".to_owned());
        }
        Err(Error::new(ErrorKind::Unavailable, "DNS look-up", format!("{kind} {name}"))
            .said(failed.join("; "))
            .with_hint("is the resolver of this machine right? `resolvers: [IP:53]` in the config names others"))
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

    async fn addresses(&self, host: &Name) -> Result<Vec<SocketAddr>, Error> {
        let mut addresses = Vec::new();
        for kind in [RecordType::A, RecordType::AAAA] {
            let answer = self.resolve(host, kind).await?;
            addresses.extend(answer.answers.iter().filter_map(|record| match &record.data {
                RData::A(address) => Some(SocketAddr::new(IpAddr::V4(address.0), DNS_PORT)),
                RData::AAAA(address) => Some(SocketAddr::new(IpAddr::V6(address.0), DNS_PORT)),
                _ => None,
            }));
        }
        Ok(addresses)
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
            let addresses = self.addresses(&host).await?;
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

fn system_resolvers(file: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read(file).unwrap_or_default();
    // As with the C library, this machine itself is asked where the file is missing or names nobody (resolv.conf(5)).
    let servers = resolv_conf::Config::parse(&text).map(|config| config.nameservers).unwrap_or_default();
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| SocketAddr::new(server.into(), DNS_PORT)).collect();
    if addresses.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], DNS_PORT))] } else { addresses }
}

const DNS_PORT: u16 = 53;

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

    #[test]
    fn the_machines_own_resolvers_are_used_where_none_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        assert_eq!(system_resolvers(&file), ["127.0.0.1:53".parse().unwrap()]);
        std::fs::write(&file, "# x\nnameserver 192.0.2.1\nsearch a.test\nnameserver 2001:db8::1\n").unwrap();
        assert_eq!(system_resolvers(&file), ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
    }
}
