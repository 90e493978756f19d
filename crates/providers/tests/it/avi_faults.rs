//! An Avi controller that fails, refuses, or is changed by somebody else meanwhile.

use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::port::LoadBalancer;
use certferry_lab::avi_controller::{Effect, Fault, Moment};
use certferry_providers::load_balancer::avi::{AviConfig, Port80, role};
use serde_json::{Value, json};

use crate::avi_fixture::{Fixture, NAME, challenge, shop_443};

/// Answers that pass.
fn passing() -> Vec<Effect> {
    vec![
        Effect::answer(401, "session expired"),
        Effect::answer(403, "Configuration is disallowed during upgrade"),
        Effect::answer(409, "busy"),
        Effect::stale("Object"),
        Effect::answer(429, "slow down"),
        Effect::answer(500, "oops"),
        Effect::HtmlPage { status: 503, body: "<html><body>Service Unavailable</body></html>".to_owned() },
        Effect::SessionEnds,
        Effect::CloseBefore,
        Effect::CloseAfter,
        Effect::Hang,
    ]
}

/// How many calls in a row are answered so. A second 401 says that new sessions are of no use either; what took effect is
/// not asked for again.
fn times(effect: &Effect) -> usize {
    match effect {
        Effect::CloseAfter => 1,
        Effect::Answer { status: 401, .. } | Effect::SessionEnds => 1,
        _ => 2,
    }
}

fn short_requests(config: &mut AviConfig) {
    config.limits.request = Duration::from_millis(600);
    let http01 = config.http01.as_mut().unwrap();
    (http01.port_80, http01.keep) = (Port80::AddService, false);
}

fn hit(fixture: &Fixture, operation: &str, effect: &Effect) {
    fixture.lab.add_fault(Fault::new(operation, effect.clone()).times(times(effect)));
}

#[tokio::test]
async fn a_delivery_converges_whatever_the_first_answers_are() {
    for operation in
        ["GET sslkeyandcertificate", "POST sslkeyandcertificate", "PATCH virtualservice", "GET virtualservice"]
    {
        for effect in passing() {
            let fixture = Fixture::with(short_requests).await;
            let before = fixture.shop();
            hit(&fixture, operation, &effect);
            if operation.starts_with("GET") && matches!(effect, Effect::Answer { status: 409 | 412, .. }) {
                continue; // no read is answered so
            }
            fixture
                .edge
                .upload(fixture.bundle())
                .await
                .unwrap_or_else(|error| panic!("{operation} {effect:?}: {error}"));
            let bound = fixture.edge.bind(&shop_443(), &fixture.bundle().name).await;
            assert!(bound.is_ok(), "{operation} {effect:?}: {bound:?}");
            assert_eq!(fixture.lab.pending_faults(), 0, "{operation} {effect:?}");
            let own = fixture.names("sslkeyandcertificate").into_iter().filter(|name| name == "cf-www").count();
            assert_eq!(own, 1, "{operation} {effect:?}");
            let mut after = fixture.shop();
            assert_ne!(after["ssl_key_and_certificate_refs"], before["ssl_key_and_certificate_refs"]);
            after["ssl_key_and_certificate_refs"] = before["ssl_key_and_certificate_refs"].clone();
            assert_eq!(after, before, "{operation} {effect:?}: nothing else changes");
        }
    }
}

#[tokio::test]
async fn a_renewal_converges_whatever_the_first_answers_are() {
    for effect in passing() {
        let fixture = Fixture::with(short_requests).await;
        fixture.edge.upload(fixture.bundle()).await.unwrap();
        hit(&fixture, "PUT sslkeyandcertificate", &effect);
        let outcome = fixture.edge.upload(fixture.next_bundle()).await;
        assert!(outcome.is_ok(), "{effect:?}: {outcome:?}");
        let seen = fixture.edge.observe().await.unwrap().bundles[&fixture.bundle().name];
        assert_eq!(seen, Some(fixture.next_bundle().chain.leaf().sha256), "{effect:?}");
    }
}

#[tokio::test]
async fn challenges_converge_and_leave_nothing_whatever_the_first_answers_are() {
    for operation in ["POST httppolicyset", "PATCH virtualservice", "DELETE httppolicyset", "GET httppolicyset"] {
        for effect in passing() {
            if operation.starts_with("GET") && matches!(effect, Effect::Answer { status: 409 | 412, .. }) {
                continue; // no read is answered so
            }
            let fixture = Fixture::with(short_requests).await;
            let before = fixture.shop();
            hit(&fixture, operation, &effect);
            let presented = fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await;
            assert!(presented.is_ok(), "{operation} {effect:?}: {presented:?}");
            let withdrawn = fixture.edge.withdraw("token").await;
            assert!(withdrawn.is_ok(), "{operation} {effect:?}: {withdrawn:?}");
            assert_eq!(fixture.lab.pending_faults(), 0, "{operation} {effect:?}");
            assert_eq!(fixture.shop(), before, "{operation} {effect:?}");
            assert_eq!(fixture.names("httppolicyset"), ["others"], "{operation} {effect:?}");
        }
    }
}

#[tokio::test]
async fn another_writers_change_to_the_certificate_object_is_kept() {
    let fixture = Fixture::start().await;
    fixture.edge.upload(fixture.bundle()).await.unwrap();
    let uuid = fixture.lab.object("sslkeyandcertificate", "cf-www").unwrap()["uuid"].as_str().unwrap().to_owned();
    fixture.lab.edit_on_next("PUT sslkeyandcertificate", Moment::Before, &uuid, |object| {
        object["enable_ocsp_stapling"] = json!(true);
    });
    fixture.edge.upload(fixture.next_bundle()).await.unwrap();
    let object = fixture.lab.object("sslkeyandcertificate", "cf-www").unwrap();
    assert_eq!((&object["enable_ocsp_stapling"], &object["uuid"]), (&json!(true), &json!(uuid)));
    assert_eq!(fixture.lab.count("PUT sslkeyandcertificate"), 2, "the first one was stale");
}

#[tokio::test]
async fn the_other_certificate_of_a_pair_and_all_other_fields_stay() {
    let fixture = Fixture::start().await;
    let before = fixture.shop();
    fixture.edge.upload(fixture.bundle()).await.unwrap();
    fixture.edge.bind(&shop_443(), &fixture.bundle().name).await.unwrap();
    let mut after = fixture.shop();
    let refs = |service: &Value| service["ssl_key_and_certificate_refs"].as_array().unwrap().clone();
    assert_eq!((refs(&after).len(), &refs(&after)[1]), (2, &refs(&before)[1]), "the RSA one");
    assert_ne!(refs(&after)[0], refs(&before)[0]);
    after["ssl_key_and_certificate_refs"] = before["ssl_key_and_certificate_refs"].clone();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_missing_right_is_named() {
    for (resource, part) in [
        ("PERMISSION_VIRTUALSERVICE", "PERMISSION_VIRTUALSERVICE with READ_ACCESS"),
        ("PERMISSION_HTTPPOLICYSET", "PERMISSION_HTTPPOLICYSET with READ_ACCESS"),
    ] {
        let fixture = Fixture::start().await;
        let mut less = role(&fixture.config);
        less["privileges"].as_array_mut().unwrap().retain(|right| right["resource"] != resource);
        fixture.lab.edit("role", "certferry", move |role| role["privileges"] = less["privileges"].clone()).unwrap();
        let error = fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.hint().unwrap().contains(part) && error.hint().unwrap().contains("`certferry policy edge`"));
    }
}

#[tokio::test]
async fn every_listed_right_of_the_role_is_enough_for_all_of_it() {
    let fixture = Fixture::start().await;
    fixture.edge.upload(fixture.bundle()).await.unwrap();
    fixture.edge.bind(&shop_443(), &fixture.bundle().name).await.unwrap();
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
    fixture.edge.withdraw("token").await.unwrap();
    fixture.edge.observe().await.unwrap();
    let denied: Vec<String> = fixture
        .lab
        .requests()
        .into_iter()
        .filter(|record| record.status == Some(403))
        .map(|record| record.operation)
        .collect();
    assert_eq!(denied, [""; 0]);
}

#[tokio::test]
async fn a_listener_may_be_named_by_a_host_name() {
    let fixture = Fixture::with(|config| {
        config.listeners = ["shop.some-domain.com".parse().unwrap()].into();
    })
    .await;
    let seen = fixture.edge.observe().await.unwrap();
    assert_eq!(seen.listeners["shop.some-domain.com"], seen.listeners["shop-443"]);
}
