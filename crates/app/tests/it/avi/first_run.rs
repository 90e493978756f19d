//! The first `apply`, for every shape of virtual service.

use super::stage::{AviStage, CHILD, SHOP};
use crate::stage::SERVER_NAME;

#[tokio::test(flavor = "multi_thread")]
async fn every_shape_of_virtual_service_is_served() {
    let sni = AviStage::bare().await.with_sni_child(&[SERVER_NAME]);
    let evh = AviStage::bare().await.with_evh_child(SERVER_NAME);
    let redirect = AviStage::new().await.with_redirect("System-Secure-HTTP");
    for (stage, listener) in [(AviStage::new().await, SHOP), (sni, CHILD), (evh, CHILD), (redirect, SHOP)] {
        let ca = stage.lab_ca().await;
        stage.configure(&stage.config(&ca.issuer(), stage.certificate("www", &[SERVER_NAME], listener, ""))).await;
        stage.apply().await;
        assert_eq!(stage.served(SERVER_NAME).await.serial, stage.issued_serial("www").await);
    }
}
