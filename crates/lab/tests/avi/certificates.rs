//! Certificates: import, chains, keys that stay on the controller.

use certferry_lab::pki::{Pki, PkiKey, Validity};
use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, CertificateSigningRequestParams, DistinguishedName, KeyPair};
use serde_json::{Value, json};

use crate::world::{World, leaf, pair};

const PATH: &str = "/api/sslkeyandcertificate";

#[tokio::test]
async fn an_import_answers_without_pem_and_shows_derived_fields_without_the_key() {
    let world = World::new().await;
    let issued = world.pki.issue(&["a.test", "b.test"], 90).unwrap();
    let created = world.client.post(PATH, &pair("new", &issued)).await;
    assert!(!created.text.contains("BEGIN"), "{}", created.text);
    assert_eq!(created.ok()["status"], "SSL_CERTIFICATE_FINISHED");
    let shown = world.client.get(&format!("{PATH}/{}", created.uuid())).await.ok();
    let certificate = &shown["certificate"];
    assert_eq!(shown["key"], "<sensitive>");
    assert_eq!(shown["key_params"]["ec_params"]["curve"], "SSL_KEY_EC_CURVE_SECP256R1");
    assert_eq!(certificate["subject"]["common_name"], "a.test");
    assert_eq!(certificate["subject_alt_names"], json!(["a.test", "b.test"]));
    assert_eq!(certificate["expiry_status"], "SSL_CERTIFICATE_GOOD");
    assert_eq!(certificate["days_until_expire"], 365, "never a countdown");
    let der = pem::parse(certificate["certificate"].as_str().unwrap()).unwrap().into_contents();
    assert_eq!(der, leaf(&issued));
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert_eq!(certificate["serial_number"], parsed.tbs_certificate.serial.to_string());
    let end = Timestamp::from_second(parsed.validity().not_after.timestamp()).unwrap();
    let written = end.to_string().replace('T', " ").replace('Z', "");
    assert_eq!(certificate["not_after"], written);
}

#[tokio::test]
async fn issuers_are_split_off_linked_and_kept_once() {
    let world = World::new().await;
    let pki = Pki::with_intermediates(2, PkiKey::Ecdsa).unwrap();
    let authorities = async || {
        let list = world.client.get(&format!("{PATH}?type=SSL_CERTIFICATE_TYPE_CA&page_size=200")).await;
        list.ok()["count"].as_u64().unwrap()
    };
    let before = authorities().await;
    let first = world.client.post(PATH, &pair("first", &pki.issue(&["a.test"], 9).unwrap())).await.ok();
    assert_eq!(first["ca_certs"].as_array().unwrap().len(), 2);
    assert_eq!(authorities().await, before + 2);
    let second = world.client.post(PATH, &pair("second", &pki.issue(&["b.test"], 9).unwrap())).await.ok();
    assert_eq!(second["ca_certs"], first["ca_certs"]);
    assert_eq!(authorities().await, before + 2);
}

#[tokio::test]
async fn issuers_that_were_imported_first_are_found_under_any_name() {
    let world = World::new().await;
    let pki = Pki::new().unwrap();
    let authority = json!({"name": "LE-E7", "type": "SSL_CERTIFICATE_TYPE_CA",
        "certificate": {"certificate": pki.intermediates_pem()}});
    let uuid = world.client.post(PATH, &authority).await.uuid();
    let issued = pki.issue(&["a.test"], 9).unwrap();
    let made = world.client.post(PATH, &pair("whole-chain", &issued)).await.ok();
    assert_eq!(made["ca_certs"][0]["name"], "LE-E7");
    let mut alone = pair("leaf-alone", &issued);
    alone["certificate"]["certificate"] = json!(pem::encode(&pem::Pem::new("CERTIFICATE", leaf(&issued))));
    let made = world.client.post(PATH, &alone).await.ok();
    assert!(made["ca_certs"][0]["ca_ref"].as_str().unwrap().contains(&uuid), "{made}");
    world.client.delete(&format!("{PATH}/{uuid}")).await.refused(403);
}

#[tokio::test]
async fn what_cannot_be_served_is_refused() {
    let world = World::new().await;
    let (one, other) = (world.pki.issue(&["a.test"], 9).unwrap(), world.pki.issue(&["a.test"], 9).unwrap());
    let mut mixed = pair("mixed", &one);
    mixed["key"] = json!(other.private_key_pem);
    assert!(world.client.post(PATH, &mixed).await.refused(400).contains("does not match"));
    for garbage in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let mut body = pair("garbage", &one);
        body["certificate"]["certificate"] = json!(garbage);
        world.client.post(PATH, &body).await.refused(400);
    }
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    let nameless = params.self_signed(&key).unwrap();
    let body = json!({"name": "nameless", "certificate": {"certificate": nameless.pem()}, "key": key.serialize_pem()});
    let text = world.client.post(PATH, &body).await.refused(500);
    assert!(text.contains("Import error") && text.contains("common_name"), "{text}");
}

#[tokio::test]
async fn keys_are_taken_in_every_form() {
    let world = World::new().await;
    let issued = world.pki.issue(&["a.test"], 9).unwrap();
    let key = KeyPair::from_pem(&issued.private_key_pem).unwrap();
    let document = pkcs8::PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap();
    let parameters = pkcs8::pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(10, b"some salt", [7; 16]);
    let encrypted = document.encrypt_with_params(parameters.unwrap(), "open sesame").unwrap();
    let pem = pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", encrypted.as_bytes()));
    let mut body = pair("encrypted", &issued);
    body["key"] = json!(pem);
    world.client.post(PATH, &body).await.refused(400);
    body["key_passphrase"] = json!("wrong");
    world.client.post(PATH, &body).await.refused(400);
    body["key_passphrase"] = json!("open sesame");
    let uuid = world.client.post(PATH, &body).await.uuid();
    let exported = world.client.get(&format!("{PATH}/{uuid}?export_key=true")).await.ok();
    let known = KeyPair::from_pem(exported["key"].as_str().unwrap()).unwrap();
    assert_eq!(known.public_key_raw(), key.public_key_raw());
    let event = world.lab.events().pop().unwrap();
    assert_eq!((event.event_id, event.obj_name.as_str()), ("SSL_KEY_EXPORTED", "encrypted"));
}

#[tokio::test]
async fn a_renewal_in_place_is_served_without_touching_the_virtual_service() {
    let world = World::new().await;
    assert_eq!(world.served(443, "www.some-domain.com").await.unwrap(), leaf(&world.old));
    let new = world.pki.issue(&["www.some-domain.com"], 90).unwrap();
    let stored = world.lab.object("sslkeyandcertificate", "old").unwrap();
    let path = format!("{PATH}/{}", stored["uuid"].as_str().unwrap());
    let before = world.lab.object("virtualservice", "shop-443").unwrap();
    let mut body = pair("old", &new);
    body["enable_ocsp_stapling"] = json!(true);
    world.client.put(&path, &body).await.ok();
    assert_eq!(world.served(443, "www.some-domain.com").await.unwrap(), leaf(&new));
    assert_eq!(world.lab.object("virtualservice", "shop-443").unwrap(), before);
}

#[tokio::test]
async fn the_echoed_mask_keeps_the_key_and_another_leaf_needs_another_key() {
    let world = World::new().await;
    let uuid = world.lab.object("sslkeyandcertificate", "old").unwrap()["uuid"].as_str().unwrap().to_owned();
    let path = format!("{PATH}/{uuid}");
    let mut body = world.client.get(&path).await.ok();
    body["markers"] = json!([{"key": "team", "values": ["web"]}]);
    world.client.put(&path, &body).await.ok();
    assert_eq!(world.served(443, "www.some-domain.com").await.unwrap(), leaf(&world.old));
    body.as_object_mut().unwrap().remove("_last_modified");
    body["certificate"]["certificate"] = json!(world.pki.issue(&["www.some-domain.com"], 9).unwrap().chain_pem);
    assert!(world.client.put(&path, &body).await.refused(400).contains("does not match"));
}

async fn csr_object(world: &World, parameters: Value) -> (String, Value) {
    let body = json!({
        "name": "made-here", "type": "SSL_CERTIFICATE_TYPE_VIRTUALSERVICE", "key_params": parameters,
        "certificate": {"self_signed": false, "subject": {"common_name": "made.test"},
            "subject_alt_names": ["made.test", "www.made.test"]},
    });
    let path = format!("{PATH}/{}", world.client.post(PATH, &body).await.uuid());
    let shown = world.client.get(&path).await.ok();
    (path, shown)
}

fn sign(pki: &Pki, csr: &str) -> String {
    let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_800_000_000);
    let now = Timestamp::try_from(now).unwrap();
    let validity = Validity {
        common_name: Some("made.test".into()),
        not_before: now,
        not_after: now + SignedDuration::from_hours(24 * 90),
    };
    pki.sign_csr(CertificateSigningRequestParams::from_pem(csr).unwrap(), &validity).unwrap()
}

#[tokio::test]
async fn a_csr_made_on_the_controller_is_signed_and_its_key_never_leaves() {
    let world = World::new().await;
    for parameters in [
        json!({"algorithm": "SSL_KEY_ALGORITHM_EC", "ec_params": {"curve": "SSL_KEY_EC_CURVE_SECP256R1"}}),
        json!({"algorithm": "SSL_KEY_ALGORITHM_EC", "ec_params": {"curve": "SSL_KEY_EC_CURVE_SECP384R1"}}),
        json!({"algorithm": "SSL_KEY_ALGORITHM_RSA", "rsa_params": {"key_size": "SSL_KEY_2048_BITS", "exponent": 65537}}),
    ] {
        let (path, shown) = csr_object(&world, parameters.clone()).await;
        assert_eq!((&shown["status"], &shown["key"]), (&json!("SSL_CERTIFICATE_PENDING"), &json!("<sensitive>")));
        let csr = shown["certificate"]["certificate_signing_request"].as_str().unwrap();
        let unrelated = world.client.patch(&path, &json!({"add": {"markers": [{"key": "a"}]}})).await.ok();
        assert_eq!(unrelated["certificate"], shown["certificate"], "a pending object stays as it is");
        let chain = sign(&world.pki, csr);
        let done = world.client.patch(&path, &json!({"replace": {"certificate": {"certificate": chain}}})).await.ok();
        assert_eq!(done["status"], "SSL_CERTIFICATE_FINISHED");
        assert_eq!(done["key_params"], parameters);
        assert_eq!(done["certificate"]["certificate_signing_request"], csr, "it can be signed again");
        let again = sign(&world.pki, csr);
        world.client.patch(&path, &json!({"replace": {"certificate": {"certificate": again}}})).await.ok();
        let foreign = world.pki.issue(&["made.test"], 9).unwrap().chain_pem;
        world.client.patch(&path, &json!({"replace": {"certificate": {"certificate": foreign}}})).await.refused(400);
        world.client.delete(&path).await;
    }
}

#[tokio::test]
async fn a_csr_needs_a_common_name() {
    let world = World::new().await;
    let body = json!({"name": "a", "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        "certificate": {"subject_alt_names": ["a.test"]}});
    assert!(world.client.post(PATH, &body).await.refused(400).contains("common_name"));
    world.client.post(PATH, &json!({"name": "a"})).await.refused(400);
    let curve =
        json!({"name": "a", "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC", "ec_params": {"curve": "ROUND"}}});
    assert!(world.client.post(PATH, &curve).await.refused(500).starts_with("Bad pb"));
}

#[tokio::test]
async fn expiry_is_told_by_the_controllers_clock() {
    let world = World::new().await;
    let status = || {
        let shown = world.lab.object("sslkeyandcertificate", "old").unwrap();
        shown["certificate"]["expiry_status"].as_str().unwrap().to_owned()
    };
    assert_eq!(status(), "SSL_CERTIFICATE_GOOD");
    world.lab.advance_clock(SignedDuration::from_hours(24 * 61)).await;
    assert_eq!(status(), "SSL_CERTIFICATE_EXPIRY_WARNING");
    world.lab.advance_clock(SignedDuration::from_hours(24 * 30)).await;
    assert_eq!(status(), "SSL_CERTIFICATE_EXPIRED");
}
