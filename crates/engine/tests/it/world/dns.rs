//! A zone with two authoritative servers, of which the second may lag behind, and whoever writes into it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use certferry_core::port::{DnsLookup, DnsProvider, DnsZone, NameServer, TxtRecord};
use certferry_core::{DnsName, DnsProviderName, Error};

use super::Switchboard;

#[derive(Default)]
struct State {
    aliases: BTreeMap<DnsName, DnsName>,
    records: BTreeSet<(DnsName, String)>,
    /// The most values that one name ever had.
    most_at_one_name: usize,
    second_lags: bool,
    second_is_down: bool,
}

/// The zone.
pub(crate) struct SimulatedDns {
    name: DnsProviderName,
    switchboard: Arc<Switchboard>,
    state: Mutex<State>,
}

impl SimulatedDns {
    pub(crate) fn new(switchboard: Arc<Switchboard>) -> Self {
        Self { name: "zone".parse().unwrap(), switchboard, state: Mutex::default() }
    }

    /// Makes a name an alias of another.
    pub(crate) fn alias(&self, name: &str, target: &str) {
        self.state.lock().unwrap().aliases.insert(name.parse().unwrap(), target.parse().unwrap());
    }

    /// A value that somebody else wrote.
    pub(crate) fn write_by_hand(&self, name: &str, value: &str) {
        self.state.lock().unwrap().records.insert((name.parse().unwrap(), value.to_owned()));
    }

    /// Whether the second server gets no values from now on.
    pub(crate) fn second_lags(&self, lags: bool) {
        self.state.lock().unwrap().second_lags = lags;
    }

    /// Whether the second server answers nothing from now on.
    pub(crate) fn second_is_down(&self, down: bool) {
        self.state.lock().unwrap().second_is_down = down;
    }

    /// Every record, as `name value`.
    pub(crate) fn records(&self) -> Vec<String> {
        self.state.lock().unwrap().records.iter().map(|(name, value)| format!("{name} {value}")).collect()
    }

    pub(crate) fn most_at_one_name(&self) -> usize {
        self.state.lock().unwrap().most_at_one_name
    }

    /// Whether a CA finds the value, whichever server it asks.
    pub(crate) fn everywhere(&self, name: &DnsName, value: &str) -> bool {
        let state = self.state.lock().unwrap();
        let mut name = name.clone();
        while let Some(target) = state.aliases.get(&name) {
            name = target.clone();
        }
        !state.second_lags && !state.second_is_down && state.records.contains(&(name, value.to_owned()))
    }
}

#[async_trait]
impl DnsProvider for SimulatedDns {
    fn name(&self) -> &DnsProviderName {
        &self.name
    }

    async fn zone(&self, _record: &DnsName) -> Result<Option<DnsZone>, Error> {
        Ok(None)
    }

    async fn present(&self, record: &TxtRecord) -> Result<(), Error> {
        let effect = || {
            let mut state = self.state.lock().unwrap();
            state.records.insert((record.name.clone(), record.value.clone()));
            let here = state.records.iter().filter(|(name, _)| *name == record.name).count();
            state.most_at_one_name = state.most_at_one_name.max(here);
            Ok(())
        };
        self.switchboard.call("dns present", effect).await
    }

    async fn withdraw(&self, record: &TxtRecord) -> Result<(), Error> {
        let effect = || {
            self.state.lock().unwrap().records.remove(&(record.name.clone(), record.value.clone()));
            Ok(())
        };
        self.switchboard.call("dns withdraw", effect).await
    }
}

#[async_trait]
impl DnsLookup for SimulatedDns {
    async fn alias(&self, name: &DnsName) -> Result<Option<DnsName>, Error> {
        self.switchboard.call("dns alias", || Ok(self.state.lock().unwrap().aliases.get(name).cloned())).await
    }

    async fn servers(&self, _name: &DnsName) -> Result<Vec<NameServer>, Error> {
        let server = |number: u16| NameServer {
            name: format!("ns{number}.some-domain.com"),
            addresses: vec![SocketAddr::from(([192, 0, 2, 1], number))],
        };
        self.switchboard.call("dns servers", || Ok(vec![server(1), server(2)])).await
    }

    async fn txt(&self, server: SocketAddr, name: &DnsName) -> Result<Vec<String>, String> {
        let state = self.state.lock().unwrap();
        match server.port() {
            2 if state.second_is_down => return Err("no answer within 5 s".to_owned()),
            2 if state.second_lags => return Ok(Vec::new()),
            _ => {}
        }
        Ok(state.records.iter().filter(|(of, _)| of == name).map(|(_, value)| value.clone()).collect())
    }
}
