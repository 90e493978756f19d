//! `POST /v1/x509`: a token for an instance's certificate. Everything is checked: the chain up to the root that the service
//! trusts, the times, that the `keyId` names this certificate and its tenancy, and that the certificate's key signed.

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::super::{
    api::{Call, Reply},
    error::ApiError,
    service::State,
    signature,
};
use super::{
    certificates::{INSTANCE, TENANT},
    token::{Claims, Subject},
};

/// Where it is.
pub(in super::super) const PATH: &str = "/v1/x509";

/// Answers a request for a token.
pub(in super::super) fn federate(state: &mut State, call: &Call) -> Result<Reply, ApiError> {
    let now = state.now();
    let body: Value = serde_json::from_slice(&call.body).map_err(ApiError::cannot_parse)?;
    let leaf_der = der(&body["certificate"])?;
    let intermediates = match &body["intermediateCertificates"] {
        Value::Array(certificates) => certificates.iter().map(der).collect::<Result<Vec<_>, _>>()?,
        _ => Vec::new(),
    };
    let leaf = certificate(&leaf_der)?;
    let root = state.authority.as_ref().map(|authority| authority.root().to_vec());
    let root = root.ok_or_else(|| refused("there is no instance"))?;
    check_chain(&leaf, &intermediates, &root, now)?;
    let (instance, tenancy) = (named(&leaf, INSTANCE)?, named(&leaf, TENANT)?);
    let expected = format!("{tenancy}/fed-x509/{}", fingerprint(&leaf_der));
    signature::verify_with_certificate(&call.parts, &call.body, &expected, leaf.public_key().raw, now)?;
    if state.instance(&instance).is_none() {
        return Err(refused("the certificate's instance does not run here"));
    }
    let public_key = der(&body["publicKey"])?;
    check_session_key(&public_key)?;
    let subject = Subject { kind: "instance", id: instance, tenancy };
    let lifetime = state.behaviour.token_lifetime;
    let token = state
        .issue_token(&Claims { subject, issued_at: now, lifetime }, &public_key)
        .map_err(|error| refused(&error.to_string()))?;
    Ok(Reply::json(&json!({ "token": token })))
}

fn check_chain(
    leaf: &X509Certificate<'_>,
    intermediates: &[Vec<u8>],
    root: &[u8],
    now: Timestamp,
) -> Result<(), ApiError> {
    let intermediates = intermediates.iter().map(|der| certificate(der)).collect::<Result<Vec<_>, _>>()?;
    let root = certificate(root)?;
    let mut below = leaf;
    for issuer in intermediates.iter().chain([&root]) {
        check_times(below, now)?;
        if below.issuer() != issuer.subject() || below.verify_signature(Some(issuer.public_key())).is_err() {
            return Err(refused(&format!("{} is not signed by {}", below.subject(), issuer.subject())));
        }
        below = issuer;
    }
    Ok(())
}

fn check_times(certificate: &X509Certificate<'_>, now: Timestamp) -> Result<(), ApiError> {
    let validity = certificate.validity();
    let second = now.as_second();
    match (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&second) {
        true => Ok(()),
        false => Err(refused(&format!("the certificate of {} is not valid now", certificate.subject()))),
    }
}

fn check_session_key(der: &[u8]) -> Result<(), ApiError> {
    let key = SubjectPublicKeyInfo::from_der(der).ok();
    match key.and_then(|(_, key)| key.parsed().ok().map(|key| key.key_size())) {
        Some(2048..) => Ok(()),
        Some(bits) => Err(ApiError::invalid_parameter(format!("publicKey has {bits} bits"))),
        None => Err(ApiError::invalid_parameter("publicKey is not a public key")),
    }
}

fn named(certificate: &X509Certificate<'_>, prefix: &str) -> Result<String, ApiError> {
    let mut values = certificate.subject().iter_attributes().filter_map(|value| value.as_str().ok());
    let value = values.find_map(|value| value.strip_prefix(prefix));
    value.map(str::to_owned).ok_or_else(|| refused(&format!("the subject has no {prefix}")))
}

fn der(value: &Value) -> Result<Vec<u8>, ApiError> {
    let text = value.as_str().unwrap_or_default();
    match STANDARD.decode(text) {
        Ok(der) if !der.is_empty() => Ok(der),
        _ => Err(ApiError::invalid_parameter("certificate, publicKey and intermediateCertificates are base64 of DER")),
    }
}

fn certificate(der: &[u8]) -> Result<X509Certificate<'_>, ApiError> {
    let parsed = X509Certificate::from_der(der);
    parsed.map(|(_, certificate)| certificate).map_err(|_| ApiError::invalid_parameter("not a certificate"))
}

fn fingerprint(der: &[u8]) -> String {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn refused(reason: &str) -> ApiError {
    ApiError::not_authenticated(reason)
}
