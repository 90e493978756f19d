//! `certferry deploy-hook`: certbot's deploy hook. Takes over the certificate that certbot has just got, and delivers it.
//! Nothing is ever ordered here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use certferry_core::desired::{CertificateSpec, Desired, RenewedBy};
use certferry_core::plan::PlanOptions;
use certferry_core::port::Store;
use certferry_core::recorded::{DeploymentState, Version};
use certferry_core::{CertificateName, Clock, Error, ErrorKind, SystemClock};
use certferry_engine::{Engine, HandedOver, Limits, Report, Responder};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::certbot::{NoMatch, Pair, certificate_for};
use crate::cli::{DeployHook, GlobalOptions};
use crate::commands::{NEXT_WAKE, known_certificate};
use crate::config::Config;
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
use crate::output;
use crate::progress::Progress;
use crate::wiring;

pub(crate) async fn run(global: &GlobalOptions, arguments: &DeployHook) -> Result<Exit, Failure> {
    let environment = Environment::of_certbot(global)?;
    let config = global.load_config()?;
    let pair = environment.pair()?;
    let spec = wanted(&pair, arguments.certificate.as_deref(), &config.desired)?;
    let handed = handed_over(pair, spec)?;
    let store = wiring::store(&config).await?;
    let notify = Arc::new(Progress::new(!global.wants_json()));
    let parts = wiring::parts(&config, store.clone(), notify, Arc::new(SystemClock), Responder::default()).await?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let hook = Hook { config: &config, engine: &engine, store, handed };
    let outcome = hook.carry_out(arguments.wait.into()).await;
    engine.close().await;
    outcome.map(|(exit, taken)| {
        hook.tell(global, exit, taken);
        exit
    })
}

/// What certbot tells its deploy hooks.
struct Environment {
    lineage: PathBuf,
    domains: Option<String>,
}

impl Environment {
    fn of_certbot(global: &GlobalOptions) -> Result<Self, Failure> {
        let lineage = std::env::var_os("RENEWED_LINEAGE").filter(|lineage| !lineage.is_empty());
        let domains = std::env::var("RENEWED_DOMAINS").ok();
        let Some(lineage) = lineage else { return Err(Failure::Usage(missing_environment(global.config.as_deref()))) };
        Ok(Self { lineage: lineage.into(), domains })
    }

    /// The certificate; what is said of its names must be so.
    fn pair(&self) -> Result<Pair, Failure> {
        let pair = Pair::read(&self.lineage).map_err(|error| {
            Error::new(ErrorKind::Invalid, "deploy-hook", format!("lineage {}", self.lineage.display()))
                .said(error.to_string())
        })?;
        // certbot cuts the list where it is longer than an environment takes.
        let Some(domains) = self.domains.as_ref().filter(|domains| domains.len() < SHORTEST_CUT) else {
            return Ok(pair);
        };
        let mut said: Vec<String> = domains.split_whitespace().map(str::to_ascii_lowercase).collect();
        said.sort_unstable();
        said.dedup();
        let mut names: Vec<String> = pair.names.iter().map(ToString::to_string).collect();
        names.sort_unstable();
        if said != names {
            return Err(Failure::Usage(format!(
                "RENEWED_DOMAINS says `{domains}`, and the certificate in {} is for {}",
                self.lineage.display(),
                names.join(", ")
            )));
        }
        Ok(pair)
    }
}

fn missing_environment(config: Option<&Path>) -> String {
    let config = config.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let path = config.map_or_else(|| "/etc/certferry/certferry.yaml".to_owned(), |path| path.display().to_string());
    format!(
        "RENEWED_LINEAGE is not set: certbot sets it for its deploy hooks. Put this line into /etc/letsencrypt/cli.ini, for \
         all lineages:\n    deploy-hook = certferry deploy-hook --config {path}\nor name the hook for one of them: `certbot \
         reconfigure --cert-name NAME --deploy-hook 'certferry deploy-hook --config {path}'`"
    )
}

/// The certificate of the config that this is a version of, which certbot must be said to renew.
fn wanted<'a>(pair: &Pair, name: Option<&str>, desired: &'a Desired) -> Result<&'a CertificateSpec, Failure> {
    let names = || pair.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let spec = match name {
        Some(name) => {
            let name: CertificateName = name.parse()?;
            known_certificate(&name, desired)?;
            let named = desired.certificates.iter().find(|spec| spec.name == name);
            named.filter(|spec| spec.version.names == pair.names).ok_or_else(|| {
                Failure::Usage(format!("certificate `{name}` of the config has other names than this one: {}", names()))
            })?
        }
        None => certificate_for(desired, pair).map_err(|error| match error {
            NoMatch::None => Failure::Usage(format!(
                "no certificate of the config has exactly these names; add:\ncertificates:\n  NAME:\n    names: [{}]\n    \
                 renewed-by: certbot\n    key: {}\n    deploy: [{{ load-balancer: …, listener: … }}]",
                names(),
                pair.key.key_type
            )),
            NoMatch::Several(specs) => {
                let known = specs.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>().join(", ");
                Failure::Usage(format!("several certificates have these names: {known}; say which with --certificate NAME"))
            }
        })?,
    };
    match spec.renewed_by {
        RenewedBy::Certbot => Ok(spec),
        RenewedBy::Certferry => Err(Failure::Usage(format!(
            "certferry renews certificate `{name}` itself, and two must not: write `renewed-by: certbot` into it, or take \
             the lineage over for good with `certferry import certbot` and remove it from certbot",
            name = spec.name
        ))),
    }
}

fn handed_over(pair: Pair, spec: &CertificateSpec) -> Result<HandedOver, Failure> {
    let version = pair.version_spec(spec).map_err(Failure::Usage)?;
    let ended = pair.chain.leaf().not_after;
    if ended <= SystemClock.now() {
        return Err(Failure::Usage(format!("the certificate in {} ended at {}", pair.from, output::instant(ended))));
    }
    Ok(HandedOver {
        certificate: spec.name.clone(),
        spec: version,
        chain: pair.chain,
        private_key: pair.key.pem,
        from: pair.from,
    })
}

struct Hook<'a> {
    config: &'a Config,
    engine: &'a Engine,
    store: Arc<dyn Store>,
    handed: HandedOver,
}

impl Hook<'_> {
    /// Takes the version over first: from then on, whatever happens here, a later run delivers it. Gives whether it was new.
    async fn carry_out(&self, wait: Duration) -> Result<(Exit, bool), Failure> {
        let taken = match self.current().await?.filter(|version| self.is_handed(version)) {
            Some(_) => false,
            None => {
                self.engine.take_over(&self.handed).await?;
                true
            }
        };
        let end = Instant::now() + wait;
        loop {
            match self.engine.lease("certferry deploy-hook").await {
                Ok(lease) => return Ok((self.deliver(lease).await?, taken)),
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    // Whoever holds the store delivers it, if it is the daemon.
                    if let Some(exit) = self.delivered_by_another().await? {
                        return Ok((exit, taken));
                    }
                    if Instant::now() >= end {
                        let hint =
                            "the certificate is taken over: the daemon, or the next `certferry apply`, delivers it";
                        complain(&error.with_hint(hint).for_certificate(&self.handed.certificate));
                        return Ok((Exit::DeliveryFailed, taken));
                    }
                }
                Err(error) => return Err(error.into()),
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn deliver(&self, lease: certferry_core::port::Lease) -> Result<Exit, Failure> {
        let only = [self.handed.certificate.clone()].into();
        let options = PlanOptions { only, next_wake: NEXT_WAKE, ..PlanOptions::default() };
        let run = self.engine.begin_under(Arc::new(lease), &options).await?;
        let report: Report = run.carry_out(Ok(())).await;
        complain_of(&report.failures);
        Ok(report.worst().into())
    }

    /// How it came out where somebody else has delivered it; `None` while that is not known.
    async fn delivered_by_another(&self) -> Result<Option<Exit>, Failure> {
        let recorded = self.store.recorded().await?;
        let name = &self.handed.certificate;
        let Some(record) = recorded.certificate(name) else { return Ok(None) };
        let Some(current) = record.current.as_ref() else { return Ok(None) };
        let spec = self.config.desired.certificates.iter().find(|spec| spec.name == *name);
        let deploys = spec.map(|spec| spec.deploy.as_slice()).unwrap_or_default();
        let mut exit = Exit::Healthy;
        for deploy in deploys {
            let deployment = record.deployment(&deploy.load_balancer, &deploy.listener);
            let Some(deployment) = deployment.filter(|one| one.version == current.id) else { return Ok(None) };
            match deployment.state {
                DeploymentState::Verified => {}
                DeploymentState::Failed => {
                    let subject = format!("listener `{}` of load balancer `{}`", deploy.listener, deploy.load_balancer);
                    let said = deployment.last_error.as_deref().unwrap_or("no reason is recorded");
                    complain(&Error::new(ErrorKind::Unexpected, "deploy", subject).said(said).for_certificate(name));
                    exit = Exit::DeliveryFailed;
                }
                DeploymentState::Bound | DeploymentState::Pending | DeploymentState::Uploaded => return Ok(None),
            }
        }
        Ok(Some(exit))
    }

    async fn current(&self) -> Result<Option<Version>, Failure> {
        let recorded = self.store.recorded().await?;
        Ok(recorded.certificate(&self.handed.certificate).and_then(|record| record.current.clone()))
    }

    fn is_handed(&self, version: &Version) -> bool {
        let digest = self.handed.chain.leaf().sha256;
        version.spec == self.handed.spec && version.leaf.as_ref().is_some_and(|leaf| leaf.sha256 == digest)
    }

    fn tell(&self, global: &GlobalOptions, exit: Exit, taken: bool) {
        let serial = &self.handed.chain.leaf().serial;
        let delivered = exit == Exit::Healthy;
        let certificate = self.handed.certificate.as_str();
        if global.wants_json() {
            output::json(&DeployHookDocument { certificate, serial: serial.as_str(), taken_over: taken, delivered });
            return;
        }
        let outcome =
            if delivered { "delivered and verified" } else { "NOT delivered: later `certferry apply` runs go on" };
        let how = if taken { "taken over" } else { "known before" };
        output::line(&format!("certificate `{certificate}`, serial {serial}: {how}, {outcome}"));
    }
}

fn complain(error: &Error) {
    output::complain(&Failure::from(error.clone()).render());
}

/// `deploy-hook --output json`.
#[derive(Serialize)]
struct DeployHookDocument<'a> {
    certificate: &'a str,
    serial: &'a str,
    taken_over: bool,
    delivered: bool,
}

/// How soon the lease is asked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// certbot cuts RENEWED_DOMAINS at 16 or 32 thousand characters, by what it is for.
const SHORTEST_CUT: usize = 16_000;
