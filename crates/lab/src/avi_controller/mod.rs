//! An Avi controller that really listens: its REST API over HTTPS with sessions, CSRF tokens, tenants, roles and
//! optimistic locking, and virtual services that terminate TLS and answer as their policies say.
//!
//! Start it with [`AviLab::start`], configure it with [`AviLab::create`] or over its API, and connect to a VIP at
//! [`AviLab::data_plane_address`]. Every socket is on loopback; everything ends when the [`AviLab`] is dropped.
//!
//! Limits. The API: no `/api/macro`, no inventory, no GSLB replication, PEM only, no label RBAC, no rate limits, and
//! unknown fields are kept where a real controller drops them. The data plane: HTTP/1.1; rules match by path, host,
//! method, port and protocol, and a rule with any other match never matches; rate limits, header and URL rewriting and
//! DataScripts have no effect; pools use the first server on loopback that takes the connection; of a range of ports
//! those listen that somebody asked for.

mod access;
mod api;
mod certificate;
mod certificate_facts;
mod change;
mod controller;
mod controller_clock;
mod csr;
mod data_plane;
mod defaults;
mod error;
mod events;
mod faults;
mod kind;
mod options;
mod patch;
mod query;
mod references;
mod renewal;
mod request_record;
mod schema;
mod script;
mod sessions;
mod store;
mod validation;
mod view;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::runtime::Handle;

use self::{
    controller::Controller,
    error::ApiError,
    kind::{ADMIN, Kind, TENANT, VIRTUAL_SERVICE},
    schema::Version,
    store::Stored,
};
use crate::{json, loopback_port::LoopbackPort, pki::Pki};

pub use self::{
    data_plane::{DataPlaneRequest, HeldCertificates, LoggedAs},
    error::LabError,
    events::Event,
    faults::{Effect, Fault, Moment, RetryAfter},
    options::{AbsentElement, AviOptions, Behaviour, Ports, RedirectOrder},
    request_record::RequestRecord,
};

/// The running controller. Dropping it ends every task and closes every socket.
pub struct AviLab {
    address: SocketAddr,
    controller: Arc<Controller>,
    trusted_roots: String,
    /// Accepts API connections until it is dropped.
    _api: LoopbackPort,
}

impl AviLab {
    /// Listens on a free port of 127.0.0.1, in the current tokio runtime.
    ///
    /// # Errors
    /// [`LabError::Listen`], or [`LabError::Certificate`]; [`LabError::NotValid`] for a version that is none.
    pub async fn start(options: AviOptions) -> Result<Self, LabError> {
        let version = |text: &str| {
            Version::parse(text).ok_or_else(|| LabError::NotValid {
                kind: "version".into(),
                object: text.to_owned(),
                problem: "three numbers with dots are expected".into(),
            })
        };
        let versions = (version(&options.oldest_version)?, version(&options.version)?);
        let pki = Pki::new().map_err(|error| LabError::Certificate(error.to_string()))?;
        let acceptor = api::acceptor(&pki)?;
        let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listen_error = |source| LabError::Listen { address: wanted, source };
        let mut api = LoopbackPort::reserve(wanted).map_err(listen_error)?;
        let address = api.address();
        let controller = Arc::new(Controller::new(options, address.to_string(), versions, Handle::current()));
        let served = Arc::clone(&controller);
        api.open(move |stream, _| api::serve(Arc::clone(&served), acceptor.clone(), stream)).map_err(listen_error)?;
        Ok(Self { address, controller, trusted_roots: pki.root_pem().to_owned(), _api: api })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// `127.0.0.1:PORT`, as the SDKs and `DOCKER_GATEWAY` want it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root that the controller's certificate hangs from, PEM.
    pub fn trusted_roots_pem(&self) -> &str {
        &self.trusted_roots
    }

    /// Makes an object as a POST by `admin` would, in a tenant by name, and gives its uuid.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`] for a type or tenant that there is not; [`LabError::NotValid`] with the text that an
    /// API client would get.
    pub fn create(&self, tenant: &str, kind: &str, object: Value) -> Result<String, LabError> {
        let known = known_kind(kind)?;
        let name = object["name"].as_str().or(object["username"].as_str()).unwrap_or_default().to_owned();
        let mut state = self.controller.state();
        let owner = state.store.of_kind(TENANT).find(|owner| owner.name() == tenant);
        let owner = owner.map(|owner| owner.uuid.clone()).ok_or_else(|| unknown(TENANT, tenant))?;
        let writer = change::Writer { user: ADMIN, tenant: &owner, version: self.controller.version };
        let uuid = change::create(&mut state, known, json::map(object), None, &writer, self.controller.clock.now())
            .map_err(|error| not_valid(kind, &name, error))?;
        self.controller.created(&mut state, &uuid);
        Ok(uuid)
    }

    /// An object by uuid or name, with its secrets masked and bare references.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`].
    pub fn object(&self, kind: &str, name_or_uuid: &str) -> Result<Value, LabError> {
        let state = self.controller.state();
        let stored = find(&state.store, kind, name_or_uuid)?;
        let view = view::View {
            base: "",
            store: &state.store,
            version: self.controller.version,
            names: false,
            keys: false,
            now: self.controller.clock.now(),
        };
        Ok(Value::Object(view.object(stored)))
    }

    /// All objects of a type, as [`AviLab::object`] shows them.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`] for a type that there is not.
    pub fn objects(&self, kind: &str) -> Result<Vec<Value>, LabError> {
        let known = known_kind(kind)?;
        let uuids: Vec<String> =
            self.controller.state().store.of_kind(known.path).map(|object| object.uuid.clone()).collect();
        uuids.iter().map(|uuid| self.object(kind, uuid)).collect()
    }

    /// Another writer changes an object now; the JSON is the stored one, secrets and all. The edit must not call the
    /// lab.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`]; [`LabError::NotValid`], and then nothing has changed.
    pub fn edit(
        &self,
        kind: &str,
        name_or_uuid: &str,
        edit: impl FnOnce(&mut Value) + Send + 'static,
    ) -> Result<(), LabError> {
        let mut state = self.controller.state();
        let uuid = find(&state.store, kind, name_or_uuid)?.uuid.clone();
        let edited = self.controller.edit(&mut state, &uuid, Box::new(edit));
        edited.map_err(|error| not_valid(kind, name_or_uuid, error))
    }

    /// An object as it is stored, with the keys and passwords that the API masks.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`].
    pub fn stored(&self, kind: &str, name_or_uuid: &str) -> Result<Value, LabError> {
        let state = self.controller.state();
        find(&state.store, kind, name_or_uuid).map(|stored| Value::Object(stored.fields.clone()))
    }

    /// Another writer changes the object with this uuid just before or after the next call of `operation` (`*`: any
    /// call), whatever that call is about. An edit that is not valid is dropped with a line in the log.
    pub fn edit_on_next(
        &self,
        operation: &str,
        moment: Moment,
        uuid: &str,
        edit: impl FnOnce(&mut Value) + Send + 'static,
    ) {
        self.controller.state().faults.add_edit(operation, moment, uuid, Box::new(edit));
    }

    /// Removes an object as a DELETE by `admin` would.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`]; [`LabError::NotValid`] while something refers to it.
    pub fn delete(&self, kind: &str, name_or_uuid: &str) -> Result<(), LabError> {
        let mut state = self.controller.state();
        let stored = find(&state.store, kind, name_or_uuid)?.clone();
        let writer = change::Writer { user: ADMIN, tenant: &stored.tenant, version: self.controller.version };
        change::delete(&mut state, &stored, &writer, self.controller.clock.now())
            .map_err(|error| not_valid(kind, name_or_uuid, error))?;
        self.controller.changed(&mut state);
        Ok(())
    }

    /// Adds a fault rule. Rules are tried in the order in which they were added; the first that hits wins.
    pub fn add_fault(&self, fault: Fault) {
        self.controller.state().faults.add(fault);
    }

    /// Removes all fault rules and waiting edits.
    pub fn clear_faults(&self) {
        self.controller.state().faults.clear();
    }

    /// How many fault rules and edits have not been used up.
    pub fn pending_faults(&self) -> usize {
        self.controller.state().faults.pending()
    }

    /// Changes how the controller behaves.
    pub fn set_behaviour(&self, change: impl FnOnce(&mut Behaviour)) {
        let mut state = self.controller.state();
        change(&mut state.behaviour);
        self.controller.data_plane.apply(&state.store, state.behaviour.redirect_order);
    }

    /// A token that a user can log in with instead of the password, good for so many hours; 0: for one login.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`].
    pub fn new_token(&self, username: &str, hours: u32) -> Result<String, LabError> {
        let mut state = self.controller.state();
        let user = access::user(&state.store, username).ok_or_else(|| unknown(kind::USER, username))?;
        let uuid = user.uuid.clone();
        Ok(state.sessions.new_token(&uuid, hours, self.controller.clock.now()))
    }

    /// Ends every session.
    pub fn end_sessions(&self) {
        self.controller.state().sessions.end_all();
    }

    /// Where the port of a VIP's address is served. The address is reserved from the first call on: until a virtual
    /// service listens there, connections are refused.
    ///
    /// # Errors
    /// [`LabError::Listen`] when the port cannot be bound.
    pub fn data_plane_address(&self, vip: IpAddr, port: u16) -> Result<SocketAddr, LabError> {
        self.controller.data_plane.address(vip, port)
    }

    /// From now on these virtual services go on serving the certificates that they serve now, whatever is configured.
    pub fn hold_certificates(&self, held: HeldCertificates) {
        self.controller.data_plane.hold(held);
    }

    /// Ends [`AviLab::hold_certificates`].
    pub fn release_certificates(&self) {
        self.controller.data_plane.release();
        self.controller.refresh_data_plane();
    }

    /// The controller's time.
    pub fn now(&self) -> Timestamp {
        self.controller.clock.now()
    }

    /// Puts the controller's clock forward and does what comes due by that: notices of expiry, and renewals by control
    /// scripts, for whose end this waits.
    pub async fn advance_clock(&self, by: SignedDuration) {
        self.controller.clock.advance(by);
        renewal::catch_up(&self.controller).await;
    }

    /// Every event so far, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.controller.state().events.clone()
    }

    /// Every API call so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.controller.state().log.clone()
    }

    /// The API calls after the first `seen` ones, oldest first: what is new where the log is long.
    pub fn requests_after(&self, seen: usize) -> Vec<RequestRecord> {
        self.controller.state().log.iter().skip(seen).cloned().collect()
    }

    /// How many API calls there were so far, refused ones too.
    pub fn request_count(&self) -> usize {
        self.controller.state().log.len()
    }

    /// How many calls of an operation there were so far, refused ones too.
    pub fn count(&self, operation: &str) -> usize {
        self.controller.state().log.iter().filter(|record| record.operation == operation).count()
    }

    /// The latest requests that virtual services answered, oldest first.
    pub fn data_plane_requests(&self) -> Vec<DataPlaneRequest> {
        self.controller.data_plane.requests()
    }

    /// The latest requests that the virtual service with this name answered.
    ///
    /// # Errors
    /// [`LabError::UnknownObject`].
    pub fn requests_to(&self, virtual_service: &str) -> Result<Vec<DataPlaneRequest>, LabError> {
        let uuid = find(&self.controller.state().store, VIRTUAL_SERVICE, virtual_service)?.uuid.clone();
        Ok(self.data_plane_requests().into_iter().filter(|request| request.virtual_service == uuid).collect())
    }
}

impl Drop for AviLab {
    fn drop(&mut self) {
        self.controller.stop();
    }
}

impl std::fmt::Debug for AviLab {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AviLab").field("address", &self.address).finish_non_exhaustive()
    }
}

fn known_kind(kind: &str) -> Result<&'static Kind, LabError> {
    Kind::of(kind).ok_or_else(|| unknown("object type", kind))
}

fn find<'a>(store: &'a store::Store, kind: &str, name_or_uuid: &str) -> Result<&'a Stored, LabError> {
    let known = known_kind(kind)?;
    let mut objects = store.of_kind(known.path);
    let found = objects.find(|object| object.uuid == name_or_uuid || object.name() == name_or_uuid);
    found.ok_or_else(|| unknown(kind, name_or_uuid))
}

fn unknown(kind: &str, object: &str) -> LabError {
    LabError::UnknownObject { kind: kind.to_owned(), object: object.to_owned() }
}

fn not_valid(kind: &str, object: &str, error: ApiError) -> LabError {
    LabError::NotValid { kind: kind.to_owned(), object: object.to_owned(), problem: error.text }
}
