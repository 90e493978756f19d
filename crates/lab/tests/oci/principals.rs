//! Compute instances: their metadata service, federation, and the tokens that come of it. (That Oracle's own SDK gets
//! along with it is tested where the `oci` command line is at hand.)

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::KeyPair as _,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use certferry_lab::oci_load_balancer::{ApiKey, Instance, InstanceOptions};
use jiff::SignedDuration;
use rcgen::{CertificateParams, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client, Draft, sha256},
    world::World,
};

/// What the metadata service says, and a key for the session.
struct Identity {
    leaf: Vec<u8>,
    key_pem: String,
    intermediate: Vec<u8>,
    session: KeyPair,
}

impl Identity {
    async fn read(instance: &Instance) -> Self {
        let der = |pem: String| pem::parse(pem).unwrap().into_contents();
        Self {
            leaf: der(document(instance, "identity/cert.pem").await),
            key_pem: document(instance, "identity/key.pem").await,
            intermediate: der(document(instance, "identity/intermediate.pem").await),
            session: KeyPair::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    fn key_id(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, &self.leaf);
        let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
        format!("ocid1.tenancy.oc1..aaaaaaaalab/fed-x509/{}", pairs.join(":"))
    }

    fn body(&self) -> Value {
        let public_key: PublicKeyX509Der<'_> = self.session.public_key().as_der().unwrap();
        json!({
            "certificate": STANDARD.encode(&self.leaf),
            "publicKey": STANDARD.encode(public_key.as_ref()),
            "intermediateCertificates": [STANDARD.encode(&self.intermediate)],
        })
    }

    async fn federate(&self, world: &World) -> Answer {
        self.federate_spoilt(world, &self.key_id(), &self.body(), |_| {}).await
    }

    /// The request of Oracle's SDKs, with something spoilt after it was signed.
    async fn federate_spoilt(
        &self,
        world: &World,
        key_id: &str,
        body: &Value,
        spoil: impl FnOnce(&mut Draft),
    ) -> Answer {
        let client = Client::with_pem(&world.lab, &self.key_pem, key_id);
        let mut draft = client.draft("POST", "", Some(body));
        draft.target = "/v1/x509".into();
        let signed = ["date", "(request-target)", "content-length", "content-type", "x-content-sha256"];
        client.sign_these(&mut draft, &signed);
        spoil(&mut draft);
        client.send(draft).await.unwrap()
    }

    /// A client that signs with the session's key under this token.
    fn client(&self, world: &World, token: &str) -> Client {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = self.session.as_der().unwrap();
        let pem = pem::encode(&pem::Pem::new("PRIVATE KEY", der.as_ref()));
        Client::with_pem(&world.lab, &pem, &format!("ST${token}"))
    }
}

async fn document(instance: &Instance, path: &str) -> String {
    let url = format!("{}/{path}", instance.metadata_url());
    let answer = reqwest::Client::builder().no_proxy().build().unwrap().get(url);
    let answer = answer.header("authorization", "Bearer Oracle").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn the_metadata_service_answers_those_on_the_instance() {
    let world = World::new().await;
    let instance = world.lab.start_instance(InstanceOptions::default()).await.unwrap();
    assert_eq!(document(&instance, "instance/region").await, "iad");
    assert_eq!(document(&instance, "instance/id").await, instance.id());
    let info: Value = serde_json::from_str(&document(&instance, "instance/regionInfo").await).unwrap();
    assert_eq!((&info["realmKey"], &info["regionIdentifier"]), (&json!("oc1"), &json!("us-ashburn-1")));

    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (path, headers, status) in [
        ("identity/key.pem", &[][..], 403),
        ("identity/key.pem", &[("authorization", "Bearer other")], 403),
        ("identity/key.pem", &[("authorization", "Bearer Oracle"), ("x-forwarded-for", "192.0.2.1")], 403),
        ("identity/other.pem", &[("authorization", "Bearer Oracle")], 404),
    ] {
        let mut request = client.get(format!("{}/{path}", instance.metadata_url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.unwrap().status(), status, "{path} {headers:?}");
    }
}

#[tokio::test]
async fn a_certificate_gets_a_token_that_signs_until_its_end() {
    let world = World::new().await;
    let instance = world.lab.start_instance(InstanceOptions::default()).await.unwrap();
    let identity = Identity::read(&instance).await;
    let token = identity.federate(&world).await.json()["token"].as_str().unwrap().to_owned();
    let client = identity.client(&world, &token);
    assert_eq!(client.get(&world.path("")).await.status, 200);

    instance.set_in_dynamic_group(false);
    client.get(&world.path("")).await.refused(404, "NotAuthorizedOrNotFound", "");
    instance.set_in_dynamic_group(true);

    let another_key = Client::with_pem(&world.lab, &identity.key_pem, &client.key_id);
    another_key.get(&world.path("")).await.refused(401, "NotAuthenticated", "");

    world.lab.set_behaviour(|behaviour| behaviour.token_lifetime = SignedDuration::from_secs(-1));
    let ended = identity.federate(&world).await.json()["token"].as_str().unwrap().to_owned();
    identity.client(&world, &ended).get(&world.path("")).await.refused(401, "NotAuthenticated", "");
    assert_eq!(world.lab.requests().last().unwrap().reason.as_deref(), Some("the token has expired"));

    assert_eq!(client.get(&world.path("")).await.status, 200);
    world.lab.revoke_tokens();
    client.get(&world.path("")).await.refused(401, "NotAuthenticated", "");
    assert_eq!(world.client.get(&world.path("")).await.status, 200, "an API key is no token");
}

#[tokio::test]
async fn federation_looks_at_everything() {
    let world = World::new().await;
    let instance = world.lab.start_instance(InstanceOptions::default()).await.unwrap();
    let identity = Identity::read(&instance).await;
    let (key_id, body) = (identity.key_id(), identity.body());
    let with = |field: &str, value: Value| {
        let mut body = body.clone();
        body[field] = value;
        body
    };
    let stranger = rcgen::KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let self_signed = CertificateParams::default().self_signed(&stranger).unwrap();
    for (what, key_id, body) in [
        ("another tenancy", key_id.replace("aaaaaaaalab", "other"), body.clone()),
        ("another fingerprint", format!("{}:00", &key_id[..key_id.len() - 3]), body.clone()),
        ("lower case", key_id.to_lowercase(), body.clone()),
        ("no intermediate", key_id.clone(), with("intermediateCertificates", json!([]))),
        ("another certificate", key_id.clone(), with("certificate", json!(STANDARD.encode(self_signed.der())))),
    ] {
        let answer = identity.federate_spoilt(&world, &key_id, &body, |_| {}).await;
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
    }
    for (what, body) in [
        ("no certificate", with("certificate", Value::Null)),
        ("no public key", with("publicKey", json!("AAAA"))),
        ("not base64", with("publicKey", json!("-----"))),
    ] {
        let answer = identity.federate_spoilt(&world, &key_id, &body, |_| {}).await;
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
    }
    let thief = ApiKey::generate().unwrap();
    let stolen = with("publicKey", json!(STANDARD.encode(thief.public_key_der()))).to_string().into_bytes();
    let changed = identity.federate_spoilt(&world, &key_id, &body, |draft| {
        let digest = sha256(&stolen);
        draft.set("x-content-sha256", &digest);
        draft.body = stolen;
    });
    assert_eq!(changed.await.status, 401, "a body that was changed after signing");
    let other_key = Identity { key_pem: ApiKey::generate().unwrap().private_key_pem().to_owned(), ..identity };
    assert_eq!(other_key.federate(&world).await.status, 401, "another key than the certificate's");
    let requests = world.lab.requests();
    let mut federations = requests.iter().filter(|call| call.operation == "X509Federation");
    assert!(federations.all(|call| call.status == Some(400) || call.reason.is_some()), "{requests:?}");
}

#[tokio::test]
async fn certificates_end_and_are_replaced() {
    let world = World::new().await;
    let instance = world.lab.start_instance(InstanceOptions::default()).await.unwrap();
    let identity = Identity::read(&instance).await;
    world.lab.set_behaviour(|behaviour| behaviour.clock_offset_seconds = 4 * 60);
    instance.replace_certificate().unwrap();
    let newer = Identity::read(&instance).await;
    assert_ne!(newer.leaf, identity.leaf);
    assert_eq!(newer.federate(&world).await.status, 200);
    assert_eq!(identity.federate(&world).await.status, 200, "it has not ended");

    let options = InstanceOptions { certificate_lifetime: SignedDuration::from_secs(-1), ..InstanceOptions::default() };
    let ended = world.lab.start_instance(options).await.unwrap();
    let answer = Identity::read(&ended).await.federate(&world).await;
    assert_eq!(answer.status, 401);
    assert!(world.lab.requests().last().unwrap().reason.as_ref().unwrap().contains("not valid now"));
}
