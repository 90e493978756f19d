//! Certificate objects: what is there, and what to create or replace so that it holds a bundle.

use certferry_core::port::Bundle;
use certferry_core::{ErrorKind, KeyFamily, LeafFacts, Secret, Sha256};
use http::Method;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::bind::{bound, is_evh};
use super::change::{Change, Decision, Problem};
use super::key_request;
use super::model::{Collection, OWNER, is_own, list, name, path_of, reference, text, uuid};
use super::tenant::Tenant;
use crate::load_balancer::pair;
use crate::load_balancer::secret_body::secret_body;

/// The leaf of a certificate object; `None` while it has none (a CSR that waits) or one that does not parse.
pub(super) fn leaf(certificate: &Value) -> Option<LeafFacts> {
    LeafFacts::from_der(&der(certificate)?).ok()
}

/// The first certificate in the object's PEM.
pub(super) fn der(certificate: &Value) -> Option<Vec<u8>> {
    let blocks = pem::parse_many(text(certificate.get("certificate")?, "certificate")?).ok()?;
    blocks.into_iter().find(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents)
}

/// The kind of its key, which decides what it can stand beside.
pub(super) fn family(certificate: &Value) -> Option<KeyFamily> {
    match certificate.get("key_params").and_then(|params| text(params, "algorithm")) {
        Some("SSL_KEY_ALGORITHM_EC") => Some(KeyFamily::Ecdsa),
        Some("SSL_KEY_ALGORITHM_RSA") => Some(KeyFamily::Rsa),
        _ => leaf(certificate)?.key_family,
    }
}

/// Whether it is for virtual services, and not a CA's or the controller's own.
pub(super) fn is_for_virtual_services(certificate: &Value) -> bool {
    matches!(text(certificate, "type"), None | Some("SSL_CERTIFICATE_TYPE_VIRTUALSERVICE"))
}

/// The next change until the object `bundle.name` holds the bundle: issuers that are missing are imported, then the leaf is
/// created, or put in place of the one before it. Finally issuers that certferry imported and nothing needs are removed.
pub(super) fn upload(tenant: &Tenant, bundle: &Bundle) -> Decision {
    let bundle_name = bundle.name.as_str();
    let existing = tenant.certificates.iter().find(|certificate| name(certificate) == bundle_name);
    let operation = if existing.is_some() { Method::PUT } else { Method::POST };
    let problem = |said: String, hint: &str| Problem {
        kind: ErrorKind::Invalid,
        operation: format!("{operation} {}", Collection::Certificates.key()),
        object: Collection::Certificates.object(bundle_name),
        said,
        hint: hint.to_owned(),
    };
    if let Some(existing) = existing {
        if !is_own(existing) {
            return Err(problem(
                format!(
                    "a certificate of that name is there that certferry did not make (created_by is not `{OWNER}`)"
                ),
                "certferry does not overwrite it; rename it, or the certificate in the config",
            ));
        }
        if holds(tenant, existing, bundle) {
            return Ok(unused_issuer(tenant));
        }
        if let Some((service, other)) = in_the_way(tenant, existing, bundle) {
            let said = format!("virtual service `{service}` has `{other}` with that kind of key already");
            return Err(problem(said, "take that one off it, or keep the key type of the certificate"));
        }
    }
    let fits = match &bundle.private_key {
        Some(key) => pair::check(&bundle.chain, key),
        None => key_request::check_key(existing, bundle),
    };
    fits.map_err(|said| problem(said, "the pair cannot be served; issue the certificate again"))?;
    if bundle.chain.leaf().common_name.is_none() {
        return Err(problem(
            "the certificate has no common name, without which the controller does not import it".to_owned(),
            "choose a profile that keeps the common name (Let's Encrypt: `profile: classic`)",
        ));
    }
    if let Some(issuer) = bundle.chain.certificates()[1..].iter().find(|der| issuer_object(tenant, der).is_none()) {
        return Ok(Some(import_issuer(issuer)));
    }
    let Some(key) = &bundle.private_key else {
        return Ok(existing.and_then(|existing| key_request::signed(existing, bundle, &links(tenant, bundle))));
    };
    let body = object_body(tenant, existing, bundle, key).map_err(|error| problem(error.to_string(), "report this"))?;
    Ok(Some(Change {
        method: operation,
        collection: Collection::Certificates,
        uuid: existing.and_then(uuid).map(str::to_owned),
        object: Collection::Certificates.object(bundle_name),
        body: Some(body),
    }))
}

/// A virtual service with two certificates, and its other one, which has the kind of key that the new content would bring:
/// it serves one of each kind.
fn in_the_way<'a>(tenant: &'a Tenant, existing: &Value, bundle: &Bundle) -> Option<(&'a str, &'a str)> {
    let kind = bundle.chain.leaf().key_family?;
    if family(existing) == Some(kind) {
        return None;
    }
    let id = uuid(existing)?;
    let users = tenant.virtual_services.iter().filter(|service| !is_evh(service));
    users.filter(|service| bound(tenant, service).any(|one| uuid(one) == Some(id))).find_map(|service| {
        let other = bound(tenant, service).find(|one| uuid(one) != Some(id) && family(one) == Some(kind))?;
        Some((name(service), name(other)))
    })
}

/// The removal of an object that certferry made; none when it is gone already. Then issuers that nothing needs go too.
pub(super) fn delete(tenant: &Tenant, bundle: &str) -> Decision {
    let Some(existing) = tenant.certificates.iter().find(|certificate| name(certificate) == bundle) else {
        return Ok(unused_issuer(tenant));
    };
    let problem = |kind, said: String, hint: &str| {
        Err(Problem {
            kind,
            operation: format!("DELETE {}", Collection::Certificates.key()),
            object: Collection::Certificates.object(bundle),
            said,
            hint: hint.to_owned(),
        })
    };
    if !is_own(existing) {
        let said = "certferry did not make it".to_owned();
        return problem(ErrorKind::Invalid, said, "remove it by hand if nothing needs it");
    }
    let Some(id) = uuid(existing) else { return Ok(None) };
    let refers = |service: &&Value| {
        super::model::texts(service, "ssl_key_and_certificate_refs").any(|one| super::model::referred(one) == Some(id))
    };
    let users: Vec<String> = tenant
        .virtual_services
        .iter()
        .filter(refers)
        .map(|one| Collection::VirtualServices.object(name(one)))
        .collect();
    if !users.is_empty() {
        return problem(
            ErrorKind::Conflict,
            format!("it is in use by {}", users.join(", ")),
            "bind another certificate there first",
        );
    }
    Ok(Some(Change::delete(Collection::Certificates, id, bundle)))
}

/// Whether an object holds the bundle: its leaf, and links to its issuers.
fn holds(tenant: &Tenant, existing: &Value, bundle: &Bundle) -> bool {
    let linked: Vec<Sha256> = list(existing, "ca_certs")
        .iter()
        .filter_map(|link| der(tenant.certificate(reference(link, "ca_ref")?)?))
        .map(|der| Sha256::of(&der))
        .collect();
    let issuers = &bundle.chain.certificates()[1..];
    der(existing).as_deref() == Some(bundle.chain.leaf_der())
        && issuers.iter().all(|issuer| linked.contains(&Sha256::of(issuer)))
}

/// The CA object with that content, whatever its name: the controller itself keeps each CA certificate once.
fn issuer_object<'a>(tenant: &'a Tenant, issuer: &[u8]) -> Option<&'a Value> {
    tenant.certificates.iter().filter(|object| is_issuer(object)).find(|object| der(object).as_deref() == Some(issuer))
}

fn is_issuer(object: &Value) -> bool {
    text(object, "type") == Some("SSL_CERTIFICATE_TYPE_CA")
}

fn import_issuer(der: &[u8]) -> Change {
    let name = format!("{ISSUER_PREFIX}{}", &Sha256::of(der).to_string()[..16]);
    let pem = pem::encode_config(&pem::Pem::new("CERTIFICATE", der), pem_lines());
    let body = json!({"name": name, "type": "SSL_CERTIFICATE_TYPE_CA", "certificate": {"certificate": pem},
        "created_by": OWNER});
    Change::create(Collection::Certificates, &name, &body)
}

/// An issuer that certferry imported and no certificate links to.
fn unused_issuer(tenant: &Tenant) -> Option<Change> {
    let linked = |id: &str| {
        let links = tenant.certificates.iter().flat_map(|certificate| list(certificate, "ca_certs"));
        links.into_iter().any(|link| reference(link, "ca_ref") == Some(id))
    };
    let unused = tenant.certificates.iter().find(|object| {
        is_issuer(object)
            && is_own(object)
            && name(object).starts_with(ISSUER_PREFIX)
            && uuid(object).is_some_and(|id| !linked(id))
    })?;
    Some(Change::delete(Collection::Certificates, uuid(unused)?, name(unused)))
}

/// The object as it was read (OCSP settings, labels, whatever else a person set), with the new pair and its issuers in it;
/// without what the controller derives from the pair.
fn object_body(
    tenant: &Tenant,
    existing: Option<&Value>,
    bundle: &Bundle,
    key: &Secret<String>,
) -> Result<bytes::Bytes, serde_json::Error> {
    let mut rest = existing.and_then(Value::as_object).cloned().unwrap_or_default();
    for field in ["key", "certificate", "ca_certs", "key_params", "status", "url"] {
        rest.remove(field);
    }
    let leaf = pem::encode_config(&pem::Pem::new("CERTIFICATE", bundle.chain.leaf_der()), pem_lines());
    rest.insert("name".to_owned(), Value::from(bundle.name.as_str()));
    rest.insert("type".to_owned(), Value::from("SSL_CERTIFICATE_TYPE_VIRTUALSERVICE"));
    rest.insert("created_by".to_owned(), Value::from(OWNER));
    rest.insert("certificate".to_owned(), json!({"certificate": leaf}));
    rest.insert("ca_certs".to_owned(), Value::Array(links(tenant, bundle)));
    let room = 2 * (bundle.chain.pem().len() + key.expose().len()) + 64 * 1024;
    secret_body(&WithKey { key: key.expose(), rest: &rest }, room)
}

/// References to the objects of the chain's issuers.
fn links(tenant: &Tenant, bundle: &Bundle) -> Vec<Value> {
    let issuers = bundle.chain.certificates()[1..].iter().filter_map(|der| issuer_object(tenant, der));
    let link = |issuer: &Value| {
        Some(json!({"name": name(issuer), "ca_ref": path_of(Collection::Certificates, uuid(issuer)?)}))
    };
    issuers.filter_map(link).collect()
}

/// So that the key is never in a [`Value`], which is not wiped.
#[derive(Serialize)]
struct WithKey<'a> {
    key: &'a str,
    #[serde(flatten)]
    rest: &'a Map<String, Value>,
}

pub(super) fn pem_lines() -> pem::EncodeConfig {
    pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF)
}

const ISSUER_PREFIX: &str = "cf-issuer-";

#[cfg(test)]
mod tests {
    use certferry_core::{BundleName, Chain, Secret};
    use certferry_lab::pki::Pki;

    use super::*;

    fn bundle(pki: &Pki) -> Bundle {
        let issued = pki.issue(&["www.some-domain.com"], 90).unwrap();
        Bundle {
            name: BundleName::in_place(&"www".parse().unwrap()),
            chain: Chain::parse(&issued.chain_pem).unwrap(),
            private_key: Some(Secret::new(issued.private_key_pem)),
        }
    }

    fn sent(change: &Change) -> Value {
        serde_json::from_slice(change.body.as_deref().unwrap()).unwrap()
    }

    /// Does what the controller does with a creation or replacement.
    fn apply(tenant: &mut Tenant, change: &Change) {
        let id = change.uuid.clone();
        if change.method == Method::DELETE {
            tenant.certificates.retain(|object| uuid(object) != id.as_deref());
            return;
        }
        let mut object = sent(change);
        object["uuid"] = json!(id.clone().unwrap_or_else(|| format!("uuid-{}", name(&object))));
        object.as_object_mut().unwrap().remove("key");
        tenant.certificates.retain(|object| uuid(object) != id.as_deref());
        tenant.certificates.push(object);
    }

    fn settle(tenant: &mut Tenant, bundle: &Bundle) -> Vec<(Method, String)> {
        let mut made = Vec::new();
        while let Some(change) = upload(tenant, bundle).unwrap() {
            made.push((change.method.clone(), change.object.clone()));
            apply(tenant, &change);
            assert!(made.len() < 10, "{made:?}");
        }
        made
    }

    #[test]
    fn issuers_come_first_then_the_leaf_and_then_nothing() {
        let bundle = bundle(&Pki::with_intermediates(2, certferry_lab::pki::PkiKey::Ecdsa).unwrap());
        let mut tenant = Tenant::default();
        let made = settle(&mut tenant, &bundle);
        assert_eq!(made.len(), 3, "{made:?}");
        assert_eq!(made[2], (Method::POST, "bundle `cf-www`".to_owned()));
        let object = tenant.certificates.last().unwrap();
        assert_eq!((text(object, "created_by"), list(object, "ca_certs").len()), (Some("certferry"), 2));
        assert_eq!(leaf(object).unwrap().sha256, bundle.chain.leaf().sha256);
    }

    #[test]
    fn a_renewal_replaces_the_content_and_keeps_all_else() {
        let (old, new) = (Pki::new().unwrap(), Pki::new().unwrap());
        let mut tenant = Tenant::default();
        settle(&mut tenant, &bundle(&old));
        let object = tenant.certificates.last_mut().unwrap();
        object["enable_ocsp_stapling"] = json!(true);
        object["not_invented_yet"] = json!({"deep": [1]});
        object["_last_modified"] = json!("17");
        let renewed = bundle(&new);
        let put = |tenant: &Tenant| upload(tenant, &renewed).unwrap().unwrap();
        apply(&mut tenant.clone(), &put(&tenant));
        let made = settle(&mut tenant, &renewed);
        let methods: Vec<&Method> = made.iter().map(|(method, _)| method).collect();
        assert_eq!(methods, [Method::POST, Method::PUT, Method::DELETE], "issuer, leaf, and the old issuer goes");
        let object = tenant.certificates.iter().find(|object| name(object) == "cf-www").unwrap();
        assert_eq!(uuid(object), Some("uuid-cf-www"));
        assert_eq!(
            (&object["enable_ocsp_stapling"], &object["not_invented_yet"]["deep"][0]),
            (&json!(true), &json!(1))
        );
        assert_eq!(object["_last_modified"], "17", "so that a lost race is refused");
        assert_eq!(leaf(object).unwrap().sha256, renewed.chain.leaf().sha256);
    }

    #[test]
    fn an_issuer_under_another_name_is_used_as_it_is() {
        let pki = Pki::new().unwrap();
        let bundle = bundle(&pki);
        let mut tenant = Tenant::default();
        tenant.certificates.push(json!({"name": "LE-E7", "uuid": "ca-1", "type": "SSL_CERTIFICATE_TYPE_CA",
            "certificate": {"certificate": pki.intermediates_pem()}}));
        let change = upload(&tenant, &bundle).unwrap().unwrap();
        assert_eq!(sent(&change)["ca_certs"], json!([{"name": "LE-E7", "ca_ref": "/api/sslkeyandcertificate/ca-1"}]));
        assert_eq!(sent(&change)["key"], bundle.private_key.as_ref().unwrap().expose().as_str());
    }

    #[test]
    fn what_certferry_did_not_make_is_neither_overwritten_nor_removed() {
        let bundle = bundle(&Pki::new().unwrap());
        let tenant = Tenant {
            certificates: vec![json!({"name": "cf-www", "uuid": "x", "created_by": "admin"})].into(),
            ..Tenant::default()
        };
        for problem in [upload(&tenant, &bundle).err().unwrap(), delete(&tenant, "cf-www").err().unwrap()] {
            assert_eq!(problem.kind, ErrorKind::Invalid);
            assert!(problem.said.contains("certferry did not make"), "{problem:?}");
        }
    }

    #[test]
    fn a_pair_that_cannot_be_served_is_not_sent() {
        let (one, other) = (bundle(&Pki::new().unwrap()), bundle(&Pki::new().unwrap()));
        let mixed = Bundle { private_key: other.private_key.clone(), ..one };
        let problem = upload(&Tenant::default(), &mixed).err().unwrap();
        assert!(problem.said.contains("does not belong"), "{problem:?}");
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let chain = Chain::parse(&params.self_signed(&key).unwrap().pem()).unwrap();
        let nameless = Bundle { chain, private_key: Some(Secret::new(key.serialize_pem())), ..other };
        let problem = upload(&Tenant::default(), &nameless).err().unwrap();
        assert!(problem.hint.contains("classic"), "{problem:?}");
    }

    #[test]
    fn a_virtual_service_never_gets_two_certificates_with_one_kind_of_key() {
        let rsa =
            Pki::new().unwrap().issue_with(&["www.some-domain.com"], 90, certferry_lab::pki::PkiKey::Rsa).unwrap();
        let pem = json!({"certificate": rsa.chain_pem});
        let ec = json!({"algorithm": "SSL_KEY_ALGORITHM_EC"});
        let tenant = Tenant {
            certificates: vec![
                json!({"name": "cf-www", "uuid": "x", "created_by": "certferry", "certificate": pem}),
                json!({"name": "theirs", "uuid": "y", "key_params": ec}),
            ]
            .into(),
            virtual_services: vec![json!({"name": "shop", "ssl_key_and_certificate_refs": ["/api/c/x", "/api/c/y"]})]
                .into(),
            ..Tenant::default()
        };
        let problem = upload(&tenant, &bundle(&Pki::new().unwrap())).err().unwrap();
        assert!(problem.said.contains("virtual service `shop` has `theirs`"), "{problem:?}");
    }

    #[test]
    fn a_certificate_in_use_stays_and_its_users_are_named() {
        let mut tenant = Tenant {
            certificates: vec![json!({"name": "cf-www", "uuid": "x", "created_by": "certferry"})].into(),
            virtual_services: vec![
                json!({"name": "shop", "ssl_key_and_certificate_refs": ["https://h/api/sslkeyandcertificate/x#n"]}),
            ]
            .into(),
            ..Tenant::default()
        };
        let problem = delete(&tenant, "cf-www").err().unwrap();
        assert_eq!(
            (problem.kind, problem.said.as_str()),
            (ErrorKind::Conflict, "it is in use by virtual service `shop`")
        );
        tenant.virtual_services.clear();
        assert_eq!(delete(&tenant, "cf-www").unwrap().unwrap().uuid.as_deref(), Some("x"));
        assert!(delete(&tenant, "gone").unwrap().is_none());
    }
}
