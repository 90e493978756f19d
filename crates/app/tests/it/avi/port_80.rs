//! What is made for port 80 may be kept: then later orders change rules only.

use super::stage::{AviStage, SHOP, differences};
use super::{issued, issuer, listens_on_port_80, nothing_is_left_to_do, pebble, served_from, set};
use crate::parts::pebble::PebbleVersion;
use crate::stage::SERVER_NAME;

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_sibling_stays_empty_and_the_next_order_writes_no_virtual_service() {
    kept("sibling", &["+ virtualservice shop-443-certferry-acme"], "shop-443-certferry-acme").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_port_80_stays_and_the_next_order_writes_no_virtual_service() {
    let changes = ["virtualservice shop-443: http_policies", "virtualservice shop-443: services"];
    kept("add-service", &changes, SHOP).await;
}

async fn kept(port_80: &str, changes: &[&str], answering: &str) {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    let config = stage.config(&issuer(&pebble), stage.www());
    stage.configure(&config.http01(&format!("port-80: {port_80}")).http01("keep: true")).await;
    let before = stage.objects();
    let steps = stage.plan().await;
    let prepared = steps.iter().filter(|step| step["action"] == "prepare_http01");
    let prepared: Vec<&str> = prepared.map(|step| step["object"].as_str().unwrap()).collect();
    assert_eq!(prepared.len(), 2, "the policy set, and where it is linked: {prepared:?}");
    assert!(prepared[1].contains(answering), "{prepared:?}");

    stage.apply().await;
    let first = served_from(&pebble, &stage, "www", SERVER_NAME).await;
    let mut changed = differences(&before, &stage.objects());
    changed
        .retain(|change| !change.contains("sslkeyandcertificate") && !change.contains("ssl_key_and_certificate_refs"));
    let sets: Vec<String> = changed.iter().filter(|change| change.contains("httppolicyset")).cloned().collect();
    assert_eq!(sets.len(), 1, "{changed:?}");
    changed.remove(&sets[0]);
    assert_eq!(changed, set(changes));
    assert!(listens_on_port_80(&stage).await);
    assert_eq!(rules(&stage, &sets[0]), 0, "no token stays behind");
    nothing_is_left_to_do(&stage, &pebble).await;

    let (objects, writes) = (stage.objects(), stage.writes_on("virtualservice"));
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    assert_eq!(stage.writes_on("virtualservice"), writes);
    assert!(stage.writes_on("httppolicyset") > 0);
    assert_eq!(differences(&objects, &stage.objects()), set(&["sslkeyandcertificate cf-www: certificate"]));
    assert_eq!(rules(&stage, &sets[0]), 0, "no token stays behind");
    assert_ne!(served_from(&pebble, &stage, "www", SERVER_NAME).await, first);
    assert_eq!(issued(&pebble), 2);
}

/// Rules of the policy set that a change (`+ httppolicyset NAME`) names.
fn rules(stage: &AviStage, change: &str) -> usize {
    let set = stage.lab.object("httppolicyset", change.rsplit(' ').next().unwrap()).unwrap();
    let policies = ["http_security_policy", "http_request_policy"];
    policies.iter().filter_map(|policy| set[policy]["rules"].as_array()).map(Vec::len).sum()
}
