//! What is made for one name, beside what is made for another, and how it goes again.

use certferry_core::ErrorKind;
use certferry_core::port::LoadBalancer;
use certferry_lab::avi_controller::{Effect, Fault};
use certferry_providers::load_balancer::avi::Port80;
use serde_json::json;

use super::{OTHER, configuration, fetched, links, on_port_80, refused, strict, two_names, vs_vip};
use crate::avi_fixture::{Fixture, NAME, VIP, challenge, tenant};

/// Defect 1. The script deletes it without taking it off, which a controller refuses.
#[tokio::test]
async fn a_stranded_policy_set_that_is_still_attached_is_taken_off_and_removed() {
    for port_80 in [Port80::Sibling, Port80::AddService] {
        for in_use_status in [400, 403] {
            let fixture = two_names(port_80).await;
            fixture.lab.set_behaviour(|behaviour| behaviour.in_use_status = in_use_status);
            let before = configuration(&fixture.lab);
            fixture.edge.present(&NAME.parse().unwrap(), &challenge("stranded")).await.unwrap();
            let stranded = fixture.names("httppolicyset").into_iter().find(|name| name != "others").unwrap();
            let in_use = fixture.lab.delete("httppolicyset", &stranded).unwrap_err();
            assert!(in_use.to_string().contains("referred"), "{in_use}");

            // The process that presented it is gone; the next one knows the token from its store.
            tenant(&fixture.config).withdraw("stranded").await.unwrap();
            assert_eq!(configuration(&fixture.lab), before, "{port_80}");
            assert_eq!(refused(&fixture), [""; 0], "{port_80}: nothing that is in use was tried to be deleted");
        }
    }
}

/// Defect 1: a policy set of the script's own, stranded and attached, is somebody else's. It is in nobody's way.
#[tokio::test]
async fn what_the_script_itself_left_attached_stays_and_is_in_nobodys_way() {
    let fixture = two_names(Port80::AddService).await;
    let stale = json!({"name": format!("rule-{NAME}"), "index": 0, "enable": true,
        "match": {"path": {"match_criteria": "CONTAINS", "match_case": "SENSITIVE",
            "match_str": [".well-known/acme-challenge/stale"]}},
        "action": {"action": "HTTP_SECURITY_ACTION_SEND_RESPONSE",
            "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_200",
            "file": {"content_type": "text/plain", "file_content": "stale.thumbprint"}}});
    let left = json!({"name": format!("{NAME}-LetsEncryptHTTPpolicy"), "http_security_policy": {"rules": [stale]}});
    let left = fixture.lab.create("admin", "httppolicyset", left).unwrap();
    let path = format!("/api/httppolicyset/{left}");
    let link = json!({"index": 1_000_001, "http_policy_set_ref": path});
    let attach = move |shop: &mut serde_json::Value| shop["http_policies"].as_array_mut().unwrap().push(link);
    fixture.lab.edit("virtualservice", "shop-443", attach).unwrap();
    super::answers(&fixture, VIP, NAME, "beside a stranded one of the script").await;
}

/// Defect 2. What fails for the second name makes nothing for it, whatever it fails at, and the first name's part goes as
/// if it had been alone.
#[tokio::test]
async fn a_failure_on_the_second_name_leaves_nothing_of_either() {
    for port_80 in [Port80::Sibling, Port80::AddService] {
        // A virtual service that cannot answer; a controller that refuses a step in the middle.
        for operation in [None, Some("POST httppolicyset"), Some("POST virtualservice"), Some("PATCH virtualservice")] {
            let fixture = second_name_elsewhere(port_80).await;
            let before = configuration(&fixture.lab);
            let context = format!("{port_80} {operation:?}");
            fixture.edge.present(&NAME.parse().unwrap(), &challenge("first")).await.unwrap();
            let with_first = configuration(&fixture.lab);
            match operation {
                None => disable(&fixture),
                Some(operation) => {
                    let refusal = Effect::answer(400, "not on a Sunday");
                    fixture.lab.add_fault(Fault::new(operation, refusal));
                }
            }
            let outcome = fixture.edge.present(&OTHER.parse().unwrap(), &challenge("second")).await;
            if fixture.lab.pending_faults() > 0 {
                // This way of answering does not make that call.
                assert!(outcome.is_ok(), "{context}: {outcome:?}");
                continue;
            }
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Invalid, "{context}");
            if operation.is_none() {
                enable(&fixture);
                assert_eq!(
                    configuration(&fixture.lab),
                    with_first,
                    "{context}: nothing is made before all of it can be"
                );
            }
            // As the engine ends every name that it presented, or tried to.
            fixture.edge.withdraw("first").await.unwrap();
            fixture.edge.withdraw("second").await.unwrap();
            assert_eq!(configuration(&fixture.lab), before, "{context}");
        }
    }
}

/// With `OTHER` on a virtual service of its own, at an address of its own.
async fn second_name_elsewhere(port_80: Port80) -> Fixture {
    let mut fixture = two_names(port_80).await;
    let vip = vs_vip(&fixture.lab, "10.0.0.9", "blog.some-domain.com");
    let blog = json!({"name": "blog-443", "vsvip_ref": vip, "services": [{"port": 443, "enable_ssl": true}],
        "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP"});
    fixture.lab.create("admin", "virtualservice", blog).unwrap();
    let blog = vec!["blog-443".parse().unwrap()];
    fixture.config.http01.as_mut().unwrap().names.insert(OTHER.parse().unwrap(), blog);
    fixture.edge = tenant(&fixture.config);
    fixture
}

fn disable(fixture: &Fixture) {
    fixture.lab.edit("virtualservice", "blog-443", |blog| blog["enabled"] = json!(false)).unwrap();
}

fn enable(fixture: &Fixture) {
    fixture.lab.edit("virtualservice", "blog-443", |blog| blog["enabled"] = json!(true)).unwrap();
}

/// Defect 3. Also where taking away a port 80 that is gone already is an error.
#[tokio::test]
async fn two_names_on_one_virtual_service_share_one_port_80_until_the_last_one_goes() {
    for port_80 in [Port80::Sibling, Port80::AddService] {
        for order in [["one", "two"], ["two", "one"]] {
            let fixture = two_names(port_80).await;
            strict(&fixture);
            let before = configuration(&fixture.lab);
            fixture.edge.present(&NAME.parse().unwrap(), &challenge("one")).await.unwrap();
            let after_first = configuration(&fixture.lab);
            fixture.edge.present(&OTHER.parse().unwrap(), &challenge("two")).await.unwrap();
            let answering = match port_80 {
                Port80::AddService => "shop-443",
                Port80::Require | Port80::Sibling => "shop-443-certferry-acme",
            };
            assert_eq!(on_port_80(&fixture, answering), 1, "{port_80}");
            let after_second = configuration(&fixture.lab);
            assert_eq!(after_second[0], after_first[0], "{port_80}: virtual services change for the first name only");
            assert_eq!(after_second[1].len(), before[1].len() + 1, "{port_80}: one policy set for both");

            let [first, last] = order;
            fixture.edge.withdraw(first).await.unwrap();
            let name = if last == "two" { OTHER } else { NAME };
            let expected = Ok((200, format!("{last}.thumbprint")));
            assert_eq!(fetched(&fixture, VIP, name, last).await, expected, "{port_80}: the other one still answers");
            fixture.edge.withdraw(last).await.unwrap();
            assert_eq!(configuration(&fixture.lab), before, "{port_80} {order:?}");
            assert_eq!(refused(&fixture), [""; 0], "{port_80} {order:?}");
        }
    }
}

/// Defects 3 and 14: presented by two processes at the same moment, each of which sees no port 80.
#[tokio::test]
async fn two_processes_at_once_make_one_port_80() {
    for port_80 in [Port80::Sibling, Port80::AddService] {
        let fixture = two_names(port_80).await;
        strict(&fixture);
        let before = configuration(&fixture.lab);
        let (name, other) = (NAME.parse().unwrap(), OTHER.parse().unwrap());
        let second = tenant(&fixture.config);
        let (one, two) = (challenge("one"), challenge("two"));
        let (first, then) = tokio::join!(fixture.edge.present(&name, &one), second.present(&other, &two));
        assert!(first.is_ok() && then.is_ok(), "{port_80}: {first:?} {then:?}");
        for (name, challenge) in [(NAME, &one), (OTHER, &two)] {
            let expected = Ok((200, challenge.key_authorization.clone()));
            assert_eq!(fetched(&fixture, VIP, name, &challenge.token).await, expected, "{port_80}");
        }
        let (first, then) = tokio::join!(fixture.edge.withdraw("one"), second.withdraw("two"));
        assert!(first.is_ok() && then.is_ok(), "{port_80}: {first:?} {then:?}");
        assert_eq!(configuration(&fixture.lab), before, "{port_80}");
    }
}

/// Defect 4, as far as it is the load balancer's: names go one by one, and one that could not go goes later.
#[tokio::test]
async fn a_clean_up_that_fails_for_one_name_does_not_keep_the_others_in_place() {
    let fixture = second_name_elsewhere(Port80::AddService).await;
    let before = configuration(&fixture.lab);
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("first")).await.unwrap();
    fixture.edge.present(&OTHER.parse().unwrap(), &challenge("second")).await.unwrap();
    fixture.lab.add_fault(Fault::new("PATCH virtualservice", Effect::answer(400, "not on a Sunday")));
    let error = fixture.edge.withdraw("first").await.unwrap_err();
    for part in ["PATCH virtualservice", "shop-443", "load balancer `edge`", "not on a Sunday"] {
        assert!(error.to_string().contains(part), "{part} is not in {error}");
    }
    assert!(error.hint().is_some());
    fixture.edge.withdraw("second").await.unwrap();
    assert_eq!((links(&fixture, "blog-443"), on_port_80(&fixture, "blog-443")), (0, 0));
    fixture.edge.withdraw("first").await.unwrap();
    assert_eq!(configuration(&fixture.lab), before);
}
