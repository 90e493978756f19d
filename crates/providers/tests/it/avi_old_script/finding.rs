//! Which virtual service a name leads to, and what stands in the way there.

use certferry_core::ErrorKind;
use certferry_core::port::LoadBalancer;
use certferry_providers::load_balancer::avi::Port80;
use serde_json::{Value, json};

use super::{answers, by_name_only, configuration, links, make, on_port_80, refused, vs_vip};
use crate::avi_fixture::{Fixture, NAME, VIP, challenge, tenant};

/// Defect 5. What was made first comes first in every list, which is what the script takes.
#[tokio::test]
async fn a_name_that_is_part_of_another_one_leads_to_its_own_virtual_service_only() {
    const APP: &str = "app.some-domain.com";
    let fixture = by_name_only(Port80::AddService, &[APP]).await;
    for (name, address, fqdn) in [
        ("longer", "10.0.0.11", "myapp.some-domain.com"),
        ("below", "10.0.0.12", "app.some-domain.com.other-domain.com"),
        ("app", "10.0.0.13", "App.Some-Domain.com."),
    ] {
        let vip = vs_vip(&fixture.lab, address, fqdn);
        make(&fixture.lab, "virtualservice", https(name, &vip));
    }
    fixture.edge.present(&APP.parse().unwrap(), &challenge("token")).await.unwrap();
    assert_eq!([links(&fixture, "longer"), links(&fixture, "below"), links(&fixture, "app")], [0, 0, 1]);
    assert_eq!(on_port_80(&fixture, "app"), 1);
    fixture.edge.withdraw("token").await.unwrap();
    answers(&fixture, "10.0.0.13", APP, "the name's own").await;
}

/// Defect 5: of those that share the address, neither the one of layer 4 nor the redirect is the site.
#[tokio::test]
async fn of_those_that_share_an_address_the_one_that_serves_the_site_is_meant() {
    let fixture = shared_by_three(8443).await;
    let seen = fixture.edge.observe().await.unwrap();
    let by_name = &seen.listeners[SITE];
    assert_eq!(by_name, &seen.listeners["site-443"]);
    assert!(by_name.tls && by_name.unfit.is_none(), "{by_name:?}");
    let before = fixture.lab.object("virtualservice", "layer-4").unwrap();
    answers(&fixture, "10.0.0.20", SITE, "beside layer 4 and a redirect").await;
    assert_eq!(fixture.lab.object("virtualservice", "layer-4").unwrap(), before, "it is not even touched");
    assert_eq!(refused(&fixture), [""; 0], "no policy set was tried on layer 4");
}

/// Defect 5: where layer 4 has port 80, nothing is tried that the controller refuses; the error says what is there.
#[tokio::test]
async fn a_port_80_of_layer_4_is_named_before_anything_is_written() {
    let fixture = shared_by_three(80).await;
    let before = configuration(&fixture.lab);
    let obstacle = fixture.edge.observe().await.unwrap().http01.unwrap().obstacle.unwrap();
    assert!(obstacle.object.contains("layer-4"), "{obstacle:?}");
    let error = fixture.edge.present(&SITE.parse().unwrap(), &challenge("token")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("layer-4") && error.to_string().contains("not HTTP"), "{error}");
    assert_eq!(error.hint(), Some(obstacle.fix.as_str()));
    assert_eq!(configuration(&fixture.lab), before);
    assert!(fixture.lab.requests().iter().all(|call| call.method == "GET" || call.operation == "POST login"));
}

const SITE: &str = "site.some-domain.com";

/// Three virtual services at one address: layer 4 first, then a redirect on port 80 unless layer 4 has it, then the site.
async fn shared_by_three(layer_4_port: u16) -> Fixture {
    let mut fixture = by_name_only(Port80::Require, &[SITE]).await;
    let vip = vs_vip(&fixture.lab, "10.0.0.20", SITE);
    let layer_4 = json!({"name": "layer-4", "vsvip_ref": vip, "services": [{"port": layer_4_port}],
        "application_profile_ref": "/api/applicationprofile?name=System-L4-Application"});
    make(&fixture.lab, "virtualservice", layer_4);
    if layer_4_port != 80 {
        let redirect = json!({"name": "redirect-80", "vsvip_ref": vip, "services": [{"port": 80}],
            "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP"});
        make(&fixture.lab, "virtualservice", redirect);
    }
    make(&fixture.lab, "virtualservice", https("site-443", &vip));
    fixture.config.listeners.insert(SITE.parse().unwrap());
    fixture.edge = tenant(&fixture.config);
    fixture
}

/// Defect 6. The data plane of the lab chooses children by rules of its own: it is fetched from there.
#[tokio::test]
async fn virtual_hosts_with_wildcards_are_found_in_both_kinds_of_hosting() {
    for (pattern, host) in [
        ("*.some-domain.com", "www.some-domain.com"),
        ("*.some-domain.com", "deep.www.some-domain.com"),
        (".some-domain.com", "www.some-domain.com"),
        (".some-domain.com", "some-domain.com"),
        ("www.some-domain.*", "www.some-domain.com"),
        ("WWW.some-domain.com", "www.some-domain.com"),
    ] {
        for kind in ["VS_TYPE_VH_SNI", "VS_TYPE_VH_ENHANCED"] {
            let fixture = by_name_only(Port80::AddService, &[host]).await;
            let parent = hosting(&fixture, kind, "10.0.0.30", "lab.other-domain.com");
            // A shorter pattern is there too, first: the longest one wins.
            child(&fixture, &parent, kind, "any", "*.com");
            child(&fixture, &parent, kind, "wanted", pattern);
            child(&fixture, &parent, kind, "other", "other.some-domain.org");
            answers(&fixture, "10.0.0.30", host, &format!("{kind} {pattern} {host}")).await;
            assert_eq!(refused(&fixture), [""; 0], "{kind} {pattern} {host}");
        }
    }
}

/// Defect 7. The hit is the parent itself, by a name of its own or by its address's.
#[tokio::test]
async fn a_name_that_leads_to_a_parent_is_answered_by_the_parent() {
    for kind in ["VS_TYPE_VH_SNI", "VS_TYPE_VH_ENHANCED"] {
        for port_80 in [Port80::AddService, Port80::Sibling] {
            for by_host in [true, false] {
                let fixture = by_name_only(port_80, &[NAME]).await;
                let fqdn = if by_host { "lab.other-domain.com" } else { NAME };
                let parent = hosting(&fixture, kind, "10.0.0.31", fqdn);
                if by_host {
                    let host = |parent: &mut Value| parent["vh_domain_name"] = json!([NAME]);
                    fixture.lab.edit("virtualservice", "parent", host).unwrap();
                }
                child(&fixture, &parent, kind, "child", "elsewhere.some-domain.com");
                let context = format!("{kind} {port_80} by host: {by_host}");
                answers(&fixture, "10.0.0.31", NAME, &context).await;
                assert_eq!(refused(&fixture), [""; 0], "{context}");
            }
        }
    }
}

/// Defect 8. Three sharers of one VS VIP that has the name: what serves the name is the child that has it as its host.
#[tokio::test]
async fn a_child_that_has_the_name_is_meant_though_its_parents_address_has_it_too() {
    for kind in ["VS_TYPE_VH_SNI", "VS_TYPE_VH_ENHANCED"] {
        let mut fixture = by_name_only(Port80::AddService, &[NAME]).await;
        let parent = hosting(&fixture, kind, "10.0.0.32", NAME);
        child(&fixture, &parent, kind, "other-child", "other.some-domain.com");
        child(&fixture, &parent, kind, "child", NAME);
        fixture.config.listeners.insert(NAME.parse().unwrap());
        fixture.edge = tenant(&fixture.config);
        let seen = fixture.edge.observe().await.unwrap();
        assert_eq!(seen.listeners[NAME], seen.listeners["child"], "{kind}");
        assert_ne!(seen.listeners["child"].server_names, seen.listeners["parent"].server_names, "{kind}");
        let other = fixture.lab.object("virtualservice", "other-child").unwrap();
        answers(&fixture, "10.0.0.32", NAME, kind).await;
        assert_eq!(fixture.lab.object("virtualservice", "other-child").unwrap(), other, "{kind}: another site's");
    }
}

/// Defect 8: two that are equally likely are both named, and neither is written to.
#[tokio::test]
async fn where_two_are_equally_meant_both_are_named_and_nothing_is_written() {
    let fixture = by_name_only(Port80::AddService, &[NAME]).await;
    let vip = vs_vip(&fixture.lab, "10.0.0.33", NAME);
    for (name, port) in [("site-443", 443), ("site-8443", 8443)] {
        let mut service = https(name, &vip);
        service["services"] = json!([{"port": port, "enable_ssl": true}]);
        make(&fixture.lab, "virtualservice", service);
    }
    let before = configuration(&fixture.lab);
    let error = fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap_err();
    assert!(error.to_string().contains("`site-443`") && error.to_string().contains("`site-8443`"), "{error}");
    assert!(error.hint().is_some_and(|hint| hint.contains("deploy its certificate")), "{:?}", error.hint());
    assert_eq!(configuration(&fixture.lab), before);
}

/// Defect 9.
#[tokio::test]
async fn a_range_of_ports_that_covers_80_is_port_80() {
    for (services, covered) in [
        (json!([{"port": 443, "enable_ssl": true}, {"port": 70, "port_range_end": 90}]), true),
        (json!([{"port": 80, "port_range_end": 90}, {"port": 443, "enable_ssl": true}]), true),
        (json!([{"port": 8000, "port_range_end": 9000}, {"port": 443, "enable_ssl": true}]), false),
    ] {
        for port_80 in [Port80::AddService, Port80::Sibling] {
            let fixture = by_name_only(port_80, &[NAME]).await;
            let vip = vs_vip(&fixture.lab, "10.0.0.34", NAME);
            let mut service = https("ranged", &vip);
            service["services"] = services.clone();
            service["application_profile_ref"] = json!("/api/applicationprofile?name=System-HTTP");
            make(&fixture.lab, "virtualservice", service);
            let context = format!("{port_80} {services}");
            fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
            let there = fixture.lab.object("virtualservice", "ranged").unwrap()["services"].as_array().unwrap().len();
            let made = there - 2 + fixture.names("virtualservice").len() - 2;
            assert_eq!(made, usize::from(!covered), "{context}: a port 80 is made only where there is none");
            fixture.edge.withdraw("token").await.unwrap();
            answers(&fixture, "10.0.0.34", NAME, &context).await;
            assert_eq!(refused(&fixture), [""; 0], "{context}");
        }
    }
}

/// Defect 9: a range that speaks TLS cannot answer a CA, and nothing can be added over it.
#[tokio::test]
async fn a_range_of_tls_ports_that_covers_80_is_named() {
    let fixture = by_name_only(Port80::AddService, &[NAME]).await;
    let vip = vs_vip(&fixture.lab, "10.0.0.35", NAME);
    let mut service = https("ranged", &vip);
    service["services"] = json!([{"port": 1, "port_range_end": 1024, "enable_ssl": true}]);
    make(&fixture.lab, "virtualservice", service);
    let error = fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("ranged") && error.to_string().contains("TLS on port 80"), "{error}");
    assert_eq!((links(&fixture, "ranged"), fixture.names("httppolicyset")), (0, vec!["others".to_owned()]));
}

/// Defect 10. A rule that refuses everything, one that sends everybody to https, and a profile that does.
#[tokio::test]
async fn the_challenge_comes_before_rules_that_redirect_or_refuse() {
    let refuse = json!({"action": "HTTP_SECURITY_ACTION_SEND_RESPONSE",
        "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_403"});
    let redirect = json!({"action": "HTTP_SECURITY_ACTION_REDIRECT_TO_HTTPS", "https_port": 443});
    let close = json!({"action": "HTTP_SECURITY_ACTION_CLOSE_CONN"});
    for action in [refuse, redirect, close] {
        for first in [1, 11] {
            let fixture = super::two_names(Port80::AddService).await;
            let rules = json!({"rules": [{"name": "all", "index": 1, "enable": true, "action": action}]});
            let add = move |others: &mut Value| others["http_security_policy"] = rules;
            fixture.lab.edit("httppolicyset", "others", add).unwrap();
            let at = move |shop: &mut Value| shop["http_policies"][0]["index"] = json!(first);
            fixture.lab.edit("virtualservice", "shop-443", at).unwrap();
            answers(&fixture, VIP, NAME, &format!("{action} at index {first}")).await;
        }
    }
}

/// Defect 10: where there is no room before the others, that is told before anything is written.
#[tokio::test]
async fn without_room_before_the_other_policies_nothing_is_written() {
    let fixture = super::two_names(Port80::AddService).await;
    let at = |shop: &mut Value| shop["http_policies"][0]["index"] = json!(0);
    fixture.lab.edit("virtualservice", "shop-443", at).unwrap();
    let before = configuration(&fixture.lab);
    let error = fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap_err();
    assert!(error.to_string().contains("index 0") && error.hint().unwrap().contains("from 1 on"), "{error}");
    assert_eq!(configuration(&fixture.lab), before);
}

/// A virtual service that terminates TLS on port 443.
fn https(name: &str, vip: &str) -> Value {
    json!({"name": name, "vsvip_ref": vip, "services": [{"port": 443, "enable_ssl": true}],
        "application_profile_ref": "/api/applicationprofile?name=System-HTTP"})
}

/// A parent at an address of its own.
fn hosting(fixture: &Fixture, kind: &str, address: &str, fqdn: &str) -> String {
    let vip = vs_vip(&fixture.lab, address, fqdn);
    let mut parent = https("parent", &vip);
    (parent["type"], parent["vh_type"]) = (json!("VS_TYPE_VH_PARENT"), json!(kind));
    make(&fixture.lab, "virtualservice", parent)
}

/// A child for one host or pattern.
fn child(fixture: &Fixture, parent: &str, kind: &str, name: &str, pattern: &str) {
    let mut child = json!({"name": name, "type": "VS_TYPE_VH_CHILD", "vh_type": kind, "vh_parent_vs_ref": parent});
    match kind {
        "VS_TYPE_VH_SNI" => child["vh_domain_name"] = json!([pattern]),
        _ => child["vh_matches"] = json!([{"host": pattern, "rules": [{"name": "all", "matches": {}}]}]),
    }
    make(&fixture.lab, "virtualservice", child);
}
