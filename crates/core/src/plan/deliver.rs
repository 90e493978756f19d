//! Where must the version be put?

use std::collections::BTreeSet;

use crate::chain::Sha256;
use crate::desired::{CertificateSpec, DeploySpec, KeyHolder, VersionSpec};
use crate::error::{Error, ErrorKind};
use crate::identifier::Identifier;
use crate::key::KeyFamily;
use crate::name::{BundleName, DnsName, ListenerName, LoadBalancerName};
use crate::observed::{Holds, ListenerObservation, Observation, Place, Served, Unfit};
use crate::plan::issue::seconds;
use crate::plan::{Action, Context, Plan, Problem, Stage, Step, VersionAfter};
use crate::recorded::DeploymentState;
use crate::retry::RollBack;

/// Plans uploads, bindings and verifications, load balancer by load balancer.
pub(super) fn plan(context: &Context<'_>, plan: &mut Plan) {
    let load_balancers: BTreeSet<_> = context.spec.deploy.iter().map(|deploy| &deploy.load_balancer).collect();
    for load_balancer in load_balancers {
        let deploys = context.spec.deploy.iter().filter(|deploy| deploy.load_balancer == *load_balancer);
        match context.observed.load_balancers.get(load_balancer) {
            None => {}
            Some(Err(error)) => plan.problems.extend(deploys.map(|deploy| problem(context, deploy, error.clone()))),
            Some(Ok(observation)) => {
                let delivery =
                    Delivery { context, load_balancer, observation, wanted: context.wanted_bundle(load_balancer) };
                delivery.plan(deploys, plan);
            }
        }
    }
}

/// Why `deploy`'s listener cannot serve a certificate of `family` for `names`, whatever is tried. `can_create` says whether
/// the load balancer makes listeners.
pub fn listener_problem(
    deploy: &DeploySpec,
    observation: &Observation,
    can_create: bool,
    family: KeyFamily,
    names: &[Identifier],
) -> Option<Error> {
    let (kind, said, hint) = match observation.listeners.get(&deploy.listener) {
        None if deploy.create => return None,
        None => {
            let hint = missing_listener_hint(observation, can_create);
            (ErrorKind::NotFound, "there is no such listener".to_owned(), hint)
        }
        Some(listener) => {
            let (said, hint) = unfit(listener, family, names)?;
            (ErrorKind::Invalid, said, hint)
        }
    };
    let subject = format!("listener `{}` of load balancer `{}`", deploy.listener, deploy.load_balancer);
    Some(Error::new(kind, "deploy", subject).said(said).with_hint(hint))
}

fn missing_listener_hint(observation: &Observation, can_create: bool) -> String {
    let known: Vec<&str> = observation.listeners.keys().map(ListenerName::as_str).take(LISTENERS_IN_HINT).collect();
    let more = if observation.listeners.len() > known.len() { " and more" } else { "" };
    let there = match known.as_slice() {
        [] => "it has none that can be seen".to_owned(),
        known => format!("there are: {}{more}", known.join(", ")),
    };
    let create = if can_create { "; or add `create: { port: 443, backend-set: … }` to the deploy entry" } else { "" };
    format!("name a listener that is there ({there}){create}")
}

/// What makes a listener unfit for a certificate, and the hint that helps.
fn unfit(listener: &ListenerObservation, family: KeyFamily, names: &[Identifier]) -> Option<(String, String)> {
    if let Some(Unfit { what, fix }) = &listener.unfit {
        return Some((what.clone(), fix.clone()));
    }
    unfit_for(listener, family, names).map(|(said, hint)| (said, hint.to_owned()))
}

fn unfit_for(
    listener: &ListenerObservation,
    family: KeyFamily,
    names: &[Identifier],
) -> Option<(String, &'static str)> {
    if !listener.tls {
        let hint = "give the listener an SSL configuration, or name another one";
        return Some(("it does not terminate TLS".to_owned(), hint));
    }
    if !listener.accepts.accepts(family) {
        let said = format!("its cipher suite `{}` cannot serve an {family} certificate", listener.accepts.suite);
        let hint = "choose a cipher suite with such ciphers for the listener, or another `key:` for the certificate";
        return Some((said, hint));
    }
    if served_names(listener, names).is_empty() {
        let hosts = listener.server_names.iter().map(DnsName::as_str).collect::<Vec<_>>().join(", ");
        if names.iter().all(|name| name.ip().is_some()) {
            let said = match hosts.as_str() {
                "" => "it chooses its certificate by host name, and who connects to an IP address asks for none"
                    .to_owned(),
                hosts => {
                    format!("it answers for {hosts} only, and who connects to an IP address asks for no host name")
                }
            };
            return Some((said, "deploy the certificate to a listener that serves one certificate to all"));
        }
        let hint = "add a host name to the listener, or deploy the certificate to another one";
        return Some((format!("it answers for {hosts} only, none of the certificate's names"), hint));
    }
    None
}

/// The names with which this listener is reached. For a wildcard these are the listener's own that it covers, or a name
/// below it that nobody uses: a client never asks for a wildcard. For an IP address it asks for no host name at all
/// (RFC 6066 §3), and comes to a listener that has none and does not choose by it.
pub fn served_names(listener: &ListenerObservation, names: &[Identifier]) -> Vec<Identifier> {
    let hosts = &listener.server_names;
    let mut served = Vec::new();
    for name in names {
        let answers = |asked: &DnsName| hosts.iter().any(|host| host.covers(asked));
        let answered = match name {
            Identifier::Dns(name) => hosts.is_empty() || answers(name),
            Identifier::Ip(_) => hosts.is_empty() && listener.holds != Holds::Many,
        };
        served.extend(answered.then(|| name.sample()));
        if let Some(wildcard) = name.dns().filter(|name| name.is_wildcard()) {
            let covered = hosts.iter().filter(|host| !host.is_wildcard() && wildcard.covers(host));
            served.extend(covered.cloned().map(Identifier::from));
        }
    }
    let mut seen = BTreeSet::new();
    served.retain(|name| seen.insert(name.clone()));
    served
}

struct Delivery<'a> {
    context: &'a Context<'a>,
    load_balancer: &'a LoadBalancerName,
    observation: &'a Observation,
    wanted: Option<BundleName>,
}

impl<'a> Delivery<'a> {
    fn plan(&self, deploys: impl Iterator<Item = &'a DeploySpec>, plan: &mut Plan) {
        if let Some(error) = self.common_name_problem() {
            plan.problems.extend(deploys.map(|deploy| problem(self.context, deploy, error.clone())));
            return;
        }
        let problems_before = plan.problems.len();
        let mut binds = Vec::new();
        let mut verifies = Vec::new();
        let renews_content = self.context.is_in_place(self.load_balancer) && !self.is_uploaded();
        for deploy in deploys {
            let listener = self.observation.listeners.get(&deploy.listener);
            let spec = &self.context.spec.version;
            let creates = self.context.creates_listeners(self.load_balancer);
            if let Some(error) = listener_problem(deploy, self.observation, creates, spec.key.family(), &spec.names) {
                plan.problems.push(problem(self.context, deploy, error));
                continue;
            }
            let bind = self.bind(deploy, listener);
            let changes = bind.is_some() || renews_content;
            if let Some(roll_back) = self.waits_after(deploy, renews_content).filter(|_| changes) {
                plan.problems.push(self.waiting_problem(deploy, roll_back));
                continue;
            }
            if let Some(why) = self.verify_reason(deploy, changes) {
                verifies.push(self.step(Action::Verify, Some(deploy), why));
            }
            binds.extend(bind);
        }
        // Where a listener has a problem nothing is removed, so nothing need move out of the way either.
        let mut followers = if plan.problems.len() > problems_before { Vec::new() } else { self.followers() };
        let refers = !binds.is_empty() || (renews_content && !verifies.is_empty());
        if refers && !self.is_uploaded() {
            let why = format!("the version is not on load balancer `{}` yet", self.load_balancer);
            plan.steps.push(self.step(Action::Upload, None, why));
        }
        plan.steps.append(&mut binds);
        plan.steps.append(&mut verifies);
        plan.steps.append(&mut followers);
    }

    /// The rollback that is waited out before this version goes onto `deploy`'s listener again. A content that is replaced
    /// in place is that of every listener that refers to the object, so there each waits for all.
    fn waits_after(&self, deploy: &DeploySpec, renews_content: bool) -> Option<&'a RollBack> {
        let Some(VersionAfter::Current(_)) = self.context.version_after() else { return None };
        let record = self.context.record().filter(|_| self.context.options.waits_after_roll_back)?;
        let deploys = self.context.spec.deploy.iter().filter(|other| other.load_balancer == *self.load_balancer);
        let together = deploys.filter(|other| renews_content || other.listener == deploy.listener);
        let deployments = together.filter_map(|other| record.deployment(&other.load_balancer, &other.listener));
        let waits = deployments.filter_map(|deployment| record.waits_after(deployment, self.context.now));
        waits.max_by_key(|roll_back| roll_back.retry_at)
    }

    fn waiting_problem(&self, deploy: &DeploySpec, roll_back: &RollBack) -> Problem {
        let RollBack { at, count, error, retry_at } = roll_back;
        let times = if *count == 1 { String::new() } else { format!(", {count} times in a row") };
        let subject = format!("listener `{}` of load balancer `{}`", deploy.listener, deploy.load_balancer);
        let error = Error::new(ErrorKind::Verification, "bind", subject)
            .said(format!(
                "what was there before was put back at {}{times}: {error}; it is tried again at {}",
                seconds(*at),
                seconds(*retry_at)
            ))
            .with_hint(format!(
                "mend the cause, then start the daemon anew, or run `certferry apply --only {}` while it does not run: \
                 both try at once",
                self.context.spec.name
            ));
        Problem { stage: Stage::Verify, ..problem(self.context, deploy, error) }
    }

    /// Some load balancers name a certificate by its common name and refuse one without; the CA's profile decides.
    fn common_name_problem(&self) -> Option<Error> {
        let needed = self.context.capabilities.get(self.load_balancer)?.needs_common_name;
        let VersionAfter::Current(version) = self.context.version_after()? else { return None };
        let leaf = version.leaf.as_ref()?;
        (needed && leaf.common_name.is_none()).then(|| {
            Error::new(ErrorKind::Invalid, "deploy", format!("load balancer `{}`", self.load_balancer))
                .said("it needs a certificate with a common name, and the CA left it out")
                .with_hint("choose a profile that keeps the common name (Let's Encrypt: `profile: classic`)")
        })
    }

    fn bind(&self, deploy: &DeploySpec, listener: Option<&ListenerObservation>) -> Option<Step> {
        let Some(listener) = listener else {
            return Some(self.step(Action::CreateListener, Some(deploy), "there is no such listener yet".to_owned()));
        };
        if self.wanted.as_ref().is_some_and(|wanted| listener.refers_to(wanted)) {
            return None;
        }
        let VersionSpec { names, key, .. } = &self.context.spec.version;
        let why = match (listener.predecessor(key.family(), names), listener.bundles.as_slice()) {
            (Some(bound), _) => format!("it serves bundle `{bound}`"),
            (None, []) => "it has no bundle".to_owned(),
            (None, _) => format!("it has no bundle with an {} key for these names", key.family()),
        };
        Some(self.step(Action::Bind(Place::Listener(deploy.listener.clone())), Some(deploy), why))
    }

    /// Places that the config does not name but that refer to a superseded bundle of this certificate: they move along,
    /// once the new one is verified, since the old one is about to be removed. A listener that could not serve the new one
    /// keeps the old.
    fn followers(&self) -> Vec<Step> {
        let superseded = self.superseded();
        if superseded.is_empty() {
            return Vec::new();
        }
        self.observation
            .references()
            .filter(|(place, bundle)| superseded.contains(bundle) && self.may_follow(place))
            .map(|(place, bundle)| {
                let why = format!("it serves bundle `{bundle}`, which is superseded");
                let mut step = self.step(Action::Bind(place.clone()), None, why);
                match place {
                    Place::BackendSet(_) => step.object = Some(place.to_string()),
                    Place::Listener(name) => step.listener = Some(name),
                }
                step
            })
            .collect()
    }

    fn superseded(&self) -> BTreeSet<&'a BundleName> {
        let here = self.context.own_bundles.iter().filter(|record| record.load_balancer == *self.load_balancer);
        here.map(|record| &record.name).filter(|name| self.wanted.as_ref() != Some(name)).collect()
    }

    /// A listener to which the config deploys a certificate, be it this one or another, is bound by that deployment alone.
    fn may_follow(&self, place: &Place) -> bool {
        let Place::Listener(name) = place else { return true };
        let deploys_there = |spec: &CertificateSpec| {
            spec.deploy.iter().any(|deploy| deploy.load_balancer == *self.load_balancer && deploy.listener == *name)
        };
        // Its own deployments first: the rest of the config is only looked through for a real follower.
        if deploys_there(self.context.spec) || self.context.desired.certificates.iter().any(deploys_there) {
            return false;
        }
        let VersionSpec { names, key, .. } = &self.context.spec.version;
        self.observation.listeners.get(name).is_some_and(|listener| unfit(listener, key.family(), names).is_none())
    }

    fn is_uploaded(&self) -> bool {
        let (Some(wanted), Some(VersionAfter::Current(version))) = (&self.wanted, self.context.version_after()) else {
            return false;
        };
        let leaf = version.leaf.as_ref().map(|leaf| leaf.sha256);
        // A digest that cannot be read is not held against the bundle: the upload compares again. But an object in which
        // the load balancer has made the key is there before it holds a certificate.
        let may_be_unreadable = version.spec.key_holder == KeyHolder::Store;
        let holds = |digest: &Option<Sha256>| *digest == leaf || (digest.is_none() && may_be_unreadable);
        self.observation.bundles.get(wanted).is_some_and(holds)
    }

    fn verify_reason(&self, deploy: &DeploySpec, binds: bool) -> Option<String> {
        let version = match self.context.version_after()? {
            VersionAfter::Current(version) if !binds => version,
            VersionAfter::Current(_) | VersionAfter::New => {
                return Some("a new bundle is bound".to_owned());
            }
        };
        let leaf = version.leaf.as_ref()?;
        let key = (self.load_balancer.clone(), deploy.listener.clone());
        let served = self.context.observed.served.get(&self.context.spec.name).and_then(|served| served.get(&key));
        let served = served.map_or(&[][..], Vec::as_slice);
        if let Some(other) = served.iter().find(|served| !serves(served, leaf.sha256)) {
            return Some(describe(other));
        }
        let record = self.context.record()?.deployment(self.load_balancer, &deploy.listener);
        match record {
            Some(record) if record.state == DeploymentState::Verified && record.version == version.id => None,
            _ => Some("it was not verified yet".to_owned()),
        }
    }

    fn step(&self, action: Action, deploy: Option<&DeploySpec>, why: String) -> Step {
        let object = match action {
            Action::CreateListener => deploy.map(|deploy| deploy.listener.to_string()),
            _ => self.wanted.as_ref().map(BundleName::to_string),
        };
        Step {
            action,
            certificate: Some(self.context.spec.name.clone()),
            load_balancer: Some(self.load_balancer.clone()),
            listener: deploy.map(|deploy| deploy.listener.clone()),
            object,
            why,
        }
    }
}

const LISTENERS_IN_HINT: usize = 20;

fn serves(served: &Served, leaf: Sha256) -> bool {
    served.answer.as_ref().is_ok_and(|chain| chain.leaf.sha256 == leaf)
}

fn describe(served: &Served) -> String {
    let Served { address, server_name, answer } = served;
    match answer {
        Ok(chain) => format!("{address} serves serial {} for {server_name}", chain.leaf.serial),
        Err(error) => format!("{address} does not serve {server_name}: {error}"),
    }
}

fn problem(context: &Context<'_>, deploy: &DeploySpec, error: Error) -> Problem {
    Problem {
        stage: Stage::Deliver,
        certificate: context.spec.name.clone(),
        load_balancer: Some(deploy.load_balancer.clone()),
        listener: Some(deploy.listener.clone()),
        error: error.for_certificate(&context.spec.name),
    }
}
