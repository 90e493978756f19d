//! Instance and resource principals: the real command line and certferry ask as the same instance, of the same metadata
//! service, and get their tokens from the same federation endpoint.

use std::time::Duration;

use certferry_lab::oci_load_balancer::{ApiKey, Instance, InstanceOptions};
use jiff::SignedDuration;

use super::signed_by::SignedBy;
use crate::parts::oci_cli::OciCli;
use crate::stage::Stage;

/// A stage that is asked by an instance, and the command line on that instance.
async fn on_an_instance() -> (SignedBy, Instance, OciCli) {
    let stage = Stage::new().await;
    let instance = stage.lab.start_instance(InstanceOptions::default()).await.unwrap();
    let (metadata, auth) = (instance.metadata_url(), stage.lab.endpoint());
    let cli = super::cli(&stage)
        .with("OCI_CLI_AUTH", "instance_principal")
        .with("OCI_METADATA_BASE_URL", &metadata)
        .with("OCI_CLI_FEDERATION_ENDPOINT", stage.lab.federation_endpoint());
    let signed_by = SignedBy::new(stage, "instance-principal").await;
    let signed_by = signed_by.with("OCI_METADATA_BASE_URL", metadata).with("OCI_SDK_AUTH_CLIENT_REGION_URL", auth);
    (signed_by, instance, cli)
}

fn list(stage: &Stage) -> [&str; 5] {
    ["lb", "certificate", "list", "--load-balancer-id", stage.id()]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_certferry_act_as_the_same_instance() {
    let (signed_by, instance, cli) = on_an_instance().await;
    let stage = &signed_by.stage;
    cli.run(&list(stage)).await.json();
    signed_by.certferry(&["apply"]).await.expect_exit(0);
    let bound = stage.bound("https");
    assert!(bound.starts_with("cf-www-"), "{bound}");
    // The certificate is replaced several times a day.
    instance.replace_certificate().unwrap();
    let listed = cli.run(&list(stage)).await.json();
    assert!(listed["data"].as_array().unwrap().iter().any(|one| one["certificate-name"] == bound), "{listed}");
    signed_by.certferry(&["plan"]).await.expect_exit(0);
    assert_eq!((stage.lab.count("X509Federation"), signed_by.answered(401)), (4, 0), "a token each");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_takes_longer_than_a_token_lives_gets_another_one_in_time() {
    let (signed_by, _instance, _cli) = on_an_instance().await;
    let stage = &signed_by.stage;
    stage.lab.set_behaviour(|behaviour| {
        behaviour.token_lifetime = SignedDuration::from_secs(4);
        behaviour.work_request_delay = Duration::from_millis(1500);
    });
    signed_by.certferry(&["apply"]).await.expect_exit(0);
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert!(stage.lab.count("X509Federation") >= 2, "{}", stage.lab.count("X509Federation"));
    assert_eq!(signed_by.answered(401), 0, "no token was used after its end");
}

/// The SDK that the command line is made of, in one process over the end of a token.
#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_replaces_a_token_of_the_lab_when_it_ends() {
    let (signed_by, instance, _) = on_an_instance().await;
    let stage = &signed_by.stage;
    let cli = super::cli(stage).with("OCI_METADATA_BASE_URL", instance.metadata_url());
    stage.lab.set_behaviour(|behaviour| behaviour.token_lifetime = SignedDuration::from_secs(3));
    let snippet = format!(
        "import time
signer = oci.auth.signers.InstancePrincipalsSecurityTokenSigner(federation_endpoint={federation:?})
client = oci.load_balancer.LoadBalancerClient({{}}, signer=signer, service_endpoint=endpoint)
first = client.get_load_balancer({id:?}).status
token = signer.federation_client.security_token
while token.valid():
    time.sleep(0.05)
second = client.get_load_balancer({id:?}).status
renewed = token.security_token != signer.federation_client.security_token.security_token
print(json.dumps([first, second, renewed, signer.region, signer.tenancy_id]))
",
        federation = stage.lab.federation_endpoint(),
        id = stage.id()
    );
    let said = cli.python(&snippet).await.json();
    assert_eq!(said, serde_json::json!([200, 200, true, "us-ashburn-1", "ocid1.tenancy.oc1..aaaaaaaalab"]));
    assert_eq!(signed_by.answered(401), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_no_policy_names_is_refused_to_both() {
    let (signed_by, instance, cli) = on_an_instance().await;
    let stage = &signed_by.stage;
    instance.set_in_dynamic_group(false);
    let listed = cli.run(&list(stage)).await;
    assert_eq!(listed.exit_code, Some(1), "{listed:?}");
    assert!(listed.stderr.contains("\"code\": \"NotAuthorizedOrNotFound\""), "{}", listed.stderr);
    let ended = signed_by.certferry(&["apply"]).await.expect_exit(4);
    assert!(ended.stderr.contains("Allow dynamic-group"), "{}", ended.stderr);
    assert!(ended.stderr.contains(&format!("instance.id = '{}'", instance.id())), "{}", ended.stderr);
    assert_eq!(signed_by.ca.ca.orders().len(), 0, "nothing is ordered that cannot be delivered");

    let policy = signed_by.certferry(&["policy", "front"]).await.expect_exit(0).stdout;
    assert!(policy.contains("Any {instance.id = ") && policy.contains("Allow dynamic-group"), "{policy}");
}

/// Without the command line, which tries for some minutes.
#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_than_on_an_instance_it_says_so() {
    let (signed_by, _instance, _cli) = on_an_instance().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/opc/v2", nobody.local_addr().unwrap());
    drop(nobody);
    let signed_by = signed_by.with("OCI_METADATA_BASE_URL", &url);
    let ended = signed_by.certferry(&["plan"]).await.expect_exit(4);
    assert!(ended.stderr.contains(&format!("the metadata service {url}")), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: is this a compute instance of OCI"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_and_certferry_act_as_the_same_resource() {
    let stage = Stage::new().await;
    let key = ApiKey::generate().unwrap();
    let token = stage.lab.issue_resource_token(key.public_key_der(), SignedDuration::from_hours(1)).unwrap();
    let token_file = stage.path("rpst");
    std::fs::write(&token_file, &token).unwrap();
    // By value, because this release of the SDK cannot open a file with a pass phrase.
    let private_key = key.encrypted_private_key_pem("correct horse").unwrap();
    let environment = [
        ("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2"),
        ("OCI_RESOURCE_PRINCIPAL_RPST", token_file.to_str().unwrap()),
        ("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", private_key.as_str()),
        ("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE", "correct horse"),
        ("OCI_RESOURCE_PRINCIPAL_REGION", "us-ashburn-1"),
    ];
    let mut cli = super::cli(&stage).with("OCI_CLI_AUTH", "resource_principal");
    let mut signed_by = SignedBy::new(stage, "resource-principal").await;
    for (name, value) in environment {
        (cli, signed_by) = (cli.with(name, value), signed_by.with(name, value));
    }
    let stage = &signed_by.stage;
    cli.run(&list(stage)).await.json();
    signed_by.certferry(&["apply"]).await.expect_exit(0);
    assert!(stage.bound("https").starts_with("cf-www-"));
    assert_eq!(signed_by.answered(401), 0);
}
