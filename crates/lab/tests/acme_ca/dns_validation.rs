//! dns-01 (RFC 8555 §8.4) at a server of the test's own, and the wildcards that it is needed for.

use aws_lc_rs::digest::{SHA256, digest};
use certferry_lab::oci_dns::OciDnsLab;
use rcgen::KeyPair;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

use crate::account_key::encode;
use crate::world::{Order, World, challenge, csr};

const NAME: &str = "some-domain.test";
const WILDCARD: &str = "*.some-domain.test";
const RECORD: &str = "_acme-challenge.some-domain.test";

/// A CA that asks the name server of a zone.
struct Zoned {
    world: World,
    zone: OciDnsLab,
}

impl Zoned {
    async fn new() -> Self {
        let (world, zone) = (World::new().await, OciDnsLab::start().await.unwrap());
        zone.add_zone(NAME, "compartment", &["ns1.lab.test"]);
        world.ca.resolve_challenges_at(zone.name_server());
        Self { world, zone }
    }

    fn set(&self, kind: &str, record: &str, values: &[&str]) {
        self.zone.set(NAME, record, kind, 60, values);
    }

    /// The order's only authorization: its URL, and itself.
    async fn authorization(&self, order: &Order) -> (String, Value) {
        let url = order.authorizations().remove(0);
        let authorization = self.world.client.post_as_get(&url).await.json();
        (url, authorization)
    }

    /// RFC 8555 §8.4: the digest of the key authorization.
    fn expected(&self, authorization: &Value) -> String {
        let token = challenge(authorization, "dns-01")["token"].as_str().unwrap();
        let key_authorization = format!("{token}.{}", self.world.client.key.thumbprint());
        encode(digest(&SHA256, key_authorization.as_bytes()).as_ref())
    }

    /// What becomes of an authorization for [`NAME`] when its record has these values; `{}` is the expected one.
    async fn tried(&self, values: &[&str]) -> Value {
        let (url, authorization) = self.authorization(&self.world.order(&[NAME]).await).await;
        let expected = self.expected(&authorization);
        let values: Vec<String> = values.iter().map(|value| value.replace("{}", &expected)).collect();
        self.set("TXT", RECORD, &values.iter().map(String::as_str).collect::<Vec<_>>());
        self.world.respond_to(challenge(&authorization, "dns-01"), &url).await
    }
}

#[tokio::test]
async fn the_digest_of_the_key_authorization_proves_a_name() {
    let zoned = Zoned::new().await;
    for values in [&["\"{}\""][..], &["\"somebody-elses\"", "\"{}\""]] {
        let outcome = zoned.tried(values).await;
        assert_eq!(outcome["status"], "valid", "{values:?}: {outcome}");
        let [challenge] = &outcome["challenges"].as_array().unwrap()[..] else { panic!("one challenge: {outcome}") };
        assert_eq!((&challenge["type"], &challenge["status"]), (&json!("dns-01"), &json!("valid")));
        // An order that is ready would come back for the same name.
        zoned.world.ca.advance(jiff::SignedDuration::from_hours(24 * 8));
    }
    assert_eq!(zoned.world.ca.validation_requests(), [], "nothing was asked by HTTP");
}

#[tokio::test]
async fn a_value_in_several_strings_is_one() {
    let zoned = Zoned::new().await;
    let (url, authorization) = zoned.authorization(&zoned.world.order(&[NAME]).await).await;
    let expected = zoned.expected(&authorization);
    let (begin, end) = expected.split_at(20);
    zoned.set("TXT", RECORD, &[&format!("\"{begin}\" \"{end}\"")]);
    let outcome = zoned.world.respond_to(challenge(&authorization, "dns-01"), &url).await;
    assert_eq!(outcome["status"], "valid", "{outcome}");
}

#[tokio::test]
async fn another_value_is_unauthorized() {
    let zoned = Zoned::new().await;
    for values in [&["\"another\""][..], &["\"{}=\""], &["\"another\"", "\"{}x\""]] {
        let outcome = zoned.tried(values).await;
        assert_eq!(outcome["status"], "invalid", "{values:?}: {outcome}");
        let error = &challenge(&outcome, "dns-01")["error"];
        assert_eq!(error["type"], "urn:ietf:params:acme:error:unauthorized", "{values:?}: {outcome}");
        assert!(error["detail"].as_str().unwrap().contains(RECORD), "{outcome}");
    }
}

#[tokio::test]
async fn a_name_of_which_nothing_can_be_learned_is_a_dns_failure() {
    let zoned = Zoned::new().await;
    let outcome = zoned.tried(&[]).await;
    let error = &challenge(&outcome, "dns-01")["error"];
    assert_eq!(error["type"], "urn:ietf:params:acme:error:dns", "{outcome}");
    assert!(error["detail"].as_str().unwrap().contains("Non-Existent Domain"), "{outcome}");

    let closed = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    zoned.world.ca.resolve_challenges_at(closed);
    let outcome = zoned.tried(&["\"{}\""]).await;
    assert_eq!(challenge(&outcome, "dns-01")["error"]["type"], "urn:ietf:params:acme:error:dns", "{outcome}");
}

#[tokio::test]
async fn a_record_may_be_an_alias() {
    let zoned = Zoned::new().await;
    let (url, authorization) = zoned.authorization(&zoned.world.order(&[NAME]).await).await;
    zoned.set("CNAME", RECORD, &["here.some-domain.test."]);
    zoned.set("TXT", "here.some-domain.test", &[&format!("\"{}\"", zoned.expected(&authorization))]);
    let outcome = zoned.world.respond_to(challenge(&authorization, "dns-01"), &url).await;
    assert_eq!(outcome["status"], "valid", "{outcome}");
}

/// RFC 8555 §7.1.3: a wildcard is proved by its base name; what proves the base name does not prove it.
#[tokio::test]
async fn a_name_and_its_wildcard_are_proved_side_by_side_and_issued_for() {
    let zoned = Zoned::new().await;
    let (world, names) = (&zoned.world, [WILDCARD, NAME]);
    world.ca.set_behaviour(|behaviour| behaviour.reuse_authorizations = true);
    let order = world.order(&names).await;
    let mut seen = Vec::new();
    for url in order.authorizations() {
        let authorization = world.client.post_as_get(&url).await.json();
        assert_eq!(authorization["identifier"], json!({ "type": "dns", "value": NAME }));
        let kinds = authorization["challenges"].as_array().unwrap().iter().map(|challenge| challenge["type"].clone());
        seen.push((authorization["wildcard"].clone(), kinds.collect::<Vec<_>>()));
    }
    assert_eq!(
        seen,
        [
            (json!(true), vec![json!("dns-01")]),
            (Value::Null, vec![json!("http-01"), json!("dns-01"), json!("tls-alpn-01")]),
        ]
    );
    let mut values = vec!["\"somebody-elses\"".to_owned()];
    for url in order.authorizations() {
        let authorization = world.client.post_as_get(&url).await.json();
        values.push(format!("\"{}\"", zoned.expected(&authorization)));
        zoned.set("TXT", RECORD, &values.iter().map(String::as_str).collect::<Vec<_>>());
        let outcome = world.respond_to(challenge(&authorization, "dns-01"), &url).await;
        assert_eq!(outcome["status"], "valid", "{outcome}");
    }
    let answer = world.finalize(&order, &csr(&names, &KeyPair::generate().unwrap())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut issued = world.certificate(&order).await.leaf().names.clone();
    issued.sort();
    assert_eq!(issued, names);
}

#[tokio::test]
async fn a_wildcard_is_not_proved_by_http() {
    let zoned = Zoned::new().await;
    let (url, authorization) = zoned.authorization(&zoned.world.order(&[WILDCARD]).await).await;
    let challenge = challenge(&authorization, "dns-01")["url"].as_str().unwrap().replace("dns-01", "http-01");
    zoned.world.client.post(&challenge, &json!({})).await.is_problem(404, "malformed");
    assert_eq!(zoned.world.client.post_as_get(&url).await.json()["status"], "pending");
    assert_eq!(zoned.world.ca.validation_requests(), []);
}

#[tokio::test]
async fn a_valid_base_name_does_not_serve_its_wildcard() {
    let zoned = Zoned::new().await;
    zoned.world.ca.set_behaviour(|behaviour| behaviour.reuse_authorizations = true);
    assert_eq!(zoned.tried(&["\"{}\""]).await["status"], "valid");
    assert_eq!(zoned.world.order(&[WILDCARD]).await.body["status"], "pending");
}
