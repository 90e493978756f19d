use certferry_lab::oci_load_balancer::{LoadBalancerSpec, Nulls};
use serde_json::{Value, json};

use crate::polling::eventually;
use crate::world::{World, https};

#[tokio::test]
async fn a_load_balancer_shows_maps_by_name_and_no_private_key() {
    let world = World::new().await;
    let answer = world.client.get(&world.path("")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("etag"), world.lab.etag(&world.id).unwrap());
    let json = answer.json();
    assert_eq!(json["id"], world.id.as_str());
    assert_eq!(json["ipAddresses"][0]["ipAddress"], "127.0.0.1");
    assert_eq!(json["listeners"]["https"]["name"], "https");
    assert_eq!(json["listeners"]["https"]["futureField"], https()["futureField"]);
    assert_eq!(json["certificates"]["old"]["publicCertificate"], world.old.pem);
    assert_eq!(json["pathRouteSets"], json!({}));
    assert!(!answer.text.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn lists_are_bare_arrays_with_the_one_etag() {
    let world = World::new().await;
    for (list, length) in [
        ("/certificates", 1),
        ("/hostnames", 1),
        ("/backendSets", 1),
        ("/backendSets/app/backends", 0),
        ("/pathRouteSets", 0),
        ("/routingPolicies", 1),
        ("/ruleSets", 1),
        ("/listeners/https/rules", 1),
    ] {
        let answer = world.client.get(&world.path(list)).await;
        assert_eq!(answer.json().as_array().map(Vec::len), Some(length), "{list}");
        assert_eq!(answer.header("etag"), world.lab.etag(&world.id).unwrap(), "{list}");
    }
    let suites = world.client.get(&world.path("/sslCipherSuites")).await.json();
    let default = suites.as_array().unwrap().iter().find(|suite| suite["name"] == "oci-default-ssl-cipher-suite-v1");
    let ciphers = default.unwrap()["ciphers"].as_array().unwrap();
    assert!(ciphers.iter().all(|cipher| !cipher.as_str().unwrap().contains("ECDSA")));
}

#[tokio::test]
async fn what_does_not_exist_is_404_405_or_501() {
    let world = World::new().await;
    let client = &world.client;
    let missing = "NotAuthorizedOrNotFound";
    for path in [
        world.path("x"),
        world.path("/backendSets/none"),
        world.path("/backendSets/app/backends/127.0.0.1%3A1"),
        world.path("/backendSets/none/health"),
        world.path("/listeners/none/rules"),
        "/loadBalancerWorkRequests/none".into(),
    ] {
        client.get(&path).await.refused(404, missing, "");
    }
    client.delete(&world.path("/certificates/none")).await.refused(404, missing, "");
    client.delete(&world.path("/listeners/none")).await.refused(404, missing, "");
    let body = json!({ "defaultBackendSetName": "app", "port": 81, "protocol": "HTTP" });
    client.put(&world.path("/listeners/none"), &body).await.refused(404, missing, "");
    client.get("/nothing").await.refused(404, "NotFound", "");
    client.get(&world.path("/listeners")).await.refused(405, "MethodNotAllowed", "");
    client.get(&world.path("/listeners/https")).await.refused(405, "MethodNotAllowed", "");
    client.get(&world.path("/certificates/old")).await.refused(405, "MethodNotAllowed", "");
    client.post("/loadBalancers", &json!({})).await.refused(501, "MethodNotImplemented", "");
}

#[tokio::test]
async fn the_request_id_comes_back_with_segments_appended() {
    let world = World::new().await;
    let answer = world.client.call("GET", &world.path(""), None, &[("opc-request-id", "MINE")]).await;
    let segments: Vec<&str> = answer.header("opc-request-id").split('/').collect();
    assert_eq!((segments.len(), segments[0]), (3, "MINE"));
    let answer = world.client.get(&world.path("")).await;
    assert_eq!(answer.header("opc-request-id").split('/').count(), 3);
}

#[tokio::test]
async fn load_balancers_are_listed_by_compartment_in_pages() {
    let world = World::new().await;
    let mut ids = vec![world.id.clone()];
    for number in 1..5 {
        let spec = LoadBalancerSpec::new(format!("other-{number}"));
        ids.push(world.lab.add_load_balancer(spec).unwrap());
    }
    let client = &world.client;
    client.get("/loadBalancers").await.refused(400, "MissingParameter", "compartmentId");
    let target = format!("/loadBalancers?compartmentId={}", world.lab.compartment_id());
    let mut seen = Vec::new();
    let mut page = String::new();
    loop {
        let answer = client.get(&format!("{target}&sortBy=DISPLAYNAME&limit=2{page}")).await;
        let found = answer.json();
        assert!(found.as_array().unwrap().len() <= 2);
        seen.extend(found.as_array().unwrap().iter().map(|found| found["displayName"].clone()));
        match answer.headers.get("opc-next-page") {
            Some(next) => page = format!("&page={}", next.to_str().unwrap()),
            None => break,
        }
    }
    assert_eq!(seen, ["other-1", "other-2", "other-3", "other-4", "web"]);
    let found = client.get(&format!("{target}&displayName=web")).await.json();
    assert_eq!(found[0]["id"], ids[0].as_str());
    assert_eq!(client.get("/loadBalancers?compartmentId=other").await.json(), json!([]));
}

#[tokio::test]
async fn unset_fields_are_null_or_absent_as_the_mode_says() {
    let world = World::new().await;
    let listener = world.listener("http");
    assert_eq!(listener.get("sslConfiguration"), Some(&Value::Null));
    assert_eq!(listener.get("routingPolicyName"), Some(&Value::Null));
    world.lab.set_behaviour(|behaviour| behaviour.nulls = Nulls::Omitted);
    let json = world.client.get(&world.path("")).await.json();
    assert_eq!(json["listeners"]["http"].get("sslConfiguration"), None);
    assert!(!json.to_string().contains("null"), "{json}");
}

#[tokio::test]
async fn every_kind_of_object_can_be_made_changed_and_removed() {
    let world = World::new().await;
    let client = &world.client;
    let cases = [
        (
            "hostnames",
            json!({ "name": "other", "hostname": "other.some-domain.com" }),
            json!({ "hostname": "another.some-domain.com" }),
        ),
        (
            "pathRouteSets",
            json!({ "name": "other", "pathRoutes": [] }),
            json!({ "pathRoutes": [
                { "path": "/x", "pathMatchType": { "matchType": "PREFIX_MATCH" }, "backendSetName": "app" },
            ] }),
        ),
        (
            "ruleSets",
            json!({ "name": "other", "items": [{ "action": "ALLOW", "conditions": [] }] }),
            json!({ "items": [{ "action": "REDIRECT", "responseCode": 301 }] }),
        ),
        (
            "routingPolicies",
            json!({ "name": "other", "conditionLanguageVersion": "V1", "rules": [] }),
            json!({ "rules": [{
                "name": "one",
                "condition": "any(http.request.url.path sw '/x')",
                "actions": [{ "name": "FORWARD_TO_BACKENDSET", "backendSetName": "app" }],
            }] }),
        ),
        (
            "sslCipherSuites",
            json!({ "name": "other", "ciphers": ["ECDHE-RSA-AES128-GCM-SHA256"] }),
            json!({ "ciphers": ["ECDHE-ECDSA-AES128-GCM-SHA256"] }),
        ),
        (
            "backendSets",
            json!({ "name": "other", "policy": "ROUND_ROBIN", "healthChecker": { "protocol": "TCP", "port": 22 } }),
            json!({
                "policy": "IP_HASH",
                "backends": [{ "ipAddress": "127.0.0.1", "port": 1, "weight": 2 }],
                "healthChecker": { "protocol": "HTTP", "urlPath": "/up" },
            }),
        ),
    ];
    for (kind, create, update) in cases {
        let whole = world.path(&format!("/{kind}"));
        let one = world.path(&format!("/{kind}/other"));
        client.succeeded(&client.post(&whole, &create).await).await;
        client.post(&whole, &create).await.refused(409, "Conflict", "already exists");
        client.succeeded(&client.put(&one, &update).await).await;
        let shown = client.get(&one).await.json();
        for (field, value) in update.as_object().unwrap() {
            if kind != "backendSets" {
                assert_eq!(&shown[field], value, "{kind}");
            }
        }
        client.succeeded(&client.delete(&one).await).await;
        client.get(&one).await.refused(404, "NotAuthorizedOrNotFound", "");
    }
}

#[tokio::test]
async fn backends_and_the_health_checker_are_changed_one_by_one() {
    let world = World::new().await;
    let client = &world.client;
    let backends = world.path("/backendSets/app/backends");
    let one = world.path("/backendSets/app/backends/127.0.0.1%3A9");
    client.succeeded(&client.post(&backends, &json!({ "ipAddress": "127.0.0.1", "port": 9 })).await).await;
    assert_eq!(client.get(&one).await.json()["name"], "127.0.0.1:9");
    let incomplete = client.put(&one, &json!({ "weight": 3 })).await;
    incomplete.refused(400, "InvalidParameter", "backup must not be null");
    let update = json!({ "weight": 3, "backup": false, "drain": true, "offline": false });
    client.succeeded(&client.put(&one, &update).await).await;
    assert_eq!(client.get(&one).await.json()["drain"], true);

    let checker = world.path("/backendSets/app/healthChecker");
    let update = json!({ "protocol": "HTTP", "port": 9, "returnCode": 204, "retries": 2, "timeoutInMillis": 100,
        "intervalInMillis": 2000, "responseBodyRegex": ".*" });
    client.succeeded(&client.put(&checker, &update).await).await;
    assert_eq!(client.get(&checker).await.json()["returnCode"], 204);

    client.succeeded(&client.delete(&one).await).await;
    assert_eq!(client.get(&backends).await.json(), json!([]));
}

#[tokio::test]
async fn health_is_that_of_real_checks() {
    let backend = crate::world::Backend::start("one").await;
    let world = World::with_backends(json!([backend.json()])).await;
    let set = world.path("/backendSets/app/health");
    let one = world.path(&format!("/backendSets/app/backends/127.0.0.1%3A{}/health", backend.address.port()));
    let status = async |wanted: &str| {
        eventually(wanted, || async { (world.client.get(&set).await.json()["status"] == wanted).then_some(()) }).await;
    };
    status("OK").await;
    assert_eq!(world.client.get(&world.path("/health")).await.json()["status"], "OK");
    let name = format!("127.0.0.1:{}", backend.address.port());
    backend.stop().await;
    status("CRITICAL").await;
    assert_eq!(world.client.get(&set).await.json()["criticalStateBackendNames"], json!([name]));
    let health = world.client.get(&one).await.json();
    assert_eq!(health["healthCheckResults"][0]["healthCheckStatus"], "CONNECT_FAILED");
}

#[tokio::test]
async fn an_object_in_use_stays() {
    let world = World::new().await;
    for (path, user) in [
        ("/backendSets/app", "listener 'https'"),
        ("/hostnames/www", "listener 'https'"),
        ("/ruleSets/hsts", "listener 'https'"),
        ("/routingPolicies/policy", "listener 'https'"),
    ] {
        let answer = world.client.delete(&world.path(path)).await;
        answer.refused(400, "InvalidParameter", user);
    }
}

#[tokio::test]
async fn tags_are_changed_and_other_fields_of_the_load_balancer_are_not() {
    let world = World::new().await;
    let client = &world.client;
    let update = json!({ "displayName": "new", "freeformTags": { "a": "b" } });
    client.succeeded(&client.put(&world.path(""), &update).await).await;
    assert_eq!(world.lab.load_balancer(&world.id).unwrap()["freeformTags"], json!({ "a": "b" }));
    let answer = client.put(&world.path(""), &json!({ "listeners": {} })).await;
    answer.refused(400, "CannotParseRequest", "listeners");
}
