//! Who may ask the service: tokens with an end, and compute instances that get theirs by federation.

mod certificates;
pub(super) mod federation;
mod instance;
mod token;

use std::sync::Arc;

use jiff::SignedDuration;

use super::{LabError, OciLab};
pub(super) use certificates::Authority;
pub(super) use instance::Identity;
pub use instance::{Instance, InstanceOptions};
pub(super) use token::Tokens;
use token::{Claims, Subject};

impl OciLab {
    /// Starts the metadata service of a new compute instance, which gets tokens from
    /// [`federation_endpoint`](Self::federation_endpoint).
    ///
    /// # Errors
    /// [`LabError::Listen`]; [`LabError::ApiKey`] when a certificate cannot be made.
    pub async fn start_instance(&self, options: InstanceOptions) -> Result<Instance, LabError> {
        Instance::start(Arc::clone(&self.service), options).await
    }

    /// `http://127.0.0.1:PORT/v1/x509`, as `oci --federation-endpoint` wants it.
    pub fn federation_endpoint(&self) -> String {
        format!("{}{}", self.endpoint(), federation::PATH)
    }

    /// A token of a user's session for the public key (DER SubjectPublicKeyInfo), which ends after `lifetime`; a negative
    /// one has ended.
    ///
    /// # Errors
    /// [`LabError::ApiKey`] when it cannot be signed.
    pub fn issue_session_token(&self, public_key_der: &[u8], lifetime: SignedDuration) -> Result<String, LabError> {
        self.issue("user", "ocid1.user.oc1..aaaaaaaalabsession", public_key_der, lifetime)
    }

    /// A token of a resource (a container instance), as [`issue_session_token`](Self::issue_session_token).
    ///
    /// # Errors
    /// [`LabError::ApiKey`] when it cannot be signed.
    pub fn issue_resource_token(&self, public_key_der: &[u8], lifetime: SignedDuration) -> Result<String, LabError> {
        self.issue("resource", "ocid1.computecontainerinstance.oc1.iad.aaaaaaaalab", public_key_der, lifetime)
    }

    /// From now on requests with any token that was issued so far are answered 401.
    pub fn revoke_tokens(&self) {
        self.service.state().keys.retain(|key_id, _| !key_id.starts_with(token::KEY_ID_PREFIX));
    }

    fn issue(
        &self,
        kind: &'static str,
        id: &str,
        public_key_der: &[u8],
        lifetime: SignedDuration,
    ) -> Result<String, LabError> {
        let mut state = self.service.state();
        let subject = Subject { kind, id: id.to_owned(), tenancy: TENANCY.to_owned() };
        let claims = Claims { subject, issued_at: state.now(), lifetime };
        state.issue_token(&claims, public_key_der)
    }
}

/// The tenancy of everything that is not given one.
const TENANCY: &str = "ocid1.tenancy.oc1..aaaaaaaalab";
