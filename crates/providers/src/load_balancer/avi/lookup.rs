//! Host names that no object of the tenant holds, looked up: they may still resolve to the address of a virtual service.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use certferry_core::{DnsName, Identifier};
use tokio::time::Instant;

use super::client::Api;
use super::config::{AviConfig, Lookup};
use super::resolve::{Resolved, resolve};
use super::tenant::Tenant;

/// The names that may have to be looked up, and what was found.
pub(super) struct Hosts {
    lookup: Lookup,
    names: Mutex<BTreeSet<String>>,
    found: Mutex<HashMap<String, (Instant, Vec<IpAddr>)>>,
}

impl Hosts {
    /// Those of the config.
    pub(super) fn of(config: &AviConfig) -> Self {
        let listeners = config.listeners.iter().map(|listener| listener.as_str());
        let http01 = config.http01.as_ref().map(|http01| {
            let mapped = http01.names.values().flatten().chain(&http01.otherwise).map(|listener| listener.as_str());
            mapped.map(str::to_owned).chain(http01.names.keys().map(Identifier::to_string))
        });
        let names = listeners.map(str::to_owned).chain(http01.into_iter().flatten()).filter(|name| is_host(name));
        Self { lookup: config.lookup.clone(), names: Mutex::new(names.collect()), found: Mutex::default() }
    }

    /// Adds a name that is not in the config.
    pub(super) fn add(&self, name: &Identifier) {
        if is_host(&name.to_string()) {
            self.names.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_string());
        }
    }

    async fn addresses(&self, host: &str) -> Vec<IpAddr> {
        if let Lookup::Fixed(table) = &self.lookup {
            return table.get(host).cloned().unwrap_or_default();
        }
        let known = self.found.lock().unwrap_or_else(PoisonError::into_inner).get(host).cloned();
        if let Some((_, addresses)) = known.filter(|(at, _)| at.elapsed() < KEPT) {
            return addresses;
        }
        let addresses = match tokio::time::timeout(WITHIN, tokio::net::lookup_host((host, 443))).await {
            Ok(Ok(sockets)) => sockets.map(|socket| socket.ip()).collect(),
            // A name that does not resolve leads nowhere, and is told as such.
            Ok(Err(_)) | Err(_) => Vec::new(),
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.insert(host.to_owned(), (Instant::now(), Vec::clone(&addresses)));
        addresses
    }
}

impl Api {
    /// Looks up the names that lead nowhere otherwise.
    pub(super) async fn look_up_hosts(&self, tenant: &mut Tenant) {
        if tenant.virtual_services.is_empty() || tenant.vs_vips.is_empty() {
            return;
        }
        let names = self.hosts.names.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for host in names.into_iter().filter(|host| is_host(host)) {
            if resolve(tenant, &host) == Resolved::Nothing {
                let addresses = self.hosts.addresses(&host).await;
                tenant.looked_up.insert(host, addresses);
            }
        }
    }
}

fn is_host(name: &str) -> bool {
    name.parse::<DnsName>().is_ok_and(|name| !name.is_wildcard())
}

/// Longer than a resolver takes that works.
const WITHIN: Duration = Duration::from_secs(5);

/// How long an answer is used again: a change is a chain of readings.
const KEPT: Duration = Duration::from_secs(60);
