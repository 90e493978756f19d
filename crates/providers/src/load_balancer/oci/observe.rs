//! What a load balancer's JSON says, in the words that all load balancers share.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use certferry_core::observed::{AcceptedKeys, BoundBundle, Holds, ListenerObservation, Observation, Unfit};
use certferry_core::{BundleName, DnsName, ListenerName, Sha256};
use serde_json::Value;

use super::bundle::leaf_der;
use super::cipher_suite;
use super::config::Http01Config;
use super::http01;
use super::model::{Collection, addresses, port, ssl, text, texts};

/// Reads all that matters. What has no place in the shared words (a listener without a port) is left out.
pub(super) fn observation(load_balancer: &Value, http01: Option<&Http01Config>) -> Observation {
    let listeners = Collection::Listeners.all(load_balancer).filter_map(|(name, listener)| {
        Some((name.parse::<ListenerName>().ok()?, observe_listener(load_balancer, listener)?))
    });
    Observation {
        listeners: listeners.collect(),
        backend_sets: Collection::BackendSets
            .all(load_balancer)
            .filter_map(|(name, set)| Some((name.to_owned(), bundle_of(ssl(set)?)?)))
            .collect(),
        bundles: bundles(load_balancer),
        http01: http01.map(|config| http01::observation(load_balancer, config)),
        addresses: addresses(load_balancer),
        floating: BTreeMap::new(),
    }
}

fn observe_listener(load_balancer: &Value, listener: &Value) -> Option<ListenerObservation> {
    let port = port(listener)?;
    let ssl = ssl(listener);
    let bundle = ssl.and_then(bundle_of);
    let unfit = match ssl.map(|ssl| texts(ssl, "certificateIds")).as_deref() {
        Some([id, ..]) if bundle.is_none() => Some(Unfit {
            what: format!("it serves certificate {id} of the Certificates service"),
            fix: "give the listener a certificate bundle of the load balancer's own (certificateName) once; certferry \
                  does not replace certificates of the Certificates service yet"
                .to_owned(),
        }),
        _ => None,
    };
    Some(ListenerObservation {
        tls: ssl.is_some(),
        bundles: bundle.map(BoundBundle::only).into_iter().collect(),
        holds: Holds::One,
        unfit,
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

fn bundle_of(ssl: &Value) -> Option<BundleName> {
    text(ssl, "certificateName").map(BundleName::observed)
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
        let seen = observation(&load_balancer, None);
        let listener = |name: &str| seen.listeners.get(name).unwrap();
        assert_eq!(seen.listeners.len(), 3);
        let https = listener("https");
        assert_eq!(https.bundles, [BoundBundle::only(BundleName::observed("old"))]);
        assert_eq!(https.accepts, AcceptedKeys { ecdsa: false, rsa: true, suite: "mine".to_owned() });
        assert_eq!(https.server_names, ["www.some-domain.com".parse().unwrap()]);
        assert_eq!(https.addresses, ["203.0.113.10:443".parse().unwrap(), "[2001:db8::1]:443".parse().unwrap()]);
        assert!(https.tls && https.unfit.is_none());
        assert!(listener("held").unfit.as_ref().unwrap().what.contains("ocid1.certificate.x"));
        assert!(listener("held").accepts.suite.contains("not known") && listener("held").bundles.is_empty());
        assert!(!listener("http").tls);
        assert_eq!(seen.backend_sets, BTreeMap::from([("app".to_owned(), BundleName::observed("old"))]));
        assert_eq!(seen.bundles[&BundleName::observed("old")], Some(Sha256::of(&[1, 2])));
        assert_eq!(seen.bundles[&BundleName::observed("ca-only")], None);
    }
}
