//! Revocation (RFC 8555 §7.6), asked for by a person.

use certferry_core::port::RevocationReason;
use certferry_core::recorded::Version;
use certferry_core::{CertificateName, Error, ErrorKind};

use crate::Engine;
use crate::journal::Subject;

/// What to revoke, and as whom.
#[derive(Clone, Debug)]
pub struct Revocation {
    /// The certificate whose current version is revoked.
    pub certificate: CertificateName,
    /// Why.
    pub reason: Option<RevocationReason>,
    /// By the certificate's own key instead of the account: for one whose account is gone.
    pub by_key: bool,
}

impl Engine {
    /// Revokes the current version. It stays deployed until a new one takes its place: the next run orders that one, due or
    /// not. The caller holds the lease. Doing it twice is doing it once.
    ///
    /// # Errors
    /// There is no version, its key is not here, or the CA refuses.
    pub async fn revoke(&self, revocation: &Revocation) -> Result<Version, Error> {
        let name = &revocation.certificate;
        let recorded = self.parts.store.recorded().await?;
        let current = recorded.certificate(name).and_then(|record| record.current.clone()).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "revoke", format!("certificate `{name}`")).said("it was not issued yet")
        })?;
        let subject = Subject {
            action: "revoke",
            certificate: Some(name.clone()),
            object: current.leaf.as_ref().map(|leaf| format!("serial {}", leaf.serial)),
            ..Subject::default()
        };
        let authority = self.issuer(&current.spec.issuer)?;
        if ![authority.directory_url(), ""].contains(&current.spec.directory.as_str()) {
            let (issuer, directory) = (&current.spec.issuer, &current.spec.directory);
            return Err(Error::new(ErrorKind::Invalid, "revoke", format!("certificate `{name}`"))
                .said(format!(
                    "it was issued by {directory}, and issuer `{issuer}` is {} now",
                    authority.directory_url()
                ))
                .with_hint(format!(
                    "revoke it with `directory: {directory}` at issuer `{issuer}`, then change that again"
                )));
        }
        let revoking = async {
            let chain = self.parts.store.chain(current.id).await?;
            let key = match revocation.by_key {
                true => Some(self.parts.store.private_key(current.id).await?),
                false => {
                    self.open_account(&current.spec.issuer).await?;
                    None
                }
            };
            authority.revoke(&chain, key.as_ref(), revocation.reason).await?;
            self.parts.store.save_revoked(current.id, self.parts.clock.now()).await?;
            Ok(format!("serial {} is revoked; the next run orders its successor", chain.leaf().serial))
        };
        self.journal
            .around(&subject, "somebody asked for it", revoking)
            .await
            .map_err(|error| error.for_certificate(name))?;
        Ok(current)
    }
}
