//! The control script of a certificate management profile: run as the controller runs it.
//!
//! The contract: a driver calls `certificate_request(csr, common_name, args)` and takes the PEM that it returns; what
//! the script prints, and every exception, ends up in the error that operators see.

use std::{process::Stdio, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{
    certificate, change,
    controller::{Controller, State},
    csr,
    events::Event,
    json::{Object, number, object, objects, text},
    kind::CERTIFICATE,
    sessions,
};

/// Why a certificate is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// For the CSR of a new object.
    FirstTime,
    /// With a new key and CSR.
    Renewal,
}

/// Has the profile's script make a certificate, and installs it. Tells how it ended as an event too.
pub(super) async fn make_certificate(controller: &Arc<Controller>, uuid: &str, reason: Reason) -> Result<(), String> {
    let job = Job::new(&controller.state(), uuid, reason)?;
    let outcome = match run(controller, &job).await {
        Ok(pem) => install(controller, uuid, &job, &pem),
        Err(problem) => Err(problem),
    };
    let mut state = controller.state();
    if let Some(object) = state.store.find(uuid) {
        let now = controller.clock.now();
        let name = object.name();
        let event = match &outcome {
            Ok(()) => {
                let details = json!({"ssl_renew_details": {"name": name}});
                Event::about(object, "SSL_CERT_RENEW", now, format!("SSL certificate {name} renewed"), details)
            }
            Err(problem) => {
                let details = json!({"ssl_renew_failed_details": {"name": name, "error": problem}});
                let description = format!("SSL certificate {name} could not be renewed");
                Event::about(object, "SSL_CERT_RENEW_FAILED", now, description, details)
            }
        };
        state.tell(event);
    }
    outcome
}

/// Everything that a run needs, so that the controller's state is free meanwhile: the script calls the API.
struct Job {
    arguments: Object,
    common_name: String,
    csr: String,
    /// PEM; `None` keeps the object's key.
    new_key: Option<String>,
    limit: Duration,
    name: String,
    script: String,
}

impl Job {
    fn new(state: &State, uuid: &str, reason: Reason) -> Result<Self, String> {
        let stored = state.store.get(CERTIFICATE, uuid).ok_or("SSLKeyAndCertificate object not found!")?;
        let (profile, script) = certificate::profile(&stored.fields, &state.store)
            .ok_or("the certificate has no certificate management profile with a script")?;
        let wanted = object(&stored.fields, "certificate").cloned().unwrap_or_default();
        let (new_key, csr) = match reason {
            Reason::FirstTime => (None, text(&wanted, "certificate_signing_request").to_owned()),
            Reason::Renewal => {
                csr::renew(&stored.fields).map(|(key, csr)| (Some(key), csr)).map_err(|error| error.text)?
            }
        };
        let mut arguments = Object::new();
        for parameter in objects(profile, "script_params").chain(objects(&stored.fields, "dynamic_params")) {
            if let Some(value) = parameter.get("value") {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                arguments.insert(text(parameter, "name").to_owned(), json!(value));
            }
        }
        let subject = object(&wanted, "subject").cloned().unwrap_or_default();
        Ok(Self {
            arguments,
            common_name: text(&subject, "common_name").to_owned(),
            csr,
            new_key,
            limit: number(script, "timeout").filter(|seconds| *seconds > 0).map_or(DEFAULT_LIMIT, Duration::from_secs),
            name: text(script, "name").to_owned(),
            script: text(script, "action_script").to_owned(),
        })
    }
}

/// The PEM that the script returned. Its input goes in through a pipe: nothing secret in argv, environment or files.
async fn run(controller: &Controller, job: &Job) -> Result<String, String> {
    let marker = format!("result {}", sessions::random());
    let input = json!({
        "script": job.script, "name": job.name, "csr": job.csr, "common_name": job.common_name,
        "args": job.arguments, "marker": marker,
    });
    let failed = |text: String| format!("Error from certificate management service: {text}");
    let mut command = Command::new(&controller.python);
    command.args(["-I", "-B", "-c", DRIVER]).env_clear().env("DOCKER_GATEWAY", &controller.authority);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let python = controller.python.display();
    let mut child = command.spawn().map_err(|error| failed(format!("cannot start {python}: {error}")))?;
    let stdin = child.stdin.take();
    let finished = async {
        if let Some(mut stdin) = stdin {
            stdin.write_all(input.to_string().as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(job.limit, finished)
        .await
        .map_err(|_| failed(format!("timed out after {} seconds", job.limit.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let (printed, result) = match stdout.split_once(&marker) {
        Some((printed, result)) => (printed, serde_json::from_str(result.trim()).unwrap_or(Value::Null)),
        None => (stdout.as_ref(), Value::Null),
    };
    match result {
        Value::String(pem) if output.status.success() && !pem.is_empty() => Ok(pem),
        _ => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            Err(failed(format!("STDOUT - \"{}\". STDERR - \"{}\"", printed.trim(), stderr.trim())))
        }
    }
}

fn install(controller: &Arc<Controller>, uuid: &str, job: &Job, pem: &str) -> Result<(), String> {
    let mut state = controller.state();
    let stored = state.store.get(CERTIFICATE, uuid).ok_or("the certificate has gone meanwhile")?.clone();
    let mut fields = stored.fields.clone();
    fields.insert("certificate".into(), json!({"certificate": pem}));
    if let Some(key) = &job.new_key {
        fields.insert("key".into(), json!(key));
    }
    let writer = change::Writer { user: "system", tenant: &stored.tenant, version: controller.version };
    change::replace(&mut state, &stored, fields, &writer, controller.clock.now()).map_err(|error| error.text)?;
    controller.changed(&mut state);
    Ok(())
}

/// The unit of `timeout` and its default are not documented; seconds are assumed.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// Reads the job from standard input; the returned PEM follows the marker on standard output.
const DRIVER: &str = r#"
import json, sys
job = json.loads(sys.stdin.read())
module = {"__name__": "control_script", "__file__": "/run/shm/cs/" + job["name"]}
exec(compile(job["script"], module["__file__"], "exec"), module)
result = module["certificate_request"](job["csr"], job["common_name"], job["args"])
sys.stdout.write("\n" + job["marker"] + json.dumps(result))
sys.stdout.flush()
"#;
