//! The set-up of a controller, printed.

use certferry_core::LoadBalancerName;
use certferry_providers::load_balancer::avi::{SetupAction, SetupField, SetupStep};
use serde::Serialize;

/// `avi install-control-script --output json`: the steps, and how many of them were done.
#[derive(Serialize)]
pub(crate) struct SetupDocument<'a> {
    load_balancer: &'a str,
    done: usize,
    steps: Vec<StepRow<'a>>,
}

#[derive(Serialize)]
struct StepRow<'a> {
    action: SetupAction,
    object: &'a str,
    why: &'a str,
    fields: &'a [SetupField],
}

impl<'a> SetupDocument<'a> {
    /// The document for these steps.
    pub(crate) fn new(load_balancer: &'a LoadBalancerName, steps: &'a [SetupStep], done: usize) -> Self {
        let row = |step: &'a SetupStep| StepRow {
            action: step.what,
            object: &step.object,
            why: &step.why,
            fields: &step.fields,
        };
        Self { load_balancer: load_balancer.as_str(), done, steps: steps.iter().map(row).collect() }
    }
}

/// The steps for people, numbered, each field on a line of its own.
pub(crate) fn setup_text(steps: &[SetupStep]) -> String {
    if steps.is_empty() {
        return "nothing to do".to_owned();
    }
    let mut lines = Vec::new();
    for (number, step) in (1..).zip(steps) {
        // Where fields differ, the reason is those fields.
        let differs = step.what == SetupAction::Update && step.fields.iter().any(|field| field.found.is_some());
        lines.push(match differs {
            true => format!("{number}. {} {}", step.what, step.object),
            false => format!("{number}. {step}"),
        });
        lines.extend(step.fields.iter().map(|field| field_line(field, step.what)));
    }
    let count = steps.len();
    let noun = if count == 1 { "step" } else { "steps" };
    lines.push(format!("\n{count} {noun}"));
    lines.join("\n")
}

fn field_line(field: &SetupField, action: SetupAction) -> String {
    let SetupField { name, found, wanted } = field;
    match (found, action) {
        (Some(found), _) => format!("     {name}: {} -> {wanted}", harmless(found)),
        (None, SetupAction::Update) if wanted == SECRET => format!("     {name}: written again"),
        (None, _) => format!("     {name}: {wanted}"),
    }
}

/// What stands on a controller may be anybody's.
fn harmless(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// What stands in place of a secret.
const SECRET: &str = "(secret)";
