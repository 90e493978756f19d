//! The whole program against Pebble, Let's Encrypt's test CA, with openssl as the judge of what is served.
//!
//! Pebble's http-01 requests go to the port where the lab's load balancer has its port 80, and the responder listens
//! elsewhere: what Pebble issues was validated through the load balancer.

mod amnesia;
mod certificates;
mod chains;
mod dns01;
mod first_run;
mod ip_addresses;
mod orders;
mod renewal;

use crate::parts::openssl::{self, Served};
use crate::parts::pebble::{Pebble, PebbleOptions};
use crate::stage::{Issuer, SERVER_NAME, Stage};

/// Pebble, which finds every name at the stage's first load balancer; `change` says what else is wanted of it.
async fn pebble(stage: &Stage, change: impl FnOnce(&mut PebbleOptions)) -> Pebble {
    let mut options = PebbleOptions::validating_at(stage.address(80).port());
    change(&mut options);
    Pebble::start(options).await
}

fn issuer(pebble: &Pebble) -> Issuer {
    Issuer { directory_url: pebble.directory_url(), trusted_root_pem: pebble.https_root_pem().to_owned() }
}

/// What listener `https` serves: a chain that leads to Pebble's root, for the stage's name. The test fails when it is
/// anything else, or another version than the one that certferry says it issued.
async fn served_from(pebble: &Pebble, stage: &Stage) -> Served {
    let root = pebble.issuing_root_pem(0).await;
    let served = openssl::served_and_trusted(stage.address(443), SERVER_NAME, &root).await;
    let served = served.unwrap_or_else(|said| panic!("openssl does not accept what is served: {said}"));
    assert_eq!(served.serial, stage.issued_serial().await, "another version is served than was issued");
    served
}

/// How often Pebble has printed `text`.
fn count(pebble: &Pebble, text: &str) -> usize {
    pebble.log().matches(text).count()
}

/// What Pebble prints when it issues.
const ISSUED: &str = "Issued certificate serial";
