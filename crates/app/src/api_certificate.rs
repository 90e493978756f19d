//! The certificate of the daemon's API.

use certferry_core::Secret;

use crate::config::Api;
use crate::failure::Failure;

/// A chain and its key, PEM.
pub(crate) struct ApiCertificate {
    pub(crate) chain_pem: String,
    pub(crate) key: Secret<String>,
}

/// Reads them.
pub(crate) fn load_or_make(api: &Api) -> Result<ApiCertificate, Failure> {
    let failed = |source| Failure::Machine { what: "the API's certificate cannot be read".to_owned(), source };
    let chain_pem = std::fs::read_to_string(&api.certificate).map_err(failed)?;
    let key = std::fs::read_to_string(&api.key).map_err(failed)?;
    Ok(ApiCertificate { chain_pem, key: Secret::new(key) })
}
