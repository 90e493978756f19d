//! dns-01: the same promises, with TXT records in place of responses on a load balancer.

use certferry_core::ErrorKind;
use certferry_core::plan::Stage;

use crate::world::{Fault, World, wildcard_on};

const RECORD: &str = "_acme-challenge.some-domain.com";

#[tokio::test(start_paused = true)]
async fn a_name_and_its_wildcard_are_validated_side_by_side_and_others_values_stay() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.dns.write_by_hand(RECORD, "somebody else's");
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(world.dns.most_at_one_name(), 3, "both of ours at once, and the other");
    assert_eq!(world.dns.records(), [format!("{RECORD} somebody else's")]);
    assert!(world.lb("east").bound("https").unwrap().starts_with("cf-www-"));
    assert_eq!(world.ca.orders()[0].finalized, 1);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_never_gets_everywhere_costs_no_request_to_the_ca_and_is_taken_away() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.dns.second_lags(true);
    world.switchboard.arm([]);
    let report = world.apply(&desired).await;
    assert_eq!(report.worst(), Some(Stage::Issue));
    let error = &report.failures[0].error;
    assert_eq!(error.kind(), ErrorKind::SelfCheck);
    let text = error.to_string();
    assert!(text.contains(RECORD) && text.contains("ns2.some-domain.com (192.0.2.1:2) has no TXT record"), "{text}");
    assert!(!text.contains("ns1."), "only those that lack it are named: {text}");
    assert!(error.hint().unwrap().contains("propagate-within"), "{error:?}");
    let calls = 1..=world.switchboard.calls();
    assert!(!calls.into_iter().any(|call| world.switchboard.name_of(call) == "ca challenge"), "the CA was asked");
    assert!(world.dns.records().is_empty() && world.store.open_challenge_tokens().is_empty());

    // The same order goes on once the server is up to date.
    world.dns.second_lags(false);
    world.clock.advance(1);
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(world.ca.orders().len(), 1);
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_named() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.dns.second_is_down(true);
    let text = world.apply(&desired).await.failures[0].error.to_string();
    assert!(text.contains("ns2.some-domain.com does not answer (192.0.2.1:2: no answer within 5 s)"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn aliases_are_followed_to_the_record_that_holds_the_values() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.dns.alias(RECORD, "www.challenges.test");
    world.dns.alias("www.challenges.test", "deep.challenges.test");
    world.dns.second_lags(true);
    let report = world.apply(&desired).await;
    assert!(report.failures[0].error.to_string().contains("TXT deep.challenges.test"), "{:?}", report.failures);
    world.dns.second_lags(false);
    world.clock.advance(1);
    assert!(world.apply(&desired).await.failures.is_empty());
    world.assert_settled(&desired, "at the end").await;
}

#[tokio::test(start_paused = true)]
async fn aliases_that_go_round_end_and_are_shown() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.dns.alias(RECORD, "a.challenges.test");
    world.dns.alias("a.challenges.test", RECORD);
    let text = world.apply(&desired).await.failures[0].error.to_string();
    assert!(text.contains("_acme-challenge.some-domain.com → a.challenges.test → _acme-challenge"), "{text}");
    // So does a chain without an end.
    let world = World::new(&["east"]);
    world.dns.alias(RECORD, "0.challenges.test");
    for number in 0..20 {
        world.dns.alias(&format!("{number}.challenges.test"), &format!("{}.challenges.test", number + 1));
    }
    let text = world.apply(&desired).await.failures[0].error.to_string();
    assert!(text.contains("→ 7.challenges.test") && !text.contains("9.challenges.test"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_run_by_dns01_killed_at_any_call_is_finished_by_the_next() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.switchboard.arm([]);
    assert!(world.apply(&desired).await.failures.is_empty());
    let count = world.switchboard.calls();
    assert!((1..=count).any(|call| world.switchboard.name_of(call) == "dns withdraw"));
    for call in 1..=count {
        for fault in [Fault::KillBefore, Fault::KillAfter] {
            let world = World::new(&["east"]);
            world.switchboard.arm([(call, fault)]);
            let killed = world.apply_until_killed(&desired).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            assert!(killed.is_none(), "{context}: the process lived");
            world.switchboard.arm([]);
            let report = world.apply(&desired).await;
            assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
            world.assert_settled(&desired, &context).await;
            assert_eq!(world.ca.orders().len(), 1, "{context}: one version, one order");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_at_any_call_of_a_run_by_dns01_is_mended_by_the_next() {
    let (world, desired) = (World::new(&["east"]), wildcard_on(&["east"]));
    world.switchboard.arm([]);
    world.apply(&desired).await;
    let count = world.switchboard.calls();
    let kinds = [ErrorKind::Denied, ErrorKind::EffectUnknown, ErrorKind::Timeout, ErrorKind::Unavailable];
    for fault in kinds.into_iter().map(Fault::FailBefore).chain([Fault::LoseAnswer]) {
        for call in 1..=count {
            let world = World::new(&["east"]);
            world.switchboard.arm([(call, fault)]);
            let _ = world.try_apply(&desired, &Default::default()).await;
            let context = format!("{fault:?} at call {call} ({})", world.switchboard.name_of(call));
            world.clock.advance(1);
            world.switchboard.arm([]);
            let report = world.apply(&desired).await;
            assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
            world.assert_settled(&desired, &context).await;
            assert_eq!(world.ca.orders().len(), 1, "{context}");
        }
    }
}
