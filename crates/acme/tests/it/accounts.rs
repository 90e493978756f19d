//! RFC 8555 §7.3: registration, lookup, contacts, external account binding.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certferry_acme::{
    AccountKey, AccountKeyType, AccountStatus, ErrorKind, ExternalAccountBinding, MacAlgorithm, NewAccount, ProblemType,
};
use serde_json::{Value, json};

use crate::fake_ca::{FakeCa, Reply};

fn key() -> AccountKey {
    AccountKey::generate(AccountKeyType::EcdsaP256).unwrap()
}

#[tokio::test]
async fn a_new_account_sends_contacts_and_agreement() {
    let ca = FakeCa::start().await;
    let url = ca.url("/account/1");
    ca.expect("POST /new-account", move |_| {
        Reply::json(201, json!({"status": "valid", "contact": ["mailto:ops@example.com"], "orders": "https://x/o"}))
            .header("location", url)
    });
    let new = NewAccount {
        contacts: vec!["ops@example.com".parse().unwrap()],
        terms_of_service_agreed: true,
        external_account: None,
    };
    let registered = ca.client().new_account(key(), &new).await.unwrap();
    assert!(registered.is_new);
    assert_eq!(registered.account.url(), &ca.url("/account/1"));
    assert_eq!(registered.state.status, AccountStatus::Valid);
    let request = ca.seen().pop().unwrap();
    assert_eq!(request.payload, json!({"termsOfServiceAgreed": true, "contact": ["mailto:ops@example.com"]}));
    assert_eq!(request.headers["user-agent"], "certferry-test/1.0 (+https://certferry.example)");
    assert!(!request.headers.contains_key("accept-encoding"));
}

#[tokio::test]
async fn an_account_without_contact_sends_none() {
    let ca = FakeCa::start().await;
    let url = ca.url("/account/1");
    ca.expect("POST /new-account", move |_| Reply::json(200, json!({"status": "valid"})).header("location", url));
    let new = NewAccount { terms_of_service_agreed: true, ..NewAccount::default() };
    let registered = ca.client().new_account(key(), &new).await.unwrap();
    assert!(!registered.is_new);
    assert_eq!(ca.seen().pop().unwrap().payload, json!({"termsOfServiceAgreed": true}));
}

#[tokio::test]
async fn an_external_account_is_bound_to_the_key() {
    let ca = FakeCa::start().await;
    for (algorithm, name, verifier) in [
        (MacAlgorithm::Hs256, "HS256", hmac::HMAC_SHA256),
        (MacAlgorithm::Hs384, "HS384", hmac::HMAC_SHA384),
        (MacAlgorithm::Hs512, "HS512", hmac::HMAC_SHA512),
    ] {
        let url = ca.url("/account/1");
        ca.expect("POST /new-account", move |_| Reply::json(201, json!({"status": "valid"})).header("location", url));
        let binding = ExternalAccountBinding::new("kid-1", &URL_SAFE_NO_PAD.encode("secret"), algorithm).unwrap();
        let new = NewAccount { external_account: Some(binding), ..NewAccount::default() };
        ca.client().new_account(key(), &new).await.unwrap();

        let request = ca.seen().pop().unwrap();
        let bound = &request.payload["externalAccountBinding"];
        let part = |name: &str| bound[name].as_str().unwrap().to_owned();
        let json_of = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        let header = json!({"alg": name, "kid": "kid-1", "url": ca.url("/new-account")});
        assert_eq!(json_of(&part("protected")), header);
        assert_eq!(json_of(&part("payload")), request.protected["jwk"]);
        hmac::verify(
            &hmac::Key::new(verifier, b"secret"),
            format!("{}.{}", part("protected"), part("payload")).as_bytes(),
            &URL_SAFE_NO_PAD.decode(part("signature")).unwrap(),
        )
        .unwrap();
    }
}

#[tokio::test]
async fn an_account_is_found_by_its_key() {
    let ca = FakeCa::start().await;
    let client = ca.client();
    let url = ca.url("/account/1");
    ca.expect("POST /new-account", move |_| Reply::json(200, json!({"status": "valid"})).header("location", url));
    let found = client.find_account(key()).await.unwrap().unwrap();
    assert_eq!(found.account.url(), &ca.url("/account/1"));
    assert_eq!(ca.seen().pop().unwrap().payload, json!({"onlyReturnExisting": true}));

    ca.expect("POST /new-account", |_| Reply::problem(400, "accountDoesNotExist", "unknown key"));
    assert!(client.find_account(key()).await.unwrap().is_none());

    ca.expect("POST /new-account", |_| Reply::problem(403, "unauthorized", "account is deactivated"));
    let error = client.find_account(key()).await.unwrap_err();
    assert_eq!(error.problem_type(), Some(&ProblemType::Unauthorized));
}

#[tokio::test]
async fn contacts_are_replaced() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /account/1", |seen| {
        assert_eq!(seen.payload, json!({"contact": ["mailto:a@example.com"]}));
        Reply::json(200, json!({"status": "valid", "contact": ["mailto:a@example.com"]}))
    });
    let state = account.update_contact(&["a@example.com".parse().unwrap()]).await.unwrap().value;
    assert_eq!(state.contact, ["mailto:a@example.com"]);
}

#[tokio::test]
async fn a_known_account_is_used_without_asking() {
    let ca = FakeCa::start().await;
    let client = ca.client();
    let registered = ca.account(&client).await;
    let again = client.account(registered.key().clone(), ca.url("/account/1"));
    ca.expect("POST /account/1", |_| Reply::json(200, json!({"status": "deactivated"})));
    assert_eq!(again.fetch().await.unwrap().value.status, AccountStatus::Deactivated);
}

#[tokio::test]
async fn an_account_without_a_name_is_an_error() {
    let ca = FakeCa::start().await;
    for location in [None, Some("ftp://ca.example/account/1"), Some("http://ca.example/account/1")] {
        ca.expect("POST /new-account", move |_| {
            let reply = Reply::json(201, json!({"status": "valid"}));
            location.into_iter().fold(reply, |reply, location| reply.header("location", location))
        });
        let error = ca.client().new_account(key(), &NewAccount::default()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed, "{location:?}");
    }
}
