//! What an Avi controller says about the user's own rights, the CA's requests, and expiry: asked for, and nothing changed.

use std::net::SocketAddr;
use std::time::Duration;

use certferry_core::ErrorKind;
use certferry_core::port::{LoadBalancer, Probe};
use certferry_lab::avi_controller::{Effect, Fault};
use certferry_providers::load_balancer::avi::{
    AviTenant, Http01Config, MissingPermission, Port80, RequestLogQuery, ValidationRequest, role,
};
use certferry_providers::probe::NetworkProbe;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::avi_fixture::{Fixture, NAME, VIP, challenge, tenant};
use crate::avi_script::{Reply, Script};

/// Every type of object that a probe of a right may touch.
const TYPES: [&str; 9] = [
    "applicationprofile",
    "cloud",
    "httppolicyset",
    "networkprofile",
    "serviceenginegroup",
    "sslkeyandcertificate",
    "virtualservice",
    "vrfcontext",
    "vsvip",
];

/// As it stands, times of change included.
fn everything(fixture: &Fixture) -> Vec<Vec<Value>> {
    TYPES.iter().map(|kind| fixture.lab.objects(kind).unwrap()).collect()
}

/// The rights of the role that the config needs, as `resource` and `type`.
fn rights(fixture: &Fixture) -> Vec<(String, String)> {
    let word = |right: &Value, key: &str| right[key].as_str().unwrap().to_owned();
    let role = role(&fixture.config);
    role["privileges"].as_array().unwrap().iter().map(|one| (word(one, "resource"), word(one, "type"))).collect()
}

/// Those of them without which something is refused.
fn needed(fixture: &Fixture) -> Vec<(String, String)> {
    let mut rights = rights(fixture);
    rights.retain(|(resource, _)| resource != "PERMISSION_CONTROLLER");
    rights
}

fn give(fixture: &Fixture, rights: &[(String, String)]) {
    let privileges: Vec<Value> =
        rights.iter().map(|(resource, kind)| json!({"resource": resource, "type": kind})).collect();
    fixture.lab.edit("role", "certferry", move |role| role["privileges"] = json!(privileges)).unwrap();
}

fn named(missing: &[MissingPermission]) -> Vec<(String, String)> {
    missing.iter().map(|one| (one.resource.to_owned(), one.access.to_owned())).collect()
}

#[tokio::test]
async fn the_role_that_the_policy_prints_lacks_nothing_and_asking_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("token")).await.unwrap();
    let (before, events, calls) = (everything(&fixture), fixture.lab.events().len(), fixture.lab.requests().len());
    assert_eq!(fixture.edge.missing_permissions().await.unwrap(), []);
    fixture.edge.check_rights().await.unwrap();
    assert_eq!(everything(&fixture), before);
    assert_eq!(fixture.lab.events().len(), events);
    for call in &fixture.lab.requests()[calls..] {
        let of_nobody =
            call.object.as_ref().is_some_and(|uuid| uuid.ends_with("-00000000-0000-0000-0000-000000000000"));
        assert!(call.method == "GET" || (call.method == "DELETE" && of_nobody), "{call:?}");
        assert!(call.method == "GET" || call.status == Some(404), "{call:?}");
    }
}

#[tokio::test]
async fn each_right_that_is_missing_is_named() {
    let fixture = Fixture::start().await;
    let all = needed(&fixture);
    for missing in &all {
        give(&fixture, &all.iter().filter(|right| *right != missing).cloned().collect::<Vec<_>>());
        let found = fixture.edge.missing_permissions().await.unwrap();
        assert_eq!(named(&found), std::slice::from_ref(missing));
        assert!(found[0].said.starts_with("403: User does not have permission to read"), "{found:?}");
    }
}

#[tokio::test]
async fn a_right_that_is_only_to_read_is_named_where_certferry_writes() {
    let fixture = Fixture::start().await;
    let all = needed(&fixture);
    let written: Vec<_> = all.iter().filter(|(_, kind)| kind == "WRITE_ACCESS").cloned().collect();
    assert_eq!(written.len(), 3, "{written:?}");
    for read_only in &written {
        let read = |right: &(String, String)| match right == read_only {
            true => (right.0.clone(), "READ_ACCESS".to_owned()),
            false => right.clone(),
        };
        give(&fixture, &all.iter().map(read).collect::<Vec<_>>());
        let before = everything(&fixture);
        let found = fixture.edge.missing_permissions().await.unwrap();
        assert_eq!(named(&found), std::slice::from_ref(read_only));
        assert!(found[0].said.starts_with("403: User does not have permission to write"), "{found:?}");
        assert_eq!(everything(&fixture), before);
    }
}

#[tokio::test]
async fn one_error_names_all_that_is_missing_and_the_fix() {
    let fixture = Fixture::start().await;
    let all = needed(&fixture);
    give(&fixture, &all[..1]);
    let error = fixture.edge.check_rights().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let text = error.to_string();
    assert!(text.contains("the role of user `certferry` in tenant `admin` of load balancer `edge`"), "{text}");
    for (resource, kind) in &all[1..] {
        assert!(text.contains(&format!("({resource} with {kind})")), "{text}");
    }
    assert!(text.contains("Templates > HTTP Policy Sets") && !text.contains(&all[0].0), "{text}");
    assert!(error.hint().unwrap().contains("`certferry policy edge`"), "{:?}", error.hint());
}

#[tokio::test]
async fn only_the_rights_that_the_config_needs_are_asked_for() {
    let fixture = Fixture::with(|config| config.http01 = None).await;
    assert_eq!(fixture.edge.missing_permissions().await.unwrap(), []);
    assert_eq!(fixture.lab.count("GET httppolicyset") + fixture.lab.count("DELETE httppolicyset"), 0);
}

#[tokio::test]
async fn a_refusal_that_is_not_about_rights_is_no_missing_right() {
    let fixture = Fixture::with(|config| config.limits.retry = Duration::from_millis(200)).await;
    fixture.lab.set_behaviour(|behaviour| behaviour.upgrading = true);
    let error = fixture.edge.missing_permissions().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("during upgrade"), "{error}");
    fixture.lab.set_behaviour(|behaviour| behaviour.upgrading = false);

    fixture.lab.create("admin", "tenant", json!({"name": "not-ours"})).unwrap();
    for other in ["not-ours", "not-there"] {
        let mut config = fixture.config.clone();
        config.tenant = other.to_owned();
        for error in [
            tenant(&config).missing_permissions().await.unwrap_err(),
            tenant(&config).check_rights().await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
            assert!(error.hint().unwrap().contains(&format!("tenant `{other}`")), "{error}: {:?}", error.hint());
        }
    }
}

#[tokio::test]
async fn what_passes_does_not_keep_rights_from_being_found() {
    let fixture = Fixture::with(|config| config.limits.request = Duration::from_millis(600)).await;
    for operation in ["GET virtualservice", "DELETE httppolicyset"] {
        for effect in [
            Effect::answer(403, "Configuration is disallowed during upgrade"),
            Effect::answer(429, "slow down"),
            Effect::HtmlPage { status: 503, body: "<html>Service Unavailable</html>".to_owned() },
            Effect::SessionEnds,
            Effect::CloseBefore,
            Effect::CloseAfter,
            Effect::Hang,
        ] {
            fixture.lab.add_fault(Fault::new(operation, effect.clone()));
            let found = fixture.edge.missing_permissions().await;
            assert!(matches!(&found, Ok(missing) if missing.is_empty()), "{operation} {effect:?}: {found:?}");
            assert_eq!(fixture.lab.pending_faults(), 0, "{operation} {effect:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_of_the_call_itself_shows_the_right_to_make_it() {
    for status in [400, 404, 405, 409, 412] {
        let replies = vec![Reply::page(&[], false), Reply::error(status, "no")];
        let script = Script::start(vec![Reply::session("22.1.3")], replies).await;
        assert_eq!(script.tenant().missing_permissions().await.unwrap(), [], "{status}");
    }
    // A list that is answered so has not been read.
    for (status, kind) in [(400, ErrorKind::Invalid), (404, ErrorKind::NotFound), (405, ErrorKind::NotOffered)] {
        let script = Script::start(vec![Reply::session("22.1.3")], vec![Reply::error(status, "no")]).await;
        assert_eq!(script.tenant().missing_permissions().await.unwrap_err().kind(), kind, "{status}");
    }
}

#[tokio::test]
async fn an_object_that_somebody_made_with_a_uuid_of_zeros_is_left_alone() {
    let uuid = "sslkeyandcertificate-00000000-0000-0000-0000-000000000000";
    let page = Reply::page(&[json!({"uuid": uuid, "name": "odd"})], false);
    let script = Script::start(vec![Reply::session("22.1.3")], vec![page]).await;
    let error = script.tenant().missing_permissions().await.unwrap_err();
    assert!(error.to_string().contains(uuid) && error.hint().is_some(), "{error}");
    let lines: Vec<String> = script.calls().into_iter().map(|call| call.line).collect();
    assert!(lines.len() == 1 && lines[0].contains(&format!("uuid={uuid}")), "{lines:?}");
}

fn asked(limit: usize) -> RequestLogQuery {
    RequestLogQuery { virtual_services: Vec::new(), within: Duration::from_secs(600), host: None, token: None, limit }
}

fn port_80_of(fixture: &Fixture) -> SocketAddr {
    fixture.lab.data_plane_address(VIP.parse().unwrap(), 80).unwrap()
}

fn log_everything(fixture: &Fixture, virtual_service: &str) {
    fixture
        .lab
        .edit("virtualservice", virtual_service, |service| {
            service["analytics_policy"]["full_client_logs"]["enabled"] = json!(true);
        })
        .unwrap();
}

async fn fetch(fixture: &Fixture, token: &str) -> u16 {
    NetworkProbe::new().http01(port_80_of(fixture), &NAME.parse().unwrap(), token).await.unwrap().status
}

/// One request with headers that no client library sends.
async fn fetch_as(fixture: &Fixture, path: &str, user_agent: &[u8]) {
    let mut stream = TcpStream::connect(port_80_of(fixture)).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {NAME}:80\r\nConnection: close\r\nUser-Agent: ");
    stream.write_all(&[head.as_bytes(), user_agent, b"\r\n\r\n"].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
}

async fn sibling() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("Tok-1")).await.unwrap();
    log_everything(&fixture, SIBLING);
    fixture
}

fn answered(requests: &[ValidationRequest]) -> Vec<(&str, &str, u16, Option<&str>)> {
    requests
        .iter()
        .map(|one| {
            let token = one.path.strip_prefix("/.well-known/acme-challenge/").unwrap();
            (one.virtual_service.as_str(), token, one.status, one.rule.as_deref())
        })
        .collect()
}

#[tokio::test]
async fn the_logs_show_the_hit_and_the_miss_and_nothing_else() {
    let fixture = sibling().await;
    assert_eq!(fetch(&fixture, "Tok-1").await, 200);
    let missed = fetch(&fixture, "Tok-2").await;
    fetch_as(&fixture, "/shop?acme-challenge", b"curl").await;
    let found = fixture.edge.validation_requests(&asked(10)).await.unwrap();
    assert_eq!(answered(&found), [(SIBLING, "Tok-2", missed, None), (SIBLING, "Tok-1", 200, Some("Tok-1"))]);
    assert_eq!([found[0].significant, found[1].significant], [Some(true), Some(false)]);
    let seen = fixture.lab.requests_to(SIBLING).unwrap();
    assert_eq!((seen.len(), seen[0].at, seen[1].at), (3, found[1].at, found[0].at));
    for request in &found {
        assert_eq!((request.client.as_str(), request.host.as_str()), ("127.0.0.1", NAME));
    }
}

#[tokio::test]
async fn a_query_is_for_a_token_a_name_a_time_and_a_number() {
    let fixture = sibling().await;
    for token in ["Tok-1", "tok-1", "Tok-1"] {
        fetch(&fixture, token).await;
    }
    let count = async |query: RequestLogQuery| fixture.edge.validation_requests(&query).await.unwrap().len();
    let token = |token: &str| Some(token.to_owned());
    let host = |host: &str| Some(host.parse().unwrap());
    assert_eq!(count(asked(10)).await, 3);
    assert_eq!(count(asked(1)).await, 1);
    assert_eq!(count(asked(0)).await, 0);
    assert_eq!(count(RequestLogQuery { token: token("Tok-1"), ..asked(10) }).await, 2);
    assert_eq!(count(RequestLogQuery { token: token("Tok-1)&x=("), ..asked(10) }).await, 0);
    assert_eq!(count(RequestLogQuery { host: host(NAME), ..asked(10) }).await, 3);
    assert_eq!(count(RequestLogQuery { host: host("other.some-domain.com"), ..asked(10) }).await, 0);
    for (listener, expected) in [(SIBLING, 3), ("shop-443", 0)] {
        let virtual_services = vec![listener.parse().unwrap()];
        assert_eq!(count(RequestLogQuery { virtual_services, ..asked(10) }).await, expected, "{listener}");
    }
    fixture.lab.advance_clock(SignedDuration::from_mins(11)).await;
    assert_eq!(count(asked(10)).await, 0);
    assert_eq!(count(RequestLogQuery { within: Duration::from_secs(1200), ..asked(10) }).await, 3);
    assert_eq!(count(RequestLogQuery { within: Duration::MAX, ..asked(10) }).await, 3);
}

#[tokio::test]
async fn what_a_rule_answers_is_logged_and_what_none_answers_too() {
    let fixture = Fixture::start().await;
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("Tok-1")).await.unwrap();
    fetch(&fixture, "Tok-1").await;
    let missed = fetch(&fixture, "Tok-2").await;
    let found = fixture.edge.validation_requests(&asked(10)).await.unwrap();
    assert_eq!(
        answered(&found),
        [(SIBLING, "Tok-2", missed, None), (SIBLING, "Tok-1", 200, Some("Tok-1"))],
        "without full client logs too"
    );
}

#[tokio::test]
async fn whoever_has_port_80_is_looked_at_too() {
    let fixture = Fixture::with(|config| {
        let http01 = config.http01.as_mut().unwrap();
        (http01.port_80, http01.keep) = (Port80::Require, false);
    })
    .await;
    let vip = fixture.lab.objects("vsvip").unwrap()[0]["uuid"].as_str().unwrap().to_owned();
    let landing = json!({"name": "shop-80", "vsvip_ref": format!("/api/vsvip/{vip}"), "services": [{"port": 80}],
        "application_profile_ref": "/api/applicationprofile?name=System-HTTP",
        "analytics_policy": {"full_client_logs": {"enabled": true}}});
    fixture.lab.create("admin", "virtualservice", landing).unwrap();
    fixture.edge.present(&NAME.parse().unwrap(), &challenge("Tok-1")).await.unwrap();
    fetch(&fixture, "Tok-1").await;
    let found = fixture.edge.validation_requests(&asked(10)).await.unwrap();
    assert_eq!(answered(&found), [("shop-80", "Tok-1", 200, Some("Tok-1"))]);
}

#[tokio::test]
async fn a_hostile_request_does_nothing_to_the_line_that_shows_it() {
    let fixture = sibling().await;
    let right_to_left = "\u{202e}";
    let agent = format!("evil`\t{right_to_left}, rule `Tok-1{}", "x".repeat(5_000));
    fetch_as(&fixture, "/.well-known/acme-challenge/Tok-1?%1b[2J", agent.as_bytes()).await;
    let logged = fixture.lab.requests_to(SIBLING).unwrap().remove(0).user_agent;
    assert!(logged.contains(right_to_left) && logged.len() > 5_000, "the log itself holds it: {logged:?}");
    let query = RequestLogQuery { host: Some(NAME.parse().unwrap()), ..asked(10) };
    let found = fixture.edge.validation_requests(&query).await.unwrap();
    let (line, shown) = (found[0].to_string(), found[0].user_agent.as_deref().unwrap());
    assert!(shown.starts_with("evil', rule 'Tok-1xxx") && shown.ends_with('…'), "{shown:?}");
    assert!(!line.contains(right_to_left) && !line.contains('\t') && line.len() < 600, "{line:?}");
    assert_eq!(line.matches('`').count(), 10, "{line:?}");
}

#[tokio::test]
async fn a_virtual_service_that_is_not_there_is_told() {
    let fixture = Fixture::start().await;
    let query = RequestLogQuery { virtual_services: vec!["nobody".parse().unwrap()], ..asked(10) };
    let error = fixture.edge.validation_requests(&query).await.unwrap_err();
    assert!(error.to_string().contains("virtual service `nobody`") && error.hint().is_some(), "{error}");

    let fixture = Fixture::with(|config| config.http01 = None).await;
    let error = fixture.edge.validation_requests(&asked(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[tokio::test]
async fn a_search_system_that_is_down_is_waited_for_within_the_limit() {
    let down = || Effect::answer(400, "Search system is down");
    let fixture = sibling().await;
    fetch(&fixture, "Tok-1").await;
    fixture.lab.add_fault(Fault::new("GET analytics/logs", down()).times(3));
    assert_eq!(fixture.edge.validation_requests(&asked(10)).await.unwrap().len(), 1);
    assert_eq!(fixture.lab.pending_faults(), 0);

    let mut config = fixture.config.clone();
    config.limits.retry = Duration::from_millis(200);
    fixture.lab.add_fault(Fault::new("GET analytics/logs", down()).always());
    let error = tenant(&config).validation_requests(&asked(10)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("Search system is down") && error.hint().is_some(), "{error}");
}

/// A controller with one virtual service, and what it answers about its log.
async fn logs(mut answers: Vec<Reply>) -> (Script, AviTenant) {
    let services = Reply::page(&[json!({"uuid": "virtualservice-1", "name": "shop-80"})], false);
    answers.splice(0..0, [services, Reply::page(&[], false)]);
    let script = Script::start(vec![Reply::session("22.1.3")], answers).await;
    let tenant = script.tenant_with(|config| {
        config.http01 = Some(Http01Config {
            names: Default::default(),
            otherwise: vec!["shop-80".parse().unwrap()],
            port_80: Port80::Require,
            keep: false,
            probe: Vec::new(),
        });
    });
    (script, tenant)
}

fn entry(number: u32) -> Value {
    json!({"report_timestamp": 1_767_323_045 + number, "uri_path": format!("/.well-known/acme-challenge/{number}"),
        "response_code": 200})
}

fn tokens(requests: &[ValidationRequest]) -> Vec<u32> {
    requests.iter().map(|one| one.path.rsplit('/').next().unwrap().parse().unwrap()).collect()
}

/// The calls about the log, without the host.
fn lines(script: &Script) -> Vec<String> {
    script.calls().into_iter().map(|call| call.line).filter(|line| line.contains("analytics")).collect()
}

#[tokio::test]
async fn parts_of_an_answer_are_put_together_once() {
    // Later parts with and without what the earlier ones held.
    for second in [vec![entry(1), entry(3), entry(2)], vec![entry(3), entry(2)]] {
        let more = "/api/analytics/logs?query_id=9";
        let part = json!({"count": 1, "results": [entry(1)], "percent_remaining": 40.5, "more": more});
        let last = json!({"count": 3, "results": second, "percent_remaining": 0.0, "more": null});
        let (script, tenant) = logs(vec![Reply::json(200, &part), Reply::json(200, &last)]).await;
        assert_eq!(tokens(&tenant.validation_requests(&asked(10)).await.unwrap()), [3, 2, 1], "newest first");
        let lines = lines(&script);
        assert_eq!((lines.len(), lines[1].as_str()), (2, "GET /api/analytics/logs?query_id=9"));
    }
}

#[tokio::test]
async fn the_rest_of_an_answer_is_asked_for_at_the_controller_only() {
    for more in [
        "https://elsewhere.some-domain.com/api/analytics/logs?query_id=9",
        "//elsewhere.some-domain.com/api/analytics/logs",
        "http://127.0.0.1:1/api/analytics/logs",
        "/api/sslkeyandcertificate?export_key=true",
        "http://",
    ] {
        let part = json!({"results": [entry(1)], "percent_remaining": 40, "more": more});
        let (script, tenant) = logs(vec![Reply::json(200, &part)]).await;
        assert_eq!(tokens(&tenant.validation_requests(&asked(10)).await.unwrap()), [1], "{more}");
        assert_eq!((lines(&script).len(), script.calls().len()), (1, 3), "{more}");
    }
}

#[tokio::test]
async fn an_answer_without_an_end_is_given_up() {
    let part = Reply::json(200, &json!({"results": [entry(1)], "more": "/api/analytics/logs?query_id=9"}));
    let (script, tenant) = logs(vec![part; 200]).await;
    assert_eq!(tokens(&tenant.validation_requests(&asked(10)).await.unwrap()), [1]);
    assert!(lines(&script).len() <= 50, "{}", lines(&script).len());
}

#[tokio::test]
async fn pages_are_read_until_there_is_enough() {
    let page = |from: u32, count: u32| {
        let entries: Vec<Value> = (0..count).map(|number| entry(from - number)).collect();
        Reply::json(200, &json!({"results": entries}))
    };
    // One that came meanwhile pushed number 501 onto the second page.
    let pages = || vec![page(1000, 500), page(501, 20)];
    let (script, tenant) = logs(pages()).await;
    let found = tenant.validation_requests(&asked(1000)).await.unwrap();
    assert_eq!(tokens(&found), (482..=1000).rev().collect::<Vec<u32>>());
    let lines_read = lines(&script);
    assert!(lines_read.len() == 2 && lines_read[1].ends_with("&page=2"), "{lines_read:?}");
    for part in ["type=1", "virtualservice=virtualservice-1", "adf=true", "udf=true", "nf=true", "duration=600"] {
        assert!(lines_read[0].contains(part), "{part} in {lines_read:?}");
    }

    let (script, tenant) = logs(pages()).await;
    assert_eq!(tokens(&tenant.validation_requests(&asked(2)).await.unwrap()), [1000, 999]);
    assert_eq!(lines(&script).len(), 1);

    // A log that repeats itself, or that has no end, is left.
    let (script, tenant) = logs(vec![page(1000, 500); 3]).await;
    assert_eq!(tenant.validation_requests(&asked(1000)).await.unwrap().len(), 500);
    assert_eq!(lines(&script).len(), 2);
    let (script, tenant) = logs((0..30).map(|number| page(100_000 - 500 * number, 500)).collect()).await;
    assert_eq!(tenant.validation_requests(&asked(usize::MAX)).await.unwrap().len(), 10_000);
    assert_eq!(lines(&script).len(), 20);
}

#[tokio::test]
async fn answers_of_every_kind_about_a_log_have_a_meaning() {
    for (answer, kind, part) in [
        (Reply::error(403, "no permission"), ErrorKind::Denied, "no permission"),
        (Reply::error(400, "Invalid filter"), ErrorKind::Invalid, "Invalid filter"),
        (Reply::Answer(200, Vec::new(), "<html>hello</html>".into()), ErrorKind::Unexpected, "<html>hello</html>"),
        (Reply::json(200, &json!({"results": {"1": 2}})), ErrorKind::Unexpected, "results"),
    ] {
        let (_script, tenant) = logs(vec![answer]).await;
        let error = tenant.validation_requests(&asked(10)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        let text = error.to_string();
        assert!(text.contains(part) && text.contains("virtual service `shop-80` of load balancer `edge`"), "{text}");
        assert!(error.hint().is_some(), "{text}");
    }
    // Gone between the list and the log; down with a status that says otherwise.
    let entries = Reply::json(200, &json!({"results": [entry(1), "odd", {"uri_path": 7}]}));
    let down = Reply::json(200, &json!({"Error": "Search system is down"}));
    for (answers, count) in [
        (vec![Reply::error(404, "VirtualService object not found!")], 0),
        (vec![down.clone(), down, Reply::error(500, "Search system is down"), Reply::Close, entries], 1),
    ] {
        let (script, tenant) = logs(answers.clone()).await;
        assert_eq!(tenant.validation_requests(&asked(10)).await.unwrap().len(), count);
        assert_eq!(lines(&script).len(), answers.len());
    }
}

#[tokio::test]
async fn warning_days_are_read_where_the_user_may() {
    let fixture = Fixture::start().await;
    give(&fixture, &needed(&fixture));
    assert_eq!(fixture.edge.warning_days().await.unwrap(), None, "this right may be left out");
    give(&fixture, &rights(&fixture));
    assert_eq!(fixture.edge.warning_days().await.unwrap(), Some(vec![30, 7, 1]));
    fixture
        .lab
        .edit("controllerproperties", "global", |properties| {
            properties["ssl_certificate_expiry_warning_days"] = json!([1, 60, 30, 60]);
        })
        .unwrap();
    assert_eq!(fixture.edge.warning_days().await.unwrap(), Some(vec![60, 30, 1]));

    fixture.lab.add_fault(Fault::new("GET controllerproperties", Effect::answer(503, "starting")).times(2));
    assert_eq!(fixture.edge.warning_days().await.unwrap(), Some(vec![60, 30, 1]));
    fixture.lab.add_fault(Fault::new("GET controllerproperties", Effect::answer(404, "nothing here")));
    let error = fixture.edge.warning_days().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

/// As `http01` names it.
const SIBLING: &str = "shop-443-certferry-acme";
