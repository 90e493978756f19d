//! One record set, and what PatchRRSet does to it.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::oci_load_balancer::error::ApiError;

/// The records of one name and type: they share a time to live.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordSet {
    pub(super) ttl: u32,
    /// TXT values with their quotes.
    pub(super) values: Vec<String>,
}

/// The body of PatchRRSet and UpdateRRSet.
#[derive(Deserialize)]
pub(super) struct Items {
    pub(super) items: Vec<Item>,
}

/// One record, and what is to happen with it.
#[derive(Deserialize)]
pub(super) struct Item {
    domain: Option<String>,
    rtype: Option<String>,
    rdata: Option<String>,
    ttl: Option<u32>,
    operation: Option<String>,
}

impl RecordSet {
    /// All operations, or none (`REQUIRE` and `PROHIBIT` are conditions).
    pub(super) fn patch(&mut self, place: &(String, String), items: &[Item]) -> Result<(), ApiError> {
        let mut changed = self.clone();
        for item in items {
            item.check(place)?;
            let rdata = item.rdata.as_deref().map(|rdata| quoted(rdata, &place.1));
            let there = rdata.as_ref().is_some_and(|rdata| changed.values.contains(rdata));
            match (item.operation.as_deref().unwrap_or("ADD"), rdata) {
                ("ADD", Some(rdata)) => {
                    changed.ttl = item.checked_ttl()?;
                    if !there {
                        changed.values.push(rdata);
                    }
                }
                ("REMOVE", rdata) => changed.values.retain(|value| rdata.as_ref().is_some_and(|rdata| rdata != value)),
                ("REQUIRE", _) if there => {}
                ("PROHIBIT", _) if !there => {}
                ("REQUIRE" | "PROHIBIT", _) => {
                    return Err(ApiError::conflict("a condition of the patch does not hold"));
                }
                _ => return Err(ApiError::invalid_parameter("an item lacks rdata or has an unknown operation")),
            }
        }
        *self = changed;
        Ok(())
    }

    /// As UpdateRRSet: these and nothing else.
    pub(super) fn replaced(place: &(String, String), items: &[Item]) -> Result<Self, ApiError> {
        let mut set = Self::default();
        for item in items {
            item.check(place)?;
            set.ttl = item.checked_ttl()?;
            let rdata = item.rdata.as_deref().ok_or_else(|| ApiError::missing_parameter("rdata"))?;
            set.values.push(quoted(rdata, &place.1));
        }
        Ok(set)
    }

    /// As the API shows it.
    pub(super) fn json(&self, (domain, kind): &(String, String), version: u64) -> Value {
        let item = |(number, rdata): (usize, &String)| {
            json!({
                "domain": domain, "rtype": kind, "rdata": rdata, "ttl": self.ttl, "isProtected": false,
                "recordHash": format!("{version:08x}{number:08x}"), "rrsetVersion": version.to_string(),
            })
        };
        json!({ "items": self.values.iter().enumerate().map(item).collect::<Vec<_>>() })
    }
}

impl Item {
    fn check(&self, (domain, kind): &(String, String)) -> Result<(), ApiError> {
        let same = |given: &Option<String>, wanted: &str| {
            given.as_ref().is_none_or(|given| given.trim_end_matches('.').eq_ignore_ascii_case(wanted))
        };
        match same(&self.domain, domain) && same(&self.rtype, kind) {
            true => Ok(()),
            false => Err(ApiError::invalid_parameter("domain and rtype of an item differ from those of the path")),
        }
    }

    fn checked_ttl(&self) -> Result<u32, ApiError> {
        match self.ttl {
            Some(ttl) if (30..=604_800).contains(&ttl) => Ok(ttl),
            Some(_) => Err(ApiError::invalid_parameter("ttl is between 30 and 604800")),
            None => Err(ApiError::missing_parameter("ttl")),
        }
    }
}

/// TXT values are shown with quotes, whether they were written with them or not.
fn quoted(rdata: &str, kind: &str) -> String {
    if kind == "TXT" && !rdata.starts_with('"') { format!("\"{rdata}\"") } else { rdata.to_owned() }
}
