//! Renewal information and `replaces` (RFC 9773).

use certferry_core::Chain;
use certferry_lab::acme_ca::Window;
use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::account_key::AccountKey;
use crate::client::{Answer, Client};
use crate::world::{World, ari_id, csr};

const NAMES: [&str; 2] = ["a.some-domain.test", "b.some-domain.test"];

async fn renewal_info(world: &World, id: &str) -> Answer {
    let directory = world.client.get(&world.ca.directory_url()).await.json();
    world.client.get(&format!("{}/{id}", directory["renewalInfo"].as_str().unwrap())).await
}

/// Start and end of the window.
async fn window(world: &World, chain: &Chain) -> (Timestamp, Timestamp) {
    let answer = renewal_info(world, &ari_id(chain)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let instant = |member: &str| answer.json()["suggestedWindow"][member].as_str().unwrap().parse().unwrap();
    (instant("start"), instant("end"))
}

/// Checks that the window lies around this part of the lifetime, one percent to each side.
fn lies_around(chain: &Chain, (start, end): (Timestamp, Timestamp), part: f64) {
    let seconds = |span: SignedDuration| span.as_secs_f64();
    let leaf = chain.leaf();
    let lifetime = seconds(leaf.not_after.duration_since(leaf.not_before));
    for (instant, expected) in [(start, part - 0.01), (end, part + 0.01)] {
        let off = seconds(instant.duration_since(leaf.not_before)) - lifetime * expected;
        assert!(off.abs() < 1.0, "{instant} is {off} s off {expected} of {leaf:?}");
    }
}

#[tokio::test]
async fn the_usual_window_follows_the_lifetime() {
    let world = World::new().await;
    let long = world.issue(&NAMES).await;
    let usual = window(&world, &long).await;
    lies_around(&long, usual, 2.0 / 3.0);
    assert_eq!(usual.1.duration_since(usual.0).as_hours(), 43);

    let key = KeyPair::generate().unwrap();
    let short = world.issue_with(&NAMES, json!({ "profile": "shortlived" }), &key).await;
    let usual = window(&world, &short).await;
    lies_around(&short, usual, 0.5);
    assert_eq!(usual.1.duration_since(usual.0).as_hours(), 3);
}

#[tokio::test]
async fn the_answer_says_when_to_ask_again() {
    let world = World::new().await;
    let chain = world.issue(&NAMES).await;
    assert_eq!(renewal_info(&world, &ari_id(&chain)).await.header("retry-after"), "21600");
}

#[tokio::test]
async fn a_windows_place_does_not_depend_on_the_time() {
    let world = World::new().await;
    let old = world.issue(&NAMES).await;
    let before = window(&world, &old).await;
    let ahead = SignedDuration::from_hours(24 * 61);
    world.ca.advance(ahead);
    assert_eq!(window(&world, &old).await, before);
    let date = renewal_info(&world, &ari_id(&old)).await.header("date");
    let now: Timestamp = httpdate::parse_http_date(&date).unwrap().try_into().unwrap();
    assert!(now > before.0, "due by the CA's clock");

    let new = world.issue(&NAMES).await;
    lies_around(&new, window(&world, &new).await, 2.0 / 3.0);
}

#[tokio::test]
async fn another_window_can_be_suggested() {
    let world = World::new().await;
    let (chain, untouched) = (world.issue(&NAMES).await, world.issue(&NAMES).await);
    let usual = window(&world, &untouched).await;
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (start, end) = (at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"));
    let serial = chain.leaf().serial.as_str();

    world.ca.suggest_window(serial, Window::Between(start, end, None));
    assert_eq!(window(&world, &chain).await, (start, end));
    assert!(renewal_info(&world, &ari_id(&chain)).await.json().get("explanationURL").is_none());

    let page = "https://ca.some-domain.test/incident";
    world.ca.suggest_window(serial, Window::Between(start, end, Some(page.to_owned())));
    assert_eq!(
        renewal_info(&world, &ari_id(&chain)).await.json(),
        json!({
            "suggestedWindow": { "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z" },
            "explanationURL": page,
        })
    );

    for raw in [json!({ "suggestedWindow": "soon" }), json!([]), Value::Null] {
        world.ca.suggest_window(serial, Window::Raw(raw.clone()));
        assert_eq!(renewal_info(&world, &ari_id(&chain)).await.json(), raw);
    }
    assert_eq!(window(&world, &untouched).await, usual);
}

#[tokio::test]
async fn a_certificate_that_is_not_known_has_no_window() {
    let world = World::new().await;
    let id = ari_id(&world.issue(&NAMES).await);
    let (key, serial) = id.split_once('.').unwrap();
    for unknown in [format!("{key}.AA"), format!("AA.{serial}"), key.to_owned(), "x".to_owned()] {
        renewal_info(&world, &unknown).await.is_problem(404, "malformed");
    }
}

#[tokio::test]
async fn a_ca_without_ari_does_not_offer_it() {
    let world = World::new().await;
    let id = ari_id(&world.issue(&NAMES).await);
    world.ca.set_behaviour(|behaviour| behaviour.offers_ari = false);
    let directory = world.client.get(&world.ca.directory_url()).await.json();
    assert!(directory.get("renewalInfo").is_none(), "{directory}");
    world.client.get(&world.client.url(&format!("/renewal-info/{id}"))).await.is_problem(404, "malformed");
}

#[tokio::test]
async fn a_certificate_is_replaced_once() {
    let world = World::new().await;
    let id = ari_id(&world.issue(&NAMES).await);
    let replaces = json!({ "replaces": id });
    let order = world.order_with(&NAMES, replaces.clone()).await;
    assert_eq!(order.body["replaces"], id);
    assert_eq!(world.ca.orders()[1].replaces.as_ref(), Some(&id));

    world.client.new_order(&NAMES, replaces.clone()).await.is_problem(409, "alreadyReplaced");
    world.client.new_order(&NAMES[..1], replaces.clone()).await.is_problem(409, "alreadyReplaced");
    assert_eq!(world.order(&NAMES).await.url, order.url, "without `replaces` the open order is found again");

    world.prove(&order).await;
    world.finalize(&order, &csr(&NAMES, &KeyPair::generate().unwrap())).await;
    world.client.new_order(&NAMES, replaces.clone()).await.is_problem(409, "alreadyReplaced");
    let second = ari_id(&world.certificate(&order).await);
    world.client.new_order(&NAMES, replaces).await.is_problem(409, "alreadyReplaced");
    assert_eq!(world.order_with(&NAMES, json!({ "replaces": second })).await.body["replaces"], second);
}

#[tokio::test]
async fn a_failed_order_replaces_nothing() {
    let world = World::new().await;
    let id = ari_id(&world.issue(&NAMES).await);
    let replaces = json!({ "replaces": id });
    let order = world.order_with(&NAMES, replaces.clone()).await;
    let url = order.authorizations().remove(0);
    let authorization = world.client.post_as_get(&url).await.json();
    assert_eq!(world.respond(&authorization, &url).await["status"], "invalid");
    assert_ne!(world.order_with(&NAMES, replaces).await.url, order.url);
}

#[tokio::test]
async fn one_shared_name_is_enough_to_replace() {
    let world = World::new().await;
    let id = ari_id(&world.issue(&NAMES).await);
    world.client.new_order(&["c.some-domain.test"], json!({ "replaces": id })).await.is_problem(400, "malformed");
    let order = world.order_with(&["c.some-domain.test", NAMES[1]], json!({ "replaces": id })).await;
    assert_eq!(order.body["replaces"], id);
}

#[tokio::test]
async fn only_a_known_certificate_of_the_account_is_replaced() {
    let world = World::new().await;
    let id = ari_id(&world.issue(&NAMES).await);
    for malformed in [json!("x"), json!("a.b.c"), json!("."), json!("YQ.Y=="), json!(""), json!(7), Value::Null] {
        let answer = world.client.new_order(&NAMES, json!({ "replaces": malformed })).await;
        answer.is_problem(400, "malformed");
    }
    world.client.new_order(&NAMES, json!({ "replaces": "YQ.YQ" })).await.is_problem(404, "malformed");

    let other = Client::registered(&world.ca, AccountKey::p256()).await;
    other.new_order(&NAMES, json!({ "replaces": id })).await.is_problem(403, "unauthorized");
    world.ca.forget_accounts();
    let newcomer = Client::registered(&world.ca, AccountKey::p256()).await;
    newcomer.new_order(&NAMES, json!({ "replaces": id })).await.is_problem(403, "unauthorized");
    assert_eq!(world.ca.orders().len(), 1);
}
