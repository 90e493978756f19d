//! The HTTP side of a listener: rule sets first, then the routing policy or the path routes, then the backend.

use std::{net::SocketAddr, sync::Arc};

use ::http::{
    HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HOST},
};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Live, backend, route, rules::Rule, serving::Listener};
use crate::forwarding::{self, Body, host, page, remove_hop_by_hop};

/// What a request has to know of the connection that it came in on.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) client: SocketAddr,
    pub(super) live: Arc<Live>,
    /// The listener's port number, which is not always the socket's.
    pub(super) port: u16,
    /// From the TLS ClientHello.
    pub(super) server_name: Option<String>,
    pub(super) tls: bool,
}

/// Answers requests until the connection ends.
pub(super) async fn serve<S>(stream: S, connection: Connection)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let connection = connection.clone();
        async move { Ok::<_, hyper::Error>(answer(request, &connection).await) }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    if let Err(error) = served {
        tracing::debug!(client = %connection.client, %error, "a connection ended early");
    }
}

/// Each request sees the configuration of its own moment, also on a connection that has been open for long.
async fn answer(mut request: Request<Incoming>, connection: &Connection) -> Response<Body> {
    let serving = connection.live.serving();
    let host = host(&request);
    let name = host.as_deref().or(connection.server_name.as_deref());
    let Some(listener) = serving.ports.get(&connection.port).and_then(|port| port.pick(name)) else {
        return page(StatusCode::BAD_GATEWAY);
    };
    let target = super::redirect::Target {
        host: name.unwrap_or("127.0.0.1"),
        path: request.uri().path(),
        port: connection.port,
        query: request.uri().query().unwrap_or_default(),
        tls: connection.tls,
    };
    if let Some((status, location)) = listener.rules.iter().find_map(|rule| rule.redirect(&target)) {
        let mut response = page(status);
        if let Ok(location) = HeaderValue::try_from(location) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        return response;
    }
    if let Some(status) = listener.rules.iter().find_map(|rule| rule.refused(request.method())) {
        return page(status);
    }
    let set = backend_set(listener, &request, host.as_deref());
    prepare(&mut request, listener, connection);
    let mut response = match serving.backend_sets.get(set) {
        Some(set) => forward(request, set, connection).await,
        None => page(StatusCode::BAD_GATEWAY),
    };
    for rule in &listener.rules {
        rule.change_response(response.headers_mut());
    }
    response
}

fn backend_set<'a>(listener: &'a Listener, request: &Request<Incoming>, host: Option<&str>) -> &'a str {
    let facts = route::Facts {
        headers: request.headers(),
        host: host.unwrap_or_default(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
    };
    route::by_policy(&listener.policy, &facts)
        .or_else(|| route::by_path(&listener.path_routes, facts.path))
        .unwrap_or(&listener.default_backend_set)
}

/// The request as the backend sees it.
fn prepare(request: &mut Request<Incoming>, listener: &Listener, connection: &Connection) {
    let host = request.headers().get(HOST).cloned();
    remove_hop_by_hop(request.headers_mut());
    let client = connection.client.ip().to_string();
    forwarding::add_forwarded_for(request.headers_mut(), connection.client.ip());
    let scheme = if connection.tls { "https" } else { "http" };
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            request.headers_mut().insert(name, value);
        }
    };
    set(HeaderName::from_static("x-real-ip"), client);
    set(HeaderName::from_static("x-forwarded-proto"), scheme.to_owned());
    set(HeaderName::from_static("x-forwarded-port"), connection.port.to_string());
    if let Some(host) = host {
        request.headers_mut().insert("x-forwarded-host", host);
    }
    for rule in &listener.rules {
        rule.change_request(request.headers_mut());
    }
}

async fn forward(
    request: Request<Incoming>,
    set: &super::serving::BackendSet,
    connection: &Connection,
) -> Response<Body> {
    let Some(stream) = backend::connect(set, &connection.live.board).await else {
        return page(StatusCode::BAD_GATEWAY);
    };
    match forwarding::forward(request, stream).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(set = set.name, %error, "the backend did not answer");
            page(StatusCode::BAD_GATEWAY)
        }
    }
}

impl Rule {
    fn refused(&self, method: &Method) -> Option<StatusCode> {
        match self {
            Self::Methods { allowed, status } if !allowed.iter().any(|name| name == method.as_str()) => Some(*status),
            _ => None,
        }
    }
}
