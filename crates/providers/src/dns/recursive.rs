//! Recursive name servers, and what they say as a CA's would: the hosts file and search domains, which no CA has, are left
//! out. There is no memory: each question is asked anew.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use certferry_core::DnsName;
use certferry_core::preflight::{CaaRecord, LookupFailure, Lookups};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

use super::exchange::{ask, code};

/// Asks these servers one after the other; the first that answers counts.
#[derive(Clone, Debug)]
pub struct RecursiveServers {
    servers: Vec<SocketAddr>,
}

impl RecursiveServers {
    /// These, or those of `/etc/resolv.conf` where none are given.
    pub fn new(servers: Vec<SocketAddr>) -> Self {
        if servers.is_empty() {
            return Self { servers: system_servers(Path::new("/etc/resolv.conf")) };
        }
        Self { servers }
    }

    /// The A and AAAA records of a name, aliases followed.
    pub async fn addresses(&self, name: &DnsName) -> Lookups {
        let (a, aaaa) =
            tokio::join!(self.records(name.as_str(), RecordType::A), self.records(name.as_str(), RecordType::AAAA));
        let of_a = |data| if let RData::A(address) = data { Some(address.0) } else { None };
        let of_aaaa = |data| if let RData::AAAA(address) = data { Some(address.0) } else { None };
        Lookups {
            a: a.map(|records| records.into_iter().filter_map(of_a).collect()),
            aaaa: aaaa.map(|records| records.into_iter().filter_map(of_aaaa).collect()),
        }
    }

    /// The CAA records of one domain (of those above it, the caller asks by itself).
    ///
    /// # Errors
    /// It could not be asked: what counts is not known.
    pub async fn caa(&self, domain: &str) -> Result<Vec<CaaRecord>, LookupFailure> {
        Ok(self.records(domain, RecordType::CAA).await?.into_iter().filter_map(caa_record).collect())
    }

    /// The answer to a question, an answer that there is nothing included.
    pub(super) async fn resolve(&self, name: &Name, kind: RecordType) -> Result<Message, LookupFailure> {
        let mut failed = Vec::new();
        let mut is_of_the_zone = false;
        for server in &self.servers {
            match ask(*server, name, kind, true).await {
                Ok(answer) => match answer.metadata.response_code {
                    ResponseCode::NoError | ResponseCode::NXDomain => return Ok(answer),
                    other => {
                        is_of_the_zone |= other == ResponseCode::ServFail;
                        failed.push(format!("{server} says {}", code(other)));
                    }
                },
                Err(said) => failed.push(format!("{server}: {said}")),
            }
        }
        Err(LookupFailure { is_of_the_zone, said: failed.join("; ") })
    }

    /// The addresses of a host, to ask it on the port of DNS.
    pub(super) async fn hosts(&self, host: &Name) -> Result<Vec<SocketAddr>, LookupFailure> {
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

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, LookupFailure> {
        let absolute = Name::from_ascii(format!("{name}."))
            .map_err(|error| LookupFailure { is_of_the_zone: false, said: error.to_string() })?;
        let answer = self.resolve(&absolute, kind).await?;
        // An alias stands before what it leads to.
        Ok(answer.answers.into_iter().map(|record| record.data).filter(|data| data.record_type() == kind).collect())
    }
}

fn caa_record(data: RData) -> Option<CaaRecord> {
    let RData::CAA(record) = data else { return None };
    let value = String::from_utf8_lossy(&record.value).replace(char::is_control, " ");
    Some(CaaRecord { is_critical: record.issuer_critical, tag: record.tag, value })
}

fn system_servers(file: &Path) -> Vec<SocketAddr> {
    let text = std::fs::read(file).unwrap_or_default();
    // As with the C library, this machine itself is asked where the file is missing or names nobody (resolv.conf(5)).
    let servers = resolv_conf::Config::parse(&text).map(|config| config.nameservers).unwrap_or_default();
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| SocketAddr::new(server.into(), DNS_PORT)).collect();
    if addresses.is_empty() { vec![SocketAddr::from(([127, 0, 0, 1], DNS_PORT))] } else { addresses }
}

const DNS_PORT: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_own_servers_are_used_where_none_are_given() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        assert_eq!(system_servers(&file), ["127.0.0.1:53".parse().unwrap()]);
        std::fs::write(&file, "# x\nnameserver 192.0.2.1\nsearch a.test\nnameserver 2001:db8::1\n").unwrap();
        assert_eq!(system_servers(&file), ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]);
    }
}
