//! Everything ends when the CA is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::account_key::AccountKey;
use crate::client::Client;
use crate::world::{World, eventually, http_challenge};

fn address(ca: &AcmeCa) -> SocketAddr {
    let port = ca.directory_url().rsplit_once(':').unwrap().1.strip_suffix("/directory").unwrap().parse().unwrap();
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn refuses_connections(address: SocketAddr) {
    eventually("the port refuses connections", async || TcpStream::connect(address).await.is_err().then_some(())).await;
}

#[tokio::test]
async fn the_port_is_closed() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let address = address(&ca);
    TcpStream::connect(address).await.unwrap();
    drop(ca);
    refuses_connections(address).await;
}

#[tokio::test]
async fn open_connections_are_closed() {
    let ca = AcmeCa::start(AcmeCaOptions::default()).await.unwrap();
    let _pooled = Client::registered(&ca, AccountKey::p256()).await;
    let mut idle = TcpStream::connect(address(&ca)).await.unwrap();
    drop(ca);
    let read = tokio::time::timeout(Duration::from_secs(20), idle.read(&mut [0])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
}

/// Starts a validation whose site is played by the test.
async fn begin_validation(world: &World) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let site = listener.local_addr().unwrap();
    world.ca.resolve_all_to(site, site);
    let order = world.order(&["a.some-domain.test"]).await;
    let authorization = world.client.post_as_get(&order.authorizations()[0]).await.json();
    let challenge = http_challenge(&authorization)["url"].as_str().unwrap().to_owned();
    assert_eq!(world.client.post(&challenge, &json!({})).await.json()["status"], "processing");
    listener.accept().await.unwrap().0
}

#[tokio::test]
async fn a_validation_that_waits_for_its_answer_ends() {
    let world = World::new().await;
    let mut site = begin_validation(&world).await;
    assert_ne!(site.read(&mut [0; 16]).await.unwrap(), 0, "the request has come");
    drop(world);
    is_closed(site).await;
}

#[tokio::test]
async fn a_validation_in_the_middle_of_its_answer_ends() {
    let world = World::new().await;
    let mut site = begin_validation(&world).await;
    site.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc").await.unwrap();
    drop(world);
    is_closed(site).await;
}

#[tokio::test]
async fn a_validation_that_has_read_enough_closes_its_connection() {
    let world = World::new().await;
    let mut site = begin_validation(&world).await;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(200));
    site.write_all(answer.as_bytes()).await.unwrap();
    is_closed(site).await;
    assert_eq!(world.ca.validation_requests()[0].status, Some(200));
}

async fn is_closed(mut site: TcpStream) {
    let mut rest = Vec::new();
    let read = site.read_to_end(&mut rest);
    // A reset is an end too.
    let _ = tokio::time::timeout(Duration::from_secs(5), read).await.expect("the connection stays open");
}
