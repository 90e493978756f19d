//! A store in memory that outlives the processes which use it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use certferry_core::port::{AccountRecord, HistoryFilter, Lease, NewVersion, OpenChallenge, Store};
use certferry_core::recorded::{BundleRecord, Deployment, Recorded, Version, VersionId};
use certferry_core::renewal::RenewalWindow;
use certferry_core::retry::IssueFailure;
use certferry_core::{
    BundleName, CertificateName, Chain, Error, ErrorKind, Event, IssuerName, ListenerName, LoadBalancerName, Secret,
};
use jiff::{SignedDuration, Timestamp};

use super::Switchboard;

#[derive(Default)]
struct State {
    recorded: Recorded,
    accounts: Vec<AccountRecord>,
    versions: Vec<(Version, Option<Secret<String>>, Option<Chain>)>,
    challenges: Vec<OpenChallenge>,
    history: Vec<Event>,
    warnings: BTreeSet<(VersionId, SignedDuration)>,
}

/// The store.
pub(crate) struct SimulatedStore {
    switchboard: Arc<Switchboard>,
    state: Mutex<State>,
    leased: Arc<Mutex<bool>>,
}

impl SimulatedStore {
    pub(crate) fn new(switchboard: Arc<Switchboard>) -> Self {
        Self { switchboard, state: Mutex::default(), leased: Arc::default() }
    }

    pub(crate) fn open_challenge_tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().challenges.iter().map(|challenge| challenge.token.clone()).collect()
    }

    async fn write<T>(&self, operation: &str, effect: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        self.switchboard.call(&format!("store {operation}"), || effect(&mut self.state.lock().unwrap())).await
    }
}

impl State {
    /// Only keys that may still go onto a load balancer are kept, as by the real store.
    fn forget_old_keys(&mut self, certificate: &CertificateName) {
        let mut served: BTreeMap<&LoadBalancerName, VersionId> = BTreeMap::new();
        for bundle in self.recorded.bundles.iter().filter(|bundle| bundle.certificate == *certificate) {
            let Some(version) = bundle.served_version else { continue };
            let last = served.entry(&bundle.load_balancer).or_insert(version);
            *last = version.max(*last);
        }
        let served: BTreeSet<VersionId> = served.into_values().collect();
        let issued = self.versions.iter_mut().rev().filter(|(_, _, chain)| chain.is_some());
        let old = issued.filter(|(version, _, _)| version.certificate == *certificate).skip(2);
        for (_, key, _) in old.filter(|(version, _, _)| !served.contains(&version.id)) {
            *key = None;
        }
    }
}

struct Held(Arc<Mutex<bool>>);

impl Drop for Held {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = false;
    }
}

fn unknown(version: VersionId) -> Error {
    Error::new(ErrorKind::NotFound, "read", format!("version {version}"))
}

#[async_trait]
impl Store for SimulatedStore {
    async fn acquire_lease(&self, _holder: &str) -> Result<Lease, Error> {
        let mut leased = self.leased.lock().unwrap();
        if *leased {
            return Err(Error::new(ErrorKind::Conflict, "lease", "the store").said("held by another test"));
        }
        *leased = true;
        Ok(Lease::new(Held(self.leased.clone())))
    }

    async fn recorded(&self) -> Result<Recorded, Error> {
        Ok(self.state.lock().unwrap().recorded.clone())
    }

    async fn account(&self, issuer: &IssuerName, _directory_url: &str) -> Result<Option<AccountRecord>, Error> {
        let state = self.state.lock().unwrap();
        Ok(state.accounts.iter().find(|account| account.issuer == *issuer).cloned())
    }

    async fn save_account(&self, account: &AccountRecord) -> Result<(), Error> {
        self.write("save account", |state| {
            state.accounts.retain(|other| other.issuer != account.issuer);
            state.accounts.push(account.clone());
            Ok(())
        })
        .await
    }

    async fn begin_version(&self, new: &NewVersion) -> Result<Version, Error> {
        self.write("begin version", |state| {
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
            let record = state.recorded.certificates.entry(new.certificate.clone()).or_default();
            assert!(record.pending.is_none(), "two pending versions of {}", new.certificate);
            record.pending = Some(version.clone());
            state.versions.push((version.clone(), new.private_key.clone(), None));
            Ok(version)
        })
        .await
    }

    async fn take_over_version(&self, new: &NewVersion, chain: &Chain) -> Result<Version, Error> {
        self.write("take over version", |state| {
            let record = state.recorded.certificates.entry(new.certificate.clone()).or_default();
            if record.pending.is_some() {
                return Err(Error::new(ErrorKind::Conflict, "take over", "the store").said("a version is pending"));
            }
            let version = Version {
                id: VersionId(i64::try_from(state.versions.len()).unwrap() + 1),
                certificate: new.certificate.clone(),
                spec: new.spec.clone(),
                order_url: None,
                replaces: new.replaces,
                leaf: Some(chain.leaf().clone()),
                created_at: new.created_at,
                issued_at: Some(new.created_at),
                revoked_at: None,
            };
            record.current = Some(version.clone());
            record.renewal_window = None;
            record.issue_failure = None;
            state.versions.push((version.clone(), new.private_key.clone(), Some(chain.clone())));
            state.forget_old_keys(&new.certificate);
            Ok(version)
        })
        .await
    }

    async fn save_order(&self, id: VersionId, order_url: &str) -> Result<(), Error> {
        self.write("save order", |state| {
            let pending = state.recorded.certificates.values_mut().filter_map(|record| record.pending.as_mut());
            for version in pending.filter(|version| version.id == id) {
                version.order_url = Some(order_url.to_owned());
            }
            Ok(())
        })
        .await
    }

    async fn save_issued(&self, id: VersionId, chain: &Chain, at: Timestamp) -> Result<(), Error> {
        self.write("save issued", |state| {
            let pending = |record: &&mut certferry_core::recorded::CertificateRecord| {
                record.pending.as_ref().is_some_and(|version| version.id == id)
            };
            let record = state.recorded.certificates.values_mut().find(pending).ok_or_else(|| unknown(id))?;
            let mut version = record.pending.take().ok_or_else(|| unknown(id))?;
            version.leaf = Some(chain.leaf().clone());
            version.issued_at = Some(at);
            let certificate = version.certificate.clone();
            record.current = Some(version);
            record.renewal_window = None;
            record.issue_failure = None;
            let stored = state.versions.iter_mut().find(|(version, _, _)| version.id == id);
            stored.ok_or_else(|| unknown(id))?.2 = Some(chain.clone());
            state.forget_old_keys(&certificate);
            Ok(())
        })
        .await
    }

    async fn save_revoked(&self, id: VersionId, at: Timestamp) -> Result<(), Error> {
        self.write("save revoked", |state| {
            let current = state.recorded.certificates.values_mut().filter_map(|record| record.current.as_mut());
            for version in current.filter(|version| version.id == id) {
                version.revoked_at = Some(at);
            }
            Ok(())
        })
        .await
    }

    async fn abandon_version(&self, id: VersionId, _why: &str) -> Result<(), Error> {
        self.write("abandon version", |state| {
            for record in state.recorded.certificates.values_mut() {
                record.pending.take_if(|version| version.id == id);
            }
            Ok(())
        })
        .await
    }

    async fn private_key(&self, id: VersionId) -> Result<Secret<String>, Error> {
        let state = self.state.lock().unwrap();
        let version = state.versions.iter().find(|(version, _, _)| version.id == id);
        version.and_then(|(_, key, _)| key.clone()).ok_or_else(|| unknown(id))
    }

    async fn csr(&self, _id: VersionId) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    async fn chain(&self, id: VersionId) -> Result<Chain, Error> {
        let state = self.state.lock().unwrap();
        let version = state.versions.iter().find(|(version, _, _)| version.id == id);
        version.and_then(|(_, _, chain)| chain.clone()).ok_or_else(|| unknown(id))
    }

    async fn save_renewal_window(&self, id: VersionId, window: &RenewalWindow) -> Result<(), Error> {
        self.write("save renewal window", |state| {
            for record in state.recorded.certificates.values_mut() {
                if record.current.as_ref().is_some_and(|version| version.id == id) {
                    record.renewal_window = Some(window.clone());
                }
            }
            Ok(())
        })
        .await
    }

    async fn save_issue_failure(&self, certificate: &CertificateName, failure: &IssueFailure) -> Result<(), Error> {
        self.write("save issue failure", |state| {
            state.recorded.certificates.entry(certificate.clone()).or_default().issue_failure = Some(failure.clone());
            Ok(())
        })
        .await
    }

    async fn open_challenge(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        self.write("open challenge", |state| {
            state.challenges.retain(|other| other.token != challenge.token);
            state.challenges.push(challenge.clone());
            Ok(())
        })
        .await
    }

    async fn close_challenge(&self, token: &str) -> Result<(), Error> {
        self.write("close challenge", |state| {
            state.challenges.retain(|challenge| challenge.token != token);
            Ok(())
        })
        .await
    }

    async fn open_challenges(&self) -> Result<Vec<OpenChallenge>, Error> {
        Ok(self.state.lock().unwrap().challenges.clone())
    }

    async fn save_bundle(&self, bundle: &BundleRecord) -> Result<(), Error> {
        self.write("save bundle", |state| {
            let bundles = &mut state.recorded.bundles;
            bundles.retain(|other| other.name != bundle.name || other.load_balancer != bundle.load_balancer);
            bundles.push(bundle.clone());
            Ok(())
        })
        .await
    }

    async fn forget_bundle(&self, load_balancer: &LoadBalancerName, name: &BundleName) -> Result<(), Error> {
        self.write("forget bundle", |state| {
            state.recorded.bundles.retain(|other| other.name != *name || other.load_balancer != *load_balancer);
            Ok(())
        })
        .await
    }

    async fn save_deployment(&self, deployment: &Deployment) -> Result<(), Error> {
        self.write("save deployment", |state| {
            let record = state.recorded.certificates.entry(deployment.certificate.clone()).or_default();
            record.deployments.retain(|other| {
                other.load_balancer != deployment.load_balancer || other.listener != deployment.listener
            });
            record.deployments.push(deployment.clone());
            Ok(())
        })
        .await
    }

    async fn forget_deployment(
        &self,
        certificate: &CertificateName,
        load_balancer: &LoadBalancerName,
        listener: &ListenerName,
    ) -> Result<(), Error> {
        self.write("forget deployment", |state| {
            if let Some(record) = state.recorded.certificates.get_mut(certificate) {
                record.deployments.retain(|other| other.load_balancer != *load_balancer || other.listener != *listener);
            }
            Ok(())
        })
        .await
    }

    async fn append_history(&self, event: &Event) -> Result<(), Error> {
        self.write("append history", |state| {
            state.history.push(event.clone());
            Ok(())
        })
        .await
    }

    async fn append_warning(
        &self,
        version: VersionId,
        threshold: SignedDuration,
        event: &Event,
    ) -> Result<bool, Error> {
        self.write("append warning", |state| {
            let is_new = state.warnings.insert((version, threshold));
            if is_new {
                state.history.push(event.clone());
            }
            Ok(is_new)
        })
        .await
    }

    async fn save_warning_days(&self, load_balancer: &LoadBalancerName, days: &[u16]) -> Result<(), Error> {
        self.write("save warning days", |state| {
            let kept = &mut state.recorded.warning_days;
            match days {
                [] => drop(kept.remove(load_balancer)),
                days => drop(kept.insert(load_balancer.clone(), days.to_vec())),
            }
            Ok(())
        })
        .await
    }

    async fn history(&self, _filter: &HistoryFilter) -> Result<Vec<Event>, Error> {
        Ok(self.state.lock().unwrap().history.clone())
    }
}
