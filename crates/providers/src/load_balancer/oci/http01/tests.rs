use serde_json::json;

use super::*;
use crate::load_balancer::oci::HealthCheck;

const SET: &str = "certferry-acme";
const BACKEND_SET: &str = "backend set `certferry-acme`";

fn config() -> Http01Config {
    Http01Config {
        listener: "http".parse().unwrap(),
        responder: "10.0.0.4:8080".parse().unwrap(),
        backend_set: SET.to_owned(),
        health_check: HealthCheck::Tcp,
        probe: Vec::new(),
    }
}

/// With the backend set complete, so that tests of routes see only routes.
fn load_balancer(listeners: Value) -> Value {
    json!({
        "ipAddresses": [{"ipAddress": "203.0.113.10"}],
        "backendSets": {
            "app": {"name": "app", "policy": "ROUND_ROBIN", "backends": [], "healthChecker": {"protocol": "TCP", "port": 80}},
            SET: {"name": SET, "policy": "ROUND_ROBIN",
                "backends": [{"name": "10.0.0.4:8080", "ipAddress": "10.0.0.4", "port": 8080}],
                "healthChecker": {"protocol": "TCP", "port": 8080, "retries": 3}}},
        "pathRouteSets": {}, "routingPolicies": {}, "ruleSets": {},
        "listeners": listeners,
    })
}

fn http(extra: Value) -> Value {
    let mut listener = json!({"name": "http", "defaultBackendSetName": "app", "port": 80, "protocol": "HTTP",
        "hostnameNames": ["www"], "connectionConfiguration": {"idleTimeout": 60}});
    listener.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"http": listener})
}

fn objects(load_balancer: &Value) -> Vec<String> {
    observation(load_balancer, &config()).changes.into_iter().map(|change| change.object).collect()
}

fn obstacle(load_balancer: &Value) -> Obstacle {
    observation(load_balancer, &config()).obstacle.expect("an obstacle")
}

fn body(load_balancer: &Value, object: &str) -> Value {
    let change = change(load_balancer, &config(), object).ok().flatten().expect("a change");
    serde_json::from_slice(&change.body.unwrap()).unwrap()
}

fn route(path: &str, kind: &str, set: &str) -> Value {
    json!({"path": path, "pathMatchType": {"matchType": kind}, "backendSetName": set})
}

#[test]
fn an_empty_load_balancer_gets_backend_set_route_and_listener() {
    let empty = json!({"ipAddresses": [{"ipAddress": "203.0.113.10"}]});
    assert_eq!(objects(&empty), [BACKEND_SET, "path route set `certferry_acme`", "listener `http`"]);
    assert_eq!(
        body(&empty, BACKEND_SET),
        json!({"name": SET, "policy": "ROUND_ROBIN", "backends": [{"ipAddress": "10.0.0.4", "port": 8080}],
            "healthChecker": {"protocol": "TCP", "port": 8080}})
    );
    assert_eq!(
        body(&empty, "path route set `certferry_acme`"),
        json!({"name": "certferry_acme", "pathRoutes": [route(CHALLENGE_PATH, "PREFIX_MATCH", SET)]})
    );
    assert_eq!(
        body(&empty, "listener `http`"),
        json!({"name": "http", "defaultBackendSetName": SET, "port": 80, "protocol": "HTTP",
            "pathRouteSetName": "certferry_acme"})
    );
    assert_eq!(observation(&empty, &config()).probe, ["203.0.113.10:80".parse().unwrap()]);
}

#[test]
fn what_is_complete_stays_as_it_is() {
    let mut routed = load_balancer(http(json!({"defaultBackendSetName": SET, "pathRouteSetName": "certferry_acme"})));
    routed["pathRouteSets"]["certferry_acme"] = json!({"pathRoutes": [route(CHALLENGE_PATH, "PREFIX_MATCH", SET)]});
    let mut policy = load_balancer(http(json!({"routingPolicyName": "rp"})));
    policy["routingPolicies"]["rp"] = json!({"rules": [
        {"name": "host", "condition": "any(http.request.headers[(i 'host')][0] eq (i 'x'))", "actions": []},
        {"name": "theirs", "condition": "all(http.request.url.path sw '/.well-known/acme-challenge')",
            "actions": [{"name": "FORWARD_TO_BACKENDSET", "backendSetName": SET}]}]});
    let default = load_balancer(http(json!({"defaultBackendSetName": SET})));
    for complete in [routed, policy, default] {
        let seen = observation(&complete, &config());
        assert_eq!((seen.changes, seen.obstacle), (Vec::new(), None));
        assert!(change(&complete, &config(), "listener `http`").ok().flatten().is_none());
    }
}

#[test]
fn a_bare_listener_gets_a_path_route_set_and_keeps_the_rest() {
    let bare = load_balancer(http(json!({"fromTheFuture": 1, "pathRouteSetName": null, "ruleSetNames": []})));
    assert_eq!(objects(&bare), ["path route set `certferry_acme`", "listener `http`"]);
    assert_eq!(
        body(&bare, "listener `http`"),
        json!({"defaultBackendSetName": "app", "port": 80, "protocol": "HTTP", "hostnameNames": ["www"],
            "connectionConfiguration": {"idleTimeout": 60}, "fromTheFuture": 1, "pathRouteSetName": "certferry_acme"})
    );
}

#[test]
fn an_existing_path_route_set_is_joined_in_front() {
    let ours = |kind| route(CHALLENGE_PATH, kind, SET);
    for (routes, kind) in [
        (vec![route("/", "PREFIX_MATCH", "app")], "PREFIX_MATCH"),
        (
            vec![route("/api", "FORCE_LONGEST_PREFIX_MATCH", "app"), route(".php", "SUFFIX_MATCH", "app")],
            "PREFIX_MATCH",
        ),
        (vec![route("/", "FORCE_LONGEST_PREFIX_MATCH", "app")], "FORCE_LONGEST_PREFIX_MATCH"),
    ] {
        let mut joined = load_balancer(http(json!({"pathRouteSetName": "paths"})));
        joined["pathRouteSets"]["paths"] = json!({"name": "paths", "pathRoutes": routes, "unknown": 1});
        let object = "path route set `paths`";
        assert_eq!(objects(&joined), [object]);
        let body = body(&joined, object);
        let expected: Vec<Value> = [ours(kind)].into_iter().chain(routes).collect();
        assert_eq!(body, json!({"pathRoutes": expected, "unknown": 1}));
        joined["pathRouteSets"]["paths"]["pathRoutes"] = body["pathRoutes"].clone();
        assert_eq!(objects(&joined), Vec::<String>::new(), "the change is enough");
    }
}

#[test]
fn a_route_of_ours_that_never_wins_is_moved_to_the_front() {
    let mut shadowed = load_balancer(http(json!({"pathRouteSetName": "paths"})));
    let (all, ours) = (route("/", "PREFIX_MATCH", "app"), route(CHALLENGE_PATH, "PREFIX_MATCH", SET));
    shadowed["pathRouteSets"]["paths"] = json!({"pathRoutes": [all, ours]});
    assert_eq!(body(&shadowed, "path route set `paths`"), json!({"pathRoutes": [ours, all]}));
}

#[test]
fn an_existing_routing_policy_is_joined_in_front() {
    let mut joined = load_balancer(http(json!({"routingPolicyName": "rp"})));
    let rule = json!({"name": "all", "condition": "any(http.request.url.path sw '/')", "actions": []});
    joined["routingPolicies"]["rp"] = json!({"name": "rp", "conditionLanguageVersion": "V1", "rules": [rule]});
    assert_eq!(objects(&joined), ["routing policy `rp`"]);
    let body = body(&joined, "routing policy `rp`");
    assert_eq!(
        body,
        json!({"conditionLanguageVersion": "V1", "rules": [
            {"name": "certferry_acme", "condition": "any(http.request.url.path sw '/.well-known/acme-challenge/')",
                "actions": [{"name": "FORWARD_TO_BACKENDSET", "backendSetName": SET}]}, rule]})
    );
    joined["routingPolicies"]["rp"]["rules"] = body["rules"].clone();
    assert_eq!(objects(&joined), Vec::<String>::new(), "the change is enough");
}

#[test]
fn a_backend_set_gets_what_it_lacks_and_keeps_the_rest() {
    let mut lacking = load_balancer(http(json!({"pathRouteSetName": "paths"})));
    lacking["pathRouteSets"]["paths"] = json!({"pathRoutes": [route(CHALLENGE_PATH, "PREFIX_MATCH", SET)]});
    lacking["backendSets"][SET]["backends"][0]["port"] = json!(80);
    lacking["backendSets"][SET]["healthChecker"] =
        json!({"protocol": "HTTP", "urlPath": "/", "port": 0, "returnCode": 200, "retries": 5});
    let seen = observation(&lacking, &config());
    assert_eq!(seen.changes.len(), 1, "{seen:?}");
    assert_eq!(
        seen.changes[0].why,
        "backend 10.0.0.4:8080 added; health check TCP on port 8080 instead of HTTP on the backend's port (200 for /)"
    );
    assert_eq!(
        body(&lacking, BACKEND_SET),
        json!({"policy": "ROUND_ROBIN", "backends": [{"ipAddress": "10.0.0.4", "port": 80},
                {"ipAddress": "10.0.0.4", "port": 8080, "weight": 1, "backup": false, "drain": false, "offline": false}],
            "healthChecker": {"protocol": "TCP", "port": 8080, "retries": 5}})
    );
}

#[test]
fn a_health_check_is_changed_only_where_it_differs() {
    for (wanted, current, same) in [
        (HealthCheck::Tcp, json!({"protocol": "TCP", "port": 8080}), true),
        (HealthCheck::Tcp, json!({"protocol": "TCP", "port": 0}), true),
        (HealthCheck::Tcp, json!({"protocol": "TCP"}), true),
        (HealthCheck::Tcp, json!({"protocol": "TCP", "port": 22}), false),
        (HealthCheck::TcpPort(22), json!({"protocol": "TCP", "port": 22}), true),
        (HealthCheck::TcpPort(22), json!({"protocol": "TCP", "port": null}), false),
        (
            HealthCheck::Http,
            json!({"protocol": "HTTP", "port": 8080, "urlPath": CHALLENGE_PATH, "returnCode": 404}),
            true,
        ),
        (HealthCheck::Http, json!({"protocol": "HTTP", "port": 8080, "urlPath": "/", "returnCode": 404}), false),
    ] {
        let mut load_balancer = load_balancer(http(json!({"defaultBackendSetName": SET})));
        load_balancer["backendSets"][SET]["healthChecker"] = current.clone();
        let config = Http01Config { health_check: wanted, ..config() };
        assert_eq!(observation(&load_balancer, &config).changes.is_empty(), same, "{wanted} {current}");
    }
}

#[test]
fn a_redirect_that_catches_the_path_is_an_obstacle() {
    let redirect = |operator: &str, value: &str| {
        json!({"items": [{"action": "REDIRECT", "responseCode": 301,
            "conditions": [{"attributeName": "PATH", "attributeValue": value, "operator": operator}],
            "redirectUri": {"protocol": "HTTPS", "host": "{host}", "port": 443, "path": "/{path}", "query": "{query}"}}]})
    };
    for (operator, value, in_the_way) in [
        ("FORCE_LONGEST_PREFIX_MATCH", "/", true),
        ("PREFIX_MATCH", "/.WELL-KNOWN", true),
        ("PREFIX_MATCH", "/shop", false),
        ("EXACT_MATCH", "/", false),
        ("SUFFIX_MATCH", ".html", false),
    ] {
        let mut redirected = load_balancer(http(json!({"ruleSetNames": ["to_https"]})));
        redirected["ruleSets"]["to_https"] = redirect(operator, value);
        redirected["listeners"]["https"] = json!({"port": 443, "protocol": "HTTP", "sslConfiguration": {}});
        let seen = observation(&redirected, &config());
        assert_eq!(seen.obstacle.is_some(), in_the_way, "{operator} {value}");
        if let Some(obstacle) = seen.obstacle {
            assert_eq!(obstacle.object, "rule set `to_https`");
            assert!(obstacle.what.contains("https://{host}/{path}"), "{obstacle:?}");
            assert!(obstacle.fix.contains("listener `https`") && obstacle.fix.contains(CHALLENGE_PATH), "{obstacle:?}");
            let problem = change(&redirected, &config(), "listener `http`").err().unwrap();
            assert_eq!(problem.kind, ErrorKind::Invalid);
        }
    }
    let mut followed = load_balancer(http(json!({"ruleSetNames": ["to_https"], "defaultBackendSetName": SET})));
    followed["ruleSets"]["to_https"] = redirect("PREFIX_MATCH", "/");
    followed["listeners"]["https"] =
        json!({"port": 443, "protocol": "HTTP", "sslConfiguration": {}, "pathRouteSetName": "paths"});
    followed["pathRouteSets"]["paths"] = json!({"pathRoutes": [route(CHALLENGE_PATH, "PREFIX_MATCH", SET)]});
    assert_eq!(observation(&followed, &config()).obstacle, None);
    followed["ruleSets"]["to_https"]["items"][0]["redirectUri"]["host"] = json!("www.some-domain.com");
    assert!(observation(&followed, &config()).obstacle.is_some(), "a fixed host is not the name to be validated");
}

#[test]
fn a_blocked_listener_does_not_stop_the_backend_set() {
    let mut blocked = load_balancer(http(json!({"protocol": "TCP"})));
    blocked["backendSets"].as_object_mut().unwrap().remove(SET);
    assert_eq!(objects(&blocked), [BACKEND_SET]);
    assert!(obstacle(&blocked).what.contains("protocol is TCP"));
}

#[test]
fn what_belongs_to_others_is_an_obstacle_that_names_it() {
    let foreign_route = || {
        let mut foreign = load_balancer(http(json!({"pathRouteSetName": "paths"})));
        foreign["pathRouteSets"]["paths"] =
            json!({"pathRoutes": [route("/.well-known/acme-challenge", "PREFIX_MATCH", "certbot")]});
        foreign
    };
    let foreign_rule = |name: &str, condition: &str| {
        let mut foreign = load_balancer(http(json!({"routingPolicyName": "rp"})));
        let actions = json!([{"name": "FORWARD_TO_BACKENDSET", "backendSetName": "certbot"}]);
        foreign["routingPolicies"]["rp"] =
            json!({"rules": [{"name": name, "condition": condition, "actions": actions}]});
        foreign
    };
    let app_set = || {
        let mut app = load_balancer(http(json!({"defaultBackendSetName": SET})));
        app["backendSets"][SET]["backends"] = json!([{"ipAddress": "10.0.0.9", "port": 8080}]);
        app
    };
    let with_set = |key: &str, value: Value| {
        let mut load_balancer = load_balancer(http(json!({})));
        load_balancer["backendSets"][SET][key] = value;
        load_balancer
    };
    let methods = || {
        let mut methods = load_balancer(http(json!({"ruleSetNames": ["post"]})));
        methods["ruleSets"]["post"] =
            json!({"items": [{"action": "CONTROL_ACCESS_USING_HTTP_METHODS", "allowedMethods": ["POST"]}]});
        methods
    };
    let challenge = "any(http.request.url.path sw '/.well-known/acme-challenge/')";
    for (load_balancer, object, what) in [
        (foreign_route(), "path route set `paths`", "`certbot`"),
        (foreign_rule("certbot", challenge), "routing policy `rp`", "`certbot`"),
        (foreign_rule("certferry_acme", "any(x)"), "routing policy `rp`", "another condition"),
        (app_set(), BACKEND_SET, "listener `http` uses it too"),
        (with_set("sslConfiguration", json!({"certificateName": "x"})), BACKEND_SET, "speaks TLS"),
        (
            with_set("backends", json!([{"ipAddress": "10.0.0.4", "port": 8080, "offline": true}])),
            BACKEND_SET,
            "offline",
        ),
        (methods(), "rule set `post`", "GET"),
        (load_balancer(json!({"web": {"port": 80}, "b": {"port": 80}})), "listener `http`", "listener `web`, `b`"),
        (load_balancer(http(json!({"port": 8080}))), "listener `http`", "port 8080"),
        (load_balancer(http(json!({"sslConfiguration": {}}))), "listener `http`", "TLS on port 80"),
        (load_balancer(http(json!({"protocol": "TCP"}))), "listener `http`", "protocol is TCP"),
        (load_balancer(http(json!({"routingPolicyName": "rp"}))), "routing policy `rp`", "not there"),
    ] {
        let obstacle = obstacle(&load_balancer);
        assert_eq!(obstacle.object, object, "{obstacle:?}");
        assert!(obstacle.what.contains(what) && !obstacle.fix.is_empty(), "{obstacle:?}");
    }
    let fix = obstacle(&load_balancer(json!({"web": {"port": 80}}))).fix;
    assert!(fix.contains("listener: web"), "{fix}");
}

#[test]
fn our_own_rule_follows_the_backend_set() {
    let mut ours = load_balancer(http(json!({"routingPolicyName": "rp"})));
    ours["routingPolicies"]["rp"] = json!({"rules": [{"name": "certferry_acme",
        "condition": "any(http.request.url.path sw '/.well-known/acme-challenge/')",
        "actions": [{"name": "FORWARD_TO_BACKENDSET", "backendSetName": "before"}]}]});
    let rules = body(&ours, "routing policy `rp`")["rules"].clone();
    assert_eq!(rules.as_array().unwrap().len(), 1);
    assert_eq!(rules[0]["actions"][0]["backendSetName"], SET);
}

#[test]
fn a_configured_probe_replaces_the_addresses() {
    let config = Http01Config { probe: vec!["127.0.0.1:18080".parse().unwrap()], ..config() };
    assert_eq!(observation(&load_balancer(json!({})), &config).probe, config.probe);
}
