//! OCI DNS: zones that are there, and record sets that are read, patched, replaced and deleted by the API of `/20180115`,
//! with the same strict signatures as the load balancer's; and a name server that answers from them at once, without DNSSEC.
//!
//! Start it with [`OciDnsLab::start`], register a client's key, add zones. Everything ends when it is dropped.

mod answer;
mod api;
mod name_server;
mod rdata;
mod record_set;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinSet;

use self::name_server::Sockets;
use self::record_set::{Place, RecordSet};
use crate::faults::Faults;
use crate::oci_load_balancer::signature::{PublicKeys, RegisteredKey};
use crate::oci_load_balancer::{ApiKey, Effect, Fault, LabError, RequestRecord};

/// The running service.
pub struct OciDnsLab {
    address: SocketAddr,
    name_server: SocketAddr,
    service: Arc<Service>,
    /// Aborted when it is dropped.
    _tasks: JoinSet<()>,
}

struct Service {
    authorities: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    keys: PublicKeys,
    zones: BTreeMap<String, Zone>,
    faults: Faults<Effect>,
    /// What somebody else writes right before the next PATCH comes: the zone, and the set.
    sooner: Option<(String, Place, RecordSet)>,
    /// Zones and types whose sets may be read but not changed.
    denied: HashSet<(String, String)>,
    log: Vec<RequestRecord>,
}

struct Zone {
    compartment_id: String,
    servers: Vec<String>,
    record_sets: BTreeMap<Place, RecordSet>,
    version: u64,
}

impl OciDnsLab {
    /// Listens on free ports of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// [`LabError::Listen`].
    pub async fn start() -> Result<Self, LabError> {
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen_error = |source| LabError::Listen { address: wanted, source };
        let listener = TcpListener::bind(wanted).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let sockets = Sockets::bind().await.map_err(listen_error)?;
        let name_server = sockets.address().map_err(listen_error)?;
        let port = address.port();
        let authorities = vec![format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let keys = HashMap::new();
        let service = Arc::new(Service { authorities, state: Mutex::new(State { keys, ..State::default() }) });
        let mut tasks = JoinSet::new();
        tasks.spawn(api::serve(Arc::clone(&service), listener));
        tasks.spawn(sockets.serve(Arc::clone(&service)));
        Ok(Self { address, name_server, service, _tasks: tasks })
    }

    /// `http://127.0.0.1:PORT`, without the base path.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the name server answers, by UDP and TCP.
    pub fn name_server(&self) -> SocketAddr {
        self.name_server
    }

    /// Makes a key and registers it.
    ///
    /// # Errors
    /// As [`ApiKey::generate`].
    pub fn new_api_key(&self) -> Result<ApiKey, LabError> {
        let key = ApiKey::generate()?;
        self.register_key(key.key_id(), key.public_key_der());
        Ok(key)
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
        self.set(zone, domain, "TXT", ttl, &[&format!("\"{value}\"")]);
    }

    /// Somebody writes a record set into a zone that is there, in place of the one that is there; without values it goes.
    /// A value that its type does not allow is left out.
    pub fn set(&self, zone: &str, domain: &str, kind: &str, ttl: u32, values: &[&str]) {
        let mut state = self.service.state();
        let Some(zone) = state.zones.get_mut(zone) else { return };
        zone.write((domain.to_owned(), kind.to_owned()), RecordSet::written(kind, ttl, values));
    }

    /// As [`OciDnsLab::set`], at the moment when the next PATCH has come and is not looked at yet.
    pub fn set_before_next_patch(&self, zone: &str, domain: &str, kind: &str, ttl: u32, values: &[&str]) {
        let place = (domain.to_owned(), kind.to_owned());
        self.service.state().sooner = Some((zone.to_owned(), place, RecordSet::written(kind, ttl, values)));
    }

    /// From now on sets of this type in this zone can be read and not changed, for want of a policy.
    pub fn deny_changes(&self, zone: &str, kind: &str) {
        self.service.state().denied.insert((zone.to_owned(), kind.to_owned()));
    }

    /// The values of a record set, as the API shows them.
    pub fn values(&self, domain: &str, kind: &str) -> Vec<String> {
        let state = self.service.state();
        let place = (domain.to_owned(), kind.to_owned());
        let sets = state.zones.values().filter_map(|zone| zone.record_sets.get(&place));
        sets.flat_map(|set| set.values.iter().cloned()).collect()
    }

    /// Every record set of a zone, by `name type`: its time to live, and its values as the API shows them.
    pub fn record_sets(&self, zone: &str) -> BTreeMap<String, (u32, Vec<String>)> {
        let state = self.service.state();
        let sets = state.zones.get(zone).into_iter().flat_map(|zone| &zone.record_sets);
        sets.map(|((domain, kind), set)| (format!("{domain} {kind}"), (set.ttl, set.values.clone()))).collect()
    }

    /// The time to live of a record set.
    pub fn ttl(&self, domain: &str, kind: &str) -> Option<u32> {
        let state = self.service.state();
        let place = (domain.to_owned(), kind.to_owned());
        state.zones.values().find_map(|zone| zone.record_sets.get(&place)).map(|set| set.ttl)
    }

    /// Adds a fault rule for calls by their names (`GetZone`, `GetRRSet`, `PatchRRSet` …; `*` is every call). Rules are tried
    /// in the order in which they were added; the first that hits wins. Requests whose signature is wrong count for none. Of
    /// work requests, which OCI DNS has none of, no effect is known here.
    pub fn add_fault(&self, fault: Fault) {
        self.service.state().faults.add(fault);
    }

    /// Removes all fault rules.
    pub fn clear_faults(&self) {
        self.service.state().faults.clear();
    }

    /// How many fault rules have not been used up.
    pub fn pending_faults(&self) -> usize {
        self.service.state().faults.pending()
    }

    /// Every API call so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.service.state().log.clone()
    }

    /// The API calls after the first `seen` ones, oldest first: what is new where the log is long.
    pub fn requests_after(&self, seen: usize) -> Vec<RequestRecord> {
        self.service.state().log.iter().skip(seen).cloned().collect()
    }

    /// How many API calls there were so far, refused ones too.
    pub fn request_count(&self) -> usize {
        self.service.state().log.len()
    }
}

impl Zone {
    /// Puts a set in its place, as the next version of the zone, and gives it as it then is; an empty one is taken away.
    fn write(&mut self, place: Place, mut set: RecordSet) -> RecordSet {
        self.version += 1;
        set.version = self.version;
        if set.values.is_empty() {
            self.record_sets.remove(&place);
        } else {
            self.record_sets.insert(place, set.clone());
        }
        set
    }
}

impl Service {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
