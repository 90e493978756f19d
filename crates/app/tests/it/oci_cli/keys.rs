//! Encrypted keys, as `oci setup keys` writes them.

use super::signed_by::SignedBy;
use crate::parts::oci_cli::OciCli;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_command_line_encrypted_is_opened_by_its_pass_phrase() {
    let stage = Stage::new().await;
    let folder = stage.path("keys");
    std::fs::create_dir(&folder).unwrap();
    // Without a line end, which the command line takes for a part of the phrase.
    std::fs::write(stage.path("phrase"), "correct horse").unwrap();
    let setup = ["setup", "keys", "--key-name", "key", "--output-dir", folder.to_str().unwrap(), "--passphrase-file"];
    let phrase = stage.path("phrase");
    let made = super::cli(&stage).run(&[&setup[..], &[phrase.to_str().unwrap()]].concat()).await;
    assert_eq!(made.exit_code, Some(0), "{made:?}");
    let pem = std::fs::read_to_string(folder.join("key.pem")).unwrap();
    assert!(pem.contains("ENCRYPTED"), "{pem}");

    // As the console does it with the public key.
    let public = pem::parse(std::fs::read(folder.join("key_public.pem")).unwrap()).unwrap();
    let fingerprint = made.stdout.lines().find_map(|line| line.split_once("fingerprint: ")).map(|(_, print)| print);
    let fingerprint = fingerprint.unwrap_or_else(|| panic!("{made:?}")).trim();
    let (tenancy, user) = ("ocid1.tenancy.oc1..lab", "ocid1.user.oc1..lab");
    stage.lab.register_key(format!("{tenancy}/{user}/{fingerprint}"), public.contents());
    let config = format!(
        "[DEFAULT]\nuser={user}\ntenancy={tenancy}\nfingerprint={fingerprint}\nregion=us-ashburn-1\nkey_file={}\n",
        folder.join("key.pem").display()
    );
    std::fs::write(folder.join("config"), &config).unwrap();
    std::fs::write(folder.join("config-with-phrase"), format!("{config}pass_phrase=correct horse\n")).unwrap();

    let auth = "{ api-key: { config-file: keys/config, pass-phrase: env:KEY_PHRASE } }";
    let signed_by = SignedBy::new(stage, auth).await;
    let cli = OciCli::new(signed_by.stage.lab.endpoint(), folder.join("config-with-phrase"));
    cli.run(&["lb", "certificate", "list", "--load-balancer-id", signed_by.stage.id()]).await.json();

    let signed_by = signed_by.with("KEY_PHRASE", "hunter2");
    let refused = signed_by.certferry(&["plan"]).await;
    assert_ne!(refused.exit_code, Some(0), "{refused:?}");
    assert!(refused.stderr.contains("the pass phrase does not open it"), "{}", refused.stderr);
    assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");

    let signed_by = signed_by.with("KEY_PHRASE", "correct horse");
    signed_by.certferry(&["apply"]).await.expect_exit(0);
    assert!(signed_by.stage.bound("https").starts_with("cf-www-"));
}
