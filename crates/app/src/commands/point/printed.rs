//! What is said of names that are to be pointed: a table, and the same as JSON.

use certferry_core::DnsProviderName;
use certferry_core::pointing::{AddressRecord, SetChange};
use serde::Serialize;

use super::{Fate, Row};
use crate::failure::Failure;
use crate::output::table;

/// For people.
pub(super) fn text(provider: &DnsProviderName, rows: &[Row<'_>]) -> String {
    if rows.is_empty() {
        return "nothing to do: no certificate is deployed there".to_owned();
    }
    let cells = |row: &Row<'_>| {
        let to = row.target.load_balancer().map_or_else(|| "-".to_owned(), ToString::to_string);
        [row.target.name.to_string(), to, now(row), row.fate.word().to_owned(), row.fate.detail()]
    };
    let to_do = rows.iter().filter(|row| row.is_to_do()).count();
    let done = rows.iter().filter(|row| matches!(row.fate, Fate::Done(_))).count();
    let last = match (to_do, done) {
        (0, 0) => "nothing to do".to_owned(),
        (0, done) => format!("{done} pointed at DNS provider {provider}"),
        (to_do, _) => format!("{to_do} to point at DNS provider {provider}"),
    };
    format!("{}\n\n{last}", table(["name", "load balancer", "now", "", "what"], rows.iter().map(cells)))
}

/// What is wrong with a name, for the terminal.
pub(super) fn complaint(row: &Row<'_>) -> Option<String> {
    match &row.fate {
        Fate::Failed(error) => Some(Failure::from(error.clone()).render()),
        Fate::Refused(said, fix) => Some(format!("error: name `{}`: {said}\n  hint: {fix}\n", row.target.name)),
        Fate::Already(_) | Fate::Done(_) | Fate::ToDo(_) => None,
    }
}

fn now(row: &Row<'_>) -> String {
    match &row.found {
        None => "-".to_owned(),
        Some(found) if found.records.is_empty() => "nothing".to_owned(),
        Some(found) => {
            let record = |record: &AddressRecord| format!("{} (TTL {})", record.data, record.ttl);
            found.records.iter().map(record).collect::<Vec<_>>().join(", ")
        }
    }
}

impl Fate {
    /// For programs.
    fn action(&self) -> &'static str {
        match self {
            Self::Already(_) => "already",
            Self::Done(_) => "pointed",
            Self::Failed(_) => "failed",
            Self::Refused(..) => "refused",
            Self::ToDo(_) => "point",
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Already(_) => "leads there already",
            Self::Done(_) => "pointed",
            Self::Failed(_) => "failed",
            Self::Refused(..) => "left alone",
            Self::ToDo(_) => "to be pointed",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Already(how) => how.clone(),
            Self::Done(changes) | Self::ToDo(changes) => {
                changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            }
            // Told in full below the table.
            Self::Failed(_) | Self::Refused(..) => String::new(),
        }
    }

    fn changes(&self) -> &[SetChange] {
        match self {
            Self::Done(changes) | Self::ToDo(changes) => changes,
            Self::Already(_) | Self::Failed(_) | Self::Refused(..) => &[],
        }
    }

    /// Why, in one line; nothing where the changes say it.
    fn why(&self) -> Option<String> {
        match self {
            Self::Already(how) => Some(how.clone()),
            Self::Done(_) | Self::ToDo(_) => None,
            Self::Failed(error) => Some(match error.hint() {
                Some(hint) => format!("{error}; hint: {hint}"),
                None => error.to_string(),
            }),
            Self::Refused(said, fix) => Some(format!("{said}; hint: {fix}")),
        }
    }
}

/// `dns point --output json`.
#[derive(Serialize)]
pub(super) struct PointDocument<'a> {
    provider: &'a str,
    /// How many names were pointed.
    done: usize,
    names: Vec<NameRow<'a>>,
}

#[derive(Serialize)]
struct NameRow<'a> {
    name: &'a str,
    certificate: &'a str,
    load_balancer: Option<&'a str>,
    zone: Option<&'a str>,
    /// The A, AAAA, CNAME and ALIAS records that the zone had; null where it was not read.
    found: Option<Vec<RecordRow>>,
    /// `already`, `point`, `pointed`, `refused` or `failed`.
    action: &'static str,
    changes: Vec<ChangeRow>,
    why: Option<String>,
}

#[derive(Serialize)]
struct RecordRow {
    #[serde(rename = "type")]
    kind: &'static str,
    value: String,
    ttl: u32,
}

#[derive(Serialize)]
struct ChangeRow {
    #[serde(rename = "type")]
    kind: &'static str,
    remove: Vec<String>,
    add: Vec<String>,
    ttl: u32,
}

impl<'a> PointDocument<'a> {
    pub(super) fn new(provider: &'a DnsProviderName, rows: &'a [Row<'_>]) -> Self {
        let name = |row: &'a Row<'_>| NameRow {
            name: row.target.name.as_str(),
            certificate: row.target.certificate.as_str(),
            load_balancer: row.target.load_balancer().map(|name| name.as_str()),
            zone: row.found.as_ref().map(|found| found.zone.as_str()),
            found: row.found.as_ref().map(|found| found.records.iter().map(RecordRow::from).collect()),
            action: row.fate.action(),
            changes: row.fate.changes().iter().map(ChangeRow::from).collect(),
            why: row.fate.why(),
        };
        let done = rows.iter().filter(|row| matches!(row.fate, Fate::Done(_))).count();
        Self { provider: provider.as_str(), done, names: rows.iter().map(name).collect() }
    }
}

impl From<&AddressRecord> for RecordRow {
    fn from(record: &AddressRecord) -> Self {
        Self { kind: record.data.kind().as_str(), value: record.data.value(), ttl: record.ttl }
    }
}

impl From<&SetChange> for ChangeRow {
    fn from(change: &SetChange) -> Self {
        Self {
            kind: change.kind.as_str(),
            remove: change.removed().map(|record| record.data.value()).collect(),
            add: change.added().map(ToString::to_string).collect(),
            ttl: change.ttl,
        }
    }
}
