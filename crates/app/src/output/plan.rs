//! A plan, printed.

use certferry_core::plan::{Plan, Step};
use serde::Serialize;

use crate::output::{ProblemRow, table, table_within};

/// `plan --output json`: `{"steps":[{"action","certificate","load_balancer","listener","object","why"}],"problems":[…]}`,
/// keys of a step absent where they do not apply; `problems` as `failures` of `apply`.
#[derive(Serialize)]
pub(crate) struct PlanDocument<'a> {
    steps: Vec<StepRow<'a>>,
    problems: Vec<ProblemRow>,
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
        Self {
            steps: plan.steps.iter().map(StepRow::from).collect(),
            problems: plan.problems.iter().map(ProblemRow::from).collect(),
        }
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

#[cfg(test)]
mod tests {
    use certferry_core::plan::{Problem, Stage};
    use certferry_core::{Error, ErrorKind};

    use super::*;

    #[test]
    fn what_stands_in_the_way_is_in_the_document() {
        let error = Error::new(ErrorKind::Denied, "GetLoadBalancer", "load balancer `front`").with_hint("the policy?");
        let said = error.to_string();
        let problem = Problem {
            certificate: "www".parse().unwrap(),
            load_balancer: Some("front".parse().unwrap()),
            listener: None,
            stage: Stage::Deliver,
            error,
        };
        let plan = Plan { problems: vec![problem], ..Plan::default() };
        let expected = serde_json::json!({
            "steps": [],
            "problems": [{ "certificate": "www", "load_balancer": "front", "error": said, "hint": "the policy?" }],
        });
        assert_eq!(serde_json::to_value(PlanDocument::from(&plan)).unwrap(), expected);
    }
}
