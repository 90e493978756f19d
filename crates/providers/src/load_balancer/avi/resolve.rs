//! Which virtual service a name in the config means: the one of exactly that name, or else the one that a host name leads
//! to. Both must be unique: certferry does not take the first of several.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::model::{is_own, list, name, reference, text, texts, uuid};
use super::observe::all_addresses;
use super::tenant::Tenant;

/// What a name leads to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Resolved<'a> {
    /// Several virtual services, for people.
    Ambiguous(Vec<String>),
    /// Nothing.
    Nothing,
    /// One virtual service.
    One(&'a Value),
}

/// Resolves a listener's name.
pub(super) fn resolve<'a>(tenant: &'a Tenant, listener: &str) -> Resolved<'a> {
    let named: Vec<&Value> = tenant.virtual_services.iter().filter(|service| name(service) == listener).collect();
    if !named.is_empty() {
        return only(tenant, named);
    }
    let host = listener.trim_end_matches('.').to_ascii_lowercase();
    // A name that an SNI or Host rule holds says more than the address that it resolves to.
    let rules = |service: &'a Value| {
        host_patterns(service).filter_map(|pattern| specificity(pattern, &host)).max().map(|rank| (rank, service))
    };
    let ruled: Vec<(usize, &Value)> = tenant.virtual_services.iter().filter_map(rules).collect();
    if let Some(best) = ruled.iter().map(|(rank, _)| *rank).max() {
        return only(tenant, ruled.into_iter().filter(|(rank, _)| *rank == best).map(|(_, service)| service).collect());
    }
    let at_address: BTreeSet<&str> =
        tenant.vs_vips.iter().filter(|vs_vip| has_fqdn(vs_vip, &host)).filter_map(uuid).collect();
    let leads_here = |service: &&Value| {
        has_fqdn(service, &host) || reference(service, "vsvip_ref").is_some_and(|vs_vip| at_address.contains(vs_vip))
    };
    let mut sharers: Vec<&Value> = tenant.virtual_services.iter().filter(leads_here).collect();
    if sharers.is_empty() {
        sharers = at_addresses_of(tenant, &host);
    }
    let terminating: Vec<&Value> = sharers.iter().copied().filter(|service| terminates_tls(tenant, service)).collect();
    only(tenant, if terminating.is_empty() { sharers } else { terminating })
}

/// The virtual services at an address to which the host name resolves, or which it is itself; those of certferry's own are not meant.
fn at_addresses_of<'a>(tenant: &'a Tenant, host: &str) -> Vec<&'a Value> {
    let literal = host.parse().ok().map(|address: IpAddr| vec![address]);
    let Some(addresses) = literal.as_ref().or_else(|| tenant.looked_up.get(host)) else { return Vec::new() };
    let is_there = |service: &&Value| all_addresses(tenant, service).iter().any(|one| addresses.contains(one));
    let own = |service: &&Value| reference(service, "vsvip_ref").is_some() && !is_own(service);
    tenant.virtual_services.iter().filter(own).filter(is_there).collect()
}

/// Whether clients reach a virtual service by TLS, itself or through its parent.
pub(super) fn terminates_tls(tenant: &Tenant, service: &Value) -> bool {
    !tls_ports(tenant, service).is_empty()
}

/// The ports on which a virtual service speaks TLS; the first of each range.
pub(super) fn tls_ports(tenant: &Tenant, service: &Value) -> Vec<u16> {
    let services = tenant.root(service).map_or(&[][..], |root| list(root, "services"));
    let tls = services.iter().filter(|service| super::model::flag(service, "enable_ssl", false));
    tls.filter_map(|service| service.get("port").and_then(Value::as_u64))
        .filter_map(|port| u16::try_from(port).ok())
        .filter(|port| *port > 0)
        .collect()
}

/// The host names and patterns for which a child is chosen.
pub(super) fn host_patterns(service: &Value) -> impl Iterator<Item = &str> {
    let matches = list(service, "vh_matches").iter().filter_map(|one| text(one, "host"));
    texts(service, "vh_domain_name").chain(matches)
}

/// A virtual service, for people.
pub(super) fn described(tenant: &Tenant, service: &Value) -> String {
    let place = |key: &str| reference(service, key).map(|id| format!(" in {id}")).unwrap_or_default();
    let address =
        tenant.root(service).and_then(|root| tenant.vs_vip(root)).map(|vs_vip| format!(" at `{}`", name(vs_vip)));
    format!("`{}`{}{}", name(service), address.unwrap_or_default(), place("vrf_context_ref"))
}

fn only<'a>(tenant: &Tenant, services: Vec<&'a Value>) -> Resolved<'a> {
    match services[..] {
        [] => Resolved::Nothing,
        [one] => Resolved::One(one),
        _ => Resolved::Ambiguous(services.iter().map(|service| described(tenant, service)).collect()),
    }
}

/// How closely a pattern of a virtual host fits a name: exact, `*.x` and `.x` (x and below), `x.*`; the longest wins.
fn specificity(pattern: &str, host: &str) -> Option<usize> {
    let pattern = pattern.trim_end_matches('.').to_ascii_lowercase();
    let wildcard = |fits: bool| fits.then_some(pattern.len());
    if pattern == host {
        return Some(usize::MAX);
    }
    if let Some(parent) = pattern.strip_prefix("*.") {
        return wildcard(host.strip_suffix(parent).is_some_and(|child| child.len() > 1 && child.ends_with('.')));
    }
    if let Some(parent) = pattern.strip_prefix('.') {
        return wildcard(host == parent || host.ends_with(&pattern));
    }
    if pattern.ends_with(".*") {
        return wildcard(host.starts_with(&pattern[..pattern.len() - 1]));
    }
    None
}

fn has_fqdn(object: &Value, host: &str) -> bool {
    let records = list(object, "dns_info").iter().filter_map(|record| text(record, "fqdn"));
    text(object, "fqdn").into_iter().chain(records).any(|fqdn| fqdn.trim_end_matches('.').eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn tenant() -> Tenant {
        Tenant {
            virtual_services: vec![
                json!({"uuid": "vs-shop", "name": "shop-443", "vsvip_ref": "/api/vsvip/vip-1",
                    "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "vs-redirect", "name": "shop-80", "vsvip_ref": "/api/vsvip/vip-1",
                    "services": [{"port": 80, "enable_ssl": false}]}),
                json!({"uuid": "vs-parent", "name": "shared", "vsvip_ref": "/api/vsvip/vip-2", "type": "VS_TYPE_VH_PARENT",
                    "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "vs-sni", "name": "app", "type": "VS_TYPE_VH_CHILD",
                    "vh_parent_vs_ref": "https://h/api/virtualservice/vs-parent#shared", "vh_domain_name": ["app.some-domain.com"]}),
                json!({"uuid": "vs-wild", "name": "wild", "type": "VS_TYPE_VH_CHILD",
                    "vh_parent_vs_ref": "/api/virtualservice/vs-parent", "vh_matches": [{"host": "*.some-domain.com"}]}),
                json!({"uuid": "vs-a", "name": "twice", "vrf_context_ref": "/api/vrfcontext/blue"}),
                json!({"uuid": "vs-b", "name": "twice", "vrf_context_ref": "/api/vrfcontext/green"}),
                json!({"uuid": "vs-old", "name": "old", "fqdn": "old.other-domain.com"}),
            ].into(),
            vs_vips: vec![
                json!({"uuid": "vip-1", "name": "shop-vip", "dns_info": [{"fqdn": "shop.other-domain.com."}]}),
                json!({"uuid": "vip-2", "name": "shared-vip"}),
            ].into(),
            ..Tenant::default()
        }
    }

    #[test]
    fn names_lead_to_exactly_one_virtual_service() {
        let tenant = tenant();
        for (listener, expected) in [
            ("shop-443", Some("vs-shop")),
            ("shop-80", Some("vs-redirect")),
            ("shop.other-domain.com", Some("vs-shop")),
            ("Shop.Other-Domain.com", Some("vs-shop")),
            ("op.other-domain.com", None),
            ("app.some-domain.com", Some("vs-sni")),
            ("b.some-domain.com", Some("vs-wild")),
            ("a.b.some-domain.com", Some("vs-wild")),
            ("some-domain.com", None),
            ("xapp.some-domain.comx", None),
            ("old.other-domain.com", Some("vs-old")),
            ("nowhere", None),
        ] {
            match (resolve(&tenant, listener), expected) {
                (Resolved::One(service), Some(expected)) => assert_eq!(uuid(service), Some(expected), "{listener}"),
                (Resolved::Nothing, None) => {}
                (other, _) => panic!("{listener}: {other:?}"),
            }
        }
    }

    #[test]
    fn several_of_a_name_are_all_named() {
        let Resolved::Ambiguous(several) = resolve(&tenant(), "twice").clone() else { panic!("not ambiguous") };
        assert_eq!(several, ["`twice` in blue", "`twice` in green"]);
    }

    #[test]
    fn a_child_speaks_tls_on_its_parents_ports() {
        let tenant = tenant();
        let child = tenant.virtual_service("vs-sni").unwrap();
        assert_eq!(tls_ports(&tenant, child), [443]);
        assert!(tls_ports(&tenant, tenant.virtual_service("vs-redirect").unwrap()).is_empty());
    }

    #[test]
    fn the_longest_pattern_wins() {
        for (pattern, host, fits) in [
            ("a.b", "a.b", true),
            ("A.b.", "a.b", true),
            ("*.b", "a.b", true),
            ("*.b", "b", false),
            ("*.b", "ab", false),
            (".b", "b", true),
            (".b", "a.b", true),
            (".b", "ab", false),
            ("www.*", "www.x", true),
            ("www.*", "wwwx", false),
            ("b", "a.b", false),
        ] {
            assert_eq!(specificity(pattern, host).is_some(), fits, "{pattern} {host}");
        }
        assert!(specificity("*.a.b", "x.a.b") > specificity("*.b", "x.a.b"));
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in ".{0,20}", host in ".{0,20}") {
            let _ = specificity(&pattern, &host);
        }
    }
}
