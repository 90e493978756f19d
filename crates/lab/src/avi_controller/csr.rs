//! Keys, CSRs and self-signed certificates that the controller makes itself.

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, RsaKeySize};
use serde_json::{Value, json};

use super::{
    certificate::{self, Prepared},
    error::ApiError,
    json::{Object, flag, number, object, text, texts},
};

/// A new key from `key_params`, with a CSR for `certificate.subject` and `subject_alt_names`; or, where
/// `self_signed` is set, with a certificate at once.
pub(super) fn prepare(mut fields: Object, now: Timestamp) -> Result<Prepared, ApiError> {
    let Some(parameters) = object(&fields, "key_params") else {
        return Err(ApiError::bad_request("SSLKeyAndCertificate: certificate or key_params is required"));
    };
    let key = new_key(parameters)?;
    let mut wanted = object(&fields, "certificate").cloned().unwrap_or_default();
    let params = parameters_of(&wanted)?;
    fields.insert("key".into(), json!(key.serialize_pem()));
    if flag(&wanted, "self_signed") {
        let days = i64::try_from(number(&wanted, "days_until_expire").unwrap_or(365)).unwrap_or(365);
        let mut params = params;
        params.not_before = std::time::SystemTime::from(now).into();
        let end = now.checked_add(SignedDuration::from_hours(24 * days.min(36_500))).unwrap_or(now);
        params.not_after = std::time::SystemTime::from(end).into();
        let signed = params.self_signed(&key).map_err(failed)?;
        fields.insert("certificate".into(), json!({"certificate": signed.pem()}));
        return certificate::prepare(fields, None, now);
    }
    let csr = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(failed)?;
    wanted.insert("certificate_signing_request".into(), json!(csr));
    fields.insert("certificate".into(), Value::Object(wanted));
    fields.insert("status".into(), json!("SSL_CERTIFICATE_PENDING"));
    Ok(Prepared { fields, issuers: Vec::new(), links_given: true })
}

/// A new key and CSR for what an object holds already, as a renewal makes them: both PEM, key first.
pub(super) fn renew(fields: &Object) -> Result<(String, String), ApiError> {
    let parameters =
        object(fields, "key_params").ok_or_else(|| ApiError::bad_request("the object has no key_params"))?;
    let key = new_key(parameters)?;
    let params = parameters_of(object(fields, "certificate").unwrap_or(&Object::new()))?;
    let csr = params.serialize_request(&key).and_then(|csr| csr.pem()).map_err(failed)?;
    Ok((key.serialize_pem(), csr))
}

fn new_key(parameters: &Object) -> Result<KeyPair, ApiError> {
    let nothing = Object::new();
    let made = match text(parameters, "algorithm") {
        "SSL_KEY_ALGORITHM_EC" => {
            let curve = text(object(parameters, "ec_params").unwrap_or(&nothing), "curve");
            KeyPair::generate_for(match curve {
                "" | "SSL_KEY_EC_CURVE_SECP256R1" => &rcgen::PKCS_ECDSA_P256_SHA256,
                "SSL_KEY_EC_CURVE_SECP384R1" => &rcgen::PKCS_ECDSA_P384_SHA384,
                "SSL_KEY_EC_CURVE_SECP521R1" => &rcgen::PKCS_ECDSA_P521_SHA512,
                other => return Err(ApiError::malformed(format_args!("curve: {other} is not an SSLECCurve"))),
            })
        }
        "" | "SSL_KEY_ALGORITHM_RSA" => {
            let size = match text(object(parameters, "rsa_params").unwrap_or(&nothing), "key_size") {
                "" | "SSL_KEY_2048_BITS" => RsaKeySize::_2048,
                "SSL_KEY_3072_BITS" => RsaKeySize::_3072,
                "SSL_KEY_4096_BITS" => RsaKeySize::_4096,
                other => return Err(ApiError::malformed(format_args!("key_size: {other} is not an SSLRSAKeySize"))),
            };
            KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
        }
        other => return Err(ApiError::malformed(format_args!("algorithm: {other} is not an SSLKeyAlgorithm"))),
    };
    made.map_err(failed)
}

fn parameters_of(wanted: &Object) -> Result<CertificateParams, ApiError> {
    let subject = object(wanted, "subject").cloned().unwrap_or_default();
    let common_name = text(&subject, "common_name");
    if common_name.is_empty() {
        return Err(ApiError::bad_request("SSLKeyAndCertificate: certificate.subject.common_name is required"));
    }
    let names: Vec<String> = texts(wanted, "subject_alt_names").map(str::to_owned).collect();
    let mut params = CertificateParams::new(names)
        .map_err(|error| ApiError::bad_request(format!("Invalid subject_alt_names: {error}")))?;
    let mut distinguished_name = DistinguishedName::new();
    for (field, kind) in [
        ("common_name", DnType::CommonName),
        ("organization", DnType::OrganizationName),
        ("organization_unit", DnType::OrganizationalUnitName),
        ("locality", DnType::LocalityName),
        ("state", DnType::StateOrProvinceName),
        ("country", DnType::CountryName),
    ] {
        if !text(&subject, field).is_empty() {
            distinguished_name.push(kind, text(&subject, field));
        }
    }
    params.distinguished_name = distinguished_name;
    Ok(params)
}

fn failed(error: rcgen::Error) -> ApiError {
    ApiError::bad_request(format!("the key or CSR could not be made: {error}"))
}
