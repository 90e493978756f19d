//! dns-01 responses (RFC 8555 §8.4): put into the zone, looked for at every authoritative server, taken out again.

use std::net::SocketAddr;

use certferry_core::desired::DnsSpec;
use certferry_core::port::{DnsPlace, DnsProvider, NameServer, TxtRecord};
use certferry_core::{DnsName, DnsProviderName, Error, ErrorKind};
use futures_util::future::join_all;

use crate::Engine;
use crate::challenge::Validation;
use crate::poll::Wait;

impl Engine {
    /// Where the response for `name` goes: the provider, and the record's name with its aliases followed. CAs follow them
    /// too, so that a zone can leave its challenges to another one.
    pub(crate) async fn dns01_place(&self, provider: &DnsProviderName, name: &DnsName) -> Result<DnsPlace, Error> {
        let first = name.dns01_record().map_err(|error| {
            Error::new(ErrorKind::Invalid, "dns-01", format!("name {name}")).said(error.to_string())
        })?;
        let mut chain = vec![first.clone()];
        let mut record = first;
        while let Some(target) = self.parts.dns_lookup.alias(&record).await? {
            let again = chain.contains(&target);
            chain.push(target.clone());
            if again || chain.len() > MOST_ALIASES {
                let names: Vec<&str> = chain.iter().map(DnsName::as_str).collect();
                return Err(Error::new(ErrorKind::Invalid, "dns-01", format!("record {}", chain[0]))
                    .said(format!("its aliases lead nowhere: {}", names.join(" → ")))
                    .with_hint("let the CNAME point to the record that is to hold the TXT values"));
            }
            record = target;
        }
        Ok(DnsPlace { provider: provider.clone(), record })
    }

    /// Adds the value, and waits until every authoritative server of the zone gives it.
    pub(crate) async fn put_in_dns(
        &self,
        validation: &Validation<'_>,
        place: &DnsPlace,
        value: &str,
    ) -> Result<(), Error> {
        let provider = self.dns_provider(&place.provider)?;
        let record = TxtRecord { name: place.record.clone(), value: value.to_owned() };
        self.change_dns(&place.provider, provider.present(&record)).await?;
        let spec = self.desired.dns.get(&place.provider).cloned().unwrap_or_default();
        let servers = self.authoritative_servers(&spec, &record.name).await?;
        let mut wait = Wait::new(&self.limits, spec.propagate_within);
        loop {
            let missing = self.servers_without(&servers, &record).await;
            if missing.is_empty() {
                return Ok(());
            }
            let detail = format!("TXT {} is not at every server yet: {}", record.name, missing.join("; "));
            self.journal.waiting(validation.subject, detail);
            if !wait.pause(None).await {
                return Err(not_propagated(place, &servers, &missing, provider.as_ref()).await);
            }
        }
    }

    /// Takes the value away. Of a provider that the config no longer has, nothing can be taken.
    pub(crate) async fn take_out_of_dns(&self, place: &DnsPlace, value: &str) -> Result<(), Error> {
        let record = TxtRecord { name: place.record.clone(), value: value.to_owned() };
        let Some(provider) = self.parts.dns.get(&place.provider) else {
            tracing::warn!(
                "TXT {} with `{value}` stays: DNS provider `{}`, which was to remove it, is no longer in the config",
                place.record,
                place.provider
            );
            return Ok(());
        };
        self.change_dns(&place.provider, provider.withdraw(&record)).await
    }

    fn dns_provider(&self, name: &DnsProviderName) -> Result<&std::sync::Arc<dyn DnsProvider>, Error> {
        self.parts.dns.get(name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "look up", format!("DNS provider `{name}`"))
                .said("the config has none of that name")
        })
    }

    /// Holds the provider's turn while `change` runs.
    async fn change_dns(
        &self,
        provider: &DnsProviderName,
        change: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let _turn = match self.dns_changes.get(provider) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        change.await
    }

    async fn authoritative_servers(&self, spec: &DnsSpec, record: &DnsName) -> Result<Vec<NameServer>, Error> {
        if spec.servers.is_empty() {
            return self.parts.dns_lookup.servers(record).await;
        }
        let server = |address: &SocketAddr| NameServer { name: address.ip().to_string(), addresses: vec![*address] };
        Ok(spec.servers.iter().map(server).collect())
    }

    /// The servers that do not give the value, each with what it says instead.
    async fn servers_without(&self, servers: &[NameServer], record: &TxtRecord) -> Vec<String> {
        let looks = servers.iter().map(|server| self.without(server, record));
        join_all(looks).await.into_iter().flatten().collect()
    }

    async fn without(&self, server: &NameServer, record: &TxtRecord) -> Option<String> {
        let mut unanswered = Vec::new();
        for address in &server.addresses {
            match self.parts.dns_lookup.txt(*address, &record.name).await {
                Ok(values) if values.contains(&record.value) => return None,
                Ok(values) => return Some(format!("{} ({address}) has {}", server.name, shown(&values))),
                Err(said) => unanswered.push(format!("{address}: {said}")),
            }
        }
        if unanswered.is_empty() {
            unanswered.push("it has no address".to_owned());
        }
        Some(format!("{} does not answer ({})", server.name, unanswered.join(", ")))
    }
}

fn shown(values: &[String]) -> String {
    if values.is_empty() {
        return "no TXT record there".to_owned();
    }
    let shown: Vec<String> = values.iter().take(SHOWN_VALUES).map(|value| format!("`{value}`")).collect();
    let more = if values.len() > SHOWN_VALUES { " and more" } else { "" };
    format!("{}{more}", shown.join(", "))
}

async fn not_propagated(
    place: &DnsPlace,
    servers: &[NameServer],
    missing: &[String],
    provider: &dyn DnsProvider,
) -> Error {
    let error = Error::new(
        ErrorKind::SelfCheck,
        "dns-01 self-check",
        format!("TXT {} (DNS provider `{}`)", place.record, place.provider),
    )
    .said(missing.join("; "));
    let hint = "the CA was not asked, so no rate limit was touched; is the zone's transfer to every server working, and is \
                `propagate-within` long enough?";
    match provider.zone(&place.record).await {
        Ok(Some(zone)) if elsewhere(&zone.servers, servers) => error.with_hint(format!(
            "the CA was not asked, so no rate limit was touched; the provider serves zone {} from {}: is the domain \
             delegated to other servers than those?",
            zone.name,
            zone.servers.join(", ")
        )),
        Ok(_) | Err(_) => error.with_hint(hint),
    }
}

/// Whether the provider's own servers and those that the delegation names have none in common.
fn elsewhere(at_provider: &[String], delegated: &[NameServer]) -> bool {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    !at_provider.is_empty()
        && !at_provider.iter().any(|own| delegated.iter().any(|other| plain(&other.name) == plain(own)))
}

/// RFC 1034 §3.6.2 sets no limit; CAs' resolvers give up after about as many.
const MOST_ALIASES: usize = 8;

/// Values of one server in a message.
const SHOWN_VALUES: usize = 4;
