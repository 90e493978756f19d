//! The chain as issued is the chain as served, whatever its length.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{issuer, pebble, served_from};
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_one_intermediate_is_served_as_issued() {
    served_as_issued(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_two_intermediates_is_served_as_issued() {
    served_as_issued(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_of_three_intermediates_is_served_as_issued() {
    served_as_issued(3).await;
}

async fn served_as_issued(intermediates: u8) {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.chain_length = intermediates).await;
    stage.configure(&issuer(&pebble), &stage.www());
    stage.apply().await;

    let served = served_from(&pebble, &stage).await;
    assert_eq!(served.chain.len(), usize::from(intermediates) + 1);
    let known = pebble.certificate_status(&served.serial).await.expect("Pebble knows what it issued");
    let issued = pem::parse(known["Certificate"].as_str().expect("PEM")).expect("PEM");
    let chain: Vec<Vec<u8>> = served.chain.iter().map(|one| pem::parse(one).expect("PEM").into_contents()).collect();
    assert_eq!(chain[0], issued.contents(), "the leaf is the one that Pebble issued");

    // openssl forgives a chain in disorder, and clients that do not are the ones that complain.
    let root = pem::parse(pebble.issuing_root_pem(0).await).expect("PEM").into_contents();
    for (lower, upper) in chain.iter().zip(chain.iter().skip(1).chain([&root])) {
        let (lower, upper) = (certificate(lower), certificate(upper));
        assert_eq!(lower.issuer(), upper.subject(), "each certificate is followed by its issuer");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_that_the_config_prefers_is_served_and_the_default_where_there_is_none() {
    let stage = Stage::new().await;
    let pebble = pebble(&stage, |options| options.alternate_roots = 2).await;
    for (wanted, expected) in [(Some(1), 1), (Some(2), 2), (None, 0)] {
        stage.configure(&issuer(&pebble), &stage.www());
        let preferred = match wanted {
            Some(root) => common_name(&pem::parse(pebble.issuing_root_pem(root).await).expect("PEM").into_contents()),
            None => "Nobody's Root X1".to_owned(),
        };
        let text = std::fs::read_to_string(stage.config_path()).unwrap();
        let lines = format!("trusted-roots: ca.pem\n    preferred-chain: \"{preferred}\"");
        std::fs::write(stage.config_path(), text.replace("trusted-roots: ca.pem", &lines)).unwrap();
        let ended = stage.certferry(&["apply", "--force-renewal", "-v"]).await.expect_exit(0);
        assert_eq!(ended.stderr().contains("the CA offers no such chain"), wanted.is_none(), "{}", ended.stderr());
        let root = pebble.issuing_root_pem(expected).await;
        crate::parts::openssl::served_and_trusted(stage.address(443), crate::stage::SERVER_NAME, &root)
            .await
            .unwrap_or_else(|said| panic!("{preferred}: {said}"));
    }
}

fn common_name(der: &[u8]) -> String {
    let certificate = certificate(der);
    let name = certificate.subject().iter_common_name().next().expect("a common name");
    name.as_str().expect("text").to_owned()
}

fn certificate(der: &[u8]) -> X509Certificate<'_> {
    X509Certificate::from_der(der).expect("a certificate").1
}
