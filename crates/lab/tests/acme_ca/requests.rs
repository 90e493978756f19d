//! What every request must be (RFC 8555 §6), and what is refused.

use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions, Endpoint};
use http::Method;
use serde_json::{Value, json};

use crate::account_key::{AccountKey, encode};
use crate::client::{Answer, Client, Draft, http_client};

/// The CA with an account, and a request that would be accepted: it reads the account.
struct World {
    ca: AcmeCa,
    client: Client,
}

impl World {
    async fn new() -> Self {
        let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
        let client = Client::registered(&ca, AccountKey::p256()).await;
        Self { ca, client }
    }

    async fn draft(&self) -> Draft {
        self.client.draft(&self.client.kid, "").await
    }

    /// Sends the request after `spoil` changed its protected header.
    async fn with_header(&self, spoil: impl FnOnce(&mut Value)) -> Answer {
        let mut draft = self.draft().await;
        spoil(&mut draft.protected);
        self.client.send(&draft).await
    }
}

#[tokio::test]
async fn a_proper_request_is_answered() {
    let world = World::new().await;
    let answer = world.client.send(&world.draft().await).await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("valid")), "{answer:?}");
    assert!(answer.header("link").contains("/directory>;rel=\"index\""), "{answer:?}");
    assert!(answer.headers.contains_key("replay-nonce") && answer.headers.contains_key("date"), "{answer:?}");
}

#[tokio::test]
async fn the_directory_offers_what_there_is() {
    let world = World::new().await;
    let directory = world.client.get(&world.ca.directory_url()).await.json();
    for (member, path) in [
        ("newAccount", "/new-account"),
        ("newNonce", "/new-nonce"),
        ("newOrder", "/new-order"),
        ("renewalInfo", "/renewal-info"),
    ] {
        assert_eq!(directory[member], world.client.url(path), "{directory}");
    }
    assert_eq!(directory["meta"]["externalAccountRequired"], false);
    let profiles: Vec<&String> = directory["meta"]["profiles"].as_object().unwrap().keys().collect();
    assert_eq!(profiles, ["classic", "tlsserver", "shortlived"]);
}

#[tokio::test]
async fn a_nonce_comes_by_head_and_by_get() {
    let world = World::new().await;
    let url = world.client.url("/new-nonce");
    for (method, status) in [(Method::HEAD, 200), (Method::GET, 204)] {
        let answer = world.client.request(method, &url).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (status, ""), "{answer:?}");
        assert!(answer.header("cache-control").contains("no-cache"), "{answer:?}");
        let mut draft = world.draft().await;
        draft.protected["nonce"] = json!(answer.header("replay-nonce"));
        assert_eq!(world.client.send(&draft).await.status, 200);
    }
}

#[tokio::test]
async fn a_nonce_is_ours_and_good_once() {
    let world = World::new().await;
    let draft = world.draft().await;
    assert_eq!(world.client.send(&draft).await.status, 200);
    world.client.send(&draft).await.is_problem(400, "badNonce");
    let answer = world.with_header(|header| header["nonce"] = json!(encode(&[7; 16]))).await;
    answer.is_problem(400, "badNonce");

    let mut draft = world.draft().await;
    draft.protected["nonce"] = json!(answer.header("replay-nonce"));
    assert_eq!(world.client.send(&draft).await.status, 200, "the refusal's own nonce is good");
}

#[tokio::test]
async fn good_nonces_are_rejected_by_seed() {
    let first = rejections(11, 30).await;
    assert_eq!(first, rejections(11, 30).await);
    assert_ne!(first, rejections(12, 30).await);
    let count = first.iter().filter(|rejected| **rejected).count();
    assert!((5..=27).contains(&count), "{count} of {} with seed 11", first.len());
    assert!(rejections(11, 100).await.iter().all(|rejected| *rejected));
    assert!(!rejections(11, 0).await.contains(&true));
}

/// Which of fifty good nonces are rejected.
async fn rejections(seed: u64, percent: u8) -> Vec<bool> {
    let ca = AcmeCa::start(AcmeCaOptions { seed, ..AcmeCaOptions::default() }).await.unwrap();
    let client = Client::registered(&ca, AccountKey::p256()).await;
    ca.set_behaviour(|behaviour| behaviour.nonce_rejection = percent);
    let mut rejections = Vec::new();
    for _ in 0..50 {
        let draft = client.draft(&client.kid, "").await;
        let answer = client.send(&draft).await;
        if answer.status != 200 {
            answer.is_problem(400, "badNonce");
            ca.set_behaviour(|behaviour| behaviour.nonce_rejection = 0);
            client.send(&draft).await.is_problem(400, "badNonce");
            ca.set_behaviour(|behaviour| behaviour.nonce_rejection = percent);
        }
        rejections.push(answer.status != 200);
    }
    rejections
}

#[tokio::test]
async fn the_url_is_signed() {
    let world = World::new().await;
    let other = world.client.url("/new-order");
    world.with_header(|header| header["url"] = json!(other)).await.is_problem(403, "unauthorized");
    world.with_header(|header| drop(header.as_object_mut().unwrap().remove("url"))).await.is_problem(400, "malformed");
}

#[tokio::test]
async fn an_account_signs_with_its_url_and_only_with_it() {
    let world = World::new().await;
    let jwk = world.client.key.jwk();
    world.with_header(|header| header["jwk"] = jwk.clone()).await.is_problem(400, "malformed");
    let only_jwk = |header: &mut Value| {
        header.as_object_mut().unwrap().remove("kid");
        header["jwk"] = jwk.clone();
    };
    world.with_header(only_jwk).await.is_problem(400, "malformed");
    world.with_header(|header| drop(header.as_object_mut().unwrap().remove("kid"))).await.is_problem(400, "malformed");
    let unknown = world.client.url("/account/99");
    world.with_header(|header| header["kid"] = json!(unknown)).await.is_problem(400, "accountDoesNotExist");
}

#[tokio::test]
async fn a_new_account_signs_with_its_key() {
    let world = World::new().await;
    let url = world.client.url("/new-account");
    let draft = world.client.draft(&url, &json!({ "onlyReturnExisting": true }).to_string()).await;
    world.client.send(&draft).await.is_problem(400, "malformed");
}

#[tokio::test]
async fn the_content_type_is_joses() {
    let world = World::new().await;
    for content_type in ["application/json", "application/jose"] {
        let mut draft = world.draft().await;
        draft.content_type = content_type;
        world.client.send(&draft).await.is_problem(415, "malformed");
    }
}

#[tokio::test]
async fn a_client_says_who_it_is() {
    let world = World::new().await;
    let nobody = http_client(&world.ca, None);
    for path in ["/directory", "/new-nonce", "/renewal-info/YQ.YQ"] {
        let answer = Answer::read(nobody.get(world.client.url(path)).send().await.unwrap()).await;
        answer.is_problem(400, "malformed");
        assert!(answer.text.contains("User-Agent"), "{answer:?}");
    }
}

#[tokio::test]
async fn resources_are_posted_to() {
    let world = World::new().await;
    for path in ["/new-account", "/new-order", "/account/0", "/order/0", "/authorization/0", "/certificate/0"] {
        world.client.get(&world.client.url(path)).await.is_problem(405, "malformed");
    }
    world.client.request(Method::POST, &world.ca.directory_url()).await.is_problem(405, "malformed");
    for method in [Method::PUT, Method::DELETE] {
        let mut draft = world.draft().await;
        draft.method = method;
        world.client.send(&draft).await.is_problem(405, "malformed");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::new().await;
    for path in ["/", "/order", "/order/x", "/order/-1", "/order/0/cancel", "/directory/"] {
        world.client.get(&world.client.url(path)).await.is_problem(404, "malformed");
    }
    for path in ["/order/9", "/order/9/finalize", "/authorization/9", "/challenge/9/http-01", "/certificate/9"] {
        let draft =
            world.client.draft(&world.client.url(path), if path.ends_with("finalize") { "{}" } else { "" }).await;
        world.client.send(&draft).await.is_problem(404, "malformed");
    }
}

#[tokio::test]
async fn a_signature_must_verify() {
    let world = World::new().await;
    let draft = world.draft().await;
    let mut body = world.client.sign(&draft);
    body["signature"] = json!(encode(&AccountKey::p256().sign(b"something else")));
    world.client.send_body(&draft, &body).await.is_problem(400, "malformed");

    let draft = world.draft().await;
    let mut body = world.client.sign(&draft);
    body["payload"] = json!(encode(b"{\"status\":\"deactivated\"}"));
    world.client.send_body(&draft, &body).await.is_problem(400, "malformed");
    assert_eq!(world.client.post_as_get(&world.client.kid).await.json()["status"], "valid");

    // The one of an RSA key's algorithms, over an elliptic curve.
    world.with_header(|header| header["alg"] = json!("RS256")).await.is_problem(400, "malformed");
}

#[tokio::test]
async fn only_the_algorithms_that_are_named_are_accepted() {
    let world = World::new().await;
    for algorithm in ["none", "HS256", "ES512", "es256", ""] {
        let answer = world.with_header(|header| header["alg"] = json!(algorithm)).await;
        answer.is_problem(400, "badSignatureAlgorithm");
        assert_eq!(answer.json()["algorithms"], json!(["ES256", "ES384", "RS256"]));
    }
    let draft = {
        let mut draft = world.client.unregistered_draft(&world.client.url("/new-account"), &json!({})).await;
        draft.protected["alg"] = json!("none");
        draft
    };
    let mut body = world.client.sign(&draft);
    body["signature"] = json!("");
    world.client.send_body(&draft, &body).await.is_problem(400, "badSignatureAlgorithm");
}

#[tokio::test]
async fn members_that_nobody_asked_for_are_refused() {
    let world = World::new().await;
    for (member, value) in [("crit", json!(["b64"])), ("typ", json!("JOSE")), ("b64", json!(false))] {
        world.with_header(|header| header[member] = value).await.is_problem(400, "malformed");
    }
    let draft = world.draft().await;
    let mut body = world.client.sign(&draft);
    body["header"] = json!({ "alg": "none" });
    world.client.send_body(&draft, &body).await.is_problem(400, "malformed");
    body.as_object_mut().unwrap().remove("header");
    assert_eq!(world.client.send_body(&draft, &body).await.status, 200, "the refusal used up no nonce");
}

#[tokio::test]
async fn bodies_that_are_no_jws_are_refused() {
    let world = World::new().await;
    let draft = world.draft().await;
    let good = world.client.sign(&draft);
    let mut padded = good.clone();
    padded["signature"] = json!(format!("{}==", good["signature"].as_str().unwrap()));
    let mut without_payload = good.clone();
    without_payload.as_object_mut().unwrap().remove("payload");
    let mut no_header = good.clone();
    no_header["protected"] = json!(encode(b"[]"));
    let huge = json!({ "protected": "", "payload": "A".repeat(300 * 1024), "signature": "" });
    for body in [padded, without_payload, no_header, huge, json!([good]), json!("text"), Value::Null] {
        world.client.send_body(&draft, &body).await.is_problem(400, "malformed");
    }
    assert_eq!(world.client.send_body(&draft, &good).await.status, 200);
}

#[tokio::test]
async fn keys_that_are_no_public_keys_are_refused() {
    let world = World::new().await;
    let good = world.client.key.jwk();
    let changed = |member: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[member] = value;
        jwk
    };
    let small = json!({ "e": "AQAB", "kty": "RSA", "n": encode(&[0xff; 128]) });
    for jwk in [
        changed("d", json!("AA")),
        changed("crv", json!("P-521")),
        changed("kty", json!("oct")),
        changed("x", json!(encode(&[1; 31]))),
        small,
        json!("key"),
    ] {
        let mut draft = world.client.unregistered_draft(&world.client.url("/new-account"), &json!({})).await;
        draft.protected["jwk"] = jwk;
        world.client.send(&draft).await.is_problem(400, "badPublicKey");
    }
    let mut draft = world.client.unregistered_draft(&world.client.url("/new-account"), &json!({})).await;
    draft.protected["jwk"] = changed("x", json!(encode(&[1; 32])));
    world.client.send(&draft).await.is_problem(400, "malformed");
    assert_eq!(world.ca.accounts(), 1);
}

#[tokio::test]
async fn reading_sends_an_empty_payload() {
    let world = World::new().await;
    let order = world.client.new_order(&["a.some-domain.test"], json!({})).await;
    let authorization = order.json()["authorizations"][0].as_str().unwrap().to_owned();
    for url in [order.location(), authorization] {
        world.client.post(&url, &json!({})).await.is_problem(400, "malformed");
        assert_eq!(world.client.post_as_get(&url).await.status, 200);
    }
    world
        .client
        .send(&world.client.draft(&world.client.url("/new-order"), "[1]").await)
        .await
        .is_problem(400, "malformed");
}

#[tokio::test]
async fn every_call_is_counted() {
    let world = World::new().await;
    assert_eq!(world.ca.count(Endpoint::NewAccount), 1);
    assert_eq!(world.ca.count(Endpoint::Account), 0);
    world.client.post_as_get(&world.client.kid).await;
    world.client.get(&world.client.kid).await.is_problem(405, "malformed");
    assert_eq!(world.ca.count(Endpoint::Account), 2, "refused ones too");
    assert_eq!(world.ca.count(Endpoint::Directory), 0);
}
