//! Sessions of a person (`oci session authenticate`), for the command line and for certferry.

use certferry_lab::oci_load_balancer::ApiKey;
use jiff::SignedDuration;

use super::signed_by::SignedBy;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_signs_for_both_until_its_end_which_both_see() {
    let stage = Stage::new().await;
    let key = ApiKey::generate().unwrap();
    let issue = |stage: &Stage, minutes| {
        stage.lab.issue_session_token(key.public_key_der(), SignedDuration::from_mins(minutes)).unwrap()
    };
    let signed_by = SignedBy::new(stage, "{ session-token: { config-file: session/config } }").await;
    let stage = &signed_by.stage;
    let files = key.write_session(&stage.path("session"), &issue(stage, 60)).unwrap();
    let cli =
        crate::parts::oci_cli::OciCli::new(stage.lab.endpoint(), &files.config).with("OCI_CLI_AUTH", "security_token");
    let list = ["lb", "certificate", "list", "--load-balancer-id", stage.id()];

    cli.run(&list).await.json();
    assert_eq!(cli.run(&["session", "validate", "--local"]).await.exit_code, Some(0));
    signed_by.certferry(&["apply"]).await.expect_exit(0);
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert_eq!(signed_by.answered(401), 0);

    std::fs::write(&files.token, issue(stage, -1)).unwrap();
    assert_ne!(cli.run(&["session", "validate", "--local"]).await.exit_code, Some(0));
    assert_ne!(cli.run(&list).await.exit_code, Some(0));
    let ended = signed_by.certferry(&["plan"]).await.expect_exit(4);
    assert!(ended.stderr.contains("it ended ") && ended.stderr.contains("oci session refresh"), "{}", ended.stderr);

    std::fs::write(&files.token, issue(stage, 60)).unwrap();
    signed_by.certferry(&["plan"]).await.expect_exit(0);
}
