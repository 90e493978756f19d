//! One certificate on an OCI load balancer and on an Avi controller at once.

use certferry_lab::avi_controller::{Effect as AviEffect, Fault as AviFault};
use certferry_lab::oci_load_balancer::{Effect, Fault};

use super::stage::{AviStage, SHOP};
use crate::parts::openssl;
use crate::stage::{LabCa, SERVER_NAME, Stage};

/// Both, and a CA that comes through the one or the other.
struct Both {
    oci: Stage,
    avi: AviStage,
    ca: LabCa,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum One {
    Avi,
    Oci,
}

impl Both {
    /// The CA comes through `validates`.
    async fn new(validates: One) -> Self {
        let (oci, avi) = (Stage::new().await, AviStage::new().await);
        let ca = match validates {
            One::Oci => oci.lab_ca().await,
            One::Avi => avi.lab_ca().await,
        };
        let both = Self { oci, avi, ca };
        both.configure(validates).await;
        both
    }

    async fn configure(&self, validates: One) {
        let through = if validates == One::Oci { "front" } else { "edge" };
        let entry = self.avi.certificate("www", &[SERVER_NAME], SHOP, &format!("    http01: {through}\n"));
        let entry = format!("{entry}{}", self.oci.deploy(0, "https", 443));
        let front = self.oci.front_entry(&self.oci.fronts[0], "    retry-within: 2s\n");
        let front = front.replace(&self.oci.responder.to_string(), &self.avi.responder().to_string());
        let config = self.avi.config(&self.ca.issuer(), entry).and("    retry-within: 2s\n").and(&front);
        self.avi.configure(&config).await;
    }

    /// From now on it answers no call.
    fn down(&self, one: One) {
        match one {
            One::Avi => self.avi.lab.add_fault(AviFault::new("*", AviEffect::CloseBefore).always()),
            One::Oci => self.oci.lab.add_fault(Fault::new("*", Effect::CloseBefore).always()),
        }
    }

    fn up(&self, one: One) {
        match one {
            One::Avi => self.avi.lab.clear_faults(),
            One::Oci => self.oci.lab.clear_faults(),
        }
    }

    async fn served(&self, one: One) -> String {
        match one {
            One::Avi => self.avi.served(SERVER_NAME).await.serial,
            One::Oci => openssl::served(self.oci.address(443), SERVER_NAME).await.unwrap().serial,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_is_down_the_other_is_served_and_the_rest_is_delivered_later_without_an_order() {
    for (down, up) in [(One::Avi, One::Oci), (One::Oci, One::Avi)] {
        let both = Both::new(up).await;
        let before = both.served(down).await;
        both.down(down);
        let ended = both.avi.certferry(&["apply"]).await.expect_exit(4);
        let name = if down == One::Avi { "edge" } else { "front" };
        assert!(ended.stderr().contains(&format!("`{name}`")), "{}", ended.stderr());
        let issued = both.avi.issued_serial("www").await;
        assert_eq!(both.served(up).await, issued, "{up:?} is served while {down:?} is down");
        assert_eq!(both.served(down).await, before);
        let deployments = both.avi.status("www").await["deployments"].clone();
        let state = |name: &str| {
            let all = deployments.as_array().unwrap();
            all.iter().find(|one| one["load_balancer"] == name).map(|one| one["state"].clone()).unwrap_or_default()
        };
        assert_eq!(state(name), "failed", "{deployments}");
        assert_eq!(state(if down == One::Avi { "front" } else { "edge" }), "verified", "{deployments}");

        both.up(down);
        both.avi.apply().await;
        assert_eq!(both.served(down).await, issued, "{down:?} is served too");
        assert_eq!(both.ca.ca.orders().len(), 1, "no second order");
        both.avi.certferry(&["plan"]).await.expect_exit(0);
    }
}
