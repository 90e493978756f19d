//! A controller takes no certificate without a common name; Pebble 2.6 leaves it out, as profiles of Let's Encrypt do.

use super::stage::{AviStage, BY_HAND, SHOP};
use super::{issued, issuer, nothing_is_left_to_do, pebble, served_from};
use crate::parts::pebble::PebbleVersion;
use crate::stage::SERVER_NAME;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_without_is_not_sent_and_not_ordered_again_until_the_config_names_another_issuer() {
    let stage = AviStage::new().await;
    let nameless = pebble(&stage, PebbleVersion::V2_6).await;
    let classic = pebble(&stage, PebbleVersion::V2_4).await;
    let config = |chosen: &str| {
        let entry = stage.certificate("www", &[SERVER_NAME], SHOP, &format!("    issuer: {chosen}\n"));
        stage.config(&issuer(&nameless), entry).issuer("classic", &issuer(&classic))
    };
    let (before, objects) = (stage.served(SERVER_NAME).await, stage.objects());
    stage.configure(&config("ca")).await;
    for _ in 0..2 {
        let ended = stage.certferry(&["apply"]).await.expect_exit(4);
        for piece in ["common name", "edge", "profile: classic", "www"] {
            assert!(ended.stderr().contains(piece), "{piece}: {}", ended.stderr());
        }
        assert_eq!(stage.objects(), objects, "nothing is left of the order, and nothing was uploaded");
        assert_eq!(stage.writes_on("sslkeyandcertificate"), 0);
        assert_eq!(issued(&nameless), 1, "{}", nameless.log());
    }
    assert_eq!(stage.bound(SHOP), BY_HAND);
    assert_eq!(stage.served(SERVER_NAME).await, before);
    let status = stage.status("www").await;
    assert_eq!(status["state"], "failing");
    assert!(status["deployments"][0]["last_error"].as_str().unwrap().contains("common name"), "{status}");

    stage.configure(&config("classic")).await;
    stage.apply().await;
    served_from(&classic, &stage, "www", SERVER_NAME).await;
    assert_eq!((issued(&nameless), issued(&classic)), (1, 1));
    nothing_is_left_to_do(&stage, &classic).await;
}
