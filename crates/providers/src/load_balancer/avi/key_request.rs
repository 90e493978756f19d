//! Keys that the controller makes and keeps: the object with its CSR, and the signed chain that is put into it.

use certferry_core::port::{Bundle, KeyRequest};
use certferry_core::{Csr, ErrorKind, KeyType};
use serde_json::{Value, json};

use super::certificate::pem_lines;
use super::change::{Change, Decision, Problem};
use super::model::{Collection, OWNER, is_own, name, text, uuid};
use super::tenant::Tenant;

/// The creation of the object in which the controller makes the key; none when it is there with its CSR.
pub(super) fn create(tenant: &Tenant, bundle: &str, request: &KeyRequest) -> Decision {
    let problem = |said: String, hint: &str| Problem {
        kind: ErrorKind::Invalid,
        operation: format!("POST {}", Collection::Certificates.key()),
        object: Collection::Certificates.object(bundle),
        said,
        hint: hint.to_owned(),
    };
    let Some(existing) = object(tenant, bundle) else {
        return Ok(Some(Change::create(Collection::Certificates, bundle, &body(bundle, request))));
    };
    if !is_own(existing) {
        let said = format!("one of that name is there that certferry did not make (created_by is not `{OWNER}`)");
        return Err(problem(said, "rename it, or the certificate in the config"));
    }
    if csr_pem(existing).is_none() {
        let said = "it is there, and the controller shows no CSR of it".to_owned();
        return Err(problem(said, "its key cannot be certified again: remove the object, so that a new key is made"));
    }
    Ok(None)
}

/// The CSR of an object, DER.
pub(super) fn csr(tenant: &Tenant, bundle: &str) -> Option<Vec<u8>> {
    pem::parse(csr_pem(object(tenant, bundle)?)?).ok().map(pem::Pem::into_contents)
}

/// Whether the chain is for the key of the object.
pub(super) fn check_key(existing: Option<&Value>, bundle: &Bundle) -> Result<(), String> {
    use x509_parser::prelude::{FromDer, X509Certificate};

    let existing = existing.ok_or("the object that held its key is gone")?;
    let csr = csr_pem(existing).ok_or("the object has no CSR, so nothing tells which key it holds")?;
    let csr = Csr::from_pem(csr).map_err(|error| format!("the object's CSR: {error}"))?;
    let (_, leaf) = X509Certificate::from_der(bundle.chain.leaf_der()).map_err(|error| error.to_string())?;
    if leaf.public_key().raw == csr.public_key_info() {
        return Ok(());
    }
    Err("the certificate is not for the key that the object holds".to_owned())
}

/// PATCH that puts the signed certificate into the object of its key. The CSR is sent along: replacing a field replaces
/// all of it, and the next renewal asks with the same CSR.
pub(super) fn signed(existing: &Value, bundle: &Bundle, links: &[Value]) -> Option<Change> {
    let leaf = pem::encode_config(&pem::Pem::new("CERTIFICATE", bundle.chain.leaf_der()), pem_lines());
    let certificate = json!({"certificate": leaf, "certificate_signing_request": csr_pem(existing)?});
    let body = json!({"replace": {"certificate": certificate, "ca_certs": links}});
    Some(Change::patch(Collection::Certificates, uuid(existing)?, name(existing), &body))
}

fn object<'a>(tenant: &'a Tenant, bundle: &str) -> Option<&'a Value> {
    tenant.certificates.iter().find(|certificate| name(certificate) == bundle)
}

fn csr_pem(certificate: &Value) -> Option<&str> {
    text(certificate.get("certificate")?, "certificate_signing_request")
}

fn body(bundle: &str, request: &KeyRequest) -> Value {
    let names: Vec<String> = request.names.iter().map(ToString::to_string).collect();
    json!({"name": bundle, "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE", "created_by": OWNER,
        "key_params": key_parameters(request.key),
        "certificate": {"self_signed": false, "subject": {"common_name": request.common_name.as_str()},
            "subject_alt_names": names}})
}

fn key_parameters(key: KeyType) -> Value {
    let rsa = |bits: &str| {
        json!({"algorithm": "SSL_KEY_ALGORITHM_RSA", "rsa_params": {"key_size": format!("SSL_KEY_{bits}_BITS"),
            "exponent": 65537}})
    };
    let ec = |curve: &str| json!({"algorithm": "SSL_KEY_ALGORITHM_EC", "ec_params": {"curve": format!("SSL_KEY_EC_CURVE_{curve}")}});
    match key {
        KeyType::EcdsaP256 => ec("SECP256R1"),
        KeyType::EcdsaP384 => ec("SECP384R1"),
        KeyType::Rsa2048 => rsa("2048"),
        KeyType::Rsa3072 => rsa("3072"),
        KeyType::Rsa4096 => rsa("4096"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: KeyType) -> KeyRequest {
        let name: certferry_core::DnsName = "www.some-domain.com".parse().unwrap();
        KeyRequest { key, common_name: name.clone(), names: vec![name.into()] }
    }

    #[test]
    fn every_key_type_has_its_parameters() {
        for (key, parameter, expected) in [
            (KeyType::EcdsaP256, "/ec_params/curve", "SSL_KEY_EC_CURVE_SECP256R1"),
            (KeyType::EcdsaP384, "/ec_params/curve", "SSL_KEY_EC_CURVE_SECP384R1"),
            (KeyType::Rsa2048, "/rsa_params/key_size", "SSL_KEY_2048_BITS"),
            (KeyType::Rsa3072, "/rsa_params/key_size", "SSL_KEY_3072_BITS"),
            (KeyType::Rsa4096, "/rsa_params/key_size", "SSL_KEY_4096_BITS"),
        ] {
            let change = create(&Tenant::default(), "cf-www-1", &request(key)).unwrap().unwrap();
            let sent: Value = serde_json::from_slice(&change.body.unwrap()).unwrap();
            assert_eq!(sent["key_params"].pointer(parameter).unwrap(), expected);
            assert_eq!(sent["certificate"]["subject"]["common_name"], "www.some-domain.com");
        }
    }

    #[test]
    fn an_object_that_is_there_is_used_when_it_is_ours_and_has_a_csr() {
        let with = |object: Value| {
            let tenant = Tenant { certificates: vec![object].into(), ..Tenant::default() };
            create(&tenant, "cf-www-1", &request(KeyType::EcdsaP256))
        };
        let csr = json!({"certificate_signing_request": "-----BEGIN"});
        let waiting = json!({"name": "cf-www-1", "created_by": OWNER, "certificate": csr});
        assert!(with(waiting).unwrap().is_none());
        let foreign = with(json!({"name": "cf-www-1", "certificate": csr})).err().unwrap();
        assert!(foreign.said.contains("did not make"), "{foreign:?}");
        let imported = with(json!({"name": "cf-www-1", "created_by": OWNER})).err().unwrap();
        assert!(imported.said.contains("no CSR"), "{imported:?}");
    }
}
