//! Address records: read type by type, and changed set by set, each change on the condition that the set is what it was
//! when the change was decided on. With the operations on record sets, a policy can be confined to these types and names.

use std::collections::BTreeSet;

use certferry_core::pointing::{AddressData, AddressKind, AddressRecord, AddressRecords, SeenFrom, SetChange};
use certferry_core::{DnsName, Error, ErrorKind};
use serde_json::{Value, json};

use super::{Item, OciDns, RecordSet, Records, Zone, object};

impl OciDns {
    pub(super) async fn read_addresses(&self, name: &DnsName) -> Result<AddressRecords, Error> {
        let zone = self.zone_of(name).await?;
        let mut records = Vec::new();
        for kind in AddressKind::ALL {
            let set = self.record_set(&zone, name, kind.as_str()).await?;
            records.extend(self.understood(kind, &set, name, &zone)?);
        }
        let apex = zone.name.parse().map_err(|error: certferry_core::NameError| {
            Error::new(ErrorKind::Unexpected, "GetZone", self.session.subject(&format!("zone of {name}")))
                .said(error.to_string())
        })?;
        // A zone of a view is a private one.
        let seen_from = if self.view.is_some() { SeenFrom::Inside } else { SeenFrom::Everywhere };
        Ok(AddressRecords { zone: apex, seen_from, records })
    }

    pub(super) async fn write_addresses(&self, name: &DnsName, change: &SetChange) -> Result<(), Error> {
        let zone = self.zone_of(name).await?;
        let kind = change.kind.as_str();
        let was = change.found.iter().map(|record| record.data.clone()).collect();
        let wanted: BTreeSet<AddressData> = change.wanted.iter().copied().map(AddressData::Address).collect();
        for _ in 0..TRIES {
            let set = self.record_set(&zone, name, kind).await?;
            let now = data(&self.understood(change.kind, &set, name, &zone)?);
            if now == wanted {
                return Ok(());
            }
            if now != was {
                return Err(self.changed(&zone, name, change.kind, &now));
            }
            let answer = match self.patch_set(&zone, name, kind, &items(name, change, &set), set.etag.as_deref()).await
            {
                Ok(answer) => answer,
                // The tag may be that of more than this set: whether it is still the same is seen by reading it again. The
                // same after an answer that was lost.
                Err(failed) if failed.is_conflict() => continue,
                Err(failed) => return Err(self.refused(&zone, name, kind, &failed)),
            };
            let items = self.parsed::<Records>("PatchRRSet", &object(kind, name, &zone), &answer.body)?.items;
            let now = data(&self.understood(change.kind, &RecordSet { items, etag: None }, name, &zone)?);
            return if now == wanted { Ok(()) } else { Err(self.changed(&zone, name, change.kind, &now)) };
        }
        Err(Error::new(ErrorKind::Conflict, "PatchRRSet", self.session.subject(&object(kind, name, &zone)))
            .said(format!("it was changed by somebody else each of {TRIES} times"))
            .with_hint("who else changes this zone? Try again when that has ended"))
    }

    fn changed(&self, zone: &Zone, name: &DnsName, kind: AddressKind, now: &BTreeSet<AddressData>) -> Error {
        let now: Vec<String> = now.iter().map(ToString::to_string).collect();
        let now = if now.is_empty() { "nothing".to_owned() } else { now.join(", ") };
        let object = object(kind.as_str(), name, zone);
        Error::new(ErrorKind::Conflict, "PatchRRSet", self.session.subject(&object))
            .said(format!("somebody else changed it meanwhile: it has {now} now"))
            .with_hint("run the command again: it decides by what is there then")
    }

    fn understood(
        &self,
        kind: AddressKind,
        set: &RecordSet,
        name: &DnsName,
        zone: &Zone,
    ) -> Result<Vec<AddressRecord>, Error> {
        let record = |item: &Item| {
            let data = understood(kind, &item.rdata).ok_or_else(|| {
                let object = object(kind.as_str(), name, zone);
                Error::new(ErrorKind::Unexpected, "GetRRSet", self.session.subject(&object))
                    .said(format!("`{}` is no value of such a record", item.rdata.replace(char::is_control, " ")))
            })?;
            Ok(AddressRecord { data, ttl: item.ttl })
        };
        set.items.iter().map(record).collect()
    }
}

fn understood(kind: AddressKind, rdata: &str) -> Option<AddressData> {
    let data = match kind {
        AddressKind::A | AddressKind::Aaaa => AddressData::Address(rdata.parse().ok()?),
        AddressKind::Alias => AddressData::Alias(rdata.to_owned()),
        AddressKind::Cname => AddressData::Cname(rdata.to_owned()),
    };
    (data.kind() == kind).then_some(data)
}

fn data(records: &[AddressRecord]) -> BTreeSet<AddressData> {
    records.iter().map(|record| record.data.clone()).collect()
}

/// What was there is required, or that nothing was; what goes is named record by record, so that nothing else can go with it.
fn items(name: &DnsName, change: &SetChange, set: &RecordSet) -> Vec<Value> {
    let (domain, rtype) = (name.as_str(), change.kind.as_str());
    let of = |rdata: &str, operation: &str| json!({ "domain": domain, "rtype": rtype, "rdata": rdata, "operation": operation });
    let mut items: Vec<Value> = set.items.iter().map(|item| of(&item.rdata, "REQUIRE")).collect();
    if items.is_empty() {
        items.push(json!({ "domain": domain, "rtype": rtype, "operation": "PROHIBIT" }));
    }
    let goes = |item: &&Item| {
        let data = understood(change.kind, &item.rdata);
        change.removed().any(|removed| Some(&removed.data) == data.as_ref())
    };
    items.extend(set.items.iter().filter(goes).map(|item| of(&item.rdata, "REMOVE")));
    items.extend(change.added().map(|address| {
        let mut item = of(&address.to_string(), "ADD");
        item["ttl"] = change.ttl.into();
        item
    }));
    items
}

/// How often a change is sent that fails because something was changed by somebody else.
const TRIES: usize = 5;
