//! Where must the version be put, and in which order?

use super::super::*;
use super::world::{DUE, World, at, digest};
use crate::observed::BoundBundle;
use crate::recorded::DeploymentState;

fn whys(plan: &Plan, action: &str) -> Vec<String> {
    plan.steps.iter().filter(|step| step.action.as_str() == action).map(|step| step.why.clone()).collect()
}

/// `www` is wanted on a second listener, which serves somebody's `old`, too.
fn two_listeners() -> World {
    let mut world = World::new();
    world.add_listener("front", "https-2", Some("old"));
    let deploy = DeploySpec { listener: "https-2".parse().unwrap(), ..world.wanted("www").deploy[0].clone() };
    world.want("www").deploy.push(deploy);
    world
}

#[test]
fn a_certificate_goes_all_the_way_the_first_time() {
    let world = two_listeners();
    assert_eq!(
        world.lines(),
        [
            "issue www",
            "upload www front",
            "bind www front https",
            "bind www front https-2",
            "verify www front https",
            "verify www front https-2",
        ]
    );
    let plan = world.plan();
    assert_eq!(whys(&plan, "upload"), ["the version is not on load balancer `front` yet"]);
    assert_eq!(whys(&plan, "bind"), ["it serves bundle `old`"; 2]);
    assert_eq!(whys(&plan, "verify"), ["a new bundle is bound"; 2]);
}

#[test]
fn what_is_deployed_and_served_needs_no_step() {
    let mut world = World::with_deployed(1);
    assert_eq!(world.lines(), [""; 0]);
    world.probe("front", "https", digest("www", 1));
    assert_eq!(world.lines(), [""; 0]);
    assert!(world.plan().problems.is_empty());
}

#[test]
fn what_a_listener_serves_of_another_certificate_is_not_held_against_this_one() {
    let mut world = World::with_deployed(1);
    world.probe("front", "https", digest("rsa", 1));
    let www: CertificateName = "www".parse().unwrap();
    let served = world.observed.served.remove(&www).unwrap();
    world.observed.served.insert("rsa".parse().unwrap(), served);
    assert_eq!(world.lines(), [""; 0]);
    world.probe("front", "https", digest("rsa", 1));
    assert_eq!(world.lines(), ["verify www front https v1"]);
}

#[test]
fn an_object_that_waits_for_the_certificate_of_its_key_is_no_upload() {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::Nothing));
    world.add_listener("edge", "shop", Some("old"));
    world.add_certificate("www", &[("edge", "shop")]);
    world.want("www").version.key_holder = KeyHolder::LoadBalancer("edge".parse().unwrap());
    world.issue("www", 1);
    let object = object_name(&"www".parse().unwrap(), &world.wanted("www").version);
    world.load_balancer("edge").bundles.insert(object, None);
    let actions: Vec<&str> = world.plan().steps.iter().map(|step| step.action.as_str()).collect();
    assert_eq!(actions, ["upload", "bind", "verify"]);
}

#[test]
fn a_deployment_is_continued_where_it_stands() {
    let mut world = World::new();
    assert_eq!(world.delivery("www").steps.len(), 0, "there is no version to deliver yet");
    world.issue("www", 1);
    assert_eq!(world.lines(), ["upload www front v1", "bind www front https v1", "verify www front https v1"]);
    world.upload("front", "www", 1, false);
    assert_eq!(world.lines(), ["bind www front https v1", "verify www front https v1"]);
    world.bind("front", "https", "www", 1);
    assert_eq!(world.lines(), ["verify www front https v1"]);
    for state in DeploymentState::ALL {
        world.note("front", "https", "www", 1, state);
        let verified = state == DeploymentState::Verified;
        assert_eq!(world.lines().is_empty(), verified, "{state}");
    }
    world.note("front", "https", "www", 0, DeploymentState::Verified);
    assert_eq!(world.lines(), ["verify www front https v1"], "another version was verified");
}

#[test]
fn a_bundle_that_is_there_already_is_not_uploaded_again() {
    let mut world = World::new();
    world.issue("www", 1);
    world.upload("front", "www", 1, false);
    let name = world.bundle_name("front", "www", 1);
    let mut upload = |content| {
        world.load_balancer("front").bundles.insert(name.clone(), content);
        world.lines().contains(&"upload www front v1".to_owned())
    };
    assert!(!upload(Some(digest("www", 1))));
    assert!(!upload(None), "a content that cannot be read is left to the upload to compare");
    assert!(upload(Some(digest("www", 2))), "the name with another content is not our bundle");
}

#[test]
fn a_listener_without_a_bundle_is_bound() {
    let mut world = World::with_deployed(1);
    world.listener("front", "https").bundles.clear();
    assert_eq!(world.lines(), ["bind www front https v1", "verify www front https v1"]);
    assert_eq!(whys(&world.plan(), "bind"), ["it has no bundle"]);
}

#[test]
fn a_listener_that_somebody_else_bound_is_bound_back() {
    let mut world = World::with_deployed(1);
    world.listener("front", "https").bundles = vec![BoundBundle::only(BundleName::observed("old"))];
    assert_eq!(world.lines(), ["bind www front https v1", "verify www front https v1"]);
}

#[test]
fn a_missing_listener_is_created_where_the_config_describes_it() {
    let mut world = World::new();
    world.issue("www", 1);
    world.load_balancer("front").listeners.clear();
    world.want("www").deploy[0].create = true;
    let expected = ["upload www front v1", "create_listener www front https https", "verify www front https v1"];
    assert_eq!(world.lines(), expected);
    assert_eq!(whys(&world.plan(), "create_listener"), ["there is no such listener yet"]);
    world.add_listener("front", "https", Some("old"));
    assert_eq!(world.lines(), ["upload www front v1", "bind www front https v1", "verify www front https v1"]);
}

#[test]
fn drift_of_what_is_served_is_verified_again() {
    let mut world = World::with_deployed(2);
    world.probe("front", "https", digest("www", 2));
    world.probe("front", "https", digest("www", 1));
    assert_eq!(world.lines(), ["verify www front https v2"]);
    let serial = &digest("www", 1).to_string()[..16];
    let seen = format!("127.0.0.1:443 serves serial {serial} for www.some-domain.com");
    assert_eq!(whys(&world.plan(), "verify"), [seen]);
}

#[test]
fn a_failed_handshake_is_drift_too() {
    let mut world = World::with_deployed(2);
    world.answer("front", "https", Err("connection refused".to_owned()));
    assert_eq!(world.lines(), ["verify www front https v2"]);
    let seen = "127.0.0.1:443 does not serve www.some-domain.com: connection refused";
    assert_eq!(whys(&world.plan(), "verify"), [seen]);
}

#[test]
fn a_listener_that_fails_does_not_make_the_other_one_start_again() {
    let mut world = two_listeners();
    world.deploy("www", 1);
    world.note("front", "https-2", "www", 1, DeploymentState::Failed);
    world.listener("front", "https-2").bundles = vec![BoundBundle::only(BundleName::observed("old"))];
    assert_eq!(world.lines(), ["bind www front https-2 v1", "verify www front https-2 v1"]);
}

#[test]
fn every_load_balancer_gets_its_own_steps_in_order() {
    let mut world = World::new();
    world.add_load_balancer("edge", Replacement::SideBySide);
    world.add_listener("edge", "shop", None);
    let deploy = DeploySpec {
        load_balancer: "edge".parse().unwrap(),
        listener: "shop".parse().unwrap(),
        ..world.wanted("www").deploy[0].clone()
    };
    world.want("www").deploy.push(deploy);
    world.issue("www", 1);
    world.upload("front", "www", 1, false);
    assert_eq!(
        world.lines(),
        [
            "upload www edge v1",
            "bind www edge shop v1",
            "verify www edge shop v1",
            "bind www front https v1",
            "verify www front https v1",
        ]
    );
}

#[test]
fn a_renewal_is_delivered_without_its_name_being_known_and_keeps_the_version_before() {
    let mut world = World::with_deployed(1);
    world.now = at(DUE);
    assert_eq!(world.lines(), ["issue www", "upload www front", "bind www front https", "verify www front https"]);
}

#[test]
fn delivery_does_not_wait_for_a_version_that_is_due() {
    let mut world = World::new();
    world.issue("www", 1);
    world.now = at(DUE);
    assert_eq!(world.lines()[0], "issue www");
    let delivery = world.delivery("www");
    assert_eq!(
        world.lines_of(&delivery),
        ["upload www front v1", "bind www front https v1", "verify www front https v1"]
    );
}

#[test]
fn in_place_the_content_changes_and_references_stay() {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::Nothing));
    world.add_listener("edge", "shop", Some("old"));
    world.add_certificate("www", &[("edge", "shop")]);
    let binds = |object: &str| format!("bind www edge shop {object}");
    assert!(world.lines().contains(&binds("cf-www")));
    world.deploy("www", 1);
    assert_eq!(world.lines(), [""; 0]);
    world.now = at(DUE);
    assert_eq!(world.lines(), ["issue www", "upload www edge cf-www", "verify www edge shop cf-www"]);
    world.issue("www", 2);
    let delivery = world.delivery("www");
    assert_eq!(world.lines_of(&delivery), ["upload www edge cf-www", "verify www edge shop cf-www"]);
    world.deploy("www", 2);
    assert_eq!(world.delivery("www").steps.len(), 0);
}

#[test]
fn in_place_a_content_that_somebody_else_changed_is_put_back() {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::Nothing));
    world.add_listener("edge", "shop", None);
    world.add_certificate("www", &[("edge", "shop")]);
    world.deploy("www", 1);
    world.load_balancer("edge").bundles.insert(BundleName::observed("cf-www"), Some(digest("somebody", 1)));
    assert_eq!(world.lines(), ["upload www edge cf-www", "verify www edge shop cf-www"]);
}

#[test]
fn side_by_side_a_bound_bundle_is_never_written_over() {
    let mut world = World::with_deployed(1);
    let name = world.bundle_name("front", "www", 1);
    world.load_balancer("front").bundles.insert(name, Some(digest("somebody", 1)));
    assert_eq!(world.lines(), [""; 0]);
    world.probe("front", "https", digest("somebody", 1));
    assert_eq!(world.lines(), ["verify www front https v1"], "what is served tells");
}

#[test]
fn a_load_balancer_that_was_not_read_is_not_planned() {
    let mut world = World::with_deployed(1);
    world.observed.load_balancers.clear();
    assert_eq!(world.lines(), [""; 0]);
    assert!(world.plan().problems.is_empty());
}
