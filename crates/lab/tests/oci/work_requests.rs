use std::time::Duration;

use certferry_lab::oci_load_balancer::{Effect, Fault, OpenWorkRequest, WorkRequestError, WorkRequestState};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_etag_is_one_for_all_and_changes_with_the_effect() {
    let world = World::new().await;
    let client = &world.client;
    let before = client.get(&world.path("/certificates")).await.header("etag").to_owned();
    let body = json!({ "hostname": "new.some-domain.com" });
    let path = world.path("/hostnames/www");
    let accepted = client.call("PUT", &path, Some(&body), &[("if-match", &before)]).await;
    client.succeeded(&accepted).await;
    let after = client.get(&world.path("")).await.header("etag").to_owned();
    assert_ne!(before, after);
    let stale = client.call("PUT", &path, Some(&body), &[("if-match", &before)]).await;
    stale.refused(412, "NoEtagMatch", &format!("has a computed tag of {after}, but is passed a tag of {before}"));
    let stale = client.call("DELETE", &path, None, &[("if-match", &before)]).await;
    assert_eq!(stale.status, 412);
    assert_eq!(world.lab.requests().last().unwrap().if_match.as_deref(), Some(before.as_str()));
}

#[tokio::test]
async fn nothing_changes_before_success() {
    let world = World::new().await;
    let client = &world.client;
    world.lab.add_fault(Fault::new("UpdateHostname", Effect::WorkRequestStuck));
    let etag = world.lab.etag(&world.id).unwrap();
    let body = json!({ "hostname": "new.some-domain.com" });
    let answer = client.put(&world.path("/hostnames/www"), &body).await;
    assert_eq!(answer.status, 204);
    assert!(answer.text.is_empty());
    let id = answer.header("opc-work-request-id");
    crate::polling::eventually("in progress", || async {
        let request = client.get(&format!("/loadBalancerWorkRequests/{id}")).await.json();
        (request["lifecycleState"] == "IN_PROGRESS").then_some(())
    })
    .await;
    assert_eq!(world.lab.etag(&world.id).unwrap(), etag);
    assert_eq!(client.get(&world.path("/hostnames/www")).await.json()["hostname"], "www.some-domain.com");
}

#[tokio::test]
async fn a_work_request_fails_with_the_details_that_the_rule_gives() {
    let world = World::new().await;
    let client = &world.client;
    let details = vec![WorkRequestError::internal_error("no capacity")];
    world.lab.add_fault(Fault::new("UpdateHostname", Effect::WorkRequestFails(details)));
    let body = json!({ "hostname": "new.some-domain.com" });
    let path = world.path("/hostnames/www");
    let request = client.finished(&client.put(&path, &body).await).await;
    assert_eq!(request["lifecycleState"], "FAILED");
    assert_eq!(request["errorDetails"], json!([{ "errorCode": "INTERNAL_ERROR", "message": "no capacity" }]));
    client.succeeded(&client.put(&path, &body).await).await;
    assert_eq!(world.lab.pending_faults(), 0);
}

#[tokio::test]
async fn a_retry_token_gives_the_same_work_request() {
    let world = World::new().await;
    let client = &world.client;
    let path = world.path("/hostnames");
    let body = json!({ "name": "new", "hostname": "new.some-domain.com" });
    let token = [("opc-retry-token", "token1")];
    let first = client.call("POST", &path, Some(&body), &token).await;
    client.succeeded(&first).await;
    let again = client.call("POST", &path, Some(&body), &token).await;
    assert_eq!(again.status, 204);
    assert_eq!(first.header("opc-work-request-id"), again.header("opc-work-request-id"));
    assert_eq!(world.lab.work_requests().len(), 1);

    let other = json!({ "name": "other", "hostname": "other.some-domain.com" });
    let answer = client.call("POST", &path, Some(&other), &token).await;
    answer.refused(409, "InvalidatedRetryToken", "token1");
    let long = "x".repeat(65);
    let answer = client.call("POST", &path, Some(&other), &[("opc-retry-token", &long)]).await;
    answer.refused(400, "InvalidParameter", "64");
    // Another user's token of the same text is another token.
    let stranger = crate::client::Client::new(&world.lab);
    stranger.succeeded(&stranger.call("POST", &path, Some(&other), &token).await).await;
}

#[tokio::test]
async fn a_retry_token_is_forgotten_after_a_day() {
    let world = World::new().await;
    let path = world.path("/hostnames/www");
    let body = json!({ "hostname": "new.some-domain.com" });
    let day = 24 * 60 * 60;
    let mut ids = Vec::new();
    for offset in [0, day - 60, day + 60] {
        world.lab.set_behaviour(|behaviour| behaviour.clock_offset_seconds = offset);
        let mut draft = world.client.draft("PUT", &path, Some(&body));
        let now = crate::client::since_epoch() + Duration::from_secs(offset.unsigned_abs());
        draft.set("date", &httpdate::fmt_http_date(std::time::UNIX_EPOCH + now));
        draft.set("opc-retry-token", "token1");
        world.client.sign(&mut draft);
        let answer = world.client.send(draft).await.unwrap();
        assert_eq!(answer.status, 204, "{answer:?}");
        ids.push(answer.header("opc-work-request-id").to_owned());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

#[tokio::test]
async fn a_mutation_during_another_is_accepted_or_refused_as_the_behaviour_says() {
    let world = World::new().await;
    let client = &world.client;
    let path = world.path("/hostnames/www");
    let body = json!({ "hostname": "new.some-domain.com" });
    world.lab.add_fault(Fault::new("UpdateHostname", Effect::WorkRequestStuck));
    assert_eq!(client.put(&path, &body).await.status, 204);
    for (behaviour, code) in
        [(OpenWorkRequest::Conflict, "Conflict"), (OpenWorkRequest::IncorrectState, "IncorrectState")]
    {
        world.lab.set_behaviour(|known| known.open_work_request = behaviour);
        client.put(&path, &body).await.refused(409, code, "not finished");
    }
    world.lab.set_behaviour(|known| known.open_work_request = OpenWorkRequest::Accepted);
    client.succeeded(&client.put(&path, &body).await).await;
}

#[tokio::test]
async fn work_requests_are_listed_newest_first_in_pages() {
    let world = World::new().await;
    let client = &world.client;
    for number in 0..3 {
        let body = json!({ "hostname": format!("new{number}.some-domain.com") });
        client.succeeded(&client.put(&world.path("/hostnames/www"), &body).await).await;
    }
    let all = client.get(&world.path("/workRequests")).await.json();
    let known: Vec<_> = world.lab.work_requests().into_iter().rev().map(|request| request.id).collect();
    let listed: Vec<_> = all.as_array().unwrap().iter().map(|request| request["id"].as_str().unwrap()).collect();
    assert_eq!(listed, known);
    let page = client.get(&world.path("/workRequests?limit=2")).await;
    assert_eq!(page.json().as_array().unwrap().len(), 2);
    let next = page.header("opc-next-page").to_owned();
    let rest = client.get(&world.path(&format!("/workRequests?limit=2&page={next}"))).await;
    assert_eq!(rest.json()[0]["id"], known[2].as_str());
    assert!(!rest.headers.contains_key("opc-next-page"));
}

#[tokio::test]
async fn a_change_that_has_become_wrong_fails_in_its_work_request() {
    let world = World::new().await;
    let client = &world.client;
    client
        .succeeded(
            &client.post(&world.path("/hostnames"), &json!({ "name": "b", "hostname": "b.some-domain.com" })).await,
        )
        .await;
    let slow = Effect::WorkRequestTakes(Duration::from_millis(100));
    world.lab.add_fault(Fault::new("DeleteHostname", slow));
    let answer = client.delete(&world.path("/hostnames/b")).await;
    world.lab.edit_load_balancer(&world.id, |json| json["listeners"]["http"]["hostnameNames"] = json!(["b"])).unwrap();
    let request = client.finished(&answer).await;
    assert_eq!(request["lifecycleState"], "FAILED");
    assert_eq!(world.lab.work_requests()[1].state, WorkRequestState::Failed);
    assert!(request["message"].as_str().unwrap().contains("used in listener 'http'"), "{request}");
}

#[tokio::test]
async fn without_a_delay_a_work_request_has_ended_when_the_mutation_is_answered() {
    let world = World::new().await;
    world.lab.set_behaviour(|behaviour| behaviour.work_request_delay = Duration::ZERO);
    let body = json!({ "hostname": "new.some-domain.com" });
    world.client.put(&world.path("/hostnames/www"), &body).await;
    assert_eq!(world.lab.work_requests()[0].state, WorkRequestState::Succeeded);
    assert_eq!(world.client.get(&world.path("/hostnames/www")).await.json()["hostname"], "new.some-domain.com");
}
