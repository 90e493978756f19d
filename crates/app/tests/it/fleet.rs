//! Many at once.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::json;

use crate::stage::{Stage, front};

#[tokio::test(flavor = "multi_thread")]
async fn fifty_certificates_come_onto_fifty_listeners_of_five_load_balancers_in_one_run() {
    let listeners: Vec<(String, u16)> = (0..10_u16).map(|number| (format!("https-{number}"), 8440 + number)).collect();
    let borrowed: Vec<(&str, u16)> = listeners.iter().map(|(name, port)| (name.as_str(), *port)).collect();
    let names = ["one", "two", "three", "four", "five"];
    let stage = Stage::with(names.map(|name| (name, front(&borrowed))).to_vec()).await;
    let ca = stage.lab_ca().await;
    let mut certificates = String::new();
    for (index, name) in names.iter().enumerate() {
        let http = stage.lab.data_plane_address(&stage.fronts[index].id, 80).unwrap();
        for (number, (listener, port)) in listeners.iter().enumerate() {
            let host = format!("{name}-{number}.some-domain.test");
            ca.ca.resolve(&host, http, http);
            let deploy = stage.deploy(index, listener, *port);
            let _ = write!(certificates, "  {name}-{number}:\n    names: [{host}]\n    deploy:\n{deploy}");
        }
    }
    stage.configure(&ca.issuer(), &certificates);
    let begun = Instant::now();
    let (ended, taken) = stage.measured(&["apply"]).await;
    println!(
        "50 certificates on 50 listeners of 5 load balancers: {:.1} s wall, {} ticks of CPU, {} KiB peak",
        begun.elapsed().as_secs_f64(),
        taken.cpu_ticks,
        taken.peak_kib,
    );
    ended.expect_exit(0);
    let status = stage.status().await;
    let certificates = status["certificates"].as_array().unwrap();
    assert_eq!(certificates.len(), 50);
    for certificate in certificates {
        assert_eq!(certificate["state"], "ok", "{certificate}");
        assert_eq!(certificate["deployments"][0]["state"], "verified", "{certificate}");
        assert_eq!(certificate["deployments"][0]["served_serial"], certificate["issued"]["serial"]);
    }
    assert_eq!(ca.ca.orders().len(), 50);
    let plan = stage.certferry(&["plan", "--output", "json"]).await.expect_exit(0).json();
    assert_eq!(plan["steps"], json!([]));
}
