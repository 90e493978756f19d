//! The whole program against Caddy's `acme_server`, a CA of other people's code: it knows no ARI, validates while the
//! answer to the challenge's POST waits, and asks port 80 of the name's real address. So here the load balancer has its
//! real ports, and the config no `probe`: certferry looks where the load balancer says that it is.

use std::collections::BTreeSet;

use crate::parts::caddy::{Caddy, CaddyOptions};
use crate::parts::openssl::{self, Served};
use crate::parts::own_network::{own_address, ran_in_own_network};
use crate::stage::{BY_HAND, Issuer, SERVER_NAME, Stage, front};

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_issued_and_served_and_then_there_is_nothing_to_do() {
    if ran_in_own_network("caddy::a_certificate_is_issued_and_served_and_then_there_is_nothing_to_do") {
        return;
    }
    let (stage, caddy) = stage_and_caddy().await;
    let fields = stage.other_fields("https");
    stage.apply().await;
    assert_eq!(stage.other_fields("https"), fields);
    let served = served_from(&caddy, &stage).await;
    assert_eq!(served.chain.len(), 2, "a leaf and its issuer");
    let certificate = stage.status().await["certificates"][0].take();
    assert_eq!(certificate["state"], "ok");
    assert_eq!(certificate["deployments"][0]["state"], "verified");

    let plan = stage.certferry(&["plan"]).await.expect_exit(0);
    assert!(plan.stdout().contains("nothing to do"), "{}", plan.stdout());
    let again = stage.apply().await;
    assert!(again.stdout().contains("nothing to do"), "{}", again.stdout());
    assert_eq!(served_from(&caddy, &stage).await, served);
}

/// Without ARI there is nothing to tell the CA about what is replaced, and nothing to ask it.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_without_ari_renews_when_told_to() {
    if ran_in_own_network("caddy::a_ca_without_ari_renews_when_told_to") {
        return;
    }
    let (stage, caddy) = stage_and_caddy().await;
    stage.apply().await;
    let mut serials = vec![served_from(&caddy, &stage).await.serial];
    let mut bundles = vec![stage.bound("https")];
    for _ in 0..2 {
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
        let serial = served_from(&caddy, &stage).await.serial;
        assert!(!serials.contains(&serial), "not renewed");
        serials.push(serial);
        bundles.push(stage.bound("https"));
    }
    let kept: BTreeSet<String> = stage.own_bundles().into_iter().collect();
    assert_eq!(kept, bundles.split_off(1).into_iter().collect(), "the served one, and the one before it");
    assert!(stage.load_balancer()["certificates"][BY_HAND].is_object(), "what a person made is not removed");
}

async fn stage_and_caddy() -> (Stage, Caddy) {
    let address = own_address();
    let stage = Stage::with(vec![("front", front(&[("https", 443)]).on_exact_ports(address))]).await;
    let hosts = vec![(SERVER_NAME.to_owned(), address)];
    let caddy = Caddy::start(CaddyOptions { hosts, lifetime_hours: 24 }).await;
    let issuer = Issuer { directory_url: caddy.directory_url(), trusted_root_pem: caddy.root_pem() };
    let deploy = "      - { load-balancer: front, listener: https }\n";
    stage.configure(&issuer, &format!("  www:\n    names: [{SERVER_NAME}]\n    deploy:\n{deploy}"));
    let config = std::fs::read_to_string(stage.config_path()).expect("the config is there");
    let without_probe: String = config
        .lines()
        .filter(|line| !line.trim_start().starts_with("probe:"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(stage.config_path(), without_probe).expect("write the config");
    (stage, caddy)
}

/// What the load balancer's port 443 serves: a chain that leads to Caddy's root, of the version that was issued.
async fn served_from(caddy: &Caddy, stage: &Stage) -> Served {
    let served = openssl::served_and_trusted(stage.address(443), SERVER_NAME, &caddy.root_pem()).await;
    let served = served.unwrap_or_else(|said| panic!("openssl does not accept what is served: {said}"));
    assert_eq!(served.serial, stage.issued_serial().await, "another version is served than was issued");
    served
}
