//! OCI DNS against the lab.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::port::{DnsProvider, TxtRecord};
use certferry_core::{ErrorKind, SystemClock};
use certferry_lab::oci_dns::OciDnsLab;
use certferry_lab::oci_load_balancer::{ApiKey, KeyLabel};
use certferry_providers::dns::oci::{OciDns, OciDnsConfig};
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::oci::{ApiKeyFile, Auth, CustomRegions, Limits, Principals};

const RECORD: &str = "_acme-challenge.www.some-domain.test";
const COMPARTMENT: &str = "ocid1.compartment.oc1..dns";

struct Fixture {
    lab: OciDnsLab,
    dns: OciDns,
    _folder: tempfile::TempDir,
}

async fn fixture() -> Fixture {
    let lab = OciDnsLab::start().await.unwrap();
    let key = ApiKey::generate().unwrap();
    lab.register_key(key.key_id(), key.public_key_der());
    let folder = tempfile::tempdir().unwrap();
    let files = key.write_config(folder.path(), KeyLabel::Absent).unwrap();
    let backoff = Backoff { first: Duration::from_millis(1), longest: Duration::from_millis(5) };
    let file = ApiKeyFile { config_file: files.config, profile: "DEFAULT".to_owned(), pass_phrase: None };
    let config = OciDnsConfig {
        auth: Auth::ApiKey(file),
        endpoint: Some(lab.endpoint().parse().unwrap()),
        custom_regions: CustomRegions::default(),
        compartment: None,
        view: None,
        limits: Limits { retry: Duration::from_secs(5), backoff, ..Limits::default() },
    };
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
    let changes = lab.requests().iter().filter(|request| request.starts_with("PATCH")).count();
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
    assert_eq!(last, format!("PATCH /20180115/zones/www.some-domain.test/records/{RECORD}/TXT"));
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
    assert!(
        error.to_string().contains("DNS provider `oci`") && error.hint().unwrap().contains("read dns-zones"),
        "{error}"
    );
}

#[tokio::test]
async fn what_passes_is_repeated_and_what_does_not_is_told() {
    let Fixture { lab, dns, .. } = fixture().await;
    lab.add_zone("some-domain.test", COMPARTMENT, &[]);
    lab.answer_next([(503, "InternalError"), (429, "TooManyRequests")]);
    dns.present(&record(RECORD, "one")).await.unwrap();
    assert_eq!(lab.values(RECORD, "TXT"), ["\"one\""]);
    lab.answer_next([(400, "InternalError")]);
    let error = dns.withdraw(&record(RECORD, "one")).await.unwrap_err();
    assert!(error.to_string().contains("GetZone on zone"), "{error}");
}
