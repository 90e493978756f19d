//! Which names are to be pointed where, and by whom, as the config and the command line say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use certferry_core::desired::DeploySpec;
use certferry_core::observed::Observation;
use certferry_core::port::DnsProvider;
use certferry_core::{CertificateName, DnsName, DnsProviderName, Identifier, LoadBalancerName};

use crate::commands::known_certificate;
use crate::config::Config;
use crate::failure::Failure;
use crate::wiring;

/// A name that is to be pointed.
pub(super) struct Target<'a> {
    pub(super) name: &'a DnsName,
    /// The first certificate that has it.
    pub(super) certificate: &'a CertificateName,
    /// Where those that have it are deployed.
    deploy: Vec<&'a DeploySpec>,
}

impl<'a> Target<'a> {
    /// The load balancer that it shall lead to, or why there is not exactly one, and what to do.
    pub(super) fn single(&self) -> Result<&'a LoadBalancerName, (String, String)> {
        let all: BTreeSet<&'a LoadBalancerName> = self.deploy.iter().map(|deploy| &deploy.load_balancer).collect();
        match Vec::from_iter(all).as_slice() {
            [one] => Ok(one),
            [] => Err((
                format!("certificate `{}` is not deployed there", self.certificate),
                "deploy it in the config first".to_owned(),
            )),
            several => {
                let several: Vec<String> = several.iter().map(|name| format!("`{name}`")).collect();
                let said = format!("it is served by load balancers {}", several.join(", "));
                Err((said, "choose one by `--to LB`".to_owned()))
            }
        }
    }

    /// The same, if there is exactly one.
    pub(super) fn load_balancer(&self) -> Option<&'a LoadBalancerName> {
        self.single().ok()
    }

    /// The addresses of the listeners that serve it.
    pub(super) fn addresses(&self, observation: &Observation) -> Vec<IpAddr> {
        let all: BTreeSet<IpAddr> =
            self.deploy.iter().flat_map(|deploy| observation.reached_at(&deploy.listener)).collect();
        all.into_iter().collect()
    }
}

/// The names of these certificates (of all where none are named), as far as they are deployed to `only`.
pub(super) fn targets<'a>(
    certificates: &[String],
    only: Option<&LoadBalancerName>,
    config: &'a Config,
) -> Result<Vec<Target<'a>>, Failure> {
    let mut wanted: BTreeSet<CertificateName> = BTreeSet::new();
    for text in certificates {
        let name = text.parse()?;
        known_certificate(&name, &config.desired)?;
        wanted.insert(name);
    }
    let mut targets: BTreeMap<&DnsName, Target<'_>> = BTreeMap::new();
    for spec in &config.desired.certificates {
        let is_named = wanted.contains(&spec.name);
        let deploy: Vec<&DeploySpec> =
            spec.deploy.iter().filter(|deploy| only.is_none_or(|only| *only == deploy.load_balancer)).collect();
        // Of those that nobody has named, only what is deployed there is meant.
        if !is_named && (!wanted.is_empty() || deploy.is_empty()) {
            continue;
        }
        for name in spec.version.names.iter().filter_map(Identifier::dns) {
            let target = targets.entry(name).or_insert(Target { name, certificate: &spec.name, deploy: Vec::new() });
            target.deploy.extend(&deploy);
        }
    }
    Ok(targets.into_values().collect())
}

/// The DNS provider with that name, or the only one that writes address records.
pub(super) fn provider(name: Option<&str>, config: &Config) -> Result<Arc<dyn DnsProvider>, Failure> {
    let able = || config.dns.iter().filter(|(_, one)| one.provider.writes_addresses()).map(|(name, _)| name);
    let listed = || able().map(DnsProviderName::as_str).collect::<Vec<_>>().join(", ");
    let name = match name {
        Some(text) => text.parse()?,
        None => match able().collect::<Vec<_>>().as_slice() {
            [one] => DnsProviderName::clone(one),
            [] => {
                let text = "the config has no DNS provider that writes address records\n  hint: add one below `dns:`, such \
                            as `oci: { auth: … }` (docs/dns.md)";
                return Err(Failure::Usage(text.to_owned()));
            }
            _ => {
                let text = format!("several DNS providers write address records; choose by `--provider`: {}", listed());
                return Err(Failure::Usage(text));
            }
        },
    };
    let Some(configured) = config.dns.get(&name) else {
        let known = config.dns.keys().map(DnsProviderName::as_str).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("the config has no DNS provider `{name}`; it has: {known}")));
    };
    if !configured.provider.writes_addresses() {
        return Err(Failure::Usage(format!(
            "DNS provider `{name}` writes the TXT records of dns-01 only\n  hint: write the address records by hand, or \
             name one that can: {}",
            if able().next().is_none() { "there is none in the config".to_owned() } else { listed() }
        )));
    }
    Ok(wiring::dns_provider(&name, &configured.provider)?)
}
