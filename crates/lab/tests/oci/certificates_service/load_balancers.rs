use std::time::Duration;

use certferry_lab::oci_load_balancer::{HeldCertificates, LabError, LoadBalancerSpec, UnknownCertificate};
use serde_json::{Value, json};

use super::{CERTIFICATES, NAME, Stage};
use crate::{
    data_plane::served,
    polling::eventually,
    world::{https, plain_backend_set},
};

/// The listener `https` with a certificate of the service in place of its bundle.
fn by_ids(ids: &[&str]) -> Value {
    let mut listener = https();
    listener["sslConfiguration"].as_object_mut().unwrap().remove("certificateName");
    listener["sslConfiguration"]["certificateIds"] = json!(ids);
    listener
}

impl Stage {
    async fn attach(&self, id: &str) {
        let client = &self.world.client;
        client.succeeded(&client.put(&self.world.path("/listeners/https"), &by_ids(&[id])).await).await;
    }

    async fn detach(&self) {
        let client = &self.world.client;
        client.succeeded(&client.put(&self.world.path("/listeners/https"), &https()).await).await;
    }

    async fn associations(&self, query: &str) -> Vec<Value> {
        let answer = self.world.client.get(&format!("/20210224/associations?{query}")).await;
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// The leaf that the listener `https` serves.
    async fn served(&self) -> Vec<u8> {
        let address = self.world.lab.data_plane_address(&self.world.id, 443).unwrap();
        served(address, NAME).await.unwrap().remove(0)
    }
}

#[tokio::test]
async fn a_listener_serves_the_certificate_that_it_refers_to_with_its_chain() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    let id = stage.www(&imported).await;
    stage.attach(&id).await;
    let address = stage.world.lab.data_plane_address(&stage.world.id, 443).unwrap();
    let chain = served(address, NAME).await.unwrap();
    let intermediate = pem::parse(&stage.authority.intermediate_pem).unwrap().into_contents();
    assert_eq!(chain, vec![imported.der.clone(), intermediate]);
    let shown = stage.world.client.get(&stage.world.path("")).await.json();
    let ssl = &shown["listeners"]["https"]["sslConfiguration"];
    assert_eq!(ssl["certificateIds"], json!([id]));
    assert_eq!(ssl["certificateName"], Value::Null);
    assert_eq!(ssl["futureSetting"], true);
}

#[tokio::test]
async fn a_new_version_is_served_when_the_load_balancer_picks_it_up() {
    let stage = Stage::new().await;
    let (first, second, third) = (stage.authority.issue(), stage.authority.issue(), stage.authority.issue());
    let id = stage.www(&first).await;
    stage.attach(&id).await;
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.pick_up_delay = Duration::from_secs(3600));
    stage.renew(&id, second.config()).await;
    assert_eq!(stage.served().await, first.der);
    // Other changes of the load balancer are no occasion to fetch it.
    let client = &stage.world.client;
    let hostname = json!({ "name": "new", "hostname": "new.some-domain.com" });
    client.succeeded(&client.post(&stage.world.path("/hostnames"), &hostname).await).await;
    stage.world.lab.edit_load_balancer(&stage.world.id, |json| json["freeformTags"] = json!({ "a": "b" })).unwrap();
    assert_eq!(stage.served().await, first.der);
    stage.world.lab.pick_up_certificates();
    assert_eq!(stage.served().await, second.der);

    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.pick_up_delay = Duration::from_millis(1));
    stage.renew(&id, third.config_with(json!({ "stage": "PENDING" }))).await;
    assert_eq!(stage.served().await, second.der, "a pending version is not served");
    stage.promote(&id, 1).await;
    eventually("the rollback is served", || async { (stage.served().await == first.der).then_some(()) }).await;
    assert!(stage.world.lab.requests().iter().filter(|request| request.operation == "UpdateListener").count() == 1);
}

/// So that a client's looks need not be waited for.
#[tokio::test]
async fn what_takes_no_time_is_in_effect_and_served_when_it_is_answered() {
    let stage = Stage::new().await;
    stage.world.lab.set_behaviour(|behaviour| {
        behaviour.certificates.change_delay = Duration::ZERO;
        behaviour.certificates.pick_up_delay = Duration::ZERO;
    });
    let (first, second) = (stage.authority.issue(), stage.authority.issue());
    let created = stage.create("www", first.config()).await.json();
    assert_eq!(created["lifecycleState"], "ACTIVE", "{created}");
    let id = created["id"].as_str().unwrap();
    stage.attach(id).await;
    let renewed = stage.update(id, &json!({ "certificateConfig": second.config() })).await.json();
    assert_eq!(renewed["lifecycleState"], "ACTIVE", "{renewed}");
    assert_eq!(stage.served().await, second.der);
}

#[tokio::test]
async fn a_held_listener_goes_on_serving_what_it_served() {
    let stage = Stage::new().await;
    let (first, second) = (stage.authority.issue(), stage.authority.issue());
    let id = stage.www(&first).await;
    stage.attach(&id).await;
    stage.world.lab.hold_certificates(HeldCertificates::All);
    stage.renew(&id, second.config()).await;
    stage.world.lab.pick_up_certificates();
    assert_eq!(stage.served().await, first.der);
    stage.world.lab.release_certificates();
    assert_eq!(stage.served().await, second.der);
}

#[tokio::test]
async fn the_owner_of_the_lab_is_told_what_the_service_would_refuse() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    let refused = stage.world.lab.import_certificate("www", &imported.leaf_pem, &imported.key_pem);
    let Err(LabError::Import { certificate, problem }) = refused else { panic!("{refused:?}") };
    assert_eq!(certificate, "www");
    assert!(problem.contains("certificate chain"), "{problem}");
    let configuration = json!({
        "backendSets": { "app": plain_backend_set() },
        "listeners": { "https": by_ids(&["ocid1.certificate.oc1.iad.unknown"]) },
    });
    let spec = LoadBalancerSpec::new("second").configured(configuration);
    let refused = stage.world.lab.add_load_balancer(spec);
    assert!(matches!(refused, Err(LabError::NotValid { .. })), "{refused:?}");
}

#[tokio::test]
async fn attaching_and_detaching_change_the_certificate_and_its_associations() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    let of_certificate = format!("certificatesResourceId={id}");
    assert!(stage.associations(&of_certificate).await.is_empty());
    let before = stage.etag(&id).await;
    stage.attach(&id).await;
    let attached = stage.etag(&id).await;
    assert_ne!(attached, before);

    let associations = stage.associations(&of_certificate).await;
    let [association] = associations.as_slice() else { panic!("{associations:?}") };
    assert_eq!(association["certificatesResourceId"], id);
    assert_eq!(association["associatedResourceId"], stage.world.id);
    assert_eq!(association["associationType"], "CERTIFICATE");
    assert_eq!(association["lifecycleState"], "ACTIVE");
    let of_load_balancer = format!("associatedResourceId={}", stage.world.id);
    assert_eq!(stage.associations(&of_load_balancer).await, associations);
    let one = format!("/20210224/associations/{}", association["id"].as_str().unwrap());
    assert_eq!(stage.world.client.get(&one).await.json(), *association);
    assert!(stage.associations("associatedResourceId=ocid1.loadbalancer.oc1.iad.other").await.is_empty());

    let refused = stage.act(&id, "actions/scheduleDeletion", &json!({})).await;
    refused.refused(409, "Conflict", &stage.world.id);
    stage.detach().await;
    assert!(stage.associations(&of_certificate).await.is_empty());
    assert_ne!(stage.etag(&id).await, attached);
    assert_eq!(stage.served().await, stage.world.old.der);
    assert_eq!(stage.act(&id, "actions/scheduleDeletion", &json!({})).await.status, 204);
}

#[tokio::test]
async fn a_backend_set_refers_to_a_certificate_too() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    let client = &stage.world.client;
    let mut set = plain_backend_set();
    set["sslConfiguration"] = json!({ "certificateIds": [id] });
    client.succeeded(&client.put(&stage.world.path("/backendSets/app"), &set).await).await;
    assert_eq!(stage.associations(&format!("certificatesResourceId={id}")).await.len(), 1);
    stage.attach(&id).await;
    assert_eq!(stage.associations("").await.len(), 1, "one for the load balancer");
    stage.detach().await;
    assert_eq!(stage.associations("").await.len(), 1, "the backend set still refers to it");
    stage.act(&id, "actions/scheduleDeletion", &json!({})).await.refused(409, "Conflict", "associated");
}

#[tokio::test]
async fn one_certificate_serves_many_load_balancers() {
    let stage = Stage::new().await;
    let (first, second) = (stage.authority.issue(), stage.authority.issue());
    let chain = format!("{}{}", first.leaf_pem, first.chain_pem);
    let id = stage.world.lab.import_certificate("shared", &chain, &first.key_pem).unwrap();
    assert_eq!(stage.get(&id).await["lifecycleState"], "ACTIVE");
    let mut listener = by_ids(&[&id]);
    for field in ["hostnameNames", "ruleSetNames", "routingPolicyName"] {
        listener.as_object_mut().unwrap().remove(field);
    }
    let configuration = json!({ "backendSets": { "app": plain_backend_set() }, "listeners": { "https": listener } });
    let spec = LoadBalancerSpec::new("second").configured(configuration);
    let other = stage.world.lab.add_load_balancer(spec).unwrap();
    stage.attach(&id).await;
    assert_eq!(stage.associations(&format!("certificatesResourceId={id}")).await.len(), 2);
    let address = stage.world.lab.data_plane_address(&other, 443).unwrap();
    assert_eq!(served(address, NAME).await.unwrap()[0], first.der);
    stage.renew(&id, second.config()).await;
    eventually("both serve the new version", || async {
        let both = [stage.served().await, served(address, NAME).await.unwrap().remove(0)];
        both.iter().all(|der| *der == second.der).then_some(())
    })
    .await;
}

#[tokio::test]
async fn references_that_cannot_be_followed_are_refused() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    let path = stage.world.path("/listeners/https");
    let put = async |body: &Value| stage.world.client.put(&path, body).await;
    let unknown = "ocid1.certificate.oc1.iad.unknown";
    put(&by_ids(&[unknown])).await.refused(404, "NotAuthorizedOrNotFound", "");
    let to_parameter = UnknownCertificate::InvalidParameter;
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.unknown_certificate = to_parameter);
    put(&by_ids(&[unknown])).await.refused(400, "InvalidParameter", unknown);
    put(&by_ids(&[&id, &id])).await.refused(400, "InvalidParameter", "Only one certificate id");
    put(&by_ids(&[])).await.refused(400, "InvalidParameter", "Either certificateName or certificateIds");
    let mut both = https();
    both["sslConfiguration"]["certificateIds"] = json!([id]);
    put(&both).await.refused(400, "InvalidParameter", "exclude each other");

    assert_eq!(stage.act(&id, "actions/scheduleDeletion", &json!({})).await.status, 204);
    stage.in_state(&id, "PENDING_DELETION").await;
    put(&by_ids(&[&id])).await.refused(400, "InvalidParameter", &id);
    assert!(stage.associations("").await.is_empty());
    assert_eq!(stage.served().await, stage.world.old.der);
}

#[tokio::test]
async fn without_a_policy_the_service_and_references_to_it_are_not_found() {
    let stage = Stage::new().await;
    let id = stage.www(&stage.authority.issue()).await;
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.allowed = false);
    let client = &stage.world.client;
    for target in [CERTIFICATES.to_owned(), format!("{CERTIFICATES}/{id}"), "/20210224/associations".into()] {
        client.get(&target).await.refused(404, "NotAuthorizedOrNotFound", "");
    }
    stage.create("other", stage.authority.issue().config()).await.refused(404, "NotAuthorizedOrNotFound", "");
    let listener = stage.world.path("/listeners/https");
    client.put(&listener, &by_ids(&[&id])).await.refused(404, "NotAuthorizedOrNotFound", "");
    client.succeeded(&client.put(&listener, &https()).await).await;
}
