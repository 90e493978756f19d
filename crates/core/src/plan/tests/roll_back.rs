//! When does a version that was put back go onto its listener again?

use super::super::*;
use super::world::{NOT_DUE, World, at, digest};
use crate::observed::BoundBundle;
use crate::recorded::DeploymentState;

/// Version 2 of `www` was put back on `https` of `front`, which serves version 1 again; until `END` it waits.
fn put_back() -> World {
    let mut world = World::with_deployed(1);
    world.issue("www", 2);
    world.upload("front", "www", 2, false);
    world.roll_back("front", "https", "www", 2, at(END));
    world.options.waits_after_roll_back = true;
    world
}

/// The same, with two listeners of `edge`, where content is replaced in place; the second is in `state`.
fn put_back_in_place(state: DeploymentState) -> World {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::Nothing));
    world.add_listener("edge", "one", None);
    world.add_listener("edge", "two", None);
    world.add_certificate("www", &[("edge", "one"), ("edge", "two")]);
    world.deploy("www", 1);
    world.issue("www", 2);
    world.note("edge", "two", "www", 2, state);
    world.roll_back("edge", "one", "www", 2, at(END));
    world.options.waits_after_roll_back = true;
    world
}

const END: &str = "2026-02-01T00:01:00Z";
const AGAIN: [&str; 2] = ["bind www front https v2", "verify www front https v2"];

#[test]
fn it_waits_until_its_time_where_nobody_looks_and_not_otherwise() {
    for (now, waits_after_roll_back, waits) in
        [(NOT_DUE, true, true), (NOT_DUE, false, false), ("2026-02-01T00:00:59.999Z", true, true), (END, true, false)]
    {
        let mut world = put_back();
        world.now = at(now);
        world.options.waits_after_roll_back = waits_after_roll_back;
        let expected = if waits { &[][..] } else { &AGAIN[..] };
        for plan in [world.plan(), world.delivery("www")] {
            assert_eq!(world.lines_of(&plan), expected, "{now} {waits_after_roll_back}");
            assert_eq!(plan.problems.len(), usize::from(waits), "{now} {waits_after_roll_back}");
        }
    }
}

#[test]
fn what_it_waits_for_is_told_with_the_way_out() {
    let problem = put_back().plan().problems.remove(0);
    assert_eq!(problem.stage, Stage::Verify);
    assert_eq!(
        problem.error.to_string(),
        "certificate `www`: bind on listener `https` of load balancer `front`: not served as deployed: what was there before \
         was put back at 2026-01-01T00:00:00Z, 2 times in a row: 127.0.0.1:443 still serves serial 07; it is tried again at \
         2026-02-01T00:01:00Z"
    );
    assert!(problem.error.hint().unwrap().contains("certferry apply --only www"));
}

#[test]
fn another_version_does_not_wait() {
    let mut world = put_back();
    world.issue("www", 3);
    assert_eq!(world.lines()[..2], ["upload www front v3", "bind www front https v3"]);
    let mut world = put_back();
    world.options.force_renewal = true;
    assert_eq!(world.lines()[..3], ["issue www", "upload www front", "bind www front https"]);
}

#[test]
fn a_listener_that_refers_to_it_all_the_same_is_verified() {
    let mut world = put_back();
    world.bind("front", "https", "www", 2);
    assert_eq!(world.lines(), ["verify www front https v2"]);
}

#[test]
fn one_listener_that_waits_does_not_keep_another_from_its_delivery() {
    let mut world = put_back();
    world.add_listener("front", "https-2", Some("old"));
    let deploy = DeploySpec { listener: "https-2".parse().unwrap(), ..world.wanted("www").deploy[0].clone() };
    world.want("www").deploy.push(deploy);
    assert_eq!(world.lines(), ["bind www front https-2 v2", "verify www front https-2 v2"]);
    assert_eq!(world.plan().problems.len(), 1);
}

#[test]
fn nothing_moves_along_and_nothing_is_removed_while_it_waits() {
    let mut world = put_back();
    world.upload("front", "www", 0, true);
    let old = world.bundle_name("front", "www", 0);
    world.add_listener("front", "by-hand", None);
    world.listener("front", "by-hand").bundles = vec![BoundBundle::only(old)];
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn in_place_no_listener_gets_the_content_while_another_one_of_the_object_waits() {
    for state in [DeploymentState::Pending, DeploymentState::Failed, DeploymentState::Verified] {
        let mut world = put_back_in_place(state);
        assert_eq!(world.lines(), [""; 0], "{state}");
        assert_eq!(world.plan().problems.len(), 2, "{state}");
        world.now = at(END);
        let again = ["upload www edge cf-www", "verify www edge one cf-www", "verify www edge two cf-www"];
        assert_eq!(world.lines(), again, "{state}");
    }
}

#[test]
fn in_place_a_content_that_is_there_all_the_same_is_verified() {
    let mut world = put_back_in_place(DeploymentState::Verified);
    world.load_balancer("edge").bundles.insert(BundleName::observed("cf-www"), Some(digest("www", 2)));
    assert_eq!(world.lines(), ["verify www edge one cf-www"]);
}
