//! What cases are played on: a CA, the other services that a run calls, and a config with one certificate, `www`.

use certferry_lab::acme_ca::{AcmeCa, Endpoint};

use super::effect::Effect;
use super::program::Program;
use crate::killed::watch::Look;

/// A run that is disturbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    /// The first one.
    First,
    /// One that renews for the second time or later, so that whatever a renewal removes is removed.
    Renewal,
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Service {
    Acme,
    Dns,
    /// At OCI with the Certificates service beside it.
    LoadBalancer,
}

/// What a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To open or end a session, or to find out what is allowed.
    Access,
    Change,
    Read,
    /// Of what was read before in the same run.
    ReadAgain,
}

/// A call of an undisturbed run.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) service: Service,
    /// As the service calls it.
    pub(crate) name: String,
    /// Its number among the run's calls of that name, from 0.
    pub(crate) nth: usize,
    /// Its number among all of the run's calls to the service, from 0; for a CA in the order in which these are listed.
    pub(crate) number: usize,
    pub(crate) purpose: Purpose,
}

/// A CA, other services and a config.
pub(crate) trait Ground: Send + Sync + Sized + 'static {
    fn program(&self) -> &Program;

    fn ca(&self) -> &AcmeCa;

    /// As before certferry came, with an empty store.
    fn clear(&self);

    /// Where the certificate is served.
    fn looks(&self) -> Vec<Look>;

    /// That the services hold what they have to after so many versions and nothing else of certferry's, and that nothing else
    /// has changed there, field by field.
    fn assert_nothing_else_changed(&self, versions: usize, context: &str) -> impl Future<Output = ()> + Send;

    /// What a run calls besides the CA.
    fn called(&self) -> Vec<(Service, &dyn Called)>;
}

/// A service that keeps a log, and to whose calls something can happen.
pub(crate) trait Called: Send + Sync {
    /// How often it was called.
    fn request_count(&self) -> usize;

    /// The calls after so many.
    fn requests_after(&self, seen: usize) -> Vec<Request>;

    /// Something happens to a call.
    fn add_fault(&self, call: &Call, fault: Fault);

    /// What has not happened yet does not happen any more.
    fn clear_faults(&self);

    /// Whether what was to happen to a call has happened.
    fn is_struck(&self) -> bool;
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This, once.
    Once(Effect),
    /// This, and to all of the service's calls after it.
    FromThenOn(Effect),
    /// It has its effect, and is not answered.
    Silence,
}

/// A call as a service's log has it.
pub(crate) struct Request {
    pub(crate) name: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) purpose: Purpose,
}

/// How often each service was called.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    /// Of each service in [`Ground::called`].
    requests: Vec<usize>,
    endpoints: Vec<usize>,
    hanging: usize,
}

impl Mark {
    pub(crate) fn now(ground: &impl Ground) -> Self {
        let endpoints = ENDPOINTS.iter().map(|endpoint| ground.ca().count(*endpoint)).collect();
        let requests = ground.called().into_iter().map(|(_, called)| called.request_count()).collect();
        Self { requests, endpoints, hanging: ground.ca().hanging() }
    }

    /// The calls since then, the CA's in the order in which a run makes them for the first time. How often an authorization
    /// is looked at until the CA has decided is a matter of time: what comes after the first such look is left out.
    pub(crate) fn calls(&self, ground: &impl Ground) -> Vec<Call> {
        let mut calls = Vec::new();
        for (endpoint, before) in ENDPOINTS.into_iter().zip(&self.endpoints) {
            let count = ground.ca().count(endpoint) - before;
            let tried = if endpoint == Endpoint::Authorization { count.min(2) } else { count };
            for nth in 0..tried {
                let (number, purpose) = (calls.len(), purpose_of(endpoint, nth));
                calls.push(Call { service: Service::Acme, name: endpoint.as_str().to_owned(), nth, number, purpose });
            }
        }
        for ((service, called), seen) in ground.called().into_iter().zip(&self.requests) {
            calls.extend(numbered(service, &called.requests_after(*seen)));
        }
        calls
    }

    /// Whether since then a call that hangs has come, and had its effect if it is to have one.
    pub(crate) fn is_hanging(&self, ground: &impl Ground, call: &Call) -> bool {
        match call.service {
            Service::Acme => ground.ca().hanging() > self.hanging,
            service => called(ground, service).is_struck(),
        }
    }
}

/// As it is before the run that is disturbed, but for that a renewal is not due.
pub(crate) async fn ready(ground: &impl Ground, run: Run) {
    if run == Run::Renewal {
        // From the second renewal on, all are alike.
        ground.program().run().await;
        ground.program().make_due(ground.ca()).await;
        ground.program().run().await;
    }
}

/// Something happens to a call.
pub(crate) fn arm(ground: &impl Ground, call: &Call, fault: Fault) {
    if call.service != Service::Acme {
        return called(ground, call.service).add_fault(call, fault);
    }
    let endpoint = ENDPOINTS.into_iter().find(|endpoint| endpoint.as_str() == call.name).unwrap();
    let rule = |answer| certferry_lab::acme_ca::Fault { endpoint, skip: call.nth, answer };
    match fault {
        Fault::Once(effect) => ground.ca().add_fault(rule(effect.of_acme())),
        Fault::FromThenOn(effect) => ground.ca().add_outage(rule(effect.of_acme())),
        Fault::Silence => ground.ca().add_fault(rule(certferry_lab::acme_ca::Answer::HangAfter)),
    }
}

/// All is well again.
pub(crate) fn disarm(ground: &impl Ground) {
    ground.ca().clear_faults();
    ground.called().into_iter().for_each(|(_, called)| called.clear_faults());
}

fn called(ground: &impl Ground, service: Service) -> &dyn Called {
    let called = ground.called().into_iter().find(|(one, _)| *one == service);
    called.unwrap_or_else(|| panic!("no {service:?} is called")).1
}

/// The calls that a service's log has of one run.
fn numbered(service: Service, requests: &[Request]) -> Vec<Call> {
    let call = |(number, request): (usize, &Request)| {
        let earlier = &requests[..number];
        let again = request.purpose == Purpose::Read && earlier.iter().any(|earlier| earlier.target == request.target);
        Call {
            service,
            name: request.name.clone(),
            nth: earlier.iter().filter(|earlier| earlier.name == request.name).count(),
            number,
            purpose: if again { Purpose::ReadAgain } else { request.purpose },
        }
    };
    requests.iter().enumerate().map(call).collect()
}

fn purpose_of(endpoint: Endpoint, nth: usize) -> Purpose {
    match endpoint {
        Endpoint::Challenge | Endpoint::Finalize | Endpoint::NewAccount | Endpoint::NewOrder => Purpose::Change,
        // The first two looks at an authorization are before and after its challenge was answered.
        Endpoint::Order if nth > 1 => Purpose::ReadAgain,
        _ => Purpose::Read,
    }
}

/// In the order in which a run calls them for the first time.
const ENDPOINTS: [Endpoint; 11] = [
    Endpoint::Directory,
    Endpoint::RenewalInfo,
    Endpoint::NewNonce,
    Endpoint::NewAccount,
    Endpoint::Account,
    Endpoint::NewOrder,
    Endpoint::Authorization,
    Endpoint::Challenge,
    Endpoint::Order,
    Endpoint::Finalize,
    Endpoint::Certificate,
];
