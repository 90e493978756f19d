//! Control scripts and the clock that starts them.

use certferry_lab::{
    avi_controller::{AviLab, AviOptions},
    pki::{Pki, Validity},
};
use jiff::{SignedDuration, Timestamp};
use rcgen::CertificateSigningRequestParams;
use serde_json::{Value, json};
use tokio::{io::AsyncReadExt, io::AsyncWriteExt, net::TcpListener, task::JoinHandle};

use crate::{client::Client, polling::eventually};

/// A controller whose scripts have their CSRs signed by a server on loopback.
struct World {
    lab: AviLab,
    client: Client,
    signer: u16,
    task: JoinHandle<()>,
}

impl World {
    async fn new() -> Self {
        let lab = AviLab::start(AviOptions::default()).await.unwrap();
        let client = Client::admin(&lab).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let signer = listener.local_addr().unwrap().port();
        let start = lab.now();
        let task = tokio::spawn(sign_all(listener, Pki::new().unwrap(), start));
        Self { lab, client, signer, task }
    }

    /// Makes script and profile, and a certificate that they make; `timeout` in seconds.
    async fn managed(&self, script: &str, timeout: u64) -> String {
        let script = script.replace("SIGNER", &self.signer.to_string());
        let body = json!({"name": "script", "action_script": script, "timeout": timeout});
        self.lab.create("admin", "alertscriptconfig", body).unwrap();
        self.lab
            .create(
                "admin",
                "certificatemanagementprofile",
                json!({
                    "name": "profile", "run_script_ref": "/api/alertscriptconfig?name=script", "script_params": [
                        {"name": "days", "value": "90"}, {"name": "password", "value": "hush", "is_sensitive": true},
                        {"name": "sub", "is_dynamic": true},
                    ],
                }),
            )
            .unwrap();
        let body = json!({
            "name": "managed", "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
            "certificate": {"subject": {"common_name": "managed.test"}, "subject_alt_names": ["managed.test"]},
            "certificate_management_profile_ref": "/api/certificatemanagementprofile?name=profile",
            "dynamic_params": [{"name": "sub", "value": "given"}],
        });
        self.client.post("/api/sslkeyandcertificate", &body).await.uuid()
    }

    fn events(&self) -> Vec<String> {
        let events = self.lab.events().into_iter().filter(|event| event.event_id.starts_with("SSL_CERT"));
        events
            .map(|event| match event.details["ssl_expire_details"]["days_left"].as_u64() {
                Some(days) => format!("{} {days}", event.event_id),
                None => event.event_id.to_owned(),
            })
            .collect()
    }

    fn serial(&self) -> String {
        let shown = self.lab.object("sslkeyandcertificate", "managed").unwrap();
        shown["certificate"]["serial_number"].as_str().unwrap_or_default().to_owned()
    }

    async fn finished(&self) {
        eventually("the script has ended", async || (!self.events().is_empty()).then_some(())).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Signs each CSR that comes in; its validity begins where the request says, in days from the start.
async fn sign_all(listener: TcpListener, pki: Pki, start: Timestamp) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut request = String::new();
        stream.read_to_string(&mut request).await.unwrap();
        let (begin, csr) = request.split_once('\n').unwrap();
        let not_before = start + SignedDuration::from_hours(24 * begin.parse::<i64>().unwrap());
        let validity = Validity {
            common_name: Some("managed.test".into()),
            not_before,
            not_after: not_before + SignedDuration::from_hours(24 * 90),
        };
        let chain = pki.sign_csr(CertificateSigningRequestParams::from_pem(csr).unwrap(), &validity).unwrap();
        stream.write_all(chain.as_bytes()).await.unwrap();
    }
}

/// A script that works: the first certificate begins at once, later ones 80 days on.
const WORKS: &str = r#"
import os, socket

def certificate_request(csr, common_name, args):
    assert common_name == "managed.test", common_name
    assert args == {"days": "90", "password": "hush", "sub": "given"}, args
    assert os.environ["DOCKER_GATEWAY"].startswith("127.0.0.1:")
    print("working")
    connection = socket.create_connection(("127.0.0.1", SIGNER))
    connection.sendall((BEGIN + "\n" + csr).encode())
    connection.shutdown(socket.SHUT_WR)
    return connection.makefile().read()
"#;

fn works(begin: u32) -> String {
    WORKS.replace("BEGIN", &format!("\"{begin}\""))
}

#[tokio::test]
async fn the_script_makes_the_certificate_of_a_new_object() {
    let world = World::new().await;
    let uuid = world.managed(&works(0), 30).await;
    world.finished().await;
    assert_eq!(world.events(), ["SSL_CERT_RENEW"], "{:?}", world.lab.events().last());
    let shown = world.client.get(&format!("/api/sslkeyandcertificate/{uuid}")).await;
    assert_eq!(shown.ok()["status"], "SSL_CERTIFICATE_FINISHED");
    assert_eq!(shown.ok()["certificate"]["subject"]["common_name"], "managed.test");
    let profile = world.client.get("/api/certificatemanagementprofile").await;
    assert!(!profile.text.contains("hush") && profile.text.contains("<sensitive>"), "{}", profile.text);
}

#[tokio::test]
async fn a_renewal_on_demand_brings_a_new_key() {
    let world = World::new().await;
    let uuid = world.managed(&works(0), 30).await;
    world.finished().await;
    let key = async || {
        let shown = world.client.get(&format!("/api/sslkeyandcertificate/{uuid}?export_key=true")).await.ok();
        shown["key"].as_str().unwrap().to_owned()
    };
    let (before, serial) = (key().await, world.serial());
    world.client.post(&format!("/api/sslkeyandcertificate/{uuid}/renew"), &json!({})).await.ok();
    assert_ne!((key().await, world.serial()), (before, serial));
    let renewal = world.lab.requests().into_iter().find(|call| call.operation.ends_with("/renew")).unwrap();
    assert_eq!((renewal.status, renewal.object), (Some(200), Some(uuid)));
}

#[tokio::test]
async fn the_clock_tells_of_the_end_and_renews_once_before_the_last_notice_but_one() {
    let world = World::new().await;
    world.managed(&works(0), 30).await;
    world.finished().await;
    let first = world.serial();
    let script = works(83).replace("SIGNER", &world.signer.to_string());
    world.lab.edit("alertscriptconfig", "script", move |object| object["action_script"] = json!(script)).unwrap();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    world.lab.advance_clock(days(59)).await;
    assert_eq!(world.events(), ["SSL_CERT_RENEW"]);
    world.lab.advance_clock(days(2)).await;
    assert_eq!(world.events(), ["SSL_CERT_RENEW", "SSL_CERT_EXPIRE 30"]);
    assert_eq!(world.serial(), first, "not yet");
    world.lab.advance_clock(days(23)).await;
    assert_eq!(world.events(), ["SSL_CERT_RENEW", "SSL_CERT_EXPIRE 30", "SSL_CERT_RENEW"], "no notice at 7 days");
    assert_ne!(world.serial(), first);
    world.lab.advance_clock(days(10)).await;
    assert_eq!(world.events().len(), 3, "a new schedule, and nothing of the old one");
}

#[tokio::test]
async fn a_renewal_that_fails_is_told_and_not_tried_again() {
    let world = World::new().await;
    world.managed(&works(0), 30).await;
    world.finished().await;
    let broken = "import sys\ndef certificate_request(csr, common_name, args):\n    print('half way')\n    sys.stderr.write('no network')\n    raise Exception('the CA is down')\n";
    world.lab.edit("alertscriptconfig", "script", move |object| object["action_script"] = json!(broken)).unwrap();
    world.lab.advance_clock(SignedDuration::from_hours(24 * 91)).await;
    let expected =
        ["SSL_CERT_RENEW", "SSL_CERT_EXPIRE 30", "SSL_CERT_RENEW_FAILED", "SSL_CERT_EXPIRE 7", "SSL_CERT_EXPIRE 1"];
    assert_eq!(world.events(), expected);
    let failed = world.lab.events().into_iter().find(|event| event.event_id == "SSL_CERT_RENEW_FAILED").unwrap();
    let error = failed.details["ssl_renew_failed_details"]["error"].as_str().unwrap();
    assert!(
        error.starts_with("Error from certificate management service: STDOUT - \"half way\". STDERR - \"no network"),
        "{error}"
    );
    assert!(error.contains("the CA is down"), "{error}");
}

#[tokio::test]
async fn a_script_that_takes_too_long_is_ended() {
    let world = World::new().await;
    world.managed("import time\ndef certificate_request(csr, common_name, args):\n    time.sleep(600)\n", 1).await;
    world.finished().await;
    let failed = world.lab.events().into_iter().find(|event| event.event_id == "SSL_CERT_RENEW_FAILED").unwrap();
    let error: &Value = &failed.details["ssl_renew_failed_details"]["error"];
    assert!(error.as_str().unwrap().contains("timed out after 1 seconds"), "{error}");
    assert_eq!(world.lab.object("sslkeyandcertificate", "managed").unwrap()["status"], "SSL_CERTIFICATE_PENDING");
}

#[tokio::test]
async fn only_a_certificate_with_a_profile_can_be_renewed_and_only_by_a_writer() {
    let world = World::new().await;
    let issued = Pki::new().unwrap().issue(&["a.test"], 90).unwrap();
    let uuid = world.lab.create("admin", "sslkeyandcertificate", crate::world::pair("own", &issued)).unwrap();
    let path = format!("/api/sslkeyandcertificate/{uuid}/renew");
    assert!(world.client.post(&path, &json!({})).await.refused(500).contains("no certificate management profile"));
    world
        .lab
        .create(
            "admin",
            "user",
            json!({"username": "nobody", "password": "x", "access": [
        {"role_ref": "/api/role?name=System-Admin", "all_tenants": true}]}),
        )
        .unwrap();
    Client::log_in(&world.lab, "nobody", "x").await.post(&path, &json!({})).await.refused(403);
    world.lab.advance_clock(SignedDuration::from_hours(24 * 91)).await;
    assert_eq!(world.events(), ["SSL_CERT_EXPIRE 30", "SSL_CERT_EXPIRE 7", "SSL_CERT_EXPIRE 1"], "notices only");
}
