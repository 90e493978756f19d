//! What holds for every plan.

use proptest::prelude::*;

use super::super::*;
use super::scenario::{Choices, scenario};
use super::world::{NOT_DUE, World, at};

fn worlds() -> impl Strategy<Value = World> {
    proptest::collection::vec(any::<u8>(), 200).prop_map(|bytes| scenario(&mut Choices::new(&bytes)))
}

/// Carries a plan out to its end.
fn carry_out_all(world: &mut World) {
    for step in &world.plan().steps {
        world.carry_out(step);
    }
    world.options.force_renewal = false;
    world.probe_again();
}

/// A bundle that another certificate's step sets free is removed by the plan after; nothing else takes two.
fn assert_converges(world: &mut World) {
    carry_out_all(world);
    let left = world.plan().steps;
    assert!(left.iter().all(|step| matches!(step.action, Action::Retire(_))), "{left:?}");
    carry_out_all(world);
    assert!(world.plan().steps.is_empty(), "{:?}", world.plan().steps);
}

/// Each certificate's work as an engine does it: what is issued is planned for anew.
fn carry_out_by_delivery(world: &mut World) {
    for step in world.plan().steps.iter().filter(|step| matches!(step.action, Action::Issue(_))) {
        world.carry_out(step);
    }
    let name = world.desired.certificates[0].name.clone();
    for step in &world.delivery(name.as_str()).steps {
        world.carry_out(step);
    }
    world.options.force_renewal = false;
    world.probe_again();
}

/// Nothing is to be issued: the current version is what is wanted and not due.
fn make_current(world: &mut World, certificate: &str) {
    world.now = at(NOT_DUE);
    world.options.force_renewal = false;
    world.want(certificate).version.profile = None;
    if world.record(certificate).current.is_none() {
        world.issue(certificate, 3);
    }
    world.record(certificate).pending = None;
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// Where a step belongs among those of its certificate on its load balancer.
fn rank(world: &World, step: &Step) -> usize {
    let deployed = world.desired.certificates.iter().flat_map(|spec| &spec.deploy).any(|deploy| {
        step.load_balancer.as_ref() == Some(&deploy.load_balancer) && step.listener.as_ref() == Some(&deploy.listener)
    });
    match &step.action {
        Action::PrepareHttp01(_) => 0,
        Action::Issue(_) => 1,
        Action::Upload => 2,
        Action::Bind(_) if deployed => 3,
        Action::CreateListener => 3,
        Action::Verify => 4,
        Action::Bind(_) => 5,
        Action::Retire(_) => 6,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_a_plan_says_carried_out_leaves_nothing_to_do(mut world in worlds()) {
        assert_converges(&mut world);
    }

    #[test]
    fn a_plan_cut_anywhere_is_finished_by_the_next(mut world in worlds(), cut in any::<prop::sample::Index>(), halfway: bool) {
        let steps = world.plan().steps;
        let done = cut.index(steps.len() + 1);
        for step in &steps[..done] {
            world.carry_out(step);
        }
        if let Some(step) = steps.get(done).filter(|_| halfway) {
            world.begin(step);
        }
        world.probe_again();
        assert_converges(&mut world);
    }

    #[test]
    fn deliveries_leave_nothing_to_do(mut world in worlds()) {
        world.desired.certificates.truncate(1);
        carry_out_by_delivery(&mut world);
        let name = world.desired.certificates[0].name.clone();
        let left = world.delivery(name.as_str()).steps;
        prop_assert!(left.is_empty(), "{:?}", left);
        let path_only = world.plan().steps.iter().all(|step| matches!(step.action, Action::PrepareHttp01(_)));
        prop_assert!(path_only, "{:?}", world.plan().steps);
    }

    #[test]
    fn a_delivery_is_the_plans_own_part_when_nothing_is_issued(mut world in worlds()) {
        let name = world.desired.certificates[0].name.clone();
        make_current(&mut world, name.as_str());
        let mut plan = world.plan();
        plan.steps.retain(|step| step.certificate.as_ref() == Some(&name));
        let delivery = world.delivery(name.as_str());
        prop_assert_eq!(world.lines_of(&plan), world.lines_of(&delivery));
    }

    #[test]
    fn only_what_certferry_recorded_is_retired(world in worlds()) {
        for step in world.plan().steps {
            let Action::Retire(bundle) = &step.action else { continue };
            let recorded = world.recorded.bundles.iter().any(|record| {
                record.name == *bundle
                    && Some(&record.load_balancer) == step.load_balancer.as_ref()
                    && Some(&record.certificate) == step.certificate.as_ref()
            });
            prop_assert!(recorded, "{:?}", step);
        }
    }

    #[test]
    fn no_place_is_left_with_a_bundle_that_is_retired(world in worlds()) {
        let plan = world.plan();
        for step in &plan.steps {
            let Action::Retire(retired) = &step.action else { continue };
            let here = step.load_balancer.as_ref().unwrap();
            let observation = world.observed.load_balancers[here].as_ref().unwrap();
            let bound_anew = |place: &crate::observed::Place| plan.steps.iter().any(|other| {
                other.load_balancer.as_ref() == Some(here)
                    && matches!(&other.action, Action::Bind(other) if other == place)
            });
            for (place, bundle) in observation.references() {
                prop_assert!(bundle != retired || bound_anew(&place), "{} keeps {}", place, retired);
            }
        }
    }

    #[test]
    fn a_way_back_stays(world in worlds()) {
        let plan = world.plan();
        for record in &world.recorded.bundles {
            let is_here = |other: &&BundleRecord| {
                other.load_balancer == record.load_balancer && other.certificate == record.certificate
            };
            let is_retired = |record: &BundleRecord| plan.steps.iter().any(|step| {
                step.load_balancer.as_ref() == Some(&record.load_balancer)
                    && matches!(&step.action, Action::Retire(name) if *name == record.name)
            });
            if record.served_at.is_none() || !is_retired(record) {
                continue;
            }
            let kept = world.recorded.bundles.iter().filter(is_here).any(|other| {
                let observation = world.observed.load_balancers[&other.load_balancer].as_ref().unwrap();
                other.served_at.is_some()
                    && other.version > record.version
                    && observation.bundles.contains_key(&other.name)
                    && !is_retired(other)
            });
            prop_assert!(kept, "{:?} is retired with nothing to go back to", record);
        }
    }

    #[test]
    fn steps_come_in_the_order_in_which_they_are_done(world in worlds()) {
        let plan = world.plan();
        let mut last: BTreeMap<_, usize> = BTreeMap::new();
        let mut delivered = BTreeSet::new();
        for step in &plan.steps {
            let rank = rank(&world, step);
            if rank == 0 {
                prop_assert!(last.is_empty() && delivered.is_empty(), "{:?} comes late", step);
                continue;
            }
            if rank == 1 {
                prop_assert!(!delivered.contains(&step.certificate), "{:?} comes late", step);
                continue;
            }
            delivered.insert(step.certificate.clone());
            let key = (step.certificate.clone(), step.load_balancer.clone());
            let before = last.insert(key, rank).unwrap_or(0);
            prop_assert!(before <= rank, "{:?} comes late", step);
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_plan(world in worlds()) {
        let again = world.clone();
        prop_assert_eq!(format!("{:?}", world.plan()), format!("{:?}", again.plan()));
    }

    #[test]
    fn the_order_in_which_things_were_recorded_does_not_matter(world in worlds()) {
        let mut turned = world.clone();
        turned.recorded.bundles.reverse();
        for record in turned.recorded.certificates.values_mut() {
            record.deployments.reverse();
        }
        prop_assert_eq!(sorted(world.lines()), sorted(turned.lines()));
    }

    #[test]
    fn a_certificates_share_of_the_plan_does_not_depend_on_what_else_is_planned(mut world in worlds()) {
        let whole = world.plan();
        for spec in world.desired.certificates.clone() {
            world.options.only = [spec.name.clone()].into();
            let alone = world.plan();
            let share = |plan: &Plan| {
                let steps = plan.steps.iter().filter(|step| step.certificate.as_ref() == Some(&spec.name));
                let problems = plan.problems.iter().filter(|problem| problem.certificate == spec.name);
                (steps.map(|step| format!("{step:?}")).collect::<Vec<_>>(), problems.map(|problem| format!("{problem:?}")).collect::<Vec<_>>())
            };
            prop_assert_eq!(share(&whole), share(&alone));
        }
    }
}
