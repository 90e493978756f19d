//! What makes a listener unfit, and what that keeps from happening.

use super::super::*;
use super::world::{DUE, World, at, held_elsewhere};
use crate::error::Error;
use crate::observed::Holds;

/// The one problem that `change` makes for `www` on `front`, where a version waits to be delivered.
fn problem(change: impl FnOnce(&mut World)) -> Problem {
    let mut world = World::new();
    world.issue("www", 1);
    change(&mut world);
    let mut plan = world.plan();
    assert_eq!(world.lines_of(&plan), [""; 0]);
    assert_eq!(plan.problems.len(), 1, "{:?}", plan.problems);
    plan.problems.remove(0)
}

#[test]
fn every_fault_of_a_listener_is_told_with_the_way_out() {
    type Change = fn(&mut World);
    let cases: [(Change, ErrorKind, &str, &str); 5] = [
        (
            |world| _ = world.load_balancer("front").listeners.remove("https"),
            ErrorKind::NotFound,
            "there is no such listener",
            "create:",
        ),
        (|world| world.listener("front", "https").tls = false, ErrorKind::Invalid, "not terminate TLS", "SSL"),
        (
            |world| world.listener("front", "https").unfit = Some(held_elsewhere()),
            ErrorKind::Invalid,
            "it serves certificate ocid1.x",
            "certificateName",
        ),
        (
            |world| world.listener("front", "https").accepts.ecdsa = false,
            ErrorKind::Invalid,
            "its cipher suite `modern` cannot serve an ECDSA certificate",
            "key:",
        ),
        (
            |world| world.listener("front", "https").server_names = vec!["x.some-domain.com".parse().unwrap()],
            ErrorKind::Invalid,
            "it answers for x.some-domain.com only",
            "host name",
        ),
    ];
    for (change, kind, said, hint) in cases {
        let problem = problem(change);
        assert_eq!((problem.stage, problem.error.kind()), (Stage::Deliver, kind), "{said}");
        assert_eq!(problem.load_balancer, Some("front".parse().unwrap()));
        assert_eq!(problem.listener, Some("https".parse().unwrap()));
        let told = problem.error.to_string();
        for part in ["certificate `www`", "listener `https` of load balancer `front`", said] {
            assert!(told.contains(part), "{part} in {told}");
        }
        assert!(problem.error.hint().unwrap().contains(hint), "{hint} in {:?}", problem.error.hint());
    }
}

#[test]
fn a_cipher_suite_must_fit_the_family_of_the_wanted_key() {
    let fits = |key, ecdsa, rsa| {
        let mut world = World::new();
        world.want("www").version.key = key;
        world.issue("www", 1);
        let accepts = &mut world.listener("front", "https").accepts;
        (accepts.ecdsa, accepts.rsa) = (ecdsa, rsa);
        world.plan().problems.is_empty()
    };
    for key in crate::KeyType::ALL {
        let is_rsa = key.family() == crate::KeyFamily::Rsa;
        assert_eq!((fits(key, true, false), fits(key, false, true)), (!is_rsa, is_rsa), "{key}");
        assert!(fits(key, true, true));
        assert!(!fits(key, false, false));
    }
}

#[test]
fn one_name_in_common_with_the_listeners_hosts_is_enough() {
    let names = ["a.some-domain.com", "b.other-domain.com"].map(|name| name.parse().unwrap());
    for (hosts, served) in [
        (&[][..], &["a.some-domain.com", "b.other-domain.com"][..]),
        (&["a.some-domain.com"], &["a.some-domain.com"]),
        (&["*.some-domain.com", "x.y"], &["a.some-domain.com"]),
        (&["some-domain.com", "a.b.other-domain.com"], &[]),
    ] {
        let mut world = World::new();
        let listener = world.listener("front", "https");
        listener.server_names = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let found = served_names(listener, &names);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), served, "{hosts:?}");
        world.want("www").version.names = names.to_vec();
        world.issue("www", 1);
        assert_eq!(world.plan().problems.is_empty(), !served.is_empty(), "{hosts:?}");
    }
}

#[test]
fn a_wildcard_is_looked_for_under_names_that_a_client_can_ask_for() {
    let names = ["*.some-domain.com", "some-domain.com"].map(|name| name.parse().unwrap());
    for (hosts, served) in [
        (&[][..], &["certferry-check.some-domain.com", "some-domain.com"][..]),
        (&["*.some-domain.com"], &["certferry-check.some-domain.com"]),
        (&["www.some-domain.com", "some-domain.com"], &["www.some-domain.com", "some-domain.com"]),
        (&["a.b.some-domain.com"], &[]),
    ] {
        let mut world = World::new();
        let listener = world.listener("front", "https");
        listener.server_names = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let found = served_names(listener, &names);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), served, "{hosts:?}");
    }
}

#[test]
fn an_address_is_looked_for_where_no_host_name_is_asked_for() {
    let names = ["www.some-domain.com", "192.0.2.1", "2001:db8::1"].map(|name| name.parse().unwrap());
    for (hosts, holds, served) in [
        (&[][..], Holds::One, &["www.some-domain.com", "192.0.2.1", "2001:db8::1"][..]),
        (&[], Holds::OnePerKeyFamily, &["www.some-domain.com", "192.0.2.1", "2001:db8::1"]),
        (&[], Holds::Many, &["www.some-domain.com"]),
        (&["www.some-domain.com"], Holds::One, &["www.some-domain.com"]),
        (&["*.some-domain.com"], Holds::One, &["www.some-domain.com"]),
        (&["x.y"], Holds::One, &[]),
    ] {
        let mut world = World::new();
        let listener = world.listener("front", "https");
        listener.server_names = hosts.iter().map(|host| host.parse().unwrap()).collect();
        listener.holds = holds;
        let found = served_names(listener, &names);
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), served, "{hosts:?} {holds:?}");
    }
}

#[test]
fn a_listener_with_host_names_cannot_serve_an_address_alone() {
    for (hosts, holds, said) in [
        (&["x.some-domain.com"][..], Holds::One, "answers for x.some-domain.com only"),
        (&[], Holds::Many, "chooses its certificate by host name"),
    ] {
        let mut world = World::new();
        world.want("www").version.names = vec!["192.0.2.1".parse().unwrap()];
        world.issue("www", 1);
        let listener = world.listener("front", "https");
        listener.server_names = hosts.iter().map(|host| host.parse().unwrap()).collect();
        listener.holds = holds;
        let problems = world.plan().problems;
        let error = &problems.first().unwrap().error;
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().unwrap().contains("serves one certificate to all"), "{error}");
    }
}

#[test]
fn one_unfit_listener_does_not_keep_the_others_from_being_served() {
    let mut world = World::new();
    world.add_listener("front", "https-2", Some("old"));
    world.listener("front", "https-2").tls = false;
    let deploy = DeploySpec { listener: "https-2".parse().unwrap(), ..world.wanted("www").deploy[0].clone() };
    world.want("www").deploy.push(deploy);
    let plan = world.plan();
    assert_eq!(
        world.lines_of(&plan),
        ["issue www", "upload www front", "bind www front https", "verify www front https"]
    );
    assert_eq!(plan.problems.len(), 1);
    assert_eq!(plan.problems[0].listener, Some("https-2".parse().unwrap()));
}

#[test]
fn nothing_is_ordered_that_no_listener_could_serve() {
    let mut world = World::new();
    world.listener("front", "https").tls = false;
    assert_eq!(world.lines(), [""; 0]);
    world.want("www").deploy.clear();
    assert_eq!(world.lines(), ["issue www"], "a certificate that is deployed nowhere is issued all the same");
}

#[test]
fn a_load_balancer_out_of_reach_is_a_problem_and_the_others_are_served() {
    let mut world = World::new();
    world.add_load_balancer("edge", Replacement::SideBySide);
    let deploy = DeploySpec { load_balancer: "edge".parse().unwrap(), ..world.wanted("www").deploy[0].clone() };
    world.want("www").deploy.push(deploy);
    world.break_load_balancer("edge", Error::new(ErrorKind::Unavailable, "GetLoadBalancer", "load balancer `edge`"));
    let plan = world.plan();
    assert_eq!(
        world.lines_of(&plan),
        ["issue www", "upload www front", "bind www front https", "verify www front https"]
    );
    let [problem] = plan.problems.as_slice() else { panic!("{:?}", plan.problems) };
    assert_eq!(problem.stage, Stage::Deliver);
    assert_eq!(problem.error.to_string(), "certificate `www`: GetLoadBalancer on load balancer `edge`: not available");
    assert_eq!(problem.load_balancer, Some("edge".parse().unwrap()));
}

#[test]
fn renewal_goes_on_while_the_only_load_balancer_is_out_of_reach_for_a_while() {
    for (kind, expected) in [(ErrorKind::Unavailable, vec!["issue www"]), (ErrorKind::NotFound, vec![])] {
        let mut world = World::with_deployed(1);
        world.now = at(DUE);
        world.break_load_balancer("front", Error::new(kind, "GetLoadBalancer", "load balancer `front`"));
        assert_eq!(world.lines(), expected, "{kind}");
    }
}

#[test]
fn a_certificate_without_a_common_name_is_not_brought_where_one_is_needed() {
    let needing = |change: fn(&mut World)| {
        problem(|world| {
            world.capabilities.get_mut("front").unwrap().needs_common_name = true;
            change(world);
        })
    };
    let problem = needing(|_| ());
    assert_eq!((problem.stage, problem.error.kind()), (Stage::Deliver, ErrorKind::Invalid));
    assert!(problem.error.hint().unwrap().contains("profile: classic"));

    let mut world = World::new();
    world.capabilities.get_mut("front").unwrap().needs_common_name = true;
    assert_eq!(
        world.lines().first().map(String::as_str),
        Some("issue www"),
        "what the CA will put in is not known yet"
    );
    world.issue("www", 1);
    let leaf = world.record("www").current.as_mut().unwrap().leaf.as_mut().unwrap();
    leaf.common_name = Some("www.some-domain.com".to_owned());
    assert_eq!(world.lines(), ["upload www front v1", "bind www front https v1", "verify www front https v1"]);
}

#[test]
fn a_profile_that_brings_the_common_name_back_is_ordered() {
    let mut world = World::with_deployed(1);
    world.capabilities.get_mut("front").unwrap().needs_common_name = true;
    world.want("www").version.profile = Some("classic".to_owned());
    assert_eq!(world.lines().first().map(String::as_str), Some("issue www"));
    assert_eq!(world.plan().problems.len(), 0);
}
