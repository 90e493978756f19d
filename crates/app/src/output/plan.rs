//! A plan, printed.

use certferry_core::plan::{Plan, Step};
use serde::Serialize;

use crate::output::{table, table_within};

/// `plan --output json`: `{"steps":[{"action","certificate","load_balancer","listener","object","why"}]}`, keys absent
/// where they do not apply.
#[derive(Serialize)]
pub(crate) struct PlanDocument<'a> {
    steps: Vec<StepRow<'a>>,
}

#[derive(Serialize)]
struct StepRow<'a> {
    action: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_balancer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<&'a str>,
    why: &'a str,
}

impl<'a> From<&'a Plan> for PlanDocument<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self { steps: plan.steps.iter().map(StepRow::from).collect() }
    }
}

impl<'a> From<&'a Step> for StepRow<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            action: step.action.as_str(),
            certificate: step.certificate.as_ref().map(|name| name.as_str()),
            load_balancer: step.load_balancer.as_ref().map(|name| name.as_str()),
            listener: step.listener.as_ref().map(|name| name.as_str()),
            object: step.object.as_deref(),
            why: &step.why,
        }
    }
}

/// The plan for people, a line for each step.
pub(crate) fn plan_text(plan: &Plan) -> String {
    text(plan, table)
}

/// The same in lines of at most `width` characters.
pub(crate) fn plan_text_within(plan: &Plan, width: u16) -> String {
    text(plan, |head, rows| table_within(width, head, rows))
}

fn text(plan: &Plan, table: impl FnOnce([&str; 5], Vec<[String; 5]>) -> String) -> String {
    if plan.steps.is_empty() {
        return "nothing to do".to_owned();
    }
    let rows = plan.steps.iter().map(StepRow::from).map(|row| {
        let on = [row.load_balancer, row.listener].into_iter().flatten().collect::<Vec<_>>().join("/");
        [
            row.certificate.unwrap_or("-").to_owned(),
            row.action.to_owned(),
            on,
            row.object.unwrap_or_default().to_owned(),
            row.why.to_owned(),
        ]
    });
    let rows = rows.collect();
    let count = plan.steps.len();
    let noun = if count == 1 { "step" } else { "steps" };
    format!("{}\n\n{count} {noun}", table(["certificate", "action", "on", "object", "why"], rows))
}
