//! `certferry dns point`: address records in OCI DNS, on request.

use certferry_lab::oci_dns::OciDnsLab;
use serde_json::{Value, json};

use crate::dns::Dns;
use crate::parts::bind::{Bind, Key, POINTER, WRITER};
use crate::stage::{LabCa, RESOLVER_FILE, SERVER_NAME, Stage, front};

const ZONE: &str = "some-domain.test";
const ADDRESS: &str = "203.0.113.10";
const SIX: &str = "2001:db8::10";

/// A load balancer with addresses, OCI DNS with [`ZONE`], and a config for [`SERVER_NAME`].
struct Ground {
    stage: Stage,
    ca: LabCa,
    zone: OciDnsLab,
    /// The DNS provider's entry in the config.
    provider: String,
}

impl Ground {
    async fn with_addresses(addresses: &[&str]) -> Self {
        let mut spec = front(&[("https", 443)]);
        spec.configuration["ipAddresses"] = addresses.iter().map(|address| json!({ "ipAddress": address })).collect();
        Self::on(Stage::with(vec![("front", spec)]).await).await
    }

    async fn on(stage: Stage) -> Self {
        let zone = OciDnsLab::start().await.unwrap();
        zone.add_zone(ZONE, "ocid1.compartment.oc1..dns", &["ns1.lab.test"]);
        let files = stage.new_dns_key(&zone);
        let provider = format!(
            "    oci:\n      auth: {{ api-key: {{ config-file: {} }} }}\n      endpoint: {}\n",
            files.config.display(),
            zone.endpoint()
        );
        let ca = stage.lab_ca().await;
        let ground = Self { stage, ca, zone, provider };
        ground.configure(&ground.stage.www());
        ground
    }

    fn configure(&self, certificates: &str) {
        let entry = format!("{certificates}dns:\n  oci:\n{}", self.provider);
        self.stage.configure(&self.ca.issuer(), &entry);
    }

    /// With a zone of BIND's instead.
    fn configure_rfc2136(&self, bind: &Bind, Key { name, algorithm, secret }: Key) {
        std::fs::write(self.stage.path("tsig.key"), secret).unwrap();
        let tsig = format!("{{ name: {name}, algorithm: {algorithm}, secret: file:tsig.key }}");
        let dns = format!("dns:\n  bind:\n    rfc2136: {{ server: {}, tsig: {tsig} }}\n", bind.address());
        self.stage.configure(&self.ca.issuer(), &format!("{}{dns}", self.stage.www()));
    }

    /// `dns point` with these arguments: its JSON.
    async fn point(&self, arguments: &[&str], exit: i32) -> Value {
        let arguments = [&["dns", "point", "--output", "json"], arguments].concat();
        self.stage.certferry(&arguments).await.expect_exit(exit).json()
    }

    fn changes(&self) -> usize {
        self.zone.requests().iter().filter(|request| request.method != "GET").count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_pointed_on_request_and_a_second_time_there_is_nothing_to_do() {
    let ground = Ground::with_addresses(&[ADDRESS, SIX]).await;
    let text = ground.stage.certferry(&["dns", "point", "--dry-run"]).await.expect_exit(2).stdout();
    assert!(text.contains("add A 203.0.113.10 (TTL 300); add AAAA 2001:db8::10 (TTL 300)"), "{text}");
    assert!(text.contains("1 to point at DNS provider oci"), "{text}");
    let refused = ground.stage.certferry(&["dns", "point"]).await.expect_exit(64);
    assert!(refused.stderr().contains("no terminal to ask on; add `--yes`"), "{}", refused.stderr());
    assert_eq!(ground.changes(), 0, "only looked at: {:?}", ground.zone.requests());
    assert!(!ground.stage.path("certferry.db").exists(), "a look makes no state");

    let done = ground.point(&["www", "--yes", "--ttl", "600"], 0).await;
    assert_eq!((&done["done"], &done["provider"], &done["names"][0]["zone"]), (&json!(1), &json!("oci"), &json!(ZONE)));
    let changes = json!([
        { "type": "A", "remove": [], "add": [ADDRESS], "ttl": 600 },
        { "type": "AAAA", "remove": [], "add": [SIX], "ttl": 600 },
    ]);
    assert_eq!((&done["names"][0]["action"], &done["names"][0]["changes"]), (&json!("pointed"), &changes));
    assert_eq!(
        (ground.zone.values(SERVER_NAME, "A"), ground.zone.ttl(SERVER_NAME, "A")),
        (vec![ADDRESS.to_owned()], Some(600))
    );
    assert_eq!(ground.zone.values(SERVER_NAME, "AAAA"), [SIX]);

    let written = ground.changes();
    let again = ground.stage.certferry(&["dns", "point"]).await.expect_exit(0).stdout();
    assert!(again.contains("leads there already") && again.contains("nothing to do"), "{again}");
    assert_eq!(ground.point(&["--plan"], 0).await["names"][0]["action"], "already");
    assert_eq!(ground.changes(), written);
    let history = ground.stage.certferry(&["history", "--output", "json"]).await.expect_exit(0).stdout();
    assert!(history.contains("\"point\"") && history.contains("add AAAA 2001:db8::10"), "{history}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_wrote_stays_unless_it_may_go() {
    let ground = Ground::with_addresses(&[ADDRESS]).await;
    for (kind, value) in [("A", "198.51.100.1"), ("AAAA", SIX), ("CNAME", "elsewhere.net.")] {
        ground.zone.set(ZONE, SERVER_NAME, kind, 3600, &[value]);
        let before = ground.changes();
        let ended = ground.stage.certferry(&["dns", "point", "--yes"]).await.expect_exit(1);
        let said = format!("name `{SERVER_NAME}`: zone {ZONE} has {kind} {value} there");
        assert!(ended.stderr().contains(&said) && ended.stderr().contains("`--replace`"), "{}", ended.stderr());
        assert!(ended.stdout().contains(&format!("{kind} {value} (TTL 3600)")), "{}", ended.stdout());
        assert_eq!((ground.zone.values(SERVER_NAME, kind), ground.changes()), (vec![value.to_owned()], before));

        let plan = ground.stage.certferry(&["dns", "point", "--replace", "--plan"]).await.expect_exit(2).stdout();
        assert!(plan.contains(&format!("{kind} {value}")), "what goes is told: {plan}");
        ground.point(&["--replace", "--yes"], 0).await;
        assert_eq!(ground.zone.values(SERVER_NAME, "A"), [ADDRESS], "{kind}");
        assert!(kind == "A" || ground.zone.values(SERVER_NAME, kind).is_empty(), "{kind}");
        ground.zone.set(ZONE, SERVER_NAME, "A", 60, &[]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_leads_to_the_load_balancer_is_left_alone() {
    let ground = Ground::with_addresses(&[ADDRESS]).await;
    let resolver = Dns::start();
    std::fs::write(ground.stage.path(RESOLVER_FILE), resolver.address().to_string()).unwrap();
    ground.zone.set(ZONE, SERVER_NAME, "CNAME", 60, &["lb.some-domain.test."]);
    resolver.point(SERVER_NAME, &["198.51.100.1"]);
    ground.point(&["--plan"], 1).await;
    resolver.point(SERVER_NAME, &[ADDRESS]);
    let document = ground.point(&["--plan"], 0).await;
    assert_eq!(document["names"][0]["why"], "by way of CNAME lb.some-domain.test.", "{document}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_get_records_of_their_own() {
    let ground = Ground::with_addresses(&[ADDRESS]).await;
    let names = format!("names: ['*.{ZONE}', {ZONE}]\n    dns01: oci");
    ground.configure(&ground.stage.www().replace(&format!("names: [{SERVER_NAME}]"), &names));
    ground.point(&["--yes"], 0).await;
    assert_eq!(
        (ground.zone.values(&format!("*.{ZONE}"), "A"), ground.zone.values(ZONE, "A")),
        (vec![ADDRESS.to_owned()], vec![ADDRESS.to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_not_shown_to_everybody() {
    let ground = Ground::with_addresses(&["10.0.0.7"]).await;
    let ended = ground.stage.certferry(&["dns", "point", "--yes", "--inside"]).await.expect_exit(1);
    let said = format!("has private addresses only (10.0.0.7), and zone {ZONE} is seen by everybody");
    assert!(ended.stderr().contains(&said), "{}", ended.stderr());
    assert_eq!(ground.changes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_served_in_two_places_is_pointed_where_it_is_told() {
    let spec = |address: &str| {
        let mut spec = front(&[("https", 443)]);
        spec.configuration["ipAddresses"] = json!([{ "ipAddress": address }]);
        spec
    };
    let stage = Stage::with(vec![("front", spec(ADDRESS)), ("back", spec("203.0.113.20"))]).await;
    let ground = Ground::on(stage).await;
    ground.configure(&format!("{}{}", ground.stage.www(), ground.stage.deploy(1, "https", 443)));
    let document = ground.point(&["--yes"], 1).await;
    let why = document["names"][0]["why"].as_str().unwrap();
    assert!(why.contains("`back`, `front`") && why.contains("`--to LB`"), "{why}");
    ground.point(&["--yes", "--to", "back"], 0).await;
    assert_eq!(ground.zone.values(SERVER_NAME, "A"), ["203.0.113.20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_write_the_records_is_named() {
    let ground = Ground::with_addresses(&[ADDRESS]).await;
    ground.zone.deny_changes(ZONE, "A");
    let ended = ground.stage.certferry(&["dns", "point", "--yes"]).await.expect_exit(1);
    for piece in [
        "certificate `www`: PatchRRSet on A www.some-domain.test",
        "use dns-records",
        "target.dns-record.type = 'A'",
        "certferry policy oci",
    ] {
        assert!(ended.stderr().contains(piece), "`{piece}` is missing: {}", ended.stderr());
    }
    let exec = "    exec: { command: [/bin/true] }\n";
    for (providers, arguments, pieces) in [
        ("", &[][..], &["no DNS provider that writes address records"][..]),
        (&*format!("dns:\n  hook:\n{exec}"), &[], &["no DNS provider that writes address records"]),
        (&format!("dns:\n  hook:\n{exec}"), &["--provider", "hook"], &["`hook` writes the TXT records of dns-01 only"]),
        (
            &format!("dns:\n  hook:\n{exec}  oci:\n{}", ground.provider),
            &["--provider", "oic"],
            &["no DNS provider `oic`", "hook, oci"],
        ),
        (&format!("dns:\n  one:\n{0}  two:\n{0}", ground.provider), &[], &["choose by `--provider`: one, two"]),
        (&format!("dns:\n  oci:\n{}", ground.provider), &["shop"], &["no certificate `shop`"]),
        (&format!("dns:\n  oci:\n{}", ground.provider), &["--to", "back"], &["no load balancer `back`"]),
        (&format!("dns:\n  oci:\n{}", ground.provider), &["--ttl", "5"], &["--ttl"]),
    ] {
        ground.stage.configure(&ground.ca.issuer(), &format!("{}{providers}", ground.stage.www()));
        let ended = ground.stage.certferry(&[&["dns", "point"], arguments].concat()).await.expect_exit(64);
        for piece in pieces {
            assert!(ended.stderr().contains(piece), "`{piece}` is missing: {}", ended.stderr());
        }
    }
}

/// The zone answers with its wildcard for every name; that is no record of the name.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_takes_dynamic_updates_is_written_as_well() {
    let ground = Ground::with_addresses(&[ADDRESS, SIX]).await;
    let (plain, aliased) = (Bind::start("").await, Bind::start("www CNAME elsewhere.test.").await);
    let added = |bind: &Bind, record: &str| bind.log().contains(&format!("adding an RR at '{SERVER_NAME}' {record}"));

    ground.configure_rfc2136(&plain, POINTER);
    let plan = ground.point(&["--plan"], 2).await;
    assert_eq!((&plan["names"][0]["found"], &plan["names"][0]["zone"]), (&json!([]), &json!(ZONE)));
    ground.point(&["--yes"], 0).await;
    assert!(added(&plain, "A 203.0.113.10") && added(&plain, "AAAA 2001:db8::10"), "{}", plain.log());
    assert_eq!(ground.point(&["--plan"], 0).await["names"][0]["action"], "already");

    ground.configure_rfc2136(&aliased, POINTER);
    let refused = ground.point(&["--yes"], 1).await;
    assert!(refused["names"][0]["why"].as_str().unwrap().contains("CNAME elsewhere.test."), "{refused}");
    ground.point(&["--yes", "--replace"], 0).await;
    assert!(aliased.log().contains(&format!("deleting an RR at {SERVER_NAME} CNAME")), "{}", aliased.log());
    assert_eq!(ground.point(&["--plan"], 0).await["names"][0]["action"], "already");

    // A key for dns-01 has no right to it.
    let bind = Bind::start("").await;
    ground.configure_rfc2136(&bind, WRITER);
    let denied = ground.point(&["--yes"], 1).await;
    let why = denied["names"][0]["why"].as_str().unwrap();
    assert!(why.contains("says REFUSED") && why.contains("grant acme name www.some-domain.test. A;"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_go_into_a_zone_that_is_said_to_be_seen_from_inside() {
    let ground = Ground::with_addresses(&["10.0.0.7"]).await;
    let bind = Bind::start("").await;
    ground.configure_rfc2136(&bind, POINTER);
    let refused = ground.point(&["--yes"], 1).await;
    assert!(refused["names"][0]["why"].as_str().unwrap().contains("`--inside`"), "{refused}");
    ground.point(&["--yes", "--inside"], 0).await;
    assert!(bind.log().contains(&format!("adding an RR at '{SERVER_NAME}' A 10.0.0.7")), "{}", bind.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_command_that_makes_the_records() {
    let ground = Ground::with_addresses(&[ADDRESS]).await;
    let resolver = Dns::start();
    std::fs::write(ground.stage.path(RESOLVER_FILE), resolver.address().to_string()).unwrap();
    let command = "`certferry dns point www`";
    let nothing = ground.stage.certferry(&["check", "--online"]).await.expect_exit(3).stderr();
    assert!(nothing.contains("neither an A nor an AAAA") && nothing.contains(command), "{nothing}");
    resolver.point(SERVER_NAME, &["198.51.100.1"]);
    let elsewhere = ground.stage.certferry(&["check", "--online"]).await.expect_exit(3).stderr();
    assert!(elsewhere.contains("points to 198.51.100.1") && elsewhere.contains(command), "{elsewhere}");
    ground.stage.configure(&ground.ca.issuer(), &ground.stage.www());
    let by_hand = ground.stage.certferry(&["check", "--online"]).await.expect_exit(3).stderr();
    assert!(!by_hand.contains("dns point"), "{by_hand}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_grant_of_a_dns_provider_is_printed() {
    let ground = Ground::with_addresses(&[ADDRESS]).await;
    ground.configure(&ground.stage.www().replace("    deploy:", "    dns01: oci\n    deploy:"));
    let text = ground.stage.certferry(&["policy", "oci"]).await.expect_exit(0).stdout();
    for piece in [
        "to read dns-zones in compartment <compartment> where target.dns-zone.name = '<zone of some-domain.test>'",
        "target.dns-record.type = 'TXT', target.dns-domain.name = '_acme-challenge.www.some-domain.test'}",
        "any {target.dns-record.type = 'A', target.dns-record.type = 'AAAA'}, target.dns-domain.name = 'www.some-domain.test'}",
    ] {
        assert!(text.contains(piece), "`{piece}` is missing:\n{text}");
    }
    let document = ground.stage.certferry(&["policy", "oci", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!((&document["dns_provider"], document["statements"].as_array().unwrap().len()), (&json!("oci"), 2));
    assert_eq!(document["address_records"].as_array().unwrap().len(), 3, "{document}");
    let front = ground.stage.certferry(&["policy", "front", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!((&front["load_balancer"], &front["dns_provider"]), (&json!("front"), &Value::Null));
    let unknown = ground.stage.certferry(&["policy", "nowhere"]).await.expect_exit(64).stderr();
    assert!(unknown.contains("front, oci"), "{unknown}");
}
