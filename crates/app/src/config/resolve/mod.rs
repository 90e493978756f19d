//! From the config as written to the config as resolved. Everything that is wrong is collected, not only the first.

mod api;
mod avi;
mod certificate;
mod dns;
mod fitting;
mod issuer;
mod load_balancer;
mod names;
mod oci_access;
mod one_entry_each;
mod value;
mod warning_days;

pub(super) use value::plain;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use certferry_core::desired::{CertificateSpec, Desired, LoadBalancerSpec};
use certferry_core::{DnsProviderName, IssuerName, KeyFamily, ListenerName, LoadBalancerName};
use certferry_providers::acme::IssuerConfig;

use super::diagnostic::{Diagnostic, Findings};
use super::file::File;
use super::resolved::{Config, Dns, LoadBalancer, State};
use super::spanned::{Entries, Position, Spanned};
use super::surroundings::Environment;

/// Resolves `file`, whose relative paths start at `folder` (absolute). The second value is what is odd, but not wrong.
///
/// # Errors
/// Everything that is wrong, in the order in which it was found.
pub fn resolve(
    file: &File,
    folder: &Path,
    environment: &dyn Environment,
) -> Result<(Config, Vec<Diagnostic>), Vec<Diagnostic>> {
    let mut resolver = Resolver { folder, environment, errors: Vec::new() };
    let state = resolver.state(file);
    let responder = resolver.responder(file);
    let issuers = resolver.entries(&file.issuers, Resolver::issuer);
    let mut load_balancers = resolver.entries(&file.load_balancers, Resolver::load_balancer);
    resolver.one_entry_each(file, &load_balancers);
    let api = resolver.api(file, state.as_ref());
    let warning_days = resolver.warning_days(&file.warning_days);
    let dns = resolver.entries(&file.dns, Resolver::dns);
    let resolvers = resolver.resolvers(&file.resolvers);
    let certificates = resolver.certificates(file, &issuers, &dns, &mut load_balancers);
    resolver.control_scripts(file, &issuers, api.as_ref().and_then(Option::as_ref), &mut load_balancers);
    let warnings = unused(file, &certificates);
    let (Some(state), Some(responder), Some(api), true) = (state, responder, api, resolver.errors.is_empty()) else {
        return Err(resolver.errors);
    };
    let config = Config {
        path: PathBuf::new(),
        state,
        responder,
        issuers: issuers.into_values().flatten().collect(),
        api,
        desired: desired(certificates, &load_balancers, &dns, warning_days),
        dns: dns.into_values().flatten().collect(),
        resolvers,
        load_balancers: load_balancers.into_values().flatten().collect(),
        warnings: Findings::new(Path::new(""), "", []),
    };
    Ok((config, warnings))
}

/// Entries by the name as written. `None` is an entry that is there but wrong: a reference to it is not an error of
/// its own.
type Resolved<N, T> = BTreeMap<String, Option<(N, T)>>;
type Issuers = Resolved<IssuerName, IssuerConfig>;
type DnsProviders = Resolved<DnsProviderName, Dns>;
type LoadBalancers = Resolved<LoadBalancerName, LoadBalancer>;

/// What each listener is to serve already.
type Taken = BTreeMap<(LoadBalancerName, ListenerName), Vec<Taker>>;

/// A certificate that a listener is to serve.
#[derive(Clone)]
struct Taker {
    name: String,
    at: Position,
    /// The kind of key, where a listener serves one of each.
    kind: Option<KeyFamily>,
}

struct Resolver<'a> {
    folder: &'a Path,
    environment: &'a dyn Environment,
    errors: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn refuse<T>(&mut self, at: Position, message: impl Into<String>, hint: impl Into<String>) -> Option<T> {
        self.errors.push(Diagnostic::error(at, message).with_hint(hint));
        None
    }

    fn entries<N, T, W>(
        &mut self,
        entries: &Entries<W>,
        one: impl Fn(&mut Self, &Spanned<String>, &W) -> Option<(N, T)>,
    ) -> Resolved<N, T> {
        entries.0.iter().map(|(name, entry)| (name.value.clone(), one(self, name, entry))).collect()
    }

    fn state(&mut self, file: &File) -> Option<State> {
        let (url, key_file) =
            file.state.as_ref().map_or((None, None), |state| (state.url.as_ref(), state.key_file.as_ref()));
        let database = match url {
            Some(url) => self.database(url),
            None => Some(self.folder.join("certferry.db")),
        };
        let path = match key_file {
            Some(path) => self.path(path),
            None => Some(self.folder.join("certferry.key")),
        };
        let key_file = path.and_then(|path| self.private(path, key_file.map(|written| written.at)));
        Some(State { database: database?, key_file: key_file? })
    }

    fn responder(&mut self, file: &File) -> Option<std::net::SocketAddr> {
        match file.responder.as_ref().and_then(|responder| responder.listen.as_ref()) {
            Some(listen) => self.address(listen, "0.0.0.0:8080"),
            None => Some(DEFAULT_LISTEN),
        }
    }
}

const DEFAULT_LISTEN: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

fn desired(
    certificates: Vec<CertificateSpec>,
    load_balancers: &LoadBalancers,
    dns: &DnsProviders,
    warning_days: Option<Vec<u16>>,
) -> Desired {
    let spec = |one: &LoadBalancer| LoadBalancerSpec {
        verify_within: one.verify_within,
        self_check_within: one.self_check_within,
    };
    let load_balancers = load_balancers.values().flatten().map(|(name, one)| (name.clone(), spec(one))).collect();
    let dns = dns.values().flatten().map(|(name, one)| (name.clone(), one.spec.clone())).collect();
    Desired { certificates, load_balancers, dns, warning_days }
}

fn unused(file: &File, certificates: &[CertificateSpec]) -> Vec<Diagnostic> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut issuers: BTreeSet<&str> = BTreeSet::new();
    let mut dns: BTreeSet<&str> = BTreeSet::new();
    for certificate in certificates {
        issuers.insert(certificate.version.issuer.as_str());
        dns.extend(certificate.dns01.as_ref().map(DnsProviderName::as_str));
        used.extend(certificate.http01.iter().map(LoadBalancerName::as_str));
        used.extend(certificate.deploy.iter().map(|deploy| deploy.load_balancer.as_str()));
    }
    let warn = |name: &Spanned<String>, kind: &str| {
        Diagnostic::warning(name.at, format!("{kind} `{}` is used by no certificate", name.value))
    };
    for (name, load_balancer) in &file.load_balancers.0 {
        let script = load_balancer.avi.as_ref().and_then(|avi| avi.value.control_script.as_ref());
        let Some(script) = script else { continue };
        used.insert(name.value.as_str());
        let only = file.issuers.0.first().map(|(name, _)| name);
        issuers.extend(script.value.issuer.as_ref().or(only).map(|issuer| issuer.value.as_str()));
    }
    let names = file.issuers.0.iter().map(|(name, _)| name).filter(|name| !issuers.contains(name.value.as_str()));
    let issuers = names.map(|name| warn(name, "issuer"));
    let names = file.load_balancers.0.iter().map(|(name, _)| name).filter(|name| !used.contains(name.value.as_str()));
    let load_balancers = names.map(|name| warn(name, "load balancer"));
    // One that writes address records too may be there for `dns point` only.
    let names = file.dns.0.iter().filter(|(name, written)| {
        let writes_addresses = written.oci.is_some() || written.rfc2136.is_some();
        !writes_addresses && !dns.contains(name.value.as_str())
    });
    let dns = names.map(|(name, _)| warn(name, "DNS provider"));
    issuers.chain(load_balancers).chain(dns).collect()
}
