//! The data plane: sockets on loopback that do what the load balancers are configured to do.

mod backend;
mod condition;
pub(super) mod health;
mod http;
mod port;
mod redirect;
mod route;
mod rules;
mod serving;
mod tls;

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use rustls::crypto::CryptoProvider;
use tokio::{runtime::Handle, task::JoinHandle};

use self::serving::Serving;
use super::{
    configuration::{Collection, Configuration},
    error::LabError,
    options::Ports,
};
use crate::loopback_port::LoopbackPort;

/// Whose certificates the data plane does not change, whatever is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldCertificates {
    /// Those of every listener.
    All,
    /// That of one listener.
    Listener {
        /// The load balancer's OCID.
        load_balancer: String,
        /// The listener's name.
        listener: String,
    },
}

/// The data planes of all load balancers.
pub(super) struct DataPlane {
    balancers: Mutex<HashMap<String, Balancer>>,
    health_interval_scale: f64,
    held: Mutex<Vec<HeldCertificates>>,
    provider: Arc<CryptoProvider>,
    runtime: Handle,
}

/// The data plane of one load balancer.
struct Balancer {
    address: Ipv4Addr,
    ports: BTreeMap<u16, LoopbackPort>,
    kind: Ports,
    live: Arc<Live>,
    monitors: HashMap<String, Monitor>,
}

/// What connections look at: swapped as a whole, so that a handshake or a request sees one configuration.
struct Live {
    board: Arc<health::Board>,
    serving: RwLock<Arc<Serving>>,
}

struct Monitor {
    /// The definition that it watches.
    definition: serde_json::Map<String, serde_json::Value>,
    task: JoinHandle<()>,
}

impl DataPlane {
    pub(super) fn new(health_interval_scale: f64, runtime: Handle) -> Self {
        Self {
            balancers: Mutex::new(HashMap::new()),
            health_interval_scale,
            held: Mutex::new(Vec::new()),
            provider: Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
            runtime,
        }
    }

    pub(super) fn add(&self, id: &str, address: Ipv4Addr, kind: Ports) {
        let balancer = Balancer {
            address,
            ports: BTreeMap::new(),
            kind,
            live: Arc::new(Live {
                board: Arc::new(health::Board::default()),
                serving: RwLock::new(Arc::new(Serving::default())),
            }),
            monitors: HashMap::new(),
        };
        lock(&self.balancers).insert(id.to_owned(), balancer);
    }

    /// Does what is configured from now on: first what is served, then which ports listen.
    pub(super) fn apply(&self, id: &str, configuration: &Configuration) {
        let held = lock(&self.held).clone();
        let mut balancers = lock(&self.balancers);
        let Some(balancer) = balancers.get_mut(id) else {
            return;
        };
        let is_held = |listener: &str| {
            held.iter().any(|held| match held {
                HeldCertificates::All => true,
                HeldCertificates::Listener { load_balancer, listener: name } => load_balancer == id && name == listener,
            })
        };
        let previous = balancer.live.serving();
        let serving = Arc::new(Serving::new(configuration, &previous, &is_held, &self.provider));
        *balancer.live.serving.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&serving);
        self.open_and_close_ports(id, balancer, &serving);
        self.watch_backends(balancer, configuration, &serving);
    }

    pub(super) fn address(&self, id: &str, port: u16) -> Result<SocketAddr, LabError> {
        let mut balancers = lock(&self.balancers);
        let balancer = balancers.get_mut(id).ok_or_else(|| LabError::UnknownLoadBalancer(id.to_owned()))?;
        Ok(balancer.port(port)?.address())
    }

    pub(super) fn health(&self, id: &str) -> Arc<health::Board> {
        lock(&self.balancers).get(id).map_or_else(Arc::default, |balancer| Arc::clone(&balancer.live.board))
    }

    pub(super) fn hold(&self, held: HeldCertificates) {
        lock(&self.held).push(held);
    }

    pub(super) fn release(&self) {
        lock(&self.held).clear();
    }

    pub(super) fn stop(&self) {
        lock(&self.balancers).clear();
    }

    fn open_and_close_ports(&self, id: &str, balancer: &mut Balancer, serving: &Serving) {
        let _in_runtime = self.runtime.enter();
        for (number, port) in &mut balancer.ports {
            if !serving.ports.contains_key(number) {
                port.close();
            }
        }
        for number in serving.ports.keys() {
            let live = Arc::clone(&balancer.live);
            let opened = balancer.port(*number).and_then(|port| open(port, *number, live));
            if let Err(error) = opened {
                tracing::error!(load_balancer = id, port = number, %error, "the data plane does not listen");
            }
        }
    }

    /// A set's checks start anew only when its definition changes.
    fn watch_backends(&self, balancer: &mut Balancer, configuration: &Configuration, serving: &Serving) {
        balancer
            .monitors
            .retain(|name, monitor| configuration.object(Collection::BackendSets, name) == Some(&monitor.definition));
        for (name, definition) in configuration.objects(Collection::BackendSets) {
            let Some(set) = serving.backend_sets.get(name) else {
                continue;
            };
            if balancer.monitors.contains_key(name) {
                continue;
            }
            let watch = health::watch(Arc::clone(set), Arc::clone(&balancer.live.board), self.health_interval_scale);
            let monitor = Monitor { definition: definition.clone(), task: self.runtime.spawn(watch) };
            balancer.monitors.insert(name.to_owned(), monitor);
        }
        balancer.live.board.retain(|set, backend| {
            serving.backend_sets.get(set).is_some_and(|set| set.backends.iter().any(|known| known.name == backend))
        });
    }
}

fn open(port: &mut LoopbackPort, number: u16, live: Arc<Live>) -> Result<(), LabError> {
    let address = port.address();
    port.open(move |stream, client| port::serve(stream, client, number, Arc::clone(&live)))
        .map_err(|source| LabError::Listen { address, source })
}

impl Balancer {
    fn port(&mut self, number: u16) -> Result<&mut LoopbackPort, LabError> {
        use std::collections::btree_map::Entry;
        match self.ports.entry(number) {
            Entry::Occupied(port) => Ok(port.into_mut()),
            Entry::Vacant(place) => {
                let wanted = match self.kind {
                    Ports::Exact => number,
                    Ports::Mapped => 0,
                };
                let wanted = SocketAddr::from((self.address, wanted));
                let port =
                    LoopbackPort::reserve(wanted).map_err(|source| LabError::Listen { address: wanted, source })?;
                Ok(place.insert(port))
            }
        }
    }
}

impl Live {
    fn serving(&self) -> Arc<Serving> {
        Arc::clone(&self.serving.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
