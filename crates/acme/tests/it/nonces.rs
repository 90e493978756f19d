//! RFC 8555 §6.5: every answer's nonce is used, and a refused one is replaced.

use certferry_acme::{ErrorKind, NewOrder, ProblemType};
use futures_util::future::join_all;
use serde_json::json;

use crate::fake_ca::{FakeCa, Reply};

fn valid_account() -> Reply {
    Reply::json(200, json!({"status": "valid"}))
}

#[tokio::test]
async fn one_fetched_nonce_serves_a_whole_conversation() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    for _ in 0..5 {
        ca.expect("POST /account/1", |_| valid_account());
        account.fetch().await.unwrap();
    }
    assert_eq!(ca.count("HEAD /new-nonce"), 1);
}

#[tokio::test]
async fn a_refused_nonce_is_replaced_by_the_one_that_came_with_the_refusal() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    for _ in 0..20 {
        ca.expect("POST /account/1", |_| Reply::problem(400, "badNonce", "stale"));
    }
    ca.expect("POST /account/1", |_| valid_account());
    account.fetch().await.unwrap();
    // The CA numbers its nonces: 1 came by HEAD, and each answer brought the next.
    let nonces: Vec<String> = ca
        .seen()
        .iter()
        .filter(|seen| seen.request == "POST /account/1")
        .map(|seen| seen.protected["nonce"].as_str().unwrap().to_owned())
        .collect();
    let expected: Vec<String> = (2..=22).map(|number| format!("nonce-{number}")).collect();
    assert_eq!(nonces, expected);
}

#[tokio::test]
async fn twenty_one_refused_nonces_are_an_error() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    for _ in 0..21 {
        ca.expect("POST /account/1", |_| Reply::problem(400, "badNonce", "stale"));
    }
    let error = account.fetch().await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Problem(ProblemType::BadNonce));
    assert_eq!(error.to_string(), format!("account {}: HTTP 400 badNonce: stale", ca.url("/account/1")));
}

#[tokio::test]
async fn a_refused_nonce_does_not_make_an_order_uncertain() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /new-order", |_| Reply::problem(400, "badNonce", "stale"));
    let (order, finalize) = (ca.url("/order/1"), ca.url("/finalize/1"));
    ca.expect("POST /new-order", move |_| {
        Reply::json(201, json!({"status": "pending", "finalize": finalize})).header("location", order)
    });
    let new = NewOrder { identifiers: vec![], replaces: None, profile: None };
    assert_eq!(account.new_order(&new).await.unwrap().location, Some(ca.url("/order/1")));
}

#[tokio::test]
async fn hundreds_of_calls_at_once_share_nonces() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.always("POST /account/1", |_| valid_account());
    let calls = join_all((0..300).map(|_| account.fetch())).await;
    // That no nonce went out twice is checked by the CA.
    assert!(calls.iter().all(Result::is_ok));
    assert_eq!(ca.count("POST /account/1"), 300);
    assert!(ca.count("HEAD /new-nonce") < 300, "{}", ca.count("HEAD /new-nonce"));
    assert_eq!(ca.count("GET /directory"), 1);
}
