//! OCI DNS (<https://docs.oracle.com/iaas/api/#/en/dns/20180115/>): values are added to and removed from a record set by
//! PatchRRSet, which leaves the others alone and can be confined by policy to TXT at one name.

mod addresses;
mod policy;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use certferry_core::pointing::{AddressRecords, SetChange};
use certferry_core::port::{DnsProvider, DnsZone, TxtRecord};
use certferry_core::{Clock, DnsName, DnsProviderName, Error, ErrorKind};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::http::Answer;
use crate::load_balancer::oci::{Call, Caller, Failed, OciAccess, Principals, Session, Target};

pub use policy::{address_grant, challenge_grant};

/// OCI DNS.
#[derive(Clone, Debug)]
pub struct OciDnsConfig {
    /// How OCI is called.
    pub access: OciAccess,
    /// The compartment in which zones are looked for; needed only where several have a zone of the same name.
    pub compartment: Option<String>,
    /// The view whose private zones are meant.
    pub view: Option<String>,
}

/// OCI DNS.
pub struct OciDns {
    name: DnsProviderName,
    session: Session,
    compartment: Option<String>,
    view: Option<String>,
}

impl OciDns {
    /// Reads the credential, as far as it lies on this machine; makes no call. The instance's token is shared by all that
    /// are given the same `principals`.
    ///
    /// # Errors
    /// A credential that cannot be read, used or kept private; a region that is not known.
    pub fn sharing(
        name: DnsProviderName,
        config: &OciDnsConfig,
        clock: Arc<dyn Clock>,
        principals: &Principals,
    ) -> Result<Self, Error> {
        let session = Session::open(Caller::Dns(name.clone()), &config.access, clock, principals)?;
        Ok(Self { name, session, compartment: config.compartment.clone(), view: config.view.clone() })
    }

    /// The zone with the longest name that the record's name ends in.
    async fn zone_of(&self, record: &DnsName) -> Result<Zone, Error> {
        // No zone's name begins with an asterisk.
        let mut at = if record.is_wildcard() { record.parent() } else { Some(record.clone()) };
        while let Some(name) = at {
            let call = Call::get("GetZone", self.scoped(Target::below([VERSION, "zones", name.as_str()])));
            match self.session.send(&call).await {
                Ok(answer) => return self.parsed("GetZone", &format!("zone {name}"), &answer.body),
                Err(failed) if failed.is_not_found() => at = name.parent(),
                Err(failed) => return Err(self.session.error("GetZone", &format!("zone {name}"), &failed)),
            }
        }
        let statement = self.session.statement("read dns-zones", "");
        Err(Error::new(ErrorKind::NotFound, "GetZone", self.session.subject(&format!("zone of {record}")))
            .said("neither it nor any name above is a zone there, or none may be read")
            .with_hint(format!(
                "if the zone is there, {statement} is missing (`certferry policy {name}` prints the least one). If the \
                 records are to live in another zone, make the name a CNAME",
                name = self.name
            )))
    }

    /// The records of one name and type, as they stand.
    async fn record_set(&self, zone: &Zone, name: &DnsName, kind: &str) -> Result<RecordSet, Error> {
        let object = object(kind, name, zone);
        match self.session.send(&Call::get("GetRRSet", self.rr_set(zone, name, kind))).await {
            Ok(answer) => {
                let items = self.parsed::<Records>("GetRRSet", &object, &answer.body)?.items;
                Ok(RecordSet { items, etag: answer.header("etag").map(str::to_owned) })
            }
            Err(failed) if failed.is_not_found() => Ok(RecordSet::default()),
            Err(failed) => Err(self.session.error("GetRRSet", &object, &failed)),
        }
    }

    /// PatchRRSet, all of the items or none.
    async fn patch_set(
        &self,
        zone: &Zone,
        name: &DnsName,
        kind: &str,
        items: &[serde_json::Value],
        if_match: Option<&str>,
    ) -> Result<Answer, Failed> {
        let call = Call {
            operation: "PatchRRSet",
            method: Method::PATCH,
            target: self.rr_set(zone, name, kind),
            body: Some(Bytes::from(json!({ "items": items }).to_string())),
            if_match,
            retry_token: None,
        };
        self.session.send(&call).await
    }

    async fn patch(&self, record: &TxtRecord, operation: &str) -> Result<(), Error> {
        let zone = self.zone_of(&record.name).await?;
        let mut present = self.record_set(&zone, &record.name, TXT).await?.items;
        if present.is_empty() {
            // 404 is said of what is not shown just now, too. Others' values would get another time to live, and a value that
            // is taken for gone is never taken away: it must be said twice.
            present = self.record_set(&zone, &record.name, TXT).await?.items;
        }
        let same = present.iter().find(|item| unquoted(&item.rdata) == record.value);
        let adds = operation == "ADD";
        if same.is_some() == adds {
            return Ok(());
        }
        // One time to live holds for the whole set: that of the values that are there is kept.
        let ttl = present.first().map_or(TTL, |item| item.ttl);
        let rdata = same.map_or_else(|| format!("\"{}\"", record.value), |item| item.rdata.clone());
        let item = json!({
            "domain": record.name.as_str(), "rtype": TXT, "rdata": rdata, "ttl": ttl, "operation": operation,
        });
        match self.patch_set(&zone, &record.name, TXT, &[item], None).await {
            Ok(_) => Ok(()),
            // The set went away meanwhile, and the value with it.
            Err(failed)
                if !adds
                    && failed.is_not_found()
                    && self.record_set(&zone, &record.name, TXT).await?.items.is_empty() =>
            {
                Ok(())
            }
            Err(failed) => Err(self.refused(&zone, &record.name, TXT, &failed)),
        }
    }

    /// A PatchRRSet that failed.
    fn refused(&self, zone: &Zone, name: &DnsName, kind: &str, failed: &Failed) -> Error {
        let error = self.session.error("PatchRRSet", &object(kind, name, zone), failed);
        if !failed.is_not_found() {
            return error;
        }
        // The zone was just read, so it is there, and an RRSet that is not there can be patched.
        let condition = policy::condition(&zone.name, &[kind], &[name]);
        error.with_hint(format!(
            "the zone is there, so the right to change that record set is missing: {} (`certferry policy {}` prints all \
             that is needed)",
            self.session.statement("use dns-records", &condition),
            self.name
        ))
    }

    fn rr_set<'a>(&'a self, zone: &'a Zone, name: &'a DnsName, kind: &'a str) -> Target<'a> {
        self.scoped(Target::below([VERSION, "zones", zone.name.as_str(), "records", name.as_str(), kind]))
    }

    fn scoped<'a>(&'a self, target: Target<'a>) -> Target<'a> {
        let target = match &self.compartment {
            Some(compartment) => target.with("compartmentId", compartment),
            None => target,
        };
        match &self.view {
            Some(view) => target.with("scope", "PRIVATE").with("viewId", view),
            None => target,
        }
    }

    fn parsed<T: serde::de::DeserializeOwned>(&self, operation: &str, object: &str, body: &[u8]) -> Result<T, Error> {
        serde_json::from_slice(body).map_err(|error| {
            Error::new(ErrorKind::Unexpected, operation, self.session.subject(object))
                .said(format!("the answer is not the JSON that was expected: {error}"))
                .with_hint("is there a proxy or portal in between?")
        })
    }
}

#[async_trait]
impl DnsProvider for OciDns {
    fn name(&self) -> &DnsProviderName {
        &self.name
    }

    async fn zone(&self, record: &DnsName) -> Result<Option<DnsZone>, Error> {
        let zone = self.zone_of(record).await?;
        let servers = zone.nameservers.into_iter().map(|server| server.hostname).collect();
        Ok(zone.name.parse().ok().map(|name| DnsZone { name, servers }))
    }

    async fn present(&self, record: &TxtRecord) -> Result<(), Error> {
        self.patch(record, "ADD").await
    }

    async fn withdraw(&self, record: &TxtRecord) -> Result<(), Error> {
        self.patch(record, "REMOVE").await
    }

    async fn address_records(&self, name: &DnsName) -> Result<AddressRecords, Error> {
        self.read_addresses(name).await
    }

    async fn change_addresses(&self, name: &DnsName, change: &SetChange) -> Result<(), Error> {
        self.write_addresses(name, change).await
    }
}

impl fmt::Debug for OciDns {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "OciDns({})", self.name)
    }
}

#[derive(Deserialize)]
struct Zone {
    name: String,
    #[serde(default)]
    nameservers: Vec<Server>,
}

#[derive(Deserialize)]
struct Server {
    hostname: String,
}

/// A record set, and the tag of what it is.
#[derive(Default)]
struct RecordSet {
    items: Vec<Item>,
    /// None where there is no such set.
    etag: Option<String>,
}

#[derive(Deserialize)]
struct Records {
    #[serde(default)]
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    rdata: String,
    ttl: u32,
}

fn object(kind: &str, name: &DnsName, zone: &Zone) -> String {
    format!("{kind} {name} in zone {}", zone.name)
}

/// A value as it is in the zone, of the text that the service shows: quoted, where it has several strings each by itself.
fn unquoted(rdata: &str) -> String {
    let text = rdata.trim();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\" \"", "").replace("\\\"", "\""),
        None => text.to_owned(),
    }
}

const VERSION: &str = "20180115";

/// The type of dns-01's records.
const TXT: &str = "TXT";

/// Seconds; OCI advises against less.
const TTL: u32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_compared_without_their_quotes() {
        for (rdata, value) in [("\"abc\"", "abc"), ("abc", "abc"), ("\"ab\" \"c\"", "abc"), ("\"\"", "")] {
            assert_eq!(unquoted(rdata), value, "{rdata}");
        }
    }
}
