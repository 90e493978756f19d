//! A CA that answers what a test tells it to, and remembers what it was asked. It checks no signatures: the ACME
//! client's own tests do that.

use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// An answer. `BASE` in its texts stands for the CA's address.
pub(super) struct Reply {
    status: u16,
    headers: String,
    body: String,
}

impl Reply {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: "content-type: application/json\r\n".to_owned(), body: body.to_string() }
    }

    pub(super) fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        Self::json(status, json!({ "type": kind, "detail": detail, "status": status }))
            .header("content-type", "application/problem+json")
    }

    pub(super) fn text(status: u16, kind: &str, body: &str) -> Self {
        Self { status, headers: format!("content-type: {kind}\r\n"), body: body.to_owned() }
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Self {
        if name == "content-type" {
            self.headers.clear();
        }
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }
}

/// Gets the path and the payload of a request; `None` leaves it to the usual answers.
type Script = dyn Fn(&str, &Value) -> Option<Reply> + Send + Sync;

pub(super) struct ScriptedCa {
    pub(super) base: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl ScriptedCa {
    pub(super) async fn start(script: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let ca = Self { base: base.clone(), asked: Arc::default() };
        let asked = Arc::clone(&ca.asked);
        let script: Arc<Script> = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (base, asked, script) = (base.clone(), Arc::clone(&asked), Arc::clone(&script));
                tokio::spawn(async move { serve(stream, &base, &asked, &*script).await });
            }
        });
        ca
    }

    /// The payloads that `path` was asked with.
    pub(super) fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(asked, _)| asked == path).map(|(_, payload)| payload.clone()).collect()
    }
}

async fn serve(stream: TcpStream, base: &str, asked: &Mutex<Vec<(String, Value)>>, script: &Script) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    stream.read_line(&mut line).await.ok()?;
    let mut request = line.split(' ');
    let (method, path) = (request.next()?.to_owned(), request.next()?.to_owned());
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let payload = payload(&body);
    if method == "POST" {
        asked.lock().unwrap().push((path.clone(), payload.clone()));
    }
    let reply = script(&path, &payload).unwrap_or_else(|| usual(&path));
    let body = if method == "HEAD" { String::new() } else { reply.body.replace("BASE", base) };
    let head = format!(
        "HTTP/1.1 {} Whatever\r\nconnection: close\r\nreplay-nonce: nonce{}\r\ncontent-length: {}\r\n{}\r\n",
        reply.status,
        stream.get_ref().peer_addr().ok()?.port(),
        body.len(),
        reply.headers.replace("BASE", base),
    );
    stream.get_mut().write_all(format!("{head}{body}").as_bytes()).await.ok()
}

/// What a flattened JWS (RFC 7515 §7.2.2) carries; null for an empty payload.
fn payload(body: &[u8]) -> Value {
    let jws: Value = serde_json::from_slice(body).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(jws["payload"].as_str().unwrap_or_default()).unwrap();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

/// What a CA says that has nothing against anything.
fn usual(path: &str) -> Reply {
    match path {
        "/directory" => Reply::json(200, directory()),
        "/new-account" => {
            Reply::json(201, json!({ "status": "valid", "contact": [] })).header("location", "BASE/account/1")
        }
        "/new-order" => order("pending").header("location", "BASE/order/1"),
        "/order/1" => order("ready"),
        _ => Reply::text(200, "text/plain", ""),
    }
}

pub(super) fn directory() -> Value {
    json!({
        "newNonce": "BASE/new-nonce",
        "newAccount": "BASE/new-account",
        "newOrder": "BASE/new-order",
        "renewalInfo": "BASE/renewal-info",
        "meta": { "profiles": { "classic": "as ever", "shortlived": "six days" } },
    })
}

pub(super) fn order(status: &str) -> Reply {
    Reply::json(200, order_json(status))
}

pub(super) fn order_json(status: &str) -> Value {
    json!({
        "status": status,
        "identifiers": [{ "type": "dns", "value": "www.some-domain.com" }],
        "authorizations": ["BASE/authorization/1"],
        "finalize": "BASE/order/1/finalize",
        "certificate": (status == "valid").then_some("BASE/certificate/1"),
    })
}
