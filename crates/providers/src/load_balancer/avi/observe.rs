//! What a tenant's JSON says, in the words that all load balancers share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use certferry_core::observed::{AcceptedKeys, BoundBundle, Holds, ListenerObservation, Observation, Unfit};
use certferry_core::{BundleName, DnsName, ListenerName, Sha256};
use serde_json::Value;

use super::bind::{AMBIGUITY_HINT, ambiguity, bound, holder, is_evh, names as names_of, unfit};
use super::certificate::{der, family, is_for_virtual_services};
use super::config::Http01Config;
use super::http01;
use super::model::{flag, is_own, list, name, reference, text, uuid};
use super::resolve::{Resolved, host_patterns, resolve, terminates_tls, tls_ports};
use super::tenant::Tenant;

/// Reads all that matters. Virtual services stand under their names, and under the host names by which the config means
/// them.
pub(super) fn observation(
    tenant: &Tenant,
    configured: &BTreeSet<ListenerName>,
    http01: Option<&Http01Config>,
) -> Observation {
    let mut services: HashMap<&str, Vec<&Value>> = HashMap::new();
    for service in tenant.virtual_services.iter().filter(|service| !is_own(service)) {
        services.entry(name(service)).or_default().push(service);
    }
    let mut listeners: BTreeSet<ListenerName> = services.keys().filter_map(|name| name.parse().ok()).collect();
    listeners.extend(configured.iter().cloned());
    let names = Names::of(tenant);
    let mut floating = BTreeMap::new();
    let observed = listeners.into_iter().filter_map(|listener| {
        let resolved = match services.get(listener.as_str()).map(Vec::as_slice) {
            Some([one]) => Resolved::One(one),
            _ => resolve(tenant, listener.as_str()),
        };
        let observation = match resolved {
            Resolved::Nothing => return None,
            Resolved::One(service) => {
                floating.insert(listener.clone(), floating_addresses(tenant, service));
                observe_listener(tenant, service, &names)
            }
            Resolved::Ambiguous(several) => not_one(&several),
        };
        Some((listener, observation))
    });
    Observation {
        listeners: observed.collect(),
        backend_sets: BTreeMap::new(),
        bundles: bundles(tenant, &names),
        http01: http01.map(|config| http01::observation(tenant, config)),
        addresses: Vec::new(),
        floating,
    }
}

/// The addresses outside that are translated to those of a virtual service.
fn floating_addresses(tenant: &Tenant, service: &Value) -> Vec<IpAddr> {
    let Some(vs_vip) = tenant.root(service).and_then(|root| tenant.vs_vip(root)) else { return Vec::new() };
    let vips = list(vs_vip, "vip").iter().filter(|vip| flag(vip, "enabled", true));
    let address = |vip: &Value, key: &str| text(vip.get(key)?, "addr")?.parse::<IpAddr>().ok();
    vips.flat_map(|vip| ["floating_ip", "floating_ip6"].iter().filter_map(|key| address(vip, key))).collect()
}

/// The addresses at which clients reach a virtual service.
pub(super) fn addresses(tenant: &Tenant, service: &Value) -> Vec<IpAddr> {
    let Some(vs_vip) = tenant.root(service).and_then(|root| tenant.vs_vip(root)) else { return Vec::new() };
    let address = |vip: &Value, key: &str| text(vip.get(key)?, "addr")?.parse::<IpAddr>().ok();
    let vips = list(vs_vip, "vip").iter().filter(|vip| flag(vip, "enabled", true));
    let of_vip = |vip: &Value| {
        let own: Vec<IpAddr> = ["ip_address", "ip6_address"].iter().filter_map(|key| address(vip, key)).collect();
        if own.is_empty() { address(vip, "floating_ip").into_iter().collect() } else { own }
    };
    vips.flat_map(of_vip).collect()
}

/// Every address of a virtual service, inside and outside.
pub(super) fn all_addresses(tenant: &Tenant, service: &Value) -> Vec<IpAddr> {
    let Some(vs_vip) = tenant.root(service).and_then(|root| tenant.vs_vip(root)) else { return Vec::new() };
    let address = |vip: &Value, key: &str| text(vip.get(key)?, "addr")?.parse::<IpAddr>().ok();
    let keys = ["ip_address", "ip6_address", "floating_ip", "floating_ip6"];
    list(vs_vip, "vip").iter().flat_map(|vip| keys.iter().filter_map(|key| address(vip, key))).collect()
}

fn observe_listener(tenant: &Tenant, service: &Value, names: &Names<'_>) -> ListenerObservation {
    let addresses = addresses(tenant, service);
    let ports = tls_ports(tenant, service);
    let sockets = addresses.iter().flat_map(|address| ports.iter().map(|port| SocketAddr::new(*address, *port)));
    let holder = holder(tenant, service);
    let holds = if is_evh(holder) { Holds::Many } else { Holds::OnePerKeyFamily };
    let bound = bound(tenant, holder).map(|certificate| BoundBundle {
        name: names.bundle(certificate),
        family: family(certificate),
        // Only where they decide what is replaced: reading them takes parsing.
        names: if holds == Holds::Many { names_of(certificate) } else { Vec::new() },
    });
    ListenerObservation {
        tls: terminates_tls(tenant, service),
        bundles: bound.collect(),
        holds,
        unfit: unfit(tenant, service),
        accepts: accepts(service),
        server_names: server_names(service),
        addresses: sockets.collect(),
    }
}

fn not_one(several: &[String]) -> ListenerObservation {
    ListenerObservation {
        tls: false,
        bundles: Vec::new(),
        holds: Holds::OnePerKeyFamily,
        unfit: Some(Unfit { what: ambiguity(several), fix: AMBIGUITY_HINT.to_owned() }),
        accepts: AcceptedKeys { ecdsa: false, rsa: false, suite: "none".to_owned() },
        server_names: Vec::new(),
        addresses: Vec::new(),
    }
}

fn bundles(tenant: &Tenant, names: &Names<'_>) -> BTreeMap<BundleName, Option<Sha256>> {
    let certificates = tenant.certificates.iter().filter(|certificate| is_for_virtual_services(certificate));
    certificates.map(|certificate| (names.bundle(certificate), der(certificate).map(|der| Sha256::of(&der)))).collect()
}

/// Names are unique in a tenant, but a certificate of another tenant may be visible too: then the uuid says which.
pub(super) struct Names<'a>(HashMap<&'a str, u32>);

impl<'a> Names<'a> {
    pub(super) fn of(tenant: &'a Tenant) -> Self {
        let mut holders: HashMap<&str, u32> = HashMap::new();
        let certificates = tenant.certificates.iter().filter(|certificate| is_for_virtual_services(certificate));
        certificates.for_each(|certificate| *holders.entry(name(certificate)).or_default() += 1);
        Self(holders)
    }

    pub(super) fn bundle(&self, certificate: &Value) -> BundleName {
        let is_unique = self.0.get(name(certificate)) == Some(&1);
        BundleName::observed(if is_unique { name(certificate) } else { uuid(certificate).unwrap_or_default() })
    }
}

/// Every SSL profile that the controller takes has ciphers for both; which ones it really offers, a handshake tells.
fn accepts(service: &Value) -> AcceptedKeys {
    let profile = reference(service, "ssl_profile_ref").unwrap_or("default");
    AcceptedKeys { ecdsa: true, rsa: true, suite: format!("SSL profile {profile}") }
}

/// The names of a child. Where one of them is a pattern that is no DNS name (`www.*`), nothing is said.
fn server_names(service: &Value) -> Vec<DnsName> {
    let names: Option<Vec<DnsName>> = host_patterns(service).map(|pattern| pattern.parse().ok()).collect();
    names.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use certferry_core::KeyFamily;
    use certferry_lab::pki::{Pki, PkiKey};
    use serde_json::json;

    use super::*;

    fn certificate(id: &str, name: &str, created_by: &str, key: PkiKey) -> Value {
        let issued = Pki::new().unwrap().issue_with(&["www.some-domain.com"], 90, key).unwrap();
        json!({"uuid": id, "name": name, "created_by": created_by, "certificate": {"certificate": issued.chain_pem}})
    }

    fn tenant() -> Tenant {
        let both = ["/api/sslkeyandcertificate/ec", "/api/sslkeyandcertificate/rsa"];
        Tenant {
            certificates: vec![
                certificate("ec", "old-ec", "", PkiKey::Ecdsa),
                certificate("rsa", "old-rsa", "", PkiKey::Rsa),
                json!({"uuid": "csr", "name": "waiting", "certificate": {"certificate_signing_request": "x"}}),
                json!({"uuid": "ca", "name": "issuer", "type": "SSL_CERTIFICATE_TYPE_CA"}),
            ].into(),
            virtual_services: vec![
                json!({"uuid": "vs", "name": "shop", "vsvip_ref": "/api/vsvip/vip", "ssl_key_and_certificate_refs": both,
                    "services": [{"port": 443, "enable_ssl": true}, {"port": 80}, {"port": 8443, "enable_ssl": true}]}),
                json!({"uuid": "p", "name": "parent", "type": "VS_TYPE_VH_PARENT", "vsvip_ref": "/api/vsvip/vip",
                    "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "c", "name": "child", "type": "VS_TYPE_VH_CHILD", "vh_parent_vs_ref": "/api/virtualservice/p",
                    "vh_domain_name": ["www.some-domain.com", "*.apps.some-domain.com"],
                    "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate/rsa"]}),
                json!({"uuid": "q", "name": "pattern", "type": "VS_TYPE_VH_CHILD", "vh_parent_vs_ref": "/api/virtualservice/p",
                    "vh_domain_name": ["www.*"]}),
                json!({"uuid": "off", "name": "off", "enabled": false, "services": [{"port": 443, "enable_ssl": true}]}),
                json!({"uuid": "t1", "name": "twice"}),
                json!({"uuid": "t2", "name": "twice"}),
                json!({"uuid": "own", "name": "shop-certferry-acme", "created_by": "certferry"}),
            ].into(),
            vs_vips: vec![json!({"uuid": "vip", "dns_info": [{"fqdn": "shop.some-domain.com"}], "vip": [
                {"ip_address": {"addr": "10.0.0.7", "type": "V4"}, "ip6_address": {"addr": "2001:db8::7"},
                    "floating_ip": {"addr": "203.0.113.7"}},
                {"enabled": false, "ip_address": {"addr": "10.0.0.8"}}]})].into(),
            ..Tenant::default()
        }
    }

    fn bound<'a>(seen: &'a Observation, listener: &str) -> Vec<&'a str> {
        seen.listeners[listener].bundles.iter().map(|bound| bound.name.as_str()).collect()
    }

    #[test]
    fn virtual_services_are_seen_as_listeners() {
        let seen = observation(&tenant(), &BTreeSet::new(), None);
        let listener = |name: &str| seen.listeners.get(name).unwrap();
        let names: Vec<&str> = seen.listeners.keys().map(ListenerName::as_str).collect();
        assert_eq!(names, ["child", "off", "parent", "pattern", "shop", "twice"]);
        let shop = listener("shop");
        let expected = ["10.0.0.7:443", "10.0.0.7:8443", "[2001:db8::7]:443", "[2001:db8::7]:8443"];
        assert_eq!(shop.addresses, expected.map(|address| address.parse().unwrap()));
        assert_eq!((shop.tls, bound(&seen, "shop"), &shop.unfit), (true, vec!["old-ec", "old-rsa"], &None));
        assert_eq!(seen.floating["shop"], ["203.0.113.7".parse::<IpAddr>().unwrap()]);
        let child = listener("child");
        let hosts: Vec<&str> = child.server_names.iter().map(DnsName::as_str).collect();
        assert_eq!(hosts, ["www.some-domain.com", "*.apps.some-domain.com"]);
        assert!(child.tls && child.addresses.len() == 2 && bound(&seen, "child") == ["old-rsa"]);
        assert!(listener("pattern").server_names.is_empty());
        assert!(listener("off").unfit.as_ref().unwrap().what.contains("disabled"));
        assert!(listener("twice").unfit.as_ref().unwrap().what.contains("more than one"));
    }

    #[test]
    fn bundles_are_certificates_of_virtual_services() {
        let mut tenant = tenant();
        tenant.certificates.push(certificate("shared", "old-rsa", "", PkiKey::Rsa));
        let seen = observation(&tenant, &BTreeSet::new(), None).bundles;
        let names: Vec<&str> = seen.keys().map(BundleName::as_str).collect();
        assert_eq!(names, ["old-ec", "rsa", "shared", "waiting"], "where a name is not unique, the uuid says which");
        assert_eq!(seen[&BundleName::observed("waiting")], None);
        assert!(seen[&BundleName::observed("old-ec")].is_some());
    }

    #[test]
    fn a_binding_takes_the_place_of_the_same_kind_of_key_or_of_the_same_names() {
        let mut tenant = tenant();
        let replaced = |tenant: &Tenant, listener: &str, family, name: &str| {
            let seen = observation(tenant, &BTreeSet::new(), None);
            let names = [name.parse().unwrap()];
            seen.listeners[listener].predecessor(family, &names).map(|name| name.as_str().to_owned())
        };
        const WWW: &str = "www.some-domain.com";
        assert_eq!(replaced(&tenant, "shop", KeyFamily::Rsa, "other.some-domain.com").as_deref(), Some("old-rsa"));
        assert_eq!(replaced(&tenant, "child", KeyFamily::Ecdsa, WWW), None, "nothing of that kind would be replaced");
        for service in [1, 2] {
            tenant.virtual_services[service]["vh_type"] = json!("VS_TYPE_VH_ENHANCED");
        }
        tenant.virtual_services[1]["ssl_key_and_certificate_refs"] = json!(["/api/x/ec", "/api/x/rsa"]);
        for listener in ["parent", "child"] {
            assert_eq!(replaced(&tenant, listener, KeyFamily::Rsa, WWW).as_deref(), Some("old-rsa"));
            assert_eq!(
                replaced(&tenant, listener, KeyFamily::Rsa, "new.some-domain.com"),
                None,
                "it comes beside them"
            );
        }
    }

    #[test]
    fn a_host_name_of_the_config_is_a_listener() {
        let mut tenant = tenant();
        tenant.virtual_services.retain(|service| name(service) != "parent");
        let configured = ["shop.some-domain.com", "nowhere"].map(|name| name.parse().unwrap()).into();
        let seen = observation(&tenant, &configured, None);
        assert_eq!(bound(&seen, "shop.some-domain.com"), ["old-ec", "old-rsa"]);
        assert!(!seen.listeners.contains_key("nowhere"));
    }
}
