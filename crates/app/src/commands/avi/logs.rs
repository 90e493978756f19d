//! `certferry avi logs`: the CA's requests for challenges, as the virtual services logged them.

use std::time::Duration;

use certferry_core::port::LoadBalancer as _;
use certferry_core::{ListenerName, NameError};
use certferry_providers::load_balancer::avi::RequestLogQuery;
use jiff::SignedDuration;

use super::{known, tenant, usage};
use crate::cli::{AviLogs, GlobalOptions};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{self, RequestsDocument, requests_text};

pub(crate) async fn run(global: &GlobalOptions, arguments: &AviLogs) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let (name, _, avi) = known(&arguments.load_balancer, &config)?;
    let listeners = arguments.virtual_service.iter().map(|name| name.parse());
    let query = RequestLogQuery {
        virtual_services: listeners.collect::<Result<Vec<ListenerName>, NameError>>()?,
        within: within(&arguments.within)?,
        host: arguments.name.as_deref().map(str::parse).transpose()?,
        token: None,
        limit: usize::try_from(arguments.limit).unwrap_or(usize::MAX),
    };
    let tenant = tenant(name, avi.clone())?;
    let requests = tenant.validation_requests(&query).await;
    tenant.close().await;
    let requests = requests?;
    if global.wants_json() {
        output::json(&RequestsDocument::new(name, &requests));
    } else {
        output::line(&requests_text(&requests, &arguments.within));
    }
    Ok(Exit::Healthy)
}

fn within(text: &str) -> Result<Duration, Failure> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    match parsed {
        Some(within) if (SHORTEST..=LONGEST).contains(&within) => Ok(within),
        _ => Err(usage(
            format!("`--within {}` is no duration from 1 s to 30 days", text.escape_debug()),
            "write `90s`, `10m`, `1h 30m` or `168h`",
        )),
    }
}

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
