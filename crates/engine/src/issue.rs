//! Issuing: one certificate from "due" to "chain in the store".
//!
//! The key is stored before the order is made, the order's URL before anything is done with it, a challenge before it is
//! presented. Whatever step was the last, the next run reads the order from the CA and goes on from there.

use std::collections::BTreeSet;
use std::time::Duration;

use certferry_core::desired::{CertificateSpec, KeyHolder};
use certferry_core::observed::Observed;
use certferry_core::plan::{IssueStep, object_name};
use certferry_core::port::{CertificateAuthority, KeyRequest, NewVersion, Order, OrderRequest, OrderStatus};
use certferry_core::recorded::{BundleRecord, Version};
use certferry_core::{Chain, ChainError, Csr, Error, ErrorKind, Identifier, LoadBalancerName, Retry};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use crate::Engine;
use crate::challenge::{Authorized, Validation};
use crate::journal::Subject;
use crate::key::{self, OrderKey, RequestKey};
use crate::ledger::Ledger;
use crate::poll::Wait;

/// Authorizations of one order worked on at once.
const AUTHORIZATIONS_AT_ONCE: usize = 8;

/// How long the certificate of a valid order may be missing.
const DOWNLOAD_WITHIN: Duration = Duration::from_secs(15);

const ORDERED_ANEW: &str = "nothing was deployed; the next attempt orders anew";
const OTHER_KEY: &str = "nothing was deployed, and the next attempt orders anew; does another program, or another store, \
                         order the same names with the same account?";

/// What is issued, and from where it goes on.
pub(crate) struct Ordering<'a> {
    pub(crate) spec: &'a CertificateSpec,
    pub(crate) step: &'a IssueStep,
    /// The CSR, where somebody else made it.
    pub(crate) csr: Option<&'a Csr>,
    pub(crate) observed: &'a Observed,
    pub(crate) ledger: &'a Ledger,
    pub(crate) subject: &'a Subject,
}

impl Engine {
    /// Issues a version, from wherever an earlier run left it.
    pub(crate) async fn issue(&self, ordering: &Ordering<'_>) -> Result<Version, Error> {
        let Ordering { spec, step, .. } = *ordering;
        // A CA gives the same order again for the same names while it is open (Boulder does). Two certificates that
        // differ in key or profile only would both go on with it, and the one that finalizes last be left with nothing. So
        // the second orders when the first is through. This comes before the turn below: nobody who waits here keeps others
        // from ordering, and nobody who has that turn waits here.
        let names = spec.version.names.iter().cloned().collect();
        let _alone = self.same_names.take((spec.version.issuer.clone(), names)).await;
        let _turn = self.orders.acquire().await.map_err(|closed| {
            Error::new(ErrorKind::Unexpected, "issue", "the engine").said("it is shutting down").with_source(closed)
        })?;
        self.check_before_ordering(spec).await?;
        self.open_account(&spec.version.issuer).await?;
        let authority = self.issuer(&spec.version.issuer)?.as_ref();
        if let Some(given_up) = step.gives_up {
            self.parts.store.abandon_version(given_up, "the config wants another certificate now").await?;
        }
        let (version, order) = self.pending_version(ordering, authority).await?;
        let is_resumed = order.is_some();
        match self.carry_on(ordering, authority, version, order).await {
            // An order of an earlier run, which went to another certificate meanwhile or is long past: to order anew now
            // is no repetition. If that comes to nothing too, it is waited.
            Err(error) if is_resumed && error.kind() == ErrorKind::Unusable => {
                tracing::warn!(certificate = %spec.name, "it is ordered anew: {error}");
                let version = self.begin_version(ordering).await?;
                self.carry_on(ordering, authority, version, None).await
            }
            outcome => outcome,
        }
    }

    /// From the version's order, or without one yet, to its chain. A version whose order came to nothing is abandoned.
    async fn carry_on(
        &self,
        ordering: &Ordering<'_>,
        authority: &dyn CertificateAuthority,
        mut version: Version,
        order: Option<Order>,
    ) -> Result<Version, Error> {
        let Ordering { spec, observed, subject, .. } = *ordering;
        let is_resumed = order.is_some();
        let key = self.request_key(spec, &version, ordering.ledger).await?;
        let order = match order {
            Some(order) => order,
            None => {
                let order = self.new_order(&version, authority).await?;
                self.parts.store.save_order(version.id, &order.url).await?;
                version.order_url = Some(order.url.clone());
                order
            }
        };
        let issuing = Issuing { engine: self, spec, version, is_resumed, key, authority, observed, subject };
        let issued = issuing.to_certificate(order).await;
        let given_up = match issued.as_ref().err().map(Error::kind) {
            // A failed challenge ends its authorization and its order (RFC 8555 §7.1.6): the next attempt needs new ones.
            Some(ErrorKind::Validation) => Some("the order is invalid"),
            // "Valid" is an order's last state: it never gives anything else.
            Some(ErrorKind::Unusable) => Some("what the CA gives for the order is of no use"),
            _ => None,
        };
        if let Some(why) = given_up {
            self.parts.store.abandon_version(issuing.version.id, why).await?;
        }
        issued
    }

    /// What can be known before a CA is asked: rights on the load balancers, and that there can be a common name where one
    /// is needed.
    async fn check_before_ordering(&self, spec: &CertificateSpec) -> Result<(), Error> {
        let deployed_to = spec.deploy.iter().map(|deploy| &deploy.load_balancer);
        let used: BTreeSet<_> = deployed_to.chain(&spec.http01).collect();
        for name in used {
            let load_balancer = self.load_balancer(name)?;
            if load_balancer.capabilities().needs_common_name && spec.version.common_name().is_none() {
                return Err(Error::new(ErrorKind::Invalid, "order", format!("load balancer `{name}`"))
                    .said("it needs certificates with a common name, and none of the names is a host name of at most 64 letters")
                    .with_hint("add a shorter host name of the same site to `names`"));
            }
            match load_balancer.check_rights().await {
                Err(error) if error.kind() == ErrorKind::Denied => return Err(error),
                // One that cannot be asked now may be down for this delivery only; the order does not depend on it.
                Err(error) => tracing::warn!(load_balancer = %name, "rights could not be checked: {error}"),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// The pending version, with its order if the CA still has it.
    async fn pending_version(
        &self,
        ordering: &Ordering<'_>,
        authority: &dyn CertificateAuthority,
    ) -> Result<(Version, Option<Order>), Error> {
        if let Some(version) = &ordering.step.resumes {
            let Some(url) = &version.order_url else { return Ok((version.clone(), None)) };
            if let Some(order) = usable_order(authority, url, self.parts.clock.now()).await? {
                return Ok((version.clone(), Some(order)));
            }
            self.parts.store.abandon_version(version.id, "the CA has no such order any more").await?;
        }
        Ok((self.begin_version(ordering).await?, None))
    }

    /// With what the version is ordered. The object in which a load balancer makes a key is noted before it is made.
    async fn request_key(
        &self,
        spec: &CertificateSpec,
        version: &Version,
        ledger: &Ledger,
    ) -> Result<RequestKey, Error> {
        let KeyHolder::LoadBalancer(holder) = &version.spec.key_holder else {
            return Ok(RequestKey::Own(OrderKey::read(&self.parts.store.private_key(version.id).await?)?));
        };
        if let Some(der) = self.parts.store.csr(version.id).await? {
            let csr = Csr::from_der(&der).map_err(|error| unusable_csr(holder, &error.to_string()))?;
            return Ok(RequestKey::Elsewhere(csr));
        }
        let port = self.load_balancer(holder)?;
        let bundle = object_name(&spec.name, &version.spec);
        let known = ledger.recorded().await.bundles;
        if !known.iter().any(|record| record.load_balancer == *holder && record.name == bundle) {
            let (load_balancer, certificate) = (holder.clone(), spec.name.clone());
            let (name, version) = (bundle.clone(), version.id);
            let (served_at, served_version) = (None, None);
            let record = BundleRecord { load_balancer, name, certificate, version, served_at, served_version };
            ledger.save_bundle(record).await?;
        }
        let names = version.spec.names.clone();
        let common_name = version
            .spec
            .common_name()
            .or_else(|| names.iter().find_map(Identifier::dns))
            .cloned()
            .ok_or_else(|| unusable_csr(holder, "the certificate has no host name"))?;
        let request = KeyRequest { key: version.spec.key, common_name, names };
        let der = self.mutate(holder, port.key_request(&bundle, &request)).await?;
        let csr = Csr::from_der(&der).map_err(|error| unusable_csr(holder, &error.to_string()))?;
        if csr.names() != version.spec.names {
            let asked: Vec<String> = csr.names().iter().map(ToString::to_string).collect();
            return Err(unusable_csr(holder, &format!("it asks for {}", asked.join(", "))));
        }
        Ok(RequestKey::Elsewhere(csr))
    }

    async fn begin_version(&self, ordering: &Ordering<'_>) -> Result<Version, Error> {
        let spec = ordering.spec;
        let private_key = match spec.version.key_holder {
            KeyHolder::Store => Some(key::generate(spec.version.key).await?),
            KeyHolder::LoadBalancer(_) => None,
        };
        let version = NewVersion {
            certificate: spec.name.clone(),
            spec: spec.version.clone(),
            replaces: ordering.step.replaces,
            private_key,
            csr: ordering.csr.map(|csr| csr.der().to_vec()),
            created_at: self.parts.clock.now(),
        };
        self.parts.store.begin_version(&version).await
    }

    async fn new_order(&self, version: &Version, authority: &dyn CertificateAuthority) -> Result<Order, Error> {
        let replaces = match version.replaces {
            Some(replaced) => Some(self.parts.store.chain(replaced).await?),
            None => None,
        };
        let request =
            OrderRequest { names: version.spec.names.clone(), profile: version.spec.profile.clone(), replaces };
        match authority.new_order(&request).await {
            // A CA gives the same order again for the same names while it is open (Boulder does), so asking once more
            // finds an order that was made but whose URL got lost.
            Err(error) if error.kind() == ErrorKind::EffectUnknown => authority.new_order(&request).await,
            answer => answer,
        }
    }
}

fn unusable_csr(holder: &LoadBalancerName, said: &str) -> Error {
    Error::new(ErrorKind::Unexpected, "read CSR", format!("load balancer `{holder}`"))
        .said(format!("its certificate request is not the one that was asked for: {said}"))
        .with_hint("remove the object there, so that it is made anew")
}

async fn usable_order(authority: &dyn CertificateAuthority, url: &str, now: Timestamp) -> Result<Option<Order>, Error> {
    match authority.order(url).await {
        Ok(order) => Ok(Some(order).filter(|order| !order.is_dead(now))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// One order on its way.
struct Issuing<'a> {
    engine: &'a Engine,
    spec: &'a CertificateSpec,
    version: Version,
    is_resumed: bool,
    key: RequestKey,
    authority: &'a dyn CertificateAuthority,
    observed: &'a Observed,
    subject: &'a Subject,
}

impl Issuing<'_> {
    async fn to_certificate(&self, mut order: Order) -> Result<Version, Error> {
        let mut wait = None;
        loop {
            order = match order.status {
                OrderStatus::Pending => {
                    self.authorize(&order).await?;
                    let order = self.authority.order(&order.url).await?;
                    if order.status == OrderStatus::Pending { self.later(&mut wait, order).await? } else { order }
                }
                OrderStatus::Ready => match self.finalize(&order).await {
                    Ok(order) => order,
                    // Whether it had its effect, the order tells: never finalize again on a guess.
                    Err(error) if matches!(error.kind(), ErrorKind::EffectUnknown | ErrorKind::Conflict) => {
                        self.later(&mut wait, order).await?
                    }
                    Err(error) => return Err(error),
                },
                OrderStatus::Processing => self.later(&mut wait, order).await?,
                OrderStatus::Valid => return self.download(&order).await,
                OrderStatus::Invalid => return Err(self.invalid(&order)),
            };
        }
    }

    async fn authorize(&self, order: &Order) -> Result<(), Error> {
        let validation = Validation {
            spec: self.spec,
            version: self.version.id,
            is_resumed: self.is_resumed,
            authority: self.authority,
            observed: self.observed,
            subject: self.subject,
        };
        let authorizations = order.authorizations.iter().map(|url| self.engine.authorize(&validation, url));
        // Every authorization comes to its end, so that each challenge that was presented is withdrawn again.
        let outcomes: Vec<_> =
            stream::iter(authorizations.collect::<Vec<_>>()).buffer_unordered(AUTHORIZATIONS_AT_ONCE).collect().await;
        Authorized::together(outcomes)
    }

    async fn finalize(&self, order: &Order) -> Result<Order, Error> {
        let wanted = &self.spec.version;
        let common_name = if self.needs_common_name()? { wanted.common_name() } else { None };
        let csr = self.key.csr(&wanted.names, common_name)?;
        self.authority.finalize(order, &csr).await
    }

    fn needs_common_name(&self) -> Result<bool, Error> {
        for deploy in &self.spec.deploy {
            if self.engine.load_balancer(&deploy.load_balancer)?.capabilities().needs_common_name {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The order, read again after a pause. The CA's time begins with the first one: what its challenges took before is not
    /// taken from it.
    async fn later(&self, wait: &mut Option<Wait>, order: Order) -> Result<Order, Error> {
        let limits = &self.engine.limits;
        let wait = wait.get_or_insert_with(|| Wait::new(limits, limits.issue_within));
        self.engine.journal.waiting(self.subject, "the CA is issuing");
        if !wait.pause(order.retry_after).await {
            let retry = order.retry_after.map_or(Retry::WithBackoff, Retry::After);
            return Err(Error::new(ErrorKind::Timeout, "order", format!("order {}", order.url))
                .said("the CA has not issued yet")
                .with_hint("run `certferry apply` again later: it goes on with the same order")
                .with_retry(retry));
        }
        self.authority.order(&order.url).await
    }

    async fn download(&self, order: &Order) -> Result<Version, Error> {
        let url = order.certificate.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Unusable, "order", format!("order {}", order.url))
                .said("it is valid but names no certificate")
                .with_hint(ORDERED_ANEW)
        })?;
        let chain = self.chain(url).await?;
        chain.check_ordered(&self.key.public_key_info(), &self.spec.version.names).map_err(|error| {
            let hint = match error {
                ChainError::OtherKey => OTHER_KEY,
                _ => ORDERED_ANEW,
            };
            Error::new(ErrorKind::Unusable, "certificate", format!("certificate {url}"))
                .said(error.to_string())
                .with_hint(hint)
                .with_source(error)
        })?;
        let now = self.engine.parts.clock.now();
        self.engine.parts.store.save_issued(self.version.id, &chain, now).await?;
        let mut version = self.version.clone();
        version.leaf = Some(chain.leaf().clone());
        version.issued_at = Some(now);
        Ok(version)
    }

    /// What is at a valid order's URL. What was issued a moment ago may not be everywhere at the CA yet; if it is not there
    /// after some looks, or cannot be read, it never will.
    async fn chain(&self, url: &str) -> Result<Chain, Error> {
        let mut wait = Wait::new(&self.engine.limits, DOWNLOAD_WITHIN);
        loop {
            match self.authority.certificate(url).await {
                Err(error)
                    if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound | ErrorKind::Unexpected) =>
                {
                    self.engine.journal.waiting(self.subject, format!("the certificate is not to be had yet: {error}"));
                    if !wait.pause(None).await {
                        return Err(error.with_kind(ErrorKind::Unusable).with_hint(ORDERED_ANEW));
                    }
                }
                outcome => return outcome,
            }
        }
    }

    fn invalid(&self, order: &Order) -> Error {
        Error::new(ErrorKind::Validation, "order", format!("order {}", order.url))
            .said(order.error.clone().unwrap_or_else(|| "the order is invalid".to_owned()))
    }
}
