//! The issuer against the lab's CA, over its HTTPS, with challenges that are really fetched.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certferry_core::port::{
    Authorization, AuthorizationStatus, CertificateAuthority, Order, OrderRequest, OrderStatus, Probe,
};
use certferry_core::{Chain, Error, ErrorKind, Identifier, Retry, Secret, SystemClock};
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions, Answer, Endpoint, ExternalAccountKey, Fault, RetryAfter, Window};
use certferry_providers::acme::{AcmeIssuer, ExternalAccountBinding, IssuerConfig, MacAlgorithm};
use certferry_providers::probe::NetworkProbe;
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

/// A CA, a responder to which its validation requests go, and an issuer with an account there.
struct World {
    ca: AcmeCa,
    issuer: AcmeIssuer,
    key: Secret<String>,
    responder: Responder,
}

impl World {
    async fn new() -> Self {
        let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
        let responder = Responder::start().await;
        ca.resolve_all_to(responder.address, responder.address);
        let issuer = issuer(&ca, None);
        let key = issuer.new_account_key().unwrap();
        issuer.open_account(&key, true).await.unwrap();
        Self { ca, issuer, key, responder }
    }

    async fn order(&self, names: &[&str], replaces: Option<&Chain>) -> Result<Order, Error> {
        self.issuer.new_order(&request(names, replaces)).await
    }

    /// Answers a challenge once it comes back from the responder, and waits for what the CA says.
    async fn authorize(&self, url: &str) -> Authorization {
        let authorization = self.issuer.authorization(url).await.unwrap();
        if authorization.status != AuthorizationStatus::Pending {
            return authorization;
        }
        let challenge = authorization.http01.unwrap();
        self.responder.present(&challenge.token, &challenge.key_authorization);
        let probe = NetworkProbe::new();
        let answer = probe.http01(self.responder.address, &authorization.name, &challenge.token).await.unwrap();
        assert_eq!((answer.status, answer.body), (200, challenge.key_authorization.clone()));
        self.issuer.answer(&challenge.url).await.unwrap();
        loop {
            let authorization = self.issuer.authorization(url).await.unwrap();
            if authorization.status != AuthorizationStatus::Pending {
                return authorization;
            }
            pause().await;
        }
    }

    /// The certificate of an order, with the key that it is for.
    async fn complete(&self, mut order: Order, names: &[&str]) -> (Chain, KeyPair) {
        for url in &order.authorizations {
            let authorization = self.authorize(url).await;
            assert_eq!(authorization.status, AuthorizationStatus::Valid, "{authorization:?}");
        }
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut csr = CertificateParams::new(names).unwrap();
        csr.distinguished_name = DistinguishedName::new();
        let csr = csr.serialize_request(&key).unwrap();
        loop {
            order = match order.status {
                OrderStatus::Ready => self.issuer.finalize(&order, csr.der()).await.unwrap(),
                OrderStatus::Valid => break,
                OrderStatus::Pending | OrderStatus::Processing => {
                    pause().await;
                    self.issuer.order(&order.url).await.unwrap()
                }
                OrderStatus::Invalid => panic!("{order:?}"),
            };
        }
        (self.issuer.certificate(&order.certificate.unwrap()).await.unwrap(), key)
    }
}

/// Between two looks at something that the CA is working on.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

fn request(names: &[&str], replaces: Option<&Chain>) -> OrderRequest {
    OrderRequest {
        names: names.iter().map(|name| name.parse().unwrap()).collect(),
        profile: None,
        replaces: replaces.cloned(),
    }
}

fn issuer(ca: &AcmeCa, external_account: Option<ExternalAccountBinding>) -> AcmeIssuer {
    let config = IssuerConfig {
        name: "lab".parse().unwrap(),
        directory: ca.directory_url().parse().unwrap(),
        contact: vec!["ops@some-domain.com".parse().unwrap()],
        external_account,
        trusted_roots: vec![CertificateDer::from_pem_slice(ca.trusted_root_pem().as_bytes()).unwrap()],
        profile: None,
        without_profile: Default::default(),
        preferred_chain: None,
        account_key: Default::default(),
        limits: Default::default(),
    };
    AcmeIssuer::new(config, "certferry-test/1", Arc::new(SystemClock)).unwrap()
}

/// Answers `GET /.well-known/acme-challenge/<token>` with what was presented, and 404 to everything else.
struct Responder {
    address: SocketAddr,
    presented: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Responder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let responder = Self { address: listener.local_addr().unwrap(), presented: Arc::default() };
        let presented = Arc::clone(&responder.presented);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let presented = Arc::clone(&presented);
                tokio::spawn(async move {
                    let mut lines = BufReader::new(stream);
                    let mut head = String::new();
                    while !head.ends_with("\r\n\r\n") && lines.read_line(&mut head).await.is_ok_and(|read| read > 0) {}
                    let path = head.split(' ').nth(1).unwrap_or_default();
                    let token = path.strip_prefix("/.well-known/acme-challenge/").unwrap_or_default();
                    let found = presented.lock().unwrap().get(token).cloned();
                    let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
                    let body = found.unwrap_or_else(|| "not here".to_owned());
                    let length = body.len();
                    let answer =
                        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                    let _ = lines.get_mut().write_all(answer.as_bytes()).await;
                });
            }
        });
        responder
    }

    fn present(&self, token: &str, key_authorization: &str) {
        self.presented.lock().unwrap().insert(token.to_owned(), key_authorization.to_owned());
    }
}

const NAMES: [&str; 2] = ["shop.some-domain.com", "www.some-domain.com"];

#[tokio::test]
async fn a_certificate_is_issued_for_the_key_and_names_that_were_ordered() {
    let world = World::new().await;
    world.issuer.check(Some("shortlived")).await.unwrap();
    let order = world.order(&NAMES, None).await.unwrap();
    let (chain, key) = world.complete(order, &NAMES).await;
    let names: Vec<Identifier> = NAMES.iter().map(|name| name.parse().unwrap()).collect();
    chain.check_ordered(&key.subject_public_key_info(), &names).unwrap();
    assert_eq!(chain.certificates().len(), 2);
    let record = &world.ca.orders()[0];
    assert_eq!((record.status, record.finalized), ("valid", 1));
    assert_eq!(record.serial.as_deref(), Some(chain.leaf().serial.as_str()));
}

#[tokio::test]
async fn a_renewal_says_what_it_replaces_and_a_second_one_goes_on_without() {
    let world = World::new().await;
    let first = world.order(&NAMES, None).await.unwrap();
    let (first, _) = world.complete(first, &NAMES).await;

    let second = world.order(&NAMES, Some(&first)).await.unwrap();
    assert!(second.replaces);
    world.complete(second, &NAMES).await;
    assert!(world.ca.orders()[1].replaces.is_some());

    let third = world.order(&NAMES, Some(&first)).await.unwrap();
    assert!(!third.replaces);
    world.complete(third, &NAMES).await;
    assert_eq!(world.ca.orders()[2].replaces, None);
}

#[tokio::test]
async fn an_order_whose_answer_got_lost_is_found_by_asking_again() {
    let world = World::new().await;
    world.ca.add_fault(Fault { endpoint: Endpoint::NewOrder, skip: 0, answer: Answer::DropAfter });
    let error = world.order(&NAMES, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::EffectUnknown, "{error}");
    world.order(&NAMES, None).await.unwrap();
    assert_eq!(world.ca.orders().len(), 1);
}

#[tokio::test]
async fn a_rate_limit_keeps_its_wait_as_seconds_and_as_a_date() {
    let world = World::new().await;
    for retry_after in [RetryAfter::Seconds(7200), RetryAfter::Date(Duration::from_secs(7200))] {
        let detail = "too many new orders recently".to_owned();
        let answer = Answer::Problem { status: 429, kind: "rateLimited", detail, retry_after: Some(retry_after) };
        world.ca.add_fault(Fault { endpoint: Endpoint::NewOrder, skip: 0, answer });
        let error = world.order(&NAMES, None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
        let Retry::After(wait) = error.retry() else { panic!("{error:?}") };
        assert!(wait.as_secs().abs_diff(7200) <= 2, "{wait:?}");
        assert!(error.to_string().contains("too many new orders recently"), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_answer_is_invalid_with_the_cas_reason() {
    let world = World::new().await;
    let wrong = Responder::start().await;
    world.ca.resolve("www.some-domain.com", wrong.address, wrong.address);
    let order = world.order(&["www.some-domain.com"], None).await.unwrap();
    let authorization = world.authorize(&order.authorizations[0]).await;
    assert_eq!(authorization.status, AuthorizationStatus::Invalid);
    let reason = authorization.error.unwrap();
    assert!(reason.contains("unauthorized") || reason.contains("incorrectResponse"), "{reason}");
    assert_eq!(world.issuer.order(&order.url).await.unwrap().status, OrderStatus::Invalid);
}

#[tokio::test]
async fn the_cas_renewal_window_is_read() {
    let world = World::new().await;
    let order = world.order(&NAMES, None).await.unwrap();
    let (chain, _) = world.complete(order, &NAMES).await;
    let usual = world.issuer.renewal_window(&chain).await.unwrap().unwrap();
    assert!(usual.start > chain.leaf().not_before && usual.end < chain.leaf().not_after);

    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (start, end) = (at("2026-01-01T00:00:00Z"), at("2026-01-02T00:00:00Z"));
    let why = "https://ca.some-domain.com/incident".to_owned();
    world.ca.suggest_window(chain.leaf().serial.as_str(), Window::Between(start, end, Some(why.clone())));
    let urgent = world.issuer.renewal_window(&chain).await.unwrap().unwrap();
    assert_eq!((urgent.start, urgent.end, urgent.explanation_url), (start, end, Some(why)));

    world.ca.suggest_window(chain.leaf().serial.as_str(), Window::Between(end, start, None));
    assert_eq!(world.issuer.renewal_window(&chain).await.unwrap_err().kind(), ErrorKind::Unexpected);
}

#[tokio::test]
async fn an_account_is_found_again_and_not_made_anew_when_it_is_gone() {
    let world = World::new().await;
    let again = issuer(&world.ca, None);
    let account = again.open_account(&world.key, false).await.unwrap();
    assert_eq!(account, world.issuer.open_account(&world.key, true).await.unwrap());
    assert_eq!(world.ca.accounts(), 1);

    world.ca.forget_accounts();
    let error = again.open_account(&world.key, false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert_eq!(world.ca.accounts(), 0);
    let error = world.order(&NAMES, None).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Denied, Retry::Never), "{error}");
}

#[tokio::test]
async fn a_ca_that_wants_an_external_account_gets_it() {
    let world = World::new().await;
    let key = ExternalAccountKey { kid: "kid-1".to_owned(), hmac_key: b"secret".to_vec() };
    world.ca.set_behaviour(|behaviour| behaviour.external_account_keys = vec![key]);
    let without = issuer(&world.ca, None);
    let error = without.open_account(&without.new_account_key().unwrap(), true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().unwrap().contains("`eab` at issuer `lab`"), "{error:?}");

    let binding = ExternalAccountBinding::new("kid-1", "c2VjcmV0", MacAlgorithm::Hs256).unwrap();
    let with = issuer(&world.ca, Some(binding));
    with.open_account(&with.new_account_key().unwrap(), true).await.unwrap();
    assert_eq!(world.ca.accounts(), 2);
}

#[tokio::test]
async fn a_ca_whose_root_is_not_trusted_is_told_with_the_setting_that_helps() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let config = IssuerConfig {
        name: "lab".parse().unwrap(),
        directory: ca.directory_url().parse().unwrap(),
        contact: Vec::new(),
        external_account: None,
        trusted_roots: Vec::new(),
        profile: None,
        without_profile: Default::default(),
        preferred_chain: None,
        account_key: Default::default(),
        limits: Default::default(),
    };
    let error =
        AcmeIssuer::new(config, "certferry-test/1", Arc::new(SystemClock)).unwrap().check(None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.hint().unwrap().contains("`trusted-roots` at issuer `lab`"), "{error:?}");
}
