//! The data plane: sockets on loopback that do what the virtual services are configured to do.

mod http;
mod policy;
mod request_log;
mod serving;
mod tls;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use rustls::crypto::CryptoProvider;
use tokio::{net::TcpStream, runtime::Handle};
use tokio_rustls::LazyConfigAcceptor;

pub use self::request_log::{DataPlaneRequest, LoggedAs};
use self::{request_log::RequestLog, serving::Serving};
use super::{controller_clock::ControllerClock, error::LabError, options::RedirectOrder, store::Store};
use crate::loopback_port::{LoopbackPort, Ports};

/// Whose certificates the data plane does not change, whatever is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldCertificates {
    /// Those of every virtual service.
    All,
    /// Those of the virtual service with this name.
    VirtualService(String),
}

pub(super) struct DataPlane {
    held: Mutex<Vec<HeldCertificates>>,
    kind: Ports,
    live: Arc<Live>,
    ports: Mutex<HashMap<(IpAddr, u16), LoopbackPort>>,
    provider: Arc<CryptoProvider>,
    runtime: Handle,
}

/// What connections look at: swapped as a whole, so that a handshake or a request sees one configuration.
struct Live {
    clock: Arc<ControllerClock>,
    log: RequestLog,
    serving: RwLock<Arc<Serving>>,
}

impl DataPlane {
    pub(super) fn new(kind: Ports, clock: Arc<ControllerClock>, runtime: Handle) -> Self {
        Self {
            held: Mutex::new(Vec::new()),
            kind,
            live: Arc::new(Live { clock, log: RequestLog::default(), serving: RwLock::default() }),
            ports: Mutex::new(HashMap::new()),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            runtime,
        }
    }

    /// Does what is configured from now on: first what is served, then which ports listen.
    pub(super) fn apply(&self, store: &Store, order: RedirectOrder) {
        let held = lock(&self.held).clone();
        let is_held = |name: &str| {
            held.iter().any(|held| match held {
                HeldCertificates::All => true,
                HeldCertificates::VirtualService(held) => held == name,
            })
        };
        let mut ports = lock(&self.ports);
        let previous = self.live.serving();
        let serving = Arc::new(Serving::new(store, order, &previous, &is_held, &self.provider));
        *self.live.serving.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&serving);
        for ((address, port), open) in ports.iter_mut() {
            if serving.service(*address, *port).is_none() {
                open.close();
            }
        }
        // Of a range only the first port is opened before somebody asks for another one.
        let mut wanted: Vec<(IpAddr, u16)> =
            serving.services.iter().map(|service| (service.address, service.first)).collect();
        wanted.extend(ports.keys().filter(|(address, port)| serving.service(*address, *port).is_some()));
        for place in wanted {
            if let Err(error) = self.open(&mut ports, place) {
                let (address, port) = place;
                tracing::error!(%address, port, %error, "the data plane does not listen");
            }
        }
    }

    /// Where the port of a VIP's address is served; reserved from the first call on.
    pub(super) fn address(&self, address: IpAddr, port: u16) -> Result<SocketAddr, LabError> {
        let mut ports = lock(&self.ports);
        if self.live.serving().service(address, port).is_some() {
            self.open(&mut ports, (address, port))?;
        }
        Ok(self.reserved(&mut ports, (address, port))?.address())
    }

    pub(super) fn requests(&self) -> Vec<DataPlaneRequest> {
        self.live.log.all()
    }

    pub(super) fn hold(&self, held: HeldCertificates) {
        lock(&self.held).push(held);
    }

    pub(super) fn release(&self) {
        lock(&self.held).clear();
    }

    pub(super) fn stop(&self) {
        lock(&self.ports).clear();
    }

    fn open(&self, ports: &mut HashMap<(IpAddr, u16), LoopbackPort>, place: (IpAddr, u16)) -> Result<(), LabError> {
        let _in_runtime = self.runtime.enter();
        let live = Arc::clone(&self.live);
        let port = self.reserved(ports, place)?;
        let bound = port.address();
        port.open(move |stream, client| serve(stream, client, place, Arc::clone(&live)))
            .map_err(|source| LabError::Listen { address: bound, source })
    }

    fn reserved<'a>(
        &self,
        ports: &'a mut HashMap<(IpAddr, u16), LoopbackPort>,
        place: (IpAddr, u16),
    ) -> Result<&'a mut LoopbackPort, LabError> {
        use std::collections::hash_map::Entry;
        match ports.entry(place) {
            Entry::Occupied(port) => Ok(port.into_mut()),
            Entry::Vacant(vacant) => {
                let wanted = match self.kind {
                    Ports::Exact => SocketAddr::from(place),
                    Ports::Mapped => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                };
                let reserved = if wanted.ip().is_loopback() {
                    LoopbackPort::reserve(wanted)
                } else {
                    Err(std::io::Error::other("the lab listens on loopback addresses only"))
                };
                Ok(vacant.insert(reserved.map_err(|source| LabError::Listen { address: wanted, source })?))
            }
        }
    }
}

impl Live {
    fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.serving.read().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(stream: TcpStream, client: SocketAddr, (address, port): (IpAddr, u16), live: Arc<Live>) {
    let serving = live.serving();
    let Some(service) = serving.service(address, port) else { return };
    let tls = service.tls;
    let connection = http::Connection { client, live, address, port, tls, handshake: None, server_name: None };
    if !tls {
        let Some(owner) = serving.for_handshake(service, None) else { return };
        return carry(stream, owner, connection).await;
    }
    let hello = match LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await {
        Ok(hello) => hello,
        Err(error) => return tracing::debug!(%client, %error, "no TLS ClientHello"),
    };
    let server_name = hello.client_hello().server_name().map(str::to_owned);
    let Some(owner) = serving.for_handshake(service, server_name.as_deref()) else { return };
    let Some(settings) = owner.tls.clone() else {
        return tracing::debug!(virtual_service = owner.name, "there is no certificate to serve");
    };
    match hello.into_stream(settings).await {
        Ok(stream) => {
            let connection = http::Connection { handshake: Some(owner.uuid.clone()), server_name, ..connection };
            carry(stream, owner, connection).await;
        }
        Err(error) => tracing::debug!(%client, virtual_service = owner.name, %error, "the TLS handshake failed"),
    }
}

async fn carry<S>(mut stream: S, owner: &serving::Virtual, connection: http::Connection)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    if owner.http {
        return http::serve(stream, connection).await;
    }
    if let Some(mut server) = http::connect(owner.pool.as_ref()).await
        && let Err(error) = tokio::io::copy_bidirectional(&mut stream, &mut server).await
    {
        tracing::debug!(%error, "a TCP connection ended early");
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
