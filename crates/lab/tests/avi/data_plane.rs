//! What virtual services serve and answer.

use std::{io::ErrorKind, time::Duration};

use certferry_lab::avi_controller::{HeldCertificates, RedirectOrder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::polling::eventually;
use crate::world::{Offer, World, fetch, fetch_tls, leaf, pair, rsa, served, token_policy};

const TOKEN: &str = "/.well-known/acme-challenge/Tok_1";
const HOST: &str = "www.some-domain.com";

fn attach(world: &World, service: &str, index: u64, policy: Value) {
    let set = world.lab.create("admin", "httppolicyset", policy).unwrap();
    world
        .lab
        .edit("virtualservice", service, move |service| {
            let mut links = service["http_policies"].as_array().cloned().unwrap_or_default();
            links.push(json!({"index": index, "http_policy_set_ref": format!("/api/httppolicyset/{set}")}));
            service["http_policies"] = json!(links);
        })
        .unwrap();
}

#[tokio::test]
async fn the_chain_is_served_without_the_root_and_the_address_is_refused_before_and_after() {
    let world = World::new().await;
    let chain = served(world.address(443), HOST, Offer::Both).await.unwrap();
    let expected: Vec<Vec<u8>> =
        pem::parse_many(&world.old.chain_pem).unwrap().into_iter().map(pem::Pem::into_contents).collect();
    assert_eq!(chain, expected);
    let address = world.address(80);
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let uuid = world.add_port_80("System-HTTP");
    assert_eq!(fetch(address, HOST, "/").await.status, 503, "no pool");
    world.lab.delete("virtualservice", &uuid).unwrap();
    refused(address).await;
}

#[tokio::test]
async fn a_token_rule_answers_its_exact_path_on_both_ports() {
    let world = World::new().await;
    world.add_port_80("System-HTTP");
    attach(&world, "plain-80", 1, token_policy("on 80", TOKEN, "Tok_1.thumb"));
    attach(&world, "shop-443", 1, token_policy("on 443", TOKEN, "Tok_1.thumb"));
    let answer = fetch(world.address(80), HOST, TOKEN).await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "Tok_1.thumb"));
    assert_eq!(answer.headers["content-type"], "text/plain");
    for other in ["/.well-known/acme-challenge/tok_1", "/.well-known/acme-challenge/Tok_12", "/"] {
        assert_eq!(fetch(world.address(80), HOST, other).await.status, 503, "{other}");
    }
    let answer = fetch_tls(world.address(443), HOST, TOKEN, world.pki.root_pem()).await;
    assert_eq!(answer.text, "Tok_1.thumb");
}

#[tokio::test]
async fn policies_come_before_the_profiles_redirect_or_after_it() {
    let world = World::new().await;
    world.add_port_80("System-Secure-HTTP");
    attach(&world, "plain-80", 1, token_policy("p", TOKEN, "Tok_1.thumb"));
    let elsewhere = fetch(world.address(80), HOST, "/shop?item=1").await;
    assert_eq!(
        (elsewhere.status.as_u16(), elsewhere.headers["location"].to_str().unwrap()),
        (302, "https://www.some-domain.com/shop?item=1")
    );
    assert_eq!(fetch(world.address(80), HOST, TOKEN).await.text, "Tok_1.thumb");
    world.lab.set_behaviour(|behaviour| behaviour.redirect_order = RedirectOrder::ProfileFirst);
    let redirected = fetch(world.address(80), HOST, TOKEN).await;
    assert_eq!(
        (redirected.status.as_u16(), redirected.headers["location"].to_str().unwrap()),
        (302, format!("https://www.some-domain.com{TOKEN}").as_str())
    );
}

#[tokio::test]
async fn lower_indices_come_first_and_security_before_requests() {
    let world = World::new().await;
    world.add_port_80("System-HTTP");
    let block = json!({"name": "block", "http_security_policy": {"rules": [{
        "name": "all", "index": 1, "enable": true, "action": {"action": "HTTP_SECURITY_ACTION_SEND_RESPONSE",
            "status_code": "HTTP_LOCAL_RESPONSE_STATUS_CODE_403"}}]}});
    let moved = json!({"name": "moved", "http_request_policy": {"rules": [{
        "name": "to https", "index": 1, "enable": true,
        "redirect_action": {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_REDIRECT_STATUS_CODE_301"}}]}});
    attach(&world, "plain-80", 5, moved);
    assert_eq!(fetch(world.address(80), HOST, TOKEN).await.status, 301);
    attach(&world, "plain-80", 9, token_policy("late", TOKEN, "late"));
    assert_eq!(fetch(world.address(80), HOST, TOKEN).await.text, "late", "security first, whatever the index");
    attach(&world, "plain-80", 7, block);
    assert_eq!(fetch(world.address(80), HOST, TOKEN).await.status, 403, "an earlier rule wins");
    attach(&world, "plain-80", 1, token_policy("early", TOKEN, "early"));
    assert_eq!(fetch(world.address(80), HOST, TOKEN).await.text, "early");
    assert_eq!(fetch(world.address(80), HOST, "/").await.status, 403);
}

#[tokio::test]
async fn security_actions_allow_close_and_redirect() {
    let world = World::new().await;
    world.add_port_80("System-HTTP");
    let rule = |index: u64, path: &str, action: &str| {
        json!({
            "name": format!("r{index}"), "index": index, "enable": true, "action": {"action": format!("HTTP_SECURITY_ACTION_{action}"), "https_port": 8443},
            "match": {"path": {"match_criteria": "BEGINS_WITH", "match_str": [path]}},
        })
    };
    attach(
        &world,
        "plain-80",
        1,
        json!({"name": "p", "http_security_policy": {"rules": [
            rule(1, "/open", "ALLOW"), rule(2, "/closed", "CLOSE_CONN"), rule(3, "/", "REDIRECT_TO_HTTPS"),
        ]}}),
    );
    assert_eq!(fetch(world.address(80), HOST, "/open/a").await.status, 503, "it went on to the absent pool");
    assert_eq!(fetch(world.address(80), HOST, "/x").await.headers["location"], "https://www.some-domain.com:8443/x");
    let mut stream = TcpStream::connect(world.address(80)).await.unwrap();
    stream.write_all(b"GET /closed HTTP/1.1\r\nHost: a.test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test]
async fn rsa_clients_get_the_rsa_certificate_and_others_the_ec_one() {
    let world = World::new().await;
    let rsa_pair = rsa(&world.pki, HOST);
    world.lab.create("admin", "sslkeyandcertificate", pair("rsa", &rsa_pair)).unwrap();
    let add = json!({"add": {"ssl_key_and_certificate_refs": ["/api/sslkeyandcertificate?name=rsa"]}});
    world.client.patch(&world.shop_path(), &add).await.ok();
    assert_eq!(served(world.address(443), HOST, Offer::Both).await.unwrap()[0], leaf(&world.old));
    assert_eq!(served(world.address(443), HOST, Offer::RsaOnly).await.unwrap()[0], leaf(&rsa_pair));
}

#[tokio::test]
async fn a_disabled_virtual_service_serves_nothing() {
    let world = World::new().await;
    let address = world.address(443);
    world.client.patch(&world.shop_path(), &json!({"replace": {"enabled": false}})).await.ok();
    refused(address).await;
    world.client.patch(&world.shop_path(), &json!({"replace": {"enabled": true}})).await.ok();
    assert!(world.served(443, HOST).await.is_some());
}

#[tokio::test]
async fn a_range_of_ports_is_served_wherever_somebody_asks() {
    let world = World::new().await;
    let ranged = json!({"replace": {"services": [{"port": 8000, "port_range_end": 8100}]}});
    world.client.patch(&world.shop_path(), &ranged).await.ok();
    for port in [8000, 8050, 8100] {
        assert_eq!(fetch(world.address(port), HOST, "/").await.status, 503, "{port}");
    }
    assert!(TcpStream::connect(world.address(8101)).await.is_err());
}

#[tokio::test]
async fn changes_arrive_late_or_never_when_told_so() {
    let world = World::new().await;
    let new = world.pki.issue(&[HOST], 90).unwrap();
    world.lab.set_behaviour(|behaviour| behaviour.data_plane_delay = Duration::from_millis(50));
    let replace = async |issued| {
        let uuid = world.lab.object("sslkeyandcertificate", "old").unwrap()["uuid"].as_str().unwrap().to_owned();
        world.client.put(&format!("/api/sslkeyandcertificate/{uuid}"), &pair("old", issued)).await.ok();
    };
    replace(&new).await;
    eventually("the new certificate is served", async || (world.served(443, HOST).await? == leaf(&new)).then_some(()))
        .await;
    world.lab.set_behaviour(|behaviour| behaviour.data_plane_delay = Duration::ZERO);
    world.lab.hold_certificates(HeldCertificates::VirtualService("shop-443".into()));
    replace(&world.old).await;
    assert_eq!(world.served(443, HOST).await.unwrap(), leaf(&new), "held");
    world.lab.release_certificates();
    assert_eq!(world.served(443, HOST).await.unwrap(), leaf(&world.old));
}

async fn refused(address: std::net::SocketAddr) {
    eventually("connections are refused", async || {
        (TcpStream::connect(address).await.err()?.kind() == ErrorKind::ConnectionRefused).then_some(())
    })
    .await;
}

/// An HTTP server that answers each connection once with what it was asked.
async fn server() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            let length = head.len();
            let _ = stream
                .write_all(
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
                )
                .await;
            let _ = stream.write_all(&head).await;
        }
    });
    (address, task)
}

#[tokio::test]
async fn other_requests_go_to_the_pool_and_layer_4_passes_bytes() {
    let world = World::new().await;
    let (address, task) = server().await;
    world
        .lab
        .create(
            "admin",
            "pool",
            json!({"name": "app", "servers": [{"ip": {"addr": "127.0.0.1", "type": "V4"}, "port": address.port()}]}),
        )
        .unwrap();
    world.client.patch(&world.shop_path(), &json!({"add": {"pool_ref": "/api/pool?name=app"}})).await.ok();
    let seen = fetch_tls(world.address(443), HOST, "/a?b=c", world.pki.root_pem()).await.text;
    assert!(seen.starts_with("GET /a?b=c HTTP/1.1"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: https") && seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
    world.lab.create("admin", "virtualservice", json!({
        "name": "l4", "vsvip_ref": "/api/vsvip?name=shop", "services": [{"port": 81}], "pool_ref": "/api/pool?name=app",
        "application_profile_ref": "/api/applicationprofile?name=System-L4-Application",
    }))
    .unwrap();
    let seen = fetch(world.address(81), HOST, "/raw").await.text;
    assert!(seen.starts_with("GET /raw HTTP/1.1") && !seen.contains("x-forwarded"), "{seen}");
    task.abort();
}
