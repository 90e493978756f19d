//! A certificate for the VIP itself, beside a host name from which it has its common name.

use certferry_lab::acme_ca::{AcmeCaOptions, Behaviour};

use super::stage::{AviStage, CHILD, PARENT, SHOP};
use crate::parts::openssl;
use crate::stage::{LabCa, SERVER_NAME};

/// The lab's CA with one profile, that has both common names and IP addresses, as those of private CAs do.
async fn lab_ca(stage: &AviStage) -> LabCa {
    let mut behaviour = Behaviour::default();
    behaviour.profiles.truncate(1);
    behaviour.profiles[0].1.ip_addresses = true;
    stage.lab_ca_with(AcmeCaOptions { behaviour, ..AcmeCaOptions::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_service_answers_and_serves_for_its_own_address() {
    let stage = AviStage::new().await;
    let ca = lab_ca(&stage).await;
    let vip = stage.vip.to_string();
    stage.configure(&stage.config(&ca.issuer(), stage.certificate("www", &[&vip, SERVER_NAME], SHOP, ""))).await;
    let objects = stage.objects();
    stage.apply().await;

    let asked: Vec<String> = ca.ca.validation_requests().into_iter().map(|request| request.url).collect();
    assert!(asked.iter().any(|url| url.starts_with(&format!("http://{vip}/"))), "{asked:?}");
    for round in 0..2 {
        let root = ca.ca.issuing_root_pem();
        let by_address = openssl::served_at_address_and_trusted(stage.address(443), &vip, &root).await.unwrap();
        let by_name = openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await.unwrap();
        assert_eq!(by_address, by_name);
        assert_eq!(by_address.serial, stage.issued_serial("www").await);
        assert_eq!(ca.ca.orders().len(), round + 1);
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    }
    let orders = ca.ca.orders();
    assert!(orders[0].replaces.is_none() && orders[1].replaces.is_some(), "{orders:?}");
    let left: Vec<_> = stage.objects().into_keys().filter(|label| !objects.contains_key(label)).collect();
    assert!(left.iter().all(|label| label.starts_with("sslkeyandcertificate ")), "{left:?}");
}

/// An SNI child is chosen by the name that a client asks for, and who connects to an address asks for none: there the
/// parent's certificates are served. What the child serves for its host name is verified all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_child_serves_its_host_names_and_its_parent_the_address() {
    let stage = AviStage::bare().await.with_sni_child(&[SERVER_NAME]);
    let ca = lab_ca(&stage).await;
    let vip = stage.vip.to_string();
    stage.configure(&stage.config(&ca.issuer(), stage.certificate("www", &[&vip, SERVER_NAME], CHILD, ""))).await;
    let parent = stage.bound(PARENT);
    stage.apply().await;
    let root = ca.ca.issuing_root_pem();
    openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await.unwrap();
    assert!(openssl::served_at_address_and_trusted(stage.address(443), &vip, &root).await.is_err());
    assert_eq!(stage.bound(PARENT), parent);
}
