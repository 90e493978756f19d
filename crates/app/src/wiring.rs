//! From the config to the parts that the engine drives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certferry_core::port::{CertificateAuthority, DnsProvider, LoadBalancer, Notify, OpenChallenge, Store};
use certferry_core::{Clock, DnsProviderName, Error, IssuerName, LoadBalancerName, SystemClock};
use certferry_engine::{Parts, Responder};
use certferry_providers::acme::AcmeIssuer;
use certferry_providers::dns::acme_dns::AcmeDns;
use certferry_providers::dns::exec::Exec;
use certferry_providers::dns::lookup::NetworkLookup;
use certferry_providers::dns::oci::OciDns;
use certferry_providers::dns::recursive::RecursiveServers;
use certferry_providers::dns::rfc2136::Rfc2136;
use certferry_providers::load_balancer::avi::AviTenant;
use certferry_providers::load_balancer::oci::{OciLoadBalancer, Principals};
use certferry_providers::probe::NetworkProbe;
use certferry_store::Sqlite;

use crate::config::{
    Config, ControlScript, DnsProvider as ConfiguredDns, LoadBalancer as ConfiguredLoadBalancer, Provider,
};

/// Who asks, as CAs want to know it (RFC 8555 §6.1).
pub const USER_AGENT: &str = concat!("certferry/", env!("CARGO_PKG_VERSION"), " (ACME to load balancers)");

/// The config's store, to be written to.
///
/// # Errors
/// It cannot be opened or made, or its key file does not fit.
pub async fn store(config: &Config) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(Sqlite::open(&config.state.database, &config.state.key_file).await?))
}

/// The config's store, to be read only: works while another process writes, and makes no file.
///
/// # Errors
/// It cannot be opened.
pub async fn store_to_read(config: &Config) -> Result<Arc<dyn Store>, Error> {
    Ok(Arc::new(Sqlite::open_to_read(&config.state.database).await?))
}

/// All parts: what the config's certificates use, and whatever else of the config still holds a challenge of theirs.
/// `clock` is for decisions; requests that carry a date take the machine's own.
///
/// # Errors
/// An API key or a trusted root cannot be used, or the store fails.
pub async fn parts(
    config: &Config,
    store: Arc<dyn Store>,
    notify: Arc<dyn Notify>,
    clock: Arc<dyn Clock>,
    responder: Responder,
) -> Result<Parts, Error> {
    // The instance's token is one for all that act as the instance.
    let principals = Principals::default();
    let left = store.open_challenges().await?;
    Ok(Parts {
        store,
        issuers: issuers(config)?,
        load_balancers: load_balancers_sharing(config, &left, &principals)?,
        dns: dns(config, &left, &principals)?,
        dns_lookup: Arc::new(NetworkLookup::new(config.resolvers.clone())),
        probe: Arc::new(NetworkProbe::new()),
        clock,
        notify,
        responder,
    })
}

/// The issuers of the config.
///
/// # Errors
/// A trusted root cannot be used.
pub fn issuers(config: &Config) -> Result<BTreeMap<IssuerName, Arc<dyn CertificateAuthority>>, Error> {
    let issuer = |(name, issuer): (&IssuerName, &certferry_providers::acme::IssuerConfig)| {
        let issuer = AcmeIssuer::new(issuer.clone(), USER_AGENT, Arc::new(SystemClock))?;
        Ok((name.clone(), Arc::new(issuer) as Arc<dyn CertificateAuthority>))
    };
    config.issuers.iter().map(issuer).collect()
}

/// The config's [used load balancers](Config::used_load_balancers).
///
/// # Errors
/// An API key cannot be used.
pub fn load_balancers(config: &Config) -> Result<BTreeMap<LoadBalancerName, Arc<dyn LoadBalancer>>, Error> {
    load_balancers_sharing(config, &[], &Principals::default())
}

fn load_balancers_sharing(
    config: &Config,
    left: &[OpenChallenge],
    principals: &Principals,
) -> Result<BTreeMap<LoadBalancerName, Arc<dyn LoadBalancer>>, Error> {
    let used: BTreeSet<&LoadBalancerName> = config.used_load_balancers().map(|(name, _)| name).collect();
    let holds = |name: &LoadBalancerName| left.iter().any(|challenge| challenge.load_balancers.contains(name));
    let configured = config.load_balancers.iter().filter(|(name, _)| used.contains(name) || holds(name));
    configured.map(|(name, one)| Ok((name.clone(), sharing(name, &one.provider, principals)?))).collect()
}

/// The DNS providers of the config that a certificate uses, or a challenge that is left.
fn dns(
    config: &Config,
    left: &[OpenChallenge],
    principals: &Principals,
) -> Result<BTreeMap<DnsProviderName, Arc<dyn DnsProvider>>, Error> {
    let used = |name: &DnsProviderName| {
        config.desired.certificates.iter().any(|certificate| certificate.dns01.as_ref() == Some(name))
            || left.iter().any(|challenge| challenge.dns.as_ref().is_some_and(|place| place.provider == *name))
    };
    let configured = config.dns.iter().filter(|(name, _)| used(name));
    configured.map(|(name, one)| Ok((name.clone(), dns_provider_sharing(name, &one.provider, principals)?))).collect()
}

/// Who is asked about names.
pub fn recursive_servers(config: &Config) -> RecursiveServers {
    RecursiveServers::new(config.resolvers.clone())
}

/// What the control scripts of the config's controllers may ask for.
pub fn control_scripts(config: &Config) -> BTreeMap<LoadBalancerName, ControlScript> {
    let of =
        |(name, one): (&LoadBalancerName, &ConfiguredLoadBalancer)| Some((name.clone(), one.control_script.clone()?));
    config.load_balancers.iter().filter_map(of).collect()
}

/// One load balancer, used by a certificate or not.
///
/// # Errors
/// Its API key or its trusted roots cannot be used.
pub fn load_balancer(name: &LoadBalancerName, provider: &Provider) -> Result<Arc<dyn LoadBalancer>, Error> {
    sharing(name, provider, &Principals::default())
}

fn sharing(
    name: &LoadBalancerName,
    provider: &Provider,
    principals: &Principals,
) -> Result<Arc<dyn LoadBalancer>, Error> {
    match provider {
        Provider::Avi(config) => Ok(Arc::new(AviTenant::new(name.clone(), (**config).clone(), Arc::new(SystemClock))?)),
        Provider::Oci(config) => {
            let clock = Arc::new(SystemClock);
            Ok(Arc::new(OciLoadBalancer::sharing(name.clone(), (**config).clone(), clock, principals)?))
        }
    }
}

/// One DNS provider, used by a certificate or not.
///
/// # Errors
/// Its key or accounts cannot be used.
pub fn dns_provider(name: &DnsProviderName, provider: &ConfiguredDns) -> Result<Arc<dyn DnsProvider>, Error> {
    dns_provider_sharing(name, provider, &Principals::default())
}

fn dns_provider_sharing(
    name: &DnsProviderName,
    provider: &ConfiguredDns,
    principals: &Principals,
) -> Result<Arc<dyn DnsProvider>, Error> {
    let name = name.clone();
    Ok(match provider {
        ConfiguredDns::AcmeDns(config) => Arc::new(AcmeDns::new(name, config.clone())?),
        ConfiguredDns::Exec(config) => Arc::new(Exec::new(name, config.clone())),
        ConfiguredDns::Oci(config) => Arc::new(OciDns::sharing(name, config, Arc::new(SystemClock), principals)?),
        ConfiguredDns::Rfc2136(config) => Arc::new(Rfc2136::new(name, config, Arc::new(SystemClock))?),
    })
}
