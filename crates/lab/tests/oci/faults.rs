use std::time::Duration;

use certferry_lab::oci_load_balancer::{Effect, Fault, LabError, Moment, RetryAfter};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn a_rule_hits_the_calls_that_it_names() {
    let world = World::new().await;
    let client = &world.client;
    let busy = Effect::too_many_requests(Some(RetryAfter::Seconds(7)));
    world.lab.add_fault(Fault::new("GetLoadBalancer", busy).after(1).times(2));
    assert_eq!(client.get(&world.path("")).await.status, 200);
    assert_eq!(client.get(&world.path("/certificates")).await.status, 200);
    for _ in 0..2 {
        let answer = client.get(&world.path("")).await;
        answer.refused(429, "TooManyRequests", "User-rate limit exceeded.");
        assert_eq!(answer.header("retry-after"), "7");
    }
    assert_eq!(client.get(&world.path("")).await.status, 200);
    assert_eq!(world.lab.count("GetLoadBalancer"), 4);
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let world = World::new().await;
    let busy = Effect::too_many_requests(Some(RetryAfter::DateIn(60)));
    world.lab.add_fault(Fault::new("*", busy));
    let answer = world.client.get(&world.path("")).await;
    let date = httpdate::parse_http_date(answer.header("retry-after")).unwrap();
    let now = std::time::UNIX_EPOCH + crate::client::since_epoch();
    let wait = date.duration_since(now).unwrap();
    assert!((50..=60).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn a_rule_for_one_load_balancer_spares_the_others() {
    let world = World::new().await;
    let fault = Fault::new("GetLoadBalancer", Effect::answer(500, "InternalServerError", "no"));
    world.lab.add_fault(fault.always().for_load_balancer("ocid1.loadbalancer.oc1.iad.other"));
    assert_eq!(world.client.get(&world.path("")).await.status, 200);
    world.lab.clear_faults();
    assert_eq!(world.lab.pending_faults(), 0);
}

#[tokio::test]
async fn a_proxys_page_is_html() {
    let world = World::new().await;
    let page = Effect::HtmlPage { status: 503, body: "<html>busy</html>".into() };
    world.lab.add_fault(Fault::new("UpdateHostname", page));
    let answer = world.client.put(&world.path("/hostnames/www"), &json!({ "hostname": "x.some-domain.com" })).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("content-type"), "text/html");
    assert_eq!(answer.text, "<html>busy</html>");
    assert!(world.lab.work_requests().is_empty());
}

#[tokio::test]
async fn a_connection_closes_before_or_after_the_effect() {
    let world = World::new().await;
    let client = &world.client;
    let path = world.path("/hostnames");
    let body = json!({ "name": "new", "hostname": "new.some-domain.com" });
    let token = [("opc-retry-token", "token1")];
    world.lab.add_fault(Fault::new("CreateHostname", Effect::CloseBefore));
    world.lab.add_fault(Fault::new("CreateHostname", Effect::CloseAfter));
    client.try_call("POST", &path, Some(&body), &token).await.unwrap_err();
    assert!(world.lab.work_requests().is_empty());
    client.try_call("POST", &path, Some(&body), &token).await.unwrap_err();
    let accepted = world.lab.work_requests();
    assert_eq!(accepted.len(), 1);
    let record = world.lab.requests().pop().unwrap();
    assert_eq!((record.status, record.work_request_id), (None, Some(accepted[0].id.clone())));
    let again = client.call("POST", &path, Some(&body), &token).await;
    assert_eq!(again.header("opc-work-request-id"), accepted[0].id);
    client.succeeded(&again).await;
}

#[tokio::test]
async fn a_hanging_call_ends_when_the_client_gives_up_and_has_no_effect() {
    let world = World::new().await;
    world.lab.add_fault(Fault::new("UpdateHostname", Effect::Hang));
    let path = world.path("/hostnames/www");
    let body = json!({ "hostname": "new.some-domain.com" });
    let call = world.client.put(&path, &body);
    tokio::time::timeout(Duration::from_millis(100), call).await.unwrap_err();
    assert!(world.lab.work_requests().is_empty());
    assert_eq!(world.client.put(&path, &body).await.status, 204);
}

#[tokio::test]
async fn a_rule_for_polls_leaves_the_work_itself_alone() {
    let world = World::new().await;
    let fault = Fault::new("GetWorkRequest", Effect::answer(404, "NotAuthorizedOrNotFound", "gone"));
    world.lab.add_fault(fault.for_load_balancer(&world.id));
    let body = json!({ "hostname": "new.some-domain.com" });
    let answer = world.client.put(&world.path("/hostnames/www"), &body).await;
    let poll = format!("/loadBalancerWorkRequests/{}", answer.header("opc-work-request-id"));
    world.client.get(&poll).await.refused(404, "NotAuthorizedOrNotFound", "gone");
    world.client.succeeded(&answer).await;
}

#[tokio::test]
async fn another_writer_comes_between_a_read_and_a_write() {
    let world = World::new().await;
    let client = &world.client;
    world.lab.edit_on_next("GetLoadBalancer", Moment::After, &world.id, |json| {
        json["listeners"]["https"]["connectionConfiguration"]["idleTimeout"] = 77.into();
    });
    let read = client.get(&world.path("")).await;
    assert_eq!(read.json()["listeners"]["https"]["connectionConfiguration"]["idleTimeout"], 1200);
    let body = crate::world::https();
    let path = world.path("/listeners/https");
    let write = client.call("PUT", &path, Some(&body), &[("if-match", read.header("etag"))]).await;
    write.refused(412, "NoEtagMatch", "");
    let read = client.get(&world.path("")).await;
    assert_eq!(read.json()["listeners"]["https"]["connectionConfiguration"]["idleTimeout"], 77);

    world.lab.edit_on_next("UpdateListener", Moment::Before, &world.id, |json| {
        json["freeformTags"] = json!({ "by": "another" });
    });
    let write = client.call("PUT", &path, Some(&body), &[("if-match", read.header("etag"))]).await;
    write.refused(412, "NoEtagMatch", "");
}

#[tokio::test]
async fn an_edit_that_would_be_refused_changes_nothing() {
    let world = World::new().await;
    let etag = world.lab.etag(&world.id).unwrap();
    let error = world.lab.edit_load_balancer(&world.id, |json| json["certificates"] = json!({})).unwrap_err();
    assert!(matches!(&error, LabError::NotValid { problem, .. } if problem.contains("unknown certificate 'old'")));
    assert_eq!(world.lab.etag(&world.id).unwrap(), etag);
}

#[tokio::test]
async fn a_call_may_have_its_effect_and_hang() {
    let world = World::new().await;
    world.lab.add_fault(Fault::new("UpdateHostname", Effect::HangAfter));
    let body = json!({ "hostname": "new.some-domain.com" });
    let path = world.path("/hostnames/www");
    let call = world.client.put(&path, &body);
    tokio::time::timeout(Duration::from_millis(100), call).await.unwrap_err();
    assert_eq!(world.lab.work_requests().len(), 1);
}
