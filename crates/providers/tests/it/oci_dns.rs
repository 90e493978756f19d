//! OCI DNS against the lab.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::pointing::{AddressKind, AddressRecords, SeenFrom, SetChange};
use certferry_core::port::{DnsProvider, TxtRecord};
use certferry_core::{ErrorKind, SystemClock};
use certferry_lab::oci_dns::OciDnsLab;
use certferry_lab::oci_load_balancer::{Effect, Fault, KeyLabel};
use certferry_providers::dns::oci::{OciDns, OciDnsConfig};
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::oci::{ApiKeyFile, Auth, Limits, OciAccess, Principals};

const RECORD: &str = "_acme-challenge.www.some-domain.test";
const COMPARTMENT: &str = "ocid1.compartment.oc1..dns";

struct Fixture {
    lab: OciDnsLab,
    dns: OciDns,
    _folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let lab = OciDnsLab::start().await.unwrap();
    let key = lab.new_api_key().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let files = key.write_config(folder.path(), KeyLabel::Absent).unwrap();
    let backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(5) };
    let file = ApiKeyFile { config_file: files.config, profile: "DEFAULT".to_owned(), pass_phrase: None };
    let access = OciAccess {
        endpoint: Some(lab.endpoint().parse().unwrap()),
        limits: Limits { retry: Duration::from_secs(5), backoff, ..Limits::default() },
        ..OciAccess::signed_by(Auth::ApiKey(file))
    };
    let config = OciDnsConfig { access, compartment: None, view: None };
    let clock = Arc::new(SystemClock);
    let dns = OciDns::sharing("oci".parse().unwrap(), &config, clock, &Principals::default()).unwrap();
    Fixture { lab, dns, _folder: folder }
}

fn record(name: &str, value: &str) -> TxtRecord {
    TxtRecord { name: name.parse().unwrap(), value: value.to_owned() }
}

#[tokio::test]
async fn values_stand_side_by_side_and_each_goes_by_itself() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &["ns1.lab.test"]);
    for _ in 0..2 {
        dns.present(&record(RECORD, "one")).await.unwrap();
        dns.present(&record(RECORD, "two")).await.unwrap();
        assert_eq!(lab.values(RECORD, "TXT"), ["\"one\"", "\"two\""]);
    }
    for _ in 0..2 {
        dns.withdraw(&record(RECORD, "one")).await.unwrap();
        assert_eq!(lab.values(RECORD, "TXT"), ["\"two\""]);
    }
    dns.withdraw(&record(RECORD, "two")).await.unwrap();
    assert!(lab.values(RECORD, "TXT").is_empty());
    dns.withdraw(&record(RECORD, "two")).await.unwrap();
    let changes = lab.requests().iter().filter(|request| request.method == "PATCH").count();
    assert_eq!(changes, 4, "what is there already, or gone, is not written: {:?}", lab.requests());
}

#[tokio::test]
async fn the_zone_with_the_longest_name_is_taken() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &["ns1.lab.test"]);
    lab.add_zone("www.some-domain.test", COMPARTMENT, &["ns2.lab.test"]);
    let zone = dns.zone(&RECORD.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(
        (zone.name.as_str(), zone.servers.as_slice()),
        ("www.some-domain.test", &["ns2.lab.test".to_owned()][..])
    );
    dns.present(&record(RECORD, "one")).await.unwrap();
    let last = lab.requests().pop().unwrap();
    let target = format!("/20180115/zones/www.some-domain.test/records/{RECORD}/TXT");
    assert_eq!((last.operation, last.target), ("PatchRRSet".to_owned(), target));
}

#[tokio::test]
async fn the_time_to_live_of_others_values_is_kept() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    lab.set_txt("some-domain.test", RECORD, 3600, "by hand");
    dns.present(&record(RECORD, "one")).await.unwrap();
    dns.withdraw(&record(RECORD, "one")).await.unwrap();
    assert_eq!((lab.ttl(RECORD, "TXT"), lab.values(RECORD, "TXT")), (Some(3600), vec!["\"by hand\"".to_owned()]));
}

#[tokio::test]
async fn a_zone_that_is_not_there_names_the_policy() {
    let Fixture { lab: _lab, dns, .. } = fixture().await;
    let error = dns.present(&record(RECORD, "one")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("DNS provider `oci`"), "{error}");
    let hint = error.hint().unwrap();
    let statement = "`Allow group <group> to read dns-zones in compartment <compartment>`";
    assert!(hint.contains(statement) && hint.contains("`certferry policy oci`"), "{hint}");
}

#[tokio::test]
async fn a_right_that_is_missing_is_named_by_its_statement() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    lab.deny_changes("some-domain.test", "TXT");
    let error = dns.present(&record(RECORD, "one")).await.unwrap_err();
    assert!(error.to_string().contains(&format!("PatchRRSet on TXT {RECORD} in zone some-domain.test")), "{error}");
    let statement = format!(
        "`Allow group <group> to use dns-records in compartment <compartment> where all {{target.dns-zone.name = \
         'some-domain.test', target.dns-record.type = 'TXT', target.dns-domain.name = '{RECORD}'}}`"
    );
    assert!(error.hint().unwrap().contains(&statement), "{:?}", error.hint());
}

#[tokio::test]
async fn what_passes_is_repeated_and_what_does_not_is_told() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    lab.add_fault(Fault::new("*", Effect::answer(503, "InternalError", "busy")));
    lab.add_fault(Fault::new("*", Effect::too_many_requests(None)));
    dns.present(&record(RECORD, "one")).await.unwrap();
    assert_eq!(lab.values(RECORD, "TXT"), ["\"one\""]);
    lab.add_fault(Fault::new("GetZone", Effect::answer(400, "InternalError", "no")));
    let error = dns.withdraw(&record(RECORD, "one")).await.unwrap_err();
    assert!(error.to_string().contains("GetZone on zone"), "{error}");
}

/// What is to become of the records of one type.
fn change(found: &AddressRecords, kind: AddressKind, wanted: &[&str]) -> SetChange {
    SetChange {
        kind,
        found: found.records.iter().filter(|record| record.data.kind() == kind).cloned().collect(),
        wanted: wanted.iter().map(|address| address.parse().unwrap()).collect(),
        ttl: 300,
    }
}

#[tokio::test]
async fn address_records_are_made_and_read() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    for name in ["www.some-domain.test", "*.some-domain.test", "some-domain.test"] {
        let dns_name = name.parse().unwrap();
        let before = dns.address_records(&dns_name).await.unwrap();
        assert_eq!((before.zone.as_str(), before.seen_from), ("some-domain.test", SeenFrom::Everywhere));
        assert!(before.records.is_empty(), "{name}: {before:?}");
        for (kind, address) in [(AddressKind::A, "203.0.113.10"), (AddressKind::Aaaa, "2001:db8::10")] {
            // A second time there is nothing to do.
            for _ in 0..2 {
                dns.change_addresses(&dns_name, &change(&before, kind, &[address])).await.unwrap();
            }
            assert_eq!(
                (lab.values(name, kind.as_str()), lab.ttl(name, kind.as_str())),
                (vec![address.to_owned()], Some(300))
            );
        }
        let after = dns.address_records(&dns_name).await.unwrap();
        let after: Vec<String> = after.records.iter().map(|record| record.data.to_string()).collect();
        assert_eq!(after, ["A 203.0.113.10", "AAAA 2001:db8::10"]);
    }
}

#[tokio::test]
async fn what_is_replaced_is_what_was_seen_and_nothing_else() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    let (name, text) = ("www.some-domain.test".parse().unwrap(), "www.some-domain.test");
    lab.set("some-domain.test", text, "A", 3600, &["198.51.100.1", "198.51.100.2"]);
    let found = dns.address_records(&name).await.unwrap();
    dns.change_addresses(&name, &change(&found, AddressKind::A, &["198.51.100.2", "203.0.113.10"])).await.unwrap();
    assert_eq!(lab.values(text, "A"), ["198.51.100.2", "203.0.113.10"]);

    // An alias goes, and an address comes in its place.
    lab.set("some-domain.test", text, "A", 60, &[]);
    lab.set("some-domain.test", text, "CNAME", 60, &["elsewhere.test."]);
    let found = dns.address_records(&name).await.unwrap();
    let at_once = dns.change_addresses(&name, &change(&found, AddressKind::A, &["203.0.113.10"])).await;
    assert!(at_once.unwrap_err().to_string().contains("would not be alone"), "nothing stands beside an alias");
    dns.change_addresses(&name, &change(&found, AddressKind::Cname, &[])).await.unwrap();
    dns.change_addresses(&name, &change(&found, AddressKind::A, &["203.0.113.10"])).await.unwrap();
    assert_eq!((lab.values(text, "CNAME"), lab.values(text, "A")), (Vec::new(), vec!["203.0.113.10".to_owned()]));
}

/// Before the set is read again, and between that and the change.
#[tokio::test]
async fn what_somebody_else_wrote_in_between_stays() {
    for is_late in [false, true] {
        for before in [&[][..], &["198.51.100.1"]] {
            let Fixture { lab, dns, .. } = fixture().await;
            lab.add_zone("some-domain.test", COMPARTMENT, &[]);
            let (name, text) = ("www.some-domain.test".parse().unwrap(), "www.some-domain.test");
            lab.set("some-domain.test", text, "A", 60, before);
            let found = dns.address_records(&name).await.unwrap();
            match is_late {
                true => lab.set_before_next_patch("some-domain.test", text, "A", 60, &["198.51.100.9"]),
                false => lab.set("some-domain.test", text, "A", 60, &["198.51.100.9"]),
            }
            let error =
                dns.change_addresses(&name, &change(&found, AddressKind::A, &["203.0.113.10"])).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            assert!(error.to_string().contains("A 198.51.100.9"), "{error}");
            assert_eq!(lab.values(text, "A"), ["198.51.100.9"], "late: {is_late}, before: {before:?}");
        }
    }
}

/// A tag may be that of the whole zone; a set that is as it was is changed all the same.
#[tokio::test]
async fn a_change_elsewhere_and_an_answer_that_fails_do_not_stop_a_change() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    let (name, text) = ("www.some-domain.test".parse().unwrap(), "www.some-domain.test");
    lab.set("some-domain.test", text, "A", 60, &["198.51.100.1"]);
    let found = dns.address_records(&name).await.unwrap();
    // Written anew as it was: another tag for the same records.
    lab.set_before_next_patch("some-domain.test", text, "A", 60, &["198.51.100.1"]);
    dns.change_addresses(&name, &change(&found, AddressKind::A, &["203.0.113.10"])).await.unwrap();
    assert_eq!(lab.values(text, "A"), ["203.0.113.10"]);
    let patches = lab.requests().iter().filter(|request| request.method == "PATCH").count();
    assert_eq!(patches, 2, "{:?}", lab.requests());
}
