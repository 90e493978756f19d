//! DNS as a CA asks it: addresses and CAA records, over the machine's resolver or one that is named. The hosts file and
//! search domains, which no CA has, are left out.

use std::net::SocketAddr;
use std::time::Duration;

use certferry_core::DnsName;
use certferry_core::preflight::{CaaRecord, LookupFailure, Lookups, domains};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};

/// A resolver. What was asked before is answered from memory.
pub struct NetworkResolver {
    inner: TokioResolver,
    /// Who is asked, for errors.
    server: String,
}

impl NetworkResolver {
    /// The machine's (`/etc/resolv.conf`).
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub fn of_this_machine() -> Result<Self, String> {
        let builder = TokioResolver::builder_tokio().map_err(|error| format!("/etc/resolv.conf: {error}"))?;
        Self::build(builder, "the resolver of this machine".to_owned())
    }

    /// The one at an address.
    ///
    /// # Errors
    /// None that is known.
    pub fn at(address: SocketAddr) -> Result<Self, String> {
        let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
            connection.port = address.port();
            connection
        });
        let server = NameServerConfig::new(address.ip(), true, connections.into());
        let config = ResolverConfig::from_name_servers(vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        Self::build(builder, format!("the resolver at {address}"))
    }

    fn build(
        mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
        server: String,
    ) -> Result<Self, String> {
        let options = builder.options_mut();
        options.timeout = PATIENCE;
        options.attempts = ATTEMPTS;
        options.use_hosts_file = ResolveHosts::Never;
        let inner = builder.build().map_err(|error| format!("{server}: {error}"))?;
        Ok(Self { inner, server })
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

    /// The CAA records that count for a name, and the domain that has them (RFC 8659 §3); `None` when none has.
    ///
    /// # Errors
    /// A domain on the way could not be asked: what counts is not known.
    pub async fn caa(&self, name: &DnsName) -> Result<Option<(String, Vec<CaaRecord>)>, LookupFailure> {
        for domain in domains(name) {
            let records: Vec<CaaRecord> =
                self.records(domain, RecordType::CAA).await?.into_iter().filter_map(caa_record).collect();
            if !records.is_empty() {
                return Ok(Some((domain.to_owned(), records)));
            }
        }
        Ok(None)
    }

    async fn records(&self, name: &str, kind: RecordType) -> Result<Vec<RData>, LookupFailure> {
        let failure = |is_of_the_zone, said: String| LookupFailure { is_of_the_zone, said };
        // With the dot at its end, no search domain is tried.
        let absolute = Name::from_ascii(format!("{name}.")).map_err(|error| failure(false, error.to_string()))?;
        match self.inner.lookup(absolute, kind).await {
            Ok(found) => Ok(found.answers().iter().map(|record| record.data.clone()).collect()),
            Err(NetError::Dns(DnsError::NoRecordsFound(none)))
                if matches!(none.response_code, ResponseCode::NoError | ResponseCode::NXDomain) =>
            {
                Ok(Vec::new())
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => Err(self.answered(none.response_code)),
            Err(NetError::Dns(DnsError::ResponseCode(code))) => Err(self.answered(code)),
            Err(error) => Err(failure(false, format!("{} gives no answer: {error}", self.server))),
        }
    }

    fn answered(&self, code: ResponseCode) -> LookupFailure {
        let word = match code {
            ResponseCode::ServFail => "SERVFAIL".to_owned(),
            ResponseCode::Refused => "REFUSED".to_owned(),
            other => other.to_string(),
        };
        LookupFailure {
            is_of_the_zone: code == ResponseCode::ServFail,
            said: format!("{} answers {word}", self.server),
        }
    }
}

fn caa_record(data: RData) -> Option<CaaRecord> {
    let RData::CAA(record) = data else { return None };
    let value = String::from_utf8_lossy(&record.value).replace(char::is_control, " ");
    Some(CaaRecord { is_critical: record.issuer_critical, tag: record.tag, value })
}

/// For one attempt.
const PATIENCE: Duration = Duration::from_secs(3);
const ATTEMPTS: usize = 2;
