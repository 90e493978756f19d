//! Certificates for CSRs that somebody else made, who installs them too: a load balancer's own certificate management.
//!
//! They are versions like all others: recorded before anything is ordered, continued after a kill, with `replaces` at
//! renewals, and held back after failures. Only the delivery is not certferry's.

use certferry_core::desired::{CertificateSpec, KeyHolder, RenewedBy, VersionSpec};
use certferry_core::observed::Observed;
use certferry_core::plan::{IssueStep, replaced};
use certferry_core::recorded::{CertificateRecord, Version};
use certferry_core::retry::IssueFailure;
use certferry_core::{CertificateName, Chain, Csr, Error, ErrorKind, IssuerName, LoadBalancerName, Retry};

use crate::Engine;
use crate::issue::Ordering;
use crate::journal::Subject;
use crate::ledger::Ledger;

/// A CSR to be signed.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    /// Under which name its versions are recorded. None of the config's.
    pub certificate: CertificateName,
    /// Who made it, holds its key, and answers the challenges.
    pub load_balancer: LoadBalancerName,
    /// The CSR.
    pub csr: Csr,
    /// From whom to order.
    pub issuer: IssuerName,
    /// With which profile.
    pub profile: Option<String>,
}

impl Engine {
    /// The chain for a CSR: the one that was issued for it already, else a new one. The caller holds the lease, and asks
    /// once at a time for each certificate.
    ///
    /// # Errors
    /// What keeps it from being issued; [`ErrorKind::RateLimited`] while an earlier failure is waited out.
    pub async fn sign(&self, request: &SigningRequest) -> Result<Chain, Error> {
        self.sign_now(request).await.map_err(|error| error.for_certificate(&request.certificate))
    }

    async fn sign_now(&self, request: &SigningRequest) -> Result<Chain, Error> {
        let recorded = self.parts.store.recorded().await?;
        let record = recorded.certificate(&request.certificate).cloned().unwrap_or_default();
        let spec = self.spec(request)?;
        let now = self.parts.clock.now();
        if let Some(current) = &record.current
            && current.leaf.as_ref().is_some_and(|leaf| leaf.not_after > now)
            && self.is_for(current, &request.csr).await?
        {
            return self.parts.store.chain(current.id).await;
        }
        let step = self.step(request, &spec, &record).await?;
        if let Some(failure) = record.issue_failure.as_ref().filter(|failure| failure.keeps_waiting(&spec.version, now))
        {
            return Err(waiting(request, failure, now));
        }
        let subject = Subject {
            action: "sign",
            certificate: Some(request.certificate.clone()),
            load_balancer: Some(request.load_balancer.clone()),
            ..Subject::default()
        };
        let ledger = Ledger::new(&request.certificate, self.parts.store.clone(), record.clone(), Vec::new());
        let observed = Observed::default();
        let csr = Some(&request.csr);
        let ordering =
            Ordering { spec: &spec, step: &step, csr, observed: &observed, ledger: &ledger, subject: &subject };
        let mut issued = None;
        let signing = async {
            let version = self.issue(&ordering).await?;
            let detail = version.leaf.as_ref().map_or_else(String::new, |leaf| {
                format!("serial {}, valid until {}, from {}", leaf.serial, leaf.not_after, leaf.issuer)
            });
            issued = Some(version.id);
            Ok(detail)
        };
        if let Err(error) = self.journal.around(&subject, &step.why, signing).await {
            let failure =
                IssueFailure::after(&error, &spec.version, record.issue_failure.as_ref(), self.parts.clock.now());
            self.parts.store.save_issue_failure(&request.certificate, &failure).await?;
            return Err(error);
        }
        let issued = issued.ok_or_else(|| {
            Error::new(ErrorKind::Unexpected, "sign", "the certificate request").said("no version came of it")
        })?;
        self.parts.store.chain(issued).await
    }

    fn spec(&self, request: &SigningRequest) -> Result<CertificateSpec, Error> {
        let refused = |said: String, hint: &str| {
            let subject = format!("a certificate request of load balancer `{}`", request.load_balancer);
            Error::new(ErrorKind::Invalid, "sign", subject).said(said).with_hint(hint)
        };
        if self.desired.certificates.iter().any(|spec| spec.name == request.certificate) {
            let said = format!("the config has a certificate `{}` of its own", request.certificate);
            return Err(refused(said, "rename that one in the config"));
        }
        let key = request.csr.key_type().ok_or_else(|| {
            refused(
                "its key is of no type that certificates are ordered for".to_owned(),
                "choose RSA 2048 to 4096, P-256 or P-384",
            )
        })?;
        if let Some(wildcard) = request.csr.names().iter().find(|name| name.is_wildcard()) {
            let said = format!("`{wildcard}` is a wildcard, which http-01 cannot validate (RFC 8555 §8.3)");
            return Err(refused(said, "ask for the host names one by one"));
        }
        let needs = self.load_balancer(&request.load_balancer)?.capabilities().needs_common_name;
        if needs && request.csr.common_name().is_none() {
            return Err(refused(
                "it asks for no common name".to_owned(),
                "set the common name to the site's host name",
            ));
        }
        Ok(CertificateSpec {
            name: request.certificate.clone(),
            version: VersionSpec {
                names: request.csr.names().to_vec(),
                key,
                key_holder: KeyHolder::LoadBalancer(request.load_balancer.clone()),
                issuer: request.issuer.clone(),
                directory: self.issuer(&request.issuer)?.directory_url().to_owned(),
                profile: request.profile.clone(),
            },
            renewed_by: RenewedBy::Certferry,
            http01: vec![request.load_balancer.clone()],
            dns01: None,
            deploy: Vec::new(),
        })
    }

    /// Goes on with the order of the same CSR; that of another one is given up.
    async fn step(
        &self,
        request: &SigningRequest,
        spec: &CertificateSpec,
        record: &CertificateRecord,
    ) -> Result<IssueStep, Error> {
        let replaces = replaced(record.current.as_ref(), &spec.version);
        let (resumes, gives_up) = match &record.pending {
            Some(pending) if pending.spec == spec.version && self.is_for(pending, &request.csr).await? => {
                (Some(pending.clone()), None)
            }
            Some(other) => (None, Some(other.id)),
            None => (None, None),
        };
        let why = match &resumes {
            Some(_) => "an order for this request is under way".to_owned(),
            None => format!("load balancer `{}` asks for it", request.load_balancer),
        };
        Ok(IssueStep { resumes, gives_up, replaces, why })
    }

    async fn is_for(&self, version: &Version, csr: &Csr) -> Result<bool, Error> {
        Ok(self.parts.store.csr(version.id).await?.as_deref() == Some(csr.der()))
    }
}

fn waiting(request: &SigningRequest, failure: &IssueFailure, now: jiff::Timestamp) -> Error {
    let left = failure.retry_at.duration_since(now).unsigned_abs();
    Error::new(ErrorKind::RateLimited, "sign", format!("issuer `{}`", request.issuer))
        .said(format!("it is waited after the failure of {}: {}", failure.at, failure.error))
        .with_hint("mend the cause, and ask again after that")
        .with_retry(Retry::After(left))
}
