//! Requests whose answer never comes: what may be repeated is, what may not is reported as uncertain.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use certferry_acme::{ErrorKind, NewOrder, ResourceUrl};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;

use crate::fake_ca::{FakeCa, Reply};

/// Reads whole requests and hangs up on each.
struct Dropper {
    base: String,
    requests: Arc<AtomicUsize>,
}

impl Dropper {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut line, mut length) = (String::new(), 0);
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    line.clear();
                }
                let mut body = vec![0; length];
                if stream.read_exact(&mut body).await.is_ok() {
                    counter.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { base, requests }
    }

    fn url(&self, path: &str) -> ResourceUrl {
        format!("{}{path}", self.base).parse().unwrap()
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn new_order() -> NewOrder {
    NewOrder { identifiers: vec![], replaces: None, profile: None }
}

#[tokio::test]
async fn a_finalize_without_an_answer_is_never_sent_twice() {
    let (ca, dropper) = (FakeCa::start().await, Dropper::start().await);
    let account = ca.account(&ca.client()).await;
    let error = account.finalize(&dropper.url("/finalize/1"), b"csr").await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::EffectUnknown);
    assert!(error.is_effect_unknown() && error.is_unavailable());
    assert_eq!(dropper.count(), 1);
    assert!(std::error::Error::source(&error).is_some());
    let text = error.to_string();
    assert!(text.starts_with(&format!("finalize {}: the connection broke: ", dropper.url("/finalize/1"))), "{text}");
    assert!(text.ends_with("; whether the CA acted on the request is unknown"), "{text}");
}

#[tokio::test]
async fn neither_an_order_nor_a_challenge_is_sent_twice() {
    let (ca, dropper) = (FakeCa::start().await, Dropper::start().await);
    let mut directory = ca.directory();
    directory["newOrder"] = json!(dropper.url("/new-order"));
    ca.set_directory(directory);
    let account = ca.account(&ca.client()).await;
    assert_eq!(account.new_order(&new_order()).await.unwrap_err().kind(), &ErrorKind::EffectUnknown);
    assert_eq!(dropper.count(), 1);
    assert_eq!(account.respond(&dropper.url("/challenge/1")).await.unwrap_err().kind(), &ErrorKind::EffectUnknown);
    assert_eq!(dropper.count(), 2);
}

#[tokio::test]
async fn a_read_without_an_answer_is_repeated_until_patience_ends() {
    let (ca, dropper) = (FakeCa::start().await, Dropper::start().await);
    let account = ca.account(&ca.builder().retry_budget(Duration::from_secs(2)).build().unwrap()).await;
    let error = account.order(&dropper.url("/order/1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Transport);
    assert!(!error.is_effect_unknown());
    assert!(dropper.count() >= 2, "{}", dropper.count());
    assert_eq!(error.attempts() as usize, dropper.count());
}

#[tokio::test]
async fn an_order_that_never_left_is_repeated_and_not_uncertain() {
    let ca = FakeCa::start().await;
    // A port that was free a moment ago and that nobody listens on.
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut directory = ca.directory();
    directory["newOrder"] = json!(format!("http://{address}/new-order"));
    ca.set_directory(directory);
    let account = ca.account(&ca.builder().retry_budget(Duration::from_secs(2)).build().unwrap()).await;
    let error = account.new_order(&new_order()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Transport);
    assert!(!error.is_effect_unknown());
    assert!(error.attempts() >= 2);
    assert!(error.to_string().contains("cannot connect: Connection refused"), "{error}");
}

#[tokio::test]
async fn a_ca_that_hangs_is_given_up_in_time() {
    let ca = FakeCa::start().await;
    let builder = ca.builder().request_timeout(Duration::from_millis(300)).retry_budget(Duration::ZERO);
    let account = ca.account(&builder.build().unwrap()).await;
    ca.expect("POST /order/1", |_| Reply::Hang);
    let error = account.order(&ca.url("/order/1")).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Timeout);
    assert!(error.to_string().ends_with(": no complete answer in time"), "{error}");

    ca.expect("POST /new-order", |_| Reply::Hang);
    let error = account.new_order(&new_order()).await.unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::EffectUnknown);
    assert!(error.to_string().contains("no complete answer in time"), "{error}");
}

#[tokio::test]
async fn an_order_whose_answer_makes_no_sense_is_uncertain() {
    let ca = FakeCa::start().await;
    let account = ca.account(&ca.client()).await;
    for body in [json!({"status": "entangled", "finalize": ca.url("/f")}), json!([]), json!({"status": "pending"})] {
        ca.expect("POST /new-order", move |_| Reply::json(201, body).header("location", "/order/1"));
        let error = account.new_order(&new_order()).await.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::Malformed);
        assert!(error.is_effect_unknown(), "{error}");
    }
    let finalize = ca.url("/f");
    ca.expect("POST /new-order", move |_| Reply::json(201, json!({"status": "pending", "finalize": finalize})));
    let error = account.new_order(&new_order()).await.unwrap_err();
    assert!(error.is_effect_unknown(), "{error}");
    assert!(error.to_string().contains("no Location header"), "{error}");
}

#[tokio::test]
async fn a_registration_whose_answer_is_lost_is_repeated() {
    let ca = FakeCa::start().await;
    let client = ca.builder().request_timeout(Duration::from_millis(300)).build().unwrap();
    ca.expect("POST /new-account", |_| Reply::Hang);
    ca.account(&client).await;
    assert_eq!(ca.count("POST /new-account"), 2);
}
