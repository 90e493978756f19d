//! What responses show: the models of `certificatesmanagement` and `certificates`, version 20210224.

use serde_json::{Map, Value, json};

use super::{
    super::{clock, options::Nulls},
    associations::Association,
    certificate::{Certificate, Version},
};

/// Certificate.
pub(in super::super) fn certificate(certificate: &Certificate, nulls: Nulls) -> Value {
    let mut json = certificate_fields(certificate, nulls);
    json.insert("currentVersion".into(), version(certificate, certificate.current(), nulls));
    set(&mut json, "lifecycleDetails", certificate.lifecycle_details.as_deref(), nulls);
    Value::Object(json)
}

/// CertificateSummary.
pub(in super::super) fn certificate_summary(certificate: &Certificate, nulls: Nulls) -> Value {
    let mut json = certificate_fields(certificate, nulls);
    json.insert("currentVersionSummary".into(), version(certificate, certificate.current(), nulls));
    Value::Object(json)
}

/// CertificateVersion, which is CertificateVersionSummary too.
pub(in super::super) fn version(certificate: &Certificate, version: &Version, nulls: Nulls) -> Value {
    let mut json = version_fields(certificate, version, nulls);
    let names = version.content.leaf.names.iter().map(|name| json!({ "type": "DNS", "value": name }));
    json.insert("subjectAlternativeNames".into(), names.collect());
    set(&mut json, "timeOfDeletion", version.time_of_deletion.map(clock::written), nulls);
    set(&mut json, "issuerCaVersionNumber", None::<&str>, nulls);
    Value::Object(json)
}

/// CertificateBundlePublicOnly.
pub(in super::super) fn public_bundle(certificate: &Certificate, version: &Version, nulls: Nulls) -> Value {
    let mut json = version_fields(certificate, version, nulls);
    json.insert("certificateBundleType".into(), "CERTIFICATE_CONTENT_PUBLIC_ONLY".into());
    json.insert("certificateName".into(), certificate.name.as_str().into());
    json.insert("certificatePem".into(), version.content.leaf_pem.as_str().into());
    json.insert("certChainPem".into(), version.content.chain_pem.as_str().into());
    Value::Object(json)
}

/// Association, which is AssociationSummary too.
pub(in super::super) fn association(association: &Association) -> Value {
    json!({
        "id": association.id,
        "name": association.name,
        "timeCreated": clock::written(association.created),
        "lifecycleState": "ACTIVE",
        "certificatesResourceId": association.certificate_id,
        "associatedResourceId": association.load_balancer_id,
        "compartmentId": association.compartment_id,
        "associationType": "CERTIFICATE",
    })
}

fn certificate_fields(certificate: &Certificate, nulls: Nulls) -> Map<String, Value> {
    let content = &certificate.current().content;
    let mut json = crate::json::map(json!({
        "id": certificate.id,
        "name": certificate.name,
        "compartmentId": certificate.compartment_id,
        "configType": "IMPORTED",
        "keyAlgorithm": content.key_algorithm,
        "lifecycleState": certificate.lifecycle.as_str(),
        "signatureAlgorithm": content.signature_algorithm,
        "subject": { "commonName": content.leaf.common_name },
        "timeCreated": clock::written(certificate.created),
        "certificateRules": [],
        "definedTags": {},
        "freeformTags": {},
    }));
    for field in ["description", "issuerCertificateAuthorityId", "certificateProfileType"] {
        set(&mut json, field, None::<&str>, nulls);
    }
    json.extend(certificate.properties.clone());
    set(&mut json, "timeOfDeletion", certificate.time_of_deletion.map(clock::written), nulls);
    json
}

fn version_fields(certificate: &Certificate, version: &Version, nulls: Nulls) -> Map<String, Value> {
    let leaf = &version.content.leaf;
    let mut json = crate::json::map(json!({
        "certificateId": certificate.id,
        "versionNumber": version.number,
        "serialNumber": octets(leaf.serial.as_str()),
        "stages": certificate.stages(version),
        "timeCreated": clock::written(version.created),
        "validity": {
            "timeOfValidityNotBefore": clock::written(leaf.not_before),
            "timeOfValidityNotAfter": clock::written(leaf.not_after),
        },
    }));
    set(&mut json, "versionName", version.name.as_deref(), nulls);
    set(&mut json, "revocationStatus", None::<&str>, nulls);
    json
}

/// `03 AC FC`, as the models' documentation has it.
fn octets(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks(2).map(|pair| String::from_utf8_lossy(pair).to_ascii_uppercase());
    pairs.collect::<Vec<_>>().join(" ")
}

fn set(json: &mut Map<String, Value>, field: &str, value: Option<impl Into<Value>>, nulls: Nulls) {
    match value {
        Some(value) => json.insert(field.into(), value.into()),
        None if nulls == Nulls::Explicit => json.insert(field.into(), Value::Null),
        None => None,
    };
}
