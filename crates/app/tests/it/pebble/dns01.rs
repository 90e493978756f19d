//! dns-01 against Pebble, which asks BIND: nothing of it goes through port 80.

use std::net::SocketAddr;

use certferry_lab::oci_dns::OciDnsLab;

use super::{ISSUED, count, issuer, served_from};
use crate::parts::bind::{Bind, CHALLENGES, DELEGATED, Key, WRITER, ZONE};
use crate::parts::pebble::{Pebble, PebbleOptions};
use crate::stage::{Ended, Stage};

const RECORD: &str = "_acme-challenge.some-domain.test";

#[tokio::test(flavor = "multi_thread")]
async fn a_name_and_its_wildcard_are_issued_on_one_certificate_and_served() {
    let (stage, bind) = (Stage::new().await, Bind::start(&format!("{RECORD}. TXT somebody-elses")).await);
    let pebble = asking(bind.address()).await;
    configure(&stage, &pebble, &bind, &rfc2136(&stage, &bind, WRITER));
    stage.apply().await;

    let served = served_from(&pebble, &stage).await;
    assert_eq!(served.chain.len(), 2, "a leaf and its issuer");
    assert_eq!(bind.txt(RECORD).await, ["somebody-elses"], "ours are gone, and only ours");
    let added = bind.log().matches(&format!("adding an RR at '{RECORD}' TXT")).count();
    assert_eq!(added, 2, "a value for each name: {}", bind.log());
    assert!(!pebble.log().contains("Attempting to validate w/ HTTP"), "{}", pebble.log());
    let listeners = stage.load_balancer()["listeners"].as_object().unwrap().len();
    assert_eq!(listeners, 2, "no way for http-01 was made");
    let again = stage.apply().await;
    assert!(again.stdout().contains("nothing to do"), "{}", again.stdout());
    assert_eq!(count(&pebble, ISSUED), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_named_and_the_ca_is_not_asked() {
    let (stage, bind) = (Stage::new().await, Bind::start("").await);
    let pebble = asking(bind.address()).await;
    for (key, said, hint) in [
        (Key { name: "acne", ..WRITER }, "does not know TSIG key `acne` (BADKEY)", "the server's config"),
        (Key { secret: DELEGATED.secret, ..WRITER }, "TSIG key `acme` with another secret (BADSIG)", "secret"),
        (DELEGATED, "says REFUSED", "update-policy { grant delegated name _acme-challenge.some-domain.test. TXT; }"),
    ] {
        configure(&stage, &pebble, &bind, &rfc2136(&stage, &bind, key));
        let text = failed(stage.certferry(&["apply"]).await);
        assert!(text.contains(said) && text.contains(hint), "{said}: {text}");
        assert!(text.contains(RECORD) && text.contains("DNS provider `zone`"), "{text}");
        assert!(!text.contains(key.secret), "{text}");
    }
    assert!(!pebble.log().contains("Attempting to validate"), "{}", pebble.log());
    // With the right key the same order goes on.
    configure(&stage, &pebble, &bind, &rfc2136(&stage, &bind, WRITER));
    stage.apply().await;
    served_from(&pebble, &stage).await;
}

/// The key has no right on the real zone at all.
#[tokio::test(flavor = "multi_thread")]
async fn challenges_that_are_left_to_another_zone_by_cname_are_written_there() {
    let cname = format!("{RECORD}. CNAME here.{CHALLENGES}.");
    let (stage, bind) = (Stage::new().await, Bind::start(&cname).await);
    let pebble = asking(bind.address()).await;
    configure(&stage, &pebble, &bind, &rfc2136(&stage, &bind, DELEGATED));
    stage.apply().await;
    served_from(&pebble, &stage).await;
    let added = bind.log().matches(&format!("adding an RR at 'here.{CHALLENGES}' TXT")).count();
    assert_eq!(added, 2, "{}", bind.log());
    assert!(bind.txt(&format!("here.{CHALLENGES}")).await.is_empty());
}

/// A server that never gets the value, as a secondary whose zone transfer is broken.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_not_at_every_server_costs_no_request_to_the_ca() {
    let (stage, bind, stale) = (Stage::new().await, Bind::start("").await, Bind::start("").await);
    let pebble = asking(bind.address()).await;
    let servers = format!("    servers: [{}, {}]\n    propagate-within: 2s\n", bind.address(), stale.address());
    configure(&stage, &pebble, &bind, &format!("{}{servers}", kind(&stage, &bind, WRITER)));
    let text = failed(stage.certferry(&["apply"]).await);
    let said = format!("127.0.0.1 ({}) has no TXT record there", stale.address());
    assert!(text.contains(&said) && !text.contains(&format!("({})", bind.address())), "{text}");
    assert!(text.contains("propagate-within"), "{text}");
    assert!(!pebble.log().contains("Attempting to validate"), "{}", pebble.log());
    assert!(bind.txt(RECORD).await.is_empty(), "it is taken away again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_the_users_own_writes_the_record() {
    let stage = Stage::new().await;
    let pebble = Pebble::start(PebbleOptions::validating_at(1)).await;
    let script = format!(
        r#"#!/bin/bash
set -eu
echo "$1 $2 $CERTFERRY_DNS_NAME" >>calls
case $2 in present) call=set-txt ;; withdraw) call=clear-txt ;; esac
body="{{\"host\": \"$CERTFERRY_DNS_NAME.\", \"value\": \"$CERTFERRY_DNS_VALUE\"}}"
exec 3<>/dev/tcp/127.0.0.1/{port}
printf 'POST /%s HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s' "$call" "${{#body}}" "$body" >&3
read -r _ status _ <&3
[[ $status == 200 ]] || {{ echo "the name server says $status" >&2 && exit 1; }}
"#,
        port = pebble.dns_management_port(),
    );
    std::fs::write(stage.path("hook"), script).unwrap();
    configure_hook(&stage, &pebble);
    stage.apply().await;
    served_from(&pebble, &stage).await;
    let calls = std::fs::read_to_string(stage.path("calls")).unwrap();
    assert_eq!(calls, format!("--quick present {RECORD}\n--quick withdraw {RECORD}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_of_the_users_own_says_when_it_fails_is_told() {
    let stage = Stage::new().await;
    let pebble = Pebble::start(PebbleOptions::validating_at(1)).await;
    std::fs::write(stage.path("hook"), "echo 'no such zone at the provider' >&2; exit 7\n").unwrap();
    configure_hook(&stage, &pebble);
    let text = failed(stage.certferry(&["apply"]).await);
    assert!(text.contains("exit status: 7: no such zone at the provider"), "{text}");
}

/// The records go in and out by the API, and Pebble asks the zone itself; one challenge is left to another zone.
#[tokio::test(flavor = "multi_thread")]
async fn oci_dns_holds_the_challenges_of_a_name_and_its_wildcard() {
    let (stage, lab) = (Stage::new().await, OciDnsLab::start().await.unwrap());
    let server = lab.name_server();
    let compartment = "ocid1.compartment.oc1..dns";
    for zone in ["a.test", "challenges.test", ZONE] {
        lab.add_zone(zone, compartment, &["ns1.a.test"]);
    }
    lab.set("a.test", "_acme-challenge.a.test", "CNAME", 60, &["a.challenges.test."]);
    lab.set_txt(ZONE, RECORD, 3600, "somebody-elses");
    let files = stage.new_dns_key(&lab);
    let pebble = asking(server).await;
    let entry = format!(
        "  www:\n    names: ['*.a.test', a.test, '*.{ZONE}']\n    dns01: oci\n    deploy:\n{deploy}dns:\n  oci:\n    oci:\n      auth: {{ \
         api-key: {{ config-file: {config} }} }}\n      endpoint: {endpoint}\n    servers: [{server}]\nresolvers: [{server}]\n",
        deploy = stage.deploy(0, "https", 443),
        config = files.config.display(),
        endpoint = lab.endpoint(),
    );
    stage.configure(&issuer(&pebble), &entry);
    stage.apply().await;

    served_from(&pebble, &stage).await;
    assert!(!pebble.log().contains("Attempting to validate w/ HTTP"), "{}", pebble.log());
    let patches = |place: &str| {
        lab.requests().iter().filter(|one| one.operation == "PatchRRSet" && one.target.starts_with(place)).count()
    };
    assert_eq!(
        patches("/20180115/zones/challenges.test/records/a.challenges.test/TXT"),
        4,
        "in and out, for each name"
    );
    assert_eq!(patches(&format!("/20180115/zones/{ZONE}/records/{RECORD}/TXT")), 2);
    assert_eq!(patches("/20180115/zones/a.test/"), 0, "{:?}", lab.requests());
    assert!(lab.values("a.challenges.test", "TXT").is_empty());
    assert_eq!(lab.values(RECORD, "TXT"), ["\"somebody-elses\""], "ours is gone, and only ours");
    assert!(stage.apply().await.stdout().contains("nothing to do"));
    assert_eq!(count(&pebble, ISSUED), 1);
}

/// The stage's program `hook` writes the records that Pebble looks up.
fn configure_hook(stage: &Stage, pebble: &Pebble) {
    let dns = SocketAddr::from(([127, 0, 0, 1], pebble.dns_port()));
    let exec = format!("    exec: {{ command: [/bin/bash, ./hook, --quick] }}\n    servers: [{dns}]\n");
    let entry = format!(
        "  www:\n    names: ['*.{ZONE}']\n    dns01: zone\n    deploy:\n{}dns:\n  zone:\n{exec}resolvers: [{dns}]\n",
        stage.deploy(0, "https", 443)
    );
    stage.configure(&issuer(pebble), &entry);
}

/// Pebble, which looks every name up at `server`.
async fn asking(server: SocketAddr) -> Pebble {
    // Nothing listens on port 1: what is validated by http-01 all the same fails.
    Pebble::start(PebbleOptions { dns_server: Some(server), ..PebbleOptions::validating_at(1) }).await
}

fn configure(stage: &Stage, pebble: &Pebble, bind: &Bind, provider: &str) {
    let entry = format!(
        "  www:\n    names: ['*.{ZONE}', {ZONE}]\n    dns01: zone\n    deploy:\n{}dns:\n  zone:\n{provider}resolvers: \
         [{}]\n",
        stage.deploy(0, "https", 443),
        bind.address()
    );
    stage.configure(&issuer(pebble), &entry);
}

fn rfc2136(stage: &Stage, bind: &Bind, key: Key) -> String {
    format!("{}    servers: [{}]\n", kind(stage, bind, key), bind.address())
}

fn kind(stage: &Stage, bind: &Bind, key: Key) -> String {
    let Key { name, algorithm, secret } = key;
    std::fs::write(stage.path("tsig.key"), format!("{secret}\n")).unwrap();
    format!(
        "    rfc2136:\n      server: {}\n      tsig: {{ name: {name}, algorithm: {algorithm}, secret: file:tsig.key }}\n",
        bind.address()
    )
}

/// Everything that a run printed that could not issue.
#[track_caller]
fn failed(ended: Ended) -> String {
    let ended = ended.expect_exit(3);
    format!("{}{}", ended.stdout(), ended.stderr())
}
