//! The state of the service, and the ways in which it changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    certificates_service::{CertificatesService, Settlement},
    change::{Change, Phase},
    clock,
    configuration::Configuration,
    data_plane::DataPlane,
    error::ApiError,
    faults::{Edit, Effect, Faults},
    identity::{Authority, Identity, Tokens},
    options::{Behaviour, Nulls},
    request_log::RequestRecord,
    signature::PublicKeys,
    validation,
    work_requests::{WorkRequest, WorkRequestError, WorkRequestState},
};
use crate::tasks::Tasks;

/// Shared by the API, the work requests and the owner's handle.
pub(super) struct Service {
    /// What a `Host` header may say.
    pub(super) authorities: Vec<String>,
    pub(super) data_plane: DataPlane,
    state: Mutex<State>,
    tasks: Tasks,
}

/// Everything that calls read and change, behind one lock: a call sees the service at one instant.
pub(super) struct State {
    /// Signs the certificates of instances; there is none before the first.
    pub(super) authority: Option<Authority>,
    pub(super) behaviour: Behaviour,
    pub(super) certificates: CertificatesService,
    pub(super) faults: Faults,
    pub(super) instances: Vec<Identity>,
    pub(super) keys: PublicKeys,
    pub(super) load_balancers: Vec<LoadBalancer>,
    pub(super) log: Vec<RequestRecord>,
    pub(super) retry_tokens: HashMap<(String, String), RetryToken>,
    pub(super) tokens: Tokens,
    pub(super) work_requests: Vec<WorkRequest>,
    /// Those that were forgotten, too.
    pub(super) work_requests_made: usize,
}

pub(super) struct LoadBalancer {
    pub(super) id: String,
    pub(super) configuration: Configuration,
    version: u64,
}

/// What a retry token was first used for.
pub(super) struct RetryToken {
    /// A digest of method, path and body.
    pub(super) request: Vec<u8>,
    pub(super) used_at: Timestamp,
    /// The OCID of the work request or of the certificate.
    pub(super) made: String,
}

/// How a work request will end.
pub(super) enum Ending {
    Fails(Vec<WorkRequestError>),
    Normal,
    Stuck,
}

impl Service {
    pub(super) fn new(port: u16, behaviour: Behaviour, data_plane: DataPlane, runtime: Handle) -> Self {
        Self {
            authorities: vec![format!("127.0.0.1:{port}"), format!("localhost:{port}")],
            data_plane,
            state: Mutex::new(State {
                authority: None,
                behaviour,
                certificates: CertificatesService::new(port),
                faults: Faults::default(),
                instances: Vec::new(),
                keys: HashMap::new(),
                load_balancers: Vec::new(),
                log: Vec::new(),
                retry_tokens: HashMap::new(),
                tokens: Tokens::default(),
                work_requests: Vec::new(),
                work_requests_made: 0,
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

    /// Ends the API, open work requests and the data plane.
    pub(super) fn stop(&self) {
        self.tasks.stop();
        self.data_plane.stop();
    }

    /// Tries the change, and opens a work request for it.
    pub(super) fn accept(
        self: &Arc<Self>,
        state: &mut State,
        load_balancer: &str,
        operation: &str,
        change: Change,
        delay: Option<Duration>,
        ending: Ending,
    ) -> Result<String, ApiError> {
        let configuration = &state.load_balancer(load_balancer)?.configuration;
        let mut tried = configuration.clone();
        change.apply(&mut tried, &state.behaviour, Phase::Acceptance)?;
        state.certificates.check_references(&tried, &state.behaviour.certificates)?;
        let compartment_id = configuration.attribute("compartmentId").to_owned();
        state.work_requests_made += 1;
        let id = format!(
            "ocid1.loadbalancerworkrequest.oc1.iad.aaaaaaaalab{:08}{}",
            state.work_requests_made,
            &load_balancer[load_balancer.len().saturating_sub(12)..]
        );
        state.work_requests.push(WorkRequest {
            id: id.clone(),
            load_balancer_id: load_balancer.to_owned(),
            operation: operation.to_owned(),
            state: WorkRequestState::Accepted,
            message: "Accepted".into(),
            errors: Vec::new(),
            compartment_id,
            accepted_at: state.now(),
            finished_at: None,
        });
        let half = delay.unwrap_or(state.behaviour.work_request_delay) / 2;
        if half.is_zero() && !matches!(ending, Ending::Stuck) {
            self.finish(state, &id, &change, ending);
            return Ok(id);
        }
        self.spawn(carry_out(Arc::clone(self), id.clone(), change, half, ending));
        Ok(id)
    }

    /// Another writer's change: at once, without a work request.
    pub(super) fn edit(self: &Arc<Self>, state: &mut State, load_balancer: &str, edit: Edit) -> Result<(), ApiError> {
        let current = &state.load_balancer(load_balancer)?.configuration;
        let mut json = current.to_json(Nulls::Omitted);
        edit(&mut json);
        let configuration = Configuration::from_json(json, current)?;
        validation::check(&configuration)?;
        state.certificates.check_references(&configuration, &state.behaviour.certificates)?;
        self.replace_configuration(state, load_balancer, configuration);
        Ok(())
    }

    fn finish(self: &Arc<Self>, state: &mut State, id: &str, change: &Change, ending: Ending) {
        let Some(position) = state.work_requests.iter().position(|request| request.id == id) else {
            return;
        };
        let load_balancer = state.work_requests[position].load_balancer_id.clone();
        let errors = match ending {
            Ending::Fails(errors) => errors,
            Ending::Normal | Ending::Stuck => match state.applied(&load_balancer, change) {
                Ok(configuration) => {
                    self.replace_configuration(state, &load_balancer, configuration);
                    Vec::new()
                }
                Err(error) => vec![WorkRequestError::bad_input(error.message)],
            },
        };
        let now = state.now();
        state.work_requests[position].finish(errors, now);
    }

    fn replace_configuration(self: &Arc<Self>, state: &mut State, id: &str, mut configuration: Configuration) {
        let delay = state.behaviour.data_plane_delay;
        let now = state.now();
        state.certificates.associate(id, &mut configuration, now);
        let Ok(load_balancer) = state.load_balancer_mut(id) else {
            return;
        };
        load_balancer.version += 1;
        load_balancer.configuration = configuration;
        if delay.is_zero() {
            self.data_plane.apply(id, &load_balancer.configuration);
            return;
        }
        let (service, id) = (Arc::clone(self), id.to_owned());
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            service.refresh_data_plane(&id);
        });
    }

    /// Carries a change of the Certificates service out when its time has come, as a fault rule may have it: at once, where
    /// it takes no time.
    pub(super) fn settle_later(
        self: &Arc<Self>,
        state: &mut State,
        certificate: &str,
        settlement: Settlement,
        effect: Option<Effect>,
    ) {
        let (mut settlement, mut delay) = (settlement, state.behaviour.certificates.change_delay);
        match effect {
            Some(Effect::WorkRequestStuck) => return,
            Some(Effect::WorkRequestTakes(longer)) => delay = longer,
            Some(Effect::WorkRequestFails(errors)) => {
                let reason = errors.into_iter().next().map_or_else(String::new, |error| error.message);
                settlement = settlement.failed(reason);
            }
            _ => {}
        }
        if delay.is_zero() {
            return self.settle(state, certificate, settlement);
        }
        let (service, certificate) = (Arc::clone(self), certificate.to_owned());
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            service.settle(&mut service.state(), &certificate, settlement);
        });
    }

    fn settle(self: &Arc<Self>, state: &mut State, certificate: &str, settlement: Settlement) {
        if !state.certificates.settle(certificate, settlement) {
            return;
        }
        let delay = state.behaviour.certificates.pick_up_delay;
        if delay.is_zero() {
            return self.pick_up(state, certificate);
        }
        let (service, certificate) = (Arc::clone(self), certificate.to_owned());
        self.spawn(async move {
            tokio::time::sleep(delay).await;
            service.pick_up(&mut service.state(), &certificate);
        });
    }

    /// Every load balancer that refers to the certificate fetches what is current now.
    pub(super) fn pick_up(&self, state: &mut State, certificate: &str) {
        let Some(bundle) = state.certificates.current_bundle(certificate) else {
            return;
        };
        for load_balancer in &mut state.load_balancers {
            if let Some(fetched) = load_balancer.configuration.fetched.get_mut(certificate) {
                *fetched = bundle.clone();
                self.data_plane.apply(&load_balancer.id, &load_balancer.configuration);
            }
        }
    }

    /// Makes the data plane do what is configured now.
    pub(super) fn refresh_data_plane(&self, id: &str) {
        let state = self.state();
        if let Ok(load_balancer) = state.load_balancer(id) {
            self.data_plane.apply(id, &load_balancer.configuration);
        }
    }
}

impl State {
    /// The service's own time.
    pub(super) fn now(&self) -> Timestamp {
        clock::now() + SignedDuration::from_secs(self.behaviour.clock_offset_seconds)
    }

    pub(super) fn load_balancer(&self, id: &str) -> Result<&LoadBalancer, ApiError> {
        self.load_balancers
            .iter()
            .find(|load_balancer| load_balancer.id == id)
            .ok_or_else(|| ApiError::not_found(format_args!("load balancer {id}")))
    }

    fn load_balancer_mut(&mut self, id: &str) -> Result<&mut LoadBalancer, ApiError> {
        self.load_balancers
            .iter_mut()
            .find(|load_balancer| load_balancer.id == id)
            .ok_or_else(|| ApiError::not_found(format_args!("load balancer {id}")))
    }

    /// Whether a policy lets the owner of this key do anything: users, and instances in a dynamic group.
    pub(super) fn is_allowed(&self, key_id: &str) -> bool {
        let owner = self.keys.get(key_id).and_then(|key| key.owner.as_deref());
        let instance = owner.and_then(|owner| self.instance(owner));
        instance.is_none_or(|instance| instance.in_dynamic_group)
    }

    pub(super) fn has_open_work_request(&self, load_balancer: &str) -> bool {
        self.work_requests.iter().any(|request| request.is_open() && request.load_balancer_id == load_balancer)
    }

    fn applied(&self, load_balancer: &str, change: &Change) -> Result<Configuration, ApiError> {
        let mut configuration = self.load_balancer(load_balancer)?.configuration.clone();
        change.apply(&mut configuration, &self.behaviour, Phase::Completion)?;
        self.certificates.check_references(&configuration, &self.behaviour.certificates)?;
        Ok(configuration)
    }
}

impl LoadBalancer {
    pub(super) fn new(id: String, configuration: Configuration) -> Self {
        Self { id, configuration, version: 1 }
    }

    /// One for the load balancer and everything under it; another one after each change.
    pub(super) fn etag(&self) -> String {
        let tail = &self.id[self.id.len().saturating_sub(6)..];
        format!("{tail}-{:08x}", self.version)
    }

    pub(super) fn to_json(&self, nulls: Nulls) -> Value {
        self.configuration.to_json(nulls)
    }
}

async fn carry_out(service: Arc<Service>, id: String, change: Change, half: Duration, ending: Ending) {
    tokio::time::sleep(half).await;
    if let Some(request) = service.state().work_requests.iter_mut().find(|request| request.id == id) {
        request.state = WorkRequestState::InProgress;
        request.message = "In progress".into();
    }
    if matches!(ending, Ending::Stuck) {
        return;
    }
    tokio::time::sleep(half).await;
    service.finish(&mut service.state(), &id, &change, ending);
}
