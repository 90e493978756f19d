//! Fault rules: each kind, at the call that it is for.

use std::time::Duration;

use certferry_lab::acme_ca::{Answer as FaultAnswer, Endpoint, Fault, RetryAfter};
use serde_json::json;

use crate::account_key::AccountKey;
use crate::client::{Answer, Client};
use crate::world::{World, eventually};

const NAMES: [&str; 1] = ["a.some-domain.test"];

fn add(world: &World, endpoint: Endpoint, skip: usize, answer: FaultAnswer) {
    world.ca.add_fault(Fault { endpoint, skip, answer });
}

fn busy(retry_after: Option<RetryAfter>) -> FaultAnswer {
    FaultAnswer::Html { status: 503, retry_after }
}

async fn new_order(world: &World) -> Answer {
    world.client.new_order(&NAMES, json!({})).await
}

/// An order whose answer does not arrive.
async fn new_order_in_vain(world: &World) {
    let payload = json!({ "identifiers": [{ "type": "dns", "value": NAMES[0] }] });
    let error = world.client.post_in_vain(&world.client.url("/new-order"), &payload).await;
    assert!(error.is_request(), "{error:?}");
}

#[tokio::test]
async fn a_connection_is_dropped_before_the_effect() {
    let world = World::new().await;
    add(&world, Endpoint::NewOrder, 0, FaultAnswer::DropBefore);
    new_order_in_vain(&world).await;
    assert_eq!(world.ca.orders(), []);
    assert_eq!(new_order(&world).await.status, 201, "a rule is used up");
}

#[tokio::test]
async fn a_connection_is_dropped_after_the_effect() {
    let world = World::new().await;
    add(&world, Endpoint::NewOrder, 0, FaultAnswer::DropAfter);
    new_order_in_vain(&world).await;
    assert_eq!(world.ca.orders().len(), 1);
    assert_eq!(new_order(&world).await.status, 201);
    assert_eq!(world.ca.orders().len(), 1, "the open order is found again");
}

#[tokio::test]
async fn a_hang_is_no_answer_and_no_effect_and_harms_no_other_call() {
    let world = World::new().await;
    add(&world, Endpoint::NewOrder, 0, FaultAnswer::Hang);
    let other = Client::registered(&world.ca, AccountKey::p256()).await;
    let url = other.url("/new-order");
    let payload = json!({ "identifiers": [{ "type": "dns", "value": "b.some-domain.test" }] });
    let hanging = tokio::spawn(async move { other.post_in_vain(&url, &payload).await });
    eventually("the call has come", async || (world.ca.count(Endpoint::NewOrder) == 1).then_some(())).await;
    assert_eq!(new_order(&world).await.status, 201);
    assert!(!hanging.is_finished());
    assert_eq!(world.ca.orders().len(), 1);

    drop(world);
    tokio::time::timeout(Duration::from_secs(20), hanging).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_proxys_page_is_no_problem_document() {
    let world = World::new().await;
    add(&world, Endpoint::NewOrder, 0, busy(Some(RetryAfter::Seconds(7))));
    let answer = new_order(&world).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after").as_str()), (503, "7"), "{answer:?}");
    assert_eq!(answer.header("content-type"), "text/html");
    assert!(answer.text.starts_with("<html>"), "{answer:?}");
    assert_eq!(world.ca.orders(), []);

    add(&world, Endpoint::NewOrder, 0, busy(None));
    assert!(!new_order(&world).await.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_problem_says_what_it_is_told_to_say() {
    let world = World::new().await;
    let detail = "too many new orders, retry after a while".to_owned();
    let retry_after = Some(RetryAfter::Date(Duration::from_secs(90)));
    let kind = "rateLimited";
    add(&world, Endpoint::NewOrder, 0, FaultAnswer::Problem { status: 429, kind, detail: detail.clone(), retry_after });
    let answer = new_order(&world).await;
    answer.is_problem(429, kind);
    assert_eq!(answer.json()["detail"], detail);
    let date = |header: &str| httpdate::parse_http_date(&answer.header(header)).unwrap();
    let wait = date("retry-after").duration_since(date("date")).unwrap();
    assert!((89..=90).contains(&wait.as_secs()), "{answer:?}");
    assert_eq!(world.ca.orders(), []);
}

#[tokio::test]
async fn a_date_is_so_far_from_the_cas_own_now() {
    let world = World::new().await;
    world.ca.advance(jiff::SignedDuration::from_hours(1000));
    add(&world, Endpoint::NewOrder, 0, busy(Some(RetryAfter::Date(Duration::from_secs(30)))));
    let answer = new_order(&world).await;
    let date = |header: &str| httpdate::parse_http_date(&answer.header(header)).unwrap();
    assert!((29..=30).contains(&date("retry-after").duration_since(date("date")).unwrap().as_secs()), "{answer:?}");
}

#[tokio::test]
async fn a_fault_costs_no_nonce() {
    let world = World::new().await;
    add(&world, Endpoint::Account, 0, busy(None));
    let draft = world.client.draft(&world.client.kid, "").await;
    assert_eq!(world.client.send(&draft).await.status, 503);
    assert_eq!(world.client.send(&draft).await.status, 200);
}

#[tokio::test]
async fn calls_are_let_pass_first() {
    let world = World::new().await;
    add(&world, Endpoint::NewOrder, 2, busy(None));
    add(&world, Endpoint::NewOrder, 1, FaultAnswer::Html { status: 500, retry_after: None });
    add(&world, Endpoint::Account, 0, busy(None));
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(new_order(&world).await.status.as_u16());
    }
    assert_eq!(statuses, [201, 201, 503, 201, 500, 201]);
    assert_eq!(world.client.post_as_get(&world.client.kid).await.status, 503, "each endpoint counts for itself");
}

#[tokio::test]
async fn every_endpoint_can_fail() {
    let world = World::new().await;
    let order = world.ready_order(&NAMES).await;
    let authorization = order.authorizations().remove(0);
    let challenge = world.client.post_as_get(&authorization).await.json()["challenges"][0]["url"].clone();
    let url = |path: &str| world.client.url(path);
    for (endpoint, url) in [
        (Endpoint::Account, world.client.kid.clone()),
        (Endpoint::Authorization, authorization),
        (Endpoint::Certificate, url("/certificate/0")),
        (Endpoint::Challenge, challenge.as_str().unwrap().to_owned()),
        (Endpoint::Directory, url("/directory")),
        (Endpoint::Finalize, order.body["finalize"].as_str().unwrap().to_owned()),
        (Endpoint::NewAccount, url("/new-account")),
        (Endpoint::NewNonce, url("/new-nonce")),
        (Endpoint::NewOrder, url("/new-order")),
        (Endpoint::Order, order.url.clone()),
        (Endpoint::RenewalInfo, url("/renewal-info/YQ.YQ")),
    ] {
        let answer = world.client.get(&url).await;
        assert_ne!(answer.status, 418, "{answer:?}");
        add(&world, endpoint, 0, FaultAnswer::Html { status: 418, retry_after: None });
        assert_eq!(world.client.get(&url).await.status, 418, "{endpoint:?}");
        assert_eq!(world.client.get(&url).await.status, answer.status, "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_call_may_have_its_effect_and_hang() {
    let world = World::new().await;
    add(&world, Endpoint::NewOrder, 0, FaultAnswer::HangAfter);
    let other = Client::registered(&world.ca, AccountKey::p256()).await;
    let url = other.url("/new-order");
    let payload = json!({ "identifiers": [{ "type": "dns", "value": "b.some-domain.test" }] });
    let hanging = tokio::spawn(async move { other.post_in_vain(&url, &payload).await });
    eventually("the call hangs", async || (world.ca.hanging() == 1).then_some(())).await;
    assert_eq!(world.ca.orders().len(), 1);
    assert!(!hanging.is_finished());
    drop(world);
    tokio::time::timeout(Duration::from_secs(20), hanging).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_outage_begins_with_a_call_and_lasts_until_it_is_cleared() {
    let world = World::new().await;
    let statuses = async |paths: &[&str]| {
        let mut statuses = Vec::new();
        for path in paths {
            statuses.push(world.client.get(&world.client.url(path)).await.status.as_u16());
        }
        statuses
    };
    world.ca.add_outage(Fault { endpoint: Endpoint::Directory, skip: 1, answer: busy(None) });
    let paths = ["/new-nonce", "/directory", "/new-nonce", "/directory", "/new-nonce"];
    assert_eq!(statuses(&paths).await, [204, 200, 204, 503, 503]);
    world.ca.clear_faults();
    assert_eq!(statuses(&paths).await, [204, 200, 204, 200, 204]);
}
