//! RFC 8555 §7.1.1: the directory.

use std::time::Duration;

use certferry_acme::ErrorKind;
use futures_util::future::join_all;
use serde_json::json;

use crate::fake_ca::{FakeCa, Reply};

#[tokio::test]
async fn the_directory_is_fetched_once_and_tells_about_the_ca() {
    let ca = FakeCa::start().await;
    let mut directory = ca.directory();
    directory["meta"] = json!({
        "termsOfService": "https://ca.example/terms", "website": "javascript:alert(1)",
        "caaIdentities": ["ca.example", 7], "externalAccountRequired": true,
        "profiles": {"classic": "the default\u{1b}[31m", "bad\nname": "x"},
    });
    ca.set_directory(directory);
    let client = ca.client();
    for fetched in join_all((0..20).map(|_| client.directory())).await {
        let meta = &fetched.unwrap().meta;
        assert_eq!(meta.terms_of_service.as_ref().unwrap().as_str(), "https://ca.example/terms");
        assert_eq!(meta.website, None);
        assert_eq!(meta.caa_identities, ["ca.example"]);
        assert!(meta.external_account_required);
        assert_eq!(meta.profiles.iter().collect::<Vec<_>>(), [(&"classic".to_owned(), &"the default [31m".to_owned())]);
    }
    assert_eq!(ca.count("GET /directory"), 1);
}

#[tokio::test]
async fn a_directory_without_a_required_key_names_it() {
    let ca = FakeCa::start().await;
    for key in ["newNonce", "newAccount", "newOrder"] {
        let mut directory = ca.directory();
        directory.as_object_mut().unwrap().remove(key);
        ca.expect("GET /directory", move |_| Reply::json(200, directory));
        let error = ca.client().directory().await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed);
        assert!(error.to_string().contains(&format!("the directory has no {key}")), "{error}");
    }
}

#[tokio::test]
async fn a_directory_with_an_unsafe_url_names_the_key() {
    let ca = FakeCa::start().await;
    for (key, url) in
        [("newOrder", json!("http://192.0.2.1/order")), ("renewalInfo", json!("ftp://x/y")), ("newNonce", json!(7))]
    {
        let mut directory = ca.directory();
        directory[key] = url;
        ca.expect("GET /directory", move |_| Reply::json(200, directory));
        let error = ca.client().directory().await.unwrap_err();
        assert!(error.to_string().contains(&format!("the directory's {key}")), "{error}");
    }
}

#[tokio::test]
async fn an_old_directory_is_fetched_again_and_serves_on_when_that_fails() {
    let ca = FakeCa::start().await;
    let client = ca.builder().directory_lifetime(Duration::ZERO).retry_budget(Duration::ZERO).build().unwrap();
    let first = client.directory().await.unwrap();
    let mut changed = ca.directory();
    changed["newOrder"] = json!(ca.url("/order-here"));
    ca.set_directory(changed);
    let second = client.directory().await.unwrap();
    assert_ne!(first.new_order, second.new_order);
    ca.expect("GET /directory", |_| Reply::text(503, "text/html", "busy"));
    assert_eq!(client.directory().await.unwrap(), second);
    // The failure is not repeated by everybody who asks right afterwards.
    assert_eq!(client.directory().await.unwrap(), second);
    assert_eq!(ca.count("GET /directory"), 3);
}

#[tokio::test]
async fn callers_who_wait_for_a_failing_directory_share_its_failure() {
    let ca = FakeCa::start().await;
    let client = ca.builder().retry_budget(Duration::ZERO).build().unwrap();
    ca.expect("GET /directory", |_| Reply::text(404, "text/html", "no such page"));
    let failures = join_all((0..20).map(|_| client.directory())).await;
    assert!(failures.iter().all(|failure| failure.as_ref().unwrap_err().to_string().contains("no such page")));
    assert_eq!(ca.count("GET /directory"), 1);
    // Whoever asks later asks the CA.
    client.directory().await.unwrap();
}

#[tokio::test]
async fn a_few_redirects_are_followed_and_no_more() {
    let ca = FakeCa::start().await;
    let body = ca.directory();
    ca.expect("GET /directory", |_| Reply::text(301, "text/plain", "").header("location", "/acme/"));
    ca.expect("GET /acme/", |_| Reply::text(302, "text/plain", "").header("location", "directory"));
    ca.expect("GET /acme/directory", move |_| Reply::json(200, body));
    ca.client().directory().await.unwrap();

    ca.always("GET /directory", |_| Reply::text(302, "text/plain", "").header("location", "/directory"));
    let error = ca.client().directory().await.unwrap_err();
    assert!(error.to_string().contains("more than 3 redirects"), "{error}");
    // One request above, and four here.
    assert_eq!(ca.count("GET /directory"), 1 + 4);

    ca.expect("GET /directory", |_| Reply::text(302, "text/plain", "").header("location", "http://192.0.2.1/"));
    let error = ca.client().directory().await.unwrap_err();
    assert!(error.to_string().contains("the redirect cannot be followed"), "{error}");
}

#[tokio::test]
async fn a_ca_without_a_usable_nonce_is_an_error() {
    let ca = FakeCa::start().await;
    let mut directory = ca.directory();
    // A page that answers, but is not newNonce.
    directory["newNonce"] = json!(ca.url("/nothing"));
    ca.set_directory(directory);
    ca.expect("HEAD /nothing", |_| Reply::text(200, "text/plain", ""));
    let key = certferry_acme::AccountKey::generate(certferry_acme::AccountKeyType::EcdsaP256).unwrap();
    let error = ca.client().find_account(key).await.unwrap_err();
    assert!(error.to_string().contains("newNonce"), "{error}");
    assert!(error.to_string().contains("no usable Replay-Nonce"), "{error}");
}
