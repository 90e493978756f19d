//! The whole program against the lab's Avi controller, with Pebble as the CA and openssl as the judge of what is served.
//!
//! Pebble's http-01 requests go to the port where the lab has the VIP's port 80, and nothing but the lab's virtual services
//! listens there: what Pebble issues was validated by rules that certferry made on the controller.

mod both;
mod common_name;
mod controller_keys;
mod first_run;
mod ip_addresses;
mod port_80;
mod redirects;
mod renewal;
mod rights;
pub(crate) mod stage;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tokio::net::TcpStream;

use crate::parts::openssl::{self, Served};
use crate::parts::pebble::{Pebble, PebbleOptions, PebbleVersion};
use crate::stage::Issuer;
use stage::{AviStage, differences};

/// Pebble, which finds every name at the stage's VIP.
async fn pebble(stage: &AviStage, version: PebbleVersion) -> Pebble {
    Pebble::start(PebbleOptions { version, ..PebbleOptions::validating_at(stage.address(80).port()) }).await
}

fn issuer(pebble: &Pebble) -> Issuer {
    Issuer { directory_url: pebble.directory_url(), trusted_root_pem: pebble.https_root_pem().to_owned() }
}

/// How many certificates Pebble has issued.
fn issued(pebble: &Pebble) -> usize {
    pebble.log().matches("Issued certificate serial").count()
}

/// Runs `apply`, and gives what is different afterwards. The test fails when that is more than `plan` named. Issuers
/// belong to the upload of the certificate; all are called `cf-issuer` here.
async fn apply_as_planned(stage: &AviStage) -> BTreeSet<String> {
    let before = stage.objects();
    let named = named_by(&stage.plan().await, &before);
    assert_eq!(stage.objects(), before, "plan changes nothing");
    stage.apply().await;
    let changed = differences(&before, &stage.objects());
    for change in &changed {
        let object = change.trim_start_matches(['+', '-', ' ']).split([' ', ':']).nth(1).unwrap();
        assert!(named.contains(object) || object.starts_with("cf-issuer-"), "{change} is not in the plan: {named:?}");
    }
    changed.iter().map(|change| change.split("cf-issuer-").next().unwrap().to_owned()).collect()
}

/// The objects that steps name: bundles, and the virtual services that hold the references of listeners. Of a child with
/// enhanced virtual hosting that is its parent.
fn named_by(steps: &[Value], objects: &BTreeMap<String, Value>) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for step in steps {
        named.extend(step["object"].as_str().map(str::to_owned));
        let Some(listener) = step["listener"].as_str() else { continue };
        let service = objects.get(&format!("virtualservice {listener}"));
        let is_evh = service.is_some_and(|service| service["vh_type"] == "VS_TYPE_VH_ENHANCED");
        named.insert(if is_evh { stage::PARENT.to_owned() } else { listener.to_owned() });
    }
    named
}

/// A second `plan` and `apply` find nothing to do, write nothing and order nothing.
async fn nothing_is_left_to_do(stage: &AviStage, pebble: &Pebble) {
    let (objects, writes, certificates) = (stage.objects(), stage.writes().len(), issued(pebble));
    for command in ["plan", "apply"] {
        let ended = stage.certferry(&[command]).await.expect_exit(0);
        assert!(ended.stdout().contains("nothing to do"), "{command}: {}", ended.stdout());
    }
    assert_eq!(stage.writes().len(), writes);
    assert_eq!(stage.objects(), objects);
    assert_eq!(issued(pebble), certificates);
}

/// What port 443 serves for a name: a chain that leads to Pebble's root. The test fails when it is anything else, or another
/// version than the one that certferry says it issued for `certificate`.
async fn served_from(pebble: &Pebble, stage: &AviStage, certificate: &str, server_name: &str) -> Served {
    let root = pebble.issuing_root_pem(0).await;
    let served = openssl::served_and_trusted(stage.address(443), server_name, &root).await;
    let served = served.unwrap_or_else(|said| panic!("openssl does not accept what is served: {said}"));
    assert_eq!(served.serial, stage.issued_serial(certificate).await, "another version is served than was issued");
    served
}

/// Whether anything listens on port 80 of the VIP.
async fn listens_on_port_80(stage: &AviStage) -> bool {
    TcpStream::connect(stage.address(80)).await.is_ok()
}

/// The virtual services that answered requests for challenges with 200, and how often.
fn answered_challenges(stage: &AviStage) -> BTreeMap<String, usize> {
    let mut answered = BTreeMap::new();
    for request in stage.lab.data_plane_requests() {
        if request.uri_path.starts_with("/.well-known/acme-challenge/") && request.response_code == 200 {
            *answered.entry(request.virtual_service_name).or_default() += 1;
        }
    }
    answered
}

/// `expected` as [`apply_as_planned`] gives it.
fn set(expected: &[&str]) -> BTreeSet<String> {
    expected.iter().map(|&one| one.to_owned()).collect()
}
