//! Warnings that certificates end, of the whole program: with the config's days, and with those of an Avi controller.

use std::net::IpAddr;

use certferry_lab::avi_controller::{AviLab, AviOptions};
use certferry_lab::pki::Pki;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::stage::{Ended, SERVER_NAME, Stage};

const VIP: &str = "10.0.0.7";
const WARNING_DAYS: &str = "ssl_certificate_expiry_warning_days";

#[tokio::test(flavor = "multi_thread")]
async fn each_warning_is_told_once_at_the_controllers_days_or_at_the_configs() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    let edge = controller().await;
    edge.edit("controllerproperties", "global", |properties| properties[WARNING_DAYS] = json!([40, 29, 1])).unwrap();
    // What it issues now was issued 62 days ago, and is due.
    ca.ca.set_behaviour(|behaviour| behaviour.clock_offset = SignedDuration::from_hours(-24 * 62));
    stage.configure(&ca.issuer(), &format!("{}{}", stage.www(), deploy(&edge)));
    let config = std::fs::read_to_string(stage.config_path()).unwrap();
    std::fs::write(stage.path("root.pem"), edge.trusted_roots_pem()).unwrap();
    std::fs::write(stage.path("password"), "hunter2&").unwrap();
    let config = config.replace("\ncertificates:", &format!("\n{}certificates:", entry(&edge)));
    std::fs::write(stage.config_path(), &config).unwrap();
    allow(&edge, &stage).await;

    stage.apply().await;
    assert_eq!(edge.count("GET controllerproperties"), 0, "nobody is asked while nothing was due");
    assert_eq!(stage.status().await["certificates"][0]["warning"]["threshold_days"], 30.0, "nobody was asked yet");

    // From now on the CA finds nobody at that name.
    ca.ca.set_behaviour(|behaviour| behaviour.default_address = None);
    let first = stage.certferry(&["apply"]).await.expect_exit(3);
    assert_eq!(warnings(&first).len(), 1, "{}", first.stderr());
    let words = "warning: www: expires in 27 days, on ";
    let days = "(the warning 29 days before the end); renewal is due since ";
    assert!(warnings(&first)[0].starts_with(words) && warnings(&first)[0].contains(days), "{}", first.stderr());
    assert!(warnings(&first)[0].contains("failed: "), "it says why: {}", first.stderr());
    let second = stage.certferry(&["apply"]).await.expect_exit(3);
    assert_eq!(warnings(&second), [""; 0], "told already");
    assert_eq!(edge.count("GET controllerproperties"), 2, "once in each run");

    std::fs::write(stage.config_path(), format!("warning-days: [28, 3]\n{config}")).unwrap();
    let third = stage.certferry(&["apply"]).await.expect_exit(3);
    assert_eq!(warnings(&third).len(), 1, "{}", third.stderr());
    assert!(warnings(&third)[0].contains("(the warning 28 days before the end)"), "{}", third.stderr());
    let fourth = stage.certferry(&["apply", "--output", "json"]).await.expect_exit(3);
    assert!(fourth.json()["events"].as_array().unwrap().iter().all(|event| event["outcome"] != "warned"));
    assert_eq!(edge.count("GET controllerproperties"), 2, "the config has days of its own");

    let history = stage.certferry(&["history", "--output", "json"]).await.expect_exit(0).json();
    let told: Vec<&Value> =
        history["events"].as_array().unwrap().iter().filter(|event| event["action"] == "expiry_warning").collect();
    assert_eq!(told.len(), 2, "{told:?}");
    let serial = stage.issued_serial().await;
    for event in told {
        assert_eq!((&event["outcome"], &event["object"]), (&json!("warned"), &json!(format!("serial {serial}"))));
        assert_eq!(event["certificate"], "www");
    }

    // The status knows what the controller said, and asks nobody.
    std::fs::write(stage.config_path(), &config).unwrap();
    drop((edge, ca));
    let status = stage.status().await;
    let warning = &status["certificates"][0]["warning"];
    assert_eq!((&warning["threshold_days"], &warning["days_left"]), (&json!(29.0), &json!(27)), "{warning}");
    assert_eq!(warning["not_after"], status["certificates"][0]["issued"]["not_after"]);
    let text = stage.certferry(&["status"]).await.expect_exit(0).stdout();
    assert!(text.contains("\nwarnings:\n  www: expires in 27 days, on "), "{text}");
}

/// The warnings on stderr.
fn warnings(ended: &Ended) -> Vec<String> {
    let lines = ended.stderr();
    lines.lines().filter(|line| line.starts_with("warning: ")).map(str::to_owned).collect()
}

/// A controller with virtual service `shop-443`.
async fn controller() -> AviLab {
    let lab = AviLab::start(AviOptions::default()).await.unwrap();
    let by_hand = Pki::new().unwrap().issue(&[SERVER_NAME], 90).unwrap();
    let certificate = json!({"name": "by-hand", "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE",
        "certificate": {"certificate": by_hand.chain_pem}, "key": by_hand.private_key_pem});
    lab.create("admin", "sslkeyandcertificate", certificate).unwrap();
    let vip = json!({"name": "shop", "vip": [{"vip_id": "0", "ip_address": {"addr": VIP, "type": "V4"}}]});
    lab.create("admin", "vsvip", vip).unwrap();
    let service = json!({"name": "shop-443", "vsvip_ref": "/api/vsvip?name=shop",
        "application_profile_ref": "/api/applicationprofile?name=System-Secure-HTTP",
        "services": [{"port": 443, "enable_ssl": true}],
        "ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=by-hand"],
        "ssl_profile_ref": "/api/sslprofile?name=System-Standard"});
    lab.create("admin", "virtualservice", service).unwrap();
    lab
}

/// The user of the config, with the role that `policy` prints.
async fn allow(lab: &AviLab, stage: &Stage) {
    let policy = stage.certferry(&["policy", "edge"]).await.expect_exit(0).stdout();
    let role: Value = serde_json::from_str(policy.split("\n\n").next().unwrap()).unwrap();
    lab.create("admin", "role", role).unwrap();
    let access = json!([{"role_ref": "/api/role?name=certferry", "tenant_ref": "/api/tenant?name=admin"}]);
    lab.create("admin", "user", json!({"username": "certferry", "password": "hunter2&", "access": access})).unwrap();
}

fn entry(lab: &AviLab) -> String {
    format!(
        "  edge:\n    avi:\n      controller: {}\n      username: certferry\n      password: file:password\n      \
         trusted-roots: root.pem\n",
        lab.url()
    )
}

fn deploy(lab: &AviLab) -> String {
    let probe = lab.data_plane_address(VIP.parse::<IpAddr>().unwrap(), 443).unwrap();
    format!("      - {{ load-balancer: edge, listener: shop-443, probe: [{probe}] }}\n    http01: front\n")
}
