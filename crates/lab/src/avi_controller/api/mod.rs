//! The HTTPS side of the API: what every call goes through, whatever it asks for.

mod login;
mod logs;
mod objects;
mod reply;
mod route;

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use self::{objects::Permitted, reply::Reply, route::Route};
use super::{
    access::{self, Need},
    controller::{Controller, State},
    error::{ApiError, LabError},
    faults::{Effect, Moment},
    kind::{Kind, USER},
    query::Query,
    request_record::{self, RequestRecord},
    schema::Version,
    script, sessions,
    store::Stored,
};
use crate::pki::Pki;

/// TLS with a new certificate for 127.0.0.1 and localhost.
pub(super) fn acceptor(pki: &Pki) -> Result<TlsAcceptor, LabError> {
    let failed = |problem: String| LabError::Certificate(problem);
    let issued = pki.issue(&["localhost", "127.0.0.1"], 365).map_err(|error| failed(error.to_string()))?;
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_slice(issued.private_key_pem.as_bytes()).map_err(|error| failed(error.to_string()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut settings = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| failed(error.to_string()))?;
    settings.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(settings)))
}

/// Answers the calls of one connection.
pub(super) async fn serve(controller: Arc<Controller>, acceptor: TlsAcceptor, stream: TcpStream) {
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "no TLS on an API connection"),
    };
    let handler = service_fn(|request| handle(Arc::clone(&controller), request));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await {
        tracing::debug!(%error, "an API connection ended early");
    }
}

/// A request, read in full.
pub(super) struct Call {
    parts: Parts,
    body: Bytes,
}

impl Call {
    fn header(&self, name: &str) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// What the client calls this controller.
    fn authority<'a>(&'a self, controller: &'a Controller) -> &'a str {
        self.header("host").unwrap_or(&controller.authority)
    }

    fn changes_something(&self) -> bool {
        !matches!(self.parts.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

/// The answer to a call, or none.
enum Verdict {
    Close,
    Hang,
    Reply {
        reply: Reply,
        delay: Duration,
    },
    /// Runs a control script first; the state must be free meanwhile.
    Renew {
        certificate: String,
        /// Where the call stands in the log.
        record: usize,
        session: Option<String>,
    },
}

/// Who calls.
struct Caller {
    user: Stored,
    /// `None` with basic authentication.
    session: Option<String>,
}

/// Makes hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct Closed;

async fn handle(controller: Arc<Controller>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Closed> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await.map_err(|_| Closed)?;
    let call = Call { parts, body: body.to_bytes() };
    match answer(&controller, &call) {
        Verdict::Close => Err(Closed),
        Verdict::Hang => match std::future::pending::<Infallible>().await {},
        Verdict::Reply { reply, delay } => {
            tokio::time::sleep(delay).await;
            Ok(reply.into_response())
        }
        Verdict::Renew { certificate, record, session } => {
            let made = script::make_certificate(&controller, &certificate, script::Reason::Renewal).await;
            let mut reply = match made {
                Ok(()) => Reply::ok(&json!({"status": "SYSERR_SUCCESS"})),
                Err(problem) => Reply::error(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, problem)),
            };
            if let Some(session) = session {
                reply.set_session(&session);
            }
            if let Some(record) = controller.state().log.get_mut(record) {
                record.status = Some(reply.status.as_u16());
                record.error.clone_from(&reply.error);
            }
            Ok(reply.into_response())
        }
    }
}

/// Under one lock, so that checks and effect are one step.
fn answer(controller: &Arc<Controller>, call: &Call) -> Verdict {
    let mut state = controller.state();
    let target = call.parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let route = Route::parse(&call.parts.method, call.parts.uri.path());
    let operation = route.as_ref().map_or_else(
        |_| format!("{} {}", call.parts.method, call.parts.uri.path()),
        |route| route.operation(&call.parts.method),
    );
    let mut record = RequestRecord {
        operation,
        method: call.parts.method.to_string(),
        object: route.as_ref().ok().and_then(Route::uuid).map(str::to_owned),
        user: None,
        tenant: call.header("x-avi-tenant").map(str::to_owned),
        version: call.header("x-avi-version").map(str::to_owned),
        status: None,
        error: None,
        reason: None,
        body: request_record::without_secrets(&call.body),
        target,
    };
    let verdict = match route.and_then(|route| process(controller, &mut state, call, &route, &mut record)) {
        Ok(verdict) => verdict,
        Err(error) => Verdict::Reply { reply: Reply::error(error), delay: Duration::ZERO },
    };
    match &verdict {
        Verdict::Reply { reply, .. } => {
            record.status = Some(reply.status.as_u16());
            record.error.clone_from(&reply.error);
            record.reason.clone_from(&reply.reason);
            record.object = record.object.or_else(|| reply.object.clone());
        }
        Verdict::Close | Verdict::Hang | Verdict::Renew { .. } => {}
    }
    state.log.push(record);
    verdict
}

fn process(
    controller: &Arc<Controller>,
    state: &mut State,
    call: &Call,
    route: &Route,
    record: &mut RequestRecord,
) -> Result<Verdict, ApiError> {
    let caller = match route {
        Route::ClusterStatus | Route::InitialData | Route::Login => None,
        _ => Some(authenticate(controller, state, call)?),
    };
    record.user = caller.as_ref().map(|caller| caller.user.name().to_owned());
    foreign_edits(controller, state, &record.operation, Moment::Before);
    let effect = state.faults.take(|name| name == record.operation, route.uuid());
    let delay = match effect {
        Some(Effect::Delay(delay)) => delay,
        _ => Duration::ZERO,
    };
    match &effect {
        Some(Effect::CloseBefore) => return Ok(Verdict::Close),
        Some(Effect::Hang) => return Ok(Verdict::Hang),
        Some(Effect::HtmlPage { status, body }) => {
            return Ok(Verdict::Reply { reply: Reply::html(*status, body), delay });
        }
        Some(Effect::Answer { status, error, retry_after }) => {
            let reply = Reply::fault(*status, error, *retry_after, crate::clock::now());
            return Ok(Verdict::Reply { reply, delay });
        }
        Some(Effect::SessionEnds) => {
            if let Some(session) = caller.as_ref().and_then(|caller| caller.session.as_deref()) {
                state.sessions.end(session);
            }
            return Err(session_ended(state));
        }
        _ => {}
    }
    let session = caller.as_ref().and_then(|caller| caller.session.clone());
    let result = perform(controller, state, call, route, caller.as_ref());
    foreign_edits(controller, state, &record.operation, Moment::After);
    if matches!(effect, Some(Effect::CloseAfter)) {
        return Ok(Verdict::Close);
    }
    let mut reply = match result {
        Ok(Done::Reply(reply)) => reply,
        Ok(Done::Renew(certificate)) => return Ok(Verdict::Renew { certificate, record: state.log.len(), session }),
        Err(error) => Reply::error(error),
    };
    if let Some(session) = session.filter(|_| !matches!(route, Route::Logout)) {
        reply.set_session(&session);
    }
    let spoken = call.header("x-avi-version").and_then(Version::parse).unwrap_or(Version::OLDEST_SCHEMA);
    reply.set(HeaderName::from_static("avi_api_version"), &spoken.to_string().replace('.', "_"));
    Ok(Verdict::Reply { reply, delay })
}

enum Done {
    Renew(String),
    Reply(Reply),
}

fn perform(
    controller: &Arc<Controller>,
    state: &mut State,
    call: &Call,
    route: &Route,
    caller: Option<&Caller>,
) -> Result<Done, ApiError> {
    let Some(Caller { user, session }) = caller else {
        return Ok(Done::Reply(match route {
            Route::ClusterStatus => login::cluster_status(),
            Route::InitialData => login::initial_data(controller),
            _ => login::log_in(controller, state, call)?,
        }));
    };
    let version = spoken_version(controller, call)?;
    let permitted = |state: &State, kind: &Kind| -> Result<Permitted<'_>, ApiError> {
        let (name, uuid) = (call.header("x-avi-tenant"), call.header("x-avi-tenant-uuid"));
        let scope = access::scope(&state.store, user, name, uuid)?;
        let need = if call.changes_something() { Need::Write } else { Need::Read };
        access::check(&state.store, user, &scope, kind, need)?;
        if call.changes_something() && state.behaviour.upgrading {
            return Err(ApiError::forbidden("Configuration is disallowed during upgrade"));
        }
        let query = Query::parse(call.parts.uri.query().unwrap_or_default());
        Ok(Permitted { call, query, scope, user: user.name(), version })
    };
    Ok(Done::Reply(match route {
        Route::ClusterVersion => login::cluster_version(controller),
        Route::Logout => {
            if let Some(session) = session {
                state.sessions.end(session);
            }
            Reply::empty(StatusCode::OK)
        }
        Route::Logs => {
            let kind = Kind::of(super::kind::VIRTUAL_SERVICE).ok_or_else(|| ApiError::not_found("logs"))?;
            let permitted = permitted(state, kind)?;
            logs::read(controller, state, &permitted.query)?
        }
        Route::Object { kind, uuid } => {
            let permitted = permitted(state, kind)?;
            if call.changes_something() {
                permitted.change(controller, state, kind, uuid)?
            } else {
                permitted.get(controller, state, kind, uuid)?
            }
        }
        Route::Objects { kind } => {
            let permitted = permitted(state, kind)?;
            if call.changes_something() {
                permitted.create(controller, state, kind)?
            } else {
                permitted.list(controller, state, kind)?
            }
        }
        Route::OwnAccount => login::own_account(user),
        Route::Renew { kind, uuid } => {
            permitted(state, kind)?.find(&state.store, kind, uuid)?;
            return Ok(Done::Renew(uuid.clone()));
        }
        Route::ClusterStatus | Route::InitialData | Route::Login => return Err(ApiError::not_found("route")),
    }))
}

/// A session with its CSRF token, or Basic where the system configuration allows it.
fn authenticate(controller: &Controller, state: &mut State, call: &Call) -> Result<Caller, ApiError> {
    let headers = &call.parts.headers;
    let now = controller.clock.now();
    if let Some((username, password)) = sessions::basic(headers) {
        if !state.takes_basic_authentication() {
            return Err(ApiError::not_authenticated("Authentication credentials were not provided.", "basic is off"));
        }
        let user = access::user(&state.store, &username).cloned();
        let lockout_after = state.behaviour.lockout_after;
        state.sessions.check_password(&username, user.as_ref(), &password, lockout_after, now)?;
        let user = user.ok_or_else(|| ApiError::not_authenticated("Invalid credentials", "no such user"))?;
        return Ok(Caller { user, session: None });
    }
    let session = sessions::cookie(headers, "avi-sessionid").or_else(|| sessions::cookie(headers, "sessionid"));
    let Some(session) = session.map(str::to_owned) else {
        return Err(ApiError::not_authenticated("Authentication credentials were not provided.", "no session cookie"));
    };
    let lifetime = state.session_lifetime();
    let user = state.sessions.user(&session, &lifetime, now).ok_or_else(|| session_ended(state))?;
    if call.changes_something() {
        state.sessions.check_csrf(&session, headers)?;
    }
    let user = state.store.get(USER, &user).cloned().ok_or_else(|| session_ended(state))?;
    Ok(Caller { user, session: Some(session) })
}

fn session_ended(state: &State) -> ApiError {
    let status = StatusCode::from_u16(state.behaviour.ended_session_status).unwrap_or(StatusCode::UNAUTHORIZED);
    let mut error = ApiError::new(status, "Invalid session or session expired");
    error.reason = Some("no such session".into());
    error
}

/// The schema that the caller speaks; the oldest where it does not say.
fn spoken_version(controller: &Controller, call: &Call) -> Result<Version, ApiError> {
    let Some(text) = call.header("x-avi-version") else {
        return Ok(Version::OLDEST_SCHEMA);
    };
    let (oldest, newest) = (controller.oldest_version, controller.version);
    match Version::parse(text) {
        Some(version) if (oldest..=newest).contains(&version) => Ok(version),
        _ => Err(ApiError::bad_request(format!("Invalid version {text}: supported are {oldest} to {newest}"))),
    }
}

fn foreign_edits(controller: &Arc<Controller>, state: &mut State, operation: &str, moment: Moment) {
    for (uuid, edit) in state.faults.take_edits(operation, moment, |_| true) {
        if let Err(error) = controller.edit(state, &uuid, edit) {
            tracing::warn!(uuid, problem = error.text, "another writer's change is not valid");
        }
    }
}

const LARGEST_BODY: usize = 4 * 1024 * 1024;
