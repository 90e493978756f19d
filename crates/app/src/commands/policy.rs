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
    let (dynamic_group, text, grant) = match &load_balancer.provider {
        Provider::Avi(avi) => (None, avi::policy(avi), Grant::Role(avi::role(avi))),
        Provider::Oci(oci) => {
            let statements = oci::policy(oci, &oci::PolicyScope::default());
            (oci::dynamic_group(oci), statements.join("\n"), Grant::Statements(statements))
        }
    };
    if global.wants_json() {
        output::json(&PolicyDocument { load_balancer: name.as_str(), dynamic_group, grant });
    } else {
        if let Some(rule) = dynamic_group {
            output::line(&format!("Matching rule of the dynamic group: {rule}\n"));
        }
        output::line(text.trim_end());
    }
    Ok(Exit::Healthy)
}

/// `policy --output json`.
#[derive(Serialize)]
struct PolicyDocument<'a> {
    load_balancer: &'a str,
    /// The matching rule of the dynamic group that the statements name, where they name one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dynamic_group: Option<&'a str>,
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
