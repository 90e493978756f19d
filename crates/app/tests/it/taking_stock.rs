//! What is on a load balancer already, seen and taken under management.

use std::os::unix::fs::PermissionsExt;

use certferry_lab::oci_load_balancer::certificate_entry;
use certferry_lab::pki::Pki;
use serde_json::{Value, json};

use crate::avi::stage::{AviStage, SHOP};
use crate::stage::{BY_HAND, SERVER_NAME, Stage};

fn row<'a>(inventory: &'a Value, name: &str) -> &'a Value {
    let rows = inventory["certificates"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}: {inventory:#}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inventory_tells_what_certferry_made_from_what_it_did_not() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let before = stage.certferry(&["inventory", "front", "--output", "json"]).await.expect_exit(0).json();
    let by_hand = row(&before, BY_HAND);
    let listeners = json!([{"kind": "listener", "name": "https"}, {"kind": "listener", "name": "shop"}]);
    assert_eq!((&by_hand["used_by"], &by_hand["names"]), (&listeners, &json!([SERVER_NAME])));
    assert_eq!((&by_hand["made_by_certferry"], &by_hand["unused"]), (&json!(false), &json!(false)));
    assert_eq!((&by_hand["key"], &by_hand["content"]), (&json!("ecdsa-p256"), &json!("leaf")));

    stage.apply().await;
    let untouched = stage.load_balancer();
    let after = stage.certferry(&["inventory", "front", "--output", "json"]).await.expect_exit(0).json();
    let own = row(&after, &stage.own_bundles()[0]);
    assert_eq!(own["used_by"], json!([{"kind": "listener", "name": "https"}]));
    assert_eq!((&own["certificate"], &own["in_config"]), (&json!("www"), &json!(true)));
    assert_eq!(own["serial"], stage.issued_serial().await);
    assert_eq!(row(&after, BY_HAND)["used_by"].as_array().unwrap().len(), 1);
    let text = stage.certferry(&["inventory", "front"]).await.expect_exit(0).stdout();
    assert!(text.contains("certferry, for www") && text.contains(BY_HAND), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 132), "{text}");
    assert_eq!(stage.load_balancer(), untouched);
    stage.certferry(&["inventory", "nowhere"]).await.expect_exit(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_listener_serves_is_adopted_into_the_config_and_the_load_balancer_stays() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), "  # every site of ours\n");
    std::fs::set_permissions(stage.config_path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    let (config, untouched) = (std::fs::read_to_string(stage.config_path()).unwrap(), stage.load_balancer());

    let shown = stage.certferry(&["adopt", "front", "https"]).await.expect_exit(0).stdout();
    for piece in
        ["  www.some-domain.test:\n", "key: ecdsa-p256", "issuer: ca", "# ", BY_HAND, "stays", "--write", "issue"]
    {
        assert!(shown.contains(piece), "`{piece}` is missing:\n{shown}");
    }
    assert_eq!(std::fs::read_to_string(stage.config_path()).unwrap(), config, "shown only");

    let arguments = ["adopt", "front", "https", "--name", "www", "--write", "--output", "json"];
    let document = stage.certferry(&arguments).await.expect_exit(0).json();
    assert_eq!((&document["written"], &document["certificates"][0]["bundle"]), (&json!(true), &json!(BY_HAND)));
    let actions: Vec<&str> =
        document["steps"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"issue"), "{actions:?}");
    let written = std::fs::read_to_string(stage.config_path()).unwrap();
    let added = written.strip_prefix(&config).unwrap();
    assert_eq!(
        added,
        format!(
            "  www:\n    names: [{SERVER_NAME}]\n    issuer: ca\n    key: ecdsa-p256\n    deploy:\n      - {{ load-balancer: \
             front, listener: https }}\n"
        )
    );
    assert_eq!(std::fs::metadata(stage.config_path()).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(stage.load_balancer(), untouched);
    stage.certferry(&["check"]).await.expect_exit(0);
    stage.certferry(&["plan"]).await.expect_exit(2);

    let again = stage.certferry(&["adopt", "front", "https"]).await.expect_exit(64);
    assert!(again.stderr().contains("`www`"), "{}", again.stderr());
    let taken = stage.certferry(&["adopt", "front", "shop", "--name", "www"]).await.expect_exit(64);
    assert!(taken.stderr().contains("--name"), "{}", taken.stderr());
    let unknown = stage.certferry(&["adopt", "front", "htps"]).await.expect_exit(64);
    assert!(unknown.stderr().contains("https, shop"), "{}", unknown.stderr());
    stage.certferry(&["adopt", "front", "shop", "--issuer", "nobody"]).await.expect_exit(64);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_of_a_served_certificate_are_adopted_with_its_host_names() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let served = Pki::new().unwrap().issue(&["2001:db8::1", SERVER_NAME, "127.0.0.1"], 30).unwrap();
    let edit = move |json: &mut Value| {
        let entry = certificate_entry("by-address", &served.chain_pem, &served.private_key_pem);
        json["certificates"]["by-address"] = entry;
        json["listeners"]["shop"]["sslConfiguration"]["certificateName"] = json!("by-address");
    };
    stage.lab.edit_load_balancer(stage.id(), edit).unwrap();
    let arguments = ["adopt", "front", "shop", "--write", "--output", "json"];
    let document = stage.certferry(&arguments).await.expect_exit(0).json();
    assert_eq!(document["certificates"][0]["names"], json!([SERVER_NAME, "127.0.0.1", "2001:db8::1"]));
    assert!(!document.to_string().contains("cannot order"), "{document:#}");
    let config = std::fs::read_to_string(stage.config_path()).unwrap();
    assert!(config.contains(&format!("names: [{SERVER_NAME}, \"127.0.0.1\", \"2001:db8::1\"]")), "{config}");
    stage.certferry(&["check"]).await.expect_exit(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_that_cannot_be_extended_or_would_be_wrong_is_left_alone() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), "");
    let good = std::fs::read_to_string(stage.config_path()).unwrap();
    let flow = good.replace("certificates:\n", "certificates: { }\n");
    std::fs::write(stage.config_path(), &flow).unwrap();
    let refused = stage.certferry(&["adopt", "front", "https", "--write"]).await.expect_exit(64);
    assert!(refused.stderr().contains("by hand") && refused.stdout().contains("names:"), "{}", refused.stderr());
    assert_eq!(std::fs::read_to_string(stage.config_path()).unwrap(), flow);

    // Two issuers, and none is named: the entry does not say from whom.
    let second = "issuers:\n  other:\n    directory: letsencrypt-staging\n";
    let two = good.replace("issuers:\n", second);
    std::fs::write(stage.config_path(), &two).unwrap();
    let refused = stage.certferry(&["adopt", "front", "https", "--write"]).await.expect_exit(64);
    assert!(refused.stderr().contains("issuer"), "{}", refused.stderr());
    assert_eq!(std::fs::read_to_string(stage.config_path()).unwrap(), two);
    stage.certferry(&["adopt", "front", "https", "--issuer", "ca", "--write"]).await.expect_exit(0);
    assert!(std::fs::read_to_string(stage.config_path()).unwrap().starts_with(&two));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_virtual_service_with_two_kinds_of_keys_makes_two_certificates() {
    let stage = AviStage::new().await;
    let ca = stage.lab_ca().await;
    let other = stage.certificate("other", &["other.some-domain.test"], "bystander", "");
    stage.configure(&stage.config(&ca.issuer(), other)).await;
    let before = stage.objects();
    let inventory = stage.certferry(&["inventory", "edge", "--output", "json"]).await.expect_exit(0).json();
    let users = &row(&inventory, "by-hand-rsa")["used_by"];
    assert!(users.as_array().unwrap().contains(&json!({"kind": "virtual_service", "name": SHOP})), "{users}");
    assert!(inventory["not_looked_at"].as_str().unwrap().contains("pools"));

    let document = stage.certferry(&["adopt", "edge", SHOP, "--write", "--output", "json"]).await.expect_exit(0).json();
    let adopted: Vec<(&str, &str)> = document["certificates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["key"].as_str().unwrap()))
        .collect();
    let expected = [("www.some-domain.test-ecdsa", "ecdsa-p256"), ("www.some-domain.test-rsa", "rsa-2048")];
    assert_eq!(adopted, expected, "{document:#}");
    stage.certferry(&["check"]).await.expect_exit(0);
    assert_eq!(stage.objects(), before);
    assert!(stage.writes().is_empty());
    stage.certferry(&["adopt", "edge", SHOP]).await.expect_exit(64);
}
