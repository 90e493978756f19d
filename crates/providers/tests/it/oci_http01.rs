//! The path of http-01 requests, made by the program: shown first, made in order, nothing of others lost.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use certferry_core::ErrorKind;
use certferry_core::observed::Http01Observation;
use certferry_core::port::LoadBalancer;
use certferry_lab::oci_load_balancer::Moment;
use certferry_providers::load_balancer::oci::HealthCheck;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::oci_fixture::{Fixture, http01, usual};

const PATH: &str = "/.well-known/acme-challenge/";

async fn seen(fixture: &Fixture) -> Http01Observation {
    fixture.front.observe().await.unwrap().http01.unwrap()
}

/// Makes what is listed, checks that then nothing is, and gives the objects that were made.
async fn complete(fixture: &Fixture) -> Vec<String> {
    let changes = seen(fixture).await.changes;
    for change in &changes {
        fixture.front.prepare_http01(change).await.unwrap();
    }
    let after = seen(fixture).await;
    assert_eq!((after.changes.as_slice(), after.obstacle), (&[][..], None));
    changes.into_iter().map(|change| change.object).collect()
}

fn with_http_listener(extra: Value) -> Value {
    let mut configuration = usual();
    let mut listener = json!({"name": "http", "defaultBackendSetName": "app", "port": 80, "protocol": "HTTP",
        "connectionConfiguration": {"idleTimeout": 33}, "notInventedYet": 1});
    listener.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    configuration["listeners"]["http"] = listener;
    configuration
}

fn route(path: &str, kind: &str, set: &str) -> Value {
    json!({"path": path, "pathMatchType": {"matchType": kind}, "backendSetName": set})
}

#[tokio::test]
async fn everything_is_made_where_nothing_is() {
    for (health_check, expected) in [
        (HealthCheck::Tcp, json!({"protocol": "TCP", "port": 8080})),
        (HealthCheck::TcpPort(22), json!({"protocol": "TCP", "port": 22})),
        (HealthCheck::Http, json!({"protocol": "HTTP", "port": 8080, "urlPath": PATH, "returnCode": 404})),
    ] {
        let fixture = Fixture::with(usual(), |config| {
            config.http01.as_mut().unwrap().health_check = health_check;
        })
        .await;
        let made = complete(&fixture).await;
        assert_eq!(made, ["backend set `certferry-acme`", "path route set `certferry_acme`", "listener `http`"]);
        let json = fixture.json();
        let checker = &json["backendSets"]["certferry-acme"]["healthChecker"];
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&checker[key], value, "{health_check}: {checker}");
        }
        let listener = &json["listeners"]["http"];
        assert_eq!((&listener["port"], &listener["pathRouteSetName"]), (&json!(80), &json!("certferry_acme")));
        assert_eq!(
            json["pathRouteSets"]["certferry_acme"]["pathRoutes"],
            json!([route(PATH, "PREFIX_MATCH", "certferry-acme")])
        );
        assert_eq!(fixture.calls("UpdateListener").len(), 0);
    }
}

/// The lab's data plane routes as configured, so this is what a CA would get.
#[tokio::test]
async fn a_challenge_arrives_at_the_responder_on_every_way() {
    let with_set = || {
        let mut configuration = with_http_listener(json!({"pathRouteSetName": "paths"}));
        configuration["pathRouteSets"] =
            json!({"paths": {"name": "paths", "pathRoutes": [route("/", "FORCE_LONGEST_PREFIX_MATCH", "app")]}});
        configuration
    };
    for (way, configuration) in [
        ("nothing there", usual()),
        ("bare listener", with_http_listener(json!({}))),
        ("path route set", with_set()),
        ("routing policy", with_http_listener(json!({"routingPolicyName": "rp"}))),
    ] {
        for health_check in [HealthCheck::Tcp, HealthCheck::Http] {
            let responder = responder().await;
            let fixture = Fixture::with(configuration.clone(), |config| {
                let http01 = config.http01.as_mut().unwrap();
                (http01.responder, http01.health_check) = (responder, health_check);
            })
            .await;
            complete(&fixture).await;
            let address = fixture.lab.data_plane_address(&fixture.id, 80).unwrap();
            let answer = fetch(&format!("http://{address}{PATH}token")).await;
            assert_eq!(answer, "token.thumbprint", "{way}, health check {health_check}");
        }
    }
}

/// Answers one token, and 404 for everything else.
async fn responder() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                let length = stream.read(&mut request).await.unwrap_or(0);
                let found = request[..length].starts_with(b"GET /.well-known/acme-challenge/token ");
                let (status, body) =
                    if found { ("200 OK", "token.thumbprint") } else { ("404 Not Found", "no such token") };
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

/// Fetches until the backend is known to be healthy, which takes the load balancer a moment.
async fn fetch(url: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = match client.get(url).send().await {
            Ok(answer) if answer.status() == 200 => return answer.text().await.unwrap(),
            Ok(answer) => answer.status().to_string(),
            Err(error) => error.to_string(),
        };
        assert!(Instant::now() < deadline, "{url}: {answer}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_listener_that_is_there_keeps_what_it_has() {
    let fixture = Fixture::with(with_http_listener(json!({"ruleSetNames": ["hsts"]})), |_| {}).await;
    let before = fixture.json()["listeners"]["http"].clone();
    let made = complete(&fixture).await;
    assert_eq!(made, ["backend set `certferry-acme`", "path route set `certferry_acme`", "listener `http`"]);
    let mut expected = before;
    expected["pathRouteSetName"] = json!("certferry_acme");
    assert_eq!(fixture.json()["listeners"]["http"], expected);
}

#[tokio::test]
async fn a_path_route_set_that_is_there_is_joined() {
    let mut configuration = with_http_listener(json!({"pathRouteSetName": "paths"}));
    let theirs = route("/", "FORCE_LONGEST_PREFIX_MATCH", "app");
    configuration["pathRouteSets"] = json!({"paths": {"name": "paths", "pathRoutes": [theirs], "notInventedYet": 2}});
    let fixture = Fixture::with(configuration, |_| {}).await;
    let made = complete(&fixture).await;
    assert_eq!(made, ["backend set `certferry-acme`", "path route set `paths`"]);
    let set = &fixture.json()["pathRouteSets"]["paths"];
    assert_eq!(set["pathRoutes"], json!([route(PATH, "FORCE_LONGEST_PREFIX_MATCH", "certferry-acme"), theirs]));
    assert_eq!(set["notInventedYet"], 2);
}

#[tokio::test]
async fn a_routing_policy_that_is_there_is_joined_in_front() {
    let fixture = Fixture::with(with_http_listener(json!({"routingPolicyName": "rp"})), |_| {}).await;
    let made = complete(&fixture).await;
    assert_eq!(made, ["backend set `certferry-acme`", "routing policy `rp`"]);
    let json = fixture.json();
    let rules = json["routingPolicies"]["rp"]["rules"].as_array().unwrap();
    let names: Vec<&Value> = rules.iter().map(|rule| &rule["name"]).collect();
    assert_eq!(names, ["certferry_acme", "all"]);
}

#[tokio::test]
async fn a_rule_that_another_writer_adds_meanwhile_stays() {
    let fixture = Fixture::with(with_http_listener(json!({"routingPolicyName": "rp"})), |_| {}).await;
    fixture.lab.edit_on_next("UpdateRoutingPolicy", Moment::Before, &fixture.id, |json| {
        let rules = json["routingPolicies"]["rp"]["rules"].as_array_mut().unwrap();
        rules.push(json!({"name": "theirs", "condition": "any(http.request.url.path sw '/x')",
            "actions": [{"name": "FORWARD_TO_BACKENDSET", "backendSetName": "app"}]}));
    });
    complete(&fixture).await;
    let json = fixture.json();
    assert_eq!(json["routingPolicies"]["rp"]["rules"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn another_responder_is_added_and_the_first_one_stays() {
    let fixture = Fixture::start().await;
    complete(&fixture).await;
    let mut config = fixture.config.clone();
    config.http01.as_mut().unwrap().responder = "127.0.0.2:8080".parse().unwrap();
    let other = crate::oci_fixture::provider(config);
    let changes = other.observe().await.unwrap().http01.unwrap().changes;
    assert_eq!(changes.len(), 1, "{changes:?}");
    other.prepare_http01(&changes[0]).await.unwrap();
    let json = fixture.json();
    assert_eq!(json["backendSets"]["certferry-acme"]["backends"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_redirect_in_the_way_is_shown_and_stops_the_change() {
    let mut configuration = with_http_listener(json!({"ruleSetNames": ["to_https"]}));
    configuration["ruleSets"]["to_https"] = json!({"name": "to_https", "items": [{"action": "REDIRECT",
        "responseCode": 301,
        "conditions": [{"attributeName": "PATH", "attributeValue": "/", "operator": "FORCE_LONGEST_PREFIX_MATCH"}],
        "redirectUri": {"protocol": "HTTPS", "host": "{host}", "port": 443, "path": "/{path}", "query": "{query}"}}]});
    let fixture = Fixture::with(configuration, |_| {}).await;
    let observed = seen(&fixture).await;
    let obstacle = observed.obstacle.unwrap();
    assert_eq!(obstacle.object, "rule set `to_https`");
    assert!(obstacle.fix.contains("listener `https`"), "{obstacle:?}");
    let listener = certferry_core::observed::Http01Change { object: "listener `http`".to_owned(), why: String::new() };
    let error = fixture.front.prepare_http01(&listener).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("rule set `to_https` of load balancer `front`"), "{error}");
    assert_eq!(fixture.calls("UpdateListener").len(), 0);
}

#[tokio::test]
async fn the_addresses_to_probe_are_those_of_port_80() {
    let fixture = Fixture::start().await;
    assert_eq!(seen(&fixture).await.probe, ["127.0.0.1:80".parse().unwrap()]);
    let probe = vec!["127.0.0.1:18080".parse().unwrap()];
    let config = certferry_providers::load_balancer::oci::Http01Config { probe: probe.clone(), ..http01() };
    let fixture = Fixture::with(usual(), |oci| oci.http01 = Some(config)).await;
    assert_eq!(seen(&fixture).await.probe, probe);
}

#[tokio::test]
async fn without_http01_in_the_config_nothing_is_made() {
    let fixture = Fixture::with(usual(), |config| config.http01 = None).await;
    assert!(fixture.front.observe().await.unwrap().http01.is_none());
    let change = certferry_core::observed::Http01Change { object: "listener `http`".to_owned(), why: String::new() };
    let error = fixture.front.prepare_http01(&change).await.unwrap_err();
    assert!(error.hint().unwrap().contains("http01:"), "{error}");
}
