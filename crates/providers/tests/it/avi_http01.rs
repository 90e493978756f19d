//! Challenges on an Avi controller, fetched as a CA fetches them.

use std::net::SocketAddr;

use certferry_core::ErrorKind;
use certferry_core::port::{LoadBalancer, Probe};
use certferry_lab::avi_controller::RedirectOrder;
use certferry_providers::load_balancer::avi::Port80;
use certferry_providers::probe::NetworkProbe;
use serde_json::{Value, json};

use crate::avi_fixture::{Fixture, NAME, VIP, challenge, tenant};

async fn without_keeping(port_80: Port80) -> Fixture {
    Fixture::with(|config| {
        let http01 = config.http01.as_mut().unwrap();
        (http01.port_80, http01.keep) = (port_80, false);
    })
    .await
}

fn port_80_of(fixture: &Fixture) -> SocketAddr {
    fixture.lab.data_plane_address(VIP.parse().unwrap(), 80).unwrap()
}

async fn fetched(fixture: &Fixture, token: &str) -> Result<(u16, String), String> {
    let answer = NetworkProbe::new().http01(port_80_of(fixture), &NAME.parse().unwrap(), token).await?;
    Ok((answer.status, answer.body))
}

fn add_redirect(fixture: &Fixture, profile: &str) {
    let vip = fixture.lab.objects("vsvip").unwrap()[0]["uuid"].as_str().unwrap().to_owned();
    let redirect = json!({"name": "shop-80", "vsvip_ref": format!("/api/vsvip/{vip}"), "services": [{"port": 80}],
        "application_profile_ref": format!("/api/applicationprofile?name={profile}")});
    fixture.lab.create("admin", "virtualservice", redirect).unwrap();
}

fn all(fixture: &Fixture) -> [Vec<Value>; 2] {
    ["virtualservice", "httppolicyset"].map(|kind| {
        let mut objects = fixture.lab.objects(kind).unwrap();
        objects.iter_mut().for_each(|object| drop(object.as_object_mut().unwrap().remove("_last_modified")));
        objects
    })
}

#[tokio::test]
async fn a_challenge_is_answered_on_port_80_and_nothing_stays_behind() {
    for port_80 in [Port80::Sibling, Port80::AddService] {
        let fixture = without_keeping(port_80).await;
        let before = all(&fixture);
        let (one, other) = (challenge("Tok-en_1"), challenge("tok-en_1"));
        fixture.edge.present(&NAME.parse().unwrap(), &one).await.unwrap();
        fixture.edge.present(&NAME.parse().unwrap(), &other).await.unwrap();
        for challenge in [&one, &other] {
            let expected = (200, challenge.key_authorization.clone());
            assert_eq!(fetched(&fixture, &challenge.token).await, Ok(expected), "{port_80}: tokens differ by case");
        }
        let unknown = fetched(&fixture, "Tok-en_1x").await;
        assert!(
            unknown.as_ref().map_or(true, |(status, _)| *status != 200),
            "{port_80}: only whole paths: {unknown:?}"
        );
        fixture.edge.withdraw(&one.token).await.unwrap();
        assert_eq!(fetched(&fixture, &other.token).await, Ok((200, other.key_authorization.clone())));
        fixture.edge.withdraw(&other.token).await.unwrap();
        assert_eq!(all(&fixture), before, "{port_80}");
        assert!(fetched(&fixture, &other.token).await.is_err(), "{port_80}: nothing listens on port 80 again");
    }
}

#[tokio::test]
async fn a_redirect_on_port_80_is_used_and_stays_in_both_orders() {
    for (order, profile) in [
        (RedirectOrder::PolicyFirst, "System-HTTP"),
        (RedirectOrder::PolicyFirst, "System-Secure-HTTP"),
        (RedirectOrder::ProfileFirst, "System-HTTP"),
    ] {
        let fixture = without_keeping(Port80::Require).await;
        fixture.lab.set_behaviour(move |behaviour| behaviour.redirect_order = order);
        add_redirect(&fixture, profile);
        let before = all(&fixture);
        fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
        assert_eq!(fetched(&fixture, "token").await, Ok((200, "token.thumbprint".to_owned())), "{order:?} {profile}");
        fixture.edge.withdraw("token").await.unwrap();
        assert_eq!(all(&fixture), before);
    }
}

/// The probe follows redirects to port 443 of this machine only where the lab has that port; so what the redirect leads to
/// is looked at in the configuration.
#[tokio::test]
async fn where_the_redirect_comes_first_its_target_answers_too() {
    let fixture = without_keeping(Port80::Sibling).await;
    add_redirect(&fixture, "System-Secure-HTTP");
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
    let sets = fixture.lab.objects("httppolicyset").unwrap();
    for service in ["shop-80", "shop-443"] {
        let links = fixture.lab.object("virtualservice", service).unwrap()["http_policies"].clone();
        let first = links.as_array().unwrap().iter().min_by_key(|link| link["index"].as_i64()).unwrap().clone();
        let set = sets
            .iter()
            .find(|set| first["http_policy_set_ref"].as_str().unwrap().ends_with(set["uuid"].as_str().unwrap()));
        assert_eq!(set.unwrap()["http_security_policy"]["rules"][0]["name"], "token", "{service}");
    }
}

#[tokio::test]
async fn what_a_killed_run_left_is_swept_by_its_token() {
    for port_80 in [Port80::Sibling, Port80::AddService] {
        let fixture = without_keeping(port_80).await;
        let before = all(&fixture);
        fixture.edge.present(&NAME.parse().unwrap(), &challenge("old")).await.unwrap();
        let next = tenant(&fixture.config);
        next.present(&NAME.parse().unwrap(), &challenge("new")).await.unwrap();
        assert_eq!(fetched(&fixture, "new").await, Ok((200, "new.thumbprint".to_owned())));
        next.withdraw("old").await.unwrap();
        next.withdraw("new").await.unwrap();
        assert_eq!(all(&fixture), before, "{port_80}");
    }
}

#[tokio::test]
async fn smaller_licences_answer_by_request_rules() {
    for tier in ["BASIC", "ESSENTIALS"] {
        let fixture = without_keeping(Port80::Sibling).await;
        // What the licence does not have goes first: a name in the VS VIP's DNS.
        fixture.lab.edit("vsvip", "shop-vip", |vip| drop(vip.as_object_mut().unwrap().remove("dns_info"))).unwrap();
        fixture
            .lab
            .edit("systemconfiguration", "default", move |object| object["default_license_tier"] = json!(tier))
            .unwrap();
        fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
        assert_eq!(fetched(&fixture, "token").await, Ok((200, "token.thumbprint".to_owned())), "{tier}");
        fixture.edge.withdraw("token").await.unwrap();
        assert_eq!(fixture.names("httppolicyset"), ["others"]);
    }
}

#[tokio::test]
async fn require_makes_nothing_and_says_what_is_missing() {
    let fixture = without_keeping(Port80::Require).await;
    let before = all(&fixture);
    let obstacle = fixture.edge.observe().await.unwrap().http01.unwrap().obstacle.unwrap();
    let error = fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains(&obstacle.what) && error.hint() == Some(&obstacle.fix), "{error}");
    assert_eq!(all(&fixture), before);
}

#[tokio::test]
async fn what_is_kept_holds_no_token() {
    let fixture = Fixture::start().await;
    for change in fixture.edge.observe().await.unwrap().http01.unwrap().changes {
        fixture.edge.prepare_http01(&change).await.unwrap();
    }
    let kept = all(&fixture);
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
    assert_eq!(fetched(&fixture, "token").await, Ok((200, "token.thumbprint".to_owned())));
    fixture.edge.withdraw("token").await.unwrap();
    let after = all(&fixture);
    assert_eq!(after[0], kept[0]);
    assert!(!json!(after).to_string().contains("token.thumbprint"));
}

#[tokio::test]
async fn children_of_both_kinds_are_answered_for() {
    for (vh_type, host) in [
        ("VS_TYPE_VH_SNI", json!({"vh_domain_name": [NAME]})),
        ("VS_TYPE_VH_ENHANCED", json!({"vh_matches": [{"host": NAME, "rules": [{"name": "all", "matches": {}}]}]})),
    ] {
        let fixture = Fixture::with(|config| {
            let http01 = config.http01.as_mut().unwrap();
            (http01.port_80, http01.keep) = (Port80::AddService, false);
            http01.names = [(NAME.parse().unwrap(), Vec::new())].into();
        })
        .await;
        let vip =
            json!({"name": "shared-vip", "vip": [{"vip_id": "0", "ip_address": {"addr": "10.0.0.8", "type": "V4"}}]});
        let vip = fixture.lab.create("admin", "vsvip", vip).unwrap();
        let parent = json!({"name": "shared", "type": "VS_TYPE_VH_PARENT", "vh_type": vh_type,
            "vsvip_ref": format!("/api/vsvip/{vip}"), "services": [{"port": 443, "enable_ssl": true}]});
        let parent = fixture.lab.create("admin", "virtualservice", parent).unwrap();
        let mut child = json!({"name": "child", "type": "VS_TYPE_VH_CHILD", "vh_type": vh_type,
            "vh_parent_vs_ref": format!("/api/virtualservice/{parent}")});
        child.as_object_mut().unwrap().extend(host.as_object().unwrap().clone());
        fixture.lab.create("admin", "virtualservice", child).unwrap();
        let before = all(&fixture);
        fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
        let port_80 = fixture.lab.data_plane_address("10.0.0.8".parse().unwrap(), 80).unwrap();
        let answer = NetworkProbe::new().http01(port_80, &NAME.parse().unwrap(), "token").await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "token.thumbprint"), "{vh_type}");
        fixture.edge.withdraw("token").await.unwrap();
        assert_eq!(all(&fixture), before, "{vh_type}");
    }
}
