//! What is installed works: the controller runs the script, which trusts the daemon's self-made certificate.

use std::time::Duration;

use serde_json::json;

use super::{AviStage, TOKEN};
use crate::daemon::{daemon, stopped};
use crate::parts::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn after_one_command_the_controller_gets_its_certificates_from_the_daemon() {
    let stage = AviStage::new().await;
    let name = "inside.some-domain.test";
    // No certificate of the config is in the way, and the name leads to the virtual service.
    stage.configure(|text| {
        let (head, _) = text.split_once("certificates:\n").unwrap();
        let head = head.replace("keep: true", "virtual-services: [shop-443]");
        format!("{head}certificates: {{}}\n")
    });
    stage.install(&["--yes"]).await.expect_exit(0);
    let mut daemon = daemon(stage.folder.path());
    let certificate = json!({"name": "inside", "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        "certificate": {"subject": {"common_name": name}, "subject_alt_names": [name]},
        "certificate_management_profile_ref": "/api/certificatemanagementprofile?name=certferry"});
    stage.lab.create("admin", "sslkeyandcertificate", certificate).unwrap();
    let ended = eventually(Duration::from_secs(60), async || {
        stage.lab.events().into_iter().find(|event| event.event_id.starts_with("SSL_CERT_RENEW"))
    });
    let event = ended.await.unwrap_or_else(|| panic!("the script does not end: {}", daemon.last_words()));
    assert_eq!(event.event_id, "SSL_CERT_RENEW", "{} {}", event.details, daemon.last_words());
    let shown = stage.lab.object("sslkeyandcertificate", "inside").unwrap();
    assert_eq!(shown["status"], "SSL_CERTIFICATE_FINISHED");
    assert_eq!(shown["certificate"]["subject"]["common_name"], name);
    assert_eq!(stopped(&mut daemon).await, Some(0), "{}", daemon.last_words());
    assert!(!daemon.printed().contains(TOKEN));

    // The daemon has changed nothing of what was installed.
    assert_eq!(stage.install(&["--plan"]).await.expect_exit(0).stdout(), "nothing to do\n");
}
