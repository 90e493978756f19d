//! Reading the world: load balancers, what their listeners serve, and when CAs want renewals.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use certferry_core::desired::{CertificateSpec, DeploySpec};
use certferry_core::observed::{Observed, Served};
use certferry_core::plan::{IssueDecision, PlanOptions, is_same_authority, issue, served_names};
use certferry_core::recorded::{CertificateRecord, Recorded, Version};
use certferry_core::renewal::{RenewalWindow, is_silence};
use certferry_core::{CertificateName, Error, LoadBalancerName};
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use jiff::Timestamp;

use crate::Engine;

/// Requests of one kind under way at once while reading.
const READS_AT_ONCE: usize = 16;

/// Whether what was learnt is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// For this plan only.
    InMemory,
    /// In the store too.
    InStore,
}

impl Engine {
    /// Reads every load balancer that an included certificate uses, then what the listeners serve.
    pub(crate) async fn observe(&self, recorded: &Recorded, options: &PlanOptions) -> Observed {
        let mut observed = Observed::default();
        let names: BTreeSet<&LoadBalancerName> = self.included(options).flat_map(load_balancers_of).collect();
        let mut readings: FuturesUnordered<_> = names
            .into_iter()
            .map(async |name| {
                let reading = match self.load_balancer(name) {
                    Ok(load_balancer) => load_balancer.observe().await,
                    Err(error) => Err(error),
                };
                (name.clone(), reading)
            })
            .collect();
        while let Some((name, reading)) = readings.next().await {
            observed.load_balancers.insert(name, reading);
        }
        drop(readings);
        let deploys = self.included(options).filter(|spec| has_current(recorded, &spec.name));
        let deploys = deploys.flat_map(|spec| spec.deploy.iter().map(move |deploy| (spec, deploy)));
        let looks = deploys.map(|(spec, deploy)| {
            let look = self.look(spec, deploy, &observed);
            async move { (spec, deploy, look.await) }
        });
        let looks: Vec<_> = looks.collect();
        let served: Vec<_> = stream::iter(looks).buffer_unordered(READS_AT_ONCE).collect().await;
        for (spec, deploy, answers) in served {
            if !answers.is_empty() {
                let listener = (deploy.load_balancer.clone(), deploy.listener.clone());
                observed.served.entry(spec.name.clone()).or_default().insert(listener, answers);
            }
        }
        observed
    }

    /// One handshake per address, with the first name that the listener answers for: enough to see drift. The
    /// verification of a new bundle tries every name.
    async fn look(&self, spec: &CertificateSpec, deploy: &DeploySpec, observed: &Observed) -> Vec<Served> {
        let Some(Ok(observation)) = observed.load_balancers.get(&deploy.load_balancer) else {
            return Vec::new();
        };
        let Some(listener) = observation.listeners.get(&deploy.listener).filter(|listener| listener.tls) else {
            return Vec::new();
        };
        let Some(server_name) = served_names(listener, &spec.version.names).into_iter().next() else {
            return Vec::new();
        };
        let family = listener.asks_for(spec.version.key.family());
        let addresses = if deploy.probe.is_empty() { &listener.addresses } else { &deploy.probe };
        let mut served = Vec::new();
        for address in addresses {
            let answer = self.parts.probe.tls(*address, &server_name, family).await;
            served.push(Served { address: *address, server_name: server_name.clone(), answer });
        }
        served
    }

    /// Asks CAs for the renewal windows that are due to be asked for (RFC 9773 §4.3.2). A CA that does not answer is no
    /// failure: the window that it told last decides, or the share of lifetime. It is not asked for the other ones in this
    /// run; one that answers for none but this certificate is.
    pub(crate) async fn refresh_renewal_windows(
        &self,
        recorded: &mut Recorded,
        options: &PlanOptions,
        keep: Keep,
    ) -> Result<(), Error> {
        let now = self.parts.clock.now();
        let silent: std::collections::BTreeMap<_, _> =
            self.parts.issuers.keys().map(|name| (name.clone(), AtomicBool::new(false))).collect();
        let due: Vec<(Version, Option<RenewalWindow>)> = self
            .included(options)
            .filter_map(|spec| Some((spec, recorded.certificate(&spec.name)?)))
            .filter_map(|(spec, record)| Some((to_ask_about(spec, record, now)?, record.renewal_window.as_ref())))
            .map(|(version, window)| (version.clone(), window.cloned()))
            .collect();
        let fetches = due.into_iter().map(async |(version, window)| {
            let issuer = &version.spec.issuer;
            let is_silent = silent.get(issuer).is_none_or(|silent| silent.load(Ordering::Relaxed));
            if is_silent {
                return (version, None);
            }
            match self.fetch_renewal_window(&version).await {
                Ok(window) => (version, window),
                Err(error) => {
                    tracing::warn!(certificate = %version.certificate, "no renewal window from the CA: {error}");
                    if let Some(silent) = silent.get(issuer).filter(|_| is_silence(&error)) {
                        silent.store(true, Ordering::Relaxed);
                    }
                    (version, window.map(|window| window.kept(&error, now)))
                }
            }
        });
        let mut fetched = stream::iter(fetches).buffer_unordered(READS_AT_ONCE);
        let mut windows = Vec::new();
        while let Some((version, window)) = fetched.next().await {
            windows.extend(window.map(|window| (version, window)));
        }
        drop(fetched);
        for (version, window) in windows {
            if keep == Keep::InStore {
                self.parts.store.save_renewal_window(version.id, &window).await?;
            }
            if let Some(record) = recorded.certificates.get_mut(&version.certificate) {
                record.renewal_window = Some(window);
            }
        }
        Ok(())
    }

    async fn fetch_renewal_window(&self, version: &Version) -> Result<Option<RenewalWindow>, Error> {
        let Some(issuer) = self.parts.issuers.get(&version.spec.issuer) else { return Ok(None) };
        let chain = self.parts.store.chain(version.id).await?;
        issuer.renewal_window(&chain).await
    }

    /// Gives up what was begun, is not wanted any more, and has nothing to be begun in its place: the order would stay, and
    /// keep the current version from being asked for.
    pub(crate) async fn give_up_unwanted(&self, recorded: &mut Recorded, options: &PlanOptions) -> Result<(), Error> {
        let now = self.parts.clock.now();
        for spec in self.included(options) {
            let Some(record) = recorded.certificates.get_mut(&spec.name) else { continue };
            if let IssueDecision::NotDue { gives_up: Some(version), .. } = issue(spec, Some(record), now, options) {
                self.parts.store.abandon_version(version, "the config does not want it any more").await?;
                record.pending = None;
            }
        }
        Ok(())
    }

    /// Forgets deployments of included certificates that the config no longer has.
    pub(crate) async fn forget_old_deployments(
        &self,
        recorded: &mut Recorded,
        options: &PlanOptions,
    ) -> Result<(), Error> {
        for spec in self.included(options) {
            let Some(record) = recorded.certificates.get_mut(&spec.name) else { continue };
            let (kept, old): (Vec<_>, Vec<_>) = record.deployments.drain(..).partition(|deployment| {
                spec.deploy.iter().any(|deploy| {
                    deploy.load_balancer == deployment.load_balancer && deploy.listener == deployment.listener
                })
            });
            record.deployments = kept;
            for deployment in old {
                let (load_balancer, listener) = (&deployment.load_balancer, &deployment.listener);
                self.parts.store.forget_deployment(&spec.name, load_balancer, listener).await?;
            }
        }
        Ok(())
    }

    pub(crate) fn included(&self, options: &PlanOptions) -> impl Iterator<Item = &CertificateSpec> {
        self.desired.certificates.iter().filter(|spec| options.includes(&spec.name))
    }
}

/// The current version, where the CA that it is from is to be asked for its renewal window.
fn to_ask_about<'a>(spec: &CertificateSpec, record: &'a CertificateRecord, now: Timestamp) -> Option<&'a Version> {
    let current = record.current.as_ref()?;
    let is_being_replaced = record.pending.as_ref().is_some_and(|pending| pending.spec == spec.version);
    let is_valid = current.leaf.as_ref().is_some_and(|leaf| leaf.not_after > now);
    let is_time = record.renewal_window.as_ref().is_none_or(|window| window.is_to_be_fetched(now));
    let is_known_there = is_same_authority(&current.spec, &spec.version);
    (!is_being_replaced && is_valid && is_time && is_known_there).then_some(current)
}

fn load_balancers_of(spec: &CertificateSpec) -> impl Iterator<Item = &LoadBalancerName> {
    spec.deploy.iter().map(|deploy| &deploy.load_balancer).chain(&spec.http01)
}

fn has_current(recorded: &Recorded, certificate: &CertificateName) -> bool {
    recorded.certificate(certificate).is_some_and(|record| record.current.is_some())
}
