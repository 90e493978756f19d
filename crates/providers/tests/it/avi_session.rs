//! The session with an Avi controller: logins, cookies, versions, pages, and answers of every kind.

use certferry_core::port::LoadBalancer;
use certferry_core::{BundleName, ErrorKind, Retry};
use certferry_providers::load_balancer::avi::Credential;
use serde_json::json;

use crate::avi_script::{Reply, Script};
use crate::oci_fixture::bundle;

fn session() -> Vec<Reply> {
    vec![Reply::session("22.1.3")]
}

#[tokio::test]
async fn every_call_carries_the_session_the_tenant_and_the_version() {
    let reissued =
        Reply::Answer(200, vec![("set-cookie", "sessionid=session-2; HttpOnly")], r#"{"results": []}"#.into());
    let script = Script::start(session(), vec![reissued]).await;
    script.tenant().observe().await.unwrap();
    let login = &script.seen()[0];
    assert_eq!(login.body, "username=certferry&password=hunter2%26");
    assert_eq!(login.headers["content-type"], "application/x-www-form-urlencoded");
    let calls = script.calls();
    assert_eq!(calls.len(), 4, "{calls:#?}");
    let header = |index: usize, name: &str| calls[index].headers[name].to_str().unwrap().to_owned();
    assert_eq!(header(0, "cookie"), "avi-sessionid=session-1; csrftoken=csrf-1; sessionid=session-1");
    assert_eq!(header(1, "cookie"), "avi-sessionid=session-1; csrftoken=csrf-1; sessionid=session-2");
    for index in 0..calls.len() {
        assert_eq!(header(index, "x-csrftoken"), "csrf-1");
        assert_eq!(header(index, "referer"), format!("{}/", script.base));
        assert_eq!((header(index, "x-avi-tenant"), header(index, "x-avi-version")), ("shop".into(), "22.1.3".into()));
    }
    assert!(calls.iter().all(|call| call.line.contains("page_size=200")), "{calls:#?}");
}

#[tokio::test]
async fn a_token_takes_the_passwords_place() {
    let script = Script::start(session(), Vec::new()).await;
    let tenant = script.tenant_with(|config| config.credential = Credential::Token("t-1".to_owned().into()));
    tenant.observe().await.unwrap();
    assert_eq!(script.seen()[0].body, "username=certferry&token=t-1");
}

#[tokio::test]
async fn a_session_that_has_ended_is_renewed_once() {
    for ended in
        [Reply::Answer(401, Vec::new(), "CSRF token missing or incorrect.".into()), Reply::error(419, "expired")]
    {
        let script = Script::start(session(), vec![ended.clone()]).await;
        script.tenant().observe().await.unwrap();
        assert_eq!((script.logins(), script.calls().len()), (2, 5));

        let script = Script::start(session(), vec![ended.clone(), ended]).await;
        let error = script.tenant().observe().await.unwrap_err();
        assert_eq!((error.kind(), script.logins()), (ErrorKind::Denied, 2), "{error}");
    }
}

#[tokio::test]
async fn a_refused_password_is_tried_once() {
    for status in [401, 403] {
        let script = Script::start(vec![Reply::error(status, "Invalid credentials")], Vec::new()).await;
        let tenant = script.tenant();
        for _ in 0..3 {
            let error = tenant.observe().await.unwrap_err();
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Denied, Retry::Never), "{error}");
            assert!(error.to_string().contains("Invalid credentials") && error.hint().unwrap().contains("`certferry`"));
            assert!(!format!("{error:?}").contains("hunter2"));
        }
        assert_eq!((script.logins(), script.calls().len()), (1, 0), "the controller would lock the user");
    }
}

#[tokio::test]
async fn a_refused_login_is_tried_again_after_its_time() {
    let script = Script::start(vec![Reply::error(401, "no"), Reply::session("22.1.3")], Vec::new()).await;
    let tenant = script.tenant_with(|config| config.limits.refused_login = std::time::Duration::ZERO);
    assert!(tenant.observe().await.is_err());
    tenant.observe().await.unwrap();
}

#[tokio::test]
async fn a_controller_that_is_starting_is_waited_for() {
    let logins =
        vec![Reply::Answer(503, Vec::new(), "<html>starting</html>".into()), Reply::Close, Reply::session("22.1.3")];
    let script = Script::start(logins, Vec::new()).await;
    script.tenant().observe().await.unwrap();
    assert_eq!(script.logins(), 3);
}

#[tokio::test]
async fn the_version_spoken_lies_within_the_known_range() {
    let script = Script::start(vec![Reply::session("31.1.2")], Vec::new()).await;
    script.tenant().observe().await.unwrap();
    assert_eq!(script.calls()[0].headers["x-avi-version"], "30.2.1");

    let script = Script::start(vec![Reply::session("18.2.13")], Vec::new()).await;
    let error = script.tenant().observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotOffered);
    assert!(error.to_string().contains("18.2.13") && error.hint().is_some(), "{error}");
}

#[tokio::test]
async fn a_portal_that_is_no_controller_is_told() {
    for login in [
        Reply::Answer(200, Vec::new(), "<html>Log in to the Wi-Fi</html>".into()),
        Reply::Answer(302, vec![("location", "https://sso.some-domain.com")], String::new()),
    ] {
        let script = Script::start(vec![login], Vec::new()).await;
        let error = script.tenant().observe().await.unwrap_err();
        assert_eq!((error.kind(), script.calls().len()), (ErrorKind::Unexpected, 0), "{error}");
    }
    let script = Script::start(session(), vec![Reply::Answer(200, Vec::new(), "<html>hello</html>".into())]).await;
    let error = script.tenant().observe().await.unwrap_err();
    assert!(error.to_string().contains("<html>hello</html>") && error.kind() == ErrorKind::Unexpected, "{error}");
}

#[tokio::test]
async fn pages_are_read_to_the_end_and_never_elsewhere() {
    let service = |name: &str| json!({"uuid": name, "name": name});
    for end in [Reply::page(&[service("three")], false), Reply::error(404, "That page contains no results")] {
        let first = Reply::page(&[service("one"), service("two")], true);
        let script = Script::start(session(), vec![first, end]).await;
        let seen = script.tenant().observe().await.unwrap();
        assert!(seen.listeners.contains_key("one") && seen.listeners.contains_key("two"));
        let lines: Vec<String> = script.calls().into_iter().map(|call| call.line).take(2).collect();
        assert!(lines[0].ends_with("&page=1") && lines[1].ends_with("&page=2"), "{lines:?}");
    }
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    for passing in [
        Reply::error(403, "Configuration is disallowed during upgrade"),
        Reply::error(429, "slow down"),
        Reply::error(500, "oops"),
        Reply::Answer(502, Vec::new(), "<html>Bad Gateway</html>".into()),
        Reply::Answer(503, vec![("retry-after", "0")], String::new()),
        Reply::Close,
        Reply::Hang,
    ] {
        let script = Script::start(session(), vec![passing.clone(), passing.clone()]).await;
        let outcome = script.tenant().observe().await;
        assert!(outcome.is_ok(), "{passing:?}: {outcome:?}");
        assert_eq!(script.calls().len(), 6, "{passing:?}");
    }
}

#[tokio::test]
async fn what_does_not_pass_names_the_call_the_object_and_the_way_out() {
    for (reply, kind, hint) in [
        (Reply::error(403, "no permission"), ErrorKind::Denied, "PERMISSION_VIRTUALSERVICE with READ_ACCESS"),
        (Reply::error(403, "Tenant 'shop' does not exist!"), ErrorKind::Denied, "tenant `shop`"),
        (Reply::error(404, "nothing here"), ErrorKind::NotFound, "controller"),
        (Reply::error(400, "Invalid version 22.1.3"), ErrorKind::NotOffered, "20.1.3"),
    ] {
        let script = Script::start(session(), vec![reply.clone(), reply.clone()]).await;
        let error = script.tenant().observe().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        let text = error.to_string();
        assert!(text.contains("GET virtualservice") && text.contains("load balancer `edge`"), "{text}");
        assert_eq!(script.calls().len(), 1, "{reply:?}");
    }
    let wait = Reply::Answer(429, vec![("retry-after", "3600")], String::new());
    let script = Script::start(session(), vec![wait]).await;
    let error = script.tenant().observe().await.unwrap_err();
    assert_eq!(error.retry(), Retry::After(std::time::Duration::from_secs(3600)), "{error}");
}

#[tokio::test]
async fn application_profiles_may_be_out_of_sight() {
    let empty = Reply::page(&[], false);
    let script = Script::start(session(), vec![empty.clone(), empty, Reply::error(403, "no permission")]).await;
    script.tenant().observe().await.unwrap();
    assert_eq!(script.calls().len(), 4);
}

#[tokio::test]
async fn a_creation_whose_answer_is_lost_is_looked_for_before_it_is_repeated() {
    let bundle = bundle();
    let object = json!({"uuid": "x", "name": bundle.name.as_str(), "created_by": "certferry",
        "certificate": {"certificate": bundle.chain.pem()}});
    let empty = Reply::page(&[], false);
    for lost in [Reply::Close, Reply::Hang, Reply::error(500, "oops"), Reply::error(409, "x already exists")] {
        let there = Reply::page(std::slice::from_ref(&object), false);
        let replies = vec![empty.clone(), empty.clone(), lost.clone(), there];
        let script = Script::start(session(), replies).await;
        script.tenant().upload(&bundle).await.unwrap();
        let lines: Vec<String> = script.calls().into_iter().map(|call| call.line).collect();
        let posts: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.starts_with("POST")).collect();
        assert_eq!((lines.len(), posts), (5, vec!["POST /api/sslkeyandcertificate"]), "{lost:?}: {lines:?}");
    }
}

#[tokio::test]
async fn a_refusal_of_a_change_quotes_the_controller_and_no_key() {
    let bundle = bundle();
    let key = bundle.private_key.as_ref().unwrap().expose();
    for (reply, kind, hint) in [
        (Reply::error(500, "Import error: no common_name"), ErrorKind::Invalid, "classic"),
        (Reply::error(500, &format!("Bad pb: {{key: {key}}}")), ErrorKind::Invalid, "controller"),
        (Reply::error(403, "no"), ErrorKind::Denied, "PERMISSION_SSLKEYANDCERTIFICATE with WRITE_ACCESS"),
    ] {
        let empty = Reply::page(&[], false);
        let script = Script::start(session(), vec![empty.clone(), empty, reply]).await;
        let error = script.tenant().upload(&bundle).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
        assert!(error.to_string().contains(bundle.name.as_str()), "{error}");
        let secret = key.lines().nth(1).unwrap();
        assert!(!format!("{error:?}").contains(secret) && script.calls()[2].body.contains(secret));
    }
}

#[tokio::test]
async fn a_change_that_does_not_stay_is_not_made_for_ever() {
    let script = Script::start(session(), Vec::new()).await;
    let error = script.tenant().upload(&bundle()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(error.to_string().contains("does not show it"), "{error}");
    let posts = script.calls().into_iter().filter(|call| call.line.starts_with("POST")).count();
    assert_eq!(posts, 3);
}

#[tokio::test]
async fn a_deletion_of_what_somebody_uses_is_a_conflict() {
    let object = json!({"uuid": "x", "name": "cf-www", "created_by": "certferry"});
    for status in [400, 403] {
        let refusal = Reply::error(status, "Cannot delete, object is referred by: ['Pool app']");
        let replies = vec![Reply::page(std::slice::from_ref(&object), false), Reply::page(&[], false), refusal];
        let script = Script::start(session(), replies).await;
        let error = script.tenant().delete(&BundleName::observed("cf-www")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("Pool app"), "{error}");
    }
}
