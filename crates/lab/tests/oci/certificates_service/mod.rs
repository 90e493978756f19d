//! The Certificates service: imports, versions, and load balancers that refer to them.

mod authority;
mod faults;
mod imports;
mod load_balancers;
mod rotation;
mod versions;

use serde_json::{Value, json};

use self::authority::{Authority, Imported};
use crate::{client::Answer, polling::eventually, world::World};

const NAME: &str = "www.some-domain.com";
const CERTIFICATES: &str = "/20210224/certificates";

/// A lab with one load balancer, and a CA for what is imported.
struct Stage {
    world: World,
    authority: Authority,
}

impl Stage {
    async fn new() -> Self {
        Self { world: World::new().await, authority: Authority::new() }
    }

    /// A POST of CreateCertificate.
    async fn create(&self, name: &str, config: Value) -> Answer {
        let compartment = self.world.lab.compartment_id();
        let body = json!({ "name": name, "compartmentId": compartment, "certificateConfig": config });
        self.world.client.post(CERTIFICATES, &body).await
    }

    /// Creates the certificate `www`, waits until it is there, and gives its OCID.
    async fn www(&self, imported: &Imported) -> String {
        let answer = self.create("www", imported.config()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let id = answer.json()["id"].as_str().unwrap().to_owned();
        self.in_state(&id, "ACTIVE").await;
        id
    }

    async fn get(&self, id: &str) -> Value {
        let answer = self.world.client.get(&format!("{CERTIFICATES}/{id}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    async fn etag(&self, id: &str) -> String {
        self.world.client.get(&format!("{CERTIFICATES}/{id}")).await.header("etag").to_owned()
    }

    /// Waits for a lifecycle state, and gives the certificate.
    async fn in_state(&self, id: &str, state: &str) -> Value {
        eventually(state, || async {
            let certificate = self.get(id).await;
            (certificate["lifecycleState"] == state).then_some(certificate)
        })
        .await
    }

    /// A PUT of UpdateCertificate.
    async fn update(&self, id: &str, body: &Value) -> Answer {
        self.world.client.put(&format!("{CERTIFICATES}/{id}"), body).await
    }

    /// Imports a new version and waits until it is in effect.
    async fn renew(&self, id: &str, config: Value) {
        let answer = self.update(id, &json!({ "certificateConfig": config })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["lifecycleState"], "UPDATING");
        self.in_state(id, "ACTIVE").await;
    }

    /// Makes a version current and waits until it is.
    async fn promote(&self, id: &str, number: u64) {
        let answer = self.update(id, &json!({ "currentVersionNumber": number })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.in_state(id, "ACTIVE").await;
    }

    /// The stages of every version, oldest first: `1 CURRENT LATEST`.
    async fn stages(&self, id: &str) -> Vec<String> {
        let answer = self.world.client.get(&format!("{CERTIFICATES}/{id}/versions")).await;
        let items = answer.json()["items"].as_array().unwrap().clone();
        let line = |version: &Value| {
            let stages = version["stages"].as_array().unwrap().iter().map(|stage| stage.as_str().unwrap());
            format!("{} {}", version["versionNumber"], stages.collect::<Vec<_>>().join(" "))
        };
        items.iter().map(line).collect()
    }

    /// A POST of an action, such as `version/1/actions/scheduleDeletion`.
    async fn act(&self, id: &str, action: &str, body: &Value) -> Answer {
        self.world.client.post(&format!("{CERTIFICATES}/{id}/{action}"), body).await
    }
}
