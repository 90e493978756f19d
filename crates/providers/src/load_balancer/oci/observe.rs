//! What a load balancer's JSON says, in the words that all load balancers share.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use certferry_core::observed::{AcceptedKeys, BoundBundle, Holds, ListenerObservation, Observation};
use certferry_core::{BundleName, DnsName, ListenerName, Sha256};
use serde_json::Value;

use super::bundle::leaf_der;
use super::certificates_service::Holdings;
use super::cipher_suite;
use super::config::Http01Config;
use super::http01;
use super::model::{Collection, Reference, addresses, port, ssl, text, texts};

/// Reads all that matters. What has no place in the shared words (a listener without a port) is left out.
///
/// Certificates of the Certificates service are bundles too: certferry's own, in `holdings`, by their names, and others that
/// something here refers to by their OCIDs.
pub(super) fn observation(load_balancer: &Value, http01: Option<&Http01Config>, holdings: &Holdings) -> Observation {
    let listeners = Collection::Listeners.all(load_balancer).filter_map(|(name, listener)| {
        Some((name.parse::<ListenerName>().ok()?, observe_listener(load_balancer, listener, holdings)?))
    });
    let backend_sets = Collection::BackendSets
        .all(load_balancer)
        .filter_map(|(name, set)| Some((name.to_owned(), bundle_of(ssl(set)?, holdings)?)));
    let mut bundles = bundles(load_balancer);
    bundles.extend(holdings.bundles());
    for id in referred_certificates(load_balancer) {
        if !holdings.own().iter().any(|certificate| certificate.id == id) {
            bundles.entry(BundleName::observed(id)).or_insert(None);
        }
    }
    Observation {
        listeners: listeners.collect(),
        backend_sets: backend_sets.collect(),
        bundles,
        http01: http01.map(|config| http01::observation(load_balancer, config)),
        addresses: addresses(load_balancer),
        floating: BTreeMap::new(),
    }
}

/// OCIDs of the certificates of the Certificates service that something refers to.
pub(super) fn referred_certificates(load_balancer: &Value) -> BTreeSet<&str> {
    let kinds = [Collection::Listeners, Collection::BackendSets].into_iter();
    let objects = kinds.flat_map(|kind| kind.all(load_balancer)).filter_map(|(_, object)| ssl(object));
    let certificate = |reference| match reference {
        Reference::Certificate(id) => Some(id),
        Reference::Bundle(_) => None,
    };
    objects.filter_map(Reference::of).filter_map(certificate).collect()
}

fn observe_listener(load_balancer: &Value, listener: &Value, holdings: &Holdings) -> Option<ListenerObservation> {
    let port = port(listener)?;
    let ssl = ssl(listener);
    let bundle = ssl.and_then(|ssl| bundle_of(ssl, holdings));
    Some(ListenerObservation {
        tls: ssl.is_some(),
        bundles: bundle.map(BoundBundle::only).into_iter().collect(),
        holds: Holds::One,
        unfit: None,
        accepts: accepts(load_balancer, ssl),
        server_names: server_names(load_balancer, listener),
        addresses: addresses(load_balancer).into_iter().map(|address| SocketAddr::new(address, port)).collect(),
    })
}

fn accepts(load_balancer: &Value, ssl: Option<&Value>) -> AcceptedKeys {
    match ssl {
        Some(ssl) => cipher_suite::accepted(load_balancer, cipher_suite::name_of(ssl), &texts(ssl, "protocols")),
        None => AcceptedKeys { ecdsa: false, rsa: false, suite: "none".to_owned() },
    }
}

fn bundle_of(ssl: &Value, holdings: &Holdings) -> Option<BundleName> {
    Some(match Reference::of(ssl)? {
        Reference::Bundle(name) => BundleName::observed(name),
        Reference::Certificate(id) => holdings.name_of(id),
    })
}

/// A listener names hostname objects; each holds one host name. Patterns that are no DNS names (`www.*`) are left out.
fn server_names(load_balancer: &Value, listener: &Value) -> Vec<DnsName> {
    let hostnames = load_balancer.get("hostnames");
    let host = |name| text(hostnames?.get(name)?, "hostname")?.parse().ok();
    texts(listener, "hostnameNames").into_iter().filter_map(host).collect()
}

fn bundles(load_balancer: &Value) -> BTreeMap<BundleName, Option<Sha256>> {
    let bundles = Collection::Certificates.all(load_balancer);
    bundles
        .map(|(name, certificate)| (BundleName::observed(name), leaf_der(certificate).map(|der| Sha256::of(&der))))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn listeners_bundles_and_backend_sets_are_seen() {
        let load_balancer = json!({
            "ipAddresses": [{"ipAddress": "203.0.113.10", "isPublic": true}, {"ipAddress": "2001:db8::1"}, {"ipAddress": null}],
            "certificates": {"old": {"publicCertificate": pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2]))},
                "ca-only": {"publicCertificate": null, "caCertificate": "x"}},
            "hostnames": {"www": {"hostname": "www.some-domain.com"}, "odd": {"hostname": "www.*"}},
            "sslCipherSuites": {"mine": {"ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"]}},
            "backendSets": {"app": {"sslConfiguration": {"certificateName": "old"}}, "plain": {"sslConfiguration": null}},
            "listeners": {
                "https": {"port": 443, "hostnameNames": ["www", "odd", "gone"],
                    "sslConfiguration": {"certificateName": "old", "cipherSuiteName": "mine", "protocols": ["TLSv1.2"]}},
                "held": {"port": 444, "sslConfiguration": {"certificateName": null, "certificateIds": ["ocid1.certificate.x"]}},
                "http": {"port": 80, "sslConfiguration": null},
                "broken": {"port": "x"}},
        });
        let seen = observation(&load_balancer, None, &Holdings::default());
        let listener = |name: &str| seen.listeners.get(name).unwrap();
        assert_eq!(seen.listeners.len(), 3);
        let https = listener("https");
        assert_eq!(https.bundles, [BoundBundle::only(BundleName::observed("old"))]);
        assert_eq!(https.accepts, AcceptedKeys { ecdsa: false, rsa: true, suite: "mine".to_owned() });
        assert_eq!(https.server_names, ["www.some-domain.com".parse().unwrap()]);
        assert_eq!(https.addresses, ["203.0.113.10:443".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap()]);
        assert!(https.tls && https.unfit.is_none());
        let foreign = BundleName::observed("ocid1.certificate.x");
        assert_eq!(listener("held").bundles, [BoundBundle::only(foreign.clone())]);
        assert!(listener("held").accepts.suite.contains("not known") && listener("held").unfit.is_none());
        assert_eq!(seen.bundles[&foreign], None);
        assert!(!listener("http").tls);
        assert_eq!(seen.backend_sets, BTreeMap::from([("app".to_owned(), BundleName::observed("old"))]));
        assert_eq!(seen.bundles[&BundleName::observed("old")], Some(Sha256::of(&[1, 2])));
        assert_eq!(seen.bundles[&BundleName::observed("ca-only")], None);
    }
}
