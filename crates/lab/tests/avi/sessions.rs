//! Logging in and staying so.

use certferry_lab::avi_controller::{AviLab, AviOptions};
use http::Method;
use jiff::SignedDuration;
use serde_json::json;

use crate::client::Client;

async fn lab() -> AviLab {
    AviLab::start(AviOptions::default()).await.unwrap()
}

const USERS: &str = "/api/user";

#[tokio::test]
async fn a_login_tells_the_version_and_sets_three_cookies() {
    let lab = lab().await;
    let answer = Client::new(&lab).form_login("admin", "lab-admin-password").await;
    let body = answer.ok();
    assert_eq!(
        (&body["version"]["Version"], &body["session_cookie_name"]),
        (&json!("30.2.1"), &json!("avi-sessionid"))
    );
    assert_eq!(body["version"]["min_version"], json!(15.2), "a number, as recorded");
    assert_eq!(body["system_config"]["default_license_tier"], "ENTERPRISE");
    assert_eq!(body["tenants"][0]["name"], "admin");
    assert!(!answer.text.contains("lab-admin-password"));
    let cookies: Vec<&str> =
        answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    let cookie = |name: &str| cookies.iter().find(|cookie| cookie.starts_with(name)).unwrap().to_string();
    assert!(!cookie("csrftoken=").contains("HttpOnly") && cookie("csrftoken=").contains("Secure"));
    assert!(cookie("avi-sessionid=").contains("HttpOnly"));
    let value = |name: &str| cookie(name).split(['=', ';']).nth(1).unwrap().to_owned();
    assert_eq!(value("avi-sessionid="), value("sessionid="));
}

#[tokio::test]
async fn json_and_tokens_log_in_too_and_a_single_use_token_only_once() {
    let lab = lab().await;
    let client = Client::new(&lab);
    let log_in = async |field: &str, secret: &str| {
        client.post("/login", &json!({"username": "admin", field: secret})).await.status.as_u16()
    };
    assert_eq!(log_in("password", "lab-admin-password").await, 200);
    let once = lab.new_token("admin", 0).unwrap();
    assert_eq!((log_in("token", &once).await, log_in("token", &once).await), (200, 401));
    let for_hours = lab.new_token("admin", 2).unwrap();
    assert_eq!((log_in("token", &for_hours).await, log_in("password", &for_hours).await), (200, 200));
    lab.advance_clock(SignedDuration::from_hours(3)).await;
    assert_eq!(log_in("token", &for_hours).await, 401);
}

#[tokio::test]
async fn twenty_wrong_passwords_lock_a_user_for_half_an_hour() {
    let lab = lab().await;
    let client = Client::new(&lab);
    for _ in 0..20 {
        assert_eq!(client.form_login("admin", "wrong").await.refused(401), "Invalid credentials");
    }
    assert!(client.form_login("admin", "lab-admin-password").await.refused(401).contains("locked"));
    lab.advance_clock(SignedDuration::from_mins(31)).await;
    client.form_login("admin", "lab-admin-password").await.ok();
}

#[tokio::test]
async fn writes_need_the_csrf_token_and_a_referer_and_reads_do_not() {
    let lab = lab().await;
    let mut client = Client::admin(&lab).await;
    let token = client.headers.iter().find(|(name, _)| name == "x-csrftoken").unwrap().1.clone();
    for (name, value) in [
        ("x-csrftoken", None),
        ("x-csrftoken", Some("other")),
        ("referer", None),
        ("referer", Some("https://elsewhere.test/")),
    ] {
        match value {
            Some(value) => client.set(name, value),
            None => client.unset(name),
        }
        let answer = client.post("/api/vsvip", &json!({"name": "a"})).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (401, "CSRF token missing or incorrect."));
        assert_eq!(answer.headers["content-type"], "application/json", "although it is none");
        client.get("/api/vsvip").await.ok();
        client.set("x-csrftoken", &token);
        client.set("referer", &lab.url());
    }
    client.post("/api/vsvip", &json!({"name": "a"})).await.ok();
}

#[tokio::test]
async fn cookies_may_be_repeated_and_come_back_with_each_answer() {
    let lab = lab().await;
    let mut client = Client::admin(&lab).await;
    let cookie = client.headers.iter().find(|(name, _)| name == "cookie").unwrap().1.clone();
    client.set("cookie", &format!("{cookie}; {cookie}"));
    let answer = client.get(USERS).await;
    answer.ok();
    let set: Vec<&str> = answer.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert_eq!(set.len(), 2, "{set:?}");
}

#[tokio::test]
async fn sessions_end_by_logout_by_idling_and_by_the_lab() {
    let lab = lab().await;
    let client = Client::admin(&lab).await;
    client.call(Method::POST, "/logout", None).await.ok();
    client.get(USERS).await.refused(401);

    let client = Client::admin(&lab).await;
    for _ in 0..3 {
        lab.advance_clock(SignedDuration::from_mins(14)).await;
        client.get(USERS).await.ok();
    }
    lab.advance_clock(SignedDuration::from_mins(16)).await;
    client.get(USERS).await.refused(401);

    let client = Client::admin(&lab).await;
    lab.set_behaviour(|behaviour| behaviour.ended_session_status = 419);
    lab.end_sessions();
    client.get(USERS).await.refused(419);
}

#[tokio::test]
async fn basic_authentication_is_off_until_it_is_allowed() {
    let lab = lab().await;
    let admin = Client::admin(&lab).await;
    let mut basic = Client::new(&lab);
    basic.set("authorization", "Basic YWRtaW46bGFiLWFkbWluLXBhc3N3b3Jk");
    basic.get(USERS).await.refused(401);
    let allow = json!({"replace": {"portal_configuration": {"allow_basic_authentication": true}}});
    admin.patch("/api/systemconfiguration", &allow).await.ok();
    basic.post("/api/vsvip", &json!({"name": "by-basic"})).await.ok();
    basic.set("authorization", "Basic YWRtaW46d3Jvbmc=");
    basic.get(USERS).await.refused(401);
}

#[tokio::test]
async fn what_the_controller_says_of_itself_needs_no_session() {
    let lab = lab().await;
    let client = Client::new(&lab);
    assert_eq!(client.get("/api/initial-data").await.ok()["version"]["Version"], "30.2.1");
    assert_eq!(client.get("/api/cluster/status").await.ok()["cluster_state"]["state"], "CLUSTER_UP_NO_HA");
    client.get("/api/cluster/version").await.refused(401);
    let admin = Client::admin(&lab).await;
    assert_eq!(admin.get("/api/cluster/version").await.ok()["Version"], "30.2.1");
    assert_eq!(admin.get("/api/useraccount").await.ok()["username"], "admin");
}

#[tokio::test]
async fn versions_outside_the_supported_range_are_refused_and_a_missing_one_is_the_oldest() {
    let lab = lab().await;
    let mut client = Client::admin(&lab).await;
    for wrong in ["31.1.1", "18.2.6", "new"] {
        client.set("x-avi-version", wrong);
        assert!(client.get(USERS).await.refused(400).contains("Invalid version"), "{wrong}");
    }
    client.set("x-avi-version", "22.1.3");
    assert_eq!(client.get(USERS).await.headers["avi_api_version"], "22_1_3");
    client.unset("x-avi-version");
    assert_eq!(client.get(USERS).await.headers["avi_api_version"], "16_4_2");
}
