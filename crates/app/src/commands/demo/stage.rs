//! The stage of the demo: the lab's CA and load balancers, a config file in a folder that goes away, and a clock that can be
//! moved.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use certferry_core::{Clock, Error, ErrorKind, SystemClock};
use certferry_lab::acme_ca::{AcmeCa, AcmeCaOptions};
use certferry_lab::pki::Pki;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::commands::demo::edge::Edge;
use crate::commands::demo::front::Front;
use crate::commands::demo::seen::Seen;
use crate::config::{self, Config};
use crate::failure::Failure;

/// Names of the certificate, with the load balancer that each leads to.
const ON_FRONT: &str = "www.some-domain.com";
const ON_EDGE: &str = "shop.some-domain.com";

/// Everything that the story happens on.
pub(super) struct Stage {
    ca: AcmeCa,
    front: Front,
    edge: Edge,
    config: Config,
    config_text: String,
    clock: Arc<MovableClock>,
    _responder_port: TcpSocket,
    _folder: TempDir,
}

impl Stage {
    /// Sets the stage: nothing of certferry's is on the load balancers yet.
    pub(super) async fn set() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(machine("a folder for the demo could not be made"))?;
        let by_hand = Pki::new().and_then(|pki| pki.issue(&[ON_FRONT, ON_EDGE], 30)).map_err(lab_failed)?;
        let front = Front::set(ON_FRONT.parse()?, &by_hand).await?;
        let edge = Edge::set(ON_EDGE.parse()?, &by_hand).await?;
        let ca = AcmeCa::start(AcmeCaOptions::default()).await.map_err(lab_failed)?;
        ca.resolve(ON_FRONT, front.address(80)?, front.address(443)?);
        ca.resolve(ON_EDGE, edge.address(80)?, edge.address(443)?);
        write(&folder.path().join("ca.pem"), ca.trusted_root_pem())?;
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
{front_entry}{edge_entry}certificates:
  www:
    names: [{ON_FRONT}, {ON_EDGE}]
    deploy:
{front_deploys}{edge_deploys}",
            directory = ca.directory_url(),
            front_entry = front.entry(folder.path(), responder)?,
            edge_entry = edge.entry(folder.path())?,
            front_deploys = front.deploys()?,
            edge_deploys = edge.deploys()?,
        );
        let path = folder.path().join("certferry.yaml");
        write(&path, &config_text)?;
        let config = config::load(Some(&path))?;
        edge.allow(&config)?;
        Ok(Self {
            ca,
            front,
            edge,
            config,
            config_text,
            clock: Arc::default(),
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

    /// Days pass, for the CA, for the controller and for certferry.
    pub(super) async fn advance(&self, days: i64) {
        let span = SignedDuration::from_hours(24 * days);
        self.ca.advance(span);
        self.edge.advance(span).await;
        self.clock.advance(span);
    }

    /// The load balancers as they are now.
    pub(super) fn seen(&self) -> Result<[Seen; 2], Error> {
        Ok([self.front.seen()?, self.edge.seen()?])
    }
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

pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(machine("a file of the demo could not be written"))
}

fn machine(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    let what = what.to_owned();
    move |source| Failure::Machine { what, source }
}

pub(super) fn lab_error(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Unexpected, "demo", "the lab").said(error.to_string()).with_source(error)
}

pub(super) fn lab_failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
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
