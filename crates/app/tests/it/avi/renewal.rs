//! Renewals: the certificate object is kept and gets a new pair; no virtual service is written.

use certferry_lab::avi_controller::{Effect, Fault, HeldCertificates};
use certferry_lab::pki::PkiKey;
use serde_json::Value;

use super::stage::{AviStage, BY_HAND, SHOP, differences};
use super::{apply_as_planned, issued, issuer, nothing_is_left_to_do, pebble, served_from, set};
use crate::parts::openssl;
use crate::parts::pebble::{Pebble, PebbleVersion};
use crate::stage::SERVER_NAME;

const RENEW: [&str; 2] = ["apply", "--force-renewal"];

async fn delivered() -> (AviStage, Pebble) {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    stage.configure(&stage.config(&issuer(&pebble), stage.www()).verify_within("2s")).await;
    stage.apply().await;
    (stage, pebble)
}

fn object(stage: &AviStage) -> Value {
    stage.lab.object("sslkeyandcertificate", "cf-www").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_keeps_the_object_and_writes_no_virtual_service() {
    let (stage, pebble) = delivered().await;
    // What a person sets on certferry's object is theirs.
    stage.lab.edit("sslkeyandcertificate", "cf-www", |object| object["enable_ocsp_stapling"] = true.into()).unwrap();
    let mut serials = vec![served_from(&pebble, &stage, "www", SERVER_NAME).await.serial];
    let uuid = object(&stage)["uuid"].clone();
    let services = || stage.lab.objects("virtualservice").unwrap();
    let (before, last_modified) = (stage.objects(), services());
    for _ in 0..2 {
        let (sibling_writes, validated) = (stage.writes_on("virtualservice"), validations(&pebble));
        stage.certferry(&RENEW).await.expect_exit(0);
        let serial = served_from(&pebble, &stage, "www", SERVER_NAME).await.serial;
        assert!(!serials.contains(&serial), "not renewed");
        serials.push(serial);
        assert_eq!(object(&stage)["uuid"], uuid);
        assert_eq!(object(&stage)["enable_ocsp_stapling"], true);
        assert_eq!(services(), last_modified, "no virtual service was written, time of the last change included");
        // One of a hundred authorizations is the one of the order before (`PebbleOptions`): then nobody asks port 80.
        let came_and_went = if validations(&pebble) > validated { 2 } else { 0 };
        assert_eq!(stage.writes_on("virtualservice"), sibling_writes + came_and_went, "the sibling for port 80");
    }
    let changed = differences(&before, &stage.objects());
    assert_eq!(changed, set(&["sslkeyandcertificate cf-www: certificate"]));
    assert_eq!(issued(&pebble), 3);
    nothing_is_left_to_do(&stage, &pebble).await;
}

/// How often Pebble has looked at a name.
fn validations(pebble: &Pebble) -> usize {
    pebble.log().matches("Attempting to validate").count()
}

/// Let's Encrypt changes its intermediates without notice.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_from_other_intermediates_brings_them_and_takes_the_old_ones_away() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure_www(&ca.issuer()).await;
    stage.apply().await;
    let before = stage.objects();
    ca.ca.use_intermediates(2, PkiKey::Ecdsa).unwrap();
    stage.certferry(&RENEW).await.expect_exit(0);
    let changed = differences(&before, &stage.objects());
    let of = |start: &str| changed.iter().filter(|change| change.starts_with(start)).count();
    assert_eq!(
        (of("+ sslkeyandcertificate cf-issuer-"), of("- sslkeyandcertificate cf-issuer-")),
        (2, 1),
        "{changed:?}"
    );
    assert_eq!((of("sslkeyandcertificate cf-www: "), changed.len()), (2, 5), "certificate and ca_certs: {changed:?}");
    let root = ca.ca.issuing_root_pem();
    let served = openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await.unwrap();
    assert_eq!((served.chain.len(), served.serial), (3, stage.issued_serial("www").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_old_pair_goes_on_being_served_it_is_put_back() {
    let (stage, pebble) = delivered().await;
    let before = served_from(&pebble, &stage, "www", SERVER_NAME).await;
    let objects = stage.objects();
    stage.lab.hold_certificates(HeldCertificates::VirtualService(SHOP.to_owned()));
    let ended = stage.certferry(&RENEW).await.expect_exit(5);
    assert!(ended.stderr().contains(&before.serial), "what is served instead is named: {}", ended.stderr());
    assert_eq!(differences(&objects, &stage.objects()), set(&[]), "the old pair is back");
    let status = stage.status("www").await;
    assert_eq!(
        (&status["state"], &status["deployments"][0]["state"]),
        (&"failing".into(), &"failed".into()),
        "{status}"
    );
    assert_eq!(status["deployments"][0]["served_serial"], before.serial);
    let history = stage.certferry(&["history"]).await.expect_exit(0).stdout();
    assert!(history.contains("roll_back"), "{history}");

    stage.lab.release_certificates();
    assert_eq!(stage.served(SERVER_NAME).await, before, "the key that came back belongs to the certificate");
    stage.apply().await;
    let now = served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_ne!(now, before);
    assert_eq!(issued(&pebble), 2, "no further order");
    nothing_is_left_to_do(&stage, &pebble).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_certificate_that_is_not_served_gives_way_to_the_one_made_by_hand() {
    let stage = AviStage::new().await;
    let pebble = pebble(&stage, PebbleVersion::V2_4).await;
    stage.configure(&stage.config(&issuer(&pebble), stage.www()).verify_within("2s")).await;
    let service = stage.objects()["virtualservice shop-443"].clone();
    stage.lab.hold_certificates(HeldCertificates::All);
    stage.certferry(&["apply"]).await.expect_exit(5);
    assert_eq!(stage.bound(SHOP), BY_HAND);
    assert_eq!(stage.objects()["virtualservice shop-443"], service);
    stage.lab.release_certificates();
    stage.apply().await;
    served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(issued(&pebble), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_controller_refuses_is_tried_again_without_an_order() {
    let (stage, pebble) = delivered().await;
    let before = served_from(&pebble, &stage, "www", SERVER_NAME).await;
    let refusal = Effect::answer(400, "Import error: not today");
    stage.lab.add_fault(Fault::new("PUT sslkeyandcertificate", refusal).always());
    let ended = stage.certferry(&RENEW).await.expect_exit(4);
    for piece in ["Import error: not today", "cf-www", "PUT sslkeyandcertificate"] {
        assert!(ended.stderr().contains(piece), "{piece}: {}", ended.stderr());
    }
    assert_eq!(stage.served(SERVER_NAME).await, before);
    stage.lab.clear_faults();
    let changed = apply_as_planned(&stage).await;
    assert_eq!(changed, set(&["sslkeyandcertificate cf-www: certificate"]));
    served_from(&pebble, &stage, "www", SERVER_NAME).await;
    assert_eq!(issued(&pebble), 2);
}
