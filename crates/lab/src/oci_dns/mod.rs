//! OCI DNS as far as dns-01 needs it: zones that are there, and record sets that are read, patched, replaced and deleted by
//! the API of `/20180115`, with the same strict signatures as the load balancer's. It answers no DNS questions.
//!
//! Start it with [`OciDnsLab::start`], register a client's key, add zones. Everything ends when it is dropped.

mod api;
mod record_set;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::record_set::RecordSet;
use crate::oci_load_balancer::LabError;
use crate::oci_load_balancer::signature::{PublicKeys, RegisteredKey};

/// The running service.
pub struct OciDnsLab {
    address: SocketAddr,
    service: Arc<Service>,
    task: JoinHandle<()>,
}

struct Service {
    authorities: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: PublicKeys,
    zones: BTreeMap<String, Zone>,
    answers: VecDeque<(u16, String)>,
    requests: Vec<String>,
}

struct Zone {
    compartment_id: String,
    servers: Vec<String>,
    /// By domain and type.
    record_sets: BTreeMap<(String, String), RecordSet>,
    version: u64,
}

impl OciDnsLab {
    /// Listens on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// [`LabError::Listen`].
    pub async fn start() -> Result<Self, LabError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen_error = |source| LabError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let port = address.port();
        let authorities = vec![format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let keys = HashMap::new();
        let service = Arc::new(Service { authorities, state: Mutex::new(State { keys, ..State::default() }) });
        let task = tokio::spawn(api::serve(Arc::clone(&service), listener));
        Ok(Self { address, service, task })
    }

    /// `http://127.0.0.1:PORT`, without the base path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Registers the public key (DER SubjectPublicKeyInfo) for a `keyId`.
    pub fn register_key(&self, key_id: impl Into<String>, public_key_der: &[u8]) {
        let key = RegisteredKey { public_key: public_key_der.to_vec(), expires_at: None, owner: None };
        self.service.state().keys.insert(key_id.into(), key);
    }

    /// Adds a public zone with its name servers.
    pub fn add_zone(&self, name: &str, compartment_id: &str, servers: &[&str]) {
        let zone = Zone {
            compartment_id: compartment_id.to_owned(),
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
            record_sets: BTreeMap::new(),
            version: 1,
        };
        self.service.state().zones.insert(name.to_owned(), zone);
    }

    /// Somebody writes a TXT record into a zone that is there, in place of those of that name.
    pub fn set_txt(&self, zone: &str, domain: &str, ttl: u32, value: &str) {
        let set = RecordSet { ttl, values: vec![format!("\"{value}\"")] };
        if let Some(zone) = self.service.state().zones.get_mut(zone) {
            zone.record_sets.insert((domain.to_owned(), "TXT".to_owned()), set);
        }
    }

    /// The values of a record set, as the API shows them.
    pub fn values(&self, domain: &str, kind: &str) -> Vec<String> {
        let state = self.service.state();
        let place = (domain.to_owned(), kind.to_owned());
        let sets = state.zones.values().filter_map(|zone| zone.record_sets.get(&place));
        sets.flat_map(|set| set.values.iter().cloned()).collect()
    }

    /// The time to live of a record set.
    pub fn ttl(&self, domain: &str, kind: &str) -> Option<u32> {
        let state = self.service.state();
        let place = (domain.to_owned(), kind.to_owned());
        state.zones.values().find_map(|zone| zone.record_sets.get(&place)).map(|set| set.ttl)
    }

    /// The next calls are answered with these statuses and OCI codes, in this order, and have no effect.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = (u16, &'static str)>) {
        let answers = answers.into_iter().map(|(status, code)| (status, code.to_owned()));
        self.service.state().answers.extend(answers);
    }

    /// Every request so far that was signed well, as `METHOD path?query`.
    pub fn requests(&self) -> Vec<String> {
        self.service.state().requests.clone()
    }
}

impl Drop for OciDnsLab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
