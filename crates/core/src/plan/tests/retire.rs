//! What may be removed?

use super::super::*;
use super::world::{DUE, NOT_DUE, World, at};
use crate::chain::Sha256;
use crate::error::Error;
use crate::recorded::VersionId;

/// Version 4 of `www` is deployed; versions 1, 2 and 3 are there too, and 1 and 2 were served.
fn world() -> World {
    let mut world = World::with_deployed(4);
    for (id, served) in [(1, true), (2, true), (3, false)] {
        world.upload("front", "www", id, served);
    }
    world
}

#[test]
fn all_but_the_wanted_bundle_and_the_one_served_before_are_removed() {
    let world = world();
    assert_eq!(world.lines(), ["retire www front v1", "retire www front v3"]);
    assert!(world.plan().steps.iter().all(|step| step.why == "superseded, and nothing refers to it any more"));
    let delivery = world.delivery("www");
    assert_eq!(world.lines_of(&delivery), world.lines());
}

#[test]
fn removals_come_after_everything_else_on_the_load_balancer() {
    let mut world = world();
    world.issue("www", 5);
    assert_eq!(
        world.lines(),
        [
            "upload www front v5",
            "bind www front https v5",
            "verify www front https v5",
            "retire www front v1",
            "retire www front v2",
            "retire www front v3",
        ]
    );
    world.now = at(DUE);
    let lines = world.lines();
    assert_eq!(lines[0], "issue www");
    assert_eq!(lines[4..], ["v1", "v2", "v3", "v5"].map(|bundle| format!("retire www front {bundle}"))[..3]);
}

#[test]
fn a_bundle_that_nobody_recorded_is_somebody_elses_whatever_its_name() {
    let mut world = world();
    world.recorded.bundles.retain(|bundle| bundle.version.0 != 1);
    let foreign = BundleName::observed("cf-www-20250101-00000000");
    world.load_balancer("front").bundles.insert(foreign, Some(Sha256::of(b"theirs")));
    assert_eq!(world.lines(), ["retire www front v3"]);
}

#[test]
fn a_bundle_of_another_certificate_is_not_touched() {
    let mut world = world();
    world.add_certificate("shop", &[("front", "shop")]);
    world.options.only = ["www".parse().unwrap()].into();
    for bundle in &mut world.recorded.bundles {
        if bundle.version.0 == 1 {
            bundle.certificate = "shop".parse().unwrap();
        }
    }
    assert_eq!(world.lines(), ["retire www front v3"]);
}

#[test]
fn a_bundle_on_a_load_balancer_that_the_certificate_left_is_not_touched() {
    let mut world = world();
    world.want("www").deploy.clear();
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_record_of_a_bundle_that_is_gone_asks_for_no_removal() {
    let mut world = world();
    world.remove_bundle("front", "www", 1);
    assert_eq!(world.lines(), ["retire www front v3"]);
}

#[test]
fn the_one_to_go_back_to_is_one_that_is_still_there() {
    let mut world = world();
    world.remove_bundle("front", "www", 2);
    assert_eq!(world.lines(), ["retire www front v3"], "version 1 is the last one to go back to");
}

#[test]
fn a_bundle_stays_as_long_as_something_refers_to_it_after_the_plan() {
    let mut world = world();
    // A listener that cannot serve the new version, so that it does not move along.
    world.add_listener("front", "extra", None);
    world.bind("front", "extra", "www", 1);
    world.listener("front", "extra").accepts.ecdsa = false;
    assert_eq!(world.lines(), ["retire www front v3"]);
    world.listener("front", "extra").accepts.ecdsa = true;
    assert_eq!(world.lines(), ["bind www front extra v4", "retire www front v1", "retire www front v3"]);
}

#[test]
fn a_reference_on_another_load_balancer_holds_nothing_here() {
    let mut world = world();
    world.add_load_balancer("edge", Replacement::SideBySide);
    world.add_listener("edge", "https", None);
    world.bind("edge", "https", "www", 1);
    assert_eq!(world.lines(), ["retire www front v1", "retire www front v3"]);
}

#[test]
fn nothing_is_removed_where_the_certificate_has_a_problem() {
    let mut world = world();
    world.add_listener("front", "https-2", Some("old"));
    world.listener("front", "https-2").tls = false;
    let deploy = DeploySpec { listener: "https-2".parse().unwrap(), ..world.wanted("www").deploy[0].clone() };
    world.want("www").deploy.push(deploy);
    assert_eq!(world.lines(), [""; 0]);
    world.capabilities.get_mut("front").unwrap().needs_common_name = true;
    assert_eq!(world.lines(), [""; 0]);
}

#[test]
fn a_problem_on_one_load_balancer_does_not_hold_back_removals_on_another() {
    let mut world = world();
    world.add_load_balancer("edge", Replacement::SideBySide);
    world.break_load_balancer("edge", Error::new(ErrorKind::Timeout, "GetLoadBalancer", "load balancer `edge`"));
    let deploy = DeploySpec { load_balancer: "edge".parse().unwrap(), ..world.wanted("www").deploy[0].clone() };
    world.want("www").deploy.push(deploy);
    assert_eq!(world.lines(), ["retire www front v1", "retire www front v3"]);
}

#[test]
fn a_path_of_challenges_that_is_blocked_holds_back_no_removal() {
    let mut world = world();
    world.want("www").http01 = vec!["edge".parse().unwrap()];
    world.break_load_balancer("edge", Error::new(ErrorKind::Timeout, "GetLoadBalancer", "load balancer `edge`"));
    assert_eq!(world.lines(), ["retire www front v1", "retire www front v3"]);
}

#[test]
fn in_place_the_object_of_an_earlier_key_stays_until_the_next_renewal() {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::Nothing));
    world.add_listener("edge", "shop", None);
    world.add_certificate("www", &[("edge", "shop")]);
    let earlier = BundleName::observed("cf-www-0123abcd");
    world.load_balancer("edge").bundles.insert(earlier.clone(), None);
    world.upload("edge", "www", 1, true);
    world.recorded.bundles[0].name = earlier;
    for (id, replaces, expected) in [(2, 1, &[][..]), (3, 2, &["retire www edge cf-www-0123abcd"])] {
        world.deploy("www", id);
        world.record("www").current.as_mut().unwrap().replaces = Some(VersionId(replaces));
        assert_eq!(world.lines(), expected);
    }
}

#[test]
fn a_key_that_is_gone_with_its_object_is_replaced() {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::Nothing));
    world.add_listener("edge", "shop", None);
    world.add_certificate("www", &[("edge", "shop")]);
    world.want("www").version.key_holder = KeyHolder::LoadBalancer("edge".parse().unwrap());
    world.deploy("www", 1);
    assert_eq!(world.lines(), [""; 0]);
    world.load_balancer("edge").bundles.clear();
    world.listener("edge", "shop").bundles.clear();
    let lines = world.lines();
    assert_eq!(lines.first().map(String::as_str), Some("issue www"), "{lines:?}");
}

/// On `edge`, whose objects hold versions with a common name and usages in common.
fn alike() -> World {
    let mut world = World::empty();
    world.add_load_balancer("edge", Replacement::InPlace(InCommon::SubjectAndUsages));
    world.add_listener("edge", "shop", None);
    world.add_certificate("www", &[("edge", "shop")]);
    world.give("www.some-domain.com", &["1.3.6.1.5.5.7.3.1"]);
    world.deploy("www", 1);
    world
}

#[test]
fn versions_with_as_much_in_common_as_is_needed_share_an_object_to_which_listeners_stay_bound() {
    let mut world = alike();
    assert_eq!(world.lines(), [""; 0]);
    let object = world.listener("edge", "shop").bundles[0].name.clone();
    world.now = at(DUE);
    let due = ["issue www".to_owned(), format!("upload www edge {object}"), format!("verify www edge shop {object}")];
    assert_eq!(world.lines(), due, "what is to come is foreseen");
    world.now = at(NOT_DUE);
    world.issue("www", 2);
    assert_eq!(world.lines(), due[1..]);
}

#[test]
fn a_version_with_another_common_name_or_usages_has_another_object_to_which_listeners_move() {
    for (common_name, usages) in [
        ("a.some-domain.com", &["1.3.6.1.5.5.7.3.1"][..]),
        ("www.some-domain.com", &["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"]),
    ] {
        let mut world = alike();
        let first = world.listener("edge", "shop").bundles[0].name.clone();
        world.give(common_name, usages);
        world.issue("www", 2);
        world.record("www").current.as_mut().unwrap().replaces = Some(VersionId(1));
        let lines = world.lines();
        let [upload, bind, verify] = &lines[..] else { panic!("{lines:?}") };
        assert!(upload.starts_with("upload www edge cf-www-") && verify.starts_with("verify"), "{lines:?}");
        assert!(bind.starts_with("bind www edge shop cf-www-") && !bind.contains(first.as_str()), "{lines:?}");
        world.deploy("www", 2);
        world.record("www").current.as_mut().unwrap().replaces = Some(VersionId(1));
        assert_eq!(world.lines(), [""; 0], "the one before stays for a rollback");
        world.deploy("www", 3);
        world.record("www").current.as_mut().unwrap().replaces = Some(VersionId(2));
        assert_eq!(world.lines(), [format!("retire www edge {first}")]);
    }
}

#[test]
fn a_renewal_that_changes_the_common_name_does_not_plan_the_end_of_the_object_in_use() {
    let mut world = alike();
    world.want("www").version.names =
        vec!["a.some-domain.com".parse().unwrap(), "www.some-domain.com".parse().unwrap()];
    assert_eq!(world.lines(), ["issue www", "upload www edge", "bind www edge shop", "verify www edge shop"]);
}
