//! Verification: handshakes with every address and every name until all return the chain as uploaded.

use std::net::SocketAddr;

use certferry_core::desired::{CertificateSpec, DeploySpec};
use certferry_core::observed::{Observation, ServedChain};
use certferry_core::plan::served_names;
use certferry_core::{Chain, Error, ErrorKind, Identifier, KeyFamily, Serial, Sha256};
use futures_util::{StreamExt, stream};

use crate::Engine;
use crate::journal::Subject;
use crate::poll::Wait;

/// Handshakes with one listener under way at once.
const HANDSHAKES_AT_ONCE: usize = 8;

/// A verification that failed.
#[derive(Debug)]
pub(crate) struct NotServed {
    pub(crate) error: Error,
    /// What was served instead, where a handshake came through.
    pub(crate) served_serial: Option<Serial>,
}

impl From<Error> for NotServed {
    fn from(error: Error) -> Self {
        Self { error, served_serial: None }
    }
}

impl Engine {
    /// Waits until `deploy`'s listener serves `chain` everywhere. Gives a line that says what was tried.
    pub(crate) async fn verify(
        &self,
        spec: &CertificateSpec,
        deploy: &DeploySpec,
        observation: &Observation,
        chain: &Chain,
        subject: &Subject,
    ) -> Result<String, NotServed> {
        let looks = looks(spec, deploy, observation);
        if looks.is_empty() {
            return Err(nothing_to_probe(deploy).into());
        }
        let listener = observation.listeners.get(&deploy.listener);
        let family = listener.and_then(|listener| listener.asks_for(spec.version.key.family()));
        let digests: Vec<Sha256> = chain.certificates().iter().map(|der| Sha256::of(der)).collect();
        let mut wait = Wait::new(&self.limits, self.load_balancer_spec(&deploy.load_balancer).verify_within);
        loop {
            let Some(different) = self.first_difference(&looks, family, &digests).await else {
                return Ok(format!(
                    "serial {} and a chain of {} at {} address(es), {} name(s)",
                    chain.leaf().serial,
                    digests.len(),
                    addresses(deploy, observation).len(),
                    looks.len() / addresses(deploy, observation).len().max(1),
                ));
            };
            self.journal.waiting(subject, different.seen.clone());
            if !wait.pause(None).await {
                return Err(different.into_failure(deploy, chain));
            }
        }
    }

    async fn first_difference(
        &self,
        looks: &[(SocketAddr, Identifier)],
        family: Option<KeyFamily>,
        digests: &[Sha256],
    ) -> Option<Difference> {
        let probes = looks.iter().map(async |(address, name)| {
            let answer = self.parts.probe.tls(*address, name, family).await;
            Difference::between(*address, name, &answer, digests)
        });
        let probes: Vec<_> = probes.collect();
        let mut differences = stream::iter(probes).buffer_unordered(HANDSHAKES_AT_ONCE);
        while let Some(outcome) = differences.next().await {
            if outcome.is_some() {
                return outcome;
            }
        }
        None
    }
}

struct Difference {
    seen: String,
    served_serial: Option<Serial>,
}

impl Difference {
    fn between(
        address: SocketAddr,
        name: &Identifier,
        answer: &Result<ServedChain, String>,
        digests: &[Sha256],
    ) -> Option<Self> {
        let (seen, served_serial) = match answer {
            Err(error) => (format!("{address} does not serve {name}: {error}"), None),
            Ok(served) if served.digests == digests => return None,
            Ok(served) if served.digests.first() == digests.first() => (
                format!(
                    "{address} serves the new leaf for {name} but with a chain of {} where {} were uploaded, or in another order",
                    served.digests.len(),
                    digests.len()
                ),
                Some(served.leaf.serial.clone()),
            ),
            Ok(served) => {
                let serial = served.leaf.serial.clone();
                (format!("{address} still serves serial {serial} for {name}"), Some(serial))
            }
        };
        Some(Self { seen, served_serial })
    }

    fn into_failure(self, deploy: &DeploySpec, chain: &Chain) -> NotServed {
        let subject = format!("listener `{}` of load balancer `{}`", deploy.listener, deploy.load_balancer);
        let error = Error::new(ErrorKind::Verification, "verify", subject)
            .said(format!("{}; wanted was serial {}", self.seen, chain.leaf().serial))
            .with_hint(
                "if this machine cannot reach the listener's addresses, set `probe:` in the deploy entry; if the load balancer \
                 needs longer, raise its `verify-within`",
            );
        NotServed { error, served_serial: self.served_serial }
    }
}

fn looks(spec: &CertificateSpec, deploy: &DeploySpec, observation: &Observation) -> Vec<(SocketAddr, Identifier)> {
    let names: Vec<Identifier> = match observation.listeners.get(&deploy.listener) {
        Some(listener) => served_names(listener, &spec.version.names),
        None => spec.version.names.iter().map(Identifier::sample).collect(),
    };
    let addresses = addresses(deploy, observation);
    addresses.into_iter().flat_map(|address| names.iter().map(move |name| (address, name.clone()))).collect()
}

fn addresses(deploy: &DeploySpec, observation: &Observation) -> Vec<SocketAddr> {
    if !deploy.probe.is_empty() {
        return deploy.probe.clone();
    }
    observation.listeners.get(&deploy.listener).map(|listener| listener.addresses.clone()).unwrap_or_default()
}

fn nothing_to_probe(deploy: &DeploySpec) -> Error {
    let subject = format!("listener `{}` of load balancer `{}`", deploy.listener, deploy.load_balancer);
    Error::new(ErrorKind::Verification, "verify", subject)
        .said("the listener has no address to connect to")
        .with_hint("set `probe:` in the deploy entry")
}
