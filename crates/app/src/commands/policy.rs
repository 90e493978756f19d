//! `certferry policy LB`: the least-privilege grant that this config needs there.

use certferry_core::LoadBalancerName;
use certferry_providers::load_balancer::{avi, oci};
use serde::Serialize;

use crate::cli::GlobalOptions;
use crate::config::Provider;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(global: &GlobalOptions, name: &str) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let name: LoadBalancerName = name.parse()?;
    let Some(load_balancer) = config.load_balancers.get(&name) else {
        let known = config.load_balancers.keys().map(LoadBalancerName::as_str).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!("the config has no load balancer `{name}`; it has: {known}")));
    };
    let statement = match &load_balancer.provider {
        Provider::Avi(avi) => avi::policy(avi),
        Provider::Oci(oci) => oci::policy(oci, &oci::PolicyScope::default()),
    };
    if global.wants_json() {
        output::json(&PolicyDocument { load_balancer: name.as_str(), statements: vec![statement.trim_end()] });
    } else {
        output::line(statement.trim_end());
    }
    Ok(Exit::Healthy)
}

/// `policy --output json`.
#[derive(Serialize)]
struct PolicyDocument<'a> {
    load_balancer: &'a str,
    statements: Vec<&'a str>,
}
