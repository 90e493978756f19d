//! The adapter against a CA that answers as told.

mod scripted_ca;

use std::sync::Arc;
use std::time::Duration;

use certferry_core::port::{AuthorizationStatus, CertificateAuthority, OrderRequest, OrderStatus};
use certferry_core::{Chain, Clock, Error, ErrorKind, Retry};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};

use super::{AccountKeyType, AcmeIssuer, ExternalAccountBinding, IssuerConfig, MacAlgorithm, WithoutProfile};
use scripted_ca::{Reply, ScriptedCa, directory, order, order_json};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        "2026-01-02T12:00:00Z".parse().unwrap()
    }
}

fn issuer(ca: &ScriptedCa) -> AcmeIssuer {
    issuer_with(ca, |_| {})
}

fn issuer_with(ca: &ScriptedCa, adjust: impl FnOnce(&mut IssuerConfig)) -> AcmeIssuer {
    let mut config = IssuerConfig {
        name: "lab".parse().unwrap(),
        directory: format!("{}/directory", ca.base).parse().unwrap(),
        contact: vec!["ops@some-domain.com".parse().unwrap()],
        external_account: Some(ExternalAccountBinding::new("kid-1", "c2VjcmV0", MacAlgorithm::Hs256).unwrap()),
        trusted_roots: Vec::new(),
        profile: None,
        without_profile: Default::default(),
        preferred_chain: None,
        account_key: Default::default(),
        limits: Default::default(),
    };
    adjust(&mut config);
    AcmeIssuer::new(config, "certferry-test/1", Arc::new(Noon)).unwrap()
}

async fn opened(ca: &ScriptedCa) -> AcmeIssuer {
    let issuer = issuer(ca);
    let key = issuer.new_account_key().unwrap();
    issuer.open_account(&key, true).await.unwrap();
    issuer
}

fn request(replaces: Option<Chain>) -> OrderRequest {
    OrderRequest { names: vec!["www.some-domain.com".parse().unwrap()], profile: None, replaces }
}

fn chain() -> Chain {
    let (key, ca_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let intermediate = ca.self_signed(&ca_key).unwrap().pem();
    let mut leaf = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().pem();
    Chain::parse(&format!("{leaf}{intermediate}")).unwrap()
}

fn authorization(status: &str, challenge: Value) -> Reply {
    let identifier = json!({ "type": "dns", "value": "www.some-domain.com" });
    Reply::json(200, json!({ "status": status, "identifier": identifier, "challenges": [challenge] }))
}

fn challenge(status: &str, token: &str) -> Value {
    json!({ "type": "http-01", "url": "BASE/challenge/1", "status": status, "token": token })
}

#[tokio::test]
async fn an_order_goes_all_the_way() {
    let issued = chain();
    let pem = issued.pem().to_owned();
    let ca = ScriptedCa::start(move |path, _| match path {
        "/authorization/1" => {
            Some(authorization("pending", challenge("pending", "to-ken_1")).header("retry-after", "3"))
        }
        "/challenge/1" => Some(Reply::json(200, challenge("processing", "to-ken_1"))),
        "/order/1/finalize" => Some(order("processing").header("retry-after", "2")),
        "/order/1" => Some(order("valid")),
        "/certificate/1" => Some(Reply::text(200, "application/pem-certificate-chain", &pem)),
        _ => None,
    })
    .await;
    let issuer = issuer(&ca);
    assert_eq!(issuer.directory_url(), format!("{}/directory", ca.base));
    let key = issuer.new_account_key().unwrap();
    assert!(key.expose().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(issuer.open_account(&key, true).await.unwrap().url, format!("{}/account/1", ca.base));
    let account = &ca.asked("/new-account")[0];
    assert_eq!(account["contact"], json!(["mailto:ops@some-domain.com"]));
    assert_eq!(account["termsOfServiceAgreed"], json!(true));
    assert!(account["externalAccountBinding"]["signature"].is_string(), "{account}");

    let ordered = issuer.new_order(&request(None)).await.unwrap();
    assert_eq!(
        (ordered.url, ordered.status, ordered.replaces),
        (format!("{}/order/1", ca.base), OrderStatus::Pending, false)
    );
    let authorization = issuer.authorization(&ordered.authorizations[0]).await.unwrap();
    assert_eq!(
        (authorization.name.to_string().as_str(), authorization.status),
        ("www.some-domain.com", AuthorizationStatus::Pending)
    );
    assert_eq!(authorization.retry_after, Some(Duration::from_secs(3)));
    let challenge = authorization.http01.unwrap();
    assert!(challenge.untouched && challenge.key_authorization.starts_with("to-ken_1."));
    assert_eq!(challenge.key_authorization.len(), "to-ken_1.".len() + 43);
    issuer.answer(&challenge.url).await.unwrap();
    assert_eq!(ca.asked("/challenge/1"), [json!({})]);

    let finalized =
        issuer.finalize(&issuer.order(&format!("{}/order/1", ca.base)).await.unwrap(), b"csr").await.unwrap();
    assert_eq!((finalized.status, finalized.retry_after), (OrderStatus::Processing, Some(Duration::from_secs(2))));
    assert_eq!(finalized.url, format!("{}/order/1", ca.base));
    assert_eq!(ca.asked("/order/1/finalize"), [json!({ "csr": "Y3Ny" })]);
    let valid = issuer.order(&finalized.url).await.unwrap();
    assert_eq!(issuer.certificate(&valid.certificate.unwrap()).await.unwrap(), issued);
}

/// RFC 8738: an address is an identifier of a type of its own, in orders and in authorizations.
#[tokio::test]
async fn an_address_is_ordered_and_authorized_as_such() {
    let ca = ScriptedCa::start(|path, _| {
        let answer = |kind: &str, value: &str| {
            let identifier = json!({ "type": kind, "value": value });
            json!({ "status": "pending", "identifier": identifier, "challenges": [challenge("pending", "to-ken_1")] })
        };
        Some(Reply::json(
            200,
            match path {
                "/authorization/1" => answer("ip", "2001:DB8::1"),
                "/authorization/2" => answer("ip", "0.0.0.0"),
                "/authorization/3" => answer("dns", "192.0.2.1"),
                _ => return None,
            },
        ))
    })
    .await;
    let issuer = issuer(&ca);
    issuer.open_account(&issuer.new_account_key().unwrap(), true).await.unwrap();
    let names = ["www.some-domain.com", "192.0.2.1", "2001:db8::1"].map(|name| name.parse().unwrap());
    issuer.new_order(&OrderRequest { names: names.to_vec(), profile: None, replaces: None }).await.unwrap();
    let identifiers = json!([
        { "type": "dns", "value": "www.some-domain.com" },
        { "type": "ip", "value": "192.0.2.1" },
        { "type": "ip", "value": "2001:db8::1" },
    ]);
    assert_eq!(ca.asked("/new-order")[0]["identifiers"], identifiers);
    let read = async |number: u8| issuer.authorization(&format!("{}/authorization/{number}", ca.base)).await;
    assert_eq!(read(1).await.unwrap().name, names[2]);
    for number in [2, 3] {
        let error = read(number).await.unwrap_err();
        assert!(error.to_string().contains("was not ordered"), "{error}");
    }
}

#[tokio::test]
async fn an_order_is_asked_for_once_more_without_replaces_only_where_that_may_help() {
    for (status, kind, again) in [
        (409, "alreadyReplaced", true),
        (403, "unauthorized", true),
        (404, "malformed", true),
        (400, "malformed", true),
        (409, "conflict", true),
        (400, "notOfThisWorld", true),
        (500, "serverInternal", true),
        (429, "rateLimited", false),
        (400, "rejectedIdentifier", false),
        (501, "serverInternal", false),
        (400, "accountDoesNotExist", false),
        (403, "userActionRequired", false),
        (400, "invalidProfile", false),
    ] {
        let ca = ScriptedCa::start(move |path, payload| {
            let refused = path == "/new-order" && payload["replaces"].is_string();
            refused.then(|| Reply::problem(status, kind, "no").header("retry-after", "3600"))
        })
        .await;
        let answer = opened(&ca).await.new_order(&request(Some(chain()))).await;
        assert_eq!(answer.is_ok(), again, "{kind}: {answer:?}");
        let asked = ca.asked("/new-order");
        assert_eq!(asked.len(), if again { 2 } else { 1 }, "{kind}");
        assert!(asked[0]["replaces"].is_string());
        if let Ok(order) = answer {
            assert!(!order.replaces && asked[1].get("replaces").is_none(), "{kind}");
        }
    }
}

#[tokio::test]
async fn an_order_replaces_only_what_the_ca_says_it_replaces() {
    let ca = ScriptedCa::start(|path, payload| {
        let mut order = order_json("pending");
        order["replaces"] = payload["replaces"].clone();
        (path == "/new-order").then(|| Reply::json(201, order).header("location", "BASE/order/1"))
    })
    .await;
    assert!(opened(&ca).await.new_order(&request(Some(chain()))).await.unwrap().replaces);

    let reused = ScriptedCa::start(|path, _| {
        let mut order = order_json("pending");
        order["replaces"] = json!("b3RoZXI.AQ");
        (path == "/new-order").then(|| Reply::json(200, order).header("location", "BASE/order/1"))
    })
    .await;
    assert!(!opened(&reused).await.new_order(&request(Some(chain()))).await.unwrap().replaces);

    let without_ari = ScriptedCa::start(|path, _| {
        let mut directory = directory();
        directory.as_object_mut().unwrap().remove("renewalInfo");
        (path == "/directory").then(|| Reply::json(200, directory))
    })
    .await;
    let issuer = opened(&without_ari).await;
    assert!(!issuer.new_order(&request(Some(chain()))).await.unwrap().replaces);
    assert!(without_ari.asked("/new-order")[0].get("replaces").is_none());
    assert_eq!(issuer.renewal_window(&chain()).await.unwrap(), None);
}

/// The failure of newOrder when the CA answers it like this.
async fn refused(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Error {
    let ca = ScriptedCa::start(move |path, _| (path == "/new-order").then(&reply)).await;
    let error = opened(&ca).await.new_order(&request(None)).await.unwrap_err();
    assert!(error.to_string().contains(&format!("newOrder on issuer `lab` ({}/directory)", ca.base)), "{error}");
    error
}

#[tokio::test]
async fn a_rate_limit_is_kept_with_the_cas_words_and_wait() {
    let error = refused(|| {
        Reply::problem(429, "rateLimited", "too many certificates for this set, retry after 2026-01-03")
            .header("retry-after", "86000")
    })
    .await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::RateLimited, Retry::After(Duration::from_secs(86000))));
    let text = error.to_string();
    let said =
        "HTTP 429 rateLimited: too many certificates for this set, retry after 2026-01-03 (try again in 86000 s)";
    assert!(text.ends_with(said), "{text}");
    assert!(error.hint().unwrap().contains("rate-limits"), "{error:?}");
}

#[tokio::test]
async fn a_paused_name_waits_for_a_person_and_shows_no_link() {
    let error = refused(|| {
        let detail = "Your account is paused for www.some-domain.com. Unpause at \
                      https://portal.some-ca.com/unpause?jwt=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        Reply::problem(429, "rateLimited", detail)
    })
    .await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Paused, Retry::Never));
    assert!(!format!("{error} {error:?}").contains("eyJ"), "{error}");
    assert!(error.hint().unwrap().contains("paused"));
}

#[tokio::test]
async fn every_name_that_is_refused_is_named() {
    let error = refused(|| {
        let part = |name: &str, kind: &str| {
            let kind = format!("urn:ietf:params:acme:error:{kind}");
            json!({ "type": kind, "detail": "not here", "identifier": { "type": "dns", "value": name } })
        };
        let parts = [part("a.some-domain.com", "rejectedIdentifier"), part("b.some-domain.com", "caa")];
        let kind = "urn:ietf:params:acme:error:compound";
        Reply::json(403, json!({ "type": kind, "detail": "see below", "subproblems": parts }))
            .header("content-type", "application/problem+json")
    })
    .await;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Rejected, Retry::Never));
    let text = error.to_string();
    assert!(text.contains("a.some-domain.com: rejectedIdentifier: not here; b.some-domain.com: caa"), "{text}");
}

#[tokio::test]
async fn a_page_of_a_proxy_is_not_taken_for_the_cas_word() {
    let error = refused(|| Reply::text(503, "text/html", "<h1>Service busy</h1>").header("retry-after", "3600")).await;
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::EffectUnknown), "{error:?}");
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(3600)));
    assert!(error.to_string().contains("HTTP 503"), "{error}");
}

#[tokio::test]
async fn an_answer_that_got_lost_is_told_apart_from_a_refusal() {
    let error = refused(|| Reply::text(200, "application/json", "{}")).await;
    assert_eq!(error.kind(), ErrorKind::EffectUnknown, "{error:?}");
}

#[tokio::test]
async fn a_failed_validation_tells_what_the_ca_saw() {
    let ca = ScriptedCa::start(|path, _| {
        let mut seen = challenge("invalid", "to-ken_1");
        seen["error"] = json!({
            "type": "urn:ietf:params:acme:error:incorrectResponse",
            "detail": "192.0.2.7: Invalid response from http://www.some-domain.com/.well-known/: 404",
        });
        match path {
            "/authorization/1" => Some(authorization("invalid", seen)),
            "/authorization/2" => Some(authorization("expired", challenge("pending", "to-ken_1"))),
            _ => None,
        }
    })
    .await;
    let issuer = opened(&ca).await;
    let invalid = issuer.authorization(&format!("{}/authorization/1", ca.base)).await.unwrap();
    assert_eq!(invalid.status, AuthorizationStatus::Invalid);
    let seen = "incorrectResponse: 192.0.2.7: Invalid response from http://www.some-domain.com/.well-known/: 404";
    assert_eq!(invalid.error.as_deref(), Some(seen));
    let expired = issuer.authorization(&format!("{}/authorization/2", ca.base)).await.unwrap();
    assert_eq!((expired.status, expired.error.as_deref()), (AuthorizationStatus::Invalid, Some("it has expired")));
}

#[tokio::test]
async fn a_token_that_is_no_token_goes_nowhere() {
    for token in ["../../etc/passwd", "a b", "", "$(reboot)"] {
        let ca = ScriptedCa::start(move |path, _| {
            (path == "/authorization/1").then(|| authorization("pending", challenge("pending", token)))
        })
        .await;
        let url = format!("{}/authorization/1", ca.base);
        let error = opened(&ca).await.authorization(&url).await.unwrap_err();
        assert!(error.to_string().contains("token") && error.to_string().contains(&url), "{error}");
    }
}

#[tokio::test]
async fn an_order_that_is_gone_is_not_found_whatever_the_ca_calls_it() {
    for (status, kind, expected) in [
        (404, "malformed", ErrorKind::NotFound),
        (404, "unauthorized", ErrorKind::NotFound),
        (403, "unauthorized", ErrorKind::Denied),
        (400, "accountDoesNotExist", ErrorKind::Denied),
    ] {
        let ca =
            ScriptedCa::start(move |path, _| (path == "/order/9").then(|| Reply::problem(status, kind, "no"))).await;
        let url = format!("{}/order/9", ca.base);
        let error = opened(&ca).await.order(&url).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.to_string().contains(&url), "{error}");
    }
}

#[tokio::test]
async fn an_account_that_is_gone_is_not_made_again() {
    let ca = ScriptedCa::start(|path, payload| {
        let only_existing = payload["onlyReturnExisting"] == json!(true);
        (path == "/new-account" && only_existing).then(|| Reply::problem(400, "accountDoesNotExist", "no such key"))
    })
    .await;
    let issuer = issuer(&ca);
    let key = issuer.new_account_key().unwrap();
    let error = issuer.open_account(&key, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(ca.asked("/new-account").len(), 1);
    let error = issuer.order("https://ca.some-domain.com/order/1").await.unwrap_err();
    assert!(error.to_string().contains("not opened"), "{error}");

    let ca = ScriptedCa::start(|path, _| {
        let account = Reply::json(200, json!({ "status": "deactivated" })).header("location", "BASE/account/1");
        (path == "/new-account").then_some(account)
    })
    .await;
    let issuer = self::issuer(&ca);
    let error = issuer.open_account(&key, false).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Denied, Retry::Never), "{error}");
}

#[tokio::test]
async fn a_contact_that_changed_in_the_config_is_told_to_the_ca() {
    for (known, told) in
        [(json!(["mailto:old@some-domain.com"]), 1), (json!(["mailto:ops@some-domain.com"]), 0), (json!([]), 0)]
    {
        let ca = ScriptedCa::start(move |path, _| {
            let account = json!({ "status": "valid", "contact": known });
            match path {
                "/new-account" => Some(Reply::json(200, account).header("location", "BASE/account/1")),
                "/account/1" => Some(Reply::json(200, account)),
                _ => None,
            }
        })
        .await;
        opened(&ca).await;
        assert_eq!(ca.asked("/account/1").len(), told);
    }
}

#[tokio::test]
async fn a_key_that_is_no_key_does_not_print() {
    let ca = ScriptedCa::start(|_, _| None).await;
    let error = issuer(&ca).open_account(&"hunter2".to_owned().into(), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(!format!("{error:?}").contains("hunter2"));
    assert!(ca.asked("/new-account").is_empty());
}

#[tokio::test]
async fn a_profile_that_the_ca_does_not_offer_is_refused_before_an_order() {
    let ca = ScriptedCa::start(|_, _| None).await;
    let issuer = opened(&ca).await;
    issuer.check(None).await.unwrap();
    issuer.check(Some("shortlived")).await.unwrap();
    let error = issuer.check(Some("tlsserver")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOffered);
    assert!(error.hint().unwrap().contains("`classic`, `shortlived`"), "{error:?}");
    let wanted = OrderRequest { profile: Some("tlsserver".to_owned()), ..request(None) };
    assert_eq!(issuer.new_order(&wanted).await.unwrap_err().kind(), ErrorKind::NotOffered);
    assert!(ca.asked("/new-order").is_empty());
    let wanted = OrderRequest { profile: Some("shortlived".to_owned()), ..request(None) };
    issuer.new_order(&wanted).await.unwrap();
    assert_eq!(ca.asked("/new-order")[0]["profile"], json!("shortlived"));
}

#[tokio::test]
async fn a_profile_that_is_only_preferred_is_left_out_where_it_is_not_offered() {
    let ca = ScriptedCa::start(|_, _| None).await;
    let issuer = issuer_with(&ca, |config| config.without_profile = WithoutProfile::OrderAnyway);
    issuer.open_account(&issuer.new_account_key().unwrap(), true).await.unwrap();
    issuer.check(Some("tlsserver")).await.unwrap();
    for (profile, sent) in [("tlsserver", Value::Null), ("shortlived", json!("shortlived"))] {
        let wanted = OrderRequest { profile: Some(profile.to_owned()), ..request(None) };
        issuer.new_order(&wanted).await.unwrap();
        assert_eq!(ca.asked("/new-order").last().unwrap()["profile"], sent, "{profile}");
    }
}

#[tokio::test]
async fn an_account_gets_the_kind_of_key_that_the_config_says() {
    let ca = ScriptedCa::start(|_, _| None).await;
    for kind in [AccountKeyType::EcdsaP384, AccountKeyType::Rsa2048] {
        let issuer = issuer_with(&ca, |config| config.account_key = kind);
        let key = issuer.new_account_key().unwrap();
        let der = pem::parse(key.expose().as_bytes()).unwrap().into_contents();
        assert_eq!(certferry_acme::AccountKey::from_pkcs8(&der).unwrap().key_type(), kind);
        issuer.open_account(&key, true).await.unwrap();
    }
}

#[tokio::test]
async fn the_renewal_window_says_when_to_ask_again_within_limits() {
    for (retry_after, wait) in [
        (None, SignedDuration::from_hours(6)),
        (Some("0"), SignedDuration::from_mins(1)),
        (Some("21600"), SignedDuration::from_hours(6)),
        (Some("99999999"), SignedDuration::from_hours(24)),
    ] {
        let ca = ScriptedCa::start(move |path, _| {
            let window = json!({ "start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z" });
            let info = json!({ "suggestedWindow": window, "explanationURL": "https://ca.some-domain.com/why" });
            let reply = path.starts_with("/renewal-info/").then(|| Reply::json(200, info))?;
            Some(match retry_after {
                Some(seconds) => reply.header("retry-after", seconds),
                None => reply,
            })
        })
        .await;
        let window = issuer(&ca).renewal_window(&chain()).await.unwrap().unwrap();
        assert_eq!(window.start, "2026-03-01T00:00:00Z".parse().unwrap());
        assert_eq!(window.explanation_url.as_deref(), Some("https://ca.some-domain.com/why"));
        assert_eq!(window.next_fetch, Noon.now() + wait, "{retry_after:?}");
    }
}

#[tokio::test]
async fn a_ca_that_is_not_there_is_told_with_what_to_look_at() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = IssuerConfig {
        name: "lab".parse().unwrap(),
        directory: format!("http://{gone}/directory").parse().unwrap(),
        contact: Vec::new(),
        external_account: None,
        trusted_roots: Vec::new(),
        profile: None,
        without_profile: Default::default(),
        preferred_chain: None,
        account_key: Default::default(),
        limits: Default::default(),
    };
    let issuer = AcmeIssuer::new(config.clone(), "certferry-test/1", Arc::new(Noon)).unwrap();
    tokio::time::pause();
    let error = issuer.check(None).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::WithBackoff), "{error}");
    assert!(error.hint().unwrap().contains("trusted-roots"));
    let config = IssuerConfig { trusted_roots: vec![b"no certificate".to_vec().into()], ..config };
    let config = IssuerConfig { directory: "https://ca.some-domain.com/".parse().unwrap(), ..config };
    let error = AcmeIssuer::new(config, "certferry-test/1", Arc::new(Noon)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// Refusals of types that no CA has, and answers of something else than a CA.
#[tokio::test]
async fn every_refusal_comes_with_a_way_out() {
    for status in [400, 401, 403, 404, 409, 412, 418, 429, 500, 503] {
        for is_problem in [true, false] {
            let ca = ScriptedCa::start(move |path, _| match path {
                "/order/1" if is_problem => Some(Reply::problem(status, "notInvented", "not on a Sunday")),
                "/order/1" => Some(Reply::text(status, "text/html", "<html>Please log in</html>")),
                _ => None,
            })
            .await;
            let issuer = issuer_with(&ca, |config| config.limits.retry = Duration::ZERO);
            let key = issuer.new_account_key().unwrap();
            issuer.open_account(&key, true).await.unwrap();
            let error = issuer.order(&format!("{}/order/1", ca.base)).await.unwrap_err();
            assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{status}: {error}");
        }
    }
}
