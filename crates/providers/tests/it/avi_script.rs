//! A controller that answers by a script, for what a well-behaved one never does.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use certferry_core::SystemClock;
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::avi::{AviConfig, AviTenant, Credential, Limits};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// One answer of the script.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status, with headers and a body.
    Answer(u16, Vec<(&'static str, &'static str)>, String),
    /// The connection is closed instead.
    Close,
    /// Nothing ever comes.
    Hang,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::Answer(status, Vec::new(), body.to_string())
    }

    pub(crate) fn error(status: u16, text: &str) -> Self {
        Self::json(status, &json!({"error": text}))
    }

    /// A page of a list, with or without another one after it.
    pub(crate) fn page(results: &[Value], more: bool) -> Self {
        let mut body = json!({"count": results.len(), "results": results});
        if more {
            body["next"] = json!("https://elsewhere.some-domain.com/api/x?page=2");
        }
        Self::json(200, &body)
    }

    /// A login that succeeds.
    pub(crate) fn session(version: &str) -> Self {
        let cookies = vec![
            ("set-cookie", "csrftoken=csrf-1; Path=/; Secure"),
            ("set-cookie", "avi-sessionid=session-1; HttpOnly; Secure; Max-Age=86400"),
            ("set-cookie", "sessionid=session-1; HttpOnly; Secure; Max-Age=86400"),
        ];
        let body = json!({"user_initialized": true, "session_cookie_name": "avi-sessionid",
            "version": {"Version": version, "min_version": 15.2}});
        Self::Answer(200, cookies, body.to_string())
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// `GET /api/vsvip?page=1`.
    pub(crate) line: String,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

/// The controller.
pub(crate) struct Script {
    pub(crate) base: String,
    shared: Arc<Shared>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    logins: Mutex<VecDeque<Reply>>,
    others: Mutex<VecDeque<Reply>>,
    seen: Mutex<Vec<Seen>>,
}

impl Script {
    /// Logins are answered by the first list, then as the last of it; other calls by the second, then by empty lists.
    pub(crate) async fn start(logins: Vec<Reply>, others: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            logins: Mutex::new(logins.into()),
            others: Mutex::new(others.into()),
            seen: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let served = Arc::clone(&served);
                connections.spawn(async move {
                    let service = service_fn(move |request| answer(Arc::clone(&served), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base, shared, server }
    }

    pub(crate) fn tenant(&self) -> AviTenant {
        self.tenant_with(|_| {})
    }

    pub(crate) fn tenant_with(&self, adjust: impl FnOnce(&mut AviConfig)) -> AviTenant {
        let mut config = AviConfig {
            controller: self.base.parse().unwrap(),
            username: "certferry".to_owned(),
            credential: Credential::Password("hunter2&".to_owned().into()),
            tenant: "shop".to_owned(),
            trusted_roots: None,
            listeners: BTreeSet::from(["shop-443".parse().unwrap()]),
            lookup: certferry_providers::load_balancer::avi::Lookup::Fixed(Default::default()),
            http01: None,
            limits: Limits {
                connect: Duration::from_secs(5),
                request: Duration::from_millis(400),
                retry: Duration::from_secs(5),
                refused_login: Duration::from_secs(60),
                backoff: Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(20) },
            },
        };
        adjust(&mut config);
        AviTenant::new("edge".parse().unwrap(), config, Arc::new(SystemClock)).unwrap()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The calls that are no logins.
    pub(crate) fn calls(&self) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.line != LOGIN).collect()
    }

    pub(crate) fn logins(&self) -> usize {
        self.seen().iter().filter(|seen| seen.line == LOGIN).count()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Closed)?.to_bytes();
    let line = format!("{} {}", parts.method, parts.uri);
    let is_login = line == LOGIN;
    let seen = Seen { line, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() };
    shared.seen.lock().unwrap().push(seen);
    let reply = if is_login {
        let mut logins = shared.logins.lock().unwrap();
        if logins.len() > 1 { logins.pop_front() } else { logins.front().cloned() }
    } else {
        shared.others.lock().unwrap().pop_front()
    };
    match reply.unwrap_or_else(|| Reply::page(&[], false)) {
        Reply::Answer(status, headers, body) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(Full::new(Bytes::from(body))).unwrap())
        }
        Reply::Close => Err(Closed),
        Reply::Hang => {
            let never: Result<Infallible, Closed> = std::future::pending().await;
            match never? {}
        }
    }
}

/// Makes the server close the connection.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("closed")
    }
}

impl std::error::Error for Closed {}

const LOGIN: &str = "POST /login";
