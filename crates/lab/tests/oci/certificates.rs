use certferry_lab::oci_load_balancer::{AttachedCertificate, CertificateCheck, DuplicateName};
use serde_json::{Value, json};

use crate::world::{Leaf, World};

#[tokio::test]
async fn a_bundle_appears_when_its_work_request_has_succeeded() {
    let world = World::new().await;
    let new = Leaf::rsa("www.some-domain.com");
    let answer = world.client.post(&world.path("/certificates"), &new.entry("new")).await;
    let request = world.client.finished(&answer).await;
    assert_eq!(request["type"], "CreateCertificate");
    assert_eq!(request["loadBalancerId"], world.id.as_str());
    assert_eq!(request["errorDetails"], json!([]));
    let found = world.client.get(&world.path("/certificates")).await.json();
    assert_eq!(found[0]["certificateName"], "new");
    assert_eq!(found[0]["publicCertificate"], new.pem);
    assert_eq!(found[0].get("caCertificate"), Some(&Value::Null));
    let logged = world.lab.requests();
    let body = logged[0].body.as_ref().unwrap();
    assert_eq!(body["privateKey"], "(not logged)");
}

#[tokio::test]
async fn a_bundle_that_is_not_sound_is_refused() {
    let world = World::new().await;
    let one = Leaf::ecdsa("www.some-domain.com");
    let other = Leaf::ecdsa("www.some-domain.com");
    let cases = [
        (
            json!({ "certificateName": "a.b", "publicCertificate": one.pem, "privateKey": one.key_pem }),
            "certificate name",
        ),
        (
            json!({ "certificateName": "a b", "publicCertificate": one.pem, "privateKey": one.key_pem }),
            "certificate name",
        ),
        (json!({ "certificateName": "", "publicCertificate": one.pem, "privateKey": one.key_pem }), "certificate name"),
        (json!({ "publicCertificate": one.pem, "privateKey": one.key_pem }), "certificateName must not be null"),
        (json!({ "certificateName": "a", "publicCertificate": "nothing", "privateKey": one.key_pem }), "X.509"),
        (json!({ "certificateName": "a", "publicCertificate": one.pem, "privateKey": "nothing" }), "private key"),
        (
            json!({ "certificateName": "a", "publicCertificate": one.pem, "privateKey": other.key_pem }),
            "does not match",
        ),
        (json!({ "certificateName": "a", "publicCertificate": one.pem }), "Private key"),
        (json!({ "certificateName": "a", "privateKey": one.key_pem }), "Public certificate"),
        (
            json!({ "certificateName": "a", "publicCertificate": one.pem, "privateKey": one.key_pem, "passphrase": "x" }),
            "not encrypted",
        ),
    ];
    for (body, text) in cases {
        let answer = world.client.post(&world.path("/certificates"), &body).await;
        answer.refused(400, "InvalidParameter", text);
    }
    assert!(world.lab.work_requests().is_empty());
}

#[tokio::test]
async fn an_encrypted_key_needs_its_passphrase() {
    let world = World::new().await;
    let leaf = Leaf::ecdsa("www.some-domain.com");
    let key = encrypted(&leaf.key_pem, "secret");
    let body = |passphrase: Option<&str>| {
        let mut body = json!({ "certificateName": "a", "publicCertificate": leaf.pem, "privateKey": key });
        if let Some(passphrase) = passphrase {
            body["passphrase"] = passphrase.into();
        }
        body
    };
    let path = world.path("/certificates");
    world.client.post(&path, &body(None)).await.refused(400, "InvalidParameter", "no passphrase");
    world.client.post(&path, &body(Some("wrong"))).await.refused(400, "InvalidParameter", "does not decrypt");
    world.client.succeeded(&world.client.post(&path, &body(Some("secret"))).await).await;
}

#[tokio::test]
async fn the_content_of_a_bundle_may_be_checked_by_the_work_request_only() {
    let world = World::new().await;
    world.lab.set_behaviour(|behaviour| behaviour.certificate_check = CertificateCheck::InWorkRequest);
    let body = json!({ "certificateName": "a", "publicCertificate": "nothing", "privateKey": "nothing" });
    let answer = world.client.post(&world.path("/certificates"), &body).await;
    let request = world.client.finished(&answer).await;
    assert_eq!(request["lifecycleState"], "FAILED");
    assert_eq!(request["errorDetails"][0]["errorCode"], "BAD_INPUT");
    assert_eq!(world.client.get(&world.path("/certificates")).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_is_taken_once() {
    let world = World::new().await;
    let body = world.old.entry("old");
    let path = world.path("/certificates");
    world.client.post(&path, &body).await.refused(409, "Conflict", "'old' already exists");
    world.lab.set_behaviour(|behaviour| behaviour.duplicate_name = DuplicateName::InvalidParameter);
    world.client.post(&path, &body).await.refused(400, "InvalidParameter", "'old' already exists");
}

#[tokio::test]
async fn a_limit_is_a_limit() {
    let world = World::new().await;
    world.lab.set_behaviour(|behaviour| behaviour.certificate_limit = Some(1));
    let answer = world.client.post(&world.path("/certificates"), &world.old.entry("new")).await;
    answer.refused(400, "LimitExceeded", "service limits were exceeded");
}

#[tokio::test]
async fn an_attached_bundle_is_not_deleted_and_a_free_one_is() {
    let world = World::new().await;
    world.upload("free", &world.old).await;
    let path = world.path("/certificates/old");
    let answer = world.client.delete(&path).await;
    answer.refused(409, "Conflict", "Certificate 'old' is attached to one or more listeners/backendSets");

    world.lab.set_behaviour(|behaviour| behaviour.attached_certificate = AttachedCertificate::WorkRequestFails);
    let request = world.client.finished(&world.client.delete(&path).await).await;
    assert_eq!(request["lifecycleState"], "FAILED");
    assert_eq!(request["message"], "Listener for 'https' refers to unknown certificate 'old'");

    world.client.succeeded(&world.client.delete(&world.path("/certificates/free")).await).await;
    let left = world.client.get(&world.path("/certificates")).await.json();
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["certificateName"], "old");
}

#[tokio::test]
async fn a_bundle_used_by_a_backend_set_is_attached_too() {
    let world = World::new().await;
    world.upload("inner", &world.old).await;
    let update = json!({ "policy": "ROUND_ROBIN", "backends": [], "healthChecker": { "protocol": "TCP", "port": 22 },
        "sslConfiguration": { "certificateName": "inner" } });
    world.client.succeeded(&world.client.put(&world.path("/backendSets/app"), &update).await).await;
    let answer = world.client.delete(&world.path("/certificates/inner")).await;
    answer.refused(409, "Conflict", "attached");
}

#[tokio::test]
async fn peer_verification_needs_a_ca() {
    let world = World::new().await;
    let mut listener = crate::world::https();
    listener["sslConfiguration"]["verifyPeerCertificate"] = true.into();
    let answer = world.client.put(&world.path("/listeners/https"), &listener).await;
    answer.refused(
        400,
        "InvalidParameter",
        "Invalid SSL configuration: [Constraint sslConfiguration violation: Empty CA certificate. CA certificate is \
         required for client validation.]",
    );
    let mut entry = world.old.entry("with-ca");
    entry["caCertificate"] = world.old.pem.as_str().into();
    world.client.succeeded(&world.client.post(&world.path("/certificates"), &entry).await).await;
    listener["sslConfiguration"]["certificateName"] = "with-ca".into();
    world.client.succeeded(&world.client.put(&world.path("/listeners/https"), &listener).await).await;
}

#[tokio::test]
async fn a_bundle_of_a_ca_alone_is_kept_but_not_served() {
    let world = World::new().await;
    let body = json!({ "certificateName": "ca", "caCertificate": world.old.pem });
    world.client.succeeded(&world.client.post(&world.path("/certificates"), &body).await).await;
    let mut listener = crate::world::https();
    listener["sslConfiguration"]["certificateName"] = "ca".into();
    let answer = world.client.put(&world.path("/listeners/https"), &listener).await;
    answer.refused(400, "InvalidParameter", "no public certificate");
}

fn encrypted(key_pem: &str, passphrase: &str) -> String {
    let der = pem::parse(key_pem).unwrap();
    let key = pkcs8::PrivateKeyInfoRef::try_from(der.contents()).unwrap();
    let parameters = pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(10, b"some salt", [7; 16]);
    let document = key.encrypt_with_params(parameters.unwrap(), passphrase).unwrap();
    pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", document.as_bytes()))
}
