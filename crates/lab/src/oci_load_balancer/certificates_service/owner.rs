//! The service in the hands of the lab's owner.

use serde_json::{Value, json};

use super::{
    super::{LabError, OciLab, error::ApiError},
    Lifecycle, Settlement, shown,
};
use crate::json::map;

impl OciLab {
    /// Imports a certificate into the Certificates service, ACTIVE at once, and gives its OCID. The chain is the leaf and
    /// what is above it, PEM; the key is the leaf's, PKCS#8 PEM.
    ///
    /// # Errors
    /// [`LabError::Import`] with the text that an API client would get.
    pub fn import_certificate(&self, name: &str, chain_pem: &str, private_key_pem: &str) -> Result<String, LabError> {
        let not_valid = |error: ApiError| LabError::Import { certificate: name.to_owned(), problem: error.message };
        let end = "-----END CERTIFICATE-----";
        let (leaf, above) = chain_pem.split_once(end).unwrap_or((chain_pem, ""));
        let body = map(json!({
            "name": name,
            "compartmentId": self.compartment_id,
            "certificateConfig": {
                "configType": "IMPORTED",
                "certificatePem": format!("{leaf}{end}\n"),
                "certChainPem": above.trim_start(),
                "privateKeyPem": private_key_pem,
            },
        }));
        let mut state = self.service.state();
        let (behaviour, now) = (state.behaviour.clone(), state.now());
        let id = state.certificates.create(&body, &behaviour, now).map_err(not_valid)?;
        state.certificates.settle(&id, Settlement::Create);
        Ok(id)
    }

    /// A certificate of the Certificates service, as GetCertificate would answer it.
    pub fn certificate(&self, id: &str) -> Option<Value> {
        let state = self.service.state();
        Some(shown::certificate(state.certificates.certificate(id).ok()?, state.behaviour.nulls))
    }

    /// Every version of a certificate of the Certificates service, oldest first, as ListCertificateVersions would answer
    /// them.
    pub fn certificate_versions(&self, id: &str) -> Vec<Value> {
        let state = self.service.state();
        let Ok(certificate) = state.certificates.certificate(id) else {
            return Vec::new();
        };
        let nulls = state.behaviour.nulls;
        certificate.versions.iter().map(|version| shown::version(certificate, version, nulls)).collect()
    }

    /// The names of the certificates that the Certificates service holds, those that wait for their deletion too.
    pub fn certificate_names(&self) -> Vec<String> {
        self.service.state().certificates.certificates.iter().map(|certificate| certificate.name.clone()).collect()
    }

    /// From now on the Certificates service holds nothing, not even what waits for its deletion: their names are free. No load
    /// balancer may refer to any of them.
    pub fn forget_certificates(&self) {
        self.service.state().certificates.forget();
    }

    /// Every load balancer fetches the current versions of the certificates that it refers to now, without waiting for its
    /// pick-up delay.
    pub fn pick_up_certificates(&self) {
        let mut state = self.service.state();
        let ids: Vec<String> =
            state.certificates.certificates.iter().map(|certificate| certificate.id.clone()).collect();
        for id in ids {
            self.service.pick_up(&mut state, &id);
        }
    }

    /// The retention periods of all versions and certificates that are scheduled for deletion end now.
    pub fn end_retention_periods(&self) {
        let mut state = self.service.state();
        let now = state.now();
        for certificate in &mut state.certificates.certificates {
            if certificate.lifecycle == Lifecycle::PendingDeletion {
                certificate.time_of_deletion = Some(now);
            }
            for version in certificate.versions.iter_mut().filter(|version| version.time_of_deletion.is_some()) {
                version.time_of_deletion = Some(now);
            }
        }
        state.certificates.carry_out_deletions(now);
    }
}
