//! What a CA will find: where names point, who answers on port 80, CAA records; and what its clock says of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use certferry_core::desired::CertificateSpec;
use certferry_core::observed::{Observation, Observed};
use certferry_core::plan::Stage;
use certferry_core::port::{AboutAuthority, CertificateAuthority, Probe};
use certferry_core::preflight::{CaaQuestion, CaaRecord, Concern, LookupFailure, NameOnLoadBalancer, Severity};
use certferry_core::{
    CertificateName, Clock, DnsName, Identifier, IssuerName, LoadBalancerName, SystemClock, preflight,
};
use certferry_providers::dns::recursive::RecursiveServers;
use certferry_providers::probe::NetworkProbe;
use futures_util::StreamExt;
use futures_util::stream;

use super::Finding;
use crate::config::{Config, Provider};
use crate::wiring;

type Issuers = BTreeMap<IssuerName, Arc<dyn CertificateAuthority>>;
type Observations = BTreeMap<LoadBalancerName, Observation>;

/// Everything that can be seen from outside. What could not be read at all is told by others.
pub(super) async fn look(config: &Config, issuers: &Issuers, observed: Observed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let readings = observed.load_balancers.into_iter();
    let observations: Observations = readings.filter_map(|(name, reading)| Some((name, reading.ok()?))).collect();
    findings.extend(obstacles(config, &observations));
    let names = names(config);
    findings.extend(addresses_elsewhere(config, &names, &observations));
    findings.extend(answers_on_port_80(config, &names, &observations).await);
    let (abouts, off) = ask_authorities(config, issuers).await;
    findings.extend(off);
    let servers = wiring::recursive_servers(config);
    findings.extend(where_names_point(config, &names, &observations, &servers).await);
    findings.extend(caa_records(config, issuers, &abouts, &servers).await);
    findings
}

/// What swallows challenges on a load balancer, redirect rules above all, due or not.
fn obstacles<'a>(config: &'a Config, observations: &'a Observations) -> impl Iterator<Item = Finding> + 'a {
    config.desired.certificates.iter().flat_map(move |spec| {
        spec.http01.iter().filter_map(move |load_balancer| {
            let obstacle = observations.get(load_balancer)?.http01.as_ref()?.obstacle.as_ref()?;
            Some(Finding::new(Stage::Issue, obstacle.to_error(load_balancer).for_certificate(&spec.name)))
        })
    })
}

/// A name of the config, with every certificate that has it taken together.
struct NameUse<'a> {
    /// The first of them, for messages.
    certificate: &'a CertificateName,
    specs: Vec<&'a CertificateSpec>,
}

impl NameUse<'_> {
    /// The load balancers through which its challenges come.
    fn http01(&self) -> BTreeSet<&LoadBalancerName> {
        self.specs.iter().flat_map(|spec| &spec.http01).collect()
    }
}

/// The names that have addresses, or are some; wildcards have none of their own.
fn names(config: &Config) -> BTreeMap<&Identifier, NameUse<'_>> {
    let mut names = BTreeMap::new();
    for spec in &config.desired.certificates {
        for name in spec.version.names.iter().filter(|name| !name.is_wildcard()) {
            let used = names.entry(name).or_insert_with(|| NameUse { certificate: &spec.name, specs: Vec::new() });
            used.specs.push(spec);
        }
    }
    names
}

async fn where_names_point(
    config: &Config,
    names: &BTreeMap<&Identifier, NameUse<'_>>,
    observations: &Observations,
    servers: &RecursiveServers,
) -> Vec<Finding> {
    let host_names = names.iter().filter_map(|(name, used)| Some((name.dns()?, used)));
    let lookups = host_names.map(|(name, used)| async move { (name, used, servers.addresses(name).await) });
    let lookups: Vec<_> = lookups.collect();
    let found: Vec<_> = stream::iter(lookups).buffered(AT_ONCE).collect().await;
    let mut findings = Vec::new();
    for (name, used, found) in found {
        let (expected, load_balancers) = addresses_of(used, config, observations);
        let can_write = config.dns.values().any(|dns| dns.provider.writes_addresses());
        let command = format!("certferry dns point {}", used.certificate);
        let on = NameOnLoadBalancer {
            name,
            load_balancer: &load_balancers,
            expected: &expected,
            is_validated_there: used.specs.iter().any(|spec| !spec.http01.is_empty()),
            command: can_write.then_some(command.as_str()),
        };
        let concerns = preflight::addresses(&on, &found);
        findings.extend(concerns.into_iter().map(|concern| Finding::seen(Some(used.certificate), concern)));
    }
    findings
}

/// IP addresses among the names that their load balancers do not have: nothing in DNS leads from them to one that does.
fn addresses_elsewhere(
    config: &Config,
    names: &BTreeMap<&Identifier, NameUse<'_>>,
    observations: &Observations,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, used) in names {
        let Some(address) = name.ip() else { continue };
        let (expected, load_balancers) = addresses_of(used, config, observations);
        let concern = preflight::own_address(address, &load_balancers, &expected);
        findings.extend(concern.map(|concern| Finding::seen(Some(used.certificate), concern)));
    }
    findings
}

/// The addresses at which a name is served or validated, and whose they are. Addresses of the config (`probe`) are for this
/// machine and not for DNS.
fn addresses_of(used: &NameUse<'_>, config: &Config, observations: &Observations) -> (Vec<IpAddr>, String) {
    let mut addresses = BTreeSet::new();
    let mut names = BTreeSet::new();
    for deploy in used.specs.iter().flat_map(|spec| &spec.deploy) {
        let Some(observation) = observations.get(&deploy.load_balancer) else { continue };
        addresses.extend(observation.reached_at(&deploy.listener));
        names.insert(&deploy.load_balancer);
    }
    for load_balancer in used.http01() {
        let Some(observation) = observations.get(load_balancer) else { continue };
        let Some(configured) = config.load_balancers.get(load_balancer) else { continue };
        names.insert(load_balancer);
        match &configured.provider {
            Provider::Oci(_) => addresses.extend(&observation.addresses),
            Provider::Avi(avi) if avi.http01.as_ref().is_some_and(|http01| http01.probe.is_empty()) => {
                addresses.extend(observation.http01.iter().flat_map(|path| &path.probe).map(SocketAddr::ip));
            }
            Provider::Avi(_) => {}
        }
    }
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    (addresses.into_iter().collect(), names.join(", "))
}

/// Asks as a CA would, for a token that nobody has presented. An Avi controller's rules are there during an order only, so
/// there is nothing to ask between orders.
async fn answers_on_port_80(
    config: &Config,
    names: &BTreeMap<&Identifier, NameUse<'_>>,
    observations: &Observations,
) -> Vec<Finding> {
    let probe = NetworkProbe::new();
    let mut requests = Vec::new();
    for (name, used) in names {
        for load_balancer in used.http01() {
            let is_oci = |one: &crate::config::LoadBalancer| matches!(one.provider, Provider::Oci(_));
            if !config.load_balancers.get(load_balancer).is_some_and(is_oci) {
                continue;
            }
            let path = observations.get(load_balancer).and_then(|observation| observation.http01.as_ref());
            let Some(path) = path.filter(|path| path.changes.is_empty() && path.obstacle.is_none()) else { continue };
            requests.extend(path.probe.iter().map(|address| (*name, used.certificate, *address)));
        }
    }
    let requests = requests.into_iter().map(|(name, certificate, address)| {
        let probe = &probe;
        async move {
            let answer = probe.http01(address, name, TOKEN).await;
            Some(Finding::seen(Some(certificate), preflight::port_80(name, address, &answer)?))
        }
    });
    let requests: Vec<_> = requests.collect();
    let answers: Vec<Option<Finding>> = stream::iter(requests).buffered(AT_ONCE).collect().await;
    answers.into_iter().flatten().collect()
}

/// What the CAs in use say about themselves, and how far off their clocks are. One that does not answer is told elsewhere.
async fn ask_authorities<'a>(
    config: &'a Config,
    issuers: &Issuers,
) -> (BTreeMap<&'a IssuerName, AboutAuthority>, Vec<Finding>) {
    let used: BTreeSet<&IssuerName> = config.desired.certificates.iter().map(|spec| &spec.version.issuer).collect();
    let (mut abouts, mut findings) = (BTreeMap::new(), Vec::new());
    for name in used {
        let Some(issuer) = issuers.get(name) else { continue };
        let asked = SystemClock.now();
        let Ok(about) = issuer.about().await else { continue };
        let answered = SystemClock.now();
        if let Some(said) = about.time {
            let ca = format!("issuer `{name}`");
            findings.extend(preflight::clock(&ca, asked, answered, said).map(|concern| Finding::seen(None, concern)));
        }
        abouts.insert(name, about);
    }
    (abouts, findings)
}

async fn caa_records(
    config: &Config,
    issuers: &Issuers,
    abouts: &BTreeMap<&IssuerName, AboutAuthority>,
    servers: &RecursiveServers,
) -> Vec<Finding> {
    let specs = config.desired.certificates.iter();
    // CAA records are of domains: they say nothing about addresses (RFC 8659 §3).
    let questions: Vec<_> =
        specs.flat_map(|spec| spec.version.names.iter().filter_map(move |name| Some((spec, name.dns()?)))).collect();
    // Names have domains in common: each is asked about once.
    let domains: BTreeSet<&str> = questions.iter().flat_map(|(_, name)| preflight::domains(name)).collect();
    let lookups: Vec<_> =
        domains.into_iter().map(|domain| async move { (domain, servers.caa(domain).await) }).collect();
    let by_domain: BTreeMap<_, _> = stream::iter(lookups).buffered(AT_ONCE).collect().await;
    let found: Vec<_> =
        questions.into_iter().map(|(spec, name)| (spec, name, preflight::relevant_caa(name, &by_domain))).collect();
    let accounts = accounts(config, issuers, &found).await;
    let mut findings = Vec::new();
    for (spec, name, found) in found {
        let issuer = &spec.version.issuer;
        let Some(about) = abouts.get(issuer) else { continue };
        let concern = match found {
            Ok(None) => None,
            Ok(Some((domain, records))) => {
                let question = CaaQuestion {
                    name,
                    identities: &about.caa_identities,
                    account: accounts.get(issuer).map(String::as_str),
                    method: if spec.http01.is_empty() { "dns-01" } else { "http-01" },
                };
                preflight::caa(&question, &domain, &records)
            }
            Err(failure) => Some(unreadable(name, failure)),
        };
        findings.extend(concern.map(|concern| Finding::seen(Some(&spec.name), concern)));
    }
    findings
}

/// A CA that cannot read CAA records does not issue (RFC 8659 §3).
fn unreadable(name: &DnsName, failure: LookupFailure) -> Concern {
    Concern {
        severity: if failure.is_of_the_zone { Severity::Error } else { Severity::Warning },
        subject: format!("name `{name}`"),
        said: format!("its CAA records cannot be read: {}", failure.said),
        fix: "look at the zone's name servers and its DNSSEC signatures; a CA that cannot read CAA records does not issue"
            .to_owned(),
    }
}

type FoundRecords = Result<Option<(String, Vec<CaaRecord>)>, LookupFailure>;

/// The URLs of the accounts, where a record names one: to read them, the store is opened with its key.
async fn accounts(
    config: &Config,
    issuers: &Issuers,
    found: &[(&CertificateSpec, &DnsName, FoundRecords)],
) -> BTreeMap<IssuerName, String> {
    let mut accounts = BTreeMap::new();
    let mut records = found.iter().filter_map(|(.., found)| found.as_ref().ok()?.as_ref()).flat_map(|(_, all)| all);
    let names_account = |record: &CaaRecord| record.value.to_ascii_lowercase().contains("accounturi");
    if !records.any(names_account) || !config.state.database.exists() {
        return accounts;
    }
    let store = match wiring::store(config).await {
        Ok(store) => store,
        Err(error) => {
            tracing::warn!(%error, "accounts are not compared with CAA records");
            return accounts;
        }
    };
    for (name, issuer) in issuers {
        if let Ok(Some(account)) = store.account(name, issuer.directory_url()).await {
            accounts.extend(account.url.map(|url| (name.clone(), url)));
        }
    }
    accounts
}

/// Nobody presents it: a CA's tokens are longer.
const TOKEN: &str = "certferry-check";

/// Questions under way at once.
const AT_ONCE: usize = 16;
