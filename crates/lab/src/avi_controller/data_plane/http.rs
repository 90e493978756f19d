//! The HTTP side of a virtual service: security rules, request rules and the profile's redirect, then the pool.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ::http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{
    Live,
    policy::{Action, Facts, Redirect, Rule},
    request_log::{DataPlaneRequest, LoggedAs},
    serving::{Pool, Virtual},
};
use crate::forwarding::{self, Body, content, host, page};

/// What a request has to know of the connection that it came in on.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: SocketAddr,
    pub(super) live: Arc<Live>,
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) tls: bool,
    /// The uuid of the virtual service that made the TLS handshake.
    pub(super) handshake: Option<String>,
    /// From the TLS ClientHello.
    pub(super) server_name: Option<String>,
}

/// Makes hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
struct Closed;

/// What the rules decided.
enum Decision<'a> {
    Close,
    /// To this pool.
    Forward(Option<&'a Arc<Pool>>),
    Reply(Response<Body>),
}

/// Which rules decided.
#[derive(Default)]
struct Trace<'a> {
    security: Option<&'a Rule>,
    request: Option<&'a Rule>,
}

/// Answers requests until the connection ends.
pub(super) async fn serve<S>(stream: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let connection = connection.clone();
        async move { answer(request, &connection).await }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(client = %connection.client, %error, "a connection ended early");
    }
}

/// Each request sees the configuration of its own moment, also on a connection that has been open for long.
async fn answer(mut request: Request<Incoming>, connection: &Connection) -> Result<Response<Body>, Closed> {
    let serving = connection.live.serving();
    let service = serving.service(connection.address, connection.port).ok_or(Closed)?;
    let host = host(&request).unwrap_or_default();
    let path = request.uri().path().to_owned();
    let owner = serving.for_request(service, connection.handshake.as_deref(), &host, &path).ok_or(Closed)?;
    let (method, query) = (request.method().to_string(), request.uri().query().unwrap_or_default().to_owned());
    let facts =
        Facts { host: &host, method: &method, path: &path, port: connection.port, query: &query, tls: connection.tls };
    let mut trace = Trace::default();
    let decision = decide(owner, &facts, serving.profile_first, &mut trace);
    let user_agent = request.headers().get(header::USER_AGENT).map(HeaderValue::as_bytes).unwrap_or_default();
    let user_agent = String::from_utf8_lossy(user_agent).into_owned();
    let result = match decision {
        Decision::Close => Err(Closed),
        Decision::Reply(response) => Ok(response),
        Decision::Forward(pool) => {
            forwarding::remove_hop_by_hop(request.headers_mut());
            forwarding::add_forwarded_for(request.headers_mut(), connection.client.ip());
            let scheme = HeaderValue::from_static(if connection.tls { "https" } else { "http" });
            request.headers_mut().insert("x-forwarded-proto", scheme);
            Ok(forward(request, pool).await)
        }
    };
    let response_code = result.as_ref().map_or(0, |response| response.status().as_u16());
    connection.live.log.push(DataPlaneRequest {
        at: connection.live.clock.now(),
        virtual_service: owner.uuid.clone(),
        virtual_service_name: owner.name.clone(),
        client_ip: connection.client.ip(),
        port: connection.port,
        logged_as: logged_as(owner, &trace, response_code),
        http_security_policy_rule_name: trace.security.map(|rule| rule.name.clone()),
        http_request_policy_rule_name: trace.request.map(|rule| rule.name.clone()),
        method,
        host,
        uri_path: path,
        uri_query: query,
        response_code,
        sni_hostname: connection.server_name.clone(),
        user_agent,
    });
    result
}

/// The order is a switch: the vendor's documentation says that policies come before the profile, reports say otherwise.
fn decide<'a>(owner: &'a Virtual, facts: &Facts<'_>, profile_first: bool, trace: &mut Trace<'a>) -> Decision<'a> {
    let by_profile = || (owner.redirects_to_https && !facts.tls).then(|| redirect(&Redirect::to_https(443), facts));
    if let Some(response) = by_profile().filter(|_| profile_first) {
        return Decision::Reply(response);
    }
    for rule in owner.security_rules.iter().filter(|rule| rule.hits(facts)) {
        trace.security = Some(rule);
        match &rule.action {
            Action::Allow => break,
            Action::CloseConnection => return Decision::Close,
            Action::Redirect(to) if !facts.tls => return Decision::Reply(redirect(to, facts)),
            Action::Respond { status, file } => return Decision::Reply(respond(*status, file.as_ref())),
            _ => {}
        }
    }
    let mut pool = owner.pool.as_ref();
    for rule in owner.request_rules.iter().filter(|rule| rule.hits(facts)) {
        trace.request = Some(rule);
        match &rule.action {
            Action::Redirect(to) => return Decision::Reply(redirect(to, facts)),
            Action::Respond { status, file } => return Decision::Reply(respond(*status, file.as_ref())),
            Action::SelectPool(uuid) => {
                pool = owner.pools.get(uuid);
                break;
            }
            _ => {}
        }
    }
    by_profile().map_or(Decision::Forward(pool), Decision::Reply)
}

fn respond(status: StatusCode, file: Option<&super::policy::File>) -> Response<Body> {
    match file {
        Some(file) => content(status, &file.content_type, file.content.clone()),
        None => page(status),
    }
}

fn redirect(to: &Redirect, facts: &Facts<'_>) -> Response<Body> {
    let (status, location) = to.of(facts);
    let mut response = page(status);
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

async fn forward(request: Request<Incoming>, pool: Option<&Arc<Pool>>) -> Response<Body> {
    let Some(stream) = connect(pool).await else {
        return page(StatusCode::SERVICE_UNAVAILABLE);
    };
    match forwarding::forward(request, stream).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(%error, "the server did not answer");
            page(StatusCode::BAD_GATEWAY)
        }
    }
}

/// The first server that takes a connection. Never leaves the machine: other addresses are as good as down.
pub(super) async fn connect(pool: Option<&Arc<Pool>>) -> Option<TcpStream> {
    for server in pool?.servers.iter().filter(|server| server.ip().is_loopback()) {
        if let Ok(Ok(stream)) = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(server)).await {
            return Some(stream);
        }
    }
    None
}

fn logged_as(owner: &Virtual, trace: &Trace<'_>, response_code: u16) -> LoggedAs {
    let by_rule = [trace.security, trace.request].into_iter().flatten().any(|rule| rule.log);
    match response_code {
        _ if by_rule => LoggedAs::UserDefined,
        0 | 400.. => LoggedAs::Significant,
        _ if owner.full_logs => LoggedAs::NonSignificant,
        _ => LoggedAs::Dropped,
    }
}

const CONNECT_LIMIT: Duration = Duration::from_secs(3);
