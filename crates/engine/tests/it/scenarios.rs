//! What must hold, one scenario each.

use std::collections::BTreeSet;

use certferry_core::desired::Desired;
use certferry_core::plan::{PlanOptions, Stage};
use certferry_core::port::OrderStatus;
use certferry_core::renewal::RenewalWindow;
use certferry_core::{Clock, ErrorKind};
use certferry_engine::Report;
use jiff::SignedDuration;

use crate::world::{Fault, World, certificate, deploy, desired, forced, www_on};

#[tokio::test(start_paused = true)]
async fn a_second_apply_has_nothing_to_do() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    assert!(world.apply(&desired).await.failures.is_empty());
    world.assert_settled(&desired, "after the first run").await;
    let report = world.apply(&desired).await;
    assert_eq!((report.done, report.failures.len()), (0, 0));
    assert_eq!(world.ca.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_names_what_it_replaces_and_keeps_one_bundle_before_it() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let first = world.lb("east").bound("https").unwrap();
    world.clock.advance(61);
    world.apply(&desired).await;
    let second = world.lb("east").bound("https").unwrap();
    assert_ne!(first, second);
    assert!(world.ca.orders()[1].replaces.is_some());
    assert!(world.lb("east").own_bundles().contains(&first), "one bundle is kept for rollback");
    world.clock.advance(61);
    world.apply(&desired).await;
    let bundles = world.lb("east").own_bundles();
    assert!(!bundles.contains(&first) && bundles.contains(&second), "{bundles:?}");
    assert!(world.lb("east").bundles().contains(&"old".to_owned()), "what others made stays");
}

#[tokio::test(start_paused = true)]
async fn everything_that_shares_an_own_bundle_is_moved_before_it_goes() {
    let world = World::new(&["east"]);
    let deploys = vec![deploy("east", "https"), deploy("east", "https-2")];
    let desired = desired(vec![certificate("www", &["www.some-domain.com"], &["east"], deploys)]);
    world.apply(&desired).await;
    let first = world.lb("east").bound("https").unwrap();
    world.lb("east").backend_set_by_hand("app", &first);
    for _ in 0..2 {
        world.clock.advance(61);
        assert!(world.apply(&desired).await.failures.is_empty());
    }
    let bound = world.lb("east").bound("https").unwrap();
    assert_eq!(world.lb("east").bound("https-2").unwrap(), bound);
    assert_eq!(world.lb("east").backend_set("app"), bound);
    assert!(!world.lb("east").bundles().contains(&first));
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_verification_puts_the_old_bundle_back_and_the_next_run_needs_no_order() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.lb("east").stick();
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Verify));
    assert_eq!(world.lb("east").bound("https").as_deref(), Some("old"));
    assert!(world.events.actions().contains(&"roll_back done".to_owned()));
    world.lb("east").unstick();
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(world.ca.orders().len(), 1);
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_version_that_was_verified_once_is_not_rolled_back() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    world.clock.advance(61);
    world.apply(&desired).await;
    let bound = world.lb("east").bound("https");
    // The load balancer begins to serve something else though its listener says otherwise.
    world.lb("east").bind_by_hand("https", "old");
    world.lb("east").stick();
    world.lb("east").bind_by_hand("https", bound.as_deref().unwrap());
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Verify));
    assert_eq!(world.lb("east").bound("https"), bound);
    // Nor is it by the run after that.
    world.apply(&desired).await;
    assert_eq!(world.lb("east").bound("https"), bound);
}

#[tokio::test(start_paused = true)]
async fn drift_is_repaired() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let bound = world.lb("east").bound("https");
    world.lb("east").bind_by_hand("https", "old");
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty() && report.done == 2, "bind and verify: {report:?}");
    assert_eq!(world.lb("east").bound("https"), bound);
    assert_eq!(world.ca.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_that_is_down_is_served_later_without_a_new_order() {
    let world = World::new(&["east", "west"]);
    let deploys = vec![deploy("east", "https"), deploy("west", "https")];
    let desired = desired(vec![certificate("www", &["www.some-domain.com"], &["east"], deploys)]);
    world.lb("west").down(true);
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Deliver));
    assert!(world.lb("east").bound("https").unwrap().starts_with("cf-www-"));
    world.lb("west").down(false);
    assert!(world.apply(&desired).await.failures.is_empty());
    assert_eq!(world.lb("west").bound("https"), world.lb("east").bound("https"));
    assert_eq!(world.ca.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failing_ca_does_not_keep_the_current_version_from_being_delivered() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let bound = world.lb("east").bound("https");
    world.clock.advance(61);
    world.ca.refuse_validation(true);
    world.lb("east").bind_by_hand("https", "old");
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Issue));
    assert_eq!(world.lb("east").bound("https"), bound, "drift is repaired all the same");
}

#[tokio::test(start_paused = true)]
async fn validation_failures_are_spaced_out_unless_forced() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.ca.refuse_validation(true);
    assert_eq!(world.apply(&desired).await.failures[0].error.kind(), ErrorKind::Validation);
    assert_eq!(world.ca.orders().len(), 1);
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Issue));
    assert_eq!(world.ca.orders().len(), 1, "a run too soon asks nothing of the CA");
    world.ca.refuse_validation(false);
    assert!(world.apply_with(&desired, &forced()).await.failures.is_empty());
    assert_eq!(world.ca.orders().last().unwrap().status, OrderStatus::Valid);
}

/// A run whose self-check fails: another process's responder answers, since ours is replaced after the engine was made.
pub(crate) async fn stopped_at_the_self_check(world: &World, desired: &Desired) -> Report {
    let engine = world.engine(desired);
    let run = engine.begin("a test", &PlanOptions::default()).await.unwrap();
    let elsewhere = world.engine(desired);
    let report = run.carry_out(Ok(())).await;
    drop(elsewhere);
    report
}

/// RFC 8555 §7.1.3: `expires` is when the CA gives an order up, and a CA may be slow to say so in its status.
#[tokio::test(start_paused = true)]
async fn an_order_that_has_expired_is_not_gone_on_with() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    stopped_at_the_self_check(&world, &desired).await;
    world.clock.advance(8);
    assert!(world.apply(&desired).await.failures.is_empty());
    let orders = world.ca.orders();
    assert_eq!((orders.len(), orders[0].status, orders[0].finalized), (2, OrderStatus::Pending, 0));
}

#[tokio::test(start_paused = true)]
async fn an_authorization_that_has_expired_ends_its_order() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.ca.end_authorizations_early(SignedDuration::from_hours(6 * 24));
    stopped_at_the_self_check(&world, &desired).await;
    world.clock.advance(2);
    let report = world.apply(&desired).await;
    assert!(report.failures[0].error.to_string().contains("its time to be validated ended"), "{report:?}");
    assert!(world.apply_with(&desired, &forced()).await.failures.is_empty());
    let orders = world.ca.orders();
    assert_eq!((orders.len(), orders[0].status, orders[0].finalized), (2, OrderStatus::Pending, 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_self_check_asks_nothing_of_the_ca_and_keeps_the_order() {
    let world = World::new(&["east", "west"]);
    // The challenges go through `west` too, whose path exists, but to a responder that is not ours.
    let desired = desired(vec![certificate("www", &["www.some-domain.com"], &["east"], vec![deploy("east", "https")])]);
    let report = stopped_at_the_self_check(&world, &desired).await;
    assert_eq!(report.failures[0].error.kind(), ErrorKind::SelfCheck, "{report:?}");
    assert!(report.failures[0].error.to_string().contains("404"), "{}", report.failures[0].error);
    assert_eq!(world.ca.orders()[0].status, OrderStatus::Pending, "the CA was not asked to validate");
    assert!(world.apply(&desired).await.failures.is_empty());
    assert_eq!(world.ca.orders().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_could_be_asked_for_nowhere_is_not_in_place() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.lb("east").lose_its_address();
    let report = world.apply(&desired).await;
    let error = &report.failures[0].error;
    assert_eq!(error.kind(), ErrorKind::SelfCheck, "{report:?}");
    assert!(error.to_string().contains("no address") && error.hint().unwrap().contains("`probe:`"), "{error:?}");
    assert_eq!(world.ca.orders()[0].status, OrderStatus::Pending, "the CA was not asked to validate");
}

#[tokio::test(start_paused = true)]
async fn without_a_responder_nothing_is_ordered() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    let engine = world.engine(&desired);
    let run = engine.begin("a test", &PlanOptions::default()).await.unwrap();
    let in_use = certferry_core::Error::new(ErrorKind::Unavailable, "listen", "address 0.0.0.0:8080");
    let report = run.carry_out(Err(in_use)).await;
    assert_eq!(report.worst(), Some(Stage::Issue));
    assert!(world.ca.orders().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_account_that_the_ca_forgot_is_not_silently_made_again() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    world.ca.forget_accounts();
    world.clock.advance(61);
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Issue));
    assert_eq!(world.ca.accounts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_names_gives_up_what_was_being_ordered() {
    let (world, desired_before) = (World::new(&["east"]), www_on(&["east"]));
    world.switchboard.arm([(12, Fault::KillBefore)]);
    assert!(world.apply_until_killed(&desired_before).await.is_none());
    assert_eq!(world.ca.orders().len(), 1, "killed with an order under way");
    world.switchboard.arm([]);
    let names = ["www.some-domain.com", "shop.some-domain.com"];
    let desired = desired(vec![certificate("www", &names, &["east"], vec![deploy("east", "https")])]);
    assert!(world.apply(&desired).await.failures.is_empty());
    assert_eq!(world.ca.orders()[1].names.len(), 2);
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_renewal_window_in_the_past_renews_now() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let served = world.lb("east").served_at("127.0.0.1:1000".parse().unwrap()).unwrap();
    let now = world.clock.now();
    let hour = SignedDuration::from_hours(1);
    let window = RenewalWindow { start: now - hour * 2, end: now - hour, explanation_url: None, next_fetch: now };
    world.ca.suggest(served.leaf.serial, window);
    world.apply(&desired).await;
    assert_eq!(world.ca.orders().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn only_named_certificates_are_touched() {
    let world = World::new(&["east"]);
    let www = certificate("www", &["www.some-domain.com"], &["east"], vec![deploy("east", "https")]);
    let shop = certificate("shop", &["shop.some-domain.com"], &["east"], vec![deploy("east", "https-2")]);
    let desired = desired(vec![www, shop]);
    let only = BTreeSet::from(["shop".parse().unwrap()]);
    world.apply_with(&desired, &PlanOptions { only, ..PlanOptions::default() }).await;
    assert_eq!(world.lb("east").bound("https").as_deref(), Some("old"));
    assert!(world.lb("east").bound("https-2").unwrap().starts_with("cf-shop-"));
}

#[tokio::test(start_paused = true)]
async fn a_second_engine_is_told_who_holds_the_store() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    let engine = world.engine(&desired);
    let _run = engine.begin("a test", &PlanOptions::default()).await.unwrap();
    let second = world.try_apply(&desired, &PlanOptions::default()).await.unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn mutations_of_one_load_balancer_are_made_one_at_a_time() {
    let world = World::new(&["east", "west"]);
    let certificates = (0..20).map(|number| {
        let load_balancer = if number % 2 == 0 { "east" } else { "west" };
        let name = format!("c{number}");
        let dns_name = format!("{name}.some-domain.com");
        // They share listeners, which nobody would do; what matters here is that their calls would overlap.
        certificate(&name, &[dns_name.as_str()], &[load_balancer], vec![deploy(load_balancer, "https-2")])
    });
    world.apply(&desired(certificates.collect())).await;
    assert_eq!(world.ca.orders().len(), 20);
    assert_eq!(world.lb("east").most_mutating(), 1);
    assert_eq!(world.lb("west").most_mutating(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_content_is_replaced_in_place_the_object_keeps_its_name() {
    let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
    assert!(world.apply(&desired).await.failures.is_empty());
    assert_eq!(world.lb("in-place").bound("https").as_deref(), Some("cf-www"));
    world.clock.advance(61);
    assert!(world.apply(&desired).await.failures.is_empty());
    assert_eq!(world.lb("in-place").bound("https").as_deref(), Some("cf-www"));
    assert_eq!(world.lb("in-place").own_bundles(), ["cf-www"]);
    assert_eq!(world.lb("in-place").uploads().len(), 2);
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn where_content_is_replaced_in_place_a_failed_verification_puts_the_content_back() {
    let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
    world.apply(&desired).await;
    world.clock.advance(61);
    world.lb("in-place").stick();
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    let uploads = world.lb("in-place").uploads();
    assert_eq!(uploads.len(), 3, "the first, the second, the first again");
    assert_eq!(uploads[0], uploads[2]);
    world.lb("in-place").unstick();
    assert!(world.apply(&desired).await.failures.is_empty());
    assert_eq!(world.ca.orders().len(), 2, "no new order for the delivery");
    assert_eq!(world.lb("in-place").uploads()[3], uploads[1]);
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn where_content_is_replaced_in_place_what_somebody_overwrote_is_repaired() {
    let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
    world.apply(&desired).await;
    world.lb("in-place").overwrite_by_hand("cf-www");
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty() && report.done == 2, "upload and verify: {report:?}");
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_while_the_new_version_is_not_verified() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    for _ in 0..2 {
        world.apply(&desired).await;
        world.clock.advance(61);
    }
    let before = world.lb("east").own_bundles();
    world.lb("east").stick();
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    let after = world.lb("east").own_bundles();
    assert!(before.iter().all(|bundle| after.contains(bundle)), "before {before:?}, after {after:?}");
    world.lb("east").unstick();
    world.apply(&desired).await;
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_bundle_that_was_uploaded_and_never_bound_is_not_forgotten() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let calls = world.switchboard.calls();
    let upload = (1..=calls).find(|call| world.switchboard.name_of(*call) == "east upload").unwrap();
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.switchboard.arm([(upload, Fault::KillAfter)]);
    assert!(world.apply_until_killed(&desired).await.is_none());
    world.switchboard.arm([]);
    let stray = world.lb("east").own_bundles();
    assert_eq!(stray.len(), 1);
    // The next run is for other names, so that this bundle is never bound.
    let names = ["www.some-domain.com", "shop.some-domain.com"];
    let changed = crate::world::desired(vec![certificate("www", &names, &["east"], vec![deploy("east", "https")])]);
    assert!(world.apply(&changed).await.failures.is_empty());
    assert!(!world.lb("east").bundles().contains(&stray[0]), "{:?}", world.lb("east").bundles());
}

#[tokio::test(start_paused = true)]
async fn a_leaf_without_its_intermediates_is_not_served_as_deployed() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.lb("east").serve_leaf_only(true);
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Verify));
    assert!(report.failures[0].error.to_string().contains("chain of 1 where 2"), "{}", report.failures[0].error);
    world.lb("east").serve_leaf_only(false);
    assert!(world.apply(&desired).await.failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn where_content_is_replaced_in_place_a_version_that_was_verified_once_stays() {
    let (world, desired) = (World::new(&["in-place"]), www_on(&["in-place"]));
    for _ in 0..2 {
        world.apply(&desired).await;
        world.clock.advance(61);
    }
    world.clock.advance(-61);
    let second = world.lb("in-place").uploads()[1].clone();
    // Somebody overwrites it, and the load balancer goes on serving that although the repair was accepted.
    world.lb("in-place").overwrite_by_hand("cf-www");
    world.lb("in-place").stick();
    assert_eq!(world.apply(&desired).await.worst(), Some(Stage::Verify));
    assert_eq!(world.lb("in-place").uploads().last(), Some(&second));
}
