//! Accounts (RFC 8555 §7.3).

use aws_lc_rs::hmac;
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions, ExternalAccountKey};
use serde_json::{Value, json};

use crate::account_key::{AccountKey, encode};
use crate::client::Client;

async fn ca() -> AcmeCa {
    AcmeCa::start(AcmeCaOptions::default()).await.unwrap()
}

#[tokio::test]
async fn an_account_is_made_once_and_found_by_its_key() {
    let ca = ca().await;
    let client = Client::new(&ca, AccountKey::p256());
    let contact = json!(["mailto:ops@some-domain.test"]);
    let made = client.new_account(&json!({ "termsOfServiceAgreed": true, "contact": contact })).await;
    assert_eq!(made.status, 201, "{made:?}");
    assert_eq!(made.json(), json!({ "status": "valid", "contact": contact }));

    for payload in [json!({ "onlyReturnExisting": true }), json!({ "termsOfServiceAgreed": true, "contact": [] })] {
        let found = client.new_account(&payload).await;
        assert_eq!((found.status.as_u16(), found.location()), (200, made.location()), "{found:?}");
        assert_eq!(found.json()["contact"], contact, "RFC 8555 §7.3.1: nothing changes");
    }
    assert_eq!(ca.accounts(), 1);
}

#[tokio::test]
async fn keys_of_every_supported_type_are_accounts() {
    let ca = ca().await;
    for key in [AccountKey::p256(), AccountKey::p384(), AccountKey::rsa()] {
        let client = Client::registered(&ca, key).await;
        let answer = client.post_as_get(&client.kid).await;
        assert_eq!(answer.json()["status"], "valid", "{}: {answer:?}", client.key.algorithm());
    }
    assert_eq!(ca.accounts(), 3);
}

#[tokio::test]
async fn no_account_is_made_without_being_asked_for() {
    let ca = ca().await;
    let client = Client::new(&ca, AccountKey::p256());
    client.new_account(&json!({ "onlyReturnExisting": true })).await.is_problem(400, "accountDoesNotExist");
    for payload in [json!({}), json!({ "termsOfServiceAgreed": false })] {
        client.new_account(&payload).await.is_problem(403, "userActionRequired");
    }
    assert_eq!(ca.accounts(), 0);
}

#[tokio::test]
async fn contacts_change_and_are_checked() {
    let ca = ca().await;
    let client = Client::registered(&ca, AccountKey::p256()).await;
    let contact = json!(["mailto:a@some-domain.test", "mailto:b@some-domain.test"]);
    let changed = client.post(&client.kid, &json!({ "contact": contact })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["contact"]), (200, &contact), "{changed:?}");

    for (contact, kind) in [
        (json!(["tel:+4912345"]), "unsupportedContact"),
        (json!([7]), "unsupportedContact"),
        (json!(["mailto:nobody"]), "invalidContact"),
        (json!(["mailto:a@some-domain.test,b@some-domain.test"]), "invalidContact"),
        (json!(["mailto:a@some-domain.test?subject=x"]), "invalidContact"),
        (json!("mailto:a@some-domain.test"), "malformed"),
    ] {
        client.post(&client.kid, &json!({ "contact": contact })).await.is_problem(400, kind);
        let newcomer = Client::new(&ca, AccountKey::p256());
        newcomer.new_account(&json!({ "termsOfServiceAgreed": true, "contact": contact })).await.is_problem(400, kind);
    }
    assert_eq!(client.post_as_get(&client.kid).await.json()["contact"], contact);
    assert_eq!(client.post(&client.kid, &json!({ "contact": [] })).await.json()["contact"], json!([]));
    assert_eq!(ca.accounts(), 1);
}

#[tokio::test]
async fn a_deactivated_account_is_of_no_use_any_more() {
    let ca = ca().await;
    let client = Client::registered(&ca, AccountKey::p256()).await;
    let answer = client.post(&client.kid, &json!({ "status": "deactivated" })).await;
    assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str()), (200, Some("deactivated")), "{answer:?}");

    client.post_as_get(&client.kid).await.is_problem(403, "unauthorized");
    client.post(&client.kid, &json!({ "status": "valid" })).await.is_problem(403, "unauthorized");
    client.new_order(&["a.some-domain.test"], json!({})).await.is_problem(403, "unauthorized");
    for payload in [json!({ "onlyReturnExisting": true }), json!({ "termsOfServiceAgreed": true })] {
        client.new_account(&payload).await.is_problem(403, "unauthorized");
    }
}

#[tokio::test]
async fn an_account_is_its_owners_alone() {
    let ca = ca().await;
    let owner = Client::registered(&ca, AccountKey::p256()).await;
    let other = Client::registered(&ca, AccountKey::p256()).await;
    other.post_as_get(&owner.kid).await.is_problem(403, "unauthorized");
    other.post(&owner.kid, &json!({ "status": "deactivated" })).await.is_problem(403, "unauthorized");

    let mut draft = other.draft(&owner.kid, "").await;
    draft.protected["kid"] = json!(owner.kid);
    other.send(&draft).await.is_problem(400, "malformed");
    assert_eq!(owner.post_as_get(&owner.kid).await.json()["status"], "valid");
}

#[tokio::test]
async fn forgotten_accounts_do_not_come_back_under_an_old_url() {
    let ca = ca().await;
    let old = Client::registered(&ca, AccountKey::p256()).await;
    let order = old.new_order(&["a.some-domain.test"], json!({})).await.location();
    ca.forget_accounts();
    assert_eq!(ca.accounts(), 0);

    let new = Client::registered(&ca, AccountKey::p256()).await;
    assert_ne!(new.kid, old.kid);
    old.post_as_get(&old.kid).await.is_problem(400, "accountDoesNotExist");
    old.new_account(&json!({ "onlyReturnExisting": true })).await.is_problem(400, "accountDoesNotExist");
    new.post_as_get(&order).await.is_problem(403, "unauthorized");
}

/// RFC 8555 §7.3.4.
fn binding(
    client: &Client,
    kid: &str,
    (name, algorithm): (&str, hmac::Algorithm),
    mac_key: &[u8],
    jwk: &Value,
) -> Value {
    let protected = json!({ "alg": name, "kid": kid, "url": client.url("/new-account") });
    let (protected, payload) = (encode(protected.to_string().as_bytes()), encode(jwk.to_string().as_bytes()));
    let tag = hmac::sign(&hmac::Key::new(algorithm, mac_key), format!("{protected}.{payload}").as_bytes());
    json!({ "protected": protected, "payload": payload, "signature": encode(tag.as_ref()) })
}

#[tokio::test]
async fn an_external_account_is_wanted_where_there_are_keys_for_it() {
    let ca = ca().await;
    let before = Client::registered(&ca, AccountKey::p256()).await;
    let key = ExternalAccountKey { kid: "kid-1".to_owned(), hmac_key: b"a secret".to_vec() };
    assert!(!format!("{key:?}").contains("97"), "the key prints: {key:?}");
    ca.set_behaviour(|behaviour| behaviour.external_account_keys = vec![key]);
    let directory = before.get(&ca.directory_url()).await.json();
    assert_eq!(directory["meta"]["externalAccountRequired"], true);

    let client = Client::new(&ca, AccountKey::p256());
    let jwk = client.key.jwk();
    let hs256 = ("HS256", hmac::HMAC_SHA256);
    let payload = |binding: Value| json!({ "termsOfServiceAgreed": true, "externalAccountBinding": binding });
    client.new_account(&json!({ "termsOfServiceAgreed": true })).await.is_problem(403, "externalAccountRequired");
    for (binding, status, kind) in [
        (binding(&client, "kid-2", hs256, b"a secret", &jwk), 403, "unauthorized"),
        (binding(&client, "kid-1", hs256, b"another secret", &jwk), 403, "unauthorized"),
        (binding(&client, "kid-1", ("HS384", hmac::HMAC_SHA256), b"a secret", &jwk), 403, "unauthorized"),
        (binding(&client, "kid-1", ("none", hmac::HMAC_SHA256), b"a secret", &jwk), 400, "malformed"),
        (binding(&client, "kid-1", hs256, b"a secret", &before.key.jwk()), 400, "malformed"),
        (json!("binding"), 400, "malformed"),
    ] {
        client.new_account(&payload(binding)).await.is_problem(status, kind);
    }
    assert_eq!(ca.accounts(), 1);

    for algorithm in [hs256, ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        let client = Client::new(&ca, AccountKey::p256());
        let binding = binding(&client, "kid-1", algorithm, b"a secret", &client.key.jwk());
        assert_eq!(client.new_account(&payload(binding)).await.status, 201, "{algorithm:?}");
    }
    let found = before.new_account(&json!({ "onlyReturnExisting": true })).await;
    assert_eq!(found.status, 200, "an account that is there needs no binding: {found:?}");
}
