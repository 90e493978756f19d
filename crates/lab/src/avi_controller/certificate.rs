//! Certificate objects: import of a pair, keys and CSRs made on the controller, issuers, and derived fields.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{
    certificate_facts as facts, csr,
    error::ApiError,
    json::{Object, has, object, objects, text},
    kind::{CERTIFICATE, CERTIFICATE_PROFILE, Kind, SCRIPT},
    references,
    store::Store,
    view::MASK,
};
use crate::private_key;

/// RSA or EC: a virtual service serves one certificate of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Ec,
    Rsa,
}

/// A certificate object ready to be stored, with the issuers that came in its PEM.
pub(super) struct Prepared {
    pub(super) fields: Object,
    /// As DER, the leaf's own issuer first.
    pub(super) issuers: Vec<Vec<u8>>,
    /// What the client linked itself; found anew when it linked nothing.
    pub(super) links_given: bool,
}

/// Checks and completes what a client sent. `stored` is what the object was before, whose key is kept unless a new one
/// comes.
pub(super) fn prepare(mut fields: Object, stored: Option<&Object>, now: Timestamp) -> Result<Prepared, ApiError> {
    if text(&fields, "format") == "SSL_PKCS12" {
        return Err(ApiError::bad_request("Import error: the lab reads PEM only"));
    }
    let kind = text(&fields, "type").to_owned();
    if !["SSL_CERTIFICATE_TYPE_CA", "SSL_CERTIFICATE_TYPE_SYSTEM", "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE"]
        .contains(&kind.as_str())
    {
        return Err(ApiError::malformed(format_args!("type: {kind} is not an SSLCertificateType")));
    }
    let certificate = object(&fields, "certificate").cloned().unwrap_or_default();
    let pem = text(&certificate, "certificate").to_owned();
    if pem.is_empty() {
        if is_waiting(&certificate, stored) {
            return Ok(Prepared { fields, issuers: Vec::new(), links_given: true });
        }
        return csr::prepare(fields, now);
    }
    let mut chain = parse_chain(&pem)?;
    let leaf = chain.remove(0);
    let (_, parsed) = X509Certificate::from_der(&leaf).map_err(|_| unreadable())?;
    let is_authority = kind == "SSL_CERTIFICATE_TYPE_CA";
    if facts::common_name(parsed.subject()).is_none() && !is_authority {
        return Err(ApiError::new(
            http::StatusCode::INTERNAL_SERVER_ERROR,
            "Import error: certificate subject has no common_name",
        ));
    }
    take_key(&mut fields, &leaf, is_authority)?;
    let mut derived = facts::derive(&leaf, &parsed);
    // The CSR of an object stays with it: it can be signed again.
    let csr =
        stored.and_then(|stored| object(stored, "certificate")).map(|known| text(known, "certificate_signing_request"));
    if let Some(csr) = csr.filter(|csr| !csr.is_empty()) {
        derived.insert("certificate_signing_request".into(), json!(csr));
    }
    fields.insert("key_params".into(), facts::key_parameters(&parsed));
    fields.insert("certificate".into(), Value::Object(derived));
    fields.insert("status".into(), json!("SSL_CERTIFICATE_FINISHED"));
    let links_given =
        stored.is_none_or(|stored| stored.get("ca_certs") != fields.get("ca_certs")) && has(&fields, "ca_certs");
    Ok(Prepared { fields, issuers: chain, links_given })
}

/// Stores issuers that are not there yet, and links the object with its chain. Certificates are told apart by content,
/// so that an issuer which is there under another name is not stored again.
pub(super) fn link_issuers(prepared: Prepared, store: &mut Store, tenant: &str, now: i64) -> Object {
    let Prepared { mut fields, issuers, links_given } = prepared;
    let Some(kind) = Kind::of(CERTIFICATE) else { return fields };
    for der in &issuers {
        if authority(store, tenant, |known| known == der.as_slice()).is_none()
            && let Some(authority) = new_authority(der, store, kind, tenant)
        {
            let uuid = format!("{CERTIFICATE}-{}", super::sessions::random());
            store.put(kind, &uuid, tenant, authority, now);
        }
    }
    if links_given && issuers.is_empty() {
        return fields;
    }
    let mut links = Vec::new();
    let mut child = certificate_der(&fields);
    while let Some(der) = child.take() {
        let Ok((_, parsed)) = X509Certificate::from_der(&der) else { break };
        if parsed.subject() == parsed.issuer() || links.len() > LONGEST_CHAIN {
            break;
        }
        let issues = |candidate: &[u8]| {
            X509Certificate::from_der(candidate).is_ok_and(|(_, issuer)| {
                issuer.subject() == parsed.issuer() && parsed.verify_signature(Some(issuer.public_key())).is_ok()
            })
        };
        let Some((uuid, name, issuer)) = authority(store, tenant, issues) else { break };
        links.push(json!({"name": name, "ca_ref": references::to(kind, &uuid)}));
        child = Some(issuer);
    }
    if links.is_empty() {
        fields.remove("ca_certs");
    } else {
        fields.insert("ca_certs".into(), Value::Array(links));
    }
    fields
}

/// Takes over what only the clock knows: how near the end is.
pub(super) fn show_expiry(fields: &mut Object, now: Timestamp) {
    let Some(end) = not_after(fields) else { return };
    let status = match end.duration_since(now) {
        left if left <= SignedDuration::ZERO => "SSL_CERTIFICATE_EXPIRED",
        left if left <= SignedDuration::from_hours(24 * 30) => "SSL_CERTIFICATE_EXPIRY_WARNING",
        _ => "SSL_CERTIFICATE_GOOD",
    };
    if let Some(Value::Object(certificate)) = fields.get_mut("certificate") {
        certificate.insert("expiry_status".into(), json!(status));
    }
}

/// The end of a certificate's validity.
pub(super) fn not_after(fields: &Object) -> Option<Timestamp> {
    let der = certificate_der(fields)?;
    let (_, parsed) = X509Certificate::from_der(&der).ok()?;
    Timestamp::from_second(parsed.validity().not_after.timestamp()).ok()
}

pub(super) fn family(fields: &Object) -> Option<Family> {
    match text(object(fields, "key_params")?, "algorithm") {
        "SSL_KEY_ALGORITHM_EC" => Some(Family::Ec),
        "SSL_KEY_ALGORITHM_RSA" => Some(Family::Rsa),
        _ => None,
    }
}

/// What a TLS server needs: the leaf, its issuers without the root, and the key.
pub(super) fn certified(
    fields: &Object,
    store: &Store,
    provider: &rustls::crypto::CryptoProvider,
) -> Result<CertifiedKey, String> {
    let leaf = certificate_der(fields).ok_or("it has no certificate yet")?;
    let key = private_key::parse(text(fields, "key"), None)?;
    let issuers = objects(fields, "ca_certs")
        .filter_map(|link| certificate_der(&store.referred(link, "ca_ref")?.fields))
        .filter(|der| X509Certificate::from_der(der).is_ok_and(|(_, parsed)| parsed.subject() != parsed.issuer()));
    let chain = std::iter::once(leaf.clone()).chain(issuers).map(CertificateDer::from).collect();
    private_key::certified(chain, &key, provider)
}

/// Names of a certificate: common name and SANs, in lower case.
pub(super) fn names(fields: &Object) -> Vec<String> {
    let Some(der) = certificate_der(fields) else { return Vec::new() };
    X509Certificate::from_der(&der).map(|(_, parsed)| facts::names(&parsed)).unwrap_or_default()
}

/// The profile whose script makes this certificate, with the script's object.
pub(super) fn profile<'a>(fields: &Object, store: &'a Store) -> Option<(&'a Object, &'a Object)> {
    let profile =
        store.get(CERTIFICATE_PROFILE, references::uuid(text(fields, "certificate_management_profile_ref")))?;
    let script = store.get(SCRIPT, references::uuid(text(&profile.fields, "run_script_ref")))?;
    Some((&profile.fields, &script.fields))
}

/// `2026-01-31 12:00:00`, UTC without a zone.
pub(super) fn written(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn certificate_der(fields: &Object) -> Option<Vec<u8>> {
    let pem = text(object(fields, "certificate")?, "certificate");
    Some(CertificateDer::from_pem_slice(pem.as_bytes()).ok()?.to_vec())
}

/// Whether an object still waits for the certificate of the CSR that it had before.
fn is_waiting(certificate: &Object, stored: Option<&Object>) -> bool {
    let known = stored.and_then(|stored| object(stored, "certificate"));
    let csr = text(certificate, "certificate_signing_request");
    !csr.is_empty() && known.is_some_and(|known| text(known, "certificate_signing_request") == csr)
}

/// The key must be the leaf's. An encrypted one is kept in the clear, as the controller has to use it.
fn take_key(fields: &mut Object, leaf: &[u8], is_authority: bool) -> Result<(), ApiError> {
    let passphrase = fields.remove("key_passphrase");
    let passphrase = passphrase.as_ref().and_then(Value::as_str).filter(|text| !text.is_empty() && *text != MASK);
    let pem = text(fields, "key").to_owned();
    if pem.is_empty() || pem == MASK || is_authority {
        fields.remove("key");
        return Ok(());
    }
    let refused = |problem: String| ApiError::bad_request(format!("Import error: {problem}"));
    let key = private_key::parse(&pem, passphrase).map_err(|problem| refused(format!("Invalid key: {problem}")))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    private_key::certified(vec![CertificateDer::from(leaf.to_vec())], &key, &provider).map_err(refused)?;
    if passphrase.is_some() {
        fields.insert("key".into(), json!(key_pem(&key)));
    }
    Ok(())
}

fn key_pem(key: &PrivateKeyDer<'_>) -> String {
    let tag = match key {
        PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
        PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
        _ => "PRIVATE KEY",
    };
    pem::encode(&pem::Pem::new(tag, key.secret_der()))
}

fn parse_chain(pem: &str) -> Result<Vec<Vec<u8>>, ApiError> {
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| der.map(|der| der.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unreadable())?;
    if chain.is_empty() || chain.iter().any(|der| X509Certificate::from_der(der).is_err()) {
        return Err(unreadable());
    }
    Ok(chain)
}

fn unreadable() -> ApiError {
    ApiError::bad_request("Import error: the certificate cannot be read as X.509 in PEM form")
}

/// A CA object of the tenant whose certificate fits: uuid, name, DER.
fn authority(store: &Store, tenant: &str, fits: impl Fn(&[u8]) -> bool) -> Option<(String, String, Vec<u8>)> {
    store
        .of_kind(CERTIFICATE)
        .filter(|object| object.tenant == tenant && text(&object.fields, "type") == "SSL_CERTIFICATE_TYPE_CA")
        .find_map(|object| {
            let der = certificate_der(&object.fields).filter(|der| fits(der))?;
            Some((object.uuid.clone(), object.name().to_owned(), der))
        })
}

/// Named after its subject; with a number when that is taken.
fn new_authority(der: &[u8], store: &Store, kind: &Kind, tenant: &str) -> Option<Object> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let base = facts::common_name(parsed.subject()).unwrap_or_else(|| "issuer".to_owned());
    let name = (1..)
        .map(|number| if number == 1 { base.clone() } else { format!("{base}-{number}") })
        .find(|name| store.check_name(kind, tenant, name, None).is_ok())?;
    let mut fields = Object::new();
    fields.insert("name".into(), json!(name));
    fields.insert("type".into(), json!("SSL_CERTIFICATE_TYPE_CA"));
    super::defaults::fill(kind, &mut fields);
    fields.insert("key_params".into(), facts::key_parameters(&parsed));
    fields.insert("certificate".into(), Value::Object(facts::derive(der, &parsed)));
    fields.insert("status".into(), json!("SSL_CERTIFICATE_FINISHED"));
    Some(fields)
}

/// Whether the controller should have a certificate made: it has a CSR, no certificate, and a profile with a script.
pub(super) fn wants_script(fields: &Object, store: &Store) -> bool {
    let pending = text(fields, "status") == "SSL_CERTIFICATE_PENDING";
    pending && profile(fields, store).is_some()
}

const LONGEST_CHAIN: usize = 10;
