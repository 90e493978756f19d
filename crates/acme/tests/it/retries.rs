//! What a busy or broken CA answers, and what a call makes of it.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use certferry_acme::{ErrorKind, NewOrder, ProblemType};
use futures_util::stream;
use serde_json::json;

use crate::fake_ca::{FakeCa, Reply};

fn new_order() -> NewOrder {
    NewOrder { identifiers: vec![], replaces: None, profile: None }
}

fn valid_account() -> Reply {
    Reply::json(200, json!({"status": "valid"}))
}

/// Never ends, and announces no length.
fn endless() -> Body {
    let chunk = || Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 16 * 1024]));
    Body::from_stream(stream::iter(std::iter::repeat_with(chunk)))
}

#[tokio::test]
async fn a_short_wait_is_waited_for() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let (order, finalize) = (ca.url("/order/1"), ca.url("/finalize/1"));
    ca.expect("POST /new-order", |_| Reply::problem(429, "rateLimited", "slow down").header("retry-after", "1"));
    ca.expect("POST /new-order", |_| {
        Reply::problem(503, "rateLimited", "busy")
            .header("date", "Tue, 24 Nov 2026 08:00:00 GMT")
            .header("retry-after", "Tue, 24 Nov 2026 08:00:01 GMT")
    });
    ca.expect("POST /new-order", move |_| {
        Reply::json(201, json!({"status": "pending", "finalize": finalize})).header("location", order)
    });
    let started = Instant::now();
    account.new_order(&new_order()).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_long_wait_is_handed_to_the_caller_at_once() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let detail = "too many certificates (5) already issued, retry after 2026-11-24 09:00:00 UTC";
    for (name, value) in [("seconds", "3600"), ("date", "Tue, 24 Nov 2026 09:00:00 GMT")] {
        ca.expect("POST /new-order", move |_| {
            Reply::problem(429, "rateLimited", detail)
                .header("date", "Tue, 24 Nov 2026 08:00:00 GMT")
                .header("retry-after", value)
        });
        let error = account.new_order(&new_order()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Problem(ProblemType::RateLimited), "{name}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)), "{name}");
        assert_eq!(error.attempts(), 1);
        assert!(error.is_rate_limited() && !error.is_effect_unknown());
        let expected = format!("newOrder {}: HTTP 429 rateLimited: {detail}; retry after 3600 s", ca.url("/new-order"));
        assert_eq!(error.to_string(), expected);
    }
}

#[tokio::test]
async fn a_pause_without_an_end_is_not_hammered() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let detail = "paused, see https://unpause.example/sfe/v1/unpause?jwt=eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
    ca.expect("POST /new-order", move |_| Reply::problem(429, "rateLimited", detail));
    let error = account.new_order(&new_order()).await.unwrap_err();
    assert_eq!(error.retry_after(), None);
    assert!(!format!("{error} {error:?}").contains("eyJ"), "{error}");
    assert_eq!(error.problem().unwrap().sensitive_detail(), detail);
}

#[tokio::test]
async fn a_proxys_page_keeps_status_text_and_wait() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /order/1", |_| {
        Reply::text(503, "text/html", "<html>\n<h1>503 Service busy</h1>\n</html>").header("retry-after", "60")
    });
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Status);
    assert!(error.is_unavailable());
    assert_eq!(
        error.to_string(),
        format!(
            "order {}: HTTP 503 Service Unavailable, without a problem document (text/html): \
             <html> <h1>503 Service busy</h1> </html>; retry after 60 s",
            ca.url("/order/1")
        )
    );
}

#[tokio::test]
async fn a_read_is_repeated_after_any_server_error() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    for status in [500, 502, 503, 504] {
        ca.expect("POST /account/1", move |_| Reply::text(status, "text/plain", "oops").header("retry-after", "0"));
    }
    ca.expect("POST /account/1", |_| valid_account());
    account.fetch().await.unwrap();
}

#[tokio::test]
async fn attempts_end_even_when_the_ca_never_asks_for_patience() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.always("POST /account/1", |_| Reply::text(503, "text/plain", "busy").header("retry-after", "0"));
    let error = account.fetch().await.unwrap_err();
    assert_eq!(error.attempts(), 6);
    assert_eq!(ca.count("POST /account/1"), 6);
}

#[tokio::test]
async fn an_order_is_not_repeated_after_an_internal_error() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /new-order", |_| Reply::problem(500, "serverInternal", "boom").header("retry-after", "0"));
    let error = account.new_order(&new_order()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Problem(ProblemType::ServerInternal));
    assert!(error.is_effect_unknown());
}

#[tokio::test]
async fn a_client_without_budget_asks_once() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.builder().retry_budget(Duration::ZERO).build().unwrap()).await;
    ca.expect("POST /account/1", |_| Reply::text(503, "text/plain", "").header("retry-after", "0"));
    let error = account.fetch().await.unwrap_err();
    assert!(error.to_string().contains("HTTP 503 Service Unavailable, with an empty body"), "{error}");
}

#[tokio::test]
async fn an_endless_body_is_cut_off() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /order/1", |_| Reply::text(200, "application/json", endless()));
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::BodyTooLarge { limit: 1024 * 1024 });

    ca.expect("POST /order/1", |_| Reply::text(403, "text/plain", endless()).header("retry-after", "5"));
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Status);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(5)));
    assert!(error.to_string().len() < 500, "{error}");
}

#[tokio::test]
async fn a_redirect_of_a_signed_request_is_not_followed() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /account/1", |_| Reply::text(307, "text/plain", "").header("location", "/elsewhere"));
    let error = account.fetch().await.unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 307);
}
