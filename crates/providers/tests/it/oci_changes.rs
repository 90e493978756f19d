//! Promise 3: what certferry does not manage is unchanged after any change, whoever writes meanwhile.

use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::observed::Place;
use certferry_core::port::LoadBalancer;
use certferry_lab::oci_load_balancer::{Moment, OpenWorkRequest};
use serde_json::{Value, json};

use crate::oci_fixture::{Fixture, bundle_of, https, new_listener, provider, usual};

#[tokio::test]
async fn a_listener_keeps_every_field_but_the_certificate() {
    let fixture = Fixture::start().await;
    let before = fixture.json();
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap();
    let mut expected = before.clone();
    expected["listeners"]["https"]["sslConfiguration"]["certificateName"] = json!(fixture.bundle().name.as_str());
    assert_eq!(without_certificates(fixture.json()), without_certificates(expected));
    let sent = fixture.calls("UpdateListener");
    assert_eq!(sent.len(), 1);
    let body = sent[0].body.as_ref().unwrap();
    assert!(body.get("name").is_none() && body["notInventedYet"]["depth"][2]["three"] == true, "{body}");
}

#[tokio::test]
async fn a_backend_set_keeps_every_field_but_the_certificate() {
    let fixture = Fixture::start().await;
    let before = fixture.json();
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.front.bind(&Place::BackendSet("secure".to_owned()), &fixture.bundle().name).await.unwrap();
    let mut expected = before;
    expected["backendSets"]["secure"]["sslConfiguration"]["certificateName"] = json!(fixture.bundle().name.as_str());
    assert_eq!(without_certificates(fixture.json()), without_certificates(expected));
}

#[tokio::test]
async fn every_change_carries_if_match_and_a_fresh_retry_token() {
    let fixture = Fixture::start().await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap();
    fixture.front.bind(&https(), &certferry_core::BundleName::observed("old")).await.unwrap();
    fixture.front.delete(&fixture.bundle().name).await.unwrap();
    let requests = fixture.lab.requests();
    let changes: Vec<_> = requests.iter().filter(|record| record.method != "GET").collect();
    assert_eq!(changes.len(), 4);
    assert!(changes.iter().all(|record| record.if_match.is_some()), "{changes:?}");
    let mut tokens: Vec<_> = changes.iter().filter_map(|record| record.retry_token.clone()).collect();
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), 3, "POST and PUT have one each, DELETE has none");
}

#[tokio::test]
async fn another_writers_change_between_read_and_write_survives() {
    let fixture = Fixture::start().await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.lab.edit_on_next("UpdateListener", Moment::Before, &fixture.id, |json| {
        json["listeners"]["https"]["connectionConfiguration"]["idleTimeout"] = json!(61);
        json["listeners"]["https"]["theirs"] = json!(["new"]);
    });
    fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap();
    let listener = &fixture.json()["listeners"]["https"];
    assert_eq!(listener["connectionConfiguration"]["idleTimeout"], 61);
    assert_eq!(listener["theirs"], json!(["new"]));
    assert_eq!(listener["sslConfiguration"]["certificateName"], fixture.bundle().name.as_str());
    let statuses: Vec<_> = fixture.calls("UpdateListener").iter().map(|record| record.status).collect();
    assert_eq!(statuses, [Some(412), Some(204)]);
}

#[tokio::test]
async fn a_backend_that_an_autoscaler_adds_meanwhile_stays() {
    let fixture = Fixture::start().await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.lab.edit_on_next("UpdateBackendSet", Moment::Before, &fixture.id, |json| {
        let backends = json["backendSets"]["secure"]["backends"].as_array_mut().unwrap();
        backends.push(json!({"ipAddress": "127.0.0.2", "port": 10}));
    });
    fixture.front.bind(&Place::BackendSet("secure".to_owned()), &fixture.bundle().name).await.unwrap();
    let set = &fixture.json()["backendSets"]["secure"];
    assert_eq!(set["backends"].as_array().unwrap().len(), 2, "{set}");
    assert_eq!(set["sslConfiguration"]["certificateName"], fixture.bundle().name.as_str());
}

#[tokio::test]
async fn a_listener_that_goes_meanwhile_is_named_not_made_again() {
    let fixture = Fixture::start().await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.lab.edit_on_next("UpdateListener", Moment::Before, &fixture.id, |json| {
        json["listeners"].as_object_mut().unwrap().shift_remove("https");
    });
    let error = fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("listener `https` of load balancer `front`"), "{error}");
    assert_eq!(error.hint(), Some("there are: tcp"));
}

#[tokio::test]
async fn a_field_that_the_service_does_not_keep_is_named() {
    let fixture = Fixture::with(usual(), |config| config.access.limits.first_poll = Duration::from_millis(200)).await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    // The first look at the work request sees it succeeded; right after that the field is lost.
    fixture.lab.edit_on_next("GetWorkRequest", Moment::After, &fixture.id, |json| {
        json["listeners"]["https"]["hostnameNames"] = json!([]);
    });
    let error = fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap_err();
    assert!(error.to_string().contains("`hostnameNames` is []"), "{error}");
    assert!(error.to_string().contains("listener `https` of load balancer `front`"), "{error}");
}

#[tokio::test]
async fn a_change_waits_for_the_work_request_of_another() {
    let fixture = Fixture::start().await;
    fixture.lab.set_behaviour(|behaviour| {
        behaviour.open_work_request = OpenWorkRequest::IncorrectState;
        behaviour.work_request_delay = Duration::from_millis(150);
    });
    let other = provider(fixture.config.clone());
    let bundles = fixture.subject().bundles;
    let (one, two) = tokio::join!(fixture.front.upload(&bundles[0]), other.upload(&bundles[1]));
    one.unwrap();
    two.unwrap();
    let certificates = fixture.json()["certificates"].as_object().unwrap().len();
    assert_eq!(certificates, 3);
}

#[tokio::test]
async fn an_ecdsa_bundle_is_not_bound_to_a_suite_of_rsa_ciphers() {
    let mut configuration = usual();
    let rsa = bundle_of(&rcgen::PKCS_RSA_SHA256);
    configuration["certificates"]["old"] = certferry_lab::oci_load_balancer::certificate_entry(
        "old",
        rsa.chain.pem(),
        rsa.private_key.as_ref().unwrap().expose(),
    );
    let ssl = &mut configuration["listeners"]["https"]["sslConfiguration"];
    ssl["cipherSuiteName"] = json!("oci-default-ssl-cipher-suite-v1");
    ssl["protocols"] = json!(["TLSv1.2"]);
    let fixture = Fixture::with(configuration, |_| {}).await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    let error = fixture.front.bind(&https(), &fixture.bundle().name).await.unwrap_err();
    assert!(error.to_string().contains("oci-default-ssl-cipher-suite-v1"), "{error}");
    assert_eq!(fixture.lab.count("UpdateListener"), 0, "nothing is tried");
    let seen = fixture.front.observe().await.unwrap();
    let accepts = &seen.listeners["https"].accepts;
    assert!(accepts.rsa && !accepts.ecdsa, "{accepts:?}");
}

#[tokio::test]
async fn a_listener_is_created_with_what_the_config_says() {
    let fixture = Fixture::start().await;
    fixture.front.upload(fixture.bundle()).await.unwrap();
    fixture.front.create_listener(&"new".parse().unwrap(), &fixture.bundle().name).await.unwrap();
    let json = fixture.json();
    let listener = &json["listeners"]["new"];
    assert_eq!((&listener["port"], &listener["protocol"]), (&json!(8443), &json!("HTTP")));
    assert_eq!(listener["sslConfiguration"]["protocols"], json!(["TLSv1.2", "TLSv1.3"]));
    assert_eq!(listener["sslConfiguration"]["cipherSuiteName"], json!(new_listener().cipher_suite));
    assert_eq!(listener["defaultBackendSetName"], "app");
}

/// The bundles themselves are compared elsewhere.
fn without_certificates(mut json: Value) -> Value {
    json.as_object_mut().unwrap().shift_remove("certificates");
    json
}
