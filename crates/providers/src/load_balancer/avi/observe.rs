//! What a tenant's JSON says, in the words that all load balancers share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use certferry_core::observed::{AcceptedKeys, ListenerObservation, Observation};
use certferry_core::{BundleName, DnsName, KeyFamily, ListenerName, Sha256};
use serde_json::Value;

use super::bind::{ambiguity, bound, certificate_named, holder, names, predecessor, reason};
use super::certificate::{der, family, is_for_virtual_services};
use super::config::{Deploy, Http01Config};
use super::http01;
use super::model::{flag, is_own, list, name, reference, text, uuid};
use super::resolve::{Resolved, host_patterns, resolve, terminates_tls, tls_ports};
use super::tenant::Tenant;

/// Reads all that matters. Virtual services stand under their names, and under the host names by which the config means
/// them.
pub(super) fn observation(
    tenant: &Tenant,
    deploys: &BTreeMap<ListenerName, Vec<Deploy>>,
    http01: Option<&Http01Config>,
) -> Observation {
    let mut services: HashMap<&str, Vec<&Value>> = HashMap::new();
    for service in tenant.virtual_services.iter().filter(|service| !is_own(service)) {
        services.entry(name(service)).or_default().push(service);
    }
    let mut listeners: BTreeSet<ListenerName> = services.keys().filter_map(|name| name.parse().ok()).collect();
    listeners.extend(deploys.keys().cloned());
    let observed = listeners.into_iter().filter_map(|listener| {
        let deploys = deploys.get(&listener).map_or(&[][..], Vec::as_slice);
        let resolved = match services.get(listener.as_str()).map(Vec::as_slice) {
            Some([one]) => Resolved::One(one),
            _ => resolve(tenant, listener.as_str()),
        };
        let observation = match resolved {
            Resolved::Nothing => return None,
            Resolved::One(service) => observe_listener(tenant, service, deploys),
            Resolved::Ambiguous(several) => not_one(&several),
        };
        Some((listener, observation))
    });
    Observation {
        listeners: observed.collect(),
        backend_sets: BTreeMap::new(),
        bundles: bundles(tenant),
        http01: http01.map(|config| http01::observation(tenant, config)),
    }
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

fn observe_listener(tenant: &Tenant, service: &Value, deploys: &[Deploy]) -> ListenerObservation {
    let addresses = addresses(tenant, service);
    let ports = tls_ports(tenant, service);
    let sockets = addresses.iter().flat_map(|address| ports.iter().map(|port| SocketAddr::new(*address, *port)));
    ListenerObservation {
        tls: terminates_tls(tenant, service),
        bundle: bundle_of(tenant, service, deploys)
            .map(|certificate| bundle_name(certificate, is_unique(tenant, certificate))),
        held_elsewhere: reason(tenant, service),
        accepts: accepts(service),
        server_names: server_names(service),
        addresses: sockets.collect(),
    }
}

fn not_one(several: &[String]) -> ListenerObservation {
    ListenerObservation {
        tls: false,
        bundle: None,
        held_elsewhere: Some(format!("nothing that could be told: {}", ambiguity(several))),
        accepts: AcceptedKeys { ecdsa: false, rsa: false, suite: "none".to_owned() },
        server_names: Vec::new(),
        addresses: Vec::new(),
    }
}

/// The certificate that the config's would replace, or the config's own when it is bound. Where the config says nothing:
/// certferry's own, else the one that the controller prefers (EC).
fn bundle_of<'a>(tenant: &'a Tenant, service: &'a Value, deploys: &[Deploy]) -> Option<&'a Value> {
    let holder = holder(tenant, service);
    let is_bound =
        |deploy: &Deploy| bound(tenant, holder).find(|one| is_own(one) && name(one) == deploy.bundle.as_str());
    if let Some(missing) = deploys.iter().find(|deploy| is_bound(deploy).is_none()) {
        let names = match certificate_named(tenant, missing.bundle.as_str()) {
            Some(certificate) => names(certificate),
            None => server_names(service),
        };
        return predecessor(tenant, holder, missing.family, &names);
    }
    if let Some(first) = deploys.first() {
        return is_bound(first);
    }
    let all = || bound(tenant, holder);
    let preferred = || all().find(|one| family(one) == Some(KeyFamily::Ecdsa));
    all().find(|one| is_own(one)).or_else(preferred).or_else(|| all().next())
}

fn bundles(tenant: &Tenant) -> BTreeMap<BundleName, Option<Sha256>> {
    let certificates = || tenant.certificates.iter().filter(|certificate| is_for_virtual_services(certificate));
    let mut holders: HashMap<&str, u32> = HashMap::new();
    certificates().for_each(|certificate| *holders.entry(name(certificate)).or_default() += 1);
    let named = |certificate: &Value| bundle_name(certificate, holders.get(name(certificate)) == Some(&1));
    certificates().map(|certificate| (named(certificate), der(certificate).map(|der| Sha256::of(&der)))).collect()
}

/// Names are unique in a tenant, but a certificate of another tenant may be visible too: then the uuid says which.
fn bundle_name(certificate: &Value, unique: bool) -> BundleName {
    BundleName::observed(if unique { name(certificate) } else { uuid(certificate).unwrap_or_default() })
}

fn is_unique(tenant: &Tenant, certificate: &Value) -> bool {
    certificate_named(tenant, name(certificate)).is_some_and(|one| uuid(one) == uuid(certificate))
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

    fn wanting(listener: &str, family: KeyFamily) -> BTreeMap<ListenerName, Vec<Deploy>> {
        let deploy = Deploy { bundle: BundleName::observed("cf-www"), family };
        BTreeMap::from([(listener.parse().unwrap(), vec![deploy])])
    }

    #[test]
    fn virtual_services_are_seen_as_listeners() {
        let seen = observation(&tenant(), &BTreeMap::new(), None);
        let listener = |name: &str| seen.listeners.get(name).unwrap();
        let names: Vec<&str> = seen.listeners.keys().map(ListenerName::as_str).collect();
        assert_eq!(names, ["child", "off", "parent", "pattern", "shop", "twice"]);
        let shop = listener("shop");
        let expected = ["10.0.0.7:443", "10.0.0.7:8443", "[2001:db8::7]:443", "[2001:db8::7]:8443"];
        assert_eq!(shop.addresses, expected.map(|address| address.parse().unwrap()));
        assert_eq!(
            (shop.tls, &shop.bundle, &shop.held_elsewhere),
            (true, &Some(BundleName::observed("old-ec")), &None)
        );
        let child = listener("child");
        let hosts: Vec<&str> = child.server_names.iter().map(DnsName::as_str).collect();
        assert_eq!(hosts, ["www.some-domain.com", "*.apps.some-domain.com"]);
        assert!(child.tls && child.addresses.len() == 2 && child.bundle == Some(BundleName::observed("old-rsa")));
        assert!(listener("pattern").server_names.is_empty());
        assert!(listener("off").held_elsewhere.as_deref().unwrap().contains("disabled"));
        assert!(listener("twice").held_elsewhere.as_deref().unwrap().contains("more than one"));
    }

    #[test]
    fn bundles_are_certificates_of_virtual_services() {
        let mut tenant = tenant();
        tenant.certificates.push(certificate("shared", "old-rsa", "", PkiKey::Rsa));
        let seen = observation(&tenant, &BTreeMap::new(), None).bundles;
        let names: Vec<&str> = seen.keys().map(BundleName::as_str).collect();
        assert_eq!(names, ["old-ec", "rsa", "shared", "waiting"], "where a name is not unique, the uuid says which");
        assert_eq!(seen[&BundleName::observed("waiting")], None);
        assert!(seen[&BundleName::observed("old-ec")].is_some());
    }

    #[test]
    fn the_bundle_is_the_one_that_the_configs_would_replace() {
        let mut tenant = tenant();
        let bundle = |tenant: &Tenant, listener: &str, family| {
            let seen = observation(tenant, &wanting(listener, family), None);
            seen.listeners[&listener.parse::<ListenerName>().unwrap()]
                .bundle
                .as_ref()
                .map(|name| name.as_str().to_owned())
        };
        assert_eq!(bundle(&tenant, "shop", KeyFamily::Rsa).as_deref(), Some("old-rsa"));
        assert_eq!(bundle(&tenant, "shop.some-domain.com", KeyFamily::Rsa), None, "several terminate TLS there");
        assert_eq!(bundle(&tenant, "child", KeyFamily::Ecdsa), None, "nothing of that kind would be replaced");
        tenant.certificates.push(certificate("cf", "cf-www", "certferry", PkiKey::Rsa));
        tenant.virtual_services[0]["ssl_key_and_certificate_refs"] = json!(["/api/x/ec", "/api/x/cf"]);
        assert_eq!(bundle(&tenant, "shop", KeyFamily::Rsa).as_deref(), Some("cf-www"));
    }

    #[test]
    fn a_host_name_of_the_config_is_a_listener() {
        let mut tenant = tenant();
        tenant.virtual_services.retain(|service| name(service) != "parent");
        let seen = observation(&tenant, &wanting("shop.some-domain.com", KeyFamily::Ecdsa), None);
        assert_eq!(seen.listeners["shop.some-domain.com"].bundle, Some(BundleName::observed("old-ec")));
        let seen = observation(&tenant, &wanting("nowhere", KeyFamily::Ecdsa), None);
        assert!(!seen.listeners.contains_key("nowhere"));
    }
}
