//! Certferry in this process: one run after another of a config of one certificate, with limits that suit tests, and all
//! that it told.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use certferry::config::{Config, DnsProvider, Provider};
use certferry::{apply_with, config, wiring};
use certferry_acme::AccountKey;
use certferry_core::plan::PlanOptions;
use certferry_core::port::{Notify, Store};
use certferry_core::recorded::DeploymentState;
use certferry_core::renewal::RenewalWindow;
use certferry_core::{Clock, Event, SystemClock};
use certferry_engine::Report;
use certferry_lab::acme_ca::{AcmeCa, Window};
use certferry_providers::acme;
use certferry_providers::http::Backoff;
use certferry_providers::load_balancer::{avi, oci};
use jiff::{SignedDuration, Timestamp};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;

use crate::secrets::Secret;

/// A config, and runs of it.
pub(crate) struct Program {
    config: Config,
    /// What must never be told, besides what is in the store.
    secrets: Vec<Secret>,
}

/// A run that has ended.
pub(crate) struct Told {
    pub(crate) report: Report,
    /// Its log at the highest verbosity, its events, and its errors.
    pub(crate) text: String,
}

impl Program {
    /// With the config in this folder.
    pub(crate) fn new(folder: &Path, secrets: Vec<Secret>) -> Self {
        Self { config: config::load(Some(&folder.join("certferry.yaml"))).unwrap(), secrets }
    }

    pub(crate) fn config_path(&self) -> &Path {
        &self.config.path
    }

    /// The store, to be written to.
    pub(crate) async fn store(&self) -> Arc<dyn Store> {
        wiring::store(&self.config).await.unwrap()
    }

    /// One run.
    pub(crate) async fn apply(&self, patience: Patience, clock: Arc<dyn Clock>) -> Told {
        self.apply_on(self.store().await, patience, clock).await
    }

    /// One run on this store.
    pub(crate) async fn apply_on(&self, store: Arc<dyn Store>, patience: Patience, clock: Arc<dyn Clock>) -> Told {
        let mut config = self.config.clone();
        for load_balancer in config.load_balancers.values_mut() {
            match &mut load_balancer.provider {
                Provider::Avi(avi) => avi.limits = patience.of_avi(),
                Provider::Oci(oci) => oci.access.limits = patience.of_oci(),
                other => panic!("no ground is for {other:?}"),
            }
        }
        for dns in config.dns.values_mut() {
            match &mut dns.provider {
                DnsProvider::Oci(oci) => oci.access.limits = patience.of_oci(),
                other => panic!("no ground is for {other:?}"),
            }
        }
        config.issuers.values_mut().for_each(|issuer| issuer.limits = patience.of_acme());
        let options = PlanOptions { next_wake: SignedDuration::from_hours(12), ..PlanOptions::default() };
        let (lines, events) = (Lines::default(), Arc::new(Events::default()));
        let log = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(lines.clone());
        let ours = Targets::new().with_target("certferry", LevelFilter::DEBUG);
        let subscriber = tracing_subscriber::registry().with(log).with(ours);
        let running = apply_with(&config, store, events.clone(), clock, &options);
        let report = running.with_subscriber(subscriber).await.unwrap();
        let mut text = String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();
        for event in events.0.lock().unwrap().drain(..) {
            text.push_str(&format!("{event:?}\n"));
        }
        for problem in &report.failures {
            text.push_str(&format!("{problem:?}\n{}\n{:?}\n", problem.error, problem.error.hint()));
        }
        Told { report, text }
    }

    /// One run in which nothing goes wrong.
    pub(crate) async fn run(&self) -> Told {
        let told = self.apply(Patience::default(), Arc::new(SystemClock)).await;
        assert!(told.report.failures.is_empty(), "{:?}", told.report.failures);
        told
    }

    /// The CA wants the current certificate renewed now. Whatever window was told before is forgotten.
    pub(crate) async fn make_due(&self, ca: &AcmeCa) {
        let store = self.store().await;
        let recorded = store.recorded().await.unwrap();
        let record = recorded.certificates.values().next().unwrap();
        let current = record.current.clone().unwrap();
        let (now, hour) = (SystemClock.now(), SignedDuration::from_hours(1));
        let (start, end) = (now - hour * 2, now - hour);
        ca.suggest_window(current.leaf.unwrap().serial.as_str(), Window::Between(start, end, None));
        let window = RenewalWindow { start, end, explanation_url: None, next_fetch: now - hour };
        store.save_renewal_window(current.id, &window).await.unwrap();
    }

    /// Forgets all that was remembered.
    pub(crate) fn forget(&self) {
        let database = &self.config.state.database;
        for suffix in ["", "-shm", "-wal"] {
            let file = PathBuf::from(format!("{}{suffix}", database.display()));
            match std::fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => panic!("{}: {error}", file.display()),
                _ => {}
            }
        }
    }

    /// The store says that all is done.
    pub(crate) async fn assert_settled(&self, context: &str) {
        let store = self.store().await;
        let recorded = store.recorded().await.unwrap();
        let [record] = <[_; 1]>::try_from(recorded.certificates.into_values().collect::<Vec<_>>()).unwrap();
        assert!(record.pending.is_none() && record.issue_failure.is_none(), "{context}: {record:?}");
        let unverified = record.deployments.iter().filter(|one| one.state != DeploymentState::Verified).count();
        assert!(unverified == 0 && !record.deployments.is_empty(), "{context}: {record:?}");
        let open = store.open_challenges().await.unwrap();
        assert_eq!(open, [], "{context}: challenges that nobody will close");
    }

    /// Promise 4, for what runs told: no key, password or key authorization, and no signature.
    pub(crate) async fn assert_nothing_secret(&self, texts: &[&str], context: &str) {
        let store = self.store().await;
        let (issuer, config) = self.config.issuers.iter().next().unwrap();
        let mut secrets = Vec::new();
        let account = store.account(issuer, config.directory.as_str()).await.unwrap();
        if let Some(account) = account {
            let der = pem::parse(account.key.expose()).unwrap().into_contents();
            let thumbprint = AccountKey::from_pkcs8(&der).unwrap().thumbprint();
            secrets.push(Secret::of_elliptic("the account's key", account.key.expose()));
            // RFC 8555 section 8.1: token, dot, thumbprint.
            secrets.push(Secret::text("a key authorization", &format!(".{thumbprint}")));
        }
        let recorded = store.recorded().await.unwrap();
        for record in recorded.certificates.values() {
            for version in record.current.iter().chain(&record.pending) {
                let key = store.private_key(version.id).await.unwrap();
                secrets.push(Secret::of_elliptic("the certificate's key", key.expose()));
            }
        }
        assert!(secrets.len() >= 3, "{context}: an account and a certificate have keys");
        for text in texts {
            secrets.iter().chain(&self.secrets).for_each(|secret| secret.must_not_be_told(text, context));
            for piece in ["PRIVATE KEY", "signature=\"", "csrftoken="] {
                assert!(!text.contains(piece), "{context}: {piece} is in {text}");
            }
        }
    }
}

/// How long a run waits for answers, and goes on trying. By default for services that answer: nothing takes long then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) request: Duration,
    pub(crate) retry: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { request: Duration::from_secs(5), retry: Duration::from_secs(20) }
    }
}

impl Patience {
    fn of_acme(self) -> acme::Limits {
        acme::Limits { connect: CONNECT, request: self.request, retry: self.retry }
    }

    fn of_avi(self) -> avi::Limits {
        avi::Limits {
            connect: CONNECT,
            request: self.request,
            retry: self.retry,
            refused_login: Duration::from_secs(60),
            backoff: BACKOFF,
        }
    }

    fn of_oci(self) -> oci::Limits {
        oci::Limits {
            connect: CONNECT,
            request: self.request,
            retry: self.retry,
            work_request: Duration::from_secs(20),
            first_poll: Duration::from_millis(1),
            backoff: BACKOFF,
        }
    }
}

/// The time of day, a while from now: what somebody asked to wait for has passed.
pub(crate) struct Later(pub(crate) SignedDuration);

impl Clock for Later {
    fn now(&self) -> Timestamp {
        SystemClock.now() + self.0
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What was told as it happened.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Notify for Events {
    fn notify(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

const CONNECT: Duration = Duration::from_secs(5);

const BACKOFF: Backoff = Backoff { first: Duration::from_millis(2), longest: Duration::from_millis(50) };
