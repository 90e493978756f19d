//! API keys that the service does not accept.

use certferry_lab::oci_load_balancer::{ApiKey, KeyLabel};

use super::cli;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_another_user_is_refused_before_anything_is_ordered() {
    let stage = Stage::new().await;
    let stranger = ApiKey::generate().unwrap();
    stranger.write_config(stage.folder.path(), KeyLabel::Absent).unwrap();
    assert_refused(&stage, &stranger.key_id()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_under_a_known_fingerprint_is_refused_before_anything_is_ordered() {
    let stage = Stage::new().await;
    let config = std::fs::read_to_string(&stage.key_files.config).unwrap();
    let fingerprint = config.lines().find_map(|line| line.strip_prefix("fingerprint=")).unwrap();
    std::fs::write(&stage.key_files.key, ApiKey::generate().unwrap().private_key_pem()).unwrap();
    assert_refused(&stage, fingerprint).await;
}

/// Refused to the command line and to certferry, whose hint says which key it was.
async fn assert_refused(stage: &Stage, key: &str) {
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let before = stage.load_balancer();

    let listed = cli(stage).run(&["lb", "certificate", "list", "--load-balancer-id", stage.id()]).await;
    assert_eq!(listed.exit_code, Some(1), "{listed:?}");
    assert!(listed.stderr.contains("\"status\": 401"), "{}", listed.stderr);
    assert!(listed.stderr.contains("\"code\": \"NotAuthenticated\""), "{}", listed.stderr);

    // Delivery fails, not issuing: without the load balancer there is no way for a challenge, so the CA is not asked.
    for command in ["plan", "apply"] {
        let ended = stage.certferry(&[command]).await.expect_exit(4);
        let said = ended.stderr();
        assert!(said.contains("GetLoadBalancer on load balancer `front`"), "{command}: {said}");
        assert!(said.contains("401 NotAuthenticated"), "{command}: {said}");
        let hint = said.lines().find(|line| line.trim_start().starts_with("hint: is the API key"));
        assert!(hint.is_some_and(|hint| hint.contains(key)), "{command}: {said}");
    }
    assert_eq!(stage.load_balancer(), before);
    assert_eq!((ca.ca.accounts(), ca.ca.orders().len()), (0, 0));
}
