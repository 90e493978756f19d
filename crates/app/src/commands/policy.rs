//! `certferry policy LB`: the least-privilege grant that this config needs there.

use certferry_providers::load_balancer::{avi, oci};
use serde::Serialize;
use serde_json::Value;

use crate::cli::GlobalOptions;
use crate::commands::known_load_balancer;
use crate::config::Provider;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output;

pub(crate) fn run(global: &GlobalOptions, name: &str) -> Result<Exit, Failure> {
    let config = global.load_config()?;
    let (name, load_balancer) = known_load_balancer(name, &config)?;
    let (text, grant) = match &load_balancer.provider {
        Provider::Avi(avi) => (avi::policy(avi), Grant::Role(avi::role(avi))),
        Provider::Oci(oci) => {
            let statement = oci::policy(oci, &oci::PolicyScope::default());
            (statement.clone(), Grant::Statements(vec![statement.trim_end().to_owned()]))
        }
    };
    if global.wants_json() {
        output::json(&PolicyDocument { load_balancer: name.as_str(), grant });
    } else {
        output::line(text.trim_end());
    }
    Ok(Exit::Healthy)
}

/// `policy --output json`.
#[derive(Serialize)]
struct PolicyDocument<'a> {
    load_balancer: &'a str,
    #[serde(flatten)]
    grant: Grant,
}

/// In the other side's words.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Grant {
    /// As `POST /api/role` of an Avi controller takes it.
    Role(Value),
    /// Of an OCI policy.
    Statements(Vec<String>),
}
