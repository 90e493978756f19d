//! The script as the controller runs it: what it asks for, what it installs, and what operators read when it cannot.

use std::process::Stdio;
use std::time::Duration;

use certferry_lab::avi_controller::Event;
use certferry_providers::load_balancer::avi::control_script_text;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::api::{Api, Reply};
use super::{PASSWORD, TOKEN, World};

const NAME: &str = "www.some-domain.com";

/// A controller that is set up for an API.
async fn installed(api_name: &str) -> (World, Api) {
    let mut world = World::start().await;
    let api = Api::start(api_name, world.lab.now()).await;
    world.setup.url = api.url.parse().unwrap();
    world.setup.trusted_roots = Some(api.root_pem.clone());
    world.administrator.install_control_script(&world.setup).await.unwrap();
    (world, api)
}

/// Makes a certificate on the controller, as an operator would; how its script ended.
async fn certificate(world: &World) -> Event {
    let object = json!({"name": "www", "key_params": {"algorithm": "SSL_KEY_ALGORITHM_EC"},
        "certificate": {"subject": {"common_name": NAME}, "subject_alt_names": [NAME]},
        "certificate_management_profile_ref": "/api/certificatemanagementprofile?name=certferry"});
    world.lab.create("admin", "sslkeyandcertificate", object).unwrap();
    let ended = async {
        loop {
            let events = world.lab.events();
            if let Some(event) = events.into_iter().find(|event| event.event_id.starts_with("SSL_CERT_RENEW")) {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the script ends")
}

fn shown(world: &World) -> Value {
    world.lab.object("sslkeyandcertificate", "www").unwrap()
}

/// What operators read of a run that failed, with nothing in it that is nobody's business.
fn error(event: &Event) -> String {
    assert_eq!(event.event_id, "SSL_CERT_RENEW_FAILED", "{event:?}");
    let error = event.details["ssl_renew_failed_details"]["error"].as_str().unwrap().to_owned();
    let (printed, error) = error.split_once("STDERR - ").unwrap();
    assert!(printed.ends_with("STDOUT - \"\". "), "{printed}");
    for hidden in [TOKEN, PASSWORD, "Traceback", "File \""] {
        assert!(!error.contains(hidden), "{hidden} is in {error}");
    }
    assert_eq!(error.lines().count(), 1, "{error}");
    error.to_owned()
}

#[tokio::test]
async fn the_controller_gets_its_certificate_from_certferry() {
    let (world, api) = installed("127.0.0.1").await;
    let event = certificate(&world).await;
    assert_eq!(event.event_id, "SSL_CERT_RENEW", "{}", event.details);
    let certificate = shown(&world);
    assert_eq!(certificate["status"], "SSL_CERTIFICATE_FINISHED");
    assert_eq!(certificate["certificate"]["subject"]["common_name"], NAME);
    assert_eq!(certificate["ca_certs"].as_array().map(Vec::len), Some(1), "its issuer came with it");
    let seen = api.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /v1/avi/edge/certificate");
    assert_eq!(seen[0].body["common_name"], NAME);
    assert!(!format!("{:?}", world.lab.events()).contains(TOKEN));
}

#[tokio::test]
async fn what_passes_is_waited_for_with_the_same_request() {
    let (world, api) = installed("127.0.0.1").await;
    api.reply(Reply::error(503, Some("1"), "starting", "wait"));
    api.reply(Reply::Answer(202, Some("0".to_owned()), json!({"state": "the order is open"}).to_string()));
    api.reply(Reply::Dropped);
    api.reply(Reply::Answer(502, None, "<html>a proxy</html>".to_owned()));
    let event = certificate(&world).await;
    assert_eq!(event.event_id, "SSL_CERT_RENEW", "{}", event.details);
    let seen = api.seen();
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|one| one.body == seen[0].body), "the same CSR each time");
}

#[tokio::test]
async fn a_refusal_reaches_the_operator_with_its_hint() {
    let (world, api) = installed("127.0.0.1").await;
    let said = format!("`www.some-domain.com` is not allowed\nfor this token {TOKEN}");
    api.reply(Reply::error(403, Some("1"), &said, "add it to `allow` of load balancer `edge`"));
    let error = error(&certificate(&world).await);
    let expected = format!(
        "NoCertificate: {} answers 403: `www.some-domain.com` is not allowed for this token (token); hint: add it to `allow` of \
         load balancer `edge`",
        api.url
    );
    assert!(error.contains(&expected), "{error}");
    assert_eq!(shown(&world)["status"], "SSL_CERTIFICATE_PENDING");
    assert_eq!(api.seen().len(), 1, "it is not asked again");
}

#[tokio::test]
async fn a_wait_beyond_the_limit_ends_at_once_and_says_why() {
    let (world, api) = installed("127.0.0.1").await;
    api.reply(Reply::error(429, Some("7200"), "the CA's rate limit", "wait"));
    let error = error(&certificate(&world).await);
    assert!(error.contains("no certificate within 540 s: "), "{error}");
    assert!(error.contains("answers 429: the CA's rate limit (to be asked again in 7200 s); hint: "), "{error}");
}

#[tokio::test]
async fn the_limit_of_the_operator_holds() {
    let (world, api) = installed("127.0.0.1").await;
    world
        .lab
        .edit("certificatemanagementprofile", "certferry", |profile| {
            profile["script_params"].as_array_mut().unwrap().push(json!({"name": "time_limit", "value": "3"}));
        })
        .unwrap();
    for _ in 0..9 {
        api.reply(Reply::error(503, Some("1"), "busy", "wait"));
    }
    let error = error(&certificate(&world).await);
    assert!(error.contains("no certificate within 3 s") && error.contains("busy"), "{error}");
}

#[tokio::test]
async fn another_token_is_refused_and_not_shown() {
    let (mut world, _api) = installed("127.0.0.1").await;
    world.setup.token = "another-token-0123456789".to_owned().into();
    world.setup.rewrite_secrets = true;
    world.administrator.install_control_script(&world.setup).await.unwrap();
    let error = error(&certificate(&world).await);
    assert!(error.contains("answers 401: the token is another one; hint: "), "{error}");
    assert!(!error.contains("another-token"), "{error}");
}

#[tokio::test]
async fn the_certificate_of_certferry_is_checked_against_the_roots_that_are_given() {
    let (mut world, _api) = installed("127.0.0.1").await;
    let other = Api::start("127.0.0.1", world.lab.now()).await;
    for roots in [Some(other.root_pem.clone()), None] {
        world.setup.trusted_roots = roots;
        world.administrator.install_control_script(&world.setup).await.unwrap();
        let run = run_alone(&parameters(&world)).await;
        assert!(run.contains("the HTTPS certificate of https://127.0.0.1:"), "{run}");
        assert!(run.contains("is not accepted") && run.contains("set custom parameter trusted_roots"), "{run}");
    }
}

#[tokio::test]
async fn the_certificate_of_certferry_must_hold_its_name() {
    let (world, api) = installed("certferry.some-domain.com").await;
    let error = error(&certificate(&world).await);
    assert!(error.contains("is not accepted") && error.contains("127.0.0.1"), "{error}");
    assert!(api.seen().is_empty(), "no token went there");
}

#[tokio::test]
async fn a_certificate_is_renewed_by_the_controllers_clock() {
    let (world, api) = installed("127.0.0.1").await;
    certificate(&world).await;
    let serial = || shown(&world)["certificate"]["serial_number"].as_str().unwrap().to_owned();
    let first = serial();
    world.lab.advance_clock(SignedDuration::from_hours(24 * 62)).await;
    assert_eq!((serial(), api.seen().len()), (first.clone(), 1), "30 days before the end it is only told");
    world.lab.advance_clock(SignedDuration::from_hours(24 * 22)).await;
    assert_ne!(serial(), first, "{:?}", world.lab.events().last());
    let seen = api.seen();
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0].body["csr"], seen[1].body["csr"], "a new key");
    assert_eq!(seen[1].body["common_name"], NAME);
}

#[tokio::test]
async fn a_parameter_that_is_missing_or_wrong_is_named() {
    let good = json!({"url": "https://127.0.0.1:1", "load_balancer": "edge", "token": TOKEN, "time_limit": "1"});
    for (name, value, expected) in [
        ("url", json!(""), "no custom parameter url; hint: add it: the address of certferry's API"),
        ("url", json!("http://127.0.0.1:1"), "custom parameter url is not of the form https://HOST:PORT"),
        ("url", json!("https://127.0.0.1:x"), "custom parameter url is not of the form"),
        ("url", json!("https://[127.0.0.1"), "custom parameter url is not of the form"),
        ("load_balancer", Value::Null, "no custom parameter load_balancer; hint: add it: "),
        ("token", Value::Null, "no custom parameter token; hint: add it: "),
        ("token", json!(format!("{TOKEN}\nX-Other: 1")), "custom parameter token has spaces or letters"),
        ("trusted_roots", json!("root.pem"), "custom parameter trusted_roots is not the PEM of certificates"),
        (
            "trusted_roots",
            json!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
            "custom parameter trusted_roots is not the PEM of certificates",
        ),
        ("time_limit", json!("600"), "custom parameter time_limit is not a number of seconds from 1 to 580"),
        ("time_limit", json!("soon"), "custom parameter time_limit is not a number of seconds"),
    ] {
        let mut parameters = good.clone();
        parameters[name] = value;
        let run = run_alone(&parameters).await;
        assert!(run.contains(expected) && run.contains("hint: "), "{expected}: {run}");
    }
    let run = run_alone(&good).await;
    assert!(run.contains("no certificate within 1 s: https://127.0.0.1:1 does not answer: "), "{run}");
    assert!(run_alone(&Value::Null).await.contains("no custom parameter url"));
}

#[tokio::test]
async fn an_answer_that_is_none_of_certferrys_is_an_error() {
    let (world, api) = installed("127.0.0.1").await;
    for (status, body, expected) in [
        (200, "{}", "answers without a chain; hint: is it certferry?"),
        (200, "[\"chain\"]", "answers without a chain"),
        (200, "{\"chain\": 7}", "answers without a chain"),
        (404, "<html>\n<h1>nothing</h1>", "answers 404: <html> <h1>nothing</h1>; hint: is custom parameter url"),
        (302, "", "answers 302: ; hint: is custom parameter url"),
        (400, "{\"error\": {\"odd\": 1}}", "answers 400: {'odd': 1}; hint: "),
    ] {
        api.reply(Reply::Answer(status, None, body.to_owned()));
        let run = run_alone(&parameters(&world)).await;
        assert!(run.contains(expected), "{expected}: {run}");
    }
}

#[tokio::test]
async fn line_ends_that_an_input_field_took_are_no_matter() {
    let (world, _api) = installed("127.0.0.1").await;
    for end in [" ", "\r\n", "\\n"] {
        let mut parameters = parameters(&world);
        let roots = parameters["trusted_roots"].as_str().unwrap().replace('\n', end);
        parameters["trusted_roots"] = json!(roots);
        let run = run_alone(&parameters).await;
        assert!(run.starts_with("-----BEGIN CERTIFICATE-----"), "{end:?}: {run}");
    }
}

#[tokio::test]
async fn the_script_is_python_3_8() {
    let check = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 8))";
    assert_eq!(python(check, control_script_text()).await, "");
}

/// The parameters as the controller gives them to the script.
fn parameters(world: &World) -> Value {
    let profile = world.stored("certificatemanagementprofile", "certferry");
    let parameters = profile["script_params"].as_array().unwrap().iter();
    parameters.map(|one| (one["name"].as_str().unwrap().to_owned(), one["value"].clone())).collect()
}

/// What the script returns or raises for a CSR, without a controller.
async fn run_alone(parameters: &Value) -> String {
    let driver = "import json, sys\n\
        job = json.load(sys.stdin)\n\
        module = {'__name__': 'control_script'}\n\
        exec(compile(job['script'], 'control_script', 'exec'), module)\n\
        try:\n    sys.stdout.write(module['certificate_request'](job['csr'], 'www.some-domain.com', job['args']))\n\
        except Exception as error:\n    sys.stdout.write(type(error).__name__ + ': ' + str(error))\n";
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::new([NAME.to_owned()]).unwrap().serialize_request(&key).unwrap().pem().unwrap();
    let job = json!({"script": control_script_text(), "csr": csr, "args": parameters});
    let output = python(driver, &job.to_string()).await;
    assert!(!output.contains(TOKEN), "{output}");
    output
}

/// What a Python program writes, errors too.
async fn python(program: &str, input: &str) -> String {
    let mut command = tokio::process::Command::new("python3");
    command.args(["-I", "-B", "-c", program]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}
