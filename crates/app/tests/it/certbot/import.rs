//! `certferry import certbot`.

use std::path::Path;

use certferry_core::{Clock, SystemClock};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;

use super::{WithCertbot, everything_below};
use crate::stage::{SERVER_NAME, Stage};

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

/// A lineage as certbot would keep it, from `server`, valid for `days` from `start` days ago.
fn write_lineage(folder: &Path, name: &str, server: &str, start: i64, days: i64) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![SERVER_NAME.to_owned()]).unwrap();
    let now = Timestamp::from_second(SystemClock.now().as_second()).unwrap();
    let at = |days: i64| {
        let date = (now + SignedDuration::from_hours(24 * days)).strftime("%Y %m %d").to_string();
        let [year, month, day] = [0, 1, 2].map(|part| date.split(' ').nth(part).unwrap().parse::<i32>().unwrap());
        rcgen::date_time_ymd(year, month.try_into().unwrap(), day.try_into().unwrap())
    };
    (params.not_before, params.not_after) = (at(-start), at(days - start));
    let live = folder.join("live").join(name);
    std::fs::create_dir_all(&live).unwrap();
    std::fs::create_dir_all(folder.join("renewal")).unwrap();
    std::fs::write(live.join("fullchain.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(live.join("privkey.pem"), key.serialize_pem()).unwrap();
    let conf = format!("[renewalparams]\nserver = {server}\nauthenticator = webroot\n");
    std::fs::write(folder.join(format!("renewal/{name}.conf")), conf).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_lineages_the_newest_that_fits_is_taken_and_the_others_say_why_not() {
    let stage = Stage::new().await;
    let ca = stage.lab_ca().await;
    stage.configure(&ca.issuer(), &stage.www());
    let folder = stage.path("letsencrypt");
    let server = ca.ca.directory_url();
    write_lineage(&folder, "ended", &server, 90, 60);
    write_lineage(&folder, "older", &server, 20, 90);
    write_lineage(&folder, "newest", &server, 10, 90);
    write_lineage(&folder, "elsewhere", "https://other.some-domain.test/dir", 5, 90);
    let planned = stage.certferry(&["import", "certbot", "letsencrypt", "--plan", "--output", "json"]).await;
    let planned = planned.expect_exit(2).json();
    let items = items(&planned, "certificate");
    for (lineage, action, why) in [
        ("ended", "leave_out", "it ended at"),
        ("older", "leave_out", "lineage newest has a newer one"),
        ("newest", "take_over", "valid until"),
        ("elsewhere", "leave_out", "https://other.some-domain.test/dir"),
    ] {
        let end = format!("live/{lineage}");
        let item = items.iter().find(|item| item["from"].as_str().unwrap().ends_with(&end)).unwrap();
        assert_eq!(item["action"], action, "{item}");
        assert!(item["why"].as_str().unwrap().contains(why), "{item}");
    }
    stage.certferry(&["import", "certbot", "letsencrypt", "--yes"]).await.expect_exit(0);
    stage.certferry(&["import", "certbot", "letsencrypt", "--plan"]).await.expect_exit(0);
    stage.apply().await;
    assert_eq!(ca.ca.orders().len(), 0);
}
