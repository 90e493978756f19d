//! Every bundle of a load balancer, with what refers to it.

use std::collections::{BTreeMap, BTreeSet};

use certferry_core::inventory::{CertificateUser, HeldCertificate, HeldContent, HeldLeaf, Inventory, UserKind};
use certferry_core::{BundleName, Error};
use serde_json::Value;

use super::bundle::leaf_der;
use super::certificates_service::Holdings;
use super::model::{Collection, Reference, ssl, text};
use super::observe::{observation, referred_certificates};

/// All bundles, by name, and the certificates of the Certificates service that certferry made or that something refers to,
/// with their `leaves` by OCID. Everything that can refer to one here is part of the load balancer.
pub(super) fn inventory(
    load_balancer: &Value,
    holdings: &Holdings,
    leaves: &BTreeMap<String, Result<Vec<u8>, Error>>,
) -> Inventory {
    let bundles = Collection::Certificates.all(load_balancer).map(|(name, bundle)| HeldCertificate {
        name: BundleName::observed(name),
        id: None,
        content: content(bundle),
        users: users(load_balancer, Reference::Bundle(name)),
        is_marked: false,
    });
    let certificates = certificate_ids(load_balancer, holdings).into_iter().map(|id| HeldCertificate {
        name: holdings.name_of(&id),
        content: leaf_of(leaves.get(&id)),
        users: users(load_balancer, Reference::Certificate(&id)),
        is_marked: holdings.own().iter().any(|own| own.id == id),
        id: Some(id),
    });
    let mut certificates: Vec<HeldCertificate> = bundles.chain(certificates).collect();
    certificates.sort_by(|one, other| one.name.cmp(&other.name));
    let unseen_users = (!holdings.own().is_empty()).then_some(UNSEEN);
    Inventory { observation: observation(load_balancer, None, holdings), certificates, unseen_users }
}

/// OCIDs of the certificates of the Certificates service that belong into an inventory.
pub(super) fn certificate_ids(load_balancer: &Value, holdings: &Holdings) -> BTreeSet<String> {
    let own = holdings.own().iter().map(|certificate| certificate.id.clone());
    own.chain(referred_certificates(load_balancer).into_iter().map(str::to_owned)).collect()
}

fn leaf_of(leaf: Option<&Result<Vec<u8>, Error>>) -> HeldContent {
    match leaf {
        Some(Ok(der)) => match HeldLeaf::from_der(der) {
            Ok(leaf) => HeldContent::Leaf(Box::new(leaf)),
            Err(error) => HeldContent::Other(error.to_string()),
        },
        Some(Err(error)) => HeldContent::Other(error.to_string()),
        None => HeldContent::Other(
            "it is in the Certificates service, which is read with `hold: certificates-service`".to_owned(),
        ),
    }
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

fn users(load_balancer: &Value, reference: Reference<'_>) -> Vec<CertificateUser> {
    let kinds = [(Collection::BackendSets, UserKind::BackendSet), (Collection::Listeners, UserKind::Listener)];
    let objects = kinds
        .into_iter()
        .flat_map(|(collection, kind)| collection.all(load_balancer).map(move |(name, object)| (kind, name, object)));
    let refers = |object: &Value| ssl(object).and_then(Reference::of) == Some(reference);
    let mut users: Vec<CertificateUser> = objects
        .filter(|(_, _, object)| refers(object))
        .map(|(kind, name, _)| CertificateUser { kind, name: name.to_owned() })
        .collect();
    users.sort();
    users
}

const UNSEEN: &str = "other load balancers and API gateways may have certificates of the Certificates service too, and are not \
                      looked at; the service refuses to delete what something refers to";

#[cfg(test)]
mod tests {
    use certferry_lab::pki::Pki;
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_authorities_and_what_is_neither_are_told_apart() {
        let issued = Pki::new().unwrap().issue(&["www.some-domain.com"], 30).unwrap();
        let broken = pem::encode(&pem::Pem::new("CERTIFICATE", vec![1, 2]));
        let load_balancer = json!({
            "certificates": {
                "zz-unused": {"publicCertificate": issued.chain_pem},
                "served": {"publicCertificate": issued.chain_pem, "caCertificate": "x"},
                "peers": {"publicCertificate": null, "caCertificate": issued.chain_pem},
                "broken": {"publicCertificate": broken}, "text": {"publicCertificate": "hello"}, "empty": {}},
            "listeners": {"https": {"port": 443, "sslConfiguration": {"certificateName": "served"}},
                "b": {"port": 444, "sslConfiguration": {"certificateName": "served"}}, "http": {"port": 80}},
            "backendSets": {"app": {"sslConfiguration": {"certificateName": "peers"}},
                "other": {"sslConfiguration": {"certificateIds": ["ocid1.certificate.x"]}}},
        });
        let seen = inventory(&load_balancer, &Holdings::default(), &BTreeMap::new());
        let names: Vec<&str> = seen.certificates.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["broken", "empty", "ocid1.certificate.x", "peers", "served", "text", "zz-unused"]);
        let of = |name: &str| seen.certificates.iter().find(|one| one.name.as_str() == name).unwrap();
        assert_eq!(of("peers").content, HeldContent::Authorities);
        let users = |name: &str| of(name).users.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(users("peers"), ["backend set `app`"]);
        assert_eq!(users("ocid1.certificate.x"), ["backend set `other`"]);
        assert_eq!(users("served"), ["listener `b`", "listener `https`"]);
        assert!(users("zz-unused").is_empty());
        for name in ["broken", "text", "empty", "ocid1.certificate.x"] {
            assert!(matches!(of(name).content, HeldContent::Other(_)), "{name}");
        }
        let HeldContent::Leaf(leaf) = &of("served").content else { panic!("a leaf") };
        assert_eq!((leaf.key.as_str(), leaf.facts.names.len()), ("ecdsa-p256", 1));
        assert_eq!(seen.observation.listeners.len(), 3);
    }
}
