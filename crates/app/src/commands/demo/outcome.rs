//! What is served and what is there, at one moment of the story: read from outside, by handshakes and from the load balancers.

use certferry_core::port::Probe;
use certferry_core::{Error, ErrorKind};
use certferry_providers::probe::NetworkProbe;

use crate::commands::demo::seen::{Seen, SeenListener};
use crate::commands::demo::stage::Stage;
use crate::output::table;

/// One look.
pub(super) struct Outcome {
    pub(super) load_balancers: Vec<LoadBalancer>,
}

pub(super) struct LoadBalancer {
    pub(super) seen: Seen,
    /// What its listeners served, in their order.
    pub(super) served: Vec<Served>,
}

/// What a handshake returned.
pub(super) struct Served {
    pub(super) serial: String,
    pub(super) ends: String,
    pub(super) issuer: String,
    pub(super) chain_length: usize,
}

impl Outcome {
    /// Looks at every listener by handshake, and at what the load balancers themselves say.
    pub(super) async fn look(stage: &Stage) -> Result<Self, Error> {
        let probe = NetworkProbe::new();
        let mut load_balancers = Vec::new();
        for seen in stage.seen()? {
            let mut served = Vec::new();
            for listener in &seen.listeners {
                served.push(handshake(&probe, &seen, listener).await?);
            }
            load_balancers.push(LoadBalancer { seen, served });
        }
        Ok(Self { load_balancers })
    }

    /// The listeners for people.
    pub(super) fn listeners_text(&self) -> String {
        let rows = self.listeners().map(|(seen, listener, served)| {
            [
                place(seen, listener),
                listener.bundle.clone(),
                served.serial.clone(),
                served.ends.clone(),
                served.issuer.clone(),
            ]
        });
        table(["listener", "bundle", "serial served", "ends", "issuer"], rows)
    }

    /// Every listener of every load balancer, with what it served.
    pub(super) fn listeners(&self) -> impl Iterator<Item = (&Seen, &SeenListener, &Served)> {
        self.load_balancers.iter().flat_map(|load_balancer| {
            let both = load_balancer.seen.listeners.iter().zip(&load_balancer.served);
            both.map(|(listener, served)| (&load_balancer.seen, listener, served))
        })
    }
}

async fn handshake(probe: &NetworkProbe, seen: &Seen, listener: &SeenListener) -> Result<Served, Error> {
    let served = probe.tls(listener.address, &seen.server_name.clone().into(), None).await.map_err(|error| {
        let subject = format!("listener `{}` at {}", listener.name, listener.address);
        Error::new(ErrorKind::Verification, "demo", subject).said(error)
    })?;
    Ok(Served {
        serial: served.leaf.serial.to_string(),
        ends: served.leaf.not_after.strftime("%Y-%m-%d").to_string(),
        issuer: served.leaf.issuer.clone(),
        chain_length: served.digests.len(),
    })
}

fn place(seen: &Seen, listener: &SeenListener) -> String {
    format!("{}/{}", seen.load_balancer, listener.name)
}
