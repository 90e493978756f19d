//! Health checks, really made, at a scaled interval.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::http::{Request, header::HOST};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    super::clock,
    backend,
    serving::{Backend, BackendSet, CheckKind, Checker},
};

/// What the checks say of the backends: by backend set and backend.
#[derive(Default)]
pub(in super::super) struct Board(Mutex<HashMap<(String, String), BackendHealth>>);

/// What is known of one backend.
#[derive(Clone, Debug)]
pub(in super::super) struct BackendHealth {
    pub(in super::super) health: Health,
    last: Option<(Finding, Timestamp)>,
    /// How many checks in a row have contradicted `health`.
    contradictions: u64,
}

/// The service's judgement of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Health {
    Critical,
    Ok,
    Unknown,
}

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    ConnectFailed,
    InvalidStatusCode,
    IoError,
    Ok,
    RegexMismatch,
    TimedOut,
}

/// Checks every backend of a set for ever.
pub(super) async fn watch(set: Arc<BackendSet>, board: Arc<Board>, interval_scale: f64) {
    let period = set.checker.interval.mul_f64(interval_scale.max(0.0)).max(SHORTEST_INTERVAL);
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let checks = set.backends.iter().map(|backend| check(&set, backend));
        for (backend, finding) in set.backends.iter().zip(join_all(checks).await) {
            board.record(&set.name, &backend.name, finding, set.checker.retries);
        }
    }
}

impl Board {
    pub(in super::super) fn of(&self, set: &str, backend: &str) -> BackendHealth {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(&(set.to_owned(), backend.to_owned()));
        entry.cloned().unwrap_or_default()
    }

    pub(super) fn retain(&self, keep: impl Fn(&str, &str) -> bool) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|(set, backend), _| keep(set, backend));
    }

    fn record(&self, set: &str, backend: &str, finding: Finding, retries: u64) {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry((set.to_owned(), backend.to_owned())).or_default();
        entry.record(finding, retries, clock::now());
    }
}

impl BackendHealth {
    /// As GetBackendHealth answers it.
    pub(in super::super) fn to_json(&self) -> Value {
        let status = match self.health {
            Health::Critical => "CRITICAL",
            Health::Ok => "OK",
            Health::Unknown => "UNKNOWN",
        };
        let results: Vec<Value> = self
            .last
            .iter()
            .map(|(finding, time)| {
                json!({
                    "subnetId": "ocid1.subnet.oc1.iad.aaaaaaaalab",
                    "sourceIpAddress": "127.0.0.1",
                    "timestamp": clock::written(*time),
                    "healthCheckStatus": finding.as_str(),
                })
            })
            .collect();
        json!({ "status": status, "healthCheckResults": results })
    }

    /// A judgement changes after `retries` checks that contradict it; a backend is believed good at its first success.
    fn record(&mut self, finding: Finding, retries: u64, now: Timestamp) {
        let found = if finding == Finding::Ok { Health::Ok } else { Health::Critical };
        self.last = Some((finding, now));
        if found == self.health {
            self.contradictions = 0;
            return;
        }
        self.contradictions += 1;
        let first_success = self.health == Health::Unknown && found == Health::Ok;
        if first_success || self.contradictions >= retries {
            self.health = found;
            self.contradictions = 0;
        }
    }
}

impl Default for BackendHealth {
    fn default() -> Self {
        Self { health: Health::Unknown, last: None, contradictions: 0 }
    }
}

impl Finding {
    fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailed => "CONNECT_FAILED",
            Self::InvalidStatusCode => "INVALID_STATUS_CODE",
            Self::IoError => "IO_ERROR",
            Self::Ok => "OK",
            Self::RegexMismatch => "REGEX_MISMATCH",
            Self::TimedOut => "TIMED_OUT",
        }
    }
}

async fn check(set: &BackendSet, backend: &Backend) -> Finding {
    match tokio::time::timeout(set.checker.timeout, check_once(set, &set.checker, backend)).await {
        Ok(finding) => finding,
        Err(_) => Finding::TimedOut,
    }
}

async fn check_once(set: &BackendSet, checker: &Checker, backend: &Backend) -> Finding {
    let mut address = backend.address;
    if checker.port != 0 {
        address.set_port(checker.port);
    }
    let (path, status, body) = match &checker.kind {
        CheckKind::Tcp => {
            let opened = backend::open(address, None).await;
            return if opened.is_ok() { Finding::Ok } else { Finding::ConnectFailed };
        }
        CheckKind::Http { path, status, body } => (path, *status, body),
    };
    let tls = set.tls.as_ref().filter(|_| !checker.plain_text);
    let Ok(stream) = backend::open(address, tls).await else {
        return Finding::ConnectFailed;
    };
    let Ok((mut sender, connection)) = http1::handshake(TokioIo::new(stream)).await else {
        return Finding::IoError;
    };
    let exchange = async {
        let request = Request::get(path.as_str())
            .header(HOST, address.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|_| Finding::IoError)?;
        let response = sender.send_request(request).await.map_err(|_| Finding::IoError)?;
        if response.status().as_u16() != status {
            return Err(Finding::InvalidStatusCode);
        }
        let Some(pattern) = body else { return Ok(()) };
        let content =
            Limited::new(response.into_body(), LARGEST_BODY).collect().await.map_err(|_| Finding::IoError)?.to_bytes();
        if pattern.is_match(&String::from_utf8_lossy(&content)) { Ok(()) } else { Err(Finding::RegexMismatch) }
    };
    // The connection makes no progress unless it is polled, and goes when the answer is there.
    tokio::pin!(exchange);
    tokio::pin!(connection);
    let finding = tokio::select! {
        biased;
        finding = &mut exchange => finding,
        _ = &mut connection => exchange.await,
    };
    match finding {
        Ok(()) => Finding::Ok,
        Err(finding) => finding,
    }
}

const LARGEST_BODY: usize = 64 * 1024;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judgement_changes_only_after_the_configured_number_of_checks() {
        let mut backend = BackendHealth::default();
        let now = clock::now();
        let cases = [
            (Finding::ConnectFailed, Health::Unknown),
            (Finding::Ok, Health::Ok),
            (Finding::ConnectFailed, Health::Ok),
            (Finding::Ok, Health::Ok),
            (Finding::TimedOut, Health::Ok),
            (Finding::TimedOut, Health::Critical),
            (Finding::Ok, Health::Critical),
            (Finding::Ok, Health::Ok),
        ];
        for (step, (finding, expected)) in cases.into_iter().enumerate() {
            backend.record(finding, 2, now);
            assert_eq!(backend.health, expected, "step {step}");
        }
    }
}
