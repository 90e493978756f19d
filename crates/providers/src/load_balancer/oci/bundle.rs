//! Bundles: what is on the load balancer, what to upload, what may go.

use certferry_core::port::Bundle;
use certferry_core::{ErrorKind, LeafFacts, Sha256};
use http::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::change::{Change, Expected, Problem, Wanted};
use super::model::{Collection, Reference, ssl, text};
use crate::load_balancer::pair;
use crate::load_balancer::secret_body::secret_body;

/// The leaf of a bundle as the service reports it; `None` for a bundle of CA certificates only, or one that does not parse.
pub(super) fn leaf_der(certificate: &Value) -> Option<Vec<u8>> {
    let blocks = pem::parse_many(text(certificate, "publicCertificate")?).ok()?;
    blocks.into_iter().find(|block| block.tag() == "CERTIFICATE").map(pem::Pem::into_contents)
}

/// The facts of that leaf.
pub(super) fn leaf(certificate: &Value) -> Option<LeafFacts> {
    LeafFacts::from_der(&leaf_der(certificate)?).ok()
}

/// CreateCertificate, unless the bundle is there already.
pub(super) fn upload(load_balancer: &Value, bundle: &Bundle) -> Result<Option<Change>, Problem> {
    let collection = Collection::Certificates;
    let name = bundle.name.as_str();
    let problem = |said: String, hint: &str| Problem {
        kind: ErrorKind::Invalid,
        operation: "CreateCertificate",
        object: collection.object(name),
        said,
        hint: hint.to_owned(),
    };
    if let Some(existing) = collection.find(load_balancer, name) {
        let wanted = bundle.chain.leaf().sha256;
        return match leaf_der(existing).map(|der| Sha256::of(&der)) {
            Some(there) if there == wanted => Ok(None),
            _ => Err(problem(
                "a bundle of that name holds another certificate".to_owned(),
                "certferry does not overwrite it; delete it if nothing needs it",
            )),
        };
    }
    let Some(key) = &bundle.private_key else {
        return Err(problem(
            "the service takes certificates with their keys only".to_owned(),
            "let certferry make the key: `key: ecdsa-p256`",
        ));
    };
    pair::check(&bundle.chain, key)
        .map_err(|said| problem(said, "the service would refuse the pair; issue the certificate again"))?;
    let request =
        CreateCertificate { certificate_name: name, public_certificate: bundle.chain.pem(), private_key: key.expose() };
    let room = 2 * (request.public_certificate.len() + request.private_key.len()) + 1024;
    let body = secret_body(&request, room).map_err(|error| problem(error.to_string(), "report this"))?;
    let public = json!({"certificateName": name});
    Ok(Some(Change {
        operation: "CreateCertificate",
        method: Method::POST,
        path: vec![collection.key().to_owned()],
        object: collection.object(name),
        body: Some(body),
        expected: Expected { collection, name: name.to_owned(), object: Wanted::Holds(public) },
    }))
}

/// DeleteCertificate, unless the bundle is gone already.
pub(super) fn delete(load_balancer: &Value, name: &str) -> Result<Option<Change>, Problem> {
    if Collection::Certificates.find(load_balancer, name).is_none() {
        return Ok(None);
    }
    let users = users(load_balancer, Reference::Bundle(name));
    if !users.is_empty() {
        return Err(Problem {
            kind: ErrorKind::Conflict,
            operation: "DeleteCertificate",
            object: Collection::Certificates.object(name),
            said: format!("it is in use by {}", users.join(", ")),
            hint: "bind another bundle there first".to_owned(),
        });
    }
    Ok(Some(Change::delete_certificate(name)))
}

/// Who refers to it, for people.
pub(super) fn users(load_balancer: &Value, reference: Reference<'_>) -> Vec<String> {
    let kinds = [Collection::Listeners, Collection::BackendSets].into_iter();
    let objects = kinds.flat_map(|kind| kind.all(load_balancer).map(move |(object, value)| (kind, object, value)));
    let refers = |value: &Value| ssl(value).and_then(Reference::of) == Some(reference);
    objects.filter(|(_, _, value)| refers(value)).map(|(kind, object, _)| kind.object(object)).collect()
}

/// The full chain goes into publicCertificate; caCertificate is for the verification of peers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateCertificate<'a> {
    certificate_name: &'a str,
    public_certificate: &'a str,
    private_key: &'a str,
}

#[cfg(test)]
mod tests {
    use certferry_core::{BundleName, Chain, Secret};

    use super::*;

    fn bundle() -> Bundle {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
        let chain = Chain::parse(&params.self_signed(&key).unwrap().pem()).unwrap();
        let name = BundleName::for_version(&"www".parse().unwrap(), chain.leaf());
        Bundle { name, chain, private_key: Some(Secret::new(key.serialize_pem())) }
    }

    fn holding(name: &BundleName, pem: &str) -> Value {
        json!({"certificates": {name.as_str(): {"certificateName": name.as_str(), "publicCertificate": pem}}})
    }

    #[test]
    fn a_bundle_that_is_there_is_not_uploaded_again() {
        let (bundle, other) = (bundle(), bundle());
        assert!(upload(&holding(&bundle.name, bundle.chain.pem()), &bundle).unwrap().is_none());
        for pem in [other.chain.pem(), "", "hello"] {
            let problem = upload(&holding(&bundle.name, pem), &bundle).err().unwrap();
            assert_eq!(problem.kind, ErrorKind::Invalid, "{problem:?}");
        }
    }

    #[test]
    fn the_whole_chain_and_the_key_are_sent() {
        let bundle = bundle();
        let change = upload(&json!({}), &bundle).unwrap().unwrap();
        let body: Value = serde_json::from_slice(&change.body.unwrap()).unwrap();
        assert_eq!(
            body,
            json!({"certificateName": bundle.name.as_str(), "publicCertificate": bundle.chain.pem(),
                "privateKey": bundle.private_key.as_ref().unwrap().expose()})
        );
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_before_it_is_sent() {
        let mixed = Bundle { private_key: bundle().private_key, ..bundle() };
        let problem = upload(&json!({}), &mixed).err().unwrap();
        assert!(problem.said.contains("does not belong"), "{problem:?}");
        let broken = Bundle { private_key: Some(Secret::new("hunter2".to_owned())), ..bundle() };
        let problem = upload(&json!({}), &broken).err().unwrap();
        assert!(!format!("{problem:?}").contains("hunter2"), "{problem:?}");
    }

    #[test]
    fn a_bundle_in_use_stays_and_its_users_are_named() {
        let load_balancer = json!({"certificates": {"old": {}, "idle": {}},
            "listeners": {"https": {"sslConfiguration": {"certificateName": "old"}}},
            "backendSets": {"app": {"sslConfiguration": {"certificateName": "old"}}, "b": {}}});
        let problem = delete(&load_balancer, "old").err().unwrap();
        assert_eq!(problem.kind, ErrorKind::Conflict);
        assert_eq!(problem.said, "it is in use by listener `https`, backend set `app`");
        assert_eq!(delete(&load_balancer, "idle").unwrap().unwrap().path, ["certificates", "idle"]);
        assert!(delete(&load_balancer, "gone").unwrap().is_none());
    }
}
