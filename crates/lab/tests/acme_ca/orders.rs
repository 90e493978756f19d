//! Orders and authorizations (RFC 8555 §7.4 and §7.5).

use std::time::Duration;

use certferry_lab::acme_ca::RetryAfter;
use jiff::{SignedDuration, Timestamp};
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::account_key::AccountKey;
use crate::client::Client;
use crate::site::Page;
use crate::world::{Order, World, csr, eventually, http_challenge};

const NAMES: [&str; 2] = ["a.some-domain.test", "b.some-domain.test"];

#[tokio::test]
async fn an_order_goes_from_pending_to_valid() {
    let world = World::new().await;
    let order = world.order(&NAMES).await;
    assert_eq!(order.body["status"], "pending");
    assert_eq!(
        order.body["identifiers"],
        json!([{ "type": "dns", "value": NAMES[0] }, { "type": "dns", "value": NAMES[1] }])
    );
    assert_eq!(order.authorizations().len(), 2);
    for (url, name) in order.authorizations().iter().zip(NAMES) {
        let authorization = world.client.post_as_get(url).await.json();
        assert_eq!(authorization["status"], "pending");
        assert_eq!(authorization["identifier"], json!({ "type": "dns", "value": name }));
        let kinds: Vec<&Value> =
            authorization["challenges"].as_array().unwrap().iter().map(|challenge| &challenge["type"]).collect();
        assert_eq!(kinds, ["http-01", "dns-01", "tls-alpn-01"]);
    }

    world.prove(&order).await;
    assert_eq!(world.read(&order).await["status"], "ready");
    let finalized = world.finalize(&order, &csr(&NAMES, &KeyPair::generate().unwrap())).await;
    assert_eq!(finalized.json()["status"], "processing", "{finalized:?}");
    let chain = world.certificate(&order).await;
    assert_eq!(chain.leaf().names, NAMES);
    assert_eq!(world.read(&order).await["status"], "valid");
    let [record] = &world.ca.orders()[..] else { panic!("one order") };
    assert_eq!((record.status, record.finalized, &record.names[..]), ("valid", 1, &NAMES.map(str::to_owned)[..]));
}

#[tokio::test]
async fn names_are_checked() {
    let world = World::new().await;
    for name in ["*.some-domain.test", "127.0.0.1", "some_host", "a..test", "a b.test", ""] {
        let answer = world.client.new_order(&[name], json!({})).await;
        answer.is_problem(400, "rejectedIdentifier");
        let subproblem = &answer.json()["subproblems"][0];
        assert_eq!(subproblem["identifier"], json!({ "type": "dns", "value": name }), "{answer:?}");
    }
    for names in [&["A.some-domain.test"][..], &["a.some-domain.test", "a.some-domain.test"], &[]] {
        world.client.new_order(names, json!({})).await.is_problem(400, "malformed");
    }
    let url = world.client.url("/new-order");
    let mail = json!({ "identifiers": [{ "type": "email", "value": "ops@some-domain.test" }] });
    world.client.post(&url, &mail).await.is_problem(400, "unsupportedIdentifier");
    for (value, profile, problem) in [
        ("127.0.0.1", "classic", "rejectedIdentifier"),
        ("a.some-domain.test", "shortlived", "rejectedIdentifier"),
        ("0.0.0.0", "shortlived", "rejectedIdentifier"),
        ("2001:DB8::1", "shortlived", "malformed"),
        ("2001:db8:0::1", "shortlived", "malformed"),
    ] {
        let address = json!({ "identifiers": [{ "type": "ip", "value": value }], "profile": profile });
        world.client.post(&url, &address).await.is_problem(400, problem);
    }
    for payload in [json!({}), json!({ "identifiers": "a.test" }), json!({ "identifiers": [{ "type": "dns" }] })] {
        world.client.post(&url, &payload).await.is_problem(400, "malformed");
    }
    assert_eq!(world.ca.orders(), []);
}

/// RFC 8738: addresses are identifiers of type ip, proved by http-01 at the address itself and never by dns-01.
#[tokio::test]
async fn addresses_are_issued_for_with_the_profile_that_has_them() {
    let world = World::new().await;
    let identifiers = json!([
        { "type": "ip", "value": "192.0.2.1" },
        { "type": "ip", "value": "2001:db8::1" },
        { "type": "dns", "value": "a.some-domain.test" },
    ]);
    let payload = json!({ "identifiers": identifiers, "profile": "shortlived" });
    let answer = world.client.post(&world.client.url("/new-order"), &payload).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let order = Order { url: answer.location(), body: answer.json() };
    let mut hosts = Vec::new();
    for url in order.authorizations() {
        let authorization = world.client.post_as_get(&url).await.json();
        let challenges = authorization["challenges"].as_array().unwrap();
        let by_dns = challenges.iter().any(|challenge| challenge["type"] == "dns-01");
        assert_eq!(by_dns, authorization["identifier"]["type"] == "dns", "{authorization}");
        hosts.push(authorization["identifier"]["value"].as_str().unwrap().to_owned());
    }
    hosts.sort();
    assert_eq!(hosts, ["192.0.2.1", "2001:db8::1", "a.some-domain.test"]);
    world.prove(&order).await;
    let asked: Vec<String> = world.ca.validation_requests().into_iter().map(|request| request.url).collect();
    for host in ["http://192.0.2.1/", "http://[2001:db8::1]/", "http://a.some-domain.test/"] {
        assert!(asked.iter().any(|url| url.starts_with(host)), "{host}: {asked:?}");
    }
    let key = KeyPair::generate().unwrap();
    world.finalize(&order, &csr(&["192.0.2.1", "a.some-domain.test"], &key)).await.is_problem(400, "badCSR");
    let answer = world.finalize(&order, &csr(&["2001:db8::1", "192.0.2.1", "a.some-domain.test"], &key)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let chain = world.certificate(&order).await;
    let mut names = chain.leaf().names.clone();
    names.sort();
    assert_eq!(names, hosts);
    assert!(!chain.has_other_names() && chain.leaf().common_name.is_none());
}

#[tokio::test]
async fn what_cannot_be_granted_is_refused() {
    let world = World::new().await;
    for (extra, kind) in [
        (json!({ "profile": "unheard-of" }), "invalidProfile"),
        (json!({ "profile": 7 }), "malformed"),
        (json!({ "notBefore": "2026-01-01T00:00:00Z" }), "malformed"),
        (json!({ "notAfter": "2026-01-01T00:00:00Z" }), "malformed"),
    ] {
        world.client.new_order(&NAMES, extra).await.is_problem(400, kind);
    }
    let order = world.order_with(&NAMES, json!({ "profile": "shortlived" })).await;
    assert_eq!(order.body["profile"], "shortlived");
}

#[tokio::test]
async fn an_open_order_comes_back_for_the_same_wish() {
    let world = World::new().await;
    let first = world.order(&NAMES).await;
    assert_eq!(world.order(&[NAMES[1], NAMES[0]]).await.url, first.url);
    world.prove(&first).await;
    assert_eq!(world.order(&NAMES).await.url, first.url, "a ready one too");

    assert_ne!(world.order(&NAMES[..1]).await.url, first.url);
    assert_ne!(world.order_with(&NAMES, json!({ "profile": "tlsserver" })).await.url, first.url);
    let other = Client::registered(&world.ca, AccountKey::p256()).await;
    assert_ne!(other.new_order(&NAMES, json!({})).await.location(), first.url);

    world.finalize(&first, &csr(&NAMES, &KeyPair::generate().unwrap())).await;
    assert_ne!(world.order(&NAMES).await.url, first.url, "a finalized one does not");
}

#[tokio::test]
async fn authorizations_serve_again_only_where_the_ca_wants_it() {
    let world = World::new().await;
    let first = world.issue(&NAMES).await;
    assert_eq!(world.order(&NAMES).await.body["status"], "pending");

    let world = World::new().await;
    world.ca.set_behaviour(|behaviour| behaviour.reuse_authorizations = true);
    world.issue(&NAMES).await;
    world.ca.advance(SignedDuration::from_hours(24 * 3));
    let second = world.order(&NAMES[..1]).await;
    assert_eq!(second.body["status"], "ready");
    let authorization = world.client.post_as_get(&second.authorizations()[0]).await.json();
    assert_eq!(second.body["expires"], authorization["expires"], "an order does not outlive its authorizations");
    let certificate = world.issue(&NAMES[..1]).await;
    assert_ne!(certificate.leaf().serial, first.leaf().serial);

    let other = Client::registered(&world.ca, AccountKey::p256()).await;
    assert_eq!(other.new_order(&NAMES, json!({})).await.json()["status"], "pending", "another account's do not serve");
    world.ca.advance(SignedDuration::from_hours(24 * 5));
    assert_eq!(world.order(&NAMES[..1]).await.body["status"], "pending", "nor do expired ones");
}

#[tokio::test]
async fn an_order_expires() {
    let world = World::new().await;
    let order = world.ready_order(&NAMES).await;
    let expires: Timestamp = order.body["expires"].as_str().unwrap().parse().unwrap();
    let now = date(&world.client.get(&world.ca.directory_url()).await.header("date"));
    assert!((expires - now).total(jiff::Unit::Hour).unwrap() > 24.0 * 6.9, "{expires} at {now}");

    world.ca.advance(SignedDuration::from_hours(24 * 7));
    assert_eq!(world.read(&order).await["status"], "invalid");
    let csr = csr(&NAMES, &KeyPair::generate().unwrap());
    world.finalize(&order, &csr).await.is_problem(403, "orderNotReady");
    assert_ne!(world.order(&NAMES).await.url, order.url);
}

#[tokio::test]
async fn a_failed_challenge_ends_the_order() {
    let world = World::new().await;
    let order = world.order(&NAMES).await;
    let urls = order.authorizations();
    let authorization = world.client.post_as_get(&urls[0]).await.json();
    let outcome = world.respond(&authorization, &urls[0]).await;
    assert_eq!(outcome["status"], "invalid");
    assert_eq!(outcome["challenges"].as_array().unwrap().len(), 1, "only the one that was tried: {outcome}");
    assert_eq!(world.read(&order).await["status"], "invalid");
    assert_eq!(world.client.post_as_get(&urls[1]).await.json()["status"], "pending");

    // A second try changes nothing.
    let token = authorization["challenges"][0]["token"].as_str().unwrap();
    world.site.present(token, Page::Body(format!("{token}.{}", world.client.key.thumbprint())));
    let requests = world.ca.validation_requests().len();
    assert_eq!(world.respond(&authorization, &urls[0]).await["status"], "invalid");
    assert_eq!(world.ca.validation_requests().len(), requests);

    let csr = csr(&NAMES, &KeyPair::generate().unwrap());
    world.finalize(&order, &csr).await.is_problem(403, "orderNotReady");
    let next = world.order(&NAMES).await;
    assert_ne!(next.url, order.url);
    world.prove(&next).await;
    assert_eq!(world.finalize(&next, &csr).await.status, 200);
}

#[tokio::test]
async fn a_challenge_can_be_read_without_being_answered() {
    let world = World::new().await;
    let order = world.order(&NAMES[..1]).await;
    let url = order.authorizations().remove(0);
    let challenge = http_challenge(&world.client.post_as_get(&url).await.json()).clone();
    let answer = world.client.post_as_get(challenge["url"].as_str().unwrap()).await;
    assert_eq!(answer.json(), challenge, "{answer:?}");
    let links: Vec<_> = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    assert!(links.contains(&format!("<{url}>;rel=\"up\"").as_str()), "{links:?}");
    assert_eq!(world.client.post_as_get(&url).await.json()["status"], "pending");
    assert_eq!(world.ca.validation_requests(), []);
}

#[tokio::test]
async fn only_http_01_is_validated() {
    let world = World::new().await;
    let order = world.order(&NAMES[..1]).await;
    let authorization = world.client.post_as_get(&order.authorizations()[0]).await.json();
    for challenge in &authorization["challenges"].as_array().unwrap()[1..] {
        world.client.post(challenge["url"].as_str().unwrap(), &json!({})).await.is_problem(400, "malformed");
    }
    assert_eq!(world.read(&order).await["status"], "pending");
}

#[tokio::test]
async fn while_the_ca_works_it_says_when_to_look_again() {
    let world = World::new().await;
    world.ca.set_behaviour(|behaviour| {
        behaviour.retry_after = Some(RetryAfter::Seconds(3));
        behaviour.processing_reads = 2;
        behaviour.validation_delay = Duration::from_secs(3600);
    });
    let order = world.order(&NAMES[..1]).await;
    let url = order.authorizations().remove(0);
    let before = world.client.post_as_get(&url).await;
    assert!(!before.headers.contains_key("retry-after"), "{before:?}");
    let challenge = http_challenge(&before.json())["url"].as_str().unwrap().to_owned();
    assert_eq!(world.client.post(&challenge, &json!({})).await.json()["status"], "processing");
    let during = world.client.post_as_get(&url).await;
    assert_eq!((during.json()["status"].as_str(), during.header("retry-after").as_str()), (Some("pending"), "3"));

    world.ca.set_behaviour(|behaviour| behaviour.validation_delay = Duration::ZERO);
    let names = ["c.some-domain.test"];
    let order = world.ready_order(&names).await;
    let finalized = world.finalize(&order, &csr(&names, &KeyPair::generate().unwrap())).await;
    assert_eq!(finalized.header("retry-after"), "3", "{finalized:?}");
    for expected in ["processing", "processing", "valid", "valid"] {
        let answer = world.client.post_as_get(&order.url).await;
        assert_eq!(answer.json()["status"], expected);
        assert_eq!(answer.headers.contains_key("retry-after"), expected == "processing", "{answer:?}");
        assert_eq!(answer.json().get("certificate").is_some(), expected == "valid", "{answer:?}");
    }
}

#[tokio::test]
async fn with_no_reads_to_wait_for_the_certificate_is_there_at_once() {
    let world = World::new().await;
    world.ca.set_behaviour(|behaviour| behaviour.processing_reads = 0);
    let order = world.ready_order(&NAMES).await;
    let finalized = world.finalize(&order, &csr(&NAMES, &KeyPair::generate().unwrap())).await;
    assert_eq!(finalized.json()["status"], "valid", "{finalized:?}");
    assert!(finalized.json()["certificate"].is_string());
}

#[tokio::test]
async fn what_another_account_has_is_refused() {
    let world = World::new().await;
    let order = world.order(&NAMES).await;
    let authorization = order.authorizations().remove(0);
    let challenge = http_challenge(&world.client.post_as_get(&authorization).await.json()).clone();
    world.prove(&order).await;
    let csr = csr(&NAMES, &KeyPair::generate().unwrap());
    let other = Client::registered(&world.ca, AccountKey::p256()).await;
    let finalize = json!({ "csr": crate::account_key::encode(&csr) });
    other.post(order.body["finalize"].as_str().unwrap(), &finalize).await.is_problem(403, "unauthorized");
    world.finalize(&order, &csr).await;
    let certificate =
        eventually("the order is valid", async || world.read(&order).await["certificate"].as_str().map(str::to_owned))
            .await;

    for url in [&order.url, &authorization, &certificate] {
        other.post_as_get(url).await.is_problem(403, "unauthorized");
        assert_eq!(world.client.post_as_get(url).await.status, 200);
    }
    other.post(challenge["url"].as_str().unwrap(), &json!({})).await.is_problem(403, "unauthorized");
}

fn date(header: &str) -> Timestamp {
    httpdate::parse_http_date(header).unwrap().try_into().unwrap()
}
