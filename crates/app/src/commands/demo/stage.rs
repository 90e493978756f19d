//! The stage of the demo: the lab's CA and load balancer, a config file in a folder that goes away, and a clock that can be
//! moved.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use certferry_core::{Clock, DnsName, Error, ErrorKind, SystemClock};
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use certferry_lab::oci_load_balancer::{KeyLabel, LoadBalancerSpec, OciLab, OciOptions, certificate_entry};
use certferry_lab::pki::Pki;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::config::{self, Config};
use crate::failure::Failure;

/// The listeners of the story, with their ports.
pub(super) const LISTENERS: [(&str, u16); 2] = [("admin", 8443), ("https", 443)];

const SERVER_NAME: &str = "www.some-domain.com";

/// Everything that the story happens on.
pub(super) struct Stage {
    ca: AcmeCa,
    lab: OciLab,
    load_balancer_id: String,
    config: Config,
    config_text: String,
    clock: Arc<MovableClock>,
    _responder_port: TcpSocket,
    _folder: TempDir,
}

impl Stage {
    /// Sets the stage: nothing of certferry's is on the load balancer yet.
    pub(super) async fn set() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(machine("a folder for the demo could not be made"))?;
        let lab = OciLab::start(OciOptions::default()).await.map_err(lab_failed)?;
        let load_balancer_id = lab.add_load_balancer(before()?).map_err(lab_failed)?;
        let address = |port| lab.data_plane_address(&load_balancer_id, port).map_err(lab_failed);
        let ca = AcmeCa::start(AcmeCaOptions::default()).await.map_err(lab_failed)?;
        ca.resolve_all_to(address(80)?, address(443)?);
        let files =
            lab.new_api_key().map_err(lab_failed)?.write_config(folder.path(), KeyLabel::Absent).map_err(lab_failed)?;
        let root = folder.path().join("ca.pem");
        write(&root, ca.trusted_root_pem())?;
        let responder_port = reserve_port()?;
        let responder = responder_port.local_addr().map_err(machine("no free port on loopback"))?;
        let config_text = format!(
            "\
responder:
  listen: {responder}
issuers:
  lab:
    directory: {directory}
    trusted-roots: ca.pem
load-balancers:
  front:
    oci:
      load-balancer-id: {load_balancer_id}
      auth: {{ api-key: {{ config-file: {config_file}, profile: DEFAULT }} }}
      endpoint: {endpoint}
      http01:
        listener: http
        responder: {responder}
        backend-set: certferry-acme
        health-check: tcp
        probe: [{http}]               # the lab's port 80
certificates:
  www:
    names: [{SERVER_NAME}]
    deploy:
      - {{ load-balancer: front, listener: https, probe: [{https}] }}
      - {{ load-balancer: front, listener: admin, probe: [{admin}] }}
",
            directory = ca.directory_url(),
            config_file = files.config.file_name().unwrap_or_default().to_string_lossy(),
            endpoint = lab.endpoint(),
            http = address(80)?,
            https = address(443)?,
            admin = address(8443)?,
        );
        let path = folder.path().join("certferry.yaml");
        write(&path, &config_text)?;
        let config = config::load(Some(&path))?;
        let clock = Arc::new(MovableClock::default());
        Ok(Self {
            ca,
            lab,
            load_balancer_id,
            config,
            config_text,
            clock,
            _responder_port: responder_port,
            _folder: folder,
        })
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn config_text(&self) -> &str {
        self.config_text.trim_end()
    }

    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        self.clock.clone()
    }

    pub(super) fn server_name(&self) -> DnsName {
        self.config.desired.certificates[0].version.names[0].clone()
    }

    /// Days pass, for the CA and for certferry.
    pub(super) fn advance(&self, days: i64) {
        let span = SignedDuration::from_hours(24 * days);
        self.ca.advance(span);
        self.clock.advance(span);
    }

    /// The load balancer as GetLoadBalancer shows it.
    pub(super) fn load_balancer(&self) -> Result<Value, Error> {
        self.lab.load_balancer(&self.load_balancer_id).map_err(lab_error)
    }

    /// Where a port of the load balancer really listens.
    pub(super) fn address(&self, port: u16) -> Result<SocketAddr, Error> {
        self.lab.data_plane_address(&self.load_balancer_id, port).map_err(lab_error)
    }
}

/// The load balancer as its owner left it: two listeners with settings of their own, one of which certferry has never
/// heard of, and a certificate uploaded by hand.
fn before() -> Result<LoadBalancerSpec, Failure> {
    let pki = Pki::new().map_err(lab_failed)?;
    let by_hand = pki.issue(&[SERVER_NAME], 30).map_err(lab_failed)?;
    let ssl = json!({
        "certificateName": "by-hand-2025",
        "protocols": ["TLSv1.2", "TLSv1.3"],
        "cipherSuiteName": "oci-tls-12-13-wider-ssl-cipher-suite-v1",
        "serverOrderPreference": "ENABLED",
        "verifyPeerCertificate": false,
        "verifyDepth": 1,
        "hasSessionResumption": true,
    });
    Ok(LoadBalancerSpec::new("front").configured(json!({
        "certificates": {
            "by-hand-2025": certificate_entry("by-hand-2025", &by_hand.chain_pem, &by_hand.private_key_pem),
        },
        "backendSets": {
            "app": {
                "policy": "ROUND_ROBIN",
                "backends": [],
                "healthChecker": { "protocol": "TCP", "port": 8080 },
            },
        },
        "hostnames": { "www": { "name": "www", "hostname": SERVER_NAME } },
        "ruleSets": {
            "hsts": {
                "name": "hsts",
                "items": [{
                    "action": "ADD_HTTP_RESPONSE_HEADER",
                    "header": "strict-transport-security",
                    "value": "max-age=63072000",
                }],
            },
        },
        "listeners": {
            "https": {
                "name": "https", "port": 443, "protocol": "HTTP", "defaultBackendSetName": "app",
                "hostnameNames": ["www"], "ruleSetNames": ["hsts"],
                "connectionConfiguration": { "idleTimeout": 300 },
                "sslConfiguration": ssl.clone(),
                "fieldOfNextYear": { "kept": true },
            },
            "admin": {
                "name": "admin", "port": 8443, "protocol": "HTTP", "defaultBackendSetName": "app",
                "connectionConfiguration": { "idleTimeout": 60 },
                "sslConfiguration": ssl,
            },
        },
    })))
}

/// A port on loopback that nobody else is given while the socket lives. It does not listen, and both it and the
/// responder's listener have SO_REUSEADDR: so the responder can.
fn reserve_port() -> Result<TcpSocket, Failure> {
    let reserved = || {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        Ok(socket)
    };
    reserved().map_err(machine("no free port on loopback"))
}

fn write(path: &PathBuf, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(machine("a file of the demo could not be written"))
}

fn machine(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    let what = what.to_owned();
    move |source| Failure::Machine { what, source }
}

fn lab_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, "demo", "the lab").said(error.to_string()).with_source(error)
}

fn lab_failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    Failure::Core(lab_error(error))
}

/// The machine's clock, moved forward.
#[derive(Default)]
struct MovableClock(Mutex<SignedDuration>);

impl MovableClock {
    fn advance(&self, span: SignedDuration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += span;
    }
}

impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
