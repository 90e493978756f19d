//! Checks a request's signature the way the service does: draft-cavage signatures, version 1, RSA PKCS#1 v1.5 with
//! SHA-256 (<https://docs.oracle.com/iaas/Content/API/Concepts/signingrequests.htm>).

use std::{collections::HashMap, time::Duration};

use aws_lc_rs::{
    digest,
    signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, Method, StatusCode, header::HeaderName, request::Parts};
use jiff::Timestamp;

use super::{clock, error::ApiError};

/// A key that requests may be signed with.
pub(crate) struct RegisteredKey {
    /// DER SubjectPublicKeyInfo.
    pub(crate) public_key: Vec<u8>,
    /// The end of a token.
    pub(crate) expires_at: Option<Timestamp>,
    /// OCID of the instance, resource or user that a token is for.
    pub(crate) owner: Option<String>,
}

/// The keys that requests may be signed with, by `keyId`.
pub(crate) type PublicKeys = HashMap<String, RegisteredKey>;

/// Checks everything: that the right headers are signed, that they are true (length, digest, date, host), and that
/// the signature is the registered key's. Gives the `keyId`.
pub(crate) fn verify(
    request: &Parts,
    body: &[u8],
    keys: &PublicKeys,
    authorities: &[String],
    now: Timestamp,
) -> Result<String, ApiError> {
    let authorization = Authorization::parse(header(&request.headers, "authorization")?)?;
    authorization.check_header_list(&request.method, &["(request-target)", "host"])?;
    check_host(&request.headers, authorities)?;
    check_values(request, body, &authorization, now)?;
    let key = keys
        .get(authorization.key_id)
        .ok_or_else(|| ApiError::not_authenticated(format!("key {} is not registered", authorization.key_id)))?;
    check_signature(request, &authorization, &key.public_key)?;
    if key.expires_at.is_some_and(|end| now >= end) {
        return Err(ApiError::not_authenticated("the token has expired"));
    }
    Ok(authorization.key_id.to_owned())
}

/// The same for a request that an instance's certificate signs, under the `keyId` that belongs to the certificate. The host
/// is not signed then.
pub(super) fn verify_with_certificate(
    request: &Parts,
    body: &[u8],
    key_id: &str,
    public_key: &[u8],
    now: Timestamp,
) -> Result<(), ApiError> {
    let authorization = Authorization::parse(header(&request.headers, "authorization")?)?;
    authorization.check_header_list(&request.method, &["(request-target)"])?;
    check_values(request, body, &authorization, now)?;
    if authorization.key_id != key_id {
        return Err(ApiError::not_authenticated(format!("keyId is {}, not {key_id}", authorization.key_id)));
    }
    check_signature(request, &authorization, public_key)
}

fn check_values(
    request: &Parts,
    body: &[u8],
    authorization: &Authorization<'_>,
    now: Timestamp,
) -> Result<(), ApiError> {
    check_date(&request.headers, authorization, now)?;
    match has_signed_body(&request.method) {
        true => check_body(&request.headers, body),
        false => Ok(()),
    }
}

fn check_signature(request: &Parts, authorization: &Authorization<'_>, public_key: &[u8]) -> Result<(), ApiError> {
    let text = signing_string(request, &authorization.headers)?;
    let signature = STANDARD
        .decode(authorization.signature)
        .map_err(|error| ApiError::not_authenticated(format!("the signature is not base64: {error}")))?;
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
        .verify(text.as_bytes(), &signature)
        .map_err(|_| ApiError::not_authenticated(format!("the signature does not match the signing string {text:?}")))
}

/// The text that is signed: the listed headers in the listed order, `name: value`, joined by line feeds.
fn signing_string(request: &Parts, names: &[&str]) -> Result<String, ApiError> {
    let mut lines = Vec::with_capacity(names.len());
    for name in names {
        if *name == "(request-target)" {
            let target = request.uri.path_and_query().map_or("/", |target| target.as_str());
            lines.push(format!("{name}: {} {target}", request.method.as_str().to_ascii_lowercase()));
        } else {
            lines.push(format!("{name}: {}", header(&request.headers, name)?));
        }
    }
    Ok(lines.join("\n"))
}

struct Authorization<'a> {
    headers: Vec<&'a str>,
    key_id: &'a str,
    signature: &'a str,
}

impl<'a> Authorization<'a> {
    fn parse(value: &'a str) -> Result<Self, ApiError> {
        let refused = |reason: &str| ApiError::not_authenticated(format!("Authorization: {reason}"));
        let parameters = value.strip_prefix("Signature ").ok_or_else(|| refused("the scheme is not Signature"))?;
        let mut found: HashMap<&str, &str> = HashMap::new();
        for parameter in parameters.split(',') {
            let (name, quoted) = parameter.trim().split_once('=').ok_or_else(|| refused("a parameter has no value"))?;
            let text = quoted
                .strip_prefix('"')
                .and_then(|text| text.strip_suffix('"'))
                .ok_or_else(|| refused("a value is not quoted"))?;
            if found.insert(name, text).is_some() {
                return Err(refused("a parameter is given twice"));
            }
        }
        let parameter = |name: &str| found.get(name).copied().ok_or_else(|| refused(&format!("{name} is missing")));
        if parameter("version")? != "1" {
            return Err(refused("version is not 1"));
        }
        if parameter("algorithm")? != "rsa-sha256" {
            return Err(refused("algorithm is not rsa-sha256"));
        }
        Ok(Self {
            headers: parameter("headers")?.split(' ').collect(),
            key_id: parameter("keyId")?,
            signature: parameter("signature")?,
        })
    }

    /// What must be signed at least depends on whether the method carries a body.
    fn check_header_list(&self, method: &Method, always: &[&str]) -> Result<(), ApiError> {
        let signed = |name: &str| self.headers.contains(&name);
        let mut missing = Vec::new();
        if !signed("date") && !signed("x-date") {
            missing.push("date");
        }
        let body: &[&str] =
            if has_signed_body(method) { &["content-length", "content-type", "x-content-sha256"] } else { &[] };
        missing.extend(always.iter().chain(body).filter(|name| !signed(name)));
        if !missing.is_empty() {
            return Err(ApiError::not_authenticated(format!("not signed: {}", missing.join(", "))));
        }
        if self.headers.iter().any(|name| name.chars().any(|c| c.is_ascii_uppercase())) {
            return Err(ApiError::not_authenticated("a signed header's name is not in lower case"));
        }
        Ok(())
    }
}

fn has_signed_body(method: &Method) -> bool {
    [Method::POST, Method::PUT, Method::PATCH].contains(method)
}

fn check_host(headers: &HeaderMap, authorities: &[String]) -> Result<(), ApiError> {
    let host = header(headers, "host")?;
    if authorities.iter().any(|authority| authority == host) {
        return Ok(());
    }
    Err(ApiError::not_authenticated(format!("host {host} is not this service ({})", authorities.join(", "))))
}

fn check_date(headers: &HeaderMap, authorization: &Authorization<'_>, now: Timestamp) -> Result<(), ApiError> {
    let name = if authorization.headers.contains(&"x-date") { "x-date" } else { "date" };
    let value = header(headers, name)?;
    let date = httpdate::parse_http_date(value)
        .ok()
        .and_then(|date| Timestamp::try_from(date).ok())
        .ok_or_else(|| ApiError::not_authenticated(format!("{name} '{value}' is not an RFC 1123 date")))?;
    if date.duration_since(now).unsigned_abs() <= ALLOWED_SKEW {
        return Ok(());
    }
    Err(ApiError::new(
        StatusCode::UNAUTHORIZED,
        "NotAuthenticated",
        format!(
            "Date '{value}' is not within allowed clock skew. Current '{}', valid datetime range: ['{}', '{}']",
            clock::written(now),
            clock::written(now - ALLOWED_SKEW),
            clock::written(now + ALLOWED_SKEW)
        ),
    ))
}

fn check_body(headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
    let length = header(headers, "content-length")?;
    if length.parse() != Ok(body.len()) {
        return Err(ApiError::not_authenticated(format!(
            "content-length is {length}, the body has {} bytes",
            body.len()
        )));
    }
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, body));
    let given = header(headers, "x-content-sha256")?;
    if given != digest {
        return Err(ApiError::not_authenticated(format!("x-content-sha256 is {given}, the body's is {digest}")));
    }
    Ok(())
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, ApiError> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ApiError::not_authenticated(format!("{name:?} is not a header's name")))?;
    let mut values = headers.get_all(&name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(ApiError::not_authenticated(format!("header {name} must be there once")));
    };
    value.to_str().map_err(|_| ApiError::not_authenticated(format!("header {name} is not text")))
}

const ALLOWED_SKEW: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values made with Oracle's own signer for these requests.
    #[test]
    fn the_signing_string_is_that_of_the_official_signer() {
        let body = r#"{"defaultBackendSetName":"app","port":443,"protocol":"HTTP","sslConfiguration":{"certificateName":"www-20260101"}}"#;
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, body.as_bytes()));
        assert_eq!(digest, "KUt7PKh2rj1GojQsixuwpRC59ZrDz2t85G+WzZz6fbs=");
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        let load_balancer = "/20170115/loadBalancers/ocid1.loadbalancer.oc1.iad.example";
        let with_body = ["date", "(request-target)", "host", "content-length", "content-type", "x-content-sha256"];
        let cases = [
            (
                "PUT",
                format!("{load_balancer}/listeners/https"),
                Some((114, digest.as_str())),
                "spUtI0xbSTDJmrrwU58feuzJ9jvjLmopeU0O7w/yJ7o=",
            ),
            (
                "GET",
                "/20170115/loadBalancers?compartmentId=ocid1.compartment.oc1..example&displayName=my+lb".into(),
                None,
                "4yPdvfahZ3e8iP2rLbhysNWSeiZ8zbWoVe7+aTvloyU=",
            ),
            (
                "POST",
                format!("{load_balancer}/changeCompartment"),
                Some((0, empty)),
                "xs9ZNzSKmEWbYZBzzHVyekOVKLOHf5HHwLnIqQHMRRY=",
            ),
        ];
        for (method, target, body, expected) in cases {
            let mut request = http::Request::builder()
                .method(method)
                .uri(&target)
                .header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
                .header("host", "iaas.us-ashburn-1.oraclecloud.com");
            if let Some((length, digest)) = body {
                request = request
                    .header("content-length", length.to_string())
                    .header("content-type", "application/json")
                    .header("x-content-sha256", digest);
            }
            let (parts, ()) = request.body(()).unwrap().into_parts();
            let names = if body.is_some() { &with_body[..] } else { &with_body[..3] };
            let text = signing_string(&parts, names).unwrap();
            let hash = STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
            assert_eq!(hash, expected, "{method} {target}");
        }
    }
}
