//! A store as simple as can be, in memory: what the real ones have to agree with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use certferry_core::event::{Event, Outcome};
use certferry_core::port::{AccountRecord, HistoryFilter, Lease, NewVersion, OpenChallenge, Store};
use certferry_core::recorded::{BundleRecord, CertificateRecord, Deployment, Recorded, Version, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use certferry_core::{
    BundleName, CertificateName, Chain, Error, ErrorKind, IssuerName, ListenerName, LoadBalancerName, Secret,
};
use jiff::{SignedDuration, Timestamp};

#[derive(Default)]
pub(crate) struct Model {
    state: Mutex<State>,
    holder: Arc<Mutex<Option<String>>>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<(IssuerName, String), AccountRecord>,
    versions: BTreeMap<VersionId, Kept>,
    windows: BTreeMap<VersionId, RenewalWindow>,
    failures: BTreeMap<CertificateName, IssueFailure>,
    challenges: BTreeMap<String, OpenChallenge>,
    bundles: BTreeMap<(LoadBalancerName, BundleName), BundleRecord>,
    deployments: BTreeMap<(CertificateName, LoadBalancerName, ListenerName), Deployment>,
    history: Vec<Event>,
    warnings: BTreeSet<(VersionId, i64)>,
    warning_days: BTreeMap<LoadBalancerName, Vec<u16>>,
}

struct Kept {
    version: Version,
    state: &'static str,
    key: Option<Secret<String>>,
    chain: Option<Chain>,
    csr: Option<Vec<u8>>,
}

struct Held(Arc<Mutex<Option<String>>>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = None;
    }
}

fn refuse<T>(kind: ErrorKind, said: String) -> Result<T, Error> {
    Err(Error::new(kind, "a call", "the model").said(said).with_hint("look at the test"))
}

impl Model {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn known(&mut self, id: VersionId) -> Result<&mut Kept, Error> {
        match self.versions.get_mut(&id) {
            Some(kept) => Ok(kept),
            None => refuse(ErrorKind::NotFound, format!("there is no version {id}")),
        }
    }

    fn pending(&mut self, id: VersionId) -> Result<&mut Kept, Error> {
        let kept = self.known(id)?;
        match kept.state {
            "pending" => Ok(kept),
            state => refuse(ErrorKind::Conflict, format!("version {id} is {state}, not pending")),
        }
    }

    fn issued(&self, certificate: &CertificateName) -> Vec<VersionId> {
        let issued = self.versions.values().filter(|kept| kept.state == "issued");
        issued.map(|kept| &kept.version).filter(|version| version.certificate == *certificate).map(|v| v.id).collect()
    }

    /// On each load balancer, the version that was last served there.
    fn last_served(&self, certificate: &CertificateName) -> Vec<VersionId> {
        let mut last: BTreeMap<&LoadBalancerName, VersionId> = BTreeMap::new();
        for bundle in self.bundles.values().filter(|bundle| bundle.certificate == *certificate) {
            if let Some(served) = bundle.served_version {
                let last = last.entry(&bundle.load_balancer).or_insert(served);
                *last = served.max(*last);
            }
        }
        last.into_values().collect()
    }
}

#[async_trait]
impl Store for Model {
    async fn acquire_lease(&self, holder: &str) -> Result<Lease, Error> {
        let mut held = self.holder.lock().unwrap();
        if let Some(first) = &*held {
            return refuse(ErrorKind::Conflict, format!("held by {first}"));
        }
        *held = Some(holder.to_owned());
        Ok(Lease::new(Held(self.holder.clone())))
    }

    async fn recorded(&self) -> Result<Recorded, Error> {
        let state = self.state();
        let mut certificates: BTreeMap<CertificateName, CertificateRecord> = BTreeMap::new();
        for kept in state.versions.values().filter(|kept| kept.state != "abandoned") {
            let record = certificates.entry(kept.version.certificate.clone()).or_default();
            let place = if kept.state == "pending" { &mut record.pending } else { &mut record.current };
            *place = Some(kept.version.clone());
        }
        for record in certificates.values_mut() {
            let current = record.current.as_ref().map(|version| version.id);
            record.renewal_window = current.and_then(|id| state.windows.get(&id)).cloned();
        }
        for (certificate, failure) in &state.failures {
            certificates.entry(certificate.clone()).or_default().issue_failure = Some(failure.clone());
        }
        for deployment in state.deployments.values() {
            certificates.entry(deployment.certificate.clone()).or_default().deployments.push(deployment.clone());
        }
        let bundles = state.bundles.values().cloned().collect();
        Ok(Recorded { certificates, bundles, warning_days: state.warning_days.clone() })
    }

    async fn account(&self, issuer: &IssuerName, directory_url: &str) -> Result<Option<AccountRecord>, Error> {
        Ok(self.state().accounts.get(&(issuer.clone(), directory_url.to_owned())).cloned())
    }

    async fn save_account(&self, account: &AccountRecord) -> Result<(), Error> {
        let key = (account.issuer.clone(), account.directory_url.clone());
        self.state().accounts.insert(key, account.clone());
        Ok(())
    }

    async fn begin_version(&self, new: &NewVersion) -> Result<Version, Error> {
        let mut state = self.state();
        let mut pending = state.versions.values().filter(|kept| kept.state == "pending");
        if let Some(other) = pending.find(|kept| kept.version.certificate == new.certificate) {
            let error = refuse(ErrorKind::Conflict, format!("version {} is pending", other.version.id));
            return error.map_err(|error: Error| error.for_certificate(&new.certificate));
        }
        if let Some(replaces) = new.replaces {
            state.known(replaces)?;
        }
        let id = VersionId(i64::try_from(state.versions.len()).unwrap() + 1);
        let version = Version {
            id,
            certificate: new.certificate.clone(),
            spec: new.spec.clone(),
            order_url: None,
            replaces: new.replaces,
            leaf: None,
            created_at: new.created_at,
            issued_at: None,
            revoked_at: None,
        };
        let kept = Kept {
            version: version.clone(),
            state: "pending",
            key: new.private_key.clone(),
            chain: None,
            csr: new.csr.clone(),
        };
        state.versions.insert(id, kept);
        Ok(version)
    }

    async fn take_over_version(&self, new: &NewVersion, chain: &Chain) -> Result<Version, Error> {
        let begun = self.begin_version(new).await?;
        self.save_issued(begun.id, chain, new.created_at).await?;
        Ok(self.state().known(begun.id)?.version.clone())
    }

    async fn save_order(&self, version: VersionId, order_url: &str) -> Result<(), Error> {
        self.state().pending(version)?.version.order_url = Some(order_url.to_owned());
        Ok(())
    }

    async fn save_issued(&self, version: VersionId, chain: &Chain, at: Timestamp) -> Result<(), Error> {
        let mut state = self.state();
        let kept = state.pending(version)?;
        kept.state = "issued";
        kept.version.leaf = Some(chain.leaf().clone());
        kept.version.issued_at = Some(at);
        kept.chain = Some(chain.clone());
        let certificate = kept.version.certificate.clone();
        state.failures.remove(&certificate);
        let issued = state.issued(&certificate);
        let served = state.last_served(&certificate);
        for (age, id) in issued.iter().rev().enumerate() {
            state.windows.remove(id);
            if age >= 2 && !served.contains(id) {
                state.known(*id)?.key = None;
            }
        }
        Ok(())
    }

    async fn save_revoked(&self, version: VersionId, at: Timestamp) -> Result<(), Error> {
        let mut state = self.state();
        match state.versions.get_mut(&version) {
            Some(kept) if kept.state == "issued" => kept.version.revoked_at = Some(at),
            _ => return refuse(ErrorKind::Conflict, "not issued".to_owned()),
        }
        Ok(())
    }

    async fn abandon_version(&self, version: VersionId, _why: &str) -> Result<(), Error> {
        let mut state = self.state();
        let kept = state.pending(version)?;
        kept.state = "abandoned";
        kept.key = None;
        Ok(())
    }

    async fn private_key(&self, version: VersionId) -> Result<Secret<String>, Error> {
        match &self.state().known(version)?.key {
            Some(key) => Ok(key.clone()),
            None => refuse(ErrorKind::NotFound, "the key was removed".to_owned()),
        }
    }

    async fn csr(&self, version: VersionId) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.state().known(version)?.csr.clone())
    }

    async fn chain(&self, version: VersionId) -> Result<Chain, Error> {
        match &self.state().known(version)?.chain {
            Some(chain) => Ok(chain.clone()),
            None => refuse(ErrorKind::NotFound, "no chain".to_owned()),
        }
    }

    async fn save_renewal_window(&self, version: VersionId, window: &RenewalWindow) -> Result<(), Error> {
        let mut state = self.state();
        state.known(version)?;
        state.windows.insert(version, window.clone());
        Ok(())
    }

    async fn save_issue_failure(&self, certificate: &CertificateName, failure: &IssueFailure) -> Result<(), Error> {
        self.state().failures.insert(certificate.clone(), failure.clone());
        Ok(())
    }

    async fn open_challenge(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        let mut state = self.state();
        state.known(challenge.version)?;
        state.challenges.insert(challenge.token.clone(), challenge.clone());
        Ok(())
    }

    async fn close_challenge(&self, token: &str) -> Result<(), Error> {
        self.state().challenges.remove(token);
        Ok(())
    }

    async fn open_challenges(&self) -> Result<Vec<OpenChallenge>, Error> {
        let mut open: Vec<OpenChallenge> = self.state().challenges.values().cloned().collect();
        open.sort_by_key(|challenge| (challenge.version, challenge.name.clone(), challenge.token.clone()));
        Ok(open)
    }

    async fn save_bundle(&self, bundle: &BundleRecord) -> Result<(), Error> {
        let mut state = self.state();
        for version in [Some(bundle.version), bundle.served_version].into_iter().flatten() {
            state.known(version)?;
        }
        state.bundles.insert((bundle.load_balancer.clone(), bundle.name.clone()), bundle.clone());
        Ok(())
    }

    async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error> {
        self.state().bundles.remove(&(load_balancer.clone(), name.clone()));
        Ok(())
    }

    async fn save_deployment(&self, deployment: &Deployment) -> Result<(), Error> {
        let mut state = self.state();
        state.known(deployment.version)?;
        let Deployment { certificate, load_balancer, listener, .. } = deployment.clone();
        state.deployments.insert((certificate, load_balancer, listener), deployment.clone());
        Ok(())
    }

    async fn forget_deployment(
        &self,
        certificate: &CertificateName,
        load_balancer: &LoadBalancerName,
        listener: &ListenerName,
    ) -> Result<(), Error> {
        self.state().deployments.remove(&(certificate.clone(), load_balancer.clone(), listener.clone()));
        Ok(())
    }

    async fn append_history(&self, event: &Event) -> Result<(), Error> {
        if event.outcome != Outcome::Waiting {
            self.state().history.push(event.clone());
        }
        Ok(())
    }

    async fn append_warning(
        &self,
        version: VersionId,
        threshold: SignedDuration,
        event: &Event,
    ) -> Result<bool, Error> {
        let mut state = self.state();
        state.known(version)?;
        let is_new = state.warnings.insert((version, threshold.as_secs()));
        if is_new {
            state.history.push(event.clone());
        }
        Ok(is_new)
    }

    async fn save_warning_days(&self, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Error> {
        let mut state = self.state();
        match days {
            [] => drop(state.warning_days.remove(load_balancer)),
            days => drop(state.warning_days.insert(load_balancer.clone(), days.to_vec())),
        }
        Ok(())
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<Vec<Event>, Error> {
        let state = self.state();
        let fits = |event: &&Event| filter.certificate.is_none() || event.certificate == filter.certificate;
        let limit = usize::try_from(filter.limit.unwrap_or(200)).unwrap();
        Ok(state.history.iter().rev().filter(fits).take(limit).cloned().collect())
    }
}
