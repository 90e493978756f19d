//! Is the path of http-01 requests complete?

use super::super::*;
use super::world::{DUE, World, at};
use crate::error::Error;
use crate::observed::{Http01Change, Http01Observation, Obstacle};

fn change(object: &str) -> Http01Change {
    Http01Change { object: object.to_owned(), why: format!("{object} is missing") }
}

fn obstacle() -> Obstacle {
    let [object, what, fix] =
        ["rule set `redirect`", "it redirects every path", "except the challenges' path"].map(String::from);
    Obstacle { object, what, fix }
}

/// `www` is served, `shop` and `blog` were never issued; all three are validated through `front`.
fn world(path: Http01Observation) -> World {
    let mut world = World::with_deployed(1);
    for name in ["shop", "blog"] {
        world.add_listener("front", name, Some("old"));
        world.add_certificate(name, &[("front", name)]);
    }
    for spec in &mut world.desired.certificates {
        spec.http01 = vec!["front".parse().unwrap()];
    }
    world.load_balancer("front").http01 = Some(path);
    world
}

fn issue_problems(plan: &Plan) -> Vec<String> {
    let problems = plan.problems.iter().filter(|problem| problem.stage == Stage::Issue);
    problems.map(|problem| format!("{}: {}", problem.certificate, problem.error)).collect()
}

#[test]
fn a_missing_path_is_made_once_whoever_uses_it_before_anything_is_issued() {
    let world = world(Http01Observation { changes: vec![change("backend set"), change("rule")], ..Default::default() });
    let plan = world.plan();
    assert_eq!(
        world.lines_of(&plan)[..3],
        ["prepare_http01 front backend set", "prepare_http01 front rule", "issue shop"].map(String::from)
    );
    let prepared = |step: &&Step| matches!(step.action, Action::PrepareHttp01(_));
    assert_eq!(plan.steps.iter().filter(prepared).count(), 2);
    assert_eq!(plan.steps[0].why, "backend set is missing");
    assert_eq!(plan.steps[0].certificate, None);
    assert_eq!(issue_problems(&plan), [""; 0]);
}

#[test]
fn a_path_is_mended_while_nothing_is_due() {
    let mut world = world(Http01Observation { changes: vec![change("rule")], ..Default::default() });
    world.options.only = ["www".parse().unwrap()].into();
    assert_eq!(world.lines(), ["prepare_http01 front rule"]);
}

#[test]
fn an_obstacle_is_a_problem_for_certificates_that_are_due_and_for_no_other() {
    let world = world(Http01Observation { obstacle: Some(obstacle()), ..Default::default() });
    let problems = world.plan().problems;
    let blocked: Vec<_> = problems.iter().map(|problem| problem.certificate.as_str()).collect();
    assert_eq!(blocked, ["shop", "blog"]);
    for problem in problems {
        assert_eq!((problem.stage, problem.error.kind()), (Stage::Issue, ErrorKind::Invalid));
        assert_eq!(problem.load_balancer, Some("front".parse().unwrap()));
        let told = problem.error.to_string();
        for part in ["rule set `redirect` of load balancer `front`", "it redirects every path"] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert_eq!(problem.error.hint(), Some("except the challenges' path"));
    }
}

#[test]
fn a_load_balancer_that_carries_challenges_only_is_a_problem_of_certificates_that_are_due() {
    let mut world = World::with_deployed(1);
    world.want("www").http01 = vec!["edge".parse().unwrap()];
    world.add_load_balancer("edge", Replacement::SideBySide);
    world.break_load_balancer("edge", Error::new(ErrorKind::Unavailable, "GetLoadBalancer", "load balancer `edge`"));
    assert_eq!(issue_problems(&world.plan()), [""; 0]);
    world.now = at(DUE);
    let expected = "www: certificate `www`: GetLoadBalancer on load balancer `edge`: not available";
    assert_eq!(issue_problems(&world.plan()), [expected]);
}

#[test]
fn a_load_balancer_without_a_path_of_ours_gives_neither_steps_nor_problems() {
    let mut world = world(Http01Observation::default());
    let complete = world.plan();
    world.load_balancer("front").http01 = None;
    assert_eq!(world.lines(), world.lines_of(&complete));
    assert_eq!(complete.problems.len(), 0);
}

#[test]
fn nobodys_path_is_left_alone() {
    let mut world = world(Http01Observation { changes: vec![change("rule")], ..Default::default() });
    for spec in &mut world.desired.certificates {
        spec.http01.clear();
    }
    assert!(world.lines().iter().all(|line| !line.starts_with("prepare_http01")));
}
