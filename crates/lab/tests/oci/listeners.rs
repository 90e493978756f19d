use serde_json::{Value, json};

use crate::world::{Leaf, World, https};

#[tokio::test]
async fn an_update_replaces_everything() {
    let world = World::new().await;
    let update = json!({ "defaultBackendSetName": "app", "port": 443, "protocol": "HTTP",
        "sslConfiguration": { "certificateName": "old" } });
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
    assert_eq!(
        world.listener("https"),
        json!({
            "name": "https",
            "defaultBackendSetName": "app",
            "port": 443,
            "protocol": "HTTP",
            "sslConfiguration": {
                "certificateName": "old",
                "certificateIds": [],
                "trustedCertificateAuthorityIds": [],
                "verifyPeerCertificate": false,
                "verifyDepth": 5,
                "protocols": ["TLSv1.2"],
                "cipherSuiteName": "oci-default-ssl-cipher-suite-v1",
                "serverOrderPreference": "ENABLED",
                "hasSessionResumption": true,
            },
            "connectionConfiguration": { "idleTimeout": 60 },
            "hostnameNames": [],
            "ruleSetNames": [],
            "pathRouteSetName": null,
            "routingPolicyName": null,
        })
    );
}

#[tokio::test]
async fn a_complete_copy_with_another_certificate_changes_nothing_else() {
    let world = World::new().await;
    world.upload("new", &Leaf::ecdsa("www.some-domain.com")).await;
    let before = world.listener("https");
    let mut copy = https();
    copy["sslConfiguration"]["certificateName"] = "new".into();
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &copy).await).await;
    let mut after = world.listener("https");
    assert_eq!(after["sslConfiguration"]["certificateName"], "new");
    after["sslConfiguration"]["certificateName"] = "old".into();
    assert_eq!(after, before);
}

#[tokio::test]
async fn nulls_in_an_update_are_as_good_as_absent_and_a_name_is_not_allowed() {
    let world = World::new().await;
    let mut update = https();
    update["pathRouteSetName"] = Value::Null;
    update["sslConfiguration"]["certificateIds"] = Value::Null;
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &update).await).await;
    update["name"] = "https".into();
    let answer = world.client.put(&world.path("/listeners/https"), &update).await;
    answer.refused(400, "CannotParseRequest", "Unrecognized field \"name\"");
}

#[tokio::test]
async fn what_a_listener_refers_to_must_exist() {
    let world = World::new().await;
    let cases: &[(&str, Value, &str)] = &[
        ("/defaultBackendSetName", json!("none"), "unknown backend set 'none'"),
        ("/hostnameNames", json!(["none"]), "unknown hostname 'none'"),
        ("/ruleSetNames", json!(["none"]), "unknown rule set 'none'"),
        ("/routingPolicyName", json!("none"), "unknown routing policy 'none'"),
        ("/sslConfiguration/certificateName", json!("none"), "unknown certificate 'none'"),
        ("/sslConfiguration/cipherSuiteName", json!("none"), "unknown SSL cipher suite 'none'"),
        ("/sslConfiguration/cipherSuiteName", json!("oci-customized-ssl-cipher-suite"), "cannot be used as input"),
        (
            "/sslConfiguration/cipherSuiteName",
            json!("oci-default-ssl-cipher-suite-v1"),
            "no cipher for SSL protocol TLSv1.3",
        ),
        ("/sslConfiguration/protocols", json!(["TLSv1.9"]), "'TLSv1.9' is not one of"),
        ("/sslConfiguration/verifyDepth", json!("one"), "verifyDepth must be an integer"),
        ("/sslConfiguration", json!({}), "Either certificateName or certificateIds"),
        (
            "/sslConfiguration",
            json!({ "certificateName": "old", "certificateIds": ["ocid1.certificate.x"] }),
            "exclude",
        ),
        ("/port", json!(0), "port must be an integer"),
        ("/protocol", json!("HTTPS"), "'HTTPS' is not one of"),
        ("/connectionConfiguration", json!({}), "idleTimeout must not be null"),
    ];
    for (place, value, text) in cases {
        let mut update = https();
        *update.pointer_mut(place).unwrap() = value.clone();
        let answer = world.client.put(&world.path("/listeners/https"), &update).await;
        answer.refused(400, "InvalidParameter", text);
    }
    assert!(world.lab.work_requests().is_empty());
}

#[tokio::test]
async fn listeners_of_one_port_agree_on_tls_and_differ_in_hostnames() {
    let world = World::new().await;
    let client = &world.client;
    let path = world.path("/listeners");
    let mut sibling = https();
    sibling["name"] = "default".into();
    sibling["hostnameNames"] = json!([]);
    sibling["sslConfiguration"]["protocols"] = json!(["TLSv1.2"]);
    let text = "Not all SSL virtual listeners on port 443 have the same set of SSL protocols defined.";
    client.post(&path, &sibling).await.refused(400, "InvalidParameter", text);

    sibling["sslConfiguration"]["protocols"] = json!(["TLSv1.3", "TLSv1.2"]);
    client.succeeded(&client.post(&path, &sibling).await).await;

    let mut third = sibling.clone();
    third["name"] = "third".into();
    let text = "Default Listener on port '443' refer to VIP '127.0.0.1' twice";
    client.post(&path, &third).await.refused(400, "InvalidParameter", text);
    third["hostnameNames"] = json!(["www"]);
    client.post(&path, &third).await.refused(400, "InvalidParameter", "Hostname 'www' is used by more than one");

    // The update that forgets all but the certificate fails on the sibling's protocols.
    let update = json!({ "defaultBackendSetName": "app", "port": 443, "protocol": "HTTP",
        "hostnameNames": ["www"], "sslConfiguration": { "certificateName": "old" } });
    let answer = client.put(&world.path("/listeners/https"), &update).await;
    answer.refused(400, "InvalidParameter", "same set of SSL protocols");
}

#[tokio::test]
async fn a_listener_is_made_and_removed() {
    let world = World::new().await;
    let body = json!({ "name": "extra", "port": 8080, "protocol": "HTTP", "defaultBackendSetName": "app" });
    world.client.succeeded(&world.client.post(&world.path("/listeners"), &body).await).await;
    assert_eq!(world.listener("extra")["port"], 8080);
    world.client.succeeded(&world.client.delete(&world.path("/listeners/extra")).await).await;
    assert_eq!(world.listener("extra"), Value::Null);
}

#[tokio::test]
async fn a_backend_set_is_replaced_as_a_whole() {
    let world = World::with_backends(json!([{ "ipAddress": "127.0.0.1", "port": 9 }])).await;
    let path = world.path("/backendSets/app");
    let without_backends = json!({ "policy": "ROUND_ROBIN", "healthChecker": { "protocol": "TCP", "port": 22 } });
    let answer = world.client.put(&path, &without_backends).await;
    answer.refused(400, "InvalidParameter", "backends must not be null");
    let mut update = without_backends;
    update["backends"] = json!([]);
    world.client.succeeded(&world.client.put(&path, &update).await).await;
    let set = world.client.get(&path).await.json();
    assert_eq!(set["backends"], json!([]));
    assert_eq!(set["healthChecker"]["port"], 22);
    assert_eq!(set["healthChecker"]["intervalInMillis"], 10000);
}
