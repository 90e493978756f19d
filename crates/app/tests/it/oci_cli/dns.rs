//! The real CLI reads and patches record sets in the lab's OCI DNS, as certferry does.

use certferry_lab::oci_dns::OciDnsLab;
use certferry_lab::oci_load_balancer::KeyLabel;
use serde_json::json;
use tempfile::TempDir;

use crate::parts::oci_cli::OciCli;

const ZONE: &str = "some-domain.test";
const RECORD: &str = "_acme-challenge.some-domain.test";

/// OCI DNS with [`ZONE`], and the CLI with a key for it in a folder.
async fn a_zone_and_the_cli() -> (OciDnsLab, OciCli, TempDir) {
    let lab = OciDnsLab::start().await.unwrap();
    lab.add_zone(ZONE, "ocid1.compartment.oc1..dns", &["ns1.lab.test"]);
    let folder = tempfile::tempdir().unwrap();
    let files = lab.new_api_key().unwrap().write_config(folder.path(), KeyLabel::Absent).unwrap();
    let cli = OciCli::new(lab.endpoint(), &files.config);
    (lab, cli, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_adds_reads_and_removes_txt_values() {
    let (lab, cli, _folder) = a_zone_and_the_cli().await;

    let zone = cli.run(&["dns", "zone", "get", "--zone-name-or-id", ZONE]).await.json();
    assert_eq!(zone["data"]["name"], ZONE);
    assert_eq!(zone["data"]["nameservers"][0]["hostname"], "ns1.lab.test");

    let set = ["--zone-name-or-id", ZONE, "--domain", RECORD, "--rtype", "TXT"];
    let patch = async |operation: &str, value: &str| {
        let item = json!([{
            "domain": RECORD, "rtype": "TXT", "rdata": format!("\"{value}\""), "ttl": 30, "operation": operation,
        }]);
        let change = ["dns", "record", "rrset", "patch", "--items", &item.to_string()];
        cli.run(&[&change[..], &set].concat()).await.json()
    };
    patch("ADD", "one").await;
    let both = patch("ADD", "two").await;
    assert_eq!(both["data"]["items"].as_array().map(Vec::len), Some(2), "{both}");
    patch("REMOVE", "one").await;
    let read = cli.run(&[&["dns", "record", "rrset", "get"][..], &set].concat()).await.json();
    assert_eq!(read["data"]["items"][0]["rdata"], "\"two\"", "{read}");
    assert_eq!(lab.values(RECORD, "TXT"), ["\"two\""]);
    patch("REMOVE", "two").await;
    let gone = cli.run(&[&["dns", "record", "rrset", "get"][..], &set].concat()).await;
    assert!(gone.exit_code != Some(0) && gone.stderr.contains("NotAuthorizedOrNotFound"), "{}", gone.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_makes_address_records_on_conditions() {
    let (lab, cli, _folder) = a_zone_and_the_cli().await;
    let name = "www.some-domain.test";
    let patch = async |kind: &str, more: &[&str], items: &[(&str, Option<&str>)]| {
        let items = items.iter().map(|(operation, rdata)| {
            let mut item = json!({ "domain": name, "rtype": kind, "operation": operation });
            if let Some(rdata) = rdata {
                item["rdata"] = json!(rdata);
                item["ttl"] = json!(300);
            }
            item
        });
        let items = items.collect::<serde_json::Value>().to_string();
        let set = ["--zone-name-or-id", ZONE, "--domain", name, "--rtype", kind, "--items", &items];
        cli.run(&[&["dns", "record", "rrset", "patch"], &set[..], more].concat()).await
    };

    // Only where there is nothing yet.
    let first = patch("A", &[], &[("PROHIBIT", None), ("ADD", Some("203.0.113.10"))]).await.json();
    assert_eq!(first["data"]["items"][0]["rdata"], "203.0.113.10", "{first}");
    let second = patch("A", &[], &[("PROHIBIT", None), ("ADD", Some("203.0.113.11"))]).await;
    assert!(second.exit_code != Some(0) && second.stderr.contains("\"status\": 409"), "{}", second.stderr);
    // Only if it is what it was.
    let read = ["dns", "record", "rrset", "get", "--zone-name-or-id", ZONE, "--domain", name, "--rtype", "A"];
    let tag = cli.run(&read).await.json()["etag"].as_str().unwrap().to_owned();
    let required = [("REQUIRE", Some("203.0.113.10")), ("REMOVE", Some("203.0.113.10")), ("ADD", Some("203.0.113.11"))];
    patch("A", &["--if-match", &tag], &required).await.json();
    let again = patch("A", &["--if-match", &tag], &[("ADD", Some("203.0.113.12"))]).await;
    assert!(again.exit_code != Some(0) && again.stderr.contains("NoEtagMatch"), "{}", again.stderr);
    let required = patch("A", &[], &required).await;
    assert!(required.exit_code != Some(0) && required.stderr.contains("\"status\": 409"), "{}", required.stderr);
    assert_eq!(lab.values(name, "A"), ["203.0.113.11"]);

    patch("AAAA", &[], &[("ADD", Some("2001:DB8::0:10"))]).await.json();
    assert_eq!(lab.values(name, "AAAA"), ["2001:db8::10"]);
    let alias = patch("CNAME", &[], &[("ADD", Some("lb.some-domain.test"))]).await;
    assert!(alias.exit_code != Some(0) && alias.stderr.contains("would not be alone"), "{}", alias.stderr);
    for kind in ["A", "AAAA"] {
        patch(kind, &[], &[("REMOVE", None)]).await.json();
    }
    patch("CNAME", &[], &[("ADD", Some("lb.some-domain.test"))]).await.json();
    assert_eq!(
        (lab.values(name, "A"), lab.values(name, "CNAME")),
        (Vec::new(), vec!["lb.some-domain.test.".to_owned()])
    );
}
