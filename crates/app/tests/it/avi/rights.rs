//! A role that lacks the right to HTTP policy sets, as the published recipe's does.

use serde_json::json;

use super::stage::AviStage;
use crate::stage::SERVER_NAME;

/// The virtual services answer by themselves: a machine on which the responder's port is taken can order all the same.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_controller_answers_the_responders_port_may_be_taken() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_www(&ca.issuer()).await;
    let _somebody = tokio::net::TcpListener::bind(stage.responder()).await.unwrap();
    stage.apply().await;
    assert_eq!(stage.served(SERVER_NAME).await.serial, stage.issued_serial("www").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_http_policy_sets_nothing_is_ordered_and_the_right_is_named() {
    // Without even reading, the delivery cannot be planned either.
    for (given, exit) in [(None, 4), (Some("NO_ACCESS"), 4), (Some("READ_ACCESS"), 3)] {
        let stage = AviStage::new().await;
        let ca = stage.lab_ca().await;
        stage.configure_www(&ca.issuer()).await;
        let (before, served) = (stage.objects(), stage.served(SERVER_NAME).await);
        stage
            .lab
            .edit("role", "certferry", move |role| {
                let privileges = role["privileges"].as_array_mut().unwrap();
                privileges.retain(|one| one["resource"] != "PERMISSION_HTTPPOLICYSET");
                if let Some(kind) = given {
                    privileges.push(json!({"resource": "PERMISSION_HTTPPOLICYSET", "type": kind}));
                }
            })
            .unwrap();
        let ended = stage.certferry(&["apply"]).await.expect_exit(exit);
        for part in ["PERMISSION_HTTPPOLICYSET", "certferry policy edge"] {
            assert!(ended.stderr().contains(part), "{part} with {given:?}: {}", ended.stderr());
        }
        assert_eq!(ca.ca.orders().len(), 0, "{given:?}");
        assert_eq!(stage.objects(), before);
        assert_eq!(stage.served(SERVER_NAME).await, served);

        // The way out that the error names: the role is set to what `certferry policy edge` prints.
        stage.configure_www(&ca.issuer()).await;
        stage.apply().await;
        assert_eq!(stage.served(SERVER_NAME).await.serial, stage.issued_serial("www").await, "{given:?}");
    }
}
