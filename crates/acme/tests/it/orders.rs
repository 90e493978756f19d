//! RFC 8555 §7.4, §7.5: orders, authorizations, challenges, certificates.

use std::time::Duration;

use certferry_acme::{
    AuthorizationStatus, ChallengeStatus, ChallengeType, ErrorKind, Identifier, InvalidToken, NewOrder, OrderStatus,
    ProblemType,
};
use serde_json::json;

use crate::fake_ca::{FakeCa, Reply};

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

#[tokio::test]
async fn an_order_says_what_it_wants_and_reads_what_it_gets() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let body = json!({
        "status": "pending", "expires": "2026-11-30T08:00:00.5Z", "notAfter": null,
        "identifiers": [{"type": "dns", "value": "*.example.com"}, {"type": "ip", "value": "192.0.2.1"}],
        "authorizations": [ca.url("/authz/1"), ca.url("/authz/2")],
        "finalize": ca.url("/finalize/1"),
        "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "profile": "shortlived",
    });
    ca.expect("POST /new-order", move |_| Reply::json(201, body).header("location", "/order/1"));
    let identifiers = vec![Identifier::Dns("*.example.com".into()), Identifier::Ip("192.0.2.1".parse().unwrap())];
    let new = NewOrder {
        identifiers: identifiers.clone(),
        replaces: Some("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE".parse().unwrap()),
        profile: Some("shortlived".into()),
    };
    let order = account.new_order(&new).await.unwrap();
    assert_eq!(
        ca.seen().pop().unwrap().payload,
        json!({
            "identifiers": [{"type": "dns", "value": "*.example.com"}, {"type": "ip", "value": "192.0.2.1"}],
            "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "profile": "shortlived",
        })
    );
    assert_eq!(order.location, Some(ca.url("/order/1")));
    let order = order.value;
    assert_eq!(order.status, OrderStatus::Pending);
    assert_eq!(order.expires, Some("2026-11-30T08:00:00.5Z".parse().unwrap()));
    assert_eq!(order.identifiers, identifiers);
    assert_eq!(order.authorizations, [ca.url("/authz/1"), ca.url("/authz/2")]);
    assert_eq!(order.replaces.as_deref(), Some("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE"));
    assert_eq!(order.profile.as_deref(), Some("shortlived"));
}

#[tokio::test]
async fn an_order_in_processing_says_when_to_look_again() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let order = |status: &str| json!({"status": status, "finalize": ca.url("/finalize/1"), "expires": "soon"});
    let (processing, mut valid) = (order("processing"), order("valid"));
    valid["certificate"] = json!(ca.url("/certificate/1"));
    ca.expect("POST /finalize/1", move |seen| {
        assert_eq!(seen.payload, json!({"csr": "3q0"}));
        Reply::json(200, processing).header("retry-after", "3")
    });
    let finalized = account.finalize(&ca.url("/finalize/1"), &[0xde, 0xad]).await.unwrap();
    assert_eq!(finalized.value.status, OrderStatus::Processing);
    assert_eq!(finalized.retry_after, Some(Duration::from_secs(3)));
    assert_eq!(finalized.value.expires, None);

    ca.expect("POST /order/1", move |seen| {
        assert_eq!(seen.payload, json!(null), "a POST-as-GET");
        Reply::json(200, valid)
    });
    let order = account.order(&ca.url("/order/1")).await.unwrap();
    assert_eq!(order.value.certificate, Some(ca.url("/certificate/1")));
    assert_eq!(order.retry_after, None);
}

#[tokio::test]
async fn a_refused_order_names_each_name() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /new-order", |_| {
        Reply::json(
            403,
            json!({
                "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "2 names refused", "subproblems": [
                    {"type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "policy",
                     "identifier": {"type": "dns", "value": "a.example.com"}},
                    {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA record\nforbids",
                     "identifier": {"type": "dns", "value": "b.example.com"}},
                ],
            }),
        )
    });
    let new = NewOrder { identifiers: vec![], replaces: None, profile: None };
    let error = account.new_order(&new).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Problem(ProblemType::RejectedIdentifier));
    assert!(!error.is_effect_unknown());
    let subproblems = &error.problem().unwrap().subproblems;
    assert_eq!(subproblems[1].kind, ProblemType::Caa);
    assert_eq!(subproblems[1].identifier, Some(Identifier::Dns("b.example.com".into())));
    assert_eq!(
        error.to_string(),
        format!(
            "newOrder {}: HTTP 403 rejectedIdentifier: 2 names refused; a.example.com: rejectedIdentifier: policy; \
             b.example.com: caa: CAA record forbids",
            ca.url("/new-order")
        )
    );
}

#[tokio::test]
async fn an_authorization_keeps_hostile_tokens_out() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let challenge = |kind: &str, token: &str| json!({"type": kind, "url": ca.url(&format!("/challenge/{kind}")), "status": "pending", "token": token});
    let body = json!({
        "status": "pending", "expires": "2026-11-30T08:00:00Z", "wildcard": true,
        "identifier": {"type": "dns", "value": "example.com"},
        "challenges": [
            challenge("http-01", "../../../etc/cron.d/x"),
            challenge("dns-01", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"),
            challenge("future-01", "x y"),
        ],
    });
    ca.expect("POST /authz/1", move |_| Reply::json(200, body).header("retry-after", "7"));
    let fetched = account.authorization(&ca.url("/authz/1")).await.unwrap();
    assert_eq!(fetched.retry_after, Some(Duration::from_secs(7)));
    let authorization = fetched.value;
    assert!(authorization.wildcard);
    let challenge = |kind| authorization.challenge(&kind).unwrap();
    assert_eq!(challenge(ChallengeType::Http01).token(), Err(&InvalidToken::Charset));
    assert_eq!(challenge(ChallengeType::Unknown("future-01".into())).token(), Err(&InvalidToken::Charset));
    let token = challenge(ChallengeType::Dns01).token().unwrap();
    let expected = format!("{token}.{}", account.key().thumbprint());
    assert_eq!(account.key().key_authorization(token).as_str(), expected);
}

#[tokio::test]
async fn a_failed_challenge_says_why() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let body = json!({
        "status": "invalid", "identifier": {"type": "dns", "value": "example.com"},
        "challenges": [{
            "type": "http-01", "url": ca.url("/challenge/1"), "status": "invalid", "token": "abc",
            "validated": "2026-11-24T08:00:00Z",
            "error": {"type": "urn:ietf:params:acme:error:connection", "detail": "192.0.2.1: Timeout", "status": 400},
        }],
    });
    ca.expect("POST /authz/1", move |_| Reply::json(200, body));
    let authorization = account.authorization(&ca.url("/authz/1")).await.unwrap().value;
    assert_eq!(authorization.status, AuthorizationStatus::Invalid);
    let error = authorization.error().unwrap();
    assert_eq!(error.kind, ProblemType::Connection);
    assert_eq!(error.to_string(), "connection: 192.0.2.1: Timeout");
    assert!(authorization.challenges[0].validated.is_some());
}

#[tokio::test]
async fn responding_sends_an_empty_object() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let body = json!({"type": "http-01", "url": ca.url("/challenge/1"), "status": "processing", "token": "abc"});
    ca.expect("POST /challenge/1", move |seen| {
        assert_eq!(seen.payload, json!({}));
        Reply::json(200, body)
    });
    let challenge = account.respond(&ca.url("/challenge/1")).await.unwrap().value;
    assert_eq!(challenge.status, ChallengeStatus::Processing);
}

#[tokio::test]
async fn a_certificate_comes_with_its_alternates() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let directory = ca.url("/directory");
    ca.expect("POST /certificate/1", move |seen| {
        assert_eq!(seen.headers["accept"], "application/pem-certificate-chain");
        Reply::text(200, "application/pem-certificate-chain", format!("{CHAIN}\n{CHAIN}"))
            .header("link", format!("<{directory}>;rel=\"index\""))
            .header("link", "</certificate/1/1>;rel=\"alternate\", </certificate/1/2>; title=\"a, b\"; rel=alternate")
            .header("link", "<http://elsewhere.example/x>;rel=\"alternate\"")
    });
    let chain = account.certificate(&ca.url("/certificate/1")).await.unwrap().value;
    assert_eq!(chain.pem, format!("{CHAIN}\n{CHAIN}"));
    assert_eq!(chain.alternates, [ca.url("/certificate/1/1"), ca.url("/certificate/1/2")]);

    ca.expect("POST /certificate/1/1", |_| Reply::text(200, "application/pem-certificate-chain", CHAIN));
    assert_eq!(account.certificate(&chain.alternates[0]).await.unwrap().value.pem, CHAIN);
}

#[tokio::test]
async fn what_is_not_a_certificate_is_refused() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    let with_key = format!("{CHAIN}-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
    for body in [String::new(), "<html>".to_owned(), with_key] {
        ca.expect("POST /certificate/1", move |_| Reply::text(200, "application/pem-certificate-chain", body));
        let error = account.certificate(&ca.url("/certificate/1")).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed);
    }
    ca.expect("POST /certificate/1", |_| {
        Reply::text(200, "application/pem-certificate-chain", CHAIN.repeat(256 * 1024 / CHAIN.len() + 1))
    });
    let error = account.certificate(&ca.url("/certificate/1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::BodyTooLarge { limit: 256 * 1024 });
}

#[tokio::test]
async fn an_order_that_leads_elsewhere_is_refused() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    for finalize in ["http://192.0.2.1/finalize", "file:///etc/passwd", "https://user@ca.example/", "finalize"] {
        ca.expect("POST /order/1", move |_| Reply::json(200, json!({"status": "ready", "finalize": finalize})));
        let error = account.order(&ca.url("/order/1")).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{finalize}");
        assert!(error.to_string().contains("is refused"), "{error}");
    }
    ca.expect("POST /order/1", |_| Reply::json(200, json!({"status": "valid", "finalize": "https://ca.example/f"})));
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert!(error.to_string().contains("names no certificate"), "{error}");
}
