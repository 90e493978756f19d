//! What a version consists of: leaf, chain and key as they are imported, and what the service reads out of them.

use std::collections::BTreeSet;

use certferry_core::LeafFacts;
use serde_json::{Map, Value};
use x509_parser::{
    oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521},
    prelude::{ExtendedKeyUsage, FromDer, X509Certificate},
    public_key::PublicKey,
    x509::SubjectPublicKeyInfo,
};

use super::{
    super::{
        bundle::{self, Bundle},
        error::ApiError,
        fields::Fields,
    },
    options::{CertificatesBehaviour, OtherKeyAlgorithms, RequiredChain},
};

/// An imported certificate. The key, inside the bundle, does not print.
#[derive(Clone, Debug)]
pub(in super::super) struct Content {
    pub(in super::super) leaf_pem: String,
    pub(in super::super) chain_pem: String,
    /// What a load balancer fetches.
    pub(in super::super) bundle: Bundle,
    pub(in super::super) leaf: LeafFacts,
    /// The purposes of the extendedKeyUsage extension, as OIDs; empty without the extension.
    pub(in super::super) extended_key_usages: BTreeSet<String>,
    pub(in super::super) key_algorithm: String,
    pub(in super::super) signature_algorithm: String,
}

impl Content {
    /// Takes a `certificateConfig` of type IMPORTED apart and checks that its parts belong together.
    pub(super) fn parse(config: &Map<String, Value>, behaviour: &CertificatesBehaviour) -> Result<Self, ApiError> {
        let fields = Fields::new("certificateConfig", config);
        fields.required_word("configType", &["IMPORTED"])?;
        let leaf_pem = fields.required_text("certificatePem")?.to_owned();
        let chain_pem = fields.required_text("certChainPem")?.to_owned();
        let key_pem = fields.required_text("privateKeyPem")?;
        let ders = bundle::parsed_chain(&leaf_pem).map_err(|_| leaf_format())?;
        let [leaf_der] = ders.as_slice() else {
            return Err(leaf_format());
        };
        let (_, leaf) = X509Certificate::from_der(leaf_der).map_err(|_| leaf_format())?;
        check_chain(&leaf, &chain_pem, behaviour.chain)?;
        let passphrase = fields.text("privateKeyPemPassphrase")?;
        let bundle = Bundle::imported(format!("{}\n{chain_pem}", leaf_pem.trim_end()), key_pem, passphrase)?;
        let key_algorithm = key_algorithm(leaf.public_key());
        if behaviour.other_key_algorithms == OtherKeyAlgorithms::Refused
            && !KEY_ALGORITHMS.contains(&key_algorithm.as_str())
        {
            return Err(ApiError::invalid_parameter(format!("The key algorithm {key_algorithm} is not supported.")));
        }
        let usages = leaf.extended_key_usage().ok().flatten();
        Ok(Self {
            bundle,
            leaf: LeafFacts::from_der(leaf_der).map_err(|_| leaf_format())?,
            extended_key_usages: usages.map(|extension| purposes(extension.value)).unwrap_or_default(),
            key_algorithm,
            signature_algorithm: signature_algorithm(&leaf),
            leaf_pem,
            chain_pem,
        })
    }
}

/// At least one certificate, each signed by the next, the leaf by the first.
fn check_chain(leaf: &X509Certificate<'_>, pem: &str, required: RequiredChain) -> Result<(), ApiError> {
    let invalid = || {
        ApiError::invalid_parameter("The certificate chain in the configuration details of the certificate is invalid.")
    };
    let ders = bundle::parsed_chain(pem).map_err(|_| invalid())?;
    let chain = ders
        .iter()
        .map(|der| X509Certificate::from_der(der).map(|(_, parsed)| parsed))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| invalid())?;
    let mut signed = leaf;
    for issuer in &chain {
        if signed.issuer() != issuer.subject() || signed.verify_signature(Some(issuer.public_key())).is_err() {
            return Err(invalid());
        }
        signed = issuer;
    }
    if required == RequiredChain::WithRoot && signed.issuer() != signed.subject() {
        return Err(invalid());
    }
    Ok(())
}

fn leaf_format() -> ApiError {
    ApiError::invalid_parameter(
        "The certificate in the configuration details of the certificate has an incorrect format: exactly one X.509 \
         certificate in PEM form is expected.",
    )
}

fn purposes(usage: &ExtendedKeyUsage<'_>) -> BTreeSet<String> {
    let known = [
        (usage.any, "2.5.29.37.0"),
        (usage.server_auth, "1.3.6.1.5.5.7.3.1"),
        (usage.client_auth, "1.3.6.1.5.5.7.3.2"),
        (usage.code_signing, "1.3.6.1.5.5.7.3.3"),
        (usage.email_protection, "1.3.6.1.5.5.7.3.4"),
        (usage.time_stamping, "1.3.6.1.5.5.7.3.8"),
        (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
    ];
    let known = known.into_iter().filter(|(present, _)| *present).map(|(_, oid)| oid.to_owned());
    known.chain(usage.other.iter().map(|oid| oid.to_id_string())).collect()
}

/// In the form of the API's enum, for other keys too.
fn key_algorithm(key: &SubjectPublicKeyInfo<'_>) -> String {
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA{}", rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|any| any.as_oid().ok());
            let known = [(OID_EC_P256, "P256"), (OID_NIST_EC_P384, "P384"), (OID_NIST_EC_P521, "P521")];
            let name = known.into_iter().find(|(oid, _)| Some(oid) == curve.as_ref()).map_or("OTHER", |(_, name)| name);
            format!("ECDSA_{name}")
        }
        _ => key.algorithm.algorithm.to_id_string(),
    }
}

/// In the form of the API's enum.
fn signature_algorithm(leaf: &X509Certificate<'_>) -> String {
    let oid = leaf.signature_algorithm.algorithm.to_id_string();
    let known = match oid.as_str() {
        "1.2.840.113549.1.1.11" => "SHA256_WITH_RSA",
        "1.2.840.113549.1.1.12" => "SHA384_WITH_RSA",
        "1.2.840.113549.1.1.13" => "SHA512_WITH_RSA",
        "1.2.840.10045.4.3.2" => "SHA256_WITH_ECDSA",
        "1.2.840.10045.4.3.3" => "SHA384_WITH_ECDSA",
        "1.2.840.10045.4.3.4" => "SHA512_WITH_ECDSA",
        _ => return oid,
    };
    known.to_owned()
}

const KEY_ALGORITHMS: &[&str] = &["RSA2048", "RSA4096", "ECDSA_P256", "ECDSA_P384"];
