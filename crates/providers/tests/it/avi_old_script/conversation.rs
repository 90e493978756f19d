//! How the controller and the CA are spoken to.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::port::{CertificateAuthority, LoadBalancer, OrderRequest};
use certferry_core::{Error, ErrorKind, Retry, SystemClock};
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions, Answer, Endpoint, Fault, RetryAfter};
use certferry_lab::avi_controller::{Effect, Fault as ControllerFault, Moment};
use certferry_providers::acme::{AcmeIssuer, IssuerConfig};
use certferry_providers::load_balancer::avi::{Credential, Port80, role};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use serde_json::json;
use tokio::task::JoinSet;

use super::{answers, by_name_only, configuration, fetched, make, two_names};
use crate::avi_fixture::{NAME, VIP, challenge, shop_443, tenant};

/// Defect 13. A second run asks whether the account is there, sends no contact, and takes nonces from answers.
#[tokio::test]
async fn a_contact_is_told_at_registration_only_and_nonces_are_used_again() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let key = issuer(&ca).new_account_key().unwrap();
    issuer(&ca).open_account(&key, true).await.unwrap();
    assert_eq!((ca.count(Endpoint::NewAccount), ca.count(Endpoint::Account)), (1, 0));
    let nonces = ca.count(Endpoint::NewNonce);

    let next = issuer(&ca);
    next.open_account(&key, false).await.unwrap();
    let order = next.new_order(&request()).await.unwrap();
    for url in &order.authorizations {
        next.authorization(url).await.unwrap();
    }
    next.order(&order.url).await.unwrap();
    assert_eq!(ca.count(Endpoint::Account), 0, "no contact is sent again");
    assert_eq!(
        ca.count(Endpoint::NewNonce) - nonces,
        1,
        "one nonce begins a conversation, the others come with answers"
    );
    assert_eq!(ca.accounts(), 1);
}

/// Defects 11 and 13: `onlyReturnExisting` (RFC 8555 §7.3.1), so that a known account is never made anew.
#[tokio::test]
async fn an_account_that_is_known_is_looked_up_and_not_made() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let first = issuer(&ca);
    let key = first.new_account_key().unwrap();
    let account = first.open_account(&key, true).await.unwrap();
    assert_eq!(issuer(&ca).open_account(&key, false).await.unwrap(), account);
    ca.forget_accounts();
    let error = issuer(&ca).open_account(&key, false).await.unwrap_err();
    assert_eq!((error.kind(), ca.accounts()), (ErrorKind::NotFound, 0), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("no new account is made")), "{:?}", error.hint());
}

/// Defect 13: in seconds and as a date. A short wait is kept within the call, a long one is handed on.
#[tokio::test]
async fn the_cas_retry_after_is_kept() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let issuer = issuer(&ca);
    issuer.open_account(&issuer.new_account_key().unwrap(), true).await.unwrap();
    for (retry_after, wait) in [
        (RetryAfter::Seconds(7200), 7200),
        (RetryAfter::Date(Duration::from_secs(7200)), 7200),
        (RetryAfter::Seconds(1), 0),
    ] {
        let detail = "too many new orders recently".to_owned();
        let busy = Answer::Problem { status: 429, kind: "rateLimited", detail, retry_after: Some(retry_after) };
        ca.add_fault(Fault { endpoint: Endpoint::NewOrder, skip: 0, answer: busy });
        let (asked, begun) = (ca.count(Endpoint::NewOrder), tokio::time::Instant::now());
        let outcome = issuer.new_order(&request()).await;
        let calls = ca.count(Endpoint::NewOrder) - asked;
        match outcome {
            Ok(_) => {
                assert_eq!((wait, calls), (0, 2));
                assert!(begun.elapsed() >= Duration::from_secs(1), "it was asked again too soon");
            }
            Err(error) => {
                let Retry::After(told) = error.retry() else { panic!("{error:?}") };
                assert!(told.as_secs().abs_diff(wait) <= 2 && calls == 1, "{told:?}, {calls} calls");
            }
        }
    }
}

/// Defect 14: 412. Somebody else changes the policy set between reading and writing, and that stays.
#[tokio::test]
async fn a_change_between_reading_and_writing_is_kept_and_the_token_comes_to_it() {
    let fixture = two_names(Port80::AddService).await;
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("one")).await.unwrap();
    let own = fixture.lab.objects("httppolicyset").unwrap();
    let own = own.iter().find(|set| set["name"] != "others").unwrap()["uuid"].as_str().unwrap().to_owned();
    let describe = |set: &mut serde_json::Value| set["markers"] = json!([{"key": "owner", "values": ["ops"]}]);
    fixture.lab.edit_on_next("PUT httppolicyset", Moment::Before, &own, describe);
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("two")).await.unwrap();
    assert_eq!(fixture.lab.count("PUT httppolicyset"), 2, "the first one was stale");
    assert_eq!(fixture.lab.object("httppolicyset", &own).unwrap()["markers"][0]["key"], "owner");
    for token in ["one", "two"] {
        assert_eq!(fetched(&fixture, VIP, NAME, token).await, Ok((200, format!("{token}.thumbprint"))));
    }
}

/// Defect 14: 409. The name is taken between reading and writing, by another process that does the same.
#[tokio::test]
async fn a_policy_set_that_another_process_made_first_is_used() {
    let fixture = two_names(Port80::AddService).await;
    let before = configuration(&fixture.lab);
    let mut presenting = JoinSet::new();
    for number in 0..4 {
        let other = tenant(&fixture.config);
        presenting.spawn(async move {
            let challenge = challenge(&format!("token-{number}"));
            other.present(&NAME.parse().unwrap(), &challenge).await.unwrap();
            (other, challenge)
        });
    }
    let presented = presenting.join_all().await;
    assert_eq!(fixture.names("httppolicyset").len(), 2, "one for all of them");
    let mut withdrawing = JoinSet::new();
    for (other, challenge) in presented {
        let expected = Ok((200, challenge.key_authorization.clone()));
        assert_eq!(fetched(&fixture, VIP, NAME, &challenge.token).await, expected);
        withdrawing.spawn(async move { other.withdraw(&challenge.token).await.unwrap() });
    }
    withdrawing.join_all().await;
    assert_eq!(configuration(&fixture.lab), before);
}

/// Defect 14: a controller gives at most 200 objects at once.
#[tokio::test]
async fn what_stands_on_a_later_page_is_found() {
    let fixture = by_name_only(Port80::AddService, &[NAME]).await;
    for number in 0..205 {
        let vip = json!({"vip_id": "0", "ip_address": {"addr": format!("10.1.0.{number}"), "type": "V4"}});
        let fqdn = if number == 204 { NAME.to_owned() } else { format!("www.some-domain.com.{number}.org") };
        let dns = json!([{"fqdn": fqdn, "type": "DNS_RECORD_A"}]);
        let vip = json!({"name": format!("vip-{number}"), "vip": [vip], "dns_info": dns});
        let vip = make(&fixture.lab, "vsvip", vip);
        let site = json!({"name": format!("site-{number}"), "vsvip_ref": vip,
            "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
            "services": [{"port": 443, "enable_ssl": true}]});
        make(&fixture.lab, "virtualservice", site);
    }
    answers(&fixture, "10.1.0.204", NAME, "the last of 206").await;
    let pages = fixture.lab.requests().iter().filter(|call| call.target.contains("page=2")).count();
    assert!(pages > 0, "there was only one page");
}

/// Defect 14: everything happens in the tenant that the config names, though another one has objects of the same names.
#[tokio::test]
async fn only_the_tenant_of_the_config_is_touched() {
    let mut fixture = two_names(Port80::AddService).await;
    fixture.lab.create("admin", "tenant", json!({"name": "blue"})).unwrap();
    let vip = json!({"name": "shop-vip", "vip": [{"vip_id": "0", "ip_address": {"addr": "10.0.0.50", "type": "V4"}}]});
    let vip = fixture.lab.create("blue", "vsvip", vip).unwrap();
    let shop = json!({"name": "shop-443", "vsvip_ref": format!("/api/vsvip/{vip}"),
        "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
        "services": [{"port": 443, "enable_ssl": true}]});
    let shop = fixture.lab.create("blue", "virtualservice", shop).unwrap();
    fixture.config.username = "certferry-blue".to_owned();
    fixture.config.tenant = "blue".to_owned();
    let mut role = role(&fixture.config);
    role["name"] = json!("certferry-blue");
    let role = fixture.lab.create("admin", "role", role).unwrap();
    let user = json!({"username": "certferry-blue", "full_name": "certferry", "password": "hunter2&", "local": true,
        "is_superuser": false, "default_tenant_ref": "/api/tenant?name=admin",
        "access": [{"role_ref": format!("/api/role/{role}"), "tenant_ref": "/api/tenant?name=blue"}]});
    fixture.lab.create("admin", "user", user).unwrap();
    fixture.edge = tenant(&fixture.config);

    let admins = fixture.shop();
    fixture.edge.upload(fixture.bundle()).await.unwrap();
    fixture.edge.bind(&shop_443(), &fixture.bundle().name).await.unwrap();
    answers(&fixture, "10.0.0.50", NAME, "in tenant blue").await;
    assert_eq!(fixture.shop(), admins, "of the other tenant nothing changes");
    let bound = fixture.lab.object("virtualservice", &shop).unwrap()["ssl_key_and_certificate_refs"].clone();
    let made = fixture.lab.object("sslkeyandcertificate", "cf-www").unwrap();
    assert!(bound[0].as_str().unwrap().ends_with(made["uuid"].as_str().unwrap()), "{bound}");
    let calls = fixture.lab.requests();
    let api = calls.iter().filter(|call| call.operation != "POST login");
    assert!(api.clone().count() > 0 && api.into_iter().all(|call| call.tenant.as_deref() == Some("blue")), "{calls:?}");
}

/// Defect 15. What a run prints is tested with the program; here is what could come to be printed.
#[tokio::test]
async fn no_password_and_no_key_is_in_what_could_be_printed() {
    let fixture = two_names(Port80::AddService).await;
    assert!(!format!("{:?}", fixture.config).contains("hunter2"));
    let mut wrong = fixture.config.clone();
    wrong.credential = Credential::Password("hunter3&".to_owned().into());
    let refused = tenant(&wrong).observe().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Denied, "{refused}");

    // The controller quotes what it was sent.
    let key = fixture.bundle().private_key.as_ref().unwrap().expose().clone();
    let quoting = Effect::answer(400, format!("bad object: {key}"));
    let fault = ControllerFault::new("POST sslkeyandcertificate", quoting);
    fixture.lab.add_fault(fault);
    let quoted = fixture.edge.upload(fixture.bundle()).await.unwrap_err();
    let secret = key.lines().nth(1).unwrap();
    for error in [refused, quoted] {
        let printed = printed(&error);
        assert!(!printed.contains("hunter") && !printed.contains(secret), "{printed}");
    }
}

fn printed(error: &Error) -> String {
    format!("{error} {error:?} {:?}", error.hint())
}

fn issuer(ca: &AcmeCa) -> AcmeIssuer {
    let config = IssuerConfig {
        name: "lab".parse().unwrap(),
        directory: ca.directory_url().parse().unwrap(),
        contact: vec!["ops@some-domain.com".parse().unwrap()],
        external_account: None,
        trusted_roots: vec![CertificateDer::from_pem_slice(ca.trusted_root_pem().as_bytes()).unwrap()],
        profile: None,
        without_profile: Default::default(),
        preferred_chain: None,
        account_key: Default::default(),
        limits: Default::default(),
    };
    AcmeIssuer::new(config, "certferry-test/1", Arc::new(SystemClock)).unwrap()
}

fn request() -> OrderRequest {
    OrderRequest { names: vec![NAME.parse().unwrap()], profile: None, replaces: None }
}
