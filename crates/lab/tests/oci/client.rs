//! A client of its own, so that the lab is not judged by itself: signs with aws-lc-rs, speaks HTTP with hyper.

use std::net::SocketAddr;

use aws_lc_rs::{digest, rand::SystemRandom, rsa::KeyPair, signature::RSA_PKCS1_SHA256};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use certferry_lab::oci_load_balancer::{ApiKey, OciLab};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

pub(crate) struct Client {
    address: SocketAddr,
    key: KeyPair,
    pub(crate) key_id: String,
}

/// A request before it is sent: tests spoil parts of it.
pub(crate) struct Draft {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    pub(crate) fn new(lab: &OciLab) -> Self {
        Self::with_key(lab, &lab.new_api_key().unwrap())
    }

    pub(crate) fn with_key(lab: &OciLab, key: &ApiKey) -> Self {
        Self::with_pem(lab, key.private_key_pem(), &key.key_id())
    }

    /// Signs with this PKCS#8 key under any `keyId`.
    pub(crate) fn with_pem(lab: &OciLab, private_key_pem: &str, key_id: &str) -> Self {
        Self::of(&lab.endpoint(), private_key_pem, key_id)
    }

    /// The same for any service.
    pub(crate) fn of(endpoint: &str, private_key_pem: &str, key_id: &str) -> Self {
        let der = pem::parse(private_key_pem).unwrap();
        Self {
            address: endpoint.strip_prefix("http://").unwrap().parse().unwrap(),
            key: KeyPair::from_pkcs8(der.contents()).unwrap(),
            key_id: key_id.to_owned(),
        }
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.call("GET", target, None, &[]).await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Answer {
        self.call("POST", target, Some(body), &[]).await
    }

    pub(crate) async fn put(&self, target: &str, body: &Value) -> Answer {
        self.call("PUT", target, Some(body), &[]).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.call("DELETE", target, None, &[]).await
    }

    pub(crate) async fn call(
        &self,
        method: &str,
        target: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        self.try_call(method, target, body, headers).await.expect("the lab answers")
    }

    /// Fails when the connection is closed without an answer.
    pub(crate) async fn try_call(
        &self,
        method: &str,
        target: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Answer, hyper::Error> {
        let mut draft = self.draft(method, target, body);
        for (name, value) in headers {
            draft.headers.push(((*name).to_owned(), (*value).to_owned()));
        }
        self.sign(&mut draft);
        self.send(draft).await
    }

    /// With every header that is signed, but not the signature.
    pub(crate) fn draft(&self, method: &str, target: &str, body: Option<&Value>) -> Draft {
        let now = httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch());
        let mut headers = vec![("date".to_owned(), now), ("host".to_owned(), self.address.to_string())];
        let method: Method = method.parse().unwrap();
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        if has_body(&method) {
            headers.push(("content-length".into(), body.len().to_string()));
            headers.push(("content-type".into(), "application/json".into()));
            headers.push(("x-content-sha256".into(), sha256(&body)));
        }
        // A load balancer's path, unless it names another service's version.
        let target = if target.starts_with("/20") { target.to_owned() } else { format!("/20170115{target}") };
        Draft { method, target, headers, body }
    }

    /// Signs the headers in Oracle's order.
    pub(crate) fn sign(&self, draft: &mut Draft) {
        let names: &[&str] = if has_body(&draft.method) {
            &["date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256"]
        } else {
            &["date", "(request-target)", "host"]
        };
        self.sign_these(draft, names);
    }

    pub(crate) fn sign_these(&self, draft: &mut Draft, names: &[&str]) {
        let lines: Vec<String> = names
            .iter()
            .map(|name| match *name {
                "(request-target)" => {
                    format!("{name}: {} {}", draft.method.as_str().to_lowercase(), draft.target)
                }
                _ => format!("{name}: {}", draft.header(name)),
            })
            .collect();
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), lines.join("\n").as_bytes(), &mut signature).unwrap();
        let authorization = format!(
            "Signature algorithm=\"rsa-sha256\",headers=\"{}\",keyId=\"{}\",signature=\"{}\",version=\"1\"",
            names.join(" "),
            self.key_id,
            STANDARD.encode(signature)
        );
        draft.headers.push(("authorization".into(), authorization));
    }

    pub(crate) async fn send(&self, draft: Draft) -> Result<Answer, hyper::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(draft.method).uri(&draft.target);
        for (name, value) in &draft.headers {
            request = request.header(name, value);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(draft.body))).unwrap()).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        connection.abort();
        Ok(Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() })
    }

    /// Waits until the work request of an accepted mutation has ended, and gives it.
    pub(crate) async fn finished(&self, answer: &Answer) -> Value {
        assert_eq!(answer.status, 204, "{answer:?}");
        let id = answer.header("opc-work-request-id");
        loop {
            let request = self.get(&format!("/loadBalancerWorkRequests/{id}")).await.json();
            if request["timeFinished"].is_string() {
                return request;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Waits and demands success.
    pub(crate) async fn succeeded(&self, answer: &Answer) {
        let request = self.finished(answer).await;
        assert_eq!(request["lifecycleState"], "SUCCEEDED", "{request}");
    }
}

impl Draft {
    pub(crate) fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| known == name).unwrap().1
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}")).to_str().unwrap()
    }

    /// Demands this error.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, text: &str) {
        assert_eq!(self.status, status, "{self:?}");
        let json = self.json();
        assert_eq!(json["code"], code, "{json}");
        let message = json["message"].as_str().unwrap();
        assert!(message.contains(text), "{message:?} has no {text:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        assert!(self.headers.contains_key("opc-request-id"));
    }
}

fn has_body(method: &Method) -> bool {
    [Method::PATCH, Method::POST, Method::PUT].contains(method)
}

pub(crate) fn sha256(body: &[u8]) -> String {
    STANDARD.encode(digest::digest(&digest::SHA256, body))
}

#[expect(clippy::disallowed_methods, reason = "a client dates its requests")]
pub(crate) fn since_epoch() -> std::time::Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}
