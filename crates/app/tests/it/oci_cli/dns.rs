//! The real CLI reads and patches record sets in the lab's OCI DNS, as certferry does.

use certferry_lab::oci_dns::OciDnsLab;
use certferry_lab::oci_load_balancer::{ApiKey, KeyLabel};
use serde_json::json;

use crate::parts::oci_cli::OciCli;

const ZONE: &str = "some-domain.test";
const RECORD: &str = "_acme-challenge.some-domain.test";

#[tokio::test(flavor = "multi_thread")]
async fn the_real_cli_adds_reads_and_removes_txt_values() {
    let lab = OciDnsLab::start().await.unwrap();
    lab.add_zone(ZONE, "ocid1.compartment.oc1..dns", &["ns1.lab.test"]);
    let folder = tempfile::tempdir().unwrap();
    let key = ApiKey::generate().unwrap();
    lab.register_key(key.key_id(), key.public_key_der());
    let files = key.write_config(folder.path(), KeyLabel::Absent).unwrap();
    let cli = OciCli::new(lab.endpoint(), &files.config);

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
