//! OCI DNS: its log, and failures on demand.

use std::time::Duration;

use certferry_lab::oci_dns::OciDnsLab;
use certferry_lab::oci_load_balancer::{ApiKey, Effect, Fault, RetryAfter};
use serde_json::{Value, json};

use crate::client::Client;

const ZONE: &str = "some-domain.test";
const NAME: &str = "www.some-domain.test";
const SET: &str = "/20180115/zones/some-domain.test/records/www.some-domain.test/TXT";

/// A zone, and a client that may do anything with it.
struct Zoned {
    lab: OciDnsLab,
    client: Client,
    key: ApiKey,
}

impl Zoned {
    async fn new() -> Self {
        let lab = OciDnsLab::start().await.unwrap();
        lab.add_zone(ZONE, "ocid1.compartment.oc1..dns", &["ns1.lab.test"]);
        let key = lab.new_api_key().unwrap();
        let client = Client::of(&lab.endpoint(), key.private_key_pem(), &key.key_id());
        Self { lab, client, key }
    }

    fn values(&self) -> Vec<String> {
        self.lab.values(NAME, "TXT")
    }
}

/// A patch that adds a value.
fn adds(value: &str) -> Value {
    json!({ "items": [{ "domain": NAME, "rtype": "TXT", "rdata": value, "ttl": 30, "operation": "ADD" }] })
}

#[tokio::test]
async fn every_call_is_logged_by_its_name() {
    let Zoned { lab, client, .. } = Zoned::new().await;
    let set = json!({ "items": [{ "domain": NAME, "rtype": "TXT", "rdata": "two", "ttl": 30 }] });
    client.get("/20180115/zones?compartmentId=ocid1.compartment.oc1..dns").await;
    client.get("/20180115/zones/some-domain.test").await;
    client.call("PATCH", SET, Some(&adds("one")), &[]).await;
    client.put(SET, &set).await;
    assert_eq!(lab.values(NAME, "TXT"), ["\"two\""]);
    let seen = lab.request_count();
    client.get(SET).await;
    client.delete(SET).await;
    client.get(SET).await.refused(404, "NotAuthorizedOrNotFound", "");
    client.get("/20180115/steeringPolicies").await.refused(404, "NotAuthorizedOrNotFound", "");
    let logged = |seen| -> Vec<(String, Option<u16>)> {
        lab.requests_after(seen).into_iter().map(|request| (request.operation, request.status)).collect()
    };
    let of = |name: &str, status| (name.to_owned(), Some(status));
    let last =
        [of("GetRRSet", 200), of("DeleteRRSet", 200), of("GetRRSet", 404), of("GET /20180115/steeringPolicies", 404)];
    assert_eq!(logged(seen), last);
    let first = [of("ListZones", 200), of("GetZone", 200), of("PatchRRSet", 200), of("UpdateRRSet", 200)];
    assert_eq!(logged(0), [&first[..], &last].concat());
    let patch = &lab.requests()[2];
    assert_eq!((patch.method.as_str(), patch.target.as_str(), &patch.body), ("PATCH", SET, &Some(adds("one"))));
}

#[tokio::test]
async fn a_rule_hits_the_calls_that_it_names() {
    let Zoned { lab, client, .. } = Zoned::new().await;
    lab.add_fault(Fault::new("PatchRRSet", Effect::too_many_requests(Some(RetryAfter::Seconds(7)))).after(1));
    client.call("PATCH", SET, Some(&adds("one")), &[]).await;
    assert_eq!(client.get(SET).await.status, 200);
    let answer = client.call("PATCH", SET, Some(&adds("two")), &[]).await;
    answer.refused(429, "TooManyRequests", "");
    assert_eq!((answer.header("retry-after"), lab.values(NAME, "TXT")), ("7", vec!["\"one\"".to_owned()]));
    assert_eq!(lab.pending_faults(), 0);
    lab.add_fault(Fault::new("*", Effect::HtmlPage { status: 503, body: "<html>busy</html>".into() }).always());
    for _ in 0..2 {
        let answer = client.get(SET).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (503, "text/html"));
    }
    lab.clear_faults();
    assert_eq!(client.get(SET).await.status, 200);
}

#[tokio::test]
async fn a_connection_closes_before_or_after_the_effect() {
    let zoned = Zoned::new().await;
    let patch = async || zoned.client.try_call("PATCH", SET, Some(&adds("one")), &[]).await;
    zoned.lab.add_fault(Fault::new("PatchRRSet", Effect::CloseBefore));
    patch().await.unwrap_err();
    assert_eq!(zoned.values(), [""; 0]);
    zoned.lab.add_fault(Fault::new("PatchRRSet", Effect::CloseAfter));
    patch().await.unwrap_err();
    assert_eq!(zoned.values(), ["\"one\""]);
    assert_eq!(zoned.lab.requests().pop().unwrap().status, None);
}

#[tokio::test]
async fn a_call_hangs_without_an_effect_or_with_one() {
    let zoned = Zoned::new().await;
    let body = adds("one");
    for (effect, values) in [(Effect::Hang, 0), (Effect::HangAfter, 1)] {
        zoned.lab.add_fault(Fault::new("PatchRRSet", effect));
        let call = zoned.client.call("PATCH", SET, Some(&body), &[]);
        tokio::time::timeout(Duration::from_millis(100), call).await.unwrap_err();
        assert_eq!((zoned.values().len(), zoned.lab.pending_faults()), (values, 0));
    }
}

#[tokio::test]
async fn a_wrong_signature_counts_for_no_rule() {
    let zoned = Zoned::new().await;
    zoned.lab.add_fault(Fault::new("GetZone", Effect::answer(500, "InternalServerError", "no")));
    let stranger = Client::of(&zoned.lab.endpoint(), zoned.key.private_key_pem(), "a/b/c");
    stranger.get("/20180115/zones/some-domain.test").await.refused(401, "NotAuthenticated", "");
    assert_eq!((zoned.lab.pending_faults(), zoned.lab.requests()[0].status), (1, Some(401)));
    zoned.client.get("/20180115/zones/some-domain.test").await.refused(500, "InternalServerError", "no");
}
