use certferry_lab::oci_load_balancer::{CertificatesBehaviour, DuplicateName, OtherKeyAlgorithms, RequiredChain};
use rcgen::{
    KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_RSA_SHA256, RsaKeySize,
};
use serde_json::{Value, json};

use super::{CERTIFICATES, NAME, Stage, authority::Authority};

#[tokio::test]
async fn an_import_is_creating_and_then_active_with_its_first_version() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue_with(|params| params.serial_number = Some(0x00ac_0b77.into()));
    let answer = stage.create("www.some-domain.com_1-a", imported.config_with(json!({ "versionName": "first" }))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let created = answer.json();
    assert_eq!(created["lifecycleState"], "CREATING");
    let id = created["id"].as_str().unwrap();
    assert!(id.starts_with("ocid1.certificate.oc1."), "{id}");

    let active = stage.in_state(id, "ACTIVE").await;
    assert_ne!(stage.etag(id).await, answer.header("etag"));
    assert_eq!(active["name"], "www.some-domain.com_1-a");
    assert_eq!(active["compartmentId"], stage.world.lab.compartment_id());
    assert_eq!(active["configType"], "IMPORTED");
    assert_eq!(active["keyAlgorithm"], "ECDSA_P256");
    assert_eq!(active["signatureAlgorithm"], "SHA256_WITH_ECDSA");
    assert_eq!(active["subject"]["commonName"], NAME);
    let version = &active["currentVersion"];
    assert_eq!(version["certificateId"], id);
    assert_eq!(version["versionNumber"], 1);
    assert_eq!(version["versionName"], "first");
    assert_eq!(version["serialNumber"], "AC 0B 77");
    assert_eq!(version["stages"], json!(["CURRENT", "LATEST"]));
    assert_eq!(version["subjectAlternativeNames"], json!([{ "type": "DNS", "value": NAME }]));
    assert_eq!(version["validity"]["timeOfValidityNotBefore"], "1975-01-01T00:00:00.000Z");
    assert_eq!(version["validity"]["timeOfValidityNotAfter"], "4096-01-01T00:00:00.000Z");
    assert_eq!(stage.world.lab.certificate(id), Some(active));
}

#[tokio::test]
async fn the_key_is_neither_shown_nor_logged() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    let id = stage.www(&imported).await;
    stage.renew(&id, stage.authority.issue().config()).await;
    let key_line = imported.key_pem.lines().nth(1).unwrap();
    let answers = [stage.get(&id).await, json!(stage.world.lab.certificate_versions(&id))];
    for answer in answers {
        assert!(!answer.to_string().contains("PRIVATE KEY"), "{answer}");
    }
    for request in stage.world.lab.requests() {
        assert!(!format!("{request:?}").contains(key_line), "{request:?}");
        assert!(!format!("{request:?}").contains("PRIVATE KEY"), "{request:?}");
    }
}

#[tokio::test]
async fn parts_that_do_not_belong_together_are_refused() {
    let stage = Stage::new().await;
    let (one, other) = (stage.authority.issue(), stage.authority.issue());
    let root = &stage.authority.root_pem;
    let foreign = Authority::new().intermediate_pem;
    let with = |field: &str, value: &str| one.config_with(json!({ field: value }));
    let format = "has an incorrect format";
    let chain = "The certificate chain in the configuration details of the certificate is invalid.";
    let cases = [
        (with("certificatePem", &format!("{}{}", one.leaf_pem, one.chain_pem)), format),
        (with("certificatePem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), format),
        (with("certificatePem", ""), format),
        (with("certChainPem", ""), chain),
        (with("certChainPem", &foreign), chain),
        (with("certChainPem", &format!("{root}{}", one.chain_pem)), chain),
        (with("certChainPem", &format!("{}{foreign}", one.chain_pem)), chain),
        (with("privateKeyPem", &other.key_pem), "Private key does not match"),
        (with("privateKeyPem", "no key"), "Invalid private key"),
        (with("privateKeyPemPassphrase", "secret"), "the key is not encrypted"),
        (with("configType", "ISSUED_BY_INTERNAL_CA"), "is not one of IMPORTED"),
    ];
    for (config, text) in cases {
        stage.create("www", config).await.refused(400, "InvalidParameter", text);
    }
    for field in ["configType", "certificatePem", "certChainPem", "privateKeyPem"] {
        let mut config = one.config();
        config[field] = Value::Null;
        stage.create("www", config).await.refused(400, "InvalidParameter", &format!("{field} must not be null"));
    }
    assert!(stage.world.lab.certificate_names().is_empty());
}

#[tokio::test]
async fn a_chain_may_end_below_the_root_unless_the_root_is_required() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    let up_to_root = format!("{}{}", stage.authority.intermediate_pem, stage.authority.root_pem);
    let complete = imported.config_with(json!({ "certChainPem": up_to_root }));
    assert_eq!(stage.create("short", imported.config()).await.status, 200);
    assert_eq!(stage.create("complete", complete.clone()).await.status, 200);
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.chain = RequiredChain::WithRoot);
    stage.create("refused", imported.config()).await.refused(400, "InvalidParameter", "chain");
    assert_eq!(stage.create("taken", complete).await.status, 200);
}

#[tokio::test]
async fn key_algorithms_have_the_words_of_the_enum_and_others_may_be_refused() {
    let stage = Stage::new().await;
    let rsa = |size| KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).unwrap();
    let keys = [
        (KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(), "ECDSA_P256", true),
        (KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap(), "ECDSA_P384", true),
        (rsa(RsaKeySize::_2048), "RSA2048", true),
        (KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap(), "ECDSA_P521", false),
        (rsa(RsaKeySize::_3072), "RSA3072", false),
    ];
    let refuse = |behaviour: &mut CertificatesBehaviour| {
        behaviour.other_key_algorithms = OtherKeyAlgorithms::Refused;
    };
    for (key, word, in_enum) in keys {
        let imported = stage.authority.issue_for_key(&key, |_| {});
        stage.world.lab.set_behaviour(|behaviour| behaviour.certificates = CertificatesBehaviour::default());
        let answer = stage.create(word, imported.config()).await;
        assert_eq!(answer.json()["keyAlgorithm"], word, "{answer:?}");
        stage.world.lab.set_behaviour(|behaviour| refuse(&mut behaviour.certificates));
        let answer = stage.create(&format!("{word}.strict"), imported.config()).await;
        assert_eq!(answer.status == 200, in_enum, "{answer:?}");
        if !in_enum {
            answer.refused(400, "InvalidParameter", word);
        }
    }
}

#[tokio::test]
async fn a_name_is_taken_in_its_compartment_until_the_certificate_is_gone() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    let id = stage.www(&imported).await;
    stage.create("www", imported.config()).await.refused(409, "Conflict", "'www' already exists");
    stage.world.lab.set_behaviour(|behaviour| behaviour.duplicate_name = DuplicateName::InvalidParameter);
    stage.create("www", imported.config()).await.refused(400, "InvalidParameter", "'www' already exists");
    for name in ["*.some-domain.com", "a b", ""] {
        stage.create(name, imported.config()).await.refused(400, "InvalidParameter", "is not valid");
    }
    let elsewhere = json!({
        "name": "www", "compartmentId": "ocid1.compartment.oc1..other", "certificateConfig": imported.config(),
    });
    assert_eq!(stage.world.client.post(CERTIFICATES, &elsewhere).await.status, 200);

    assert_eq!(stage.act(&id, "actions/scheduleDeletion", &json!({})).await.status, 204);
    stage.in_state(&id, "PENDING_DELETION").await;
    stage.create("www", imported.config()).await.refused(400, "InvalidParameter", "'www' already exists");
    stage.world.lab.end_retention_periods();
    stage.world.client.get(&format!("{CERTIFICATES}/{id}")).await.refused(404, "NotAuthorizedOrNotFound", "");
    assert_eq!(stage.create("www", imported.config()).await.status, 200);
}

#[tokio::test]
async fn what_is_forgotten_leaves_its_name_and_never_its_id() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    let id = stage.www(&imported).await;
    stage.world.lab.forget_certificates();
    assert_eq!(stage.world.lab.certificate_names(), [""; 0]);
    assert_ne!(stage.www(&imported).await, id);
}

#[tokio::test]
async fn a_repeated_retry_token_makes_one_certificate() {
    let stage = Stage::new().await;
    let token = [("opc-retry-token", "token1")];
    let body = |name: &str| {
        let config = stage.authority.issue().config();
        json!({ "name": name, "compartmentId": stage.world.lab.compartment_id(), "certificateConfig": config })
    };
    let (one, other) = (body("www"), body("other"));
    let client = &stage.world.client;
    let first = client.call("POST", CERTIFICATES, Some(&one), &token).await;
    let again = client.call("POST", CERTIFICATES, Some(&one), &token).await;
    assert_eq!((again.status.as_u16(), again.json()["id"].clone()), (200, first.json()["id"].clone()));
    client.call("POST", CERTIFICATES, Some(&other), &token).await.refused(409, "InvalidatedRetryToken", "token1");
    assert_eq!(stage.world.lab.certificate_names(), ["www"]);
}

#[tokio::test]
async fn lists_filter_and_page() {
    let stage = Stage::new().await;
    let imported = stage.authority.issue();
    for name in ["b", "a", "c"] {
        let id = stage.create(name, imported.config()).await.json()["id"].as_str().unwrap().to_owned();
        stage.in_state(&id, "ACTIVE").await;
    }
    let names = async |query: &str| {
        let answer = stage.world.client.get(&format!("{CERTIFICATES}?{query}")).await;
        let items = answer.json()["items"].as_array().unwrap().clone();
        let names: Vec<String> = items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect();
        let next = answer.headers.get("opc-next-page").map(|next| next.to_str().unwrap().to_owned());
        (names.join(""), next)
    };
    let compartment = format!("compartmentId={}", stage.world.lab.compartment_id());
    assert_eq!(names(&compartment).await, ("cab".into(), None));
    assert_eq!(names("compartmentId=ocid1.compartment.oc1..other").await.0, "");
    assert_eq!(names("name=a").await.0, "a");
    assert_eq!(names("lifecycleState=active&sortBy=NAME").await.0, "abc");
    assert_eq!(names("lifecycleState=UPDATING").await.0, "");
    stage.world.lab.set_behaviour(|behaviour| behaviour.certificates.page_size = 2);
    let (first, next) = names("sortBy=NAME").await;
    assert_eq!(first, "ab");
    assert_eq!(names(&format!("sortBy=NAME&page={}", next.unwrap())).await, ("c".into(), None));

    let list = stage.world.client.get(&format!("{CERTIFICATES}?name=a")).await.json();
    let summary = &list["items"][0];
    assert_eq!(summary["currentVersionSummary"]["stages"], json!(["CURRENT", "LATEST"]));
    let by_id = format!("certificateId={}", summary["id"].as_str().unwrap());
    assert_eq!(names(&by_id).await.0, "a");
}
