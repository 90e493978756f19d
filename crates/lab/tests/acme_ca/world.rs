//! A CA, an account there, a site to which every name resolves, and the way through an order.

use std::time::Duration;

use certferry_core::Chain;
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};

use crate::account_key::{AccountKey, encode};
use crate::client::{Answer, Client};
use crate::site::{Page, Site};

pub(crate) struct World {
    pub(crate) ca: AcmeCa,
    pub(crate) site: Site,
    pub(crate) client: Client,
}

/// An order as it was made.
pub(crate) struct Order {
    pub(crate) url: String,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(AcmeCaOptions::default()).await
    }

    pub(crate) async fn with(options: AcmeCaOptions) -> Self {
        let ca = AcmeCa::start(options).await.unwrap();
        let site = Site::start().await;
        ca.resolve_all_to(site.http, site.https);
        let client = Client::registered(&ca, AccountKey::p256()).await;
        Self { ca, site, client }
    }

    pub(crate) async fn order(&self, names: &[&str]) -> Order {
        self.order_with(names, json!({})).await
    }

    pub(crate) async fn order_with(&self, names: &[&str], extra: Value) -> Order {
        let answer = self.client.new_order(names, extra).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        Order { url: answer.location(), body: answer.json() }
    }

    /// An order whose authorizations are valid.
    pub(crate) async fn ready_order(&self, names: &[&str]) -> Order {
        let order = self.order(names).await;
        self.prove(&order).await;
        order
    }

    /// Answers every challenge of an order with what is expected.
    pub(crate) async fn prove(&self, order: &Order) {
        for url in order.authorizations() {
            let authorization = self.client.post_as_get(&url).await.json();
            if authorization["status"] == "valid" {
                continue;
            }
            let token = http_challenge(&authorization)["token"].as_str().unwrap().to_owned();
            self.site.present(&token, Page::Body(format!("{token}.{}", self.client.key.thumbprint())));
            let outcome = self.respond(&authorization, &url).await;
            assert_eq!(outcome["status"], "valid", "{outcome}");
        }
    }

    /// Lets a pending authorization be validated by http-01, and gives what became of it.
    pub(crate) async fn respond(&self, authorization: &Value, url: &str) -> Value {
        self.respond_to(http_challenge(authorization), url).await
    }

    /// The same by this challenge.
    pub(crate) async fn respond_to(&self, challenge: &Value, url: &str) -> Value {
        let challenge = challenge["url"].as_str().unwrap().to_owned();
        let answer = self.client.post(&challenge, &json!({})).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        eventually("the authorization is pending no more", async || {
            let authorization = self.client.post_as_get(url).await.json();
            (authorization["status"] != "pending").then_some(authorization)
        })
        .await
    }

    pub(crate) async fn finalize(&self, order: &Order, csr: &[u8]) -> Answer {
        self.client.post(order.body["finalize"].as_str().unwrap(), &json!({ "csr": encode(csr) })).await
    }

    pub(crate) async fn read(&self, order: &Order) -> Value {
        let answer = self.client.post_as_get(&order.url).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// The certificate of an order that was finalized.
    pub(crate) async fn certificate(&self, order: &Order) -> Chain {
        let url = eventually("the order is valid", async || {
            self.read(order).await["certificate"].as_str().map(str::to_owned)
        })
        .await;
        let answer = self.client.post_as_get(&url).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/pem-certificate-chain");
        Chain::parse(&answer.text).unwrap()
    }

    /// The whole way, with a new key.
    pub(crate) async fn issue(&self, names: &[&str]) -> Chain {
        self.issue_with(names, json!({}), &KeyPair::generate().unwrap()).await
    }

    pub(crate) async fn issue_with(&self, names: &[&str], extra: Value, key: &KeyPair) -> Chain {
        let order = self.order_with(names, extra).await;
        self.prove(&order).await;
        let answer = self.finalize(&order, &csr(names, key)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.certificate(&order).await
    }
}

impl Client {
    pub(crate) async fn new_order(&self, names: &[&str], extra: Value) -> Answer {
        let identifiers: Vec<Value> = names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let mut payload = extra;
        payload["identifiers"] = json!(identifiers);
        self.post(&self.url("/new-order"), &payload).await
    }
}

impl Order {
    pub(crate) fn authorizations(&self) -> Vec<String> {
        let urls = self.body["authorizations"].as_array().unwrap();
        urls.iter().map(|url| url.as_str().unwrap().to_owned()).collect()
    }
}

pub(crate) fn http_challenge(authorization: &Value) -> &Value {
    challenge(authorization, "http-01")
}

pub(crate) fn challenge<'a>(authorization: &'a Value, kind: &str) -> &'a Value {
    let challenges = authorization["challenges"].as_array().unwrap();
    challenges.iter().find(|challenge| challenge["type"] == kind).unwrap()
}

/// A request without a subject.
pub(crate) fn request(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params
}

pub(crate) fn csr(names: &[&str], key: &KeyPair) -> Vec<u8> {
    request(names).serialize_request(key).unwrap().der().to_vec()
}

/// RFC 9773 §4.1, from the certificate.
pub(crate) fn ari_id(chain: &Chain) -> String {
    let (_, leaf) = X509Certificate::from_der(chain.leaf_der()).unwrap();
    let key = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref().map(|key| key.0),
        _ => None,
    });
    format!("{}.{}", encode(key.unwrap()), encode(leaf.raw_serial()))
}

/// Looks again until there is a value; fails after twenty seconds.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(value) = look().await {
                return value;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let within = tokio::time::timeout(Duration::from_secs(20), looking).await;
    within.unwrap_or_else(|_| panic!("not within twenty seconds: {what}"))
}
