//! What the vendor's control script for ACME does wrong, where it takes the whole program to show that it is otherwise here.
//! The numbers are those of the list in the providers' test of the same name.

use std::collections::BTreeSet;

use certferry_lab::acme_ca::Endpoint;
use certferry_lab::avi_controller::{Effect, Fault};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::avi::stage::{AviStage, SHOP, differences};
use crate::stage::{LabCa, SERVER_NAME};

const NAMES: [&str; 3] = ["one.some-domain.test", "three.some-domain.test", "two.some-domain.test"];

/// With a certificate of three names on [`SHOP`], and nothing on port 80.
async fn three_names(port_80: &str) -> (AviStage, LabCa) {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    let certificate = stage.certificate("www", &NAMES, SHOP, "");
    stage.configure(&stage.config(&ca.issuer(), certificate).http01(&format!("port-80: {port_80}"))).await;
    (stage, ca)
}

/// Defect 2: the controller refuses the second name's rule.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_on_the_second_name_leaves_nothing_of_the_first() {
    for port_80 in ["sibling", "add-service"] {
        let (stage, ca) = three_names(port_80).await;
        let before = stage.objects();
        stage.lab.add_fault(Fault::new("PUT httppolicyset", Effect::answer(400, "not on a Sunday")));
        let ended = stage.certferry(&["apply"]).await.expect_exit(3);
        for part in ["PUT httppolicyset", "load balancer `edge`", "not on a Sunday", "hint:"] {
            assert!(ended.stderr().contains(part), "{port_80}: {part} is not in: {}", ended.stderr());
        }
        assert_eq!(differences(&before, &stage.objects()), BTreeSet::new(), "{port_80}");
        stage.apply().await;
        assert_eq!(ca.ca.orders().len(), 1, "{port_80}: the same order");
    }
}

/// Defect 3: three names, worked on at once.
#[tokio::test(flavor = "multi_thread")]
async fn all_names_of_a_virtual_service_share_one_port_80() {
    for (port_80, change) in [("sibling", "POST virtualservice"), ("add-service", "PATCH virtualservice")] {
        let (stage, _ca) = three_names(port_80).await;
        let before = stage.objects();
        stage.apply().await;
        let of_port_80 = stage.writes().into_iter().filter(|call| {
            call.operation == change && call.body.as_ref().is_some_and(|body| body.to_string().contains("\"port\":80"))
        });
        let added = if port_80 == "sibling" { 1 } else { 2 };
        assert_eq!(of_port_80.count(), added, "{port_80}: made once, and taken away once");
        assert_eq!(stage.lab.count("POST httppolicyset"), 1, "{port_80}");
        let changed = differences(&before, &stage.objects());
        let others: Vec<&String> = changed.iter().filter(|change| !change.contains("sslkeyandcertificate ")).collect();
        assert_eq!(others, [&format!("virtualservice {SHOP}: ssl_key_and_certificate_refs")], "{port_80}");
    }
}

/// Defect 4: the CA finds one of the names elsewhere, and the clean-up fails too.
#[tokio::test(flavor = "multi_thread")]
async fn the_cas_word_is_told_though_the_clean_up_fails_too() {
    for (port_80, clean_up) in [("sibling", "DELETE virtualservice"), ("add-service", "DELETE httppolicyset")] {
        let (stage, ca) = three_names(port_80).await;
        let before = stage.objects();
        let elsewhere = something_else().await;
        ca.ca.resolve(NAMES[1], elsewhere, elsewhere);
        // The first of these calls is the one by which the right to make it is tried.
        stage.lab.add_fault(Fault::new(clean_up, Effect::answer(400, "not on a Sunday")).after(1));
        let printed = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
        assert_eq!(stage.lab.pending_faults(), 0, "{port_80}: the clean-up failed");
        assert!(printed.contains(NAMES[1]) && printed.contains("authorization"), "{port_80}: {printed}");
        let left = differences(&before, &stage.objects());
        assert!(!left.is_empty(), "{port_80}: what could not be taken away is still there");

        // Too soon to ask the CA again, but not to clean up.
        stage.certferry(&["apply"]).await.expect_exit(3);
        assert_eq!(differences(&before, &stage.objects()), BTreeSet::new(), "{port_80}");
        assert_eq!(ca.ca.orders().len(), 1, "{port_80}");
    }
}

/// Defects 11 and 13.
#[tokio::test(flavor = "multi_thread")]
async fn one_account_serves_all_runs_and_a_run_fetches_one_nonce() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_www(&ca.issuer()).await;
    for run in 1..=3 {
        let before = ca.ca.count(Endpoint::NewNonce);
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
        assert_eq!(ca.ca.accounts(), 1);
        assert_eq!(ca.ca.count(Endpoint::NewAccount), run, "looked up once a run");
        assert_eq!(ca.ca.count(Endpoint::NewNonce) - before, 1);
    }
    assert_eq!((ca.ca.count(Endpoint::Account), ca.ca.orders().len()), (0, 3), "no contact is sent again");
}

/// Defect 12: with authorizations that are still good, an order is `ready` at once. Then nothing is presented either.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_ready_at_once_is_finalized_without_a_challenge() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    ca.ca.set_behaviour(|behaviour| behaviour.reuse_authorizations = true);
    stage.configure_www(&ca.issuer()).await;
    stage.apply().await;
    let presented = stage.lab.count("POST httppolicyset");
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    assert_eq!((stage.lab.count("POST httppolicyset"), presented), (1, 1));
    assert_eq!((ca.ca.count(Endpoint::Challenge), ca.ca.orders().len()), (1, 2));
    assert_eq!(stage.served(SERVER_NAME).await.serial, stage.issued_serial("www").await);
}

/// Defect 15: at the highest verbosity, in runs that end well and in one that is refused.
#[tokio::test(flavor = "multi_thread")]
async fn neither_the_chain_nor_a_password_nor_a_key_is_printed() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_www(&ca.issuer()).await;
    let password = std::fs::read_to_string(stage.path("password")).unwrap();
    let mut printed = String::new();
    for arguments in [&["-vv", "apply"][..], &["-vv", "apply", "--output", "json"], &["status"], &["history"]] {
        let ended = stage.certferry(arguments).await.expect_exit(0);
        printed.push_str(&(ended.stdout() + &ended.stderr()));
    }
    std::fs::write(stage.path("password"), "another-secret").unwrap();
    let refused = stage.certferry(&["-vv", "apply", "--force-renewal"]).await;
    printed.push_str(&(refused.stdout() + &refused.stderr()));
    assert!(refused.stderr().contains("POST login"), "{}", refused.stderr());
    for secret in [password.as_str(), "another-secret", "BEGIN CERTIFICATE", "PRIVATE KEY", "csrftoken="] {
        assert!(!printed.contains(secret), "{secret} is in: {printed}");
    }
    assert!(printed.contains("serial"), "the certificate is named by its serial: {printed}");
}

/// Defect 16.
#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_name_is_refused_with_the_way_out_before_anybody_is_asked() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_www(&ca.issuer()).await;
    let config = std::fs::read_to_string(stage.path("certferry.yaml")).unwrap();
    let names = format!("names: [{SERVER_NAME}]");
    let wildcard = config.replace(&names, &format!("names: [{SERVER_NAME}, \"*.some-domain.test\"]"));
    assert_ne!(wildcard, config);
    std::fs::write(stage.path("certferry.yaml"), wildcard).unwrap();
    for command in ["check", "plan", "apply"] {
        let printed = stage.certferry(&[command]).await.expect_exit(64).stderr();
        for part in ["certferry.yaml:", "`*.some-domain.test`", "http-01 cannot validate", "one by one"] {
            assert!(printed.contains(part), "{command}: {part} is not in: {printed}");
        }
    }
    assert_eq!(stage.lab.request_count(), 0);
    assert_eq!(ca.ca.count(Endpoint::Directory), 0);
}

/// Defect 17: the name's own address cannot be reached from here, as behind NAT or with split DNS. The error says which
/// address that was and which setting helps; with it, the same order goes on.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_public_address_is_out_of_reach_the_self_check_has_addresses_of_its_own() {
    let mut stage = AviStage::new().await;
    // An address of loopback on whose port 80 nobody listens: the lab serves it elsewhere.
    let out_of_reach = "127.99.88.77";
    let at = move |vip: &mut Value| vip["vip"][0]["ip_address"]["addr"] = json!(out_of_reach);
    stage.lab.edit("vsvip", "shop-vip", at).unwrap();
    stage.vip = out_of_reach.parse().unwrap();
    let ca = stage.lab_ca().await;
    let config = |stage: &AviStage| stage.config(&ca.issuer(), stage.www());
    stage.configure(&config(&stage).without_probes()).await;
    shorten_self_check(&stage);
    let before = stage.objects();
    let printed = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    for part in [SERVER_NAME, "127.99.88.77:80", "refused", "load balancer `edge`", "`probe:`", "no rate limit"] {
        assert!(printed.contains(part), "{part} is not in: {printed}");
    }
    assert_eq!(ca.ca.count(Endpoint::Challenge), 0, "the CA was not told");
    assert_eq!(differences(&before, &stage.objects()), BTreeSet::new());

    stage.configure(&config(&stage)).await;
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1, "the same order");
}

/// Defect 17: something else answers there.
#[tokio::test(flavor = "multi_thread")]
async fn what_answered_instead_is_named() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_www(&ca.issuer()).await;
    shorten_self_check(&stage);
    let config = std::fs::read_to_string(stage.path("certferry.yaml")).unwrap();
    let elsewhere = something_else().await.to_string();
    let address = stage.address(80).to_string();
    std::fs::write(stage.path("certferry.yaml"), config.replace(&address, &elsewhere)).unwrap();
    let before = stage.objects();
    let printed = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    for part in ["status 404 from server `squatter`", "who are you looking for", &elsewhere, "no rate limit"] {
        assert!(printed.contains(part), "{part} is not in: {printed}");
    }
    assert_eq!(ca.ca.count(Endpoint::Challenge), 0, "the CA was not told");
    assert_eq!(differences(&before, &stage.objects()), BTreeSet::new());
}

fn shorten_self_check(stage: &AviStage) {
    let config = std::fs::read_to_string(stage.path("certferry.yaml")).unwrap();
    let shorter = config.replace("self-check-within: 20s", "self-check-within: 1s");
    assert_ne!(shorter, config);
    std::fs::write(stage.path("certferry.yaml"), shorter).unwrap();
}

/// A server that knows no challenge. It ends with the test's runtime.
async fn something_else() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 2048];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                let body = "who are you looking for";
                let answer = format!(
                    "HTTP/1.1 404 Not Found\r\nserver: squatter\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                    body.len(),
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    address
}
