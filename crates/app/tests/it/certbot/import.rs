//! `certferry import certbot`.

use serde_json::Value;

use super::{WithCertbot, everything_below};
use crate::stage::SERVER_NAME;

fn items(document: &Value, kind: &str) -> Vec<Value> {
    let items = document["items"].as_array().unwrap().iter().filter(|item| item["kind"] == kind);
    items.cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_certbot_got_is_delivered_without_an_order_and_renewed_with_replaces() {
    let all = WithCertbot::new().await;
    all.certbot.certonly(&[SERVER_NAME], &[]).await.expect_success();
    let serial = all.lineage_serial(SERVER_NAME);
    let before = everything_below(&all.certbot.config_folder());

    let planned = all.import(&["--plan"]).await.expect_exit(2).stdout();
    assert!(planned.contains("take over") && planned.contains(&serial), "{planned}");
    assert!(!all.stage.path("certferry.db").exists(), "a look makes no database");
    let unasked = all.import(&[]).await.expect_exit(64).stderr();
    assert!(unasked.contains("--yes"), "{unasked}");

    let done = all.import(&["--yes", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(done["done"], 2, "{done}");
    assert_eq!(items(&done, "certificate")[0]["to"], "www", "{done}");
    all.import(&["--plan"]).await.expect_exit(0);
    let again = all.import(&["--yes", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(again["done"], 0, "{again}");
    let actions: Vec<&Value> = again["items"].as_array().unwrap().iter().map(|item| &item["action"]).collect();
    assert_eq!(actions, ["already", "already"], "{again}");
    assert_eq!(everything_below(&all.certbot.config_folder()), before, "certbot's files are only read");

    all.stage.apply().await;
    assert_eq!((all.served_serial().await, all.issued()), (serial.clone(), 1));
    all.stage.certferry(&["plan"]).await.expect_exit(0);
    let account = all.stage.certferry(&["account", "show", "--online", "--output", "json"]).await.expect_exit(0).json();
    let account = &account["accounts"][0];
    assert_eq!(account["at_ca"], "valid", "{account}");
    let registered = before.iter().find(|(path, _)| path.ends_with("regr.json")).unwrap().1;
    let registered: Value = serde_json::from_slice(registered).unwrap();
    assert_eq!(account["account"], registered["uri"]);
    assert!(account["key"].as_str().unwrap().starts_with("rsa-2048"), "certbot's usual account key: {account}");

    all.stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
    assert_eq!(all.issued(), 2);
    // Pebble 2.6 finds no certificate whose serial begins with a zero byte in DER.
    let found = serial.starts_with(|digit: char| digit.to_digit(16).is_some_and(|digit| digit < 8));
    assert_eq!(all.count("is a replacement of"), usize::from(found), "{}", all.pebble.log());
    assert_eq!(all.served_serial().await, all.stage.issued_serial().await);

    // What certbot has is older now.
    let kept = all.import(&["--yes", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(items(&kept, "certificate")[0]["action"], "keep", "{kept}");
    let renewed = all.stage.issued_serial().await;
    all.stage.certferry(&["plan"]).await.expect_exit(0);
    all.import(&["--yes", "--replace"]).await.expect_exit(0);
    assert_eq!(all.stage.issued_serial().await, serial);
    all.stage.apply().await;
    assert_eq!((all.served_serial().await, all.issued()), (serial, 2));
    assert_ne!(renewed, all.stage.issued_serial().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_config_lacks_is_printed_so_that_it_can_be_added() {
    let all = WithCertbot::new().await;
    let shop = "shop.some-domain.test";
    all.certbot.certonly(&[shop], &["--key-type", "rsa", "--cert-name", "shop"]).await.expect_success();
    let planned = all.import(&["--plan", "--output", "json"]).await.expect_exit(2).json();
    let lines = items(&planned, "certificate")[0]["add_to_config"].as_str().unwrap().to_owned();
    for piece in ["  shop:", shop, "key: rsa-2048", "standalone"] {
        assert!(lines.contains(piece), "`{piece}` is missing in\n{lines}");
    }
    let lines = lines.strip_prefix("certificates:\n").unwrap().replace("listener: …", "listener: shop");
    let probe = format!("listener: shop, probe: [{}]", all.stage.address(8443));
    all.configure(&lines.replace("listener: shop", &probe));
    all.stage.certferry(&["check"]).await.expect_exit(0);
    all.import(&["--yes"]).await.expect_exit(0);
    all.stage.apply().await;
    let served = crate::parts::openssl::served(all.stage.address(8443), shop).await.unwrap();
    assert_eq!((served.serial, all.issued()), (all.lineage_serial("shop"), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_account_in_the_state_stays_unless_it_is_to_be_replaced() {
    let all = WithCertbot::new().await;
    all.stage.apply().await;
    all.certbot.certonly(&["other.some-domain.test"], &[]).await.expect_success();
    let url = async || {
        let shown =
            all.stage.certferry(&["account", "show", "--online", "--output", "json"]).await.expect_exit(0).json();
        assert_eq!(shown["accounts"][0]["at_ca"], "valid", "{shown}");
        shown["accounts"][0]["account"].as_str().unwrap().to_owned()
    };
    let own = url().await;
    let kept = all.import(&["--yes", "--output", "json"]).await.expect_exit(0).json();
    let account = &items(&kept, "account")[0];
    assert_eq!((&account["action"], &kept["done"]), (&"keep".into(), &0.into()), "{kept}");
    assert!(account["why"].as_str().unwrap().contains(&own), "{account}");
    assert_eq!(url().await, own);
    all.import(&["--account", "nobody", "--yes"]).await.expect_exit(64);
    all.import(&["--yes", "--replace", "--account", "ca"]).await.expect_exit(0);
    assert_ne!(url().await, own);
    all.stage.certferry(&["apply", "--force-renewal"]).await.expect_exit(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_file_names_the_file_and_stops_nothing_else() {
    let all = WithCertbot::new().await;
    all.certbot.certonly(&[SERVER_NAME], &[]).await.expect_success();
    let folder = all.certbot.config_folder();
    std::fs::write(folder.join("renewal/torn.conf"), "[renewalparams]\nserver = 'https://\n").unwrap();
    let ended = all.import(&["--yes"]).await.expect_exit(1);
    let said = ended.stderr();
    assert!(said.contains("renewal/torn.conf") && said.contains("line 2"), "{said}");
    all.stage.apply().await;
    assert_eq!((all.served_serial().await, all.issued()), (all.lineage_serial(SERVER_NAME), 1));
    let elsewhere = all.stage.certferry(&["import", "certbot", "."]).await.expect_exit(64).stderr();
    assert!(elsewhere.contains("/etc/letsencrypt"), "{elsewhere}");
}
