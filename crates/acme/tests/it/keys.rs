//! Account keys of every kind, their change, the end of an account, and revocation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certferry_acme::{AccountKey, AccountKeyType, AccountStatus, NewAccount, ProblemType, RevocationReason};
use serde_json::{Value, json};

use crate::fake_ca::{FakeCa, Reply, verify};

const KINDS: [AccountKeyType; 5] = [
    AccountKeyType::EcdsaP256,
    AccountKeyType::EcdsaP384,
    AccountKeyType::Rsa2048,
    AccountKeyType::Rsa3072,
    AccountKeyType::Rsa4096,
];

#[tokio::test]
async fn a_key_of_every_kind_registers_and_signs() {
    for kind in KINDS {
        let ca = FakeCa::start().await;
        let url = ca.url("/account/1");
        ca.expect("POST /new-account", move |_| Reply::json(201, json!({"status": "valid"})).header("location", url));
        ca.expect("POST /account/1", |_| Reply::json(200, json!({"status": "valid"})));
        let key = AccountKey::generate(kind).unwrap();
        let account = ca.client().new_account(key, &NewAccount::default()).await.unwrap().account;
        // The fake CA verifies each signature by the key that was registered.
        account.fetch().await.unwrap();
    }
}

#[tokio::test]
async fn a_change_of_keys_is_signed_by_both() {
    for kind in KINDS {
        let ca = FakeCa::start().await;
        let client = ca.client();
        let account = ca.account(&client).await;
        ca.expect("POST /key-change", |_| Reply::json(200, json!({"status": "valid"})));
        let new = AccountKey::generate(kind).unwrap();
        let changed = account.change_key(new.clone()).await.unwrap();
        assert_eq!((changed.url(), changed.key().thumbprint()), (account.url(), new.thumbprint()));
        let request = ca.seen().pop().unwrap();
        assert_eq!(request.protected["kid"], account.url().as_str());
        let part = |name: &str| request.payload[name].as_str().unwrap().to_owned();
        let decoded = |name: &str| URL_SAFE_NO_PAD.decode(part(name)).unwrap();
        let protected: Value = serde_json::from_slice(&decoded("protected")).unwrap();
        let payload: Value = serde_json::from_slice(&decoded("payload")).unwrap();
        assert_eq!(protected["url"], request.protected["url"], "both name the same URL");
        assert!(protected.get("nonce").is_none() && protected.get("kid").is_none(), "{protected}");
        assert_eq!(payload["account"], account.url().as_str());
        assert!(payload["oldKey"]["kty"].is_string());
        let message = format!("{}.{}", part("protected"), part("payload"));
        let algorithm = protected["alg"].as_str().unwrap();
        verify(&protected["jwk"], algorithm, message.as_bytes(), &decoded("signature")).unwrap();
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_not_repeated_and_can_be_asked_for() {
    let ca = FakeCa::start().await;
    let client = ca.builder().retry_budget(std::time::Duration::from_millis(200)).build().unwrap();
    let account = ca.account(&client).await;
    ca.expect("POST /key-change", |_| Reply::problem(500, "serverInternal", "oops"));
    let error = account.change_key(AccountKey::generate(AccountKeyType::EcdsaP256).unwrap()).await.unwrap_err();
    assert!(error.is_effect_unknown(), "{error}");
    assert_eq!(ca.count("POST /key-change"), 1);
}

#[tokio::test]
async fn a_ca_without_key_changes_is_named() {
    let ca = FakeCa::start().await;
    let mut directory = ca.directory();
    directory.as_object_mut().unwrap().remove("keyChange");
    ca.set_directory(directory);
    let account = ca.account(&ca.client()).await;
    let error = account.change_key(AccountKey::generate(AccountKeyType::EcdsaP256).unwrap()).await.unwrap_err();
    assert!(error.is_not_offered() && error.to_string().contains("keyChange"), "{error}");
}

#[tokio::test]
async fn an_account_is_given_up() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    ca.expect("POST /account/1", |_| Reply::json(200, json!({"status": "deactivated"})));
    assert_eq!(account.deactivate().await.unwrap().value.status, AccountStatus::Deactivated);
    assert_eq!(ca.seen().pop().unwrap().payload, json!({"status": "deactivated"}));
}

#[tokio::test]
async fn a_certificate_is_revoked_by_its_account_or_by_its_own_key() {
    let ca = FakeCa::start().await;
    let client = ca.client();
    let account = ca.account(&client).await;
    ca.expect("POST /revoke-cert", |_| Reply::text(200, "text/plain", ""));
    account.revoke(b"leaf", Some(RevocationReason::Superseded)).await.unwrap();
    let request = ca.seen().pop().unwrap();
    assert_eq!(request.payload, json!({"certificate": "bGVhZg", "reason": 4}));
    assert_eq!(request.protected["kid"], account.url().as_str());
    for kind in KINDS {
        ca.expect("POST /revoke-cert", |_| Reply::text(200, "text/plain", ""));
        let key = AccountKey::generate(kind).unwrap();
        client.revoke_by_certificate_key(&key, b"leaf", None).await.unwrap();
        let request = ca.seen().pop().unwrap();
        assert_eq!(request.payload, json!({"certificate": "bGVhZg"}));
        assert!(request.protected["jwk"].is_object() && request.protected.get("kid").is_none());
    }
    ca.expect("POST /revoke-cert", |_| Reply::problem(400, "alreadyRevoked", "it is revoked already"));
    let error = account.revoke(b"leaf", None).await.unwrap_err();
    assert_eq!(error.problem_type(), Some(&ProblemType::AlreadyRevoked));
}
