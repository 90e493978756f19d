//! Worlds made up from random choices, consistent where a real one is: nothing refers to a bundle that is not there.

use super::super::*;
use super::world::{DUE, ENDED, NOT_DUE, World, at, digest, held_elsewhere};
use crate::chain::Sha256;
use crate::error::Error;
use crate::observed::{BoundBundle, Http01Change, Http01Observation, Obstacle};
use crate::recorded::DeploymentState;
use crate::retry::IssueFailure;

/// Bytes that decide; zeros when they run out. A zero is the plainest choice, so that a failure shrinks to little.
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// A number under `count`.
    fn below(&mut self, count: usize) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first) % count
    }

    /// True about once in so many times.
    fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn of<T: Clone>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())].clone()
    }
}

const LOAD_BALANCERS: [&str; 2] = ["front", "edge"];
const LISTENERS: [&str; 3] = ["one", "two", "three"];
const CERTIFICATES: [&str; 2] = ["www", "shop"];
/// Its number is that of the version that a certificate has, if any.
const CURRENT: i64 = 3;

/// A world.
pub(super) fn scenario(choices: &mut Choices<'_>) -> World {
    let mut world = World::empty();
    world.now = at(choices.of(&[NOT_DUE, DUE, ENDED]));
    world.options.force_renewal = choices.once_in(8);
    for name in LOAD_BALANCERS {
        let replacement = choices.of(&[
            Replacement::SideBySide,
            Replacement::SideBySide,
            Replacement::InPlace(InCommon::Nothing),
            Replacement::InPlace(InCommon::SubjectAndUsages),
        ]);
        world.add_load_balancer(name, replacement);
    }
    add_certificates(&mut world, choices);
    for name in LOAD_BALANCERS {
        add_bundles(&mut world, name, choices);
        add_places(&mut world, name, choices);
        add_path(&mut world, name, choices);
    }
    add_records(&mut world, choices);
    for name in LOAD_BALANCERS {
        world.capabilities.get_mut(name).unwrap().needs_common_name = choices.once_in(12);
        if choices.once_in(10) {
            let kind = choices.of(&[ErrorKind::Unavailable, ErrorKind::NotFound]);
            world.break_load_balancer(name, Error::new(kind, "read", format!("load balancer `{name}`")));
        }
    }
    world
}

/// Two certificates; each listener is wanted by one of them or by none.
fn add_certificates(world: &mut World, choices: &mut Choices<'_>) {
    let mut deploys: [Vec<(&str, &str)>; 2] = Default::default();
    for load_balancer in LOAD_BALANCERS {
        for listener in LISTENERS {
            if let Some(deploys) = deploys.get_mut(choices.below(3)) {
                deploys.push((load_balancer, listener));
            }
        }
    }
    for (name, deploys) in CERTIFICATES.into_iter().zip(&deploys) {
        world.add_certificate(name, deploys);
        let spec = world.want(name);
        spec.http01 = LOAD_BALANCERS.map(|name| name.parse().unwrap())[..choices.below(3)].to_vec();
        for deploy in &mut spec.deploy {
            deploy.create = choices.once_in(3);
        }
    }
}

fn add_bundles(world: &mut World, load_balancer: &str, choices: &mut Choices<'_>) {
    for foreign in ["old", "cf-by-hand"] {
        let bundles = &mut world.load_balancer(load_balancer).bundles;
        bundles.insert(BundleName::observed(foreign), Some(Sha256::of(foreign.as_bytes())));
    }
    for certificate in CERTIFICATES {
        for id in 1..=CURRENT {
            let fate = choices.below(6);
            if fate == 0 {
                continue;
            }
            world.upload(load_balancer, certificate, id, fate > 2);
            let name = world.bundle_name(load_balancer, certificate, id);
            match fate {
                // Somebody else's, for all that is known.
                1 => _ = world.recorded.bundles.pop(),
                // Recorded, and gone.
                5 => _ = world.load_balancer(load_balancer).bundles.remove(&name),
                _ => {}
            }
        }
    }
}

fn add_places(world: &mut World, load_balancer: &str, choices: &mut Choices<'_>) {
    let bundles: Vec<BundleName> = world.load_balancer(load_balancer).bundles.keys().cloned().collect();
    for name in LISTENERS {
        if choices.once_in(8) {
            continue;
        }
        let bundle = choices.of(&bundles);
        world.add_listener(load_balancer, name, None);
        let listener = world.listener(load_balancer, name);
        listener.bundles = Some(BoundBundle::only(bundle)).filter(|_| !choices.once_in(8)).into_iter().collect();
        listener.accepts.ecdsa = !choices.once_in(8);
        match choices.below(16) {
            13 => listener.server_names = vec!["x.some-domain.com".parse().unwrap()],
            14 => listener.server_names = vec!["*.some-domain.com".parse().unwrap()],
            15 => (listener.tls, listener.bundles) = (false, Vec::new()),
            _ => {}
        }
        if choices.once_in(12) {
            (listener.unfit, listener.bundles) = (Some(held_elsewhere()), Vec::new());
        }
    }
    for name in ["app", "api"] {
        if choices.once_in(2) {
            let bundle = choices.of(&bundles);
            world.load_balancer(load_balancer).backend_sets.insert(name.to_owned(), bundle);
        }
    }
}

fn add_path(world: &mut World, load_balancer: &str, choices: &mut Choices<'_>) {
    let change = |index| Http01Change { object: format!("object {index}"), why: "missing".to_owned() };
    let [object, what, fix] = ["rule", "redirects", "remove it"].map(str::to_owned);
    let path = Http01Observation {
        changes: (0..choices.below(3)).map(change).collect(),
        obstacle: choices.once_in(4).then_some(Obstacle { object, what, fix }),
        probe: Vec::new(),
    };
    world.load_balancer(load_balancer).http01 = Some(path);
}

fn add_records(world: &mut World, choices: &mut Choices<'_>) {
    for certificate in CERTIFICATES {
        if choices.once_in(5) {
            continue;
        }
        world.issue(certificate, CURRENT);
        for deploy in world.wanted(certificate).deploy.clone() {
            let (load_balancer, listener) = (deploy.load_balancer.as_str(), deploy.listener.as_str());
            if !choices.once_in(3) {
                let id = choices.of(&[CURRENT, CURRENT - 1]);
                let state = choices.of(&[DeploymentState::Verified, DeploymentState::Bound, DeploymentState::Failed]);
                world.note(load_balancer, listener, certificate, id, state);
            }
            match choices.below(3) {
                1 => world.probe(load_balancer, listener, digest(certificate, CURRENT)),
                2 => world.probe(load_balancer, listener, digest(certificate, CURRENT - 1)),
                _ => {}
            }
        }
    }
    for certificate in CERTIFICATES {
        if choices.once_in(4) {
            let mut version = world.version(certificate, CURRENT + 1);
            (version.leaf, version.issued_at) = (None, None);
            world.record(certificate).pending = Some(version);
        }
        if choices.once_in(5) {
            world.want(certificate).version.profile = Some("classic".to_owned());
        }
        if choices.once_in(5) {
            let retry_at = at(choices.of(&[NOT_DUE, "2026-06-01T00:00:00Z"]));
            let error = "newOrder was refused".to_owned();
            world.record(certificate).issue_failure =
                Some(IssueFailure { at: at(NOT_DUE), count: 1, error, retry_at, ordered: None });
        }
    }
}
