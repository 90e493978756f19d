use certferry_lab::oci_load_balancer::{ApiKey, KeyLabel};
use serde_json::json;

use crate::{
    client::{Client, sha256},
    world::World,
};

#[tokio::test]
async fn a_signed_request_is_answered_whatever_the_order_of_its_headers() {
    let world = World::new().await;
    let target = world.path("?x=a+b%2Fc");
    let mut draft = world.client.draft("GET", &target, None);
    world.client.sign_these(&mut draft, &["(request-target)", "host", "date"]);
    assert_eq!(world.client.send(draft).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_request_that_was_changed_after_signing_is_refused() {
    let world = World::new().await;
    let body = json!({ "hostname": "new.some-domain.com" });
    type Spoil = fn(&mut crate::client::Draft);
    let cases: &[(&str, Spoil)] = &[
        ("target", |draft| draft.target.push_str("?x=1")),
        ("method", |draft| draft.method = http::Method::POST),
        ("date", |draft| draft.set("date", &httpdate::fmt_http_date(later(60)))),
        ("body", |draft| draft.body[2] = b'x'),
        ("body and digest", |draft| {
            draft.body[2] = b'x';
            let digest = sha256(&draft.body);
            draft.set("x-content-sha256", &digest);
        }),
        ("content type", |draft| draft.set("content-type", "text/plain")),
        ("no authorization", |draft| draft.headers.retain(|(name, _)| name != "authorization")),
        ("version", |draft| replace(draft, "version=\"1\"", "version=\"2\"")),
        ("algorithm", |draft| replace(draft, "rsa-sha256", "hmac-sha256")),
        ("key", |draft| replace(draft, "keyId=\"ocid1", "keyId=\"ocid2")),
    ];
    for (what, spoil) in cases {
        let mut draft = world.client.draft("PUT", &world.path("/hostnames/www"), Some(&body));
        world.client.sign(&mut draft);
        spoil(&mut draft);
        let answer = world.client.send(draft).await.unwrap();
        assert_eq!(answer.status, 401, "{what}");
        answer.refused(401, "NotAuthenticated", "authentication");
    }
    let refusals = world.lab.requests();
    assert!(refusals.iter().all(|record| record.reason.is_some()), "{refusals:?}");
    assert!(world.lab.work_requests().is_empty());
}

#[tokio::test]
async fn too_few_signed_headers_are_refused() {
    let world = World::new().await;
    let mut draft = world.client.draft("GET", &world.path(""), None);
    world.client.sign_these(&mut draft, &["date", "(request-target)"]);
    world.client.send(draft).await.unwrap().refused(401, "NotAuthenticated", "");

    let body = json!({ "hostname": "new.some-domain.com" });
    let mut draft = world.client.draft("PUT", &world.path("/hostnames/www"), Some(&body));
    world.client.sign_these(&mut draft, &["date", "(request-target)", "host"]);
    world.client.send(draft).await.unwrap().refused(401, "NotAuthenticated", "");
    let reason = world.lab.requests()[1].reason.clone().unwrap();
    assert_eq!(reason, "not signed: content-length, content-type, x-content-sha256");
}

#[tokio::test]
async fn another_host_is_refused() {
    let world = World::new().await;
    let mut draft = world.client.draft("GET", &world.path(""), None);
    draft.set("host", "iaas.us-ashburn-1.oraclecloud.com");
    world.client.sign(&mut draft);
    world.client.send(draft).await.unwrap().refused(401, "NotAuthenticated", "");
}

#[tokio::test]
async fn a_date_outside_five_minutes_is_refused_with_the_valid_range() {
    let world = World::new().await;
    for (seconds, accepted) in [(-320, false), (-280, true), (280, true), (320, false)] {
        let mut draft = world.client.draft("GET", &world.path(""), None);
        draft.set("date", &httpdate::fmt_http_date(later(seconds)));
        world.client.sign(&mut draft);
        let answer = world.client.send(draft).await.unwrap();
        if accepted {
            assert_eq!(answer.status, 200, "{seconds}");
        } else {
            answer.refused(401, "NotAuthenticated", "is not within allowed clock skew. Current '");
        }
    }
    world.lab.set_behaviour(|behaviour| behaviour.clock_offset_seconds = 3600);
    let answer = world.client.get(&world.path("")).await;
    answer.refused(401, "NotAuthenticated", "is not within allowed clock skew");
}

#[tokio::test]
async fn an_unregistered_or_revoked_key_is_refused() {
    let world = World::new().await;
    let stranger = Client::with_key(&world.lab, &ApiKey::generate().unwrap());
    stranger.get(&world.path("")).await.refused(401, "NotAuthenticated", "");
    world.lab.revoke_key(&world.client.key_id);
    world.client.get(&world.path("")).await.refused(401, "NotAuthenticated", "");
}

#[tokio::test]
async fn a_session_token_is_a_key_id_too() {
    let world = World::new().await;
    let key = ApiKey::generate().unwrap();
    world.lab.register_key("ST$some.jwt", key.public_key_der());
    let mut client = Client::with_key(&world.lab, &key);
    client.key_id = "ST$some.jwt".into();
    assert_eq!(client.get(&world.path("")).await.status, 200);
}

#[test]
fn the_config_folder_is_private_and_complete() {
    use std::os::unix::fs::PermissionsExt;
    let folder = std::env::temp_dir().join(format!("certferry-lab-oci-{}", std::process::id()));
    let key = ApiKey::generate().unwrap();
    let files = key.write_config(&folder, KeyLabel::Present).unwrap();
    let config = std::fs::read_to_string(&files.config).unwrap();
    let pem = std::fs::read_to_string(&files.key).unwrap();
    let modes = [&files.config, &files.key].map(|path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777);
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(modes, [0o600, 0o600]);
    for line in [
        "[DEFAULT]".to_owned(),
        format!("user={}", key.user()),
        format!("tenancy={}", key.tenancy()),
        format!("fingerprint={}", key.fingerprint()),
        format!("key_file={}", files.key.display()),
    ] {
        assert!(config.lines().any(|known| known == line), "{line} is not in {config}");
    }
    assert!(pem.ends_with("-----END PRIVATE KEY-----\nOCI_API_KEY\n"));
    assert!(!format!("{key:?}").contains("PRIVATE"));
}

fn later(seconds: i64) -> std::time::SystemTime {
    let now = i64::try_from(crate::client::since_epoch().as_secs()).unwrap();
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(u64::try_from(now + seconds).unwrap())
}

fn replace(draft: &mut crate::client::Draft, from: &str, to: &str) {
    let value = draft.header("authorization").replace(from, to);
    draft.set("authorization", &value);
}
