//! From names to a certificate in the store, against a CA that misbehaves.

use std::sync::Arc;
use std::time::Duration;

use certferry::{config, wiring};
use certferry_core::port::OpenChallenge;
use certferry_core::{LoadBalancerName, SystemClock};
use certferry_engine::Responder;
use certferry_lab::acme_ca::{AcmeCaOptions, Answer, Behaviour, Endpoint, Fault, RetryAfter, Window};
use certferry_lab::pki::PkiKey;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::time::Instant;

use crate::killed::rotation::Nobody;
use crate::parts::openssl::served_and_trusted;
use crate::stage::{LabCa, SERVER_NAME, Stage, front};

async fn stage_and_ca(change: impl FnOnce(&mut Behaviour)) -> (Stage, LabCa) {
    let stage = Stage::new().await;
    let mut options = AcmeCaOptions::default();
    change(&mut options.behaviour);
    let ca = stage.lab_ca_with(options).await;
    stage.configure(&ca.issuer(), &stage.www());
    (stage, ca)
}

fn once(endpoint: Endpoint, answer: Answer) -> Fault {
    Fault { endpoint, skip: 0, answer }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_refused_with_the_reason() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www().replace(SERVER_NAME, "\"*.some-domain.test\""));
    let ended = stage.certferry(&["apply"]).await.expect_exit(64);
    for piece in ["*.some-domain.test", "http-01", "certferry.yaml:"] {
        assert!(ended.stderr().contains(piece), "{piece}: {}", ended.stderr());
    }
}

/// As README.md says to begin: staging first, then the CA itself, by the same issuer's name.
#[tokio::test(flavor = "multi_thread")]
async fn another_directory_under_the_same_name_orders_anew_though_nothing_is_due() {
    let (stage, staging) = stage_and_ca(|_| {}).await;
    stage.apply().await;
    let live = stage.lab_ca().await;
    stage.configure(&live.issuer(), &stage.www());
    let (before, now) = (staging.ca.directory_url(), live.ca.directory_url());
    let plan = stage.certferry(&["plan"]).await.expect_exit(2).stdout();
    assert!(plan.contains(&format!("the directory of issuer `ca` has changed from {before} to {now}")), "{plan}");
    stage.apply().await;
    assert_eq!((staging.ca.orders().len(), live.ca.orders().len()), (1, 1));
    assert_eq!(live.ca.orders()[0].serial, Some(stage.issued_serial().await));
    assert!(stage.apply().await.stdout().contains("nothing to do"));
    assert_eq!(live.ca.count(Endpoint::RenewalInfo) + staging.ca.count(Endpoint::RenewalInfo), 1, "of the new one");
}

/// What a killed run left on a load balancer or in a zone that no certificate uses any more can still be taken away.
#[tokio::test(flavor = "multi_thread")]
async fn what_holds_a_challenge_that_is_left_is_there_for_the_next_run_though_nothing_else_uses_it() {
    let stage = Stage::with(vec![("front", front(&[("https", 443)])), ("other", front(&[("https", 443)]))]).await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    let config = config::load(Some(&stage.config_path())).unwrap();
    let store = wiring::store(&config).await.unwrap();
    let parts = async || {
        let (notify, clock) = (Arc::new(Nobody), Arc::new(SystemClock));
        wiring::parts(&config, store.clone(), notify, clock, Responder::default()).await.unwrap()
    };
    let other: LoadBalancerName = "other".parse().unwrap();
    assert!(!parts().await.load_balancers.contains_key(&other));
    let recorded = store.recorded().await.unwrap();
    let version = recorded.certificates.values().next().unwrap().current.as_ref().unwrap().id;
    let challenge = OpenChallenge {
        version,
        name: SERVER_NAME.parse().unwrap(),
        token: "left-by-a-killed-run".to_owned(),
        key_authorization: "left-by-a-killed-run.x".to_owned(),
        load_balancers: vec![other.clone()],
        dns: None,
    };
    store.open_challenge(&challenge).await.unwrap();
    assert!(parts().await.load_balancers.contains_key(&other));
    stage.apply().await;
    assert_eq!(store.open_challenges().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_nonces_and_a_slow_ca_make_no_difference() {
    let (stage, ca) = stage_and_ca(|behaviour| {
        behaviour.nonce_rejection = 50;
        behaviour.processing_reads = 3;
        behaviour.retry_after = Some(RetryAfter::Seconds(1));
        behaviour.validation_delay = Duration::from_millis(300);
    })
    .await;
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cas_wish_to_wait_is_kept_by_later_runs_and_can_be_overruled() {
    for retry_after in [RetryAfter::Seconds(3600), RetryAfter::Date(Duration::from_secs(3600))] {
        let (stage, ca) = stage_and_ca(|_| {}).await;
        let detail = "too many new orders recently".to_owned();
        let busy = Answer::Problem { status: 429, kind: "rateLimited", detail, retry_after: Some(retry_after) };
        ca.ca.add_fault(once(Endpoint::NewOrder, busy));
        let ended = stage.certferry(&["apply"]).await.expect_exit(3);
        assert!(ended.stderr().contains("too many new orders recently"), "{}", ended.stderr());
        let asked = ca.ca.count(Endpoint::NewOrder);
        let again = stage.certferry(&["apply"]).await.expect_exit(3);
        assert!(again.stderr().contains("--force-renewal"), "{}", again.stderr());
        assert_eq!(ca.ca.count(Endpoint::NewOrder), asked, "nothing is asked before the time");
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_page_instead_of_an_answer_is_survived() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    for endpoint in [Endpoint::Directory, Endpoint::NewOrder, Endpoint::Order, Endpoint::Authorization] {
        ca.ca.add_fault(once(endpoint, Answer::Html { status: 503, retry_after: Some(RetryAfter::Seconds(1)) }));
    }
    stage.apply().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_lost_at_any_step_leads_to_one_order_and_one_certificate() {
    let endpoints =
        [Endpoint::NewAccount, Endpoint::NewOrder, Endpoint::Challenge, Endpoint::Finalize, Endpoint::Certificate];
    let cases = endpoints.into_iter().flat_map(|endpoint| {
        [Answer::DropBefore, Answer::DropAfter].map(|answer| tokio::spawn(lost_connection(endpoint, answer)))
    });
    for case in cases.collect::<Vec<_>>() {
        case.await.unwrap();
    }
}

async fn lost_connection(endpoint: Endpoint, answer: Answer) {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    let context = format!("{answer:?} at {endpoint:?}");
    ca.ca.add_fault(once(endpoint, answer));
    // The first run may end here; the next one goes on with the same order.
    stage.certferry(&["apply"]).await;
    stage.apply().await;
    let orders = ca.ca.orders();
    assert_eq!((orders.len(), orders[0].finalized), (1, 1), "{context}: {orders:?}");
    assert_eq!(ca.ca.accounts(), 1, "{context}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chains_and_authority_keys_of_every_kind_are_served_as_issued() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    for intermediates in 1..=3 {
        for key in [PkiKey::Ecdsa, PkiKey::Rsa] {
            ca.ca.use_intermediates(intermediates, key).unwrap();
            stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
            let root = ca.ca.issuing_root_pem();
            let served = served_and_trusted(stage.address(443), SERVER_NAME, &root).await.unwrap();
            assert_eq!(served.chain.len(), intermediates + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_asked_for_and_one_that_is_not_offered_is_named() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    let config = std::fs::read_to_string(stage.config_path()).unwrap();
    let with = |profile: &str| {
        config.replace("    trusted-roots: ca.pem\n", &format!("    trusted-roots: ca.pem\n    profile: {profile}\n"))
    };
    std::fs::write(stage.config_path(), with("fastlane")).unwrap();
    let ended = stage.certferry(&["apply"]).await.expect_exit(3);
    assert!(ended.stderr().contains("fastlane"), "{}", ended.stderr());
    assert!(stage.certferry(&["check", "--online"]).await.expect_exit(3).stderr().contains("tlsserver"));
    std::fs::write(stage.config_path(), with("tlsserver")).unwrap();
    stage.apply().await;
    assert_eq!(ca.ca.orders().last().unwrap().profile.as_deref(), Some("tlsserver"));
    stage.certferry(&["check", "--online"]).await.expect_exit(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_window_in_the_past_renews_with_replaces_and_a_refused_replaces_is_left_out() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    stage.apply().await;
    let now: Timestamp = certferry_core::Clock::now(&SystemClock);
    let past = |page| Window::Between(now - SignedDuration::from_hours(2), now - SignedDuration::from_hours(1), page);
    let page = "https://lab.test/incident";
    ca.ca.suggest_window(&stage.issued_serial().await, past(Some(page.to_owned())));
    let plan = stage.certferry(&["plan"]).await.expect_exit(2);
    assert!(plan.stdout().contains(page), "{}", plan.stdout());
    stage.apply().await;
    assert!(ca.ca.orders()[1].replaces.is_some());
    ca.ca.suggest_window(&stage.issued_serial().await, past(None));
    let detail = "an order replaces that certificate already".to_owned();
    let refused = Answer::Problem { status: 409, kind: "alreadyReplaced", detail, retry_after: None };
    ca.ca.add_fault(once(Endpoint::NewOrder, refused));
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 3);
    assert_eq!(ca.ca.orders()[2].replaces, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_down_while_every_certificate_is_fine_is_healthy() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    stage.apply().await;
    drop(ca);
    let ended = stage.apply().await;
    assert!(ended.stdout().contains("nothing to do"), "{}", ended.stdout());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_in_the_way_is_named_with_its_fix_and_nothing_is_ordered() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    let redirect = |json: &mut serde_json::Value| {
        json["ruleSets"]["to_https"] = json!({ "name": "to_https", "items": [{
            "action": "REDIRECT", "responseCode": 301,
            "conditions": [{ "attributeName": "PATH", "attributeValue": "/", "operator": "FORCE_LONGEST_PREFIX_MATCH" }],
            "redirectUri": { "protocol": "HTTPS", "host": "{host}", "port": 443, "path": "{path}", "query": "{query}" },
        }]});
        json["listeners"]["http"] = json!({
            "name": "http", "port": 80, "protocol": "HTTP", "defaultBackendSetName": "app", "ruleSetNames": ["to_https"],
        });
    };
    stage.lab.edit_load_balancer(stage.id(), redirect).unwrap();
    let ended = stage.certferry(&["apply"]).await.expect_exit(3);
    for piece in ["to_https", "redirect", "hint:"] {
        assert!(ended.stderr().contains(piece), "{piece}: {}", ended.stderr());
    }
    assert_eq!(ca.ca.orders().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_self_check_that_finds_something_else_names_it_and_leaves_the_ca_alone() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    // The path exists, but another process answers where the responder should: the backend is somebody else.
    let other = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = other.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 2048];
                // A health check connects and sends nothing.
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = "HTTP/1.1 404 Not Found\r\nserver: squatter\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno";
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    let config = std::fs::read_to_string(stage.config_path()).unwrap();
    let config =
        config.replace(&format!("        responder: {}", stage.responder), &format!("        responder: {address}"));
    std::fs::write(stage.config_path(), config.replace("self-check-within: 20s", "self-check-within: 2s")).unwrap();
    let ended = stage.certferry(&["apply"]).await.expect_exit(3);
    assert!(
        ended.stderr().contains("404 from server `squatter`") && ended.stderr().contains("rate limit"),
        "{}",
        ended.stderr()
    );
    assert_eq!(ca.ca.count(Endpoint::Challenge), 0, "the CA was not told");
    stage.configure(&ca.issuer(), &stage.www());
    stage
        .lab
        .edit_load_balancer(stage.id(), |json| {
            json["backendSets"]["certferry-acme"]["backends"] = json!([]);
        })
        .unwrap();
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1, "the next run goes on with the same order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_responder_port_that_is_taken_is_named() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    let _squatter = tokio::net::TcpListener::bind(stage.responder).await.unwrap();
    let ended = stage.certferry(&["apply"]).await.expect_exit(3);
    let stderr = ended.stderr();
    assert!(stderr.contains(&stage.responder.to_string()) && stderr.contains("responder: listen:"), "{stderr}");
    assert_eq!(ca.ca.orders().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_ca_wishes_not_to_be_asked_it_is_asked_nothing_and_afterwards_all_goes_on() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    // Longer than one call goes on trying by itself.
    let detail = "too many certificates already issued".to_owned();
    let retry_after = Some(RetryAfter::Seconds(15));
    let busy = Answer::Problem { status: 429, kind: "rateLimited", detail, retry_after };
    ca.ca.add_fault(once(Endpoint::NewOrder, busy));
    stage.certferry(&["apply"]).await.expect_exit(3);
    let asked = calls(&ca);
    let waits = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    let seconds: u64 = waits.split("waits ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((1..=15).contains(&seconds), "{waits}");
    assert_eq!(calls(&ca), asked, "the CA was asked while it wished not to be");
    assert_eq!(stage.status().await["certificates"][0]["state"], "failing");
    let deadline = Instant::now() + Duration::from_secs(60);
    while stage.certferry(&["plan"]).await.stderr().contains("s more after the failure of") {
        assert!(Instant::now() < deadline, "the wait does not end");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1);
}

/// Calls of any kind that the CA has had.
fn calls(ca: &LabCa) -> usize {
    let endpoints = [
        Endpoint::Account,
        Endpoint::Authorization,
        Endpoint::Certificate,
        Endpoint::Challenge,
        Endpoint::Directory,
        Endpoint::Finalize,
        Endpoint::NewAccount,
        Endpoint::NewNonce,
        Endpoint::NewOrder,
        Endpoint::Order,
        Endpoint::RenewalInfo,
    ];
    endpoints.iter().map(|endpoint| ca.ca.count(*endpoint)).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_page_that_asks_for_patience_is_quoted() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    ca.ca
        .add_fault(once(Endpoint::NewOrder, Answer::Html { status: 503, retry_after: Some(RetryAfter::Seconds(120)) }));
    let failed = stage.certferry(&["apply"]).await.expect_exit(3).stderr();
    for piece in ["newOrder", "issuer `ca`", "503", "Service busy", "try again in 120 s"] {
        assert!(failed.contains(piece), "`{piece}` is missing in: {failed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_of_minutes_are_renewed_by_each_run() {
    let (stage, ca) = stage_and_ca(|behaviour| behaviour.lifetime = Some(SignedDuration::from_mins(5))).await;
    for run in 1..=4 {
        stage.apply().await;
        assert_eq!(ca.ca.orders().len(), run);
        let root = ca.ca.issuing_root_pem();
        let served = served_and_trusted(stage.address(443), SERVER_NAME, &root).await.unwrap();
        assert_eq!(served.serial, stage.issued_serial().await);
    }
    assert!(ca.ca.orders()[1..].iter().all(|order| order.replaces.is_some()));
    assert_eq!(stage.own_bundles().len(), 2);
}

/// The files of an SQLite database in WAL mode.
const DATABASE: [&str; 3] = ["certferry.db", "certferry.db-shm", "certferry.db-wal"];

/// As after a restored backup of the state.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_was_replaced_already_is_renewed_without_saying_so() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    stage.apply().await;
    let backup: Vec<_> = DATABASE.map(|name| (stage.path(name), std::fs::read(stage.path(name)).ok())).into();
    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    for (path, content) in backup {
        match content {
            Some(content) => std::fs::write(path, content).unwrap(),
            None => {
                let _ = std::fs::remove_file(path);
            }
        }
    }
    assert_eq!(stage.status().await["certificates"][0]["issued"]["serial"], json!(ca.ca.orders()[0].serial));

    stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    let orders = ca.ca.orders();
    assert_eq!(orders.len(), 3);
    assert_eq!(orders[2].replaces, None, "the CA refuses a second order that replaces the same certificate");
    assert_eq!(ca.ca.count(Endpoint::NewOrder), 4);
    assert!(stage.apply().await.stdout().contains("nothing to do"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_is_down_when_it_is_needed_is_named() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    stage.apply().await;
    let bound = stage.bound("https");
    let directory = ca.issuer().directory_url;
    drop(ca);
    let failed = stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(3).stderr();
    assert!(failed.contains(&directory), "{failed}");
    assert!(failed.contains("hint:"), "{failed}");
    assert_eq!(stage.bound("https"), bound, "what is served stays");
}

/// The CA never heard that it should look: it is told again within the run, not after the time that it may take to look.
#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_that_the_ca_was_not_told_of_is_told_again_at_once() {
    let (stage, ca) = stage_and_ca(|_| {}).await;
    ca.ca.add_fault(once(Endpoint::Challenge, Answer::DropBefore));
    stage.apply().await;
    assert_eq!(ca.ca.count(Endpoint::Challenge), 2);
    assert_eq!(ca.ca.validation_requests().len(), 1);
}

/// What was presented used to be taken away when the CA could not be asked what it had decided: it then found nothing, and
/// the order was lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_was_told_finds_the_response_though_it_cannot_be_asked_meanwhile() {
    let (stage, ca) = stage_and_ca(|behaviour| behaviour.validation_delay = Duration::from_millis(300)).await;
    let refusal =
        Answer::Problem { status: 401, kind: "unauthorized", detail: "not on a Sunday".to_owned(), retry_after: None };
    // The first look is before the CA is told.
    ca.ca.add_fault(Fault { endpoint: Endpoint::Authorization, skip: 1, answer: refusal });
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 1);
}
