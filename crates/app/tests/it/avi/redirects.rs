//! A separate virtual service on port 80 that sends clients to https: certferry's rules go there too, and it stays as it was.

use std::collections::BTreeSet;

use certferry_lab::avi_controller::RedirectOrder;
use serde_json::json;

use super::stage::{AviStage, REDIRECT, SHOP};
use super::{
    answered_challenges, apply_as_planned, issuer, listens_on_port_80, nothing_is_left_to_do, pebble, served_from,
};
use crate::parts::own_network::{own_address, ran_in_own_network};
use crate::parts::pebble::{Pebble, PebbleOptions, PebbleVersion};
use crate::stage::SERVER_NAME;

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_by_the_profile_is_answered_before_where_policies_come_first() {
    let stage = AviStage::new().await.with_redirect("System-Secure-HTTP");
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    stage.configure_www(&issuer(&pebble)).await;
    only_the_reference_changes(&stage, &pebble, &[REDIRECT]).await;
}

/// The self-check and the CA follow the redirect, so both need the real ports.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_by_the_profile_is_followed_where_it_comes_first() {
    if ran_in_own_network("avi::redirects::a_redirect_by_the_profile_is_followed_where_it_comes_first") {
        return;
    }
    let address = own_address();
    let stage = AviStage::on_real_ports(address, own_address()).await.with_shop().with_redirect("System-Secure-HTTP");
    stage.lab.set_behaviour(|behaviour| behaviour.redirect_order = RedirectOrder::ProfileFirst);
    let options = PebbleOptions { version: PebbleVersion::V2_4, ..PebbleOptions::validating_at(80) };
    let pebble = Pebble::start(PebbleOptions { resolves_to: address, tls_port: 443, ..options }).await;
    stage.configure(&stage.config(&issuer(&pebble), stage.www()).without_probes()).await;
    only_the_reference_changes(&stage, &pebble, &[SHOP]).await;
    let redirected = stage.lab.requests_to(REDIRECT).unwrap();
    assert!(
        redirected.iter().any(|request| request.response_code == 302 || request.response_code == 301),
        "{redirected:?}"
    );
}

/// In both orders: with a profile that does not redirect they do not differ.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_by_somebody_elses_policy_is_answered_before() {
    for order in [RedirectOrder::PolicyFirst, RedirectOrder::ProfileFirst] {
        let stage = AviStage::new().await.with_redirect("System-HTTP");
        stage.lab.set_behaviour(move |behaviour| behaviour.redirect_order = order);
        let set = stage.add("httppolicyset", json!({"name": "to-https", "http_security_policy": {"rules": [{
            "name": "all", "index": 1, "enable": true, "action": {"action": "HTTP_SECURITY_ACTION_REDIRECT_TO_HTTPS"},
        }]}}));
        let link = json!([{"index": 1, "http_policy_set_ref": format!("/api/httppolicyset/{set}")}]);
        stage.lab.edit("virtualservice", REDIRECT, move |service| service["http_policies"] = link).unwrap();
        let pebble = pebble(&stage, PebbleVersion::V2_4).await;
        // Port 80 is there: nothing is to be made for it.
        stage.configure(&stage.config(&issuer(&pebble), stage.www()).http01("port-80: require")).await;
        only_the_reference_changes(&stage, &pebble, &[REDIRECT]).await;
    }
}

/// The first run delivers, these virtual services answered the CA, and afterwards the redirect is as it was.
async fn only_the_reference_changes(stage: &AviStage, pebble: &Pebble, answering: &[&str]) {
    let changed = apply_as_planned(stage).await;
    let services: BTreeSet<&String> = changed.iter().filter(|change| change.contains("virtualservice")).collect();
    assert_eq!(services.into_iter().collect::<Vec<_>>(), ["virtualservice shop-443: ssl_key_and_certificate_refs"]);
    assert_eq!(changed.len(), 3, "{changed:?}");
    let answered = answered_challenges(stage);
    assert_eq!(answered.keys().collect::<Vec<_>>(), answering);
    assert!(answered.values().sum::<usize>() >= 2, "certferry looked, and then the CA: {answered:?}");
    let made = stage.writes().into_iter().filter(|record| record.operation == "POST virtualservice");
    assert_eq!(made.count(), 0, "there is a port 80 already");
    assert!(listens_on_port_80(stage).await, "the redirect goes on");
    served_from(pebble, stage, "www", SERVER_NAME).await;
    nothing_is_left_to_do(stage, pebble).await;
}
