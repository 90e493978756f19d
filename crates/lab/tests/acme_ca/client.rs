//! An ACME client of the test's own, so that requests can be spoiled in every part.

use std::sync::Arc;

use certferry_lab::acme_ca::AcmeCa;
use http::{HeaderMap, Method, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::account_key::{AccountKey, encode};

pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) key: AccountKey,
    /// The account's URL.
    pub(crate) kid: String,
}

/// A signed request before it is sent.
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) content_type: &'static str,
    pub(crate) protected: Value,
    pub(crate) payload: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    /// Without an account.
    pub(crate) fn new(ca: &AcmeCa, key: AccountKey) -> Self {
        Self {
            http: http_client(ca, Some("certferry-lab-test/1")),
            base: ca.directory_url().strip_suffix("/directory").unwrap().to_owned(),
            key,
            kid: String::new(),
        }
    }

    /// With a new account.
    pub(crate) async fn registered(ca: &AcmeCa, key: AccountKey) -> Self {
        let mut client = Self::new(ca, key);
        let answer = client.new_account(&json!({ "termsOfServiceAgreed": true })).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        client.kid = answer.location();
        client
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) async fn get(&self, url: &str) -> Answer {
        self.request(Method::GET, url).await
    }

    pub(crate) async fn request(&self, method: Method, url: &str) -> Answer {
        Answer::read(self.http.request(method, url).send().await.unwrap()).await
    }

    pub(crate) async fn nonce(&self) -> String {
        let answer = self.request(Method::HEAD, &self.url("/new-nonce")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("replay-nonce")
    }

    pub(crate) async fn new_account(&self, payload: &Value) -> Answer {
        let draft = self.unregistered_draft(&self.url("/new-account"), payload).await;
        self.send(&draft).await
    }

    pub(crate) async fn post(&self, url: &str, payload: &Value) -> Answer {
        self.send(&self.draft(url, &payload.to_string()).await).await
    }

    pub(crate) async fn post_as_get(&self, url: &str) -> Answer {
        self.send(&self.draft(url, "").await).await
    }

    /// As [`Self::post`], where no answer is expected.
    pub(crate) async fn post_in_vain(&self, url: &str, payload: &Value) -> reqwest::Error {
        let draft = self.draft(url, &payload.to_string()).await;
        self.try_send(&draft, &self.sign(&draft)).await.unwrap_err()
    }

    /// A request of the account.
    pub(crate) async fn draft(&self, url: &str, payload: &str) -> Draft {
        Draft {
            method: Method::POST,
            url: url.to_owned(),
            content_type: "application/jose+json",
            protected: json!({
                "alg": self.key.algorithm(), "nonce": self.nonce().await, "url": url, "kid": self.kid,
            }),
            payload: payload.to_owned(),
        }
    }

    /// A request with the key itself.
    pub(crate) async fn unregistered_draft(&self, url: &str, payload: &Value) -> Draft {
        let mut draft = self.draft(url, &payload.to_string()).await;
        let protected = draft.protected.as_object_mut().unwrap();
        protected.remove("kid");
        protected.insert("jwk".to_owned(), self.key.jwk());
        draft
    }

    pub(crate) fn sign(&self, draft: &Draft) -> Value {
        let (protected, payload) = (encode(draft.protected.to_string().as_bytes()), encode(draft.payload.as_bytes()));
        let signature = encode(&self.key.sign(format!("{protected}.{payload}").as_bytes()));
        json!({ "protected": protected, "payload": payload, "signature": signature })
    }

    pub(crate) async fn send(&self, draft: &Draft) -> Answer {
        self.send_body(draft, &self.sign(draft)).await
    }

    pub(crate) async fn send_body(&self, draft: &Draft, body: &Value) -> Answer {
        Answer::read(self.try_send(draft, body).await.unwrap()).await
    }

    async fn try_send(&self, draft: &Draft, body: &Value) -> Result<reqwest::Response, reqwest::Error> {
        let request = self.http.request(draft.method.clone(), &draft.url);
        request.header("content-type", draft.content_type).body(body.to_string()).send().await
    }
}

impl Answer {
    pub(crate) async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> String {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"));
        value.to_str().unwrap().to_owned()
    }

    pub(crate) fn location(&self) -> String {
        self.header("location")
    }

    /// Checks that this is a whole problem document (RFC 8555 §6.7) of that status and type.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, kind: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:ietf:params:acme:error:{kind}"), "{self:?}");
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        assert!(self.headers.contains_key("replay-nonce"), "{self:?}");
    }
}

/// Trusts the CA's HTTPS, follows no redirect.
pub(crate) fn http_client(ca: &AcmeCa, user_agent: Option<&str>) -> reqwest::Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.trusted_root_pem().as_bytes()).unwrap()).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never());
    if let Some(user_agent) = user_agent {
        client = client.user_agent(user_agent);
    }
    client.build().unwrap()
}
