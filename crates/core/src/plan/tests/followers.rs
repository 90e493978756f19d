//! Places that refer to a superseded bundle of ours without the config saying so.

use super::super::*;
use super::world::{DUE, World, at, held_elsewhere};
use crate::observed::Place;

/// Version 2 of `www` is deployed; `extra`, which the config does not name, still serves version 1.
fn world() -> World {
    let mut world = World::with_deployed(2);
    world.upload("front", "www", 1, true);
    world.add_listener("front", "extra", None);
    world.bind("front", "extra", "www", 1);
    world
}

#[test]
fn a_listener_and_a_backend_set_move_along_after_the_new_version_is_verified() {
    let mut world = world();
    let v1 = world.bundle_name("front", "www", 1);
    world.load_balancer("front").backend_sets.insert("app".to_owned(), v1.clone());
    world.issue("www", 3);
    world.upload("front", "www", 0, false);
    let plan = world.plan();
    let oldest = world.bundle_name("front", "www", 0);
    assert_eq!(
        world.lines_of(&plan),
        [
            "upload www front v3".to_owned(),
            "bind www front https v3".to_owned(),
            "verify www front https v3".to_owned(),
            "bind www front extra v3".to_owned(),
            "bind www front backend set `app`".to_owned(),
            "retire www front v1".to_owned(),
            format!("retire www front {oldest}"),
        ]
    );
    let places = plan.steps.iter().filter_map(|step| match &step.action {
        Action::Bind(place) => Some((place.to_string(), step.why.clone())),
        _ => None,
    });
    let superseded = |bundle: &BundleName| format!("it serves bundle `{bundle}`, which is superseded");
    let v2 = world.bundle_name("front", "www", 2);
    assert_eq!(
        places.collect::<Vec<_>>(),
        [
            (Place::Listener("https".parse().unwrap()).to_string(), format!("it serves bundle `{v2}`")),
            (Place::Listener("extra".parse().unwrap()).to_string(), superseded(&v1)),
            (Place::BackendSet("app".to_owned()).to_string(), superseded(&v1)),
        ]
    );
}

#[test]
fn a_follower_alone_is_reason_enough_for_a_step() {
    assert_eq!(world().lines(), ["bind www front extra v2"]);
}

#[test]
fn a_place_that_refers_to_the_wanted_bundle_or_to_somebody_elses_stays() {
    let mut world = world();
    world.bind("front", "extra", "www", 2);
    assert_eq!(world.lines(), [""; 0]);
    for foreign in ["old", "cf-www-20250101-00000000"] {
        world.add_listener("front", "extra", Some(foreign));
        assert_eq!(world.lines(), [""; 0], "{foreign}");
    }
}

#[test]
fn a_bundle_of_the_same_name_on_another_load_balancer_makes_no_follower() {
    let mut world = world();
    for bundle in &mut world.recorded.bundles {
        if bundle.version.0 == 1 {
            bundle.load_balancer = "edge".parse().unwrap();
        }
    }
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_follower_that_could_not_serve_the_new_version_keeps_the_old_one() {
    type Change = fn(&mut World);
    let cases: [Change; 3] = [
        |world| world.listener("front", "extra").accepts.ecdsa = false,
        |world| world.listener("front", "extra").server_names = vec!["x.some-domain.com".parse().unwrap()],
        |world| world.listener("front", "extra").unfit = Some(held_elsewhere()),
    ];
    for change in cases {
        let mut world = world();
        world.issue("www", 3);
        change(&mut world);
        let expected = ["upload www front v3", "bind www front https v3", "verify www front https v3"];
        assert_eq!(world.lines(), expected);
        assert!(world.plan().problems.is_empty());
    }
}

#[test]
fn nothing_moves_along_while_the_certificate_has_a_problem_there() {
    let mut world = world();
    world.listener("front", "https").tls = false;
    for now in [world.now, at(DUE)] {
        world.now = now;
        let plan = world.plan();
        assert_eq!(world.lines_of(&plan), [""; 0], "{now}");
        assert_eq!(plan.problems.len(), 1);
    }
}

#[test]
fn a_listener_that_now_belongs_to_another_certificate_does_not_move_along() {
    let mut world = world();
    world.add_certificate("extra", &[("front", "extra")]);
    world.issue("extra", 1);
    let expected = ["upload extra front v1", "bind extra front extra v1", "verify extra front extra v1"];
    assert_eq!(world.lines(), expected);
    world.options.only = ["www".parse().unwrap()].into();
    assert_eq!(world.lines(), [""; 0]);
}
