//! A scripted CA: a queue of closures, one for each expected request. It serves the directory and nonces by itself and
//! checks every signed request as a CA does: signature, nonce, URL, key.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use certferry_acme::{Account, AccountKey, AccountKeyType, Client, ClientBuilder, NewAccount, ResourceUrl};
use http::HeaderMap;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The scripted CA. When it is dropped, every expected request must have come and no other.
pub(crate) struct FakeCa {
    address: SocketAddr,
    state: Arc<Ca>,
    server: JoinHandle<()>,
}

impl FakeCa {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let directory = json!({
            "newNonce": format!("http://{address}/new-nonce"),
            "newAccount": format!("http://{address}/new-account"),
            "newOrder": format!("http://{address}/new-order"),
            "renewalInfo": format!("http://{address}/renewal-info"),
            "keyChange": format!("http://{address}/key-change"),
            "revokeCert": format!("http://{address}/revoke-cert"),
            "Zx7pQ2mM": "https://community.ca.example/t/adding-random-entries-to-the-directory",
        });
        let state = Arc::new(Ca {
            base: format!("http://{address}"),
            directory: Mutex::new(directory),
            nonces: Mutex::default(),
            keys: Mutex::default(),
            script: Mutex::default(),
            standing: Mutex::default(),
            seen: Mutex::default(),
            surprises: Mutex::default(),
        });
        let router = Router::new().fallback(serve).with_state(Arc::clone(&state));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, state, server }
    }

    /// The next scripted request must be this one, such as `POST /new-order`.
    pub(crate) fn expect(&self, request: &str, reply: impl FnOnce(&Seen) -> Reply + Send + 'static) {
        self.state.script.lock().unwrap().push_back((request.to_owned(), Box::new(reply)));
    }

    /// Answers every such request, whenever it comes.
    pub(crate) fn always(&self, request: &str, reply: impl Fn(&Seen) -> Reply + Send + 'static) {
        self.state.standing.lock().unwrap().insert(request.to_owned(), Box::new(reply));
    }

    pub(crate) fn set_directory(&self, directory: Value) {
        *self.state.directory.lock().unwrap() = directory;
    }

    pub(crate) fn directory(&self) -> Value {
        self.state.directory.lock().unwrap().clone()
    }

    pub(crate) fn builder(&self) -> ClientBuilder {
        Client::builder(self.url("/directory").as_str()).user_agent("certferry-test/1.0 (+https://certferry.example)")
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    /// A registered account of a fresh key.
    pub(crate) async fn account(&self, client: &Client) -> Account {
        let url = self.url("/account/1");
        self.expect("POST /new-account", move |_| Reply::json(201, json!({"status": "valid"})).header("location", url));
        let key = AccountKey::generate(AccountKeyType::EcdsaP256).unwrap();
        client.new_account(key, &NewAccount::default()).await.unwrap().account
    }

    pub(crate) fn url(&self, path: &str) -> ResourceUrl {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    /// All requests so far, in the order of arrival.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How often this request came.
    pub(crate) fn count(&self, request: &str) -> usize {
        self.seen().iter().filter(|seen| seen.request == request).count()
    }
}

impl Drop for FakeCa {
    fn drop(&mut self) {
        self.server.abort();
        if std::thread::panicking() {
            return;
        }
        let surprises = self.state.surprises.lock().unwrap();
        assert!(surprises.is_empty(), "the CA saw what it did not expect: {surprises:#?}");
        let missing: Vec<String> = self.state.script.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
        assert!(missing.is_empty(), "these requests never came: {missing:?}");
    }
}

/// A request as it arrived; a signed one is verified.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Method and path.
    pub(crate) request: String,
    pub(crate) headers: HeaderMap,
    /// The JWS's protected header; null for an unsigned request.
    pub(crate) protected: Value,
    /// The JWS's payload; null for a POST-as-GET and an unsigned request.
    pub(crate) payload: Value,
}

/// What the CA does with a request.
pub(crate) enum Reply {
    Answer(Response),
    /// Never answers.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub(crate) fn problem(status: u16, kind: &str, detail: &str) -> Self {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        let body = json!({"type": kind, "detail": detail, "status": status});
        Self::text(status, "application/problem+json", body.to_string())
    }

    pub(crate) fn text(status: u16, content_type: &str, body: impl Into<Body>) -> Self {
        let response = Response::builder().status(status).header("content-type", content_type);
        Self::Answer(response.body(body.into()).unwrap())
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Answer(response) = &mut self {
            response.headers_mut().append(name, value.to_string().parse().unwrap());
        }
        self
    }
}

type ReplyOnce = Box<dyn FnOnce(&Seen) -> Reply + Send>;
type ReplyAlways = Box<dyn Fn(&Seen) -> Reply + Send>;

struct Ca {
    base: String,
    directory: Mutex<Value>,
    nonces: Mutex<Nonces>,
    /// The registered keys by account URL, each as its JWK.
    keys: Mutex<HashMap<String, Value>>,
    script: Mutex<VecDeque<(String, ReplyOnce)>>,
    standing: Mutex<HashMap<String, ReplyAlways>>,
    seen: Mutex<Vec<Seen>>,
    surprises: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Nonces {
    issued: u32,
    unused: HashSet<String>,
}

impl Ca {
    fn new_nonce(&self) -> String {
        let mut nonces = self.nonces.lock().unwrap();
        nonces.issued += 1;
        let nonce = format!("nonce-{}", nonces.issued);
        nonces.unused.insert(nonce.clone());
        nonce
    }

    fn reply(&self, seen: &Seen) -> Reply {
        let next = {
            let mut script = self.script.lock().unwrap();
            match script.front() {
                Some((name, _)) if *name == seen.request => script.pop_front(),
                _ => None,
            }
        };
        if let Some((_, reply)) = next {
            return reply(seen);
        }
        if let Some(reply) = self.standing.lock().unwrap().get(&seen.request) {
            return reply(seen);
        }
        match seen.request.as_str() {
            "GET /directory" => Reply::json(200, self.directory.lock().unwrap().clone()),
            "HEAD /new-nonce" => Reply::text(200, "text/plain", ""),
            other => {
                self.surprises.lock().unwrap().push(format!("{other} with payload {}", seen.payload));
                Reply::problem(400, "malformed", "not in the script")
            }
        }
    }

    /// Checks a signed request as RFC 8555 §6 wants it; gives its protected header and payload.
    fn verify(&self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<(Value, Value), String> {
        if headers.get("content-type").is_none_or(|value| value != "application/jose+json") {
            return Err("content type".into());
        }
        let jws: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let part = |name: &str| jws[name].as_str().ok_or(format!("no {name}"));
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|error| error.to_string());
        let (protected_part, payload_part) = (part("protected")?, part("payload")?);
        let protected: Value = serde_json::from_slice(&decode(protected_part)?).map_err(|error| error.to_string())?;
        if protected["url"] != format!("{}{path}", self.base) {
            return Err(format!("protected header {protected}"));
        }
        let nonce = protected["nonce"].as_str().ok_or("no nonce")?;
        if !self.nonces.lock().unwrap().unused.remove(nonce) {
            return Err(format!("nonce {nonce} is not ours, or used twice"));
        }
        let jwk = match (&protected["jwk"], protected["kid"].as_str()) {
            (jwk @ Value::Object(_), None) if path == "/new-account" => {
                self.keys.lock().unwrap().insert(format!("{}/account/1", self.base), jwk.clone());
                jwk.clone()
            }
            (jwk @ Value::Object(_), None) if path == "/revoke-cert" => jwk.clone(),
            (Value::Null, Some(kid)) => self.keys.lock().unwrap().get(kid).cloned().ok_or(format!("kid {kid}"))?,
            _ => return Err(format!("neither kid nor jwk as it should be: {protected}")),
        };
        let message = format!("{protected_part}.{payload_part}");
        verify(&jwk, protected["alg"].as_str().unwrap_or_default(), message.as_bytes(), &decode(part("signature")?)?)?;
        let payload = decode(payload_part)?;
        let payload = match payload.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&payload).map_err(|error| error.to_string())?,
        };
        Ok((protected, payload))
    }
}

/// Checks a signature as RFC 7518 §3.1 says for `algorithm`.
pub(crate) fn verify(jwk: &Value, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), String> {
    let part =
        |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default()).map_err(|error| error.to_string());
    let verified = match algorithm {
        "ES256" | "ES384" => {
            let point = [vec![4], part("x")?, part("y")?].concat();
            let (curve, kind) = if algorithm == "ES256" {
                ("P-256", &ECDSA_P256_SHA256_FIXED)
            } else {
                ("P-384", &ECDSA_P384_SHA384_FIXED)
            };
            jwk["crv"] == curve && UnparsedPublicKey::new(kind, point).verify(message, signature).is_ok()
        }
        "RS256" => {
            let key = RsaPublicKeyComponents { n: part("n")?, e: part("e")? };
            key.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
        }
        other => return Err(format!("algorithm {other}")),
    };
    verified.then_some(()).ok_or_else(|| "signature".to_owned())
}

async fn serve(State(ca): State<Arc<Ca>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let name = format!("{} {}", parts.method, parts.uri.path());
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let (protected, payload) = match parts.method.as_str() {
        "POST" => match ca.verify(parts.uri.path(), &parts.headers, &body) {
            Ok(verified) => verified,
            Err(error) => {
                ca.surprises.lock().unwrap().push(format!("{name}: {error}"));
                (Value::Null, Value::Null)
            }
        },
        _ => (Value::Null, Value::Null),
    };
    let seen = Seen { request: name, headers: parts.headers, protected, payload };
    ca.seen.lock().unwrap().push(seen.clone());
    match ca.reply(&seen) {
        Reply::Answer(mut response) => {
            let wants_nonce = seen.request.starts_with("POST") || seen.request == "HEAD /new-nonce";
            if wants_nonce {
                response.headers_mut().insert("replay-nonce", ca.new_nonce().parse().unwrap());
            }
            response
        }
        Reply::Hang => std::future::pending().await,
    }
}
