//! Every bundle of a load balancer, with what refers to it.

use certferry_core::BundleName;
use certferry_core::inventory::{CertificateUser, HeldCertificate, HeldContent, HeldLeaf, Inventory, UserKind};
use serde_json::Value;

use super::bundle::leaf_der;
use super::model::{Collection, ssl, text};
use super::observe::observation;

/// All bundles, by name. Everything that can refer to one is part of the load balancer.
pub(super) fn inventory(load_balancer: &Value) -> Inventory {
    let bundles = Collection::Certificates.all(load_balancer);
    let mut certificates: Vec<HeldCertificate> = bundles
        .map(|(name, bundle)| HeldCertificate {
            name: BundleName::observed(name),
            content: content(bundle),
            users: users(load_balancer, name),
            is_marked: false,
        })
        .collect();
    certificates.sort_by(|one, other| one.name.cmp(&other.name));
    Inventory { observation: observation(load_balancer, None), certificates, unseen_users: None }
}

fn content(bundle: &Value) -> HeldContent {
    match (leaf_der(bundle).map(|der| HeldLeaf::from_der(&der)), text(bundle, "publicCertificate")) {
        (Some(Ok(leaf)), _) => HeldContent::Leaf(Box::new(leaf)),
        (Some(Err(error)), _) => HeldContent::Other(error.to_string()),
        (None, Some(_)) => HeldContent::Other("its publicCertificate is no PEM".to_owned()),
        (None, None) if text(bundle, "caCertificate").is_some() => HeldContent::Authorities,
        (None, None) => HeldContent::Other("it is empty".to_owned()),
    }
}

fn users(load_balancer: &Value, bundle: &str) -> Vec<CertificateUser> {
    let kinds = [(Collection::BackendSets, UserKind::BackendSet), (Collection::Listeners, UserKind::Listener)];
    let objects = kinds
        .into_iter()
        .flat_map(|(collection, kind)| collection.all(load_balancer).map(move |(name, object)| (kind, name, object)));
    let refers = |object: &Value| ssl(object).and_then(|ssl| text(ssl, "certificateName")) == Some(bundle);
    let mut users: Vec<CertificateUser> = objects
        .filter(|(_, _, object)| refers(object))
        .map(|(kind, name, _)| CertificateUser { kind, name: name.to_owned() })
        .collect();
    users.sort();
    users
}

#[cfg(test)]
mod tests {
    use certferry_lab::pki::Pki;
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_authorities_and_what_is_neither_are_told_apart() {
        let issued = Pki::new().unwrap().issue(&["www.some-domain.com"], 30).unwrap();
        let broken = pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2]));
        let seen = inventory(&json!({
            "certificates": {
                "zz-unused": {"publicCertificate": issued.chain_pem},
                "served": {"publicCertificate": issued.chain_pem, "caCertificate": "x"},
                "peers": {"publicCertificate": null, "caCertificate": issued.chain_pem},
                "broken": {"publicCertificate": broken}, "text": {"publicCertificate": "hello"}, "empty": {}},
            "listeners": {"https": {"port": 443, "sslConfiguration": {"certificateName": "served"}},
                "b": {"port": 444, "sslConfiguration": {"certificateName": "served"}}, "http": {"port": 80}},
            "backendSets": {"app": {"sslConfiguration": {"certificateName": "peers"}}},
        }));
        let names: Vec<&str> = seen.certificates.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["broken", "empty", "peers", "served", "text", "zz-unused"]);
        let of = |name: &str| seen.certificates.iter().find(|one| one.name.as_str() == name).unwrap();
        assert_eq!(of("peers").content, HeldContent::Authorities);
        let users = |name: &str| of(name).users.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(users("peers"), ["backend set `app`"]);
        assert_eq!(users("served"), ["listener `b`", "listener `https`"]);
        assert!(users("zz-unused").is_empty());
        for name in ["broken", "text", "empty"] {
            assert!(matches!(of(name).content, HeldContent::Other(_)), "{name}");
        }
        let HeldContent::Leaf(leaf) = &of("served").content else { panic!("a leaf") };
        assert_eq!((leaf.key.as_str(), leaf.facts.names.len()), ("ecdsa-p256", 1));
        assert_eq!(seen.observation.listeners.len(), 3);
    }
}
