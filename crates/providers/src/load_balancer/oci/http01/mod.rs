//! How a CA's http-01 requests come through the load balancer to the responder: backend set, route, listener on port 80.
//! All of it is computed from the load balancer as it was read; nothing of other people is removed or redirected.

mod backend_set;
mod listener;
mod route;

use std::net::SocketAddr;

use certferry_core::ErrorKind;
use certferry_core::observed::{Http01Change, Http01Observation, Obstacle};
use serde_json::Value;

use super::change::{Change, Problem};
use super::config::Http01Config;
use super::model::addresses;

/// Under which a CA looks (RFC 8555 §8.3).
const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Where a CA connects to (RFC 8555 §8.3).
const HTTP_PORT: u16 = 80;

/// The path as it stands, and what is missing.
pub(super) fn observation(load_balancer: &Value, config: &Http01Config) -> Http01Observation {
    let assessment = assess(load_balancer, config);
    let own = || addresses(load_balancer).into_iter().map(|address| SocketAddr::new(address, HTTP_PORT));
    Http01Observation {
        changes: assessment.steps.into_iter().map(|step| step.shown).collect(),
        obstacle: assessment.obstacle,
        probe: if config.probe.is_empty() { own().collect() } else { config.probe.clone() },
    }
}

/// The change to one object that an earlier observation listed; `None` when it is no longer needed.
pub(super) fn change(load_balancer: &Value, config: &Http01Config, object: &str) -> Result<Option<Change>, Problem> {
    let assessment = assess(load_balancer, config);
    if let Some(step) = assessment.steps.into_iter().find(|step| step.shown.object == object) {
        return Ok(Some(step.change));
    }
    match assessment.obstacle {
        None => Ok(None),
        Some(obstacle) => Err(Problem {
            kind: ErrorKind::Invalid,
            operation: "preparing http-01",
            object: obstacle.object,
            said: obstacle.what,
            hint: obstacle.fix,
        }),
    }
}

/// One change, as shown and as made.
struct Step {
    shown: Http01Change,
    change: Change,
}

impl Step {
    fn new(change: Change, why: impl Into<String>) -> Self {
        Self { shown: Http01Change { object: change.object.clone(), why: why.into() }, change }
    }
}

struct Assessment {
    steps: Vec<Step>,
    obstacle: Option<Obstacle>,
}

/// The backend set comes first and even when the listener is blocked: the way out may be to route to it by hand.
fn assess(load_balancer: &Value, config: &Http01Config) -> Assessment {
    let mut steps = match backend_set::steps(load_balancer, config) {
        Ok(steps) => steps,
        Err(obstacle) => return Assessment { steps: Vec::new(), obstacle: Some(obstacle) },
    };
    match listener::steps(load_balancer, config) {
        Ok(more) => {
            steps.extend(more);
            Assessment { steps, obstacle: None }
        }
        Err(obstacle) => Assessment { steps, obstacle: Some(obstacle) },
    }
}

#[cfg(test)]
mod tests;
