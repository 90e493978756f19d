use std::collections::BTreeMap;

use certferry_core::ListenerName;
use http::Method;
use proptest::prelude::*;

use super::*;
use crate::load_balancer::avi::config::Port80;

const SHOP: &str = "virtualservice-shop";
const WWW: &str = "www.some-domain.com";

fn www() -> Identifier {
    WWW.parse().unwrap()
}

fn leading_to(listener: &str) -> BTreeMap<Identifier, Vec<ListenerName>> {
    BTreeMap::from([(www(), vec![listener.parse().unwrap()])])
}

fn config(port_80: Port80, keep: bool) -> Http01Config {
    Http01Config { names: leading_to("shop-443"), otherwise: Vec::new(), port_80, keep, probe: Vec::new() }
}

fn challenge(token: &str) -> Http01Challenge {
    Http01Challenge {
        url: "https://ca.some-domain.com/challenge/1".to_owned(),
        token: token.to_owned(),
        key_authorization: format!("{token}.thumbprint"),
        untouched: true,
    }
}

fn shop() -> Value {
    json!({"uuid": SHOP, "name": "shop-443", "vsvip_ref": "https://h/api/vsvip/vip#shop-vip", "cloud_ref": "/api/cloud/c#C",
        "vrf_context_ref": "/api/vrfcontext/blue", "application_profile_ref": "/api/applicationprofile/http",
        "network_profile_ref": "/api/networkprofile/tcp", "services": [{"port": 443, "enable_ssl": true}],
        "http_policies": [{"index": 11, "http_policy_set_ref": "/api/httppolicyset/users"}], "not_invented_yet": [1]})
}

fn tenant(others: Vec<Value>) -> Tenant {
    Tenant {
        virtual_services: [vec![shop()], others].concat().into(),
        vs_vips: vec![
            json!({"uuid": "vip", "vip": [{"ip_address": {"addr": "10.0.0.7"}}]}),
            json!({"uuid": "same-address", "vip": [{"ip_address": {"addr": "10.0.0.7"}}]}),
            json!({"uuid": "elsewhere", "vip": [{"ip_address": {"addr": "10.0.0.9"}}]}),
        ]
        .into(),
        application_profiles: vec![
            json!({"uuid": "http", "type": "APPLICATION_PROFILE_TYPE_HTTP"}),
            json!({"uuid": "secure", "type": "APPLICATION_PROFILE_TYPE_HTTP", "http_profile": {"http_to_https": true}}),
            json!({"uuid": "l4", "type": "APPLICATION_PROFILE_TYPE_L4"}),
        ]
        .into(),
        ..Tenant::default()
    }
}

fn plain(id: &str, extra: Value) -> Value {
    let mut service = json!({"uuid": id, "name": id, "vsvip_ref": "/api/vsvip/vip",
        "vrf_context_ref": "/api/vrfcontext/blue", "application_profile_ref": "/api/applicationprofile/http",
        "services": [{"port": 80, "port_range_end": 80, "enable_ssl": false}]});
    service.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    service
}

/// Does what the controller does with a change; list elements are matched as wholes, references by their uuid.
fn apply(tenant: &mut Tenant, change: &Change) {
    let body: Value = change.body.as_ref().map_or(Value::Null, |body| serde_json::from_slice(body).unwrap());
    let objects = match change.collection {
        Collection::PolicySets => &mut tenant.policy_sets,
        Collection::VirtualServices => &mut tenant.virtual_services,
        other => panic!("nobody changes {other:?}"),
    };
    let same = |object: &Value| uuid(object) == change.uuid.as_deref();
    match change.method {
        Method::POST => {
            assert!(!objects.iter().any(|object| name(object) == name(&body)), "409 {}", name(&body));
            let mut object = body.clone();
            object["uuid"] = json!(format!("uuid-{}", name(&body)));
            objects.push(object);
        }
        Method::PUT => *objects.iter_mut().find(|object| same(object)).unwrap() = body,
        Method::DELETE => objects.retain(|object| !same(object)),
        _ => {
            let object = objects.iter_mut().find(|object| same(object)).unwrap();
            for (operation, fields) in body.as_object().unwrap() {
                for (field, elements) in fields.as_object().unwrap() {
                    let mut items = list(object, field).to_vec();
                    for element in elements.as_array().unwrap() {
                        match operation.as_str() {
                            "add" => items.push(element.clone()),
                            "delete" => items.retain(|item| !is_element(item, element)),
                            other => panic!("{other}"),
                        }
                    }
                    object[field] = Value::Array(items);
                }
            }
        }
    }
    for service in tenant.virtual_services.iter() {
        let mut indices: Vec<i64> =
            list(service, "http_policies").iter().filter_map(|link| link["index"].as_i64()).collect();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), list(service, "http_policies").len(), "indices are unique: {service}");
    }
}

fn is_element(item: &Value, element: &Value) -> bool {
    let link =
        |value: &Value| (value.get("index").cloned(), reference(value, "http_policy_set_ref").map(str::to_owned));
    if item.get("http_policy_set_ref").is_some() { link(item) == link(element) } else { item == element }
}

fn settle(tenant: &mut Tenant, decide: impl Fn(&Tenant) -> Decision) -> Vec<String> {
    let mut made = Vec::new();
    while let Some(change) = decide(tenant).unwrap() {
        made.push(format!("{} {}", change.method, change.object));
        apply(tenant, &change);
        assert!(made.len() < 20, "it does not end: {made:?}");
    }
    made
}

fn presented(tenant: &mut Tenant, config: &Http01Config, token: &str) -> Vec<String> {
    settle(tenant, |tenant| present(tenant, config, &www(), &challenge(token)))
}

fn withdrawn(tenant: &mut Tenant, config: &Http01Config, token: &str) -> Vec<String> {
    settle(tenant, |tenant| withdraw(tenant, config.keep, token))
}

fn state(tenant: &Tenant) -> (Vec<Value>, Vec<Value>) {
    (tenant.virtual_services.to_vec(), tenant.policy_sets.to_vec())
}

fn obstacle_of(tenant: &Tenant, config: &Http01Config) -> Obstacle {
    let obstacle = observation(tenant, config).obstacle.expect("an obstacle");
    let problem = present(tenant, config, &www(), &challenge("t")).err().expect("a problem");
    assert_eq!((&problem.object, &problem.said), (&obstacle.object, &obstacle.what));
    obstacle
}

#[test]
fn a_sibling_is_made_on_port_80_and_goes_with_the_last_token() {
    let mut tenant = tenant(Vec::new());
    let before = state(&tenant);
    let config = config(Port80::Sibling, false);
    let made = presented(&mut tenant, &config, "one");
    assert_eq!(
        made,
        ["POST HTTP policy set `certferry-acme-sibling-shop`", "POST virtual service `shop-443-certferry-acme`"]
    );
    let sibling = tenant.virtual_services.last().unwrap();
    assert_eq!(sibling["vsvip_ref"], "https://h/api/vsvip/vip");
    assert_eq!((&sibling["cloud_ref"], &sibling["created_by"]), (&json!("/api/cloud/c"), &json!("certferry")));
    assert!(sibling.get("pool_ref").is_none() && sibling.get("ssl_key_and_certificate_refs").is_none());
    assert_eq!(tenant.virtual_services[0], shop(), "the virtual service itself stays as it is");
    assert_eq!(presented(&mut tenant, &config, "one"), [""; 0]);
    assert_eq!(presented(&mut tenant, &config, "two").len(), 1);
    assert_eq!(withdrawn(&mut tenant, &config, "one").len(), 1);
    let rules: Vec<&str> = policy_set::rules(&tenant.policy_sets[0]).map(name).collect();
    assert_eq!(rules, ["two"]);
    let removed = withdrawn(&mut tenant, &config, "two");
    assert_eq!(
        removed,
        ["DELETE virtual service `shop-443-certferry-acme`", "DELETE HTTP policy set `certferry-acme-sibling-shop`"]
    );
    assert_eq!(state(&tenant), before);
    assert_eq!(withdrawn(&mut tenant, &config, "two"), [""; 0]);
}

#[test]
fn an_added_service_comes_and_goes_with_its_policy_set() {
    let mut tenant = tenant(Vec::new());
    let before = state(&tenant);
    let config = config(Port80::AddService, false);
    let made = presented(&mut tenant, &config, "one");
    assert_eq!(made, ["POST HTTP policy set `certferry-acme-port80-shop`", "PATCH virtual service `shop-443`"]);
    let service = &tenant.virtual_services[0];
    assert_eq!(service["services"][1]["port"], 80);
    assert_eq!(service["http_policies"][1]["index"], 10, "ahead of all others");
    assert_eq!(service["not_invented_yet"], json!([1]));
    assert_eq!(presented(&mut tenant, &config, "two").len(), 1, "the same policy set");
    withdrawn(&mut tenant, &config, "one");
    let removed = withdrawn(&mut tenant, &config, "two");
    assert_eq!(removed, ["PATCH virtual service `shop-443`", "DELETE HTTP policy set `certferry-acme-port80-shop`"]);
    assert_eq!(state(&tenant), before);
}

#[test]
fn a_port_80_that_was_there_stays() {
    for other in [
        plain("redirect", json!({"application_profile_ref": "/api/applicationprofile/http"})),
        plain("same-address", json!({"vsvip_ref": "/api/vsvip/same-address"})),
        plain("range", json!({"services": [{"port": 79, "port_range_end": 90}]})),
    ] {
        for port_80 in [Port80::AddService, Port80::Require, Port80::Sibling] {
            let mut tenant = tenant(vec![other.clone()]);
            let before = tenant.virtual_services.to_vec();
            let config = config(port_80, false);
            let made = presented(&mut tenant, &config, "one");
            assert_eq!(made.len(), 2, "{made:?}");
            assert_eq!(made[1], format!("PATCH virtual service `{}`", name(&other)));
            let mut removed = withdrawn(&mut tenant, &config, "one");
            assert_eq!(removed.len(), 2, "{removed:?}");
            assert_eq!(removed.remove(0), made[1]);
            let mut expected = before.clone();
            expected[1]["http_policies"] = json!([]);
            assert_eq!(*tenant.virtual_services, expected);
        }
    }
}

#[test]
fn a_port_80_of_another_address_or_routing_domain_is_not_ours() {
    for other in [
        plain("elsewhere", json!({"vsvip_ref": "/api/vsvip/elsewhere"})),
        plain("green", json!({"vsvip_ref": "/api/vsvip/same-address", "vrf_context_ref": "/api/vrfcontext/green"})),
    ] {
        let obstacle = obstacle_of(&tenant(vec![other]), &config(Port80::Require, false));
        assert!(obstacle.what.contains("nothing listens on port 80"), "{obstacle:?}");
    }
}

#[test]
fn where_port_80_redirects_both_ends_answer() {
    let redirect = plain("redirect", json!({"application_profile_ref": "/api/applicationprofile/secure"}));
    let mut tenant = tenant(vec![redirect]);
    let config = config(Port80::Sibling, false);
    let made = presented(&mut tenant, &config, "one");
    assert_eq!(made.iter().filter(|made| made.starts_with("PATCH")).count(), 2, "{made:?}");
    assert!(tenant.virtual_services.iter().all(|service| !list(service, "http_policies").is_empty()));
    withdrawn(&mut tenant, &config, "one");
    assert_eq!(tenant.virtual_services[0], shop());
    assert!(tenant.policy_sets.is_empty());
}

#[test]
fn children_are_answered_for_where_their_requests_arrive() {
    for (vh_type, expected) in [("VS_TYPE_VH_SNI", &["shop-443"][..]), ("VS_TYPE_VH_ENHANCED", &["shop-443", "child"])]
    {
        let child = json!({"uuid": "child", "name": "child", "type": "VS_TYPE_VH_CHILD", "vh_type": vh_type,
            "vh_parent_vs_ref": format!("/api/virtualservice/{SHOP}")});
        let mut tenant = tenant(vec![child]);
        tenant.virtual_services[0]["type"] = json!("VS_TYPE_VH_PARENT");
        tenant.virtual_services[0]["services"] = json!([{"port": 443, "enable_ssl": true}, {"port": 80}]);
        let config = Http01Config { names: leading_to("child"), ..config(Port80::Require, false) };
        presented(&mut tenant, &config, "one");
        let linked: Vec<&str> = tenant
            .virtual_services
            .iter()
            .filter(|service| tenant.policy_sets.iter().any(|set| answers(service, set)))
            .map(name)
            .collect();
        assert_eq!(linked, expected);
        assert_eq!(observation(&tenant, &config).probe, ["10.0.0.7:80".parse().unwrap()]);
        withdrawn(&mut tenant, &config, "one");
        assert!(tenant.policy_sets.is_empty());
    }
}

#[test]
fn what_cannot_answer_is_named_with_a_way_out() {
    let sibling = config(Port80::Sibling, false);
    for (other, object, part) in [
        (plain("tls", json!({"services": [{"port": 80, "enable_ssl": true}]})), "`tls`", "TLS on port 80"),
        (plain("l4", json!({"application_profile_ref": "/api/applicationprofile/l4"})), "`l4`", "not HTTP"),
        (plain("off", json!({"enabled": false})), "`off`", "disabled"),
        (plain("ako", json!({"created_by": "ako-one"})), "`ako`", "AKO"),
        (
            plain("full", json!({"http_policies": [{"index": 0, "http_policy_set_ref": "/api/x/y"}]})),
            "`full`",
            "index 0",
        ),
    ] {
        let obstacle = obstacle_of(&tenant(vec![other]), &sibling);
        assert!(obstacle.object.contains(object) && obstacle.what.contains(part), "{obstacle:?}");
        assert!(!obstacle.fix.is_empty());
    }
    let mut off = tenant(Vec::new());
    off.virtual_services[0]["enabled"] = json!(false);
    assert!(obstacle_of(&off, &sibling).what.contains("disabled"));
    let nowhere = Http01Config { names: leading_to("nowhere"), ..sibling.clone() };
    assert!(obstacle_of(&tenant(Vec::new()), &nowhere).what.contains("not there"));
    let mut taken = tenant(Vec::new());
    taken.policy_sets.push(json!({"uuid": "x", "name": "certferry-acme-sibling-shop", "created_by": "admin"}));
    assert!(obstacle_of(&taken, &sibling).what.contains("did not make"));
    let none = Http01Config { names: BTreeMap::new(), ..sibling };
    assert!(observation(&tenant(Vec::new()), &none).obstacle.is_some());
}

#[test]
fn a_name_is_answered_for_where_it_leads() {
    let blog = json!({"uuid": "blog", "name": "blog-443", "vsvip_ref": "/api/vsvip/elsewhere",
        "fqdn": "blog.some-domain.com", "services": [{"port": 443, "enable_ssl": true}]});
    let services = |config: &Http01Config, tenant: &Tenant, name: &str| {
        let found = answering::services(tenant, config, &name.parse().unwrap());
        found.map(|found| found.into_iter().map(name_of).collect::<Vec<_>>())
    };
    let mut tenant = tenant(vec![blog]);
    tenant.looked_up.insert("shop.other-domain.com".to_owned(), vec!["10.0.0.7".parse().unwrap()]);
    let both = vec!["shop-443".parse().unwrap(), "blog-443".parse().unwrap()];
    let names = ["blog.some-domain.com", WWW].map(|name| (name.parse().unwrap(), both.clone()));
    let config = Http01Config { names: names.into(), ..config(Port80::Sibling, false) };
    assert_eq!(services(&config, &tenant, "blog.some-domain.com").unwrap(), ["blog-443"], "its own FQDN");
    assert_eq!(services(&config, &tenant, WWW).unwrap(), ["shop-443", "blog-443"], "either, so both");
    assert_eq!(services(&config, &tenant, "shop.other-domain.com").unwrap(), ["shop-443"], "by its address");
    assert_eq!(services(&config, &tenant, "10.0.0.7").unwrap(), ["shop-443"], "its address is its name");
    assert!(services(&config, &tenant, "192.0.2.9").is_err());
    let nowhere = services(&config, &tenant, "a.other-domain.com").unwrap_err();
    assert!(nowhere.what.contains("no virtual service has it"), "{nowhere:?}");
    let config = Http01Config { otherwise: vec!["blog-443".parse().unwrap()], ..config };
    assert_eq!(services(&config, &tenant, "a.other-domain.com").unwrap(), ["blog-443"]);
}

fn name_of(service: &Value) -> String {
    name(service).to_owned()
}

#[test]
fn a_rule_is_exact_and_stands_where_the_licence_lets_it() {
    for (request_rules, policy, answer) in
        [(false, "http_security_policy", "action"), (true, "http_request_policy", "switching_action")]
    {
        let tenant = Tenant { answers_by_request_rules: request_rules, ..tenant(Vec::new()) };
        let change = present(&tenant, &config(Port80::Sibling, false), &www(), &challenge("Tok_1")).unwrap().unwrap();
        let body: Value = serde_json::from_slice(&change.body.unwrap()).unwrap();
        let rule = &body[policy]["rules"][0];
        assert_eq!(
            rule["match"]["path"],
            json!({"match_criteria": "EQUALS", "match_case": "SENSITIVE",
                "match_str": ["/.well-known/acme-challenge/Tok_1"]})
        );
        assert_eq!(rule[answer]["file"], json!({"content_type": "text/plain", "file_content": "Tok_1.thumbprint"}));
        assert_eq!((&rule["index"], &rule["enable"]), (&json!(1), &json!(true)));
    }
}

#[test]
fn what_is_kept_is_made_beforehand_and_stays_empty_of_tokens() {
    for (port_80, objects) in [
        (
            Port80::Sibling,
            ["HTTP policy set `certferry-acme-sibling-shop`", "virtual service `shop-443-certferry-acme`"],
        ),
        (Port80::AddService, ["HTTP policy set `certferry-acme-port80-shop`", "virtual service `shop-443`"]),
    ] {
        let mut tenant = tenant(Vec::new());
        let config = config(port_80, true);
        let changes: Vec<String> =
            observation(&tenant, &config).changes.into_iter().map(|change| change.object).collect();
        assert_eq!(changes, objects);
        settle(&mut tenant, |tenant| prepare(tenant, &config));
        assert_eq!(observation(&tenant, &config).changes, Vec::new());
        let kept = tenant.virtual_services.to_vec();
        presented(&mut tenant, &config, "one");
        withdrawn(&mut tenant, &config, "one");
        assert_eq!(*tenant.virtual_services, kept);
        assert_eq!(policy_set::rules(&tenant.policy_sets[0]).count(), 0);
        assert_eq!(observation(&tenant, &config).changes, Vec::new());
        withdrawn(&mut tenant, &Http01Config { keep: false, ..config }, "one");
        assert_eq!(tenant.virtual_services[0]["services"], shop()["services"], "no longer kept, so it goes");
        assert!(tenant.policy_sets.is_empty() && tenant.virtual_services.len() == 1);
    }
}

#[test]
fn policy_sets_of_other_people_are_left_alone() {
    let mut tenant = tenant(Vec::new());
    tenant.policy_sets.push(json!({"uuid": "x", "name": "certferry-acme-x", "created_by": "admin",
        "http_security_policy": {"rules": [{"name": "one", "index": 1}]}}));
    tenant.virtual_services.push(plain("shop-80-certferry-acme", json!({"created_by": "admin"})));
    assert!(withdraw(&tenant, false, "one").unwrap().is_none());
}

fn any_port_80() -> impl Strategy<Value = Port80> {
    prop::sample::select(vec![Port80::AddService, Port80::Sibling])
}

proptest! {
    /// Killed after any number of changes, by any sequence of presenting and withdrawing: once all tokens are withdrawn,
    /// everything is as it was.
    #[test]
    fn nothing_stays_behind_whatever_is_interrupted(
        port_80 in any_port_80(),
        redirect in any::<bool>(),
        steps in prop::collection::vec((0..4_usize, any::<bool>(), 0..4_usize), 0..12),
    ) {
        let redirect_service = plain("redirect", json!({"application_profile_ref": "/api/applicationprofile/secure"}));
        let mut tenant = tenant(if redirect { vec![redirect_service] } else { Vec::new() });
        let before: Vec<Value> = tenant.virtual_services.to_vec();
        let config = config(port_80, false);
        let tokens = ["a", "B", "b", "c"];
        for (token, presenting, changes) in steps {
            for _ in 0..changes {
                let decision = match presenting {
                    true => present(&tenant, &config, &www(), &challenge(tokens[token])),
                    false => withdraw(&tenant, false, tokens[token]),
                };
                let Some(change) = decision.unwrap() else { break };
                apply(&mut tenant, &change);
            }
        }
        for token in tokens {
            withdrawn(&mut tenant, &config, token);
        }
        prop_assert!(tenant.policy_sets.is_empty());
        prop_assert_eq!(tenant.virtual_services.len(), before.len());
        for (service, before) in tenant.virtual_services.iter().zip(&before) {
            prop_assert_eq!(&service["services"], &before["services"]);
            prop_assert_eq!(list(service, "http_policies"), list(before, "http_policies"));
        }
    }
}
