//! Certificate bundles: names, PEM, keys and passphrases.

use std::sync::Arc;

use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use serde_json::{Map, Value};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{error::ApiError, fields::Fields};
use crate::private_key;

/// A bundle as the load balancer holds it. The key does not print.
#[derive(Clone, Debug)]
pub(super) struct Bundle {
    name: String,
    public_certificate: Option<String>,
    ca_certificate: Option<String>,
    key: Option<Arc<PrivateKeyDer<'static>>>,
}

impl Bundle {
    /// Takes a CreateCertificate body apart: PEM must parse and the key must be the leaf's.
    pub(super) fn parse(body: &Map<String, Value>) -> Result<Self, ApiError> {
        let name = checked_name(body)?;
        let fields = Fields::new(format!("certificate '{name}'"), body);
        let text =
            |field: &str| Ok::<_, ApiError>(fields.text(field)?.filter(|text| !text.is_empty()).map(str::to_owned));
        let bundle = Self {
            name: name.to_owned(),
            public_certificate: text("publicCertificate")?,
            ca_certificate: text("caCertificate")?,
            key: text("privateKey")?
                .map(|pem| private_key(&pem, text("passphrase")?.as_deref()))
                .transpose()?
                .map(Arc::new),
        };
        for certificates in [&bundle.public_certificate, &bundle.ca_certificate] {
            certificates.as_deref().map(parsed_chain).transpose()?;
        }
        match (&bundle.public_certificate, &bundle.key, &bundle.ca_certificate) {
            (Some(_), Some(_), _) => {
                bundle
                    .certified_key(&rustls::crypto::aws_lc_rs::default_provider())
                    .map_err(ApiError::invalid_parameter)?;
            }
            (None, None, Some(_)) => {}
            (Some(_), None, _) => return Err(ApiError::invalid_parameter("Private key must not be empty")),
            (None, _, _) => return Err(ApiError::invalid_parameter("Public certificate must not be empty")),
        }
        Ok(bundle)
    }

    /// Leaf, chain and key of the Certificates service, which has names for its certificates that a load balancer's
    /// own bundles cannot have: this one's does not show.
    pub(super) fn imported(
        public_certificate: String,
        key_pem: &str,
        passphrase: Option<&str>,
    ) -> Result<Self, ApiError> {
        let bundle = Self {
            name: "of the Certificates service".into(),
            public_certificate: Some(public_certificate),
            ca_certificate: None,
            key: Some(Arc::new(private_key(key_pem, passphrase)?)),
        };
        bundle.certified_key(&rustls::crypto::aws_lc_rs::default_provider()).map_err(ApiError::invalid_parameter)?;
        Ok(bundle)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// As List and Get answer it: never with the key.
    pub(super) fn to_json(&self) -> Map<String, Value> {
        let mut json = Map::new();
        json.insert("certificateName".into(), self.name.as_str().into());
        for (field, value) in [("publicCertificate", &self.public_certificate), ("caCertificate", &self.ca_certificate)]
        {
            if let Some(value) = value {
                json.insert(field.into(), value.as_str().into());
            }
        }
        json
    }

    /// Whether a listener can serve it.
    pub(super) fn is_server_certificate(&self) -> bool {
        self.public_certificate.is_some() && self.key.is_some()
    }

    pub(super) fn has_ca(&self) -> bool {
        self.ca_certificate.is_some()
    }

    /// The certificates in `caCertificate`.
    pub(super) fn ca_chain(&self) -> Vec<CertificateDer<'static>> {
        self.ca_certificate.as_deref().and_then(|pem| parsed_chain(pem).ok()).unwrap_or_default()
    }

    /// Chain and key for a TLS server: `publicCertificate` as uploaded, followed by intermediates that were given as
    /// `caCertificate` instead.
    pub(super) fn certified_key(&self, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
        let (Some(public), Some(key)) = (&self.public_certificate, &self.key) else {
            return Err(format!("certificate '{}' has no certificate or no private key", self.name));
        };
        let mut chain = parsed_chain(public).map_err(|error| error.message)?;
        for certificate in self.ca_chain() {
            if !is_self_signed(&certificate) && !chain.contains(&certificate) {
                chain.push(certificate);
            }
        }
        private_key::certified(chain, key, provider)
    }
}

/// The name alone: checked at once even where the rest is left to the work request.
pub(super) fn checked_name(body: &Map<String, Value>) -> Result<&str, ApiError> {
    let name = Fields::new("certificate", body).required_text("certificateName")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 255 || !name.chars().all(allowed) {
        return Err(ApiError::invalid_parameter(format!(
            "Invalid certificate name '{name}': only letters, digits, dashes and underscores are allowed"
        )));
    }
    Ok(name)
}

fn private_key(pem: &str, passphrase: Option<&str>) -> Result<PrivateKeyDer<'static>, ApiError> {
    let invalid = |problem| ApiError::invalid_parameter(format!("Invalid private key: {problem}"));
    private_key::parse(pem, passphrase).map_err(invalid)
}

/// The certificates of a PEM text; at least one.
pub(super) fn parsed_chain(pem: &str) -> Result<Vec<CertificateDer<'static>>, ApiError> {
    let invalid = || ApiError::invalid_parameter("Invalid certificate: it cannot be parsed as X.509 in PEM form");
    let chain = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<Vec<_>, _>>().map_err(|_| invalid())?;
    if chain.is_empty() || chain.iter().any(|der| X509Certificate::from_der(der).is_err()) {
        return Err(invalid());
    }
    Ok(chain)
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| parsed.subject() == parsed.issuer())
}
