//! What the vendor's control script for ACME does wrong, one promise per defect: each test fails for a client that does
//! as the script does. The numbers are those of the list that this program was designed against; what takes a whole run
//! to show stands with the engine's and the program's tests, under the same numbers.
//!
//! 1. A policy set that a killed run left attached cannot be deleted, so that every later run fails.
//! 2. A failure on the second name leaves the first one's policy set and port 80 in place.
//! 3. Two names on one virtual service both add port 80 and both take it away.
//! 4. A clean-up that fails for one name ends the clean-up of the others, and hides the CA's error.
//! 5. The first hit of a substring search is taken: of another name, of layer 4, of a redirect.
//! 6. Virtual hosts with wildcards are not found, nor those of enhanced virtual hosting.
//! 7. A hit that is a parent ends in a change of `virtualservice/None`.
//! 8. With the FQDN at the parent's VS VIP, parent, child or a sharer is taken by chance.
//! 9. A range of ports that covers 80 is not seen.
//! 10. The policy set comes last, behind rules that redirect or refuse.
//! 11. A new account in each run.
//! 12. An order that is `ready` is taken for a failure.
//! 13. The contact is sent in each run, no account is looked up without being made, no Retry-After is kept, and each
//!     request fetches a nonce.
//! 14. No other writer is reckoned with, no second page is read, and there is one tenant only.
//! 15. The chain is printed, and the password is a parameter.
//! 16. A wildcard name ends in an IndexError.
//! 17. The self-check needs the public address to be reachable from the controller.

mod conversation;
mod finding;
mod leftovers;

use std::net::{IpAddr, SocketAddr};

use certferry_core::Identifier;
use certferry_core::port::{LoadBalancer, Probe};
use certferry_lab::avi_controller::{AbsentElement, AviLab};
use certferry_providers::load_balancer::avi::Port80;
use certferry_providers::probe::NetworkProbe;
use serde_json::{Value, json};

use crate::avi_fixture::{Fixture, challenge};

/// With nothing kept between orders, and nothing in the config that says where a name leads: as the script looks for it.
async fn by_name_only(port_80: Port80, names: &[&str]) -> Fixture {
    let names: Vec<Identifier> = names.iter().map(|name| name.parse().unwrap()).collect();
    Fixture::with(|config| {
        let http01 = config.http01.as_mut().unwrap();
        (http01.port_80, http01.keep) = (port_80, false);
        http01.names = names.into_iter().map(|name| (name, Vec::new())).collect();
    })
    .await
}

/// With `NAME` and `OTHER` on `shop-443`.
async fn two_names(port_80: Port80) -> Fixture {
    Fixture::with(|config| {
        let http01 = config.http01.as_mut().unwrap();
        (http01.port_80, http01.keep) = (port_80, false);
        http01.names.insert(OTHER.parse().unwrap(), vec!["shop-443".parse().unwrap()]);
    })
    .await
}

/// A second name beside `NAME`.
const OTHER: &str = "shop.some-domain.com";

/// Makes an object as an administrator does, and gives its path.
fn make(lab: &AviLab, kind: &str, object: Value) -> String {
    format!("/api/{kind}/{}", lab.create("admin", kind, object).unwrap())
}

/// A VS VIP with one address and one name in its DNS.
fn vs_vip(lab: &AviLab, address: &str, fqdn: &str) -> String {
    let vip = json!({"vip_id": "0", "ip_address": {"addr": address, "type": "V4"}});
    let name = format!("vip-{address}");
    let dns = json!([{"fqdn": fqdn, "type": "DNS_RECORD_A"}]);
    make(lab, "vsvip", json!({"name": name, "vip": [vip], "dns_info": dns}))
}

/// Where port 80 of an address is answered.
fn port_80_of(fixture: &Fixture, address: &str) -> SocketAddr {
    fixture.lab.data_plane_address(address.parse::<IpAddr>().unwrap(), 80).unwrap()
}

/// What a CA gets there for a name and a token: status and body.
async fn fetched(fixture: &Fixture, address: &str, name: &str, token: &str) -> Result<(u16, String), String> {
    let answer = NetworkProbe::new().http01(port_80_of(fixture, address), &name.parse().unwrap(), token).await?;
    Ok((answer.status, answer.body))
}

/// Presents, fetches as a CA does, withdraws; afterwards everything is as it was.
async fn answers(fixture: &Fixture, address: &str, name: &str, context: &str) {
    let before = configuration(&fixture.lab);
    let challenge = challenge("Tok-en_1");
    let presented = fixture.edge.present(&name.parse().unwrap(), &challenge).await;
    assert!(presented.is_ok(), "{context}: {presented:?}");
    let expected = Ok((200, challenge.key_authorization.clone()));
    assert_eq!(fetched(fixture, address, name, &challenge.token).await, expected, "{context}");
    fixture.edge.withdraw(&challenge.token).await.unwrap();
    assert_eq!(configuration(&fixture.lab), before, "{context}");
}

/// All that a challenge could change, without the times of change.
fn configuration(lab: &AviLab) -> [Vec<Value>; 3] {
    ["virtualservice", "httppolicyset", "vsvip"].map(|kind| {
        let mut objects = lab.objects(kind).unwrap();
        objects.iter_mut().for_each(|object| drop(object.as_object_mut().unwrap().remove("_last_modified")));
        objects
    })
}

/// The services of a virtual service that cover port 80.
fn on_port_80(fixture: &Fixture, virtual_service: &str) -> usize {
    let object = fixture.lab.object("virtualservice", virtual_service).unwrap();
    let number = |service: &Value, key: &str| service[key].as_u64().unwrap_or_default();
    let covers = |service: &&Value| {
        let first = number(service, "port");
        (first..=number(service, "port_range_end").max(first)).contains(&80)
    };
    object["services"].as_array().unwrap().iter().filter(covers).count()
}

/// How many policy sets a virtual service links to.
fn links(fixture: &Fixture, virtual_service: &str) -> usize {
    let object = fixture.lab.object("virtualservice", virtual_service).unwrap();
    object["http_policies"].as_array().map_or(0, Vec::len)
}

/// As strict as a controller may be: taking away what is not there is an error.
fn strict(fixture: &Fixture) {
    fixture.lab.set_behaviour(|behaviour| behaviour.absent_patch_element = AbsentElement::Refused);
}

/// The calls that the controller refused, but for lost races.
fn refused(fixture: &Fixture) -> Vec<String> {
    let calls = fixture.lab.requests().into_iter();
    let refused = calls.filter(|call| matches!(call.status, Some(400 | 403 | 404 | 500..)));
    refused.map(|call| format!("{} {:?}", call.operation, call.error)).collect()
}
