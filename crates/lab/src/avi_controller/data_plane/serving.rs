//! The configuration made ready to serve: parsed once, then only read.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::crypto::CryptoProvider;

use super::{
    super::{
        json::{flag, has, object, objects, text, texts},
        kind::{APPLICATION_PROFILE, POLICY_SET, POOL, VIRTUAL_SERVICE, VSVIP},
        options::RedirectOrder,
        references,
        store::{Store, Stored},
        validation::{self, ports},
    },
    policy::{self, Rule},
    tls::{self, Tls},
};

#[derive(Default)]
pub(super) struct Serving {
    pub(super) profile_first: bool,
    pub(super) services: Vec<Service>,
    virtual_services: HashMap<String, Arc<Virtual>>,
}

/// A range of ports of an address.
pub(super) struct Service {
    pub(super) address: IpAddr,
    pub(super) first: u16,
    pub(super) last: u16,
    pub(super) tls: bool,
    /// The uuid of its virtual service.
    owner: String,
}

/// A virtual service.
pub(super) struct Virtual {
    pub(super) uuid: String,
    pub(super) name: String,
    /// Speaks HTTP; otherwise bytes go to the pool as they come.
    pub(super) http: bool,
    pub(super) enabled: bool,
    pub(super) full_logs: bool,
    /// From the application profile.
    pub(super) redirects_to_https: bool,
    pub(super) security_rules: Vec<Rule>,
    pub(super) request_rules: Vec<Rule>,
    pub(super) pool: Option<Arc<Pool>>,
    pub(super) pools: HashMap<String, Arc<Pool>>,
    pub(super) tls: Option<Tls>,
    enhanced: bool,
    children: Vec<Child>,
}

/// The servers of a pool that are on this machine.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) servers: Vec<SocketAddr>,
}

struct Child {
    uuid: String,
    hosts: Vec<Host>,
}

struct Host {
    pattern: String,
    /// Beginnings of paths; empty: any path.
    paths: Vec<(bool, String)>,
}

impl Serving {
    /// A virtual service whose certificates are held keeps the TLS settings of `previous`.
    pub(super) fn new(
        store: &Store,
        order: RedirectOrder,
        previous: &Self,
        is_held: &dyn Fn(&str) -> bool,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let mut serving = Self { profile_first: order == RedirectOrder::ProfileFirst, ..Self::default() };
        let pools: HashMap<String, Arc<Pool>> =
            store.of_kind(POOL).map(|pool| (pool.uuid.clone(), Arc::new(Pool::new(pool)))).collect();
        for stored in store.of_kind(VIRTUAL_SERVICE) {
            let kept = previous.virtual_services.get(&stored.uuid).filter(|_| is_held(stored.name()));
            let tls = match kept {
                Some(kept) => kept.tls.clone(),
                None => tls::settings(stored, store, provider),
            };
            let made = Virtual::new(stored, store, &pools, tls);
            if made.enabled {
                serving.add_services(stored, store);
            }
            serving.virtual_services.insert(stored.uuid.clone(), Arc::new(made));
        }
        serving
    }

    pub(super) fn service(&self, address: IpAddr, port: u16) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.address == address && (service.first..=service.last).contains(&port))
    }

    /// The one whose TLS settings answer a ClientHello: an SNI child where the name leads to one.
    pub(super) fn for_handshake(&self, service: &Service, server_name: Option<&str>) -> Option<&Arc<Virtual>> {
        let owner = self.virtual_services.get(&service.owner)?;
        if owner.enhanced {
            return Some(owner);
        }
        server_name.and_then(|name| self.child(owner, name, "")).or(Some(owner))
    }

    /// The one that answers a request: the one that made the handshake, or the child that the Host header leads to
    /// with enhanced virtual hosting.
    pub(super) fn for_request(
        &self,
        service: &Service,
        handshake: Option<&str>,
        host: &str,
        path: &str,
    ) -> Option<&Arc<Virtual>> {
        let chosen = self.virtual_services.get(handshake.unwrap_or(&service.owner))?;
        if !chosen.enhanced {
            return Some(chosen);
        }
        self.child(chosen, host, path).or(Some(chosen))
    }

    fn child(&self, parent: &Virtual, name: &str, path: &str) -> Option<&Arc<Virtual>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let fits = |host: &Host| {
            let rank = rank(&host.pattern, &name)?;
            let in_path =
                |(exact, start): &(bool, String)| if *exact { path == start } else { path.starts_with(start) };
            (host.paths.is_empty() || host.paths.iter().any(in_path)).then_some(rank)
        };
        parent
            .children
            .iter()
            .filter_map(|child| {
                let made = self.virtual_services.get(&child.uuid).filter(|made| made.enabled)?;
                Some((child.hosts.iter().filter_map(fits).max()?, made))
            })
            .max_by_key(|(rank, _)| *rank)
            .map(|(_, made)| made)
    }

    fn add_services(&mut self, stored: &Stored, store: &Store) {
        let Some(vip) = store.get(VSVIP, references::uuid(text(&stored.fields, "vsvip_ref"))) else {
            return;
        };
        let addresses: Vec<IpAddr> = objects(&vip.fields, "vip")
            .filter(|vip| vip.get("enabled") != Some(&serde_json::Value::Bool(false)))
            .flat_map(|vip| ["ip_address", "ip6_address", "floating_ip"].map(|field| object(vip, field)))
            .flatten()
            .filter_map(|address| text(address, "addr").parse().ok())
            .collect();
        for service in objects(&stored.fields, "services") {
            let (first, last) = ports(service);
            for address in &addresses {
                let tls = flag(service, "enable_ssl");
                self.services.push(Service { address: *address, first, last, tls, owner: stored.uuid.clone() });
            }
        }
    }
}

impl Virtual {
    fn new(stored: &Stored, store: &Store, pools: &HashMap<String, Arc<Pool>>, tls: Option<Tls>) -> Self {
        let fields = &stored.fields;
        let mut sets: Vec<_> = objects(fields, "http_policies").collect();
        sets.sort_by_key(|link| link.get("index").and_then(serde_json::Value::as_i64));
        let sets: Vec<&Stored> = sets
            .into_iter()
            .filter_map(|link| store.get(POLICY_SET, references::uuid(text(link, "http_policy_set_ref"))))
            .collect();
        let rules = |policy: &str| sets.iter().flat_map(|set| policy::rules(&set.fields, policy)).collect();
        let profile = store.get(APPLICATION_PROFILE, references::uuid(text(fields, "application_profile_ref")));
        let http_profile = profile.and_then(|profile| object(&profile.fields, "http_profile"));
        let logs = object(fields, "analytics_policy").and_then(|policy| object(policy, "full_client_logs"));
        Self {
            uuid: stored.uuid.clone(),
            name: stored.name().to_owned(),
            http: validation::is_http(fields, store),
            enabled: flag(fields, "enabled") && flag(fields, "traffic_enabled"),
            full_logs: logs.is_some_and(|logs| flag(logs, "enabled")),
            redirects_to_https: http_profile.is_some_and(|profile| flag(profile, "http_to_https")),
            security_rules: rules("http_security_policy"),
            request_rules: rules("http_request_policy"),
            pool: pools.get(references::uuid(text(fields, "pool_ref"))).cloned(),
            pools: pools.clone(),
            tls,
            enhanced: text(fields, "vh_type") == "VS_TYPE_VH_ENHANCED" && text(fields, "type") == "VS_TYPE_VH_PARENT",
            children: children(stored, store),
        }
    }
}

impl Pool {
    fn new(pool: &Stored) -> Self {
        let default_port = super::super::json::number(&pool.fields, "default_server_port").unwrap_or(80);
        let server = |server: &super::super::json::Object| {
            let address: IpAddr = text(object(server, "ip")?, "addr").parse().ok()?;
            let port = super::super::json::number(server, "port").unwrap_or(default_port);
            Some(SocketAddr::new(address, u16::try_from(port).ok()?))
        };
        let enabled =
            |server: &&super::super::json::Object| server.get("enabled") != Some(&serde_json::Value::Bool(false));
        Self { servers: objects(&pool.fields, "servers").filter(enabled).filter_map(server).collect() }
    }
}

fn children(parent: &Stored, store: &Store) -> Vec<Child> {
    store
        .of_kind(VIRTUAL_SERVICE)
        .filter(|child| references::uuid(text(&child.fields, "vh_parent_vs_ref")) == parent.uuid)
        .map(|child| {
            let by_name = texts(&child.fields, "vh_domain_name").map(|name| (name, Vec::new()));
            let by_match = objects(&child.fields, "vh_matches").map(|host| (text(host, "host"), paths(host)));
            let hosts = by_name.chain(by_match);
            let hosts = hosts.map(|(pattern, paths)| Host { pattern: pattern.to_ascii_lowercase(), paths }).collect();
            Child { uuid: child.uuid.clone(), hosts }
        })
        .collect()
}

fn paths(host: &super::super::json::Object) -> Vec<(bool, String)> {
    let by_rule = objects(host, "rules").filter_map(|rule| object(object(rule, "matches")?, "path"));
    let paths = by_rule.chain(objects(host, "path"));
    paths
        .filter(|path| has(path, "match_str"))
        .flat_map(|path| {
            texts(path, "match_str")
                .map(|text| (super::super::json::text(path, "match_criteria") == "EQUALS", text.to_owned()))
        })
        .collect()
}

/// How well a name of a child fits; higher is better. Exact, `*.x`, `.x` (x and below), `x.*`; longest wins.
fn rank(pattern: &str, name: &str) -> Option<(bool, usize)> {
    if pattern == name {
        return Some((true, pattern.len()));
    }
    let fits = if let Some(rest) = pattern.strip_prefix('*') {
        name.ends_with(rest) && name.len() > rest.len()
    } else if let Some(rest) = pattern.strip_suffix('*') {
        name.starts_with(rest) && name.len() > rest.len()
    } else {
        pattern.starts_with('.') && (name.ends_with(pattern) || pattern[1..] == *name)
    };
    fits.then_some((false, pattern.len()))
}

#[cfg(test)]
mod tests {
    use super::rank;

    #[test]
    fn the_longest_pattern_wins_after_the_exact_name() {
        for (pattern, name, fits) in [
            ("a.test", "a.test", true),
            ("*.a.test", "b.a.test", true),
            ("*.a.test", "a.test", false),
            (".a.test", "a.test", true),
            (".a.test", "b.a.test", true),
            (".a.test", "ba.test", false),
            ("www.a.*", "www.a.test", true),
            ("www.a.*", "www.b.test", false),
            ("b.test", "a.test", false),
        ] {
            assert_eq!(rank(pattern, name).is_some(), fits, "{pattern} on {name}");
        }
        assert!(rank("b.a.test", "b.a.test") > rank("*.a.test", "b.a.test"));
        assert!(rank("*.a.test", "b.a.test") > rank("*.test", "b.a.test"));
    }
}
