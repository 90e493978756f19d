//! What another ACME client ordered: taken over, delivered like all else, and renewed by whoever is to renew it.

use certferry_core::desired::{Desired, RenewedBy};
use certferry_core::plan::Stage;
use certferry_core::port::Store;
use certferry_core::{Chain, ErrorKind, Secret};
use certferry_engine::{AccountTaken, HandedOver};
use rcgen::{CertificateParams, KeyPair};

use crate::world::{Fault, World, certificate, deploy, desired, www_on};

fn by_certbot(load_balancers: &[&str]) -> Desired {
    let deploy = load_balancers.iter().map(|name| deploy(name, "https")).collect();
    let mut spec = certificate("www", &["www.some-domain.com"], &[], deploy);
    spec.renewed_by = RenewedBy::Certbot;
    desired(vec![spec])
}

/// A certificate for `www`, valid from the world's start for 90 days.
fn handed_over(world: &World, desired: &Desired) -> HandedOver {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
    let from = certferry_core::Clock::now(&*world.clock).as_second();
    let start = rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(u64::try_from(from).unwrap());
    params.not_before = start;
    params.not_after = start + std::time::Duration::from_secs(90 * 24 * 60 * 60);
    HandedOver {
        certificate: "www".parse().unwrap(),
        spec: desired.certificates[0].version.clone(),
        chain: Chain::parse(&params.self_signed(&key).unwrap().pem()).unwrap(),
        private_key: Secret::new(key.serialize_pem()),
        from: "/etc/letsencrypt/live/www".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_over_is_delivered_without_an_order_and_renewed_with_replaces() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    let handed = handed_over(&world, &desired);
    let version = world.engine(&desired).take_over(&handed).await.unwrap();
    assert_eq!(version.leaf.as_ref(), Some(handed.chain.leaf()));
    let report = world.apply(&desired).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    assert_eq!(world.ca.orders().len(), 0);
    world.assert_settled(&desired, "taken over").await;
    world.clock.advance(70);
    world.apply(&desired).await;
    assert_eq!(world.ca.orders().len(), 1);
    let current = world.store.recorded().await.unwrap().certificates["www"].current.clone().unwrap();
    assert_eq!(current.replaces, Some(version.id));
    world.assert_settled(&desired, "renewed").await;
}

#[tokio::test(start_paused = true)]
async fn what_certbot_renews_is_never_ordered() {
    let (world, desired) = (World::new(&["east"]), by_certbot(&["east"]));
    let report = world.apply(&desired).await;
    let said: Vec<String> = report.failures.iter().map(|problem| problem.error.to_string()).collect();
    assert_eq!(report.worst(), Some(Stage::Issue), "{said:?}");
    assert!(said[0].contains("has not handed over"), "{said:?}");
    world.engine(&desired).take_over(&handed_over(&world, &desired)).await.unwrap();
    let report = world.apply_with(&desired, &crate::world::forced()).await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    world.clock.advance(80);
    world.assert_settled(&desired, "late").await;
    world.apply(&desired).await;
    assert_eq!(world.events.warnings().len(), 1, "people are warned that certbot is late");
    world.clock.advance(20);
    let report = world.apply(&desired).await;
    assert!(report.failures[0].error.to_string().contains("ended at"), "{:?}", report.failures);
    world.engine(&desired).take_over(&handed_over(&world, &desired)).await.unwrap();
    assert!(world.apply(&desired).await.failures.is_empty());
    world.assert_settled(&desired, "handed over").await;
    assert_eq!(world.ca.orders().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_under_way_gives_way_to_what_is_taken_over() {
    let (world, own) = (World::new(&["east"]), www_on(&["east"]));
    world.switchboard.arm([]);
    world.apply(&own).await;
    let count = world.switchboard.calls();
    for call in 1..=count {
        let world = World::new(&["east"]);
        world.switchboard.arm([(call, Fault::KillAfter)]);
        let _ = world.apply_until_killed(&own).await;
        world.switchboard.arm([]);
        let orders = world.ca.orders().len();
        let handed = handed_over(&world, &own);
        world.engine(&own).take_over(&handed).await.unwrap();
        let context = format!("killed after call {call} ({})", world.switchboard.name_of(call));
        let report = world.apply(&own).await;
        assert!(report.failures.is_empty(), "{context}: {:?}", report.failures);
        assert_eq!(world.ca.orders().len(), orders, "{context}");
        let current = world.store.recorded().await.unwrap().certificates["www"].current.clone().unwrap();
        assert_eq!(current.leaf.as_ref(), Some(handed.chain.leaf()), "{context}");
        world.assert_settled(&own, &context).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_taken_over_is_the_one_that_orders() {
    let (world, desired) = (World::new(&["east"]), www_on(&["east"]));
    world.apply(&desired).await;
    let issuer = "ca".parse().unwrap();
    let account = world.store.account(&issuer, "").await.unwrap().unwrap();
    let other = World::new(&["east"]);
    let engine = other.engine(&desired);
    let taken = AccountTaken {
        issuer,
        key: account.key.clone(),
        url: account.url.clone().unwrap(),
        from: "/etc/letsencrypt".to_owned(),
    };
    engine.take_over_account(&taken).await.unwrap();
    let kept = other.store.account(&taken.issuer, "").await.unwrap().unwrap();
    assert_eq!((kept.url, kept.key.expose()), (account.url, account.key.expose()));
    let nobody = AccountTaken { issuer: "nobody".parse().unwrap(), ..taken };
    assert_eq!(engine.take_over_account(&nobody).await.unwrap_err().kind(), ErrorKind::NotFound);
}
