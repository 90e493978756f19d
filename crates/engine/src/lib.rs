//! Makes observed equal desired.
//!
//! ```text
//! Engine::plan   reads the world and says what would be done
//! Engine::begin  takes the lease, sweeps what a killed run left, and plans ──► Run
//! Run::carry_out does it: issue (`issue`) and deliver (`deliver`) are separate machines ──► Report
//!                and warns of what ends though it was to be renewed (`warn`)
//! ```
//!
//! The engine owns time and concurrency. It sees no SQL, no HTTP and no socket: those stand behind
//! [`certferry_core::port`]. Every effect is journalled in the store before and after, so that a process that is killed
//! anywhere is continued by the next run.

#![forbid(unsafe_code)]

mod account;
mod challenge;
mod deliver;
mod dns01;
mod issue;
mod journal;
mod key;
mod ledger;
mod observe;
mod poll;
mod report;
mod responder;
mod revoke;
mod run;
mod sign;
mod take_over;
mod turns;
mod verify;
mod warn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use certferry_core::desired::{CertificateSpec, Desired, LoadBalancerSpec};
use certferry_core::observed::Observed;
use certferry_core::plan::{Plan, PlanOptions};
use certferry_core::port::{
    Capabilities, CertificateAuthority, DnsLookup, DnsProvider, Lease, LoadBalancer, Notify, Probe, Store,
};
use certferry_core::{Clock, DnsProviderName, Error, ErrorKind, Identifier, IssuerName, LoadBalancerName};
use tokio::sync::{Mutex, Semaphore};

use futures_util::future::join_all;

pub use poll::Limits;
pub use report::Report;
pub use responder::{CHALLENGE_PATH, Responder};
pub use revoke::Revocation;
pub use run::Run;
pub use sign::SigningRequest;
pub use take_over::{AccountTaken, HandedOver};

use crate::account::Accounts;
use crate::journal::Journal;
use crate::turns::Turns;

/// What the engine drives.
pub struct Parts {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Issuers by name.
    pub issuers: BTreeMap<IssuerName, Arc<dyn CertificateAuthority>>,
    /// Load balancers by name.
    pub load_balancers: BTreeMap<LoadBalancerName, Arc<dyn LoadBalancer>>,
    /// DNS providers by name.
    pub dns: BTreeMap<DnsProviderName, Arc<dyn DnsProvider>>,
    /// What name servers answer.
    pub dns_lookup: Arc<dyn DnsLookup>,
    /// The look from outside.
    pub probe: Arc<dyn Probe>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Whoever is told.
    pub notify: Arc<dyn Notify>,
    /// The answers to http-01 requests; the caller puts it on a socket.
    pub responder: Responder,
}

/// Makes observed equal desired.
pub struct Engine {
    desired: Desired,
    parts: Parts,
    limits: Limits,
    journal: Journal,
    /// Mutations of one load balancer are made one at a time.
    mutations: BTreeMap<LoadBalancerName, Mutex<()>>,
    /// So are changes at one DNS provider.
    dns_changes: BTreeMap<DnsProviderName, Mutex<()>>,
    accounts: Accounts,
    orders: Semaphore,
    /// Certificates that a CA could give one order take turns, see `issue`.
    same_names: Turns<(IssuerName, BTreeSet<Identifier>)>,
    /// The opening of a challenge and the sweep of the same one take turns, by its token.
    challenges: Turns<String>,
}

impl Engine {
    /// An engine for `desired`. Every issuer and load balancer that it names must be among the parts.
    pub fn new(desired: Desired, parts: Parts, limits: Limits) -> Self {
        Self {
            journal: Journal::new(parts.store.clone(), parts.notify.clone(), parts.clock.clone()),
            mutations: parts.load_balancers.keys().map(|name| (name.clone(), Mutex::default())).collect(),
            dns_changes: parts.dns.keys().map(|name| (name.clone(), Mutex::default())).collect(),
            accounts: Accounts::of(parts.issuers.keys()),
            orders: Semaphore::new(limits.orders_at_once),
            same_names: Turns::default(),
            challenges: Turns::default(),
            desired,
            parts,
            limits,
        }
    }

    /// What would be done. Changes nothing, neither outside nor in the store, and needs no lease.
    ///
    /// # Errors
    /// The store fails. Anything else that fails is a problem in the plan.
    pub async fn plan(&self, options: &PlanOptions) -> Result<Plan, Error> {
        self.plan_and_observed(options).await.map(|(plan, _)| plan)
    }

    /// As [`Engine::plan`], with what was observed for it.
    ///
    /// # Errors
    /// As [`Engine::plan`].
    pub async fn plan_and_observed(&self, options: &PlanOptions) -> Result<(Plan, Observed), Error> {
        let mut recorded = self.parts.store.recorded().await?;
        self.refresh_renewal_windows(&mut recorded, options, observe::Keep::InMemory).await?;
        let observed = self.observe(&recorded, options).await;
        Ok((self.plan_of(&observed, &recorded, options), observed))
    }

    /// Becomes the one engine on the store, sweeps what a killed run left, and plans.
    ///
    /// # Errors
    /// Another engine holds the lease, or the store fails.
    pub async fn begin(&self, holder: &str, options: &PlanOptions) -> Result<Run<'_>, Error> {
        let lease = self.lease(holder).await?;
        self.begin_under(Arc::new(lease), options).await
    }

    /// Becomes the one engine on the store for more than one run.
    ///
    /// # Errors
    /// Another engine holds the lease, or the store fails.
    pub async fn lease(&self, holder: &str) -> Result<Lease, Error> {
        self.parts.store.acquire_lease(holder).await
    }

    /// As [`Engine::begin`], under a lease that is held already.
    ///
    /// # Errors
    /// The store fails.
    pub async fn begin_under(&self, lease: Arc<Lease>, options: &PlanOptions) -> Result<Run<'_>, Error> {
        let mut recorded = self.parts.store.recorded().await?;
        self.refresh_renewal_windows(&mut recorded, options, observe::Keep::InStore).await?;
        self.sweep_challenges().await?;
        self.give_up_unwanted(&mut recorded, options).await?;
        self.forget_old_deployments(&mut recorded, options).await?;
        let observed = self.observe(&recorded, options).await;
        let plan = self.plan_of(&observed, &recorded, options);
        Ok(Run::new(self, lease, options.clone(), recorded, observed, plan))
    }

    /// Ends what the load balancers keep open between calls.
    pub async fn close(&self) {
        join_all(self.parts.load_balancers.values().map(|load_balancer| load_balancer.close())).await;
    }

    fn plan_of(
        &self,
        observed: &Observed,
        recorded: &certferry_core::recorded::Recorded,
        options: &PlanOptions,
    ) -> Plan {
        let now = self.parts.clock.now();
        certferry_core::plan::plan(&self.desired, observed, recorded, &self.capabilities(), now, options)
    }

    fn capabilities(&self) -> BTreeMap<LoadBalancerName, Capabilities> {
        let capabilities = |(name, load_balancer): (&LoadBalancerName, &Arc<dyn LoadBalancer>)| {
            (name.clone(), load_balancer.capabilities())
        };
        self.parts.load_balancers.iter().map(capabilities).collect()
    }

    fn load_balancer(&self, name: &LoadBalancerName) -> Result<&Arc<dyn LoadBalancer>, Error> {
        self.parts.load_balancers.get(name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "look up", format!("load balancer `{name}`"))
                .said("the config has none of that name")
        })
    }

    fn issuer(&self, name: &IssuerName) -> Result<&Arc<dyn CertificateAuthority>, Error> {
        self.parts.issuers.get(name).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "look up", format!("issuer `{name}`"))
                .said("the config has none of that name")
        })
    }

    /// Whether the responder answers for a certificate's challenges, and no load balancer by itself.
    fn is_answered_by_responder(&self, spec: &CertificateSpec) -> bool {
        spec.http01.iter().any(|name| {
            let load_balancer = self.parts.load_balancers.get(name);
            load_balancer.is_none_or(|load_balancer| !load_balancer.capabilities().answers_challenges)
        })
    }

    fn load_balancer_spec(&self, name: &LoadBalancerName) -> LoadBalancerSpec {
        self.desired.load_balancers.get(name).copied().unwrap_or_default()
    }

    /// Holds the load balancer's turn while `mutation` runs.
    async fn mutate<T>(
        &self,
        load_balancer: &LoadBalancerName,
        mutation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _turn = match self.mutations.get(load_balancer) {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        mutation.await
    }
}
