//! The log of API calls, for tests to read.

use serde_json::Value;

/// One call as it came in and was answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RequestRecord {
    /// Method and type: `PATCH virtualservice`, `POST login`, `POST sslkeyandcertificate/renew`.
    pub operation: String,
    /// HTTP method.
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// The uuid in the path, or that of the object made.
    pub object: Option<String>,
    /// Who was logged in.
    pub user: Option<String>,
    /// `X-Avi-Tenant` as sent.
    pub tenant: Option<String>,
    /// `X-Avi-Version` as sent.
    pub version: Option<String>,
    /// The status answered; `None` when the connection was closed or left hanging.
    pub status: Option<u16>,
    /// The text of an error answer.
    pub error: Option<String>,
    /// Why the lab refused it, in more detail than the client was told.
    pub reason: Option<String>,
    /// The JSON body, with keys, passwords and parameters of scripts blanked.
    pub body: Option<Value>,
}

/// The body of a request without its secrets.
pub(super) fn without_secrets(body: &[u8]) -> Option<Value> {
    let mut json: Value = serde_json::from_slice(body).ok()?;
    blank(&mut json);
    Some(json)
}

fn blank(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(blank),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "key" | "key_base64" | "key_passphrase" | "password" | "token" if value.is_string() => {
                        *value = "(not logged)".into();
                    }
                    "dynamic_params" | "script_params" => *value = "(not logged)".into(),
                    _ => blank(value),
                }
            }
        }
        _ => {}
    }
}
