//! A client of its own, so that the lab is not judged by itself.

use certferry_lab::avi_controller::AviLab;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

pub(crate) struct Client {
    base: String,
    http: reqwest::Client,
    /// Sent with each call; tests spoil them.
    pub(crate) headers: Vec<(String, String)>,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Client {
    /// Without a session.
    pub(crate) fn new(lab: &AviLab) -> Self {
        let root = reqwest::Certificate::from_pem(lab.trusted_roots_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_certs_only([root]).no_proxy().build().unwrap();
        Self { base: lab.url(), http, headers: vec![("x-avi-version".into(), "30.2.1".into())] }
    }

    /// Logged in, with everything that a browser would send.
    pub(crate) async fn log_in(lab: &AviLab, username: &str, password: &str) -> Self {
        let mut client = Self::new(lab);
        let answer = client.form_login(username, password).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        client.take_session(&answer);
        client
    }

    pub(crate) async fn admin(lab: &AviLab) -> Self {
        Self::log_in(lab, "admin", "lab-admin-password").await
    }

    pub(crate) async fn form_login(&self, username: &str, password: &str) -> Answer {
        let form = format!("username={username}&password={password}");
        let request = self.http.post(format!("{}/login", self.base)).body(form);
        read(request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()).await
    }

    pub(crate) fn take_session(&mut self, answer: &Answer) {
        let cookies: Vec<String> = answer
            .headers
            .get_all("set-cookie")
            .iter()
            .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap().to_owned())
            .collect();
        let csrf = cookies.iter().find_map(|cookie| cookie.strip_prefix("csrftoken=")).unwrap().to_owned();
        self.set("cookie", &cookies.join("; "));
        self.set("x-csrftoken", &csrf);
        self.set("referer", &format!("{}/", self.base));
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.unset(name);
        self.headers.push((name.into(), value.into()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.headers.retain(|(known, _)| known != name);
    }

    /// The same session in another tenant.
    pub(crate) fn in_tenant(&self, tenant: &str) -> Self {
        let mut client = Self { base: self.base.clone(), http: self.http.clone(), headers: self.headers.clone() };
        client.set("x-avi-tenant", tenant);
        client
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.call(Method::GET, target, None).await
    }

    pub(crate) async fn post(&self, target: &str, body: &Value) -> Answer {
        self.call(Method::POST, target, Some(body)).await
    }

    pub(crate) async fn put(&self, target: &str, body: &Value) -> Answer {
        self.call(Method::PUT, target, Some(body)).await
    }

    pub(crate) async fn patch(&self, target: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, target, Some(body)).await
    }

    pub(crate) async fn delete(&self, target: &str) -> Answer {
        self.call(Method::DELETE, target, None).await
    }

    pub(crate) async fn call(&self, method: Method, target: &str, body: Option<&Value>) -> Answer {
        self.try_call(method, target, body).await.expect("the lab answers")
    }

    /// Fails when the connection is closed without an answer.
    pub(crate) async fn try_call(
        &self,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{target}", self.base));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        Ok(read(request.send().await?).await)
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    /// The body of a success.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{}: {}", self.status, self.text);
        if self.text.is_empty() { json!(null) } else { self.json() }
    }

    /// The text of a refusal with this status.
    pub(crate) fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()["error"].as_str().unwrap().to_owned()
    }

    /// The names of a list's results.
    pub(crate) fn names(&self) -> Vec<String> {
        let results = self.ok()["results"].as_array().unwrap().clone();
        results.iter().map(|result| result["name"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn uuid(&self) -> String {
        self.ok()["uuid"].as_str().unwrap().to_owned()
    }
}

async fn read(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}
