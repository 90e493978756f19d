//! OCI DNS (<https://docs.oracle.com/iaas/api/#/en/dns/20180115/>): values are added to and removed from a record set by
//! PatchRRSet, which leaves the others alone and can be confined by policy to TXT at one name.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use certferry_core::port::{DnsProvider, DnsZone, TxtRecord};
use certferry_core::{Clock, DnsName, DnsProviderName, Error, ErrorKind};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::http::BaseUrl;
use crate::load_balancer::oci::{Access, Auth, Call, Caller, CustomRegions, Limits, Principals, Session, Target};

/// OCI DNS.
#[derive(Clone, Debug)]
pub struct OciDnsConfig {
    /// How to sign.
    pub auth: Auth,
    /// The service's address without the version path, where not the region's own.
    pub endpoint: Option<BaseUrl>,
    /// Regions that no table holds.
    pub custom_regions: CustomRegions,
    /// The compartment in which zones are looked for; needed only where several have a zone of the same name.
    pub compartment: Option<String>,
    /// The view whose private zones are meant.
    pub view: Option<String>,
    /// Time limits.
    pub limits: Limits,
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
        let access = Access {
            auth: &config.auth,
            endpoint: config.endpoint.as_ref(),
            custom_regions: &config.custom_regions,
            limits: config.limits,
            principals,
            clock,
        };
        let session = Session::open(Caller::Dns(name.clone()), &access)?;
        Ok(Self { name, session, compartment: config.compartment.clone(), view: config.view.clone() })
    }

    /// The zone with the longest name that the record's name ends in.
    async fn zone_of(&self, record: &DnsName) -> Result<Zone, Error> {
        let mut at = Some(record.clone());
        while let Some(name) = at {
            let call = Call::get("GetZone", self.scoped(Target::below([VERSION, "zones", name.as_str()])));
            match self.session.send(&call).await {
                Ok(answer) => return self.parsed("GetZone", &format!("zone {name}"), &answer.body),
                Err(failed) if failed.is_not_found() => at = name.parent(),
                Err(failed) => return Err(self.session.error("GetZone", &format!("zone {name}"), &failed)),
            }
        }
        Err(Error::new(ErrorKind::NotFound, "GetZone", self.session.subject(&format!("zone of {record}")))
            .said("neither it nor any name above is a zone there, or none may be read")
            .with_hint(
                "`read dns-zones` in the zone's compartment is needed (docs/dns.md). If `_acme-challenge` is to live in \
                 another zone, make it a CNAME",
            ))
    }

    /// The TXT records of one name.
    async fn records(&self, zone: &Zone, name: &DnsName) -> Result<Vec<Item>, Error> {
        let object = format!("TXT {name} in zone {}", zone.name);
        match self.session.send(&Call::get("GetRRSet", self.rr_set(zone, name))).await {
            Ok(answer) => self.parsed::<Records>("GetRRSet", &object, &answer.body).map(|records| records.items),
            Err(failed) if failed.is_not_found() => Ok(Vec::new()),
            Err(failed) => Err(self.session.error("GetRRSet", &object, &failed)),
        }
    }

    async fn patch(&self, record: &TxtRecord, operation: &str) -> Result<(), Error> {
        let zone = self.zone_of(&record.name).await?;
        let present = self.records(&zone, &record.name).await?;
        let same = present.iter().find(|item| unquoted(&item.rdata) == record.value);
        let adds = operation == "ADD";
        if same.is_some() == adds {
            return Ok(());
        }
        // One time to live holds for the whole set: that of the values that are there is kept.
        let ttl = present.first().map_or(TTL, |item| item.ttl);
        let rdata = same.map_or_else(|| format!("\"{}\"", record.value), |item| item.rdata.clone());
        let item = json!({
            "domain": record.name.as_str(), "rtype": "TXT", "rdata": rdata, "ttl": ttl, "operation": operation,
        });
        let call = Call {
            operation: "PatchRRSet",
            method: Method::PATCH,
            target: self.rr_set(&zone, &record.name),
            body: Some(Bytes::from(json!({ "items": [item] }).to_string())),
            if_match: None,
            retry_token: None,
        };
        let object = format!("TXT {} in zone {}", record.name, zone.name);
        match self.session.send(&call).await {
            Ok(_) => Ok(()),
            // The set went away meanwhile, and the value with it.
            Err(failed) if !adds && failed.is_not_found() && self.records(&zone, &record.name).await?.is_empty() => {
                Ok(())
            }
            Err(failed) => Err(self.session.error("PatchRRSet", &object, &failed)),
        }
    }

    fn rr_set<'a>(&'a self, zone: &'a Zone, name: &'a DnsName) -> Target<'a> {
        self.scoped(Target::below([VERSION, "zones", zone.name.as_str(), "records", name.as_str(), "TXT"]))
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

/// A value as it is in the zone, of the text that the service shows: quoted, where it has several strings each by itself.
fn unquoted(rdata: &str) -> String {
    let text = rdata.trim();
    match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(inner) => inner.replace("\" \"", "").replace("\\\"", "\""),
        None => text.to_owned(),
    }
}

const VERSION: &str = "20180115";

/// Seconds; OCI's least is 30.
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
