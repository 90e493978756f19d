//! What HTTP proxies of every make do with requests and responses.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{self, HOST},
};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// Sends the request over a connection to a server; the answer without hop-by-hop fields.
pub(crate) async fn forward<S>(mut request: Request<Incoming>, stream: S) -> Result<Response<Body>, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // A proxy sends the path alone, whatever form the client used.
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    let head = request.method() == Method::HEAD;
    let (mut sender, exchange) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends when the response has been read or dropped.
    tokio::spawn(exchange);
    let mut response = sender.send_request(request).await?;
    remove_hop_by_hop(response.headers_mut());
    Ok(response.map(|body| if head { empty() } else { body.boxed() }))
}

/// The name of the `Host` header without its port.
pub(crate) fn host<B>(request: &Request<B>) -> Option<String> {
    let authority = match request.uri().authority() {
        Some(authority) => authority.clone(),
        None => request.headers().get(HOST)?.to_str().ok()?.parse().ok()?,
    };
    Some(authority.host().to_ascii_lowercase())
}

/// RFC 9110 section 7.6.1.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_owned())
        .collect();
    for name in named {
        headers.remove(name.as_str());
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
    ] {
        headers.remove(name);
    }
}

/// The client's address added to what earlier proxies said.
pub(crate) fn add_forwarded_for(headers: &mut HeaderMap, client: std::net::IpAddr) {
    let value = match headers.get(FORWARDED_FOR).and_then(|value| value.to_str().ok()) {
        Some(before) => format!("{before}, {client}"),
        None => client.to_string(),
    };
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(FORWARDED_FOR, value);
    }
}

/// A page of the load balancer's own.
pub(crate) fn page(status: StatusCode) -> Response<Body> {
    let html =
        format!("<html><head><title>{status}</title></head><body><center><h1>{status}</h1></center></body></html>");
    content(status, "text/html", html)
}

/// A response with this body.
pub(crate) fn content(status: StatusCode, content_type: &str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed());
    *response.status_mut() = status;
    if let Ok(content_type) = HeaderValue::try_from(content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    }
    response
}

fn empty() -> Body {
    Full::default().map_err(|never| match never {}).boxed()
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
