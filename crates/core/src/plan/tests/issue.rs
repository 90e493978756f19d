//! Must a version be issued now?

use jiff::SignedDuration;

use super::super::*;
use super::world::{DUE, ENDED, NOT_DUE, World, at};
use crate::chain::Sha256;
use crate::recorded::VersionId;
use crate::renewal::{Renewal, RenewalReason, RenewalWindow};
use crate::retry::IssueFailure;

fn decide(world: &World) -> IssueDecision {
    let spec = world.wanted("www");
    issue(spec, world.recorded.certificate(&spec.name), world.now, &world.options)
}

#[track_caller]
fn due(world: &World) -> IssueStep {
    match decide(world) {
        IssueDecision::Due(step) => step,
        other => panic!("not due: {other:?}"),
    }
}

/// `www` has been issued, and at a later time something is different.
fn issued(now: &str, change: impl FnOnce(&mut World)) -> World {
    let mut world = World::new();
    world.issue("www", 1);
    world.now = at(now);
    change(&mut world);
    world
}

fn pending(world: &mut World, id: i64, has_order: bool) {
    let mut version = world.version("www", id);
    version.leaf = None;
    version.issued_at = None;
    version.order_url = version.order_url.filter(|_| has_order);
    world.record("www").pending = Some(version);
}

fn window(start: &str, end: &str, explanation_url: Option<&str>) -> RenewalWindow {
    let explanation_url = explanation_url.map(str::to_owned);
    RenewalWindow { start: at(start), end: at(end), explanation_url, next_fetch: at(start) }
}

#[test]
fn every_reason_to_issue_is_told() {
    let ari = "2026-02-01T00:00:00Z";
    for (world, why) in [
        (World::new(), "there is no certificate yet"),
        (issued(NOT_DUE, |world| pending(world, 2, true)), "an order is under way"),
        (issued(NOT_DUE, |world| pending(world, 2, false)), "an order was about to be made"),
        (
            issued(NOT_DUE, |world| world.want("www").version.names.push("x.some-domain.com".parse().unwrap())),
            "the names have changed",
        ),
        (
            issued(NOT_DUE, |world| world.want("www").version.key = crate::KeyType::Rsa2048),
            "the key type has changed from ecdsa-p256 to rsa-2048",
        ),
        (
            issued(NOT_DUE, |world| world.want("www").version.issuer = "other".parse().unwrap()),
            "the issuer has changed from `letsencrypt` to `other`",
        ),
        (
            issued(NOT_DUE, |world| world.want("www").version.directory = "https://ca.test/live".to_owned()),
            "the directory of issuer `letsencrypt` has changed from https://ca.test/directory to https://ca.test/live",
        ),
        (
            issued(NOT_DUE, |world| world.want("www").version.profile = Some("classic".to_owned())),
            "the profile has changed",
        ),
        (
            issued(NOT_DUE, |world| world.record("www").current.as_mut().unwrap().leaf = None),
            "the current version has no certificate",
        ),
        (issued(NOT_DUE, |world| world.options.force_renewal = true), "renewal is forced"),
        (issued(ENDED, |_| ()), "the current version ended at 2026-04-01T00:00:00Z"),
        (issued(DUE, |_| ()), "renewal is due since 2026-03-02T00:00:00Z by its share of lifetime left"),
        (
            issued(NOT_DUE, |world| world.record("www").renewal_window = Some(window(ari, ari, None))),
            "renewal is due since 2026-02-01T00:00:00Z by the CA's renewal window",
        ),
        (
            issued(NOT_DUE, |world| {
                world.record("www").renewal_window = Some(window(ari, ari, Some("https://ca.some-domain.com/why")));
            }),
            "renewal is due since 2026-02-01T00:00:00Z by the CA's renewal window, see https://ca.some-domain.com/why",
        ),
    ] {
        assert_eq!(due(&world).why, why);
        let plan = world.plan();
        assert_eq!((plan.steps[0].action.as_str(), plan.steps[0].why.as_str()), ("issue", why));
    }
}

#[test]
fn one_second_before_the_share_of_lifetime_nothing_is_due() {
    let mut world = issued(DUE, |_| ());
    world.now -= SignedDuration::from_secs(1);
    let IssueDecision::NotDue { renewal, .. } = decide(&world) else { panic!("{:?}", decide(&world)) };
    assert_eq!(renewal, Renewal { at: at(DUE), reason: RenewalReason::Lifetime });
}

#[test]
fn a_window_ahead_keeps_a_renewal_off_that_the_lifetime_would_ask_for() {
    let later = window("2026-03-10T00:00:00Z", "2026-03-10T00:00:00Z", None);
    let world = issued(DUE, |world| world.record("www").renewal_window = Some(later));
    let IssueDecision::NotDue { renewal, .. } = decide(&world) else { panic!("{:?}", decide(&world)) };
    assert_eq!(renewal, Renewal { at: at("2026-03-10T00:00:00Z"), reason: RenewalReason::Ari });
}

#[test]
fn an_instant_that_the_next_wake_would_miss_is_due_now() {
    let mut world = issued(NOT_DUE, |world| {
        let window = window("2026-02-01T00:00:00Z", "2026-02-01T06:00:00Z", None);
        world.record("www").renewal_window = Some(window);
    });
    // The share of the window is taken from the digest; with this one the instant is not the window's start.
    world.record("www").current.as_mut().unwrap().leaf.as_mut().unwrap().sha256 = Sha256::of(b"spread");
    assert!(matches!(decide(&world), IssueDecision::NotDue { .. }));
    world.options.next_wake = SignedDuration::from_hours(6);
    assert_eq!(due(&world).why, "renewal is due since 2026-02-01T00:00:00Z by the CA's renewal window");
}

#[test]
fn a_pending_version_is_continued_as_long_as_it_is_what_is_wanted() {
    let world = issued(DUE, |world| pending(world, 2, true));
    let step = due(&world);
    assert_eq!(step.resumes, world.recorded.certificates["www"].pending);
    assert_eq!(step.gives_up, None);
    let plan = world.plan();
    assert_eq!(plan.steps[0].object.as_deref(), Some("https://ca.some-domain.com/order/2"));
}

#[test]
fn a_pending_version_that_is_no_longer_wanted_is_given_up() {
    for now in [NOT_DUE, DUE] {
        let world = issued(now, |world| {
            pending(world, 2, true);
            world.want("www").version.profile = Some("classic".to_owned());
        });
        let step = due(&world);
        assert_eq!((step.resumes, step.gives_up), (None, Some(VersionId(2))));
        assert_eq!(step.why, "the profile has changed");
    }
}

#[test]
fn a_version_replaces_one_of_the_same_issuer_that_shares_a_name() {
    let replaces = |change: fn(&mut World)| due(&issued(DUE, change)).replaces;
    assert_eq!(replaces(|_| ()), Some(VersionId(1)));
    assert_eq!(
        replaces(|world| world.want("www").version.names.push("x.some-domain.com".parse().unwrap())),
        Some(VersionId(1))
    );
    assert_eq!(replaces(|world| world.want("www").version.names = vec!["x.some-domain.com".parse().unwrap()]), None);
    assert_eq!(replaces(|world| world.want("www").version.issuer = "other".parse().unwrap()), None);
    assert_eq!(replaces(|world| world.want("www").version.directory = "https://other.test/".to_owned()), None);
    assert_eq!(due(&World::new()).replaces, None);
}

fn failed(world: &mut World, retry_at: &str) {
    let ordered = world.wanted("www").version.digest();
    world.record("www").issue_failure = Some(IssueFailure {
        at: at("2026-01-31T23:59:00Z"),
        count: 1,
        error: "newOrder was refused".to_owned(),
        retry_at: at(retry_at),
        ordered: Some(ordered),
    });
}

#[test]
fn a_failure_is_waited_out_and_told_as_a_problem() {
    let mut world = World::new();
    failed(&mut world, "2026-02-01T00:01:30Z");
    let plan = world.plan();
    assert_eq!(world.lines_of(&plan), [""; 0]);
    let [problem] = plan.problems.as_slice() else { panic!("{:?}", plan.problems) };
    assert_eq!((problem.stage, problem.error.kind()), (Stage::Issue, ErrorKind::RateLimited));
    let told = problem.error.to_string();
    for part in ["certificate `www`", "issuer `letsencrypt`", "90 s", "newOrder was refused", "no current version"] {
        assert!(told.contains(part), "{part} in {told}");
    }
    assert!(problem.error.hint().unwrap().contains("--force-renewal --only www"), "{:?}", problem.error.hint());
}

#[test]
fn while_a_failure_is_waited_out_the_problem_says_what_is_served() {
    for (now, part) in
        [(DUE, "the current version is valid until 2026-04-01"), (ENDED, "the current version ended at 2026-04-01")]
    {
        let mut world = issued(now, |_| ());
        failed(&mut world, "2026-05-01T00:00:00Z");
        let told = world.plan().problems[0].error.to_string();
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn waiting_ends_at_the_instant_that_was_noted_or_when_a_person_forces_it() {
    let mut world = issued(DUE, |world| failed(world, DUE));
    assert_eq!(due(&world).why, "renewal is due since 2026-03-02T00:00:00Z by its share of lifetime left");
    failed(&mut world, "2026-03-02T00:00:01Z");
    assert!(matches!(decide(&world), IssueDecision::Waiting { .. }));
    world.options.force_renewal = true;
    assert_eq!(due(&world).why, "renewal is forced");
}

#[test]
fn a_failure_of_what_the_config_no_longer_wants_is_not_waited_out() {
    let mut world = World::new();
    pending(&mut world, 1, false);
    failed(&mut world, "2026-05-01T00:00:00Z");
    assert!(matches!(decide(&world), IssueDecision::Waiting { .. }));
    world.want("www").version.names.push("x.some-domain.com".parse().unwrap());
    assert_eq!(due(&world).gives_up, Some(VersionId(1)));
}

#[test]
fn what_failed_with_other_names_is_not_waited_out_when_nothing_is_left_of_it() {
    let mut world = World::new();
    failed(&mut world, "2026-05-01T00:00:00Z");
    world.want("www").version.names.push("x.some-domain.com".parse().unwrap());
    assert_eq!(due(&world).gives_up, None);
}

#[test]
fn a_failure_that_a_clock_ahead_of_time_noted_is_not_waited_out() {
    let mut world = World::new();
    failed(&mut world, "2027-02-01T00:00:00Z");
    let failure = world.record("www").issue_failure.as_mut().unwrap();
    failure.at = at("2027-01-31T23:59:00Z");
    due(&world);
}

#[test]
fn a_pending_version_that_was_wanted_in_between_is_given_up_when_nothing_is_due() {
    let mut world = issued(NOT_DUE, |world| {
        pending(world, 2, true);
        let pending = world.record("www").pending.as_mut().unwrap();
        pending.spec.names.push("x.some-domain.com".parse().unwrap());
    });
    let IssueDecision::NotDue { gives_up, .. } = decide(&world) else { panic!("{:?}", decide(&world)) };
    assert_eq!(gives_up, Some(VersionId(2)));
    world.record("www").pending = None;
    assert!(matches!(decide(&world), IssueDecision::NotDue { gives_up: None, .. }));
}

#[test]
fn a_failure_is_no_matter_when_nothing_is_due() {
    let world = issued(NOT_DUE, |world| failed(world, ENDED));
    assert!(matches!(decide(&world), IssueDecision::NotDue { .. }));
}

#[test]
fn while_a_failure_is_waited_out_the_current_version_is_delivered() {
    let world = issued(DUE, |world| failed(world, ENDED));
    assert_eq!(world.lines(), ["upload www front v1", "bind www front https v1", "verify www front https v1"]);
}

#[test]
fn only_the_chosen_certificates_are_planned_and_forced() {
    let mut world = World::with_deployed(1);
    world.add_listener("front", "shop", Some("old"));
    world.add_certificate("shop", &[("front", "shop")]);
    world.options.only = ["www".parse().unwrap()].into();
    assert_eq!(world.lines(), [""; 0]);
    world.options.force_renewal = true;
    let certificates: BTreeSet<_> = world.plan().steps.into_iter().filter_map(|step| step.certificate).collect();
    assert_eq!(certificates, ["www".parse().unwrap()].into());
    world.options = PlanOptions::default();
    assert_eq!(world.lines(), ["issue shop", "upload shop front", "bind shop front shop", "verify shop front shop"]);
}
