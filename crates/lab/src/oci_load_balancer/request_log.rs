//! The log of API calls, for tests to read.

use http::{Method, StatusCode};
use serde_json::Value;

/// One call as it came in and was answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// The API's name for the call, for example `UpdateListener`; the method and path when it is none.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// The load balancer that it was about.
    pub load_balancer_id: Option<String>,
    /// The certificate of the Certificates service that it was about.
    pub certificate_id: Option<String>,
    /// The status answered; `None` when the connection was closed or left hanging.
    pub status: Option<u16>,
    /// The code of an error answer.
    pub code: Option<String>,
    /// Why the lab refused it, in more detail than the client was told.
    pub reason: Option<String>,
    /// The `opc-retry-token` sent.
    pub retry_token: Option<String>,
    /// The `if-match` sent.
    pub if_match: Option<String>,
    /// The `opc-request-id` sent.
    pub request_id: Option<String>,
    /// The work request that a mutation got.
    pub work_request_id: Option<String>,
    /// The JSON body, with private keys and passphrases blanked.
    pub body: Option<Value>,
}

impl RequestRecord {
    /// A call that has come in.
    pub(crate) fn new(operation: impl Into<String>, method: &Method, target: impl Into<String>) -> Self {
        Self {
            operation: operation.into(),
            method: method.to_string(),
            target: target.into(),
            load_balancer_id: None,
            certificate_id: None,
            status: None,
            code: None,
            reason: None,
            retry_token: None,
            if_match: None,
            request_id: None,
            work_request_id: None,
            body: None,
        }
    }

    /// Whether it was a call of this operation; `certificates/…` and `load-balancers/…` say of which service.
    pub fn is(&self, operation: &str) -> bool {
        match operation.split_once('/') {
            Some(("certificates", name)) => self.operation == name && self.target.starts_with("/20210224/"),
            Some(("load-balancers", name)) => self.operation == name && self.target.starts_with("/20170115/"),
            _ => self.operation == operation,
        }
    }

    /// What it was answered.
    pub(super) fn answered(&mut self, status: StatusCode, code: Option<&str>, reason: Option<&str>) {
        self.status = Some(status.as_u16());
        self.code = code.map(str::to_owned);
        self.reason = reason.map(str::to_owned);
    }
}

/// The body of a request without its secrets.
pub(super) fn without_secrets(body: &[u8]) -> Option<Value> {
    let mut json: Value = serde_json::from_slice(body).ok()?;
    blank_secrets(&mut json);
    Some(json)
}

fn blank_secrets(json: &mut Value) {
    let Some(object) = json.as_object_mut() else { return };
    for (field, value) in object {
        if SECRETS.contains(&field.as_str()) {
            *value = "(not logged)".into();
        } else {
            blank_secrets(value);
        }
    }
}

/// Of CreateCertificate in both services.
const SECRETS: &[&str] = &["privateKey", "passphrase", "privateKeyPem", "privateKeyPemPassphrase"];
