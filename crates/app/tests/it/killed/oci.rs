//! One certificate on two listeners of an OCI load balancer.

use std::path::Path;

use certferry_lab::acme_ca::AcmeCa;
use serde_json::{Value, json};

use super::watch::Look;
use super::{Run, Scene, enumerate};
use crate::stage::{LabCa, SERVER_NAME, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_first_run_killed_at_every_journal_step_is_finished_by_the_next() {
    let steps = enumerate(Run::First, OciScene::set).await;
    println!("{steps} journal steps in a first run, each killed before and after");
    assert!(steps > 15, "only {steps} journal steps are no whole run");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_renewal_killed_at_every_journal_step_is_finished_by_the_next() {
    let steps = enumerate(Run::Renewal, OciScene::set).await;
    println!("{steps} journal steps in a renewal that retires a bundle, each killed before and after");
    assert!(steps > 15, "only {steps} journal steps are no whole run");
}

struct OciScene {
    stage: Stage,
    ca: LabCa,
}

impl OciScene {
    async fn set() -> Self {
        let stage = Stage::new().await;
        let ca = stage.lab_ca().await;
        let deploys = format!("{}{}", stage.deploy(0, "https", 443), stage.deploy(0, "shop", 8443));
        stage.configure(&ca.issuer(), &format!("  www:\n    names: [{SERVER_NAME}]\n    deploy:\n{deploys}"));
        Self { stage, ca }
    }
}

impl Scene for OciScene {
    async fn fresh(self) -> Self {
        Self::set().await
    }

    fn folder(&self) -> &Path {
        self.stage.folder.path()
    }

    fn ca(&self) -> &AcmeCa {
        &self.ca.ca
    }

    fn looks(&self) -> Vec<Look> {
        [443, 8443].map(|port| Look { address: self.stage.address(port), family: None }).to_vec()
    }

    fn others(&self) -> Value {
        json!(["https", "shop"].map(|listener| self.stage.other_fields(listener)))
    }

    fn assert_nothing_left(&self, versions: usize, context: &str) {
        let bundles = self.stage.own_bundles();
        assert_eq!(bundles.len(), versions.min(2), "{context}: {bundles:?}");
        assert_eq!(self.stage.bound("https"), self.stage.bound("shop"), "{context}");
    }
}
