//! The HTTP side of the API: what every call goes through, whatever it asks for.

mod certificates_service;
mod mutations;
mod reads;
mod reply;
mod routes;

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::DATE, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::{net::TcpListener, task::JoinSet};

pub(crate) use self::reply::Reply;
use self::routes::{Action, Route};
use super::{
    error::ApiError,
    faults::{Effect, Moment},
    identity::federation,
    request_log::{self, RequestRecord},
    service::{Service, State},
    signature,
};

/// Accepts and answers until the task is aborted; its connections end with it.
pub(super) async fn serve(service: Arc<Service>, listener: TcpListener) {
    accept(listener, move |request| handle(Arc::clone(&service), request)).await;
}

/// The same for any handler.
pub(crate) async fn accept<H, F, E>(listener: TcpListener, handler: H)
where
    H: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Full<Bytes>>, E>> + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let handler = service_fn(handler.clone());
                connections.spawn(async move {
                    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await {
                        tracing::debug!(%error, "an API connection ended early");
                    }
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A request, read in full.
pub(super) struct Call {
    pub(super) parts: Parts,
    pub(super) body: Bytes,
    /// Who signed it.
    pub(super) key_id: String,
}

impl Call {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        text(&self.parts.headers, name)
    }
}

/// The answer to a call, or none.
pub(crate) enum Verdict {
    Close,
    Hang,
    Reply(Reply),
}

/// Makes hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(crate) struct Closed;

async fn handle(service: Arc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Closed)?;
    let call = Call { parts, body: body.to_bytes(), key_id: String::new() };
    carry_out(answer(&service, call)).await
}

/// Answers, or does not.
pub(crate) async fn carry_out(verdict: Verdict) -> Result<Response<Full<Bytes>>, Closed> {
    match verdict {
        Verdict::Close => Err(Closed),
        Verdict::Hang => match std::future::pending::<Infallible>().await {},
        Verdict::Reply(reply) => Ok(reply.into_response()),
    }
}

/// Under one lock, so that checks and effect are one step.
fn answer(service: &Arc<Service>, mut call: Call) -> Verdict {
    let mut state = service.state();
    let target = call.parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let route = Route::parse(&call.parts.method, call.parts.uri.path());
    let operation = match &route {
        Ok(route) => route.operation.to_owned(),
        Err(_) => format!("{} {target}", call.parts.method),
    };
    let mut record = RequestRecord::new(operation, &call.parts.method, target);
    record.retry_token = call.header("opc-retry-token").map(str::to_owned);
    record.if_match = call.header("if-match").map(str::to_owned);
    record.request_id = call.header("opc-request-id").map(str::to_owned);
    record.body = request_log::without_secrets(&call.body);
    let federates = route.as_ref().is_ok_and(|route| route.action == Action::FederateX509);
    let authenticated = match federates {
        true => Ok(()), // by the certificate in the body, which is looked at there
        false => authenticate(service, &state, &mut call),
    };
    let result = authenticated.and(route).map(|route| process(service, &mut state, &call, route, &mut record));
    let verdict = match result {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Reply(Reply::error(error)),
    };
    // By the service's own clock, which may differ from this machine's.
    let now = state.now();
    logged(record, verdict, &mut state.log, now)
}

/// The verdict with what every answer has, and its record in the log.
pub(crate) fn logged(
    mut record: RequestRecord,
    verdict: Verdict,
    log: &mut Vec<RequestRecord>,
    now: Timestamp,
) -> Verdict {
    let verdict = match verdict {
        Verdict::Reply(reply) => {
            record.answered(reply.status, reply.code.as_deref(), reply.reason.as_deref());
            let reply = reply.with_request_id(record.request_id.as_deref(), log.len());
            Verdict::Reply(reply.with(DATE, &httpdate::fmt_http_date(now.into())))
        }
        silent => silent,
    };
    log.push(record);
    verdict
}

fn authenticate(service: &Service, state: &State, call: &mut Call) -> Result<(), ApiError> {
    call.key_id = signature::verify(&call.parts, &call.body, &state.keys, &service.authorities, state.now())?;
    Ok(())
}

fn process(
    service: &Arc<Service>,
    state: &mut State,
    call: &Call,
    mut route: Route,
    record: &mut RequestRecord,
) -> Verdict {
    if let Some(id) = route.work_request() {
        let request = state.work_requests.iter().find(|request| request.id == id);
        route.load_balancer = request.map(|request| request.load_balancer_id.clone());
    }
    record.load_balancer_id.clone_from(&route.load_balancer);
    record.certificate_id = route.certificate().map(str::to_owned);
    foreign_edits(service, state, &route, Moment::Before);
    let effect = state.faults.take(|name| record.is(name), route.object());
    if let Some(verdict) = effect.as_ref().and_then(|effect| failure(effect, state.now())) {
        return verdict;
    }
    let silence = effect.as_ref().and_then(silence);
    let result = if route.action == Action::FederateX509 {
        federation::federate(state, call)
    } else if !state.is_allowed(&call.key_id) {
        Err(ApiError::not_found("a policy for the dynamic group of this instance"))
    } else if let Action::CertificatesService(action) = &route.action {
        certificates_service::answer(service, state, call, action, effect)
    } else if route.is_mutation() {
        mutations::mutate(service, state, call, &route, effect)
    } else {
        reads::read(service, state, call, &route)
    };
    let reply = result.unwrap_or_else(Reply::error);
    record.work_request_id = reply.work_request_id();
    foreign_edits(service, state, &route, Moment::After);
    silence.unwrap_or(Verdict::Reply(reply))
}

/// What a fault does instead of the call.
pub(crate) fn failure(effect: &Effect, now: Timestamp) -> Option<Verdict> {
    match effect {
        Effect::CloseBefore => Some(Verdict::Close),
        Effect::Hang => Some(Verdict::Hang),
        Effect::HtmlPage { status, body } => Some(Verdict::Reply(Reply::html(*status, body))),
        Effect::Answer { status, code, message, retry_after } => {
            Some(Verdict::Reply(Reply::fault(*status, code, message, *retry_after, now)))
        }
        _ => None,
    }
}

/// What a fault does to the answer of a call that has had its effect.
pub(crate) fn silence(effect: &Effect) -> Option<Verdict> {
    match effect {
        Effect::CloseAfter => Some(Verdict::Close),
        Effect::HangAfter => Some(Verdict::Hang),
        _ => None,
    }
}

fn foreign_edits(service: &Arc<Service>, state: &mut State, route: &Route, moment: Moment) {
    let Some(load_balancer) = route.load_balancer.as_deref() else {
        return;
    };
    for (_, edit) in state.faults.take_edits(route.operation, moment, |object| object == load_balancer) {
        if let Err(error) = service.edit(state, load_balancer, edit) {
            tracing::warn!(load_balancer, problem = error.message, "another writer's change is not valid");
        }
    }
}

/// Checks `if-match` against the load balancer's one ETag.
fn check_etag(state: &State, call: &Call, load_balancer: &str) -> Result<(), ApiError> {
    check_if_match(call, load_balancer, &state.load_balancer(load_balancer)?.etag())
}

fn check_if_match(call: &Call, object: &str, current: &str) -> Result<(), ApiError> {
    match call.header("if-match") {
        Some(passed) if passed != current && passed != "*" => Err(ApiError::no_etag_match(object, current, passed)),
        _ => Ok(()),
    }
}

/// A header that is text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

const LARGEST_BODY: usize = 4 * 1024 * 1024;
