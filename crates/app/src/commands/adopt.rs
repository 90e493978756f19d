//! `certferry adopt LB LISTENER`: what that listener serves, put under management. Never touches the load balancer.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use certferry_core::plan::{Plan, PlanOptions};
use certferry_core::recorded::Recorded;
use certferry_core::{BundleName, IssuerName, ListenerName, LoadBalancerName, SystemClock};
use certferry_engine::{Engine, Limits, Responder};

use crate::adoption::{Adoption, Wanted, adoption};
use crate::cli::{Adopt, GlobalOptions};
use crate::commands::{NEXT_WAKE, known_load_balancer};
use crate::config::{self, Config, ConfigError, NewCertificate, Provider, with_certificates};
use crate::exit::Exit;
use crate::failure::{Failure, complain_of};
use crate::output::{self, AdoptionDocument, adoption_text};
use crate::progress::Progress;
use crate::{private_file, wiring};

pub(crate) async fn run(global: &GlobalOptions, asked: &Adopt) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let text = config::text(&config.path)?;
    let (load_balancer, configured) = known_load_balancer(&asked.load_balancer, &config)?;
    let listener: ListenerName = asked.listener.parse()?;
    let name = asked.name.as_deref().map(str::parse).transpose()?;
    let issuer = asked.issuer.as_deref().map(str::parse::<IssuerName>).transpose()?;
    let inventory = {
        let reader = wiring::load_balancer(load_balancer, &naming(&configured.provider, &listener))?;
        let inventory = reader.inventory().await;
        reader.close().await;
        inventory?
    };
    let wanted = Wanted { load_balancer, listener: &listener, name: name.as_ref(), issuer: issuer.as_ref() };
    let adopted = adoption(&wanted, &config, &inventory)?;
    let new: Vec<NewCertificate> = adopted.certificates.iter().map(|(certificate, _)| certificate.clone()).collect();
    let extended = with_certificates(&text, &new);
    let checked = extended.as_ref().ok().map(|extended| config::check(&config.path, extended));
    let recorded = wiring::store_to_read(&config).await?.recorded().await?;
    let plan = match &checked {
        Some(Ok(extended)) => Some(plan(extended, &new).await?),
        _ => None,
    };
    let is_written = match (asked.write, &extended, &checked) {
        (true, Ok(extended), Some(Ok(_))) => {
            write(&config.path, &text, extended)?;
            true
        }
        _ => false,
    };
    let fates = fates(load_balancer, &adopted, &recorded);
    let document = AdoptionDocument::new(&wanted, &adopted, &fates, plan.as_ref(), is_written);
    if global.wants_json() {
        output::json(&document);
    } else {
        output::line(&adoption_text(&document, plan.as_ref(), &config.path));
    }
    Ok(finish(&config, asked.write, &extended, checked, plan.as_ref()))
}

/// On an Avi controller, a listener may be named by a host name that leads to its virtual service.
fn naming(provider: &Provider, listener: &ListenerName) -> Provider {
    let mut provider = provider.clone();
    if let Provider::Avi(avi) = &mut provider {
        avi.listeners.insert(listener.clone());
    }
    provider
}

/// What apply would do for the new certificates.
async fn plan(config: &Config, new: &[NewCertificate]) -> Result<Plan, Failure> {
    let only: BTreeSet<_> = new.iter().map(|certificate| certificate.name.clone()).collect();
    let options = PlanOptions { only, next_wake: NEXT_WAKE, ..PlanOptions::default() };
    let store = wiring::store_to_read(config).await?;
    let progress = Arc::new(Progress::new(false));
    let parts = wiring::parts(config, store, progress, Arc::new(SystemClock), Responder::default()).await?;
    let engine = Engine::new(config.desired.clone(), parts, Limits::default());
    let plan = engine.plan(&options).await;
    engine.close().await;
    Ok(plan?)
}

/// What becomes of the bundles that are served now.
fn fates(load_balancer: &LoadBalancerName, adopted: &Adoption, recorded: &Recorded) -> Vec<String> {
    let is_own = |bundle: &BundleName| {
        recorded.bundles.iter().any(|record| record.load_balancer == *load_balancer && record.name == *bundle)
    };
    let fate = |(_, bundle): &(NewCertificate, BundleName)| match is_own(bundle) {
        true => {
            format!("bundle `{bundle}` is one that certferry made: it is removed when nothing refers to it any more")
        }
        false => format!("bundle `{bundle}` stays on the load balancer, because certferry did not make it"),
    };
    adopted.certificates.iter().map(fate).collect()
}

/// Says what keeps the config from being extended; the exit code is that of a wrong config.
fn finish(
    config: &Config,
    asked_to_write: bool,
    extended: &Result<String, String>,
    checked: Option<Result<Config, ConfigError>>,
    plan: Option<&Plan>,
) -> Exit {
    let file = config.path.display();
    let untouched = if asked_to_write { "; the file was left as it is" } else { "" };
    if let Err(why) = extended {
        let by_hand = "write the entry into the file by hand, below the others";
        let level = if asked_to_write { "error" } else { "warning" };
        output::complain(&format!(
            "{level}: {file} cannot be extended with certainty: {why}{untouched}\n  hint: {by_hand}\n"
        ));
        return if asked_to_write { Exit::Usage } else { Exit::Healthy };
    }
    if let Some(Err(error)) = checked {
        output::complain(&format!("error: with this entry, the config is not good{untouched}: {error}\n"));
        return Exit::Usage;
    }
    complain_of(plan.map_or(&[][..], |plan| &plan.problems));
    Exit::Healthy
}

/// Puts the text in the place of the file: as a whole or not at all, with the owner and mode that it had.
fn write(path: &Path, before: &str, after: &str) -> Result<(), Failure> {
    let failed = |source| Failure::Machine { what: format!("{} cannot be written", path.display()), source };
    // A link stays a link.
    let path = std::fs::canonicalize(path).map_err(failed)?;
    if config::text(&path)? != before {
        return Err(Failure::Usage(format!("{} was changed in the meantime; run this again", path.display())));
    }
    private_file::replace(&path, after.as_bytes()).map_err(failed)
}
