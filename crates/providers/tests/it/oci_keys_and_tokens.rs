//! Encrypted key files, session tokens and resource principals.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use certferry_core::port::LoadBalancer;
use certferry_core::{Error, ErrorKind, Secret, SystemClock};
use certferry_lab::oci_load_balancer::{ApiKey, Effect, Fault, KeyLabel, OciSessionFiles};
use certferry_providers::load_balancer::oci::{
    ApiKeyFile, Auth, OciAccess, OciConfig, OciLoadBalancer, ResourcePrincipal, SessionTokenFile,
};
use jiff::SignedDuration;

use crate::oci_fixture::Fixture;

const HOUR: SignedDuration = SignedDuration::from_hours(1);

fn open(fixture: &Fixture, auth: Auth) -> Result<OciLoadBalancer, Error> {
    let access = OciAccess { auth, ..fixture.config.access.clone() };
    let config = OciConfig { access, ..fixture.config.clone() };
    OciLoadBalancer::new("front".parse().unwrap(), config, Arc::new(SystemClock))
}

fn encrypted(fixture: &Fixture, profiles: Option<&str>, given: Option<&str>) -> Result<OciLoadBalancer, Error> {
    let files = fixture.key.write_config(fixture.folder(), KeyLabel::Absent).unwrap();
    let pem = fixture.key.encrypted_private_key_pem("correct horse").unwrap();
    fs::write(&files.key, format!("{pem}OCI_API_KEY\n")).unwrap();
    if let Some(phrase) = profiles {
        let config = fs::read_to_string(&files.config).unwrap();
        fs::write(&files.config, format!("{config}pass_phrase={phrase}\n")).unwrap();
    }
    let pass_phrase = given.map(|phrase| Secret::new(phrase.to_owned()));
    open(fixture, Auth::ApiKey(ApiKeyFile { config_file: files.config, profile: "DEFAULT".to_owned(), pass_phrase }))
}

#[tokio::test]
async fn an_encrypted_key_signs_with_the_right_pass_phrase() {
    let fixture = Fixture::start().await;
    for (profiles, given) in
        [(Some("correct horse"), None), (None, Some("correct horse")), (Some("hunter2"), Some("correct horse"))]
    {
        encrypted(&fixture, profiles, given).unwrap().observe().await.unwrap();
    }
}

#[tokio::test]
async fn an_encrypted_key_without_its_pass_phrase_is_an_error_before_any_call() {
    let fixture = Fixture::start().await;
    for (profiles, given, said) in [
        (None, None, "is encrypted"),
        (Some("hunter2"), None, "does not open it"),
        (None, Some("hunter2"), "does not open it"),
    ] {
        let error = encrypted(&fixture, profiles, given).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(said) && error.to_string().contains("oci_api_key.pem"), "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("pass-phrase: env:NAME") && hint.contains("pass_phrase"), "{hint}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
    assert!(fixture.lab.requests().is_empty());
}

/// A session, and a provider that uses it.
fn session(fixture: &Fixture, lifetime: SignedDuration) -> (ApiKey, OciSessionFiles, OciLoadBalancer) {
    let key = ApiKey::generate().unwrap();
    let token = fixture.lab.issue_session_token(key.public_key_der(), lifetime).unwrap();
    let files = key.write_session(fixture.folder(), &token).unwrap();
    let auth = SessionTokenFile { config_file: files.config.clone(), profile: "DEFAULT".to_owned() };
    let front = open(fixture, Auth::SessionToken(auth)).unwrap();
    (key, files, front)
}

#[tokio::test]
async fn a_session_token_signs_and_the_one_that_replaces_it_on_disk_too() {
    let fixture = Fixture::start().await;
    let (key, files, front) = session(&fixture, HOUR);
    front.observe().await.unwrap();
    front.upload(fixture.bundle()).await.unwrap();

    // `oci session refresh`: another token for the same key; the old one ends.
    fixture.lab.revoke_tokens();
    let token = fixture.lab.issue_session_token(key.public_key_der(), HOUR).unwrap();
    fs::write(&files.token, format!("{token}\n")).unwrap();
    front.observe().await.unwrap();

    // `oci session authenticate`: another token for another key.
    fixture.lab.revoke_tokens();
    let key = ApiKey::generate().unwrap();
    let token = fixture.lab.issue_session_token(key.public_key_der(), HOUR).unwrap();
    key.write_session(fixture.folder(), &token).unwrap();
    front.observe().await.unwrap();
    assert!(fixture.lab.requests().iter().all(|call| call.status != Some(401)));
}

#[tokio::test]
async fn a_session_that_has_ended_is_told_with_the_command_that_renews_it() {
    let fixture = Fixture::start().await;
    let (key, files, front) = session(&fixture, SignedDuration::from_mins(-2));
    let error = front.observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let shown = error.to_string();
    assert!(shown.contains("it ended 12") && shown.contains(files.token.to_str().unwrap()), "{shown}");
    let hint = error.hint().unwrap();
    let command = format!("oci session refresh --config-file {} --profile DEFAULT", files.config.display());
    assert!(hint.contains(&command) && hint.contains("oci session authenticate"), "{hint}");
    assert!(!format!("{error:?}").contains("eyJ"), "{error:?}");
    assert!(fixture.lab.requests().is_empty(), "it is not tried");
    let token = fixture.lab.issue_session_token(key.public_key_der(), HOUR).unwrap();
    fs::write(&files.token, &token).unwrap();
    front.observe().await.unwrap();
}

#[tokio::test]
async fn a_session_that_is_refused_is_not_tried_again_while_its_files_are_the_same() {
    let fixture = Fixture::start().await;
    let (_, _, front) = session(&fixture, HOUR);
    fixture.lab.add_fault(Fault::new("GetLoadBalancer", Effect::answer(401, "NotAuthenticated", "no")).always());
    let error = front.observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().unwrap().contains("oci session validate"), "{error:?}");
    assert_eq!(fixture.lab.count("GetLoadBalancer"), 1);
}

#[tokio::test]
async fn the_files_of_a_session_are_named_when_something_is_wrong_with_them() {
    let fixture = Fixture::start().await;
    let (_, files, front) = session(&fixture, HOUR);
    let token = fs::read_to_string(&files.token).unwrap();

    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = front.observe().await.unwrap_err();
    assert!(error.to_string().contains("0644") && error.hint().unwrap().starts_with("chmod 600"), "{error:?}");
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();

    let key = fs::read_to_string(&files.key).unwrap();
    for (path, text, said) in [
        (&files.token, "hunter2", "it is not a token"),
        (&files.token, "", "it is not a token"),
        (&files.key, "hunter2", "it holds no private key"),
    ] {
        fs::write(path, text).unwrap();
        let error = front.observe().await.unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(said) && shown.contains(path.to_str().unwrap()), "{shown}");
        assert!(error.hint().is_some() && !shown.contains("hunter2"), "{shown}");
        fs::write(&files.token, &token).unwrap();
        fs::write(&files.key, &key).unwrap();
    }
    fs::remove_file(&files.token).unwrap();
    let error = front.observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.hint().unwrap().contains("oci session authenticate"), "{error:?}");
    assert!(fixture.lab.requests().is_empty());
    fs::write(&files.token, &token).unwrap();
    front.observe().await.unwrap();
}

/// What the platform puts into the environment.
fn resource(token: &str, private_key: &str, pass_phrase: Option<&str>) -> Auth {
    let secret = |text: &str| Some(Secret::new(text.to_owned()));
    Auth::ResourcePrincipal(Box::new(ResourcePrincipal {
        version: Some("2.2".to_owned()),
        session_token: secret(token),
        private_key: secret(private_key),
        pass_phrase: pass_phrase.and_then(secret),
        region: Some("us-ashburn-1".to_owned()),
    }))
}

#[tokio::test]
async fn a_resource_principal_by_value_signs() {
    let fixture = Fixture::start().await;
    let key = ApiKey::generate().unwrap();
    let token = fixture.lab.issue_resource_token(key.public_key_der(), HOUR).unwrap();
    open(&fixture, resource(&token, key.private_key_pem(), None)).unwrap().observe().await.unwrap();
    let encrypted = key.encrypted_private_key_pem("correct horse").unwrap();
    let front = open(&fixture, resource(&token, &encrypted, Some("correct horse"))).unwrap();
    front.observe().await.unwrap();
    let error = open(&fixture, resource(&token, &encrypted, Some("hunter2"))).unwrap().observe().await.unwrap_err();
    assert!(error.hint().unwrap().contains("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM_PASSPHRASE"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("eyJ"), "{error:?}");
}

#[tokio::test]
async fn a_resource_principal_by_path_follows_its_files() {
    let fixture = Fixture::start().await;
    let path = |name: &str| fixture.folder().join(name).to_str().unwrap().to_owned();
    let (token_file, key_file, phrase_file) = (path("rpst"), path("private.pem"), path("phrase"));
    let renew = || {
        let key = ApiKey::generate().unwrap();
        fs::write(&key_file, key.encrypted_private_key_pem("correct horse").unwrap()).unwrap();
        fs::write(&token_file, fixture.lab.issue_resource_token(key.public_key_der(), HOUR).unwrap()).unwrap();
    };
    fs::write(&phrase_file, "correct horse\n").unwrap();
    renew();
    let front = open(&fixture, resource(&token_file, &key_file, Some(&phrase_file))).unwrap();
    front.observe().await.unwrap();
    fixture.lab.revoke_tokens();
    renew();
    front.observe().await.unwrap();
    assert!(fixture.lab.requests().iter().all(|call| call.status != Some(401)));

    fs::write(&token_file, fixture.lab.issue_resource_token(&[], -HOUR).unwrap()).unwrap();
    let error = front.observe().await.unwrap_err();
    assert!(error.to_string().contains(&token_file) && error.hint().unwrap().contains("platform"), "{error:?}");
}

#[tokio::test]
async fn an_environment_without_a_resource_principal_is_told_so() {
    let fixture = Fixture::start().await;
    let error = open(&fixture, Auth::ResourcePrincipal(Box::default())).err().unwrap();
    assert!(error.to_string().contains("OCI_RESOURCE_PRINCIPAL_VERSION is not set"), "{error}");
    assert!(error.hint().unwrap().contains("instance-principal"), "{error:?}");
}
