//! Certificates of the Certificates service: what a load balancer refers to once, and how its versions come and go.

mod contract;
mod faults;
mod versions;

use certferry_core::port::{Bundle, LoadBalancer};
use certferry_core::{BundleName, ErrorKind};
use certferry_lab::oci_load_balancer::LoadBalancerSpec;
use certferry_providers::load_balancer::oci::{Hold, OciConfig};
use serde_json::{Value, json};

use crate::oci_fixture::{Fixture, https, provider, usual, version_of_www};

/// The listener's reference: (certificateName, certificateIds).
fn reference(fixture: &Fixture) -> (Value, Value) {
    let ssl = fixture.json()["listeners"]["https"]["sslConfiguration"].take();
    (ssl["certificateName"].clone(), ssl["certificateIds"].clone())
}

/// The OCID of the bundle's certificate.
async fn id_of(fixture: &Fixture, bundle: &Bundle) -> String {
    let inventory = fixture.front.inventory().await.unwrap();
    let held = inventory.certificates.into_iter().find(|held| held.name == bundle.name);
    held.and_then(|held| held.id).unwrap()
}

fn others(fixture: &Fixture) -> Value {
    let mut json = fixture.json();
    let ssl = json["listeners"]["https"]["sslConfiguration"].as_object_mut().unwrap();
    ssl.remove("certificateName");
    ssl.remove("certificateIds");
    json
}

#[tokio::test]
async fn a_listener_moves_there_and_back_and_keeps_every_other_field() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let before = others(&fixture);
    let bundle = fixture.bundle();
    fixture.front.upload(bundle).await.unwrap();
    fixture.front.bind(&https(), &bundle.name).await.unwrap();
    let (name, ids) = reference(&fixture);
    assert_eq!((name, ids), (Value::Null, json!([id_of(&fixture, bundle).await])));
    assert_eq!(others(&fixture), before);
    fixture.front.bind(&https(), &BundleName::observed("old")).await.unwrap();
    assert_eq!(reference(&fixture), (json!("old"), json!([])));
    assert_eq!(others(&fixture), before);
}

#[tokio::test]
async fn a_certificate_of_somebody_else_is_left_and_can_be_bound_again_by_its_ocid_with_either_hold() {
    for hold in [Hold::LoadBalancer, Hold::CertificatesService { compartment: None }] {
        let fixture = Fixture::with_certificates_service(|config| config.hold = hold.clone()).await;
        let foreign = version_of_www();
        let key = foreign.private_key.as_ref().unwrap().expose();
        let id = fixture.lab.import_certificate("by-hand", foreign.chain.pem(), key).unwrap();
        let refer = {
            let id = id.clone();
            move |json: &mut Value| {
                let ssl = &mut json["listeners"]["https"]["sslConfiguration"];
                ssl["certificateName"] = Value::Null;
                ssl["certificateIds"] = json!([id]);
            }
        };
        fixture.lab.edit_load_balancer(&fixture.id, refer).unwrap();
        let seen = fixture.front.observe().await.unwrap();
        let name = BundleName::observed(id.as_str());
        assert!(seen.listeners["https"].refers_to(&name) && seen.listeners["https"].unfit.is_none(), "{seen:?}");
        assert_eq!(seen.bundles[&name], None);
        assert!(!fixture.front.lists(&name) && fixture.front.lists(&fixture.bundle().name));
        fixture.front.upload(fixture.bundle()).await.unwrap();
        fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap();
        assert!(!fixture.front.observe().await.unwrap().listeners["https"].refers_to(&name));
        fixture.front.bind(&https(), &name).await.unwrap();
        assert_eq!(reference(&fixture), (Value::Null, json!([id])), "{hold:?}");
        assert_eq!(fixture.lab.certificate_versions(&id).len(), 1);
    }
}

#[tokio::test]
async fn what_the_load_balancer_held_before_is_deleted_there() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let before = provider(OciConfig { hold: Hold::LoadBalancer, ..fixture.config.clone() });
    let bundle = crate::oci_fixture::bundle();
    before.upload(&bundle).await.unwrap();
    assert!(fixture.front.observe().await.unwrap().bundles.contains_key(&bundle.name));
    fixture.front.delete(&bundle.name).await.unwrap();
    assert_eq!(fixture.json()["certificates"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_certificate_that_another_load_balancer_serves_is_not_deleted() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let bundle = fixture.bundle();
    fixture.front.upload(bundle).await.unwrap();
    let other_id = fixture.lab.add_load_balancer(LoadBalancerSpec::new("back").configured(usual())).unwrap();
    let other = provider(OciConfig { load_balancer_id: other_id.parse().unwrap(), ..fixture.config.clone() });
    other.bind(&https(), &bundle.name).await.unwrap();
    assert_eq!(fixture.front.observe().await.map(|_| fixture.front.shared_keeper()).unwrap(), other.shared_keeper());
    let error = fixture.front.delete(&bundle.name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains(&other_id), "{error}");
    other.bind(&https(), &BundleName::observed("old")).await.unwrap();
    fixture.front.delete(&bundle.name).await.unwrap();
    assert!(!other.observe().await.unwrap().bundles.contains_key(&bundle.name), "pending deletion counts as gone");
}

#[tokio::test]
async fn certificates_in_another_compartment_are_not_these() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    let hold = Hold::CertificatesService { compartment: Some("ocid1.compartment.oc1..elsewhere".to_owned()) };
    let elsewhere = provider(OciConfig { hold, ..fixture.config.clone() });
    assert!(!elsewhere.observe().await.unwrap().bundles.contains_key(&fixture.bundle().name));
    elsewhere.upload(fixture.bundle()).await.unwrap();
    assert_eq!(fixture.lab.certificate_names().len(), 2);
    assert_ne!(elsewhere.shared_keeper(), fixture.front.shared_keeper());
}

#[tokio::test]
async fn an_inventory_has_the_certificates_of_the_service_with_ocid_end_and_users() {
    let fixture = Fixture::with_certificates_service(|_| {}).await;
    let bundle = fixture.bundle();
    fixture.front.upload(bundle).await.unwrap();
    fixture.front.bind(&https(), &bundle.name).await.unwrap();
    let inventory = fixture.front.inventory().await.unwrap();
    let held = inventory.certificates.iter().find(|held| held.name == bundle.name).unwrap();
    assert!(held.is_marked && held.id.as_ref().unwrap().starts_with("ocid1.certificate."), "{held:?}");
    let certferry_core::inventory::HeldContent::Leaf(leaf) = &held.content else { panic!("{held:?}") };
    assert_eq!(leaf.facts, *bundle.chain.leaf());
    assert_eq!(held.users.iter().map(ToString::to_string).collect::<Vec<_>>(), ["listener `https`"]);
    let old = inventory.certificates.iter().find(|held| held.name.as_str() == "old").unwrap();
    assert_eq!((old.id.as_ref(), old.users.len()), (None, 1));
    let keys = fixture.lab.requests().into_iter().filter(|record| record.operation == "GetCertificateBundle");
    assert!(keys.into_iter().all(|record| record.target.contains("CERTIFICATE_CONTENT_PUBLIC_ONLY")));
}
