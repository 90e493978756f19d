//! `certferry dns point`: points the names of certificates at the load balancer that serves them, on request only. Shows what
//! is there and what would be done, asks, does it. A second time there is nothing to do.

mod names;
mod printed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use certferry_core::observed::Observation;
use certferry_core::pointing::{self, AddressData, AddressRecords, Decision, PointOptions, Question, SetChange};
use certferry_core::port::{DnsProvider, Store};
use certferry_core::{Clock, Error, Event, LoadBalancerName, Outcome, SystemClock};
use certferry_providers::dns::recursive::RecursiveServers;
use futures_util::{StreamExt, stream};

use crate::cli::{GlobalOptions, PointNames};
use crate::commands::{confirm, known_load_balancer};
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{output, wiring};
use names::{Target, targets};

pub(crate) async fn run(global: &GlobalOptions, arguments: &PointNames) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let provider = names::provider(arguments.provider.as_deref(), &config)?;
    let only = match &arguments.to {
        Some(name) => Some(known_load_balancer(name, &config)?.0),
        None => None,
    };
    let targets = targets(&arguments.certificates, only, &config)?;
    let pointing = Pointing { global, arguments, config: &config, provider: provider.as_ref() };
    pointing.carry_out(targets).await
}

struct Pointing<'a> {
    global: &'a GlobalOptions,
    arguments: &'a PointNames,
    config: &'a Config,
    provider: &'a dyn DnsProvider,
}

/// A name, and what becomes of it.
struct Row<'a> {
    target: Target<'a>,
    /// What its zone has; `None` where it was not, or could not be, read.
    found: Option<AddressRecords>,
    fate: Fate,
}

enum Fate {
    /// It leads there already, and how.
    Already(String),
    /// It was pointed.
    Done(Vec<SetChange>),
    /// Something failed.
    Failed(Error),
    /// A person has to decide: what is so, and what to do.
    Refused(String, String),
    /// It can be pointed.
    ToDo(Vec<SetChange>),
}

impl Row<'_> {
    fn is_to_do(&self) -> bool {
        matches!(self.fate, Fate::ToDo(_))
    }
}

impl<'a> Pointing<'a> {
    async fn carry_out(&self, targets: Vec<Target<'a>>) -> Result<Exit, Failure> {
        let observations = self.observe(&targets).await?;
        let mut rows = self.decide(targets, &observations).await;
        let is_to_do = rows.iter().any(Row::is_to_do);
        if self.arguments.plan || !is_to_do {
            self.tell(&rows);
            return Ok(exit(&rows));
        }
        if !self.is_wanted(&rows).await? {
            return Ok(Exit::StepsPlanned);
        }
        let store = wiring::store(self.config).await?;
        for row in &mut rows {
            if let Fate::ToDo(changes) = &row.fate {
                row.fate = match self.write(store.as_ref(), &row.target, changes).await? {
                    Ok(()) => Fate::Done(changes.clone()),
                    Err(error) => Fate::Failed(error),
                };
            }
        }
        self.tell(&rows);
        Ok(exit(&rows))
    }

    /// What the load balancers say of their addresses.
    async fn observe(&self, targets: &[Target<'_>]) -> Result<BTreeMap<LoadBalancerName, Observation>, Failure> {
        let used: BTreeSet<&LoadBalancerName> = targets.iter().filter_map(Target::load_balancer).collect();
        let mut observations = BTreeMap::new();
        for name in used {
            let Some(configured) = self.config.load_balancers.get(name) else { continue };
            let load_balancer = wiring::load_balancer(name, &configured.provider)?;
            let observation = load_balancer.observe().await;
            load_balancer.close().await;
            observations.insert(name.clone(), observation?);
        }
        Ok(observations)
    }

    async fn decide(
        &self,
        targets: Vec<Target<'a>>,
        observations: &BTreeMap<LoadBalancerName, Observation>,
    ) -> Vec<Row<'a>> {
        let servers = wiring::recursive_servers(self.config);
        let rows: Vec<_> = targets.into_iter().map(|target| self.row(target, observations, &servers)).collect();
        stream::iter(rows).buffered(AT_ONCE).collect().await
    }

    async fn row(
        &self,
        target: Target<'a>,
        observations: &BTreeMap<LoadBalancerName, Observation>,
        servers: &RecursiveServers,
    ) -> Row<'a> {
        let load_balancer = match target.single() {
            Ok(load_balancer) => load_balancer,
            Err((said, fix)) => return Row { target, found: None, fate: Fate::Refused(said, fix) },
        };
        let found = match self.provider.address_records(target.name).await {
            Ok(found) => found,
            Err(error) => return Row { target, found: None, fate: Fate::Failed(error) },
        };
        let addresses = observations.get(load_balancer).map(|observation| target.addresses(observation));
        let options =
            PointOptions { replace: self.arguments.replace, inside: self.arguments.inside, ttl: self.arguments.ttl };
        let question = Question {
            load_balancer,
            addresses: &addresses.unwrap_or_default(),
            found: &found,
            alias_leads_to: &leads_to(&found, &target, servers).await,
            options: &options,
        };
        let fate = match pointing::decide(&question) {
            Decision::Already(how) => Fate::Already(how),
            Decision::Refuse { said, fix } => Fate::Refused(said, fix),
            Decision::Write(changes) => Fate::ToDo(changes),
        };
        Row { target, found: Some(found), fate }
    }

    /// Shows what would be done, and asks where nobody has said yes before.
    async fn is_wanted(&self, rows: &[Row<'_>]) -> Result<bool, Failure> {
        if self.arguments.yes {
            return Ok(true);
        }
        if !confirm::can_ask() {
            self.tell(rows);
            let text = "nothing was done: there is no terminal to ask on; add `--yes` to do it without asking";
            return Err(Failure::Usage(text.to_owned()));
        }
        output::complain(&format!("{}\n", printed::text(self.provider.name(), rows)));
        let wanted = confirm::ask().await;
        if !wanted {
            output::complain("nothing was done\n");
            // Standard output holds one JSON document, whatever was answered.
            if self.global.wants_json() {
                output::json(&printed::PointDocument::new(self.provider.name(), rows));
            }
        }
        Ok(wanted)
    }

    /// The outer error is the store's: what cannot be noted is not done.
    async fn write(
        &self,
        store: &dyn Store,
        target: &Target<'_>,
        changes: &[SetChange],
    ) -> Result<Result<(), Error>, Error> {
        let all = changes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        self.note(store, target, Outcome::Started, all.clone()).await?;
        for (number, change) in changes.iter().enumerate() {
            let Err(error) = self.provider.change_addresses(target.name, change).await else { continue };
            let done: Vec<String> = changes[..number].iter().map(ToString::to_string).collect();
            let error = match done.is_empty() {
                true => error,
                false => error.and_said(format!("done before: {}", done.join("; "))),
            };
            let error = error.for_certificate(target.certificate);
            self.note(store, target, Outcome::Failed, error.to_string()).await?;
            return Ok(Err(error));
        }
        self.note(store, target, Outcome::Done, all).await?;
        Ok(Ok(()))
    }

    async fn note(
        &self,
        store: &dyn Store,
        target: &Target<'_>,
        outcome: Outcome,
        detail: String,
    ) -> Result<(), Error> {
        let event = Event {
            at: SystemClock.now(),
            action: "point".to_owned(),
            certificate: Some(target.certificate.clone()),
            load_balancer: target.load_balancer().cloned(),
            listener: None,
            object: Some(format!("{} at DNS provider {}", target.name, self.provider.name())),
            outcome,
            detail,
        };
        store.append_history(&event).await
    }

    fn tell(&self, rows: &[Row<'_>]) {
        if self.global.wants_json() {
            output::json(&printed::PointDocument::new(self.provider.name(), rows));
        } else {
            output::line(&printed::text(self.provider.name(), rows));
        }
        for row in rows {
            output::complain(&printed::complaint(row).unwrap_or_default());
        }
    }
}

/// Where the name's alias leads; nowhere where it has none or nobody knows.
async fn leads_to(found: &AddressRecords, target: &Target<'_>, servers: &RecursiveServers) -> Vec<IpAddr> {
    if found.records.iter().all(|record| matches!(record.data, AddressData::Address(_))) {
        return Vec::new();
    }
    let seen = servers.addresses(&target.name.sample()).await;
    let (Ok(four), Ok(six)) = (seen.a, seen.aaaa) else { return Vec::new() };
    four.into_iter().map(IpAddr::V4).chain(six.into_iter().map(IpAddr::V6)).collect()
}

/// A name that is not pointed in the end is a failure, whatever else went well.
fn exit(rows: &[Row<'_>]) -> Exit {
    let of = |row: &Row<'_>| match row.fate {
        Fate::Already(_) | Fate::Done(_) => Exit::Healthy,
        Fate::Failed(_) | Fate::Refused(..) => Exit::Unexpected,
        Fate::ToDo(_) => Exit::StepsPlanned,
    };
    match rows.iter().any(|row| of(row) == Exit::Unexpected) {
        true => Exit::Unexpected,
        false => rows.iter().map(of).max().unwrap_or(Exit::Healthy),
    }
}

/// Names that are looked at at the same time.
const AT_ONCE: usize = 8;
