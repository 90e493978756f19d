//! Every certificate object of a tenant, with the virtual services and certificates that refer to it.

use std::collections::{BTreeSet, HashMap};

use certferry_core::inventory::{CertificateUser, HeldCertificate, HeldContent, HeldLeaf, Inventory, UserKind};
use certferry_core::{BundleName, ListenerName};
use serde_json::Value;

use super::certificate::{der, is_for_virtual_services};
use super::model::{is_own, list, name, reference, referred, text, texts, uuid};
use super::observe::{Names, observation};
use super::tenant::Tenant;

/// All certificate objects that this user sees, by name.
pub(super) fn inventory(tenant: &Tenant, configured: &BTreeSet<ListenerName>) -> Inventory {
    let mut users = users(tenant);
    let names = Names::of(tenant);
    let mut certificates: Vec<HeldCertificate> = tenant
        .certificates
        .iter()
        .map(|certificate| {
            let mut users = uuid(certificate).and_then(|id| users.remove(id)).unwrap_or_default();
            users.sort();
            HeldCertificate {
                name: match is_for_virtual_services(certificate) {
                    true => names.bundle(certificate),
                    false => BundleName::observed(name(certificate)),
                },
                id: None,
                content: content(certificate),
                users,
                is_marked: is_own(certificate),
            }
        })
        .collect();
    certificates.sort_by(|one, other| one.name.cmp(&other.name));
    Inventory { observation: observation(tenant, configured, None), certificates, unseen_users: Some(UNSEEN) }
}

fn content(certificate: &Value) -> HeldContent {
    if text(certificate, "type") == Some("SSL_CERTIFICATE_TYPE_CA") {
        return HeldContent::Authorities;
    }
    match der(certificate).map(|der| HeldLeaf::from_der(&der)) {
        Some(Ok(leaf)) => HeldContent::Leaf(Box::new(leaf)),
        Some(Err(error)) => HeldContent::Other(error.to_string()),
        None if certificate
            .get("certificate")
            .is_some_and(|one| text(one, "certificate_signing_request").is_some()) =>
        {
            HeldContent::Other("a CSR that waits for its certificate".to_owned())
        }
        None => HeldContent::Other("it holds no certificate".to_owned()),
    }
}

/// Who refers to the object with a uuid: virtual services to what they serve, certificates to their issuers.
fn users(tenant: &Tenant) -> HashMap<String, Vec<CertificateUser>> {
    let mut users: HashMap<String, Vec<CertificateUser>> = HashMap::new();
    for service in tenant.virtual_services.iter() {
        let user = CertificateUser { kind: UserKind::VirtualService, name: name(service).to_owned() };
        for id in texts(service, "ssl_key_and_certificate_refs").filter_map(referred) {
            users.entry(id.to_owned()).or_default().push(user.clone());
        }
    }
    for certificate in tenant.certificates.iter() {
        let user = CertificateUser { kind: UserKind::Certificate, name: name(certificate).to_owned() };
        for id in list(certificate, "ca_certs").iter().filter_map(|link| reference(link, "ca_ref")) {
            users.entry(id.to_owned()).or_default().push(user.clone());
        }
    }
    users
}

/// None of these is in the role that `certferry policy` prints.
const UNSEEN: &str = "pools, PKI profiles, GSLB and the controller's own portal may refer to certificates too, and are not \
                      looked at; the controller refuses to delete what something refers to";

#[cfg(test)]
mod tests {
    use certferry_lab::pki::Pki;
    use serde_json::json;

    use super::*;

    #[test]
    fn users_are_virtual_services_and_the_certificates_of_an_issuer() {
        let issued = Pki::new().unwrap().issue(&["www.some-domain.com"], 30).unwrap();
        let pem = json!({"certificate": issued.chain_pem});
        let tenant = Tenant {
            certificates: vec![
                json!({"uuid": "w", "name": "www", "certificate": pem, "created_by": "certferry",
                    "ca_certs": [{"ca_ref": "/api/sslkeyandcertificate/ca"}]}),
                json!({"uuid": "ca", "name": "issuer", "type": "SSL_CERTIFICATE_TYPE_CA", "certificate": pem}),
                json!({"uuid": "t1", "name": "twice", "certificate": pem}),
                json!({"uuid": "t2", "name": "twice", "certificate": pem}),
                json!({"uuid": "csr", "name": "waiting", "certificate": {"certificate_signing_request": "x"}}),
                json!({"uuid": "none", "name": "a-nothing"}),
            ]
            .into(),
            virtual_services: vec![json!({"uuid": "vs", "name": "shop", "services": [{"port": 443, "enable_ssl": true}],
                "ssl_key_and_certificate_refs": ["https://avi/api/sslkeyandcertificate/w#www", "/api/sslkeyandcertificate/t2"]})]
            .into(),
            ..Tenant::default()
        };
        let seen = inventory(&tenant, &BTreeSet::new());
        let rows: Vec<(&str, String, bool)> = seen
            .certificates
            .iter()
            .map(|one| {
                let users: Vec<String> = one.users.iter().map(ToString::to_string).collect();
                (one.name.as_str(), users.join(", "), one.is_marked)
            })
            .collect();
        let none = String::new;
        assert_eq!(
            rows,
            [
                ("a-nothing", none(), false),
                ("issuer", "certificate `www`".to_owned(), false),
                ("t1", none(), false),
                ("t2", "virtual service `shop`".to_owned(), false),
                ("waiting", none(), false),
                ("www", "virtual service `shop`".to_owned(), true),
            ]
        );
        assert_eq!(seen.certificates[1].content, HeldContent::Authorities);
        assert!(matches!(&seen.certificates[4].content, HeldContent::Other(why) if why.contains("CSR")));
        // The names by which plans know them, so that a listener's bundle is found among them.
        let bound = &seen.observation.listeners["shop"].bundles;
        assert_eq!(bound.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["www", "t2"]);
    }
}
