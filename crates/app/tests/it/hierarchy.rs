//! A CA that issues from another hierarchy than before, judged by openssl.

use certferry_lab::acme_ca::AcmeCaOptions;
use certferry_lab::pki::PkiKey;

use crate::parts::openssl;
use crate::stage::{LabCa, SERVER_NAME, Stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_is_served_with_its_own_chain_and_not_with_the_one_before() {
    let stage = Stage::new().await;
    let options = AcmeCaOptions { intermediates: 1, ca_key: PkiKey::Ecdsa, ..AcmeCaOptions::default() };
    let ca = stage.lab_ca_with(options).await;
    stage.configure(&ca.issuer(), &stage.www());
    stage.apply().await;
    assert_eq!(served_certificates(&stage, &ca).await, 2);
    for (intermediates, key) in [(3, PkiKey::Rsa), (2, PkiKey::Ecdsa), (1, PkiKey::Rsa)] {
        ca.ca.use_intermediates(intermediates, key).expect("a hierarchy");
        stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
        assert_eq!(served_certificates(&stage, &ca).await, intermediates + 1);
    }
}

/// How many certificates the listener serves; together they lead to the root that the CA issues from now.
async fn served_certificates(stage: &Stage, ca: &LabCa) -> usize {
    let root = ca.ca.issuing_root_pem();
    let served = openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await;
    let served = served.unwrap_or_else(|said| panic!("openssl does not accept what is served: {said}"));
    assert_eq!(served.serial, stage.issued_serial().await);
    served.chain.len()
}
