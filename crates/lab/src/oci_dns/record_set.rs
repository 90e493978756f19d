//! One record set, and what PatchRRSet and UpdateRRSet do to it.

use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::{Value, json};

use super::rdata;
use crate::oci_load_balancer::error::ApiError;

/// The name (lower case, without a dot at its end) and type of a record set.
pub(super) type Place = (String, String);

/// The records of one name and type: they share a time to live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordSet {
    pub(super) ttl: u32,
    /// As the service writes them: TXT with quotes, names with a dot at their end.
    pub(super) values: Vec<String>,
    /// The version of the zone in which the set became what it is.
    pub(super) version: u64,
}

/// The body of PatchRRSet and UpdateRRSet.
#[derive(Deserialize)]
pub(super) struct Items {
    pub(super) items: Vec<Item>,
}

/// A description of records, and what is to happen with those that it fits: a field that is left out fits all.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    domain: Option<String>,
    rtype: Option<String>,
    rdata: Option<String>,
    ttl: Option<u32>,
    record_hash: Option<String>,
    rrset_version: Option<String>,
    operation: Option<String>,
}

impl RecordSet {
    /// These values; those that the type does not allow are left out.
    pub(super) fn written(kind: &str, ttl: u32, values: &[&str]) -> Self {
        let values = values.iter().filter_map(|value| rdata::normal(kind, value).ok()).collect();
        Self { ttl, values, version: 0 }
    }

    /// All operations, or none (`REQUIRE` and `PROHIBIT` are conditions of all).
    pub(super) fn patch(&mut self, place: &Place, items: &[Item]) -> Result<(), ApiError> {
        let mut changed = self.clone();
        for item in items {
            let rdata = item.checked(place)?;
            match item.operation.as_deref().unwrap_or("ADD") {
                "ADD" => changed.add(item, rdata)?,
                "REMOVE" => {
                    let all = changed.clone();
                    changed.values.retain(|value| !item.fits(place, &all, value, rdata.as_deref()));
                }
                // What was there before the patch decides.
                "REQUIRE" if self.has(place, item, rdata.as_deref()) => {}
                "PROHIBIT" if !self.has(place, item, rdata.as_deref()) => {}
                "REQUIRE" | "PROHIBIT" => return Err(ApiError::conflict("a condition of the patch does not hold")),
                other => return Err(ApiError::invalid_parameter(format!("there is no operation {other}"))),
            }
        }
        *self = changed;
        Ok(())
    }

    /// As UpdateRRSet: these and nothing else.
    pub(super) fn replaced(place: &Place, items: &[Item]) -> Result<Self, ApiError> {
        let mut set = Self::default();
        for item in items {
            let rdata = item.checked(place)?.ok_or_else(|| ApiError::missing_parameter("rdata"))?;
            set.add(item, Some(rdata))?;
        }
        Ok(set)
    }

    /// What `If-Match` is compared with.
    pub(super) fn etag(&self, (domain, kind): &Place) -> String {
        format!("{}{domain}/{kind}#application/json", self.version)
    }

    /// As the API shows it.
    pub(super) fn json(&self, place: &Place) -> Value {
        let (domain, kind) = place;
        let item = |rdata: &String| {
            json!({
                "domain": domain, "rtype": kind, "rdata": rdata, "ttl": self.ttl, "isProtected": false,
                "recordHash": hash(place, rdata), "rrsetVersion": self.version.to_string(),
            })
        };
        json!({ "items": self.values.iter().map(item).collect::<Vec<_>>() })
    }

    fn add(&mut self, item: &Item, rdata: Option<String>) -> Result<(), ApiError> {
        self.ttl = item.checked_ttl()?;
        match rdata {
            Some(rdata) if !self.values.contains(&rdata) => self.values.push(rdata),
            // Without a value, the set gets another time to live.
            _ => {}
        }
        Ok(())
    }

    fn has(&self, place: &Place, item: &Item, rdata: Option<&str>) -> bool {
        self.values.iter().any(|value| item.fits(place, self, value, rdata))
    }
}

impl Item {
    /// Its value in the service's form.
    fn checked(&self, (domain, kind): &Place) -> Result<Option<String>, ApiError> {
        let same = |given: &Option<String>, wanted: &str| {
            given.as_ref().is_none_or(|given| given.trim_end_matches('.').eq_ignore_ascii_case(wanted))
        };
        if !same(&self.domain, domain) || !same(&self.rtype, kind) {
            return Err(ApiError::invalid_parameter("domain and rtype of an item differ from those of the path"));
        }
        let rdata = self.rdata.as_deref().map(|rdata| rdata::normal(kind, rdata)).transpose();
        rdata.map_err(ApiError::invalid_parameter)
    }

    fn fits(&self, place: &Place, set: &RecordSet, value: &str, rdata: Option<&str>) -> bool {
        rdata.is_none_or(|rdata| rdata == value)
            && self.ttl.is_none_or(|ttl| ttl == set.ttl)
            && self.record_hash.as_ref().is_none_or(|wanted| *wanted == hash(place, value))
            && self.rrset_version.as_ref().is_none_or(|wanted| *wanted == set.version.to_string())
    }

    fn checked_ttl(&self) -> Result<u32, ApiError> {
        match self.ttl {
            Some(ttl) if (1..=604_800).contains(&ttl) => Ok(ttl),
            Some(_) => Err(ApiError::invalid_parameter("ttl is between 1 and 604800")),
            None => Err(ApiError::missing_parameter("ttl")),
        }
    }
}

fn hash((domain, kind): &Place, rdata: &str) -> String {
    Md5::digest(format!("{domain} {kind} {rdata}")).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(items: Value) -> Vec<Item> {
        serde_json::from_value(items).unwrap()
    }

    #[test]
    fn conditions_hold_for_what_was_there_before_and_fit_by_the_fields_that_are_given() {
        let place = ("www.a.test".to_owned(), "A".to_owned());
        let set = RecordSet { ttl: 60, values: vec!["192.0.2.1".to_owned()], version: 7 };
        let hash = hash(&place, "192.0.2.1");
        for (conditions, holds) in [
            (json!([{"operation": "REQUIRE"}]), true),
            (json!([{"operation": "PROHIBIT"}]), false),
            (json!([{"operation": "REQUIRE", "rdata": "192.0.2.1", "ttl": 60, "rrsetVersion": "7"}]), true),
            (json!([{"operation": "REQUIRE", "rdata": "192.0.2.1", "ttl": 61}]), false),
            (json!([{"operation": "REQUIRE", "recordHash": hash}]), true),
            (json!([{"operation": "REQUIRE", "rrsetVersion": "8"}]), false),
            (json!([{"operation": "PROHIBIT", "rdata": "192.0.2.2"}]), true),
            (
                json!([{"operation": "ADD", "rdata": "192.0.2.2", "ttl": 60}, {"operation": "PROHIBIT", "rdata": "192.0.2.2"}]),
                true,
            ),
        ] {
            let mut patched = set.clone();
            assert_eq!(patched.patch(&place, &items(conditions.clone())).is_ok(), holds, "{conditions}");
            assert!(holds || patched == set, "all or nothing");
        }
    }

    #[test]
    fn an_operation_may_mean_several_records() {
        let place = ("www.a.test".to_owned(), "A".to_owned());
        let values = vec!["192.0.2.1".to_owned(), "192.0.2.2".to_owned()];
        let mut set = RecordSet { ttl: 60, values: values.clone(), version: 1 };
        set.patch(&place, &items(json!([{"operation": "ADD", "ttl": 90}]))).unwrap();
        assert_eq!((set.ttl, &set.values), (90, &values));
        set.patch(&place, &items(json!([{"operation": "REMOVE"}]))).unwrap();
        assert!(set.values.is_empty());
    }
}
