//! The fields that the controller reads out of a certificate.

use aws_lc_rs::digest;
use serde_json::{Value, json};
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521},
    prelude::{GeneralName, ParsedExtension, X509Certificate, X509Name},
    public_key::PublicKey,
};

use super::{
    certificate::written,
    json::{Object, map},
};

/// The `certificate` message of an imported certificate.
pub(super) fn derive(der: &[u8], parsed: &X509Certificate<'_>) -> Object {
    let validity = parsed.validity();
    let serial = parsed.tbs_certificate.serial.to_string();
    let fingerprint: Vec<String> = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, der)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let names = alternative_names(parsed);
    let listed: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let ended = |text: String| text.replace("\r\n", "\n");
    let own_issuer = parsed.subject() == parsed.issuer();
    map(json!({
        "certificate": ended(pem::encode(&pem::Pem::new("CERTIFICATE", der))),
        "subject": name(parsed.subject()),
        "issuer": name(parsed.issuer()),
        "subject_alt_names": names,
        "not_before": written(validity.not_before.timestamp()),
        "not_after": written(validity.not_after.timestamp()),
        "serial_number": serial,
        "version": parsed.version().0.to_string(),
        "signature_algorithm": signature_algorithm(parsed),
        "public_key": ended(pem::encode(&pem::Pem::new("PUBLIC KEY", parsed.public_key().raw))),
        "fingerprint": format!("SHA1 Fingerprint={}\n", fingerprint.join(":")),
        "text": format!(
            "Certificate:\n    Data:\n        Serial Number: {serial}\n        Subject: {}\n            X509v3 Subject \
             Alternative Name: \n                {}\n",
            parsed.subject(),
            listed.join(", ")
        ),
        "self_signed": own_issuer,
        "chain_verified": !own_issuer,
        // The default of an input for self-signed certificates, which a real controller shows whatever the end is.
        "days_until_expire": 365,
    }))
}

/// `key_params` of a public key.
pub(super) fn key_parameters(parsed: &X509Certificate<'_>) -> Value {
    match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => json!({
            "algorithm": "SSL_KEY_ALGORITHM_RSA",
            "rsa_params": {"key_size": format!("SSL_KEY_{}_BITS", key.key_size()), "exponent": 65537},
        }),
        Ok(PublicKey::EC(_)) => {
            let oid = parsed.public_key().algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            let curve = match oid {
                Some(oid) if oid == OID_EC_P256 => "SECP256R1",
                Some(oid) if oid == OID_NIST_EC_P384 => "SECP384R1",
                Some(oid) if oid == OID_NIST_EC_P521 => "SECP521R1",
                _ => "UNKNOWN",
            };
            json!({"algorithm": "SSL_KEY_ALGORITHM_EC", "ec_params": {"curve": format!("SSL_KEY_EC_CURVE_{curve}")}})
        }
        _ => json!({}),
    }
}

pub(super) fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().next()?.as_str().ok().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Common name and DNS names, in lower case.
pub(super) fn names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let names = common_name(parsed.subject()).into_iter().chain(alternative_names(parsed));
    names.map(|name| name.to_ascii_lowercase()).collect()
}

fn alternative_names(parsed: &X509Certificate<'_>) -> Vec<String> {
    let names = parsed.extensions().iter().flat_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectAlternativeName(names) => names.general_names.as_slice(),
        _ => &[],
    });
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

fn name(name: &X509Name<'_>) -> Value {
    let mut fields = Object::new();
    let mut set = |field: &str, value: Option<&str>| {
        if let Some(value) = value {
            fields.insert(field.to_owned(), json!(value));
        }
    };
    set("common_name", name.iter_common_name().next().and_then(|part| part.as_str().ok()));
    set("organization", name.iter_organization().next().and_then(|part| part.as_str().ok()));
    set("organization_unit", name.iter_organizational_unit().next().and_then(|part| part.as_str().ok()));
    set("locality", name.iter_locality().next().and_then(|part| part.as_str().ok()));
    set("state", name.iter_state_or_province().next().and_then(|part| part.as_str().ok()));
    set("country", name.iter_country().next().and_then(|part| part.as_str().ok()));
    fields.insert("distinguished_name".into(), json!(name.to_string()));
    Value::Object(fields)
}

fn signature_algorithm(parsed: &X509Certificate<'_>) -> String {
    let oid = parsed.signature_algorithm.algorithm.to_id_string();
    let known = match oid.as_str() {
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.113549.1.1.11" => "sha256WithRSAEncryption",
        _ => return oid,
    };
    known.to_owned()
}
