//! What is served and what is there, before and after: read from outside, by handshakes and from the load balancer.

use std::collections::BTreeMap;

use certferry_core::port::Probe;
use certferry_core::{DnsName, Error, ErrorKind};
use certferry_providers::probe::NetworkProbe;
use serde::Serialize;
use serde_json::Value;

use crate::commands::demo::stage::{LISTENERS, Stage};
use crate::output::table;

/// One look.
pub(super) struct Outcome {
    listeners: BTreeMap<String, Listener>,
    bundles: Vec<String>,
}

struct Listener {
    serial: String,
    ends: String,
    issuer: String,
    chain_length: usize,
    bundle: String,
    other_fields: Value,
}

impl Outcome {
    /// Looks at every listener by handshake, and at the load balancer's own description.
    pub(super) async fn look(stage: &Stage) -> Result<Self, Error> {
        let load_balancer = stage.load_balancer()?;
        let probe = NetworkProbe::new();
        let mut listeners = BTreeMap::new();
        for (name, port) in LISTENERS {
            let address = stage.address(port)?;
            let server_name: DnsName = stage.server_name();
            let served = probe.tls(address, &server_name, None).await.map_err(|error| {
                Error::new(ErrorKind::Verification, "demo", format!("listener `{name}` at {address}")).said(error)
            })?;
            let mut fields = load_balancer["listeners"][name].clone();
            let bundle = fields["sslConfiguration"]["certificateName"].take();
            listeners.insert(
                name.to_owned(),
                Listener {
                    serial: served.leaf.serial.to_string(),
                    ends: served.leaf.not_after.strftime("%Y-%m-%d").to_string(),
                    issuer: served.leaf.issuer.clone(),
                    chain_length: served.digests.len(),
                    bundle: bundle.as_str().unwrap_or_default().to_owned(),
                    other_fields: fields,
                },
            );
        }
        let bundles = load_balancer["certificates"].as_object().map(|map| map.keys().cloned().collect());
        Ok(Self { listeners, bundles: bundles.unwrap_or_default() })
    }

    /// The listeners for people.
    pub(super) fn listeners_text(&self) -> String {
        let rows = self.listeners.iter().map(|(name, one)| {
            let chain = one.chain_length.to_string();
            [name.clone(), one.bundle.clone(), one.serial.clone(), one.ends.clone(), one.issuer.clone(), chain]
        });
        table(["listener", "bundle", "serial served", "ends", "issuer", "chain of"], rows)
    }

    /// The table at the end.
    pub(super) fn compared_text(&self, before: &Self, first: &Self) -> String {
        let document = self.compared_document(before, first);
        let rows = document.listeners.iter().map(|row| {
            let fields = if row.other_fields_unchanged { "unchanged" } else { "CHANGED" };
            let chain = format!("of {}", row.chain_length);
            [row.listener.to_owned(), row.before.to_owned(), row.after.to_owned(), chain, fields.to_owned()]
        });
        let served = table(["listener", "serial before", "serial after", "chain", "other fields"], rows);
        let mut names: Vec<&str> = self.bundles.iter().map(String::as_str).collect();
        names.extend(document.bundles_gone.iter().copied());
        let rows = names.into_iter().map(|name| [name.to_owned(), self.fate(name, before).to_owned()]);
        format!("{served}\n\n{}", table(["bundle", "fate"], rows))
    }

    /// The same for programs.
    pub(super) fn compared_document<'a>(&'a self, before: &'a Self, first: &'a Self) -> Document<'a> {
        let rows = self.listeners.iter().filter_map(|(name, after)| {
            let before = before.listeners.get(name)?;
            Some(Row {
                listener: name,
                before: &before.serial,
                after: &after.serial,
                chain_length: after.chain_length,
                other_fields_unchanged: before.other_fields == after.other_fields,
            })
        });
        let gone = first.bundles.iter().filter(|name| !self.bundles.contains(name));
        Document {
            listeners: rows.collect(),
            bundles: self.bundles.iter().map(String::as_str).collect(),
            bundles_gone: gone.map(String::as_str).collect(),
        }
    }

    /// Whether the story ended as the README says: every listener serves something new, nothing else changed, the first
    /// bundle of certferry's own is gone, and what others made is still there.
    pub(super) fn is_as_promised(&self, before: &Self, first: &Self) -> bool {
        let document = self.compared_document(before, first);
        document.listeners.len() == LISTENERS.len()
            && document.listeners.iter().all(|row| row.before != row.after && row.other_fields_unchanged)
            && document.bundles_gone.len() == 1
            && before.bundles.iter().all(|name| self.bundles.contains(name))
    }

    fn fate(&self, bundle: &str, before: &Self) -> &'static str {
        if !self.bundles.iter().any(|name| name == bundle) {
            "removed: superseded twice, and nothing referred to it"
        } else if self.listeners.values().any(|listener| listener.bundle == bundle) {
            "served"
        } else if before.bundles.iter().any(|name| name == bundle) {
            "left alone: certferry did not make it"
        } else {
            "kept for rollback until the next renewal"
        }
    }
}

/// `demo --output json`.
#[derive(Serialize)]
pub(super) struct Document<'a> {
    listeners: Vec<Row<'a>>,
    bundles: Vec<&'a str>,
    bundles_gone: Vec<&'a str>,
}

#[derive(Serialize)]
struct Row<'a> {
    listener: &'a str,
    #[serde(rename = "serial_before")]
    before: &'a str,
    #[serde(rename = "serial_after")]
    after: &'a str,
    chain_length: usize,
    other_fields_unchanged: bool,
}
