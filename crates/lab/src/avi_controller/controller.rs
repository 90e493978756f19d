//! The controller's state, and the tasks that work on it.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::SignedDuration;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    certificate, change,
    controller_clock::ControllerClock,
    data_plane::DataPlane,
    defaults,
    error::ApiError,
    events::Event,
    faults::Effect,
    json::{map, number, object},
    kind::{CERTIFICATE, CONTROLLER_PROPERTIES, SYSTEM_CONFIGURATION},
    options::{AviOptions, Behaviour},
    renewal::{self, Schedule},
    request_record::RequestRecord,
    schema::Version,
    script,
    sessions::{Lifetime, Sessions},
    store::Store,
};
use crate::faults::{Edit, Faults};
use crate::tasks::Tasks;

pub(super) struct Controller {
    /// `127.0.0.1:PORT`.
    pub(super) authority: String,
    pub(super) clock: Arc<ControllerClock>,
    pub(super) data_plane: DataPlane,
    pub(super) python: PathBuf,
    pub(super) version: Version,
    pub(super) oldest_version: Version,
    state: Mutex<State>,
    tasks: Tasks,
}

pub(super) struct State {
    pub(super) behaviour: Behaviour,
    pub(super) events: Vec<Event>,
    pub(super) faults: Faults<Effect>,
    pub(super) log: Vec<RequestRecord>,
    /// By the uuid of the certificate.
    pub(super) schedules: HashMap<String, Schedule>,
    pub(super) sessions: Sessions,
    pub(super) store: Store,
}

impl Controller {
    pub(super) fn new(options: AviOptions, authority: String, versions: (Version, Version), runtime: Handle) -> Self {
        let clock = Arc::new(ControllerClock::default());
        let mut store = Store::default();
        defaults::seed(&mut store, &options.version, &options.admin_password, clock.now().as_microsecond());
        let (oldest_version, version) = versions;
        Self {
            authority,
            data_plane: DataPlane::new(options.ports, Arc::clone(&clock), runtime.clone()),
            clock,
            python: options.python,
            version,
            oldest_version,
            state: Mutex::new(State {
                behaviour: options.behaviour,
                events: Vec::new(),
                faults: Faults::default(),
                log: Vec::new(),
                schedules: HashMap::new(),
                sessions: Sessions::default(),
                store,
            }),
            tasks: Tasks::new(runtime),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // A test's panicking edit must not hide the test's own failure behind a poisoned lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs until it ends or the lab does.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// Ends scripts and the data plane.
    pub(super) fn stop(&self) {
        self.tasks.stop();
        self.data_plane.stop();
    }

    /// To be called after each change of the configuration.
    pub(super) fn changed(self: &Arc<Self>, state: &mut State) {
        renewal::schedule(state, self.clock.now());
        let delay = state.behaviour.data_plane_delay;
        if delay.is_zero() {
            return self.data_plane.apply(&state.store, state.behaviour.redirect_order);
        }
        let controller = Arc::clone(self);
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            controller.refresh_data_plane();
        });
    }

    /// To be called after the creation of an object: a certificate that is to be made by a script gets it made.
    pub(super) fn created(self: &Arc<Self>, state: &mut State, uuid: &str) {
        self.changed(state);
        let made = state.store.get(CERTIFICATE, uuid);
        if made.is_some_and(|made| certificate::wants_script(&made.fields, &state.store)) {
            let (controller, uuid) = (Arc::clone(self), uuid.to_owned());
            self.spawn(async move {
                // How it ended is an event.
                let _ = script::make_certificate(&controller, &uuid, script::Reason::FirstTime).await;
            });
        }
    }

    /// Makes the data plane do what is configured now.
    pub(super) fn refresh_data_plane(&self) {
        let state = self.state();
        self.data_plane.apply(&state.store, state.behaviour.redirect_order);
    }

    /// Another writer's change of an object's JSON, as a GET shows it but with bare references.
    pub(super) fn edit(self: &Arc<Self>, state: &mut State, uuid: &str, edit: Edit) -> Result<(), ApiError> {
        let stored = state.store.find(uuid).ok_or_else(|| ApiError::not_found(uuid))?.clone();
        let mut json = Value::Object(stored.fields.clone());
        edit(&mut json);
        let writer = change::Writer { user: "another writer", tenant: &stored.tenant, version: self.version };
        change::replace(state, &stored, map(json), &writer, self.clock.now())?;
        self.changed(state);
        Ok(())
    }
}

impl State {
    /// How long sessions live, as configured now.
    pub(super) fn session_lifetime(&self) -> Lifetime {
        let minutes = self.store.setting(CONTROLLER_PROPERTIES, "api_idle_timeout").and_then(Value::as_i64);
        let portal = self.store.of_kind(SYSTEM_CONFIGURATION).next();
        let hours = portal
            .and_then(|configuration| object(&configuration.fields, "portal_configuration"))
            .and_then(|portal| number(portal, "api_force_timeout"));
        Lifetime {
            idle: SignedDuration::from_mins(minutes.unwrap_or(15).clamp(0, 1440)),
            forced: SignedDuration::from_hours(i64::try_from(hours.unwrap_or(24)).unwrap_or(24).clamp(1, 24 * 365)),
        }
    }

    /// Whether `Authorization: Basic` is taken.
    pub(super) fn takes_basic_authentication(&self) -> bool {
        let portal = self.store.setting(SYSTEM_CONFIGURATION, "portal_configuration");
        portal.is_some_and(|portal| portal["allow_basic_authentication"] == Value::Bool(true))
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.events.push(event);
    }
}
