//! Validation in the background; http-01 by real requests (RFC 8555 §8.3), with redirects as Let's Encrypt follows them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use certferry_core::Identifier;
use http::header::{HOST, LOCATION, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use url::Url;

use super::dns01;
use super::problem::Problem;
use super::state::{AuthorizationStatus, Ca, Challenge};
use crate::any_certificate::AnyCertificate;

/// Redirects that are followed.
const MOST_REDIRECTS: usize = 10;

/// Bytes of an answer that are read.
const LARGEST_ANSWER: usize = 128;

/// For one request, from connecting to the end of its answer.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// A request that the CA made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationRequest {
    /// Its URL.
    pub url: String,
    /// Where it was sent.
    pub address: SocketAddr,
    /// The answer's status; `None` where there was none.
    pub status: Option<u16>,
}

/// Validates an authorization by a challenge, in the background.
pub(super) fn begin(ca: &Arc<Ca>, id: usize, kind: Challenge, key_authorization: String) {
    let ca = Arc::clone(ca);
    let mut stopping = ca.stopping();
    tokio::spawn(async move {
        tokio::select! {
            () = validate(&ca, id, kind, &key_authorization) => {}
            _ = stopping.wait_for(|stopped| *stopped) => {}
        }
    });
}

async fn validate(ca: &Ca, id: usize, kind: Challenge, key_authorization: &str) {
    let (name, token, delay, dns_server) = {
        let state = ca.state();
        let (authorization, behaviour) = (&state.authorizations[id], &state.behaviour);
        let dns_server = behaviour.dns_server.filter(|_| kind == Challenge::Dns01);
        (authorization.name.clone(), authorization.token.clone(), behaviour.validation_delay, dns_server)
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let outcome = match dns_server {
        Some(server) => dns01::check(server, &name, key_authorization).await,
        None => http01(ca, &name, &token, key_authorization).await,
    };
    let mut state = ca.state();
    let authorization = &mut state.authorizations[id];
    authorization.validating = false;
    authorization.status = if outcome.is_ok() { AuthorizationStatus::Valid } else { AuthorizationStatus::Invalid };
    authorization.error = outcome.err();
}

async fn http01(ca: &Ca, name: &str, token: &str, key_authorization: &str) -> Result<(), Problem> {
    let (url, body) = fetch(ca, name, token).await?;
    if body.trim_end() == key_authorization {
        return Ok(());
    }
    let detail = format!("the key authorization from {url} is \"{}\", not the expected one", body.escape_default());
    Err(Problem::new(StatusCode::FORBIDDEN, "unauthorized", detail))
}

/// The last URL and the body that it gave.
async fn fetch(ca: &Ca, name: &str, token: &str) -> Result<(Url, String), Problem> {
    let host = name.parse::<Identifier>().map_or_else(|_| name.to_owned(), |name| name.host());
    let first = format!("http://{host}/.well-known/acme-challenge/{token}");
    let mut url = Url::parse(&first).map_err(|error| connection(format!("{first}: {error}")))?;
    for _ in 0..=MOST_REDIRECTS {
        let address = resolve(ca, &url)?;
        let requested = url.to_string();
        let answer = tokio::time::timeout(REQUEST_WITHIN, get(&url, address)).await;
        let status = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok()).map(|(status, _, _)| status.as_u16());
        ca.state().validation_requests.push(ValidationRequest { url: requested, address, status });
        let (status, location, body) = answer
            .map_err(|_| connection(format!("{url} at {address}: no answer in time")))?
            .map_err(|error| connection(format!("{url} at {address}: {error}")))?;
        let redirect = matches!(status.as_u16(), 301 | 302 | 307 | 308).then_some(location).flatten();
        let Some(location) = redirect else {
            if status != StatusCode::OK {
                let detail = format!("invalid response from {url} at {address}: {}", status.as_u16());
                return Err(Problem::new(StatusCode::FORBIDDEN, "unauthorized", detail));
            }
            return Ok((url, body));
        };
        url = url.join(&location).map_err(|error| connection(format!("redirect to {location}: {error}")))?;
    }
    Err(connection(format!("more than {MOST_REDIRECTS} redirects")))
}

/// Where the lab's owner says that a host's port is; only http on 80 and https on 443 are followed.
fn resolve(ca: &Ca, url: &Url) -> Result<SocketAddr, Problem> {
    let state = ca.state();
    let host = unbracketed(url);
    let addresses = state.behaviour.addresses.get(host).copied().or(state.behaviour.default_address);
    let (http, https) = addresses
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "dns", format!("no address found for {host}")))?;
    match (url.scheme(), url.port_or_known_default()) {
        ("http", Some(80)) => Ok(http),
        ("https", Some(443)) => Ok(https),
        _ => Err(connection(format!("redirect to {url}: only ports 80 and 443 are followed"))),
    }
}

/// The host: an IPv6 address as itself, not as it stands in a URL.
fn unbracketed(url: &Url) -> &str {
    url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

type Answer = (StatusCode, Option<String>, String);

async fn get(url: &Url, address: SocketAddr) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    if url.scheme() == "https" {
        let name = ServerName::try_from(unbracketed(url).to_owned())?;
        let connector = TlsConnector::from(Arc::new(any_certificate()?));
        return exchange(connector.connect(name, stream).await?, url).await;
    }
    exchange(stream, url).await
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    url: &Url,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // A set, so that the connection ends however this function does.
    let mut driving = JoinSet::new();
    driving.spawn(connection);
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let request = Request::get(path.parse::<Uri>()?)
        .header(HOST, url.host_str().unwrap_or_default())
        .header(USER_AGENT, "certferry-lab validation (http-01)")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = beginning(response.into_body()).await?;
    Ok((status, location, body))
}

async fn beginning(mut body: Incoming) -> Result<String, hyper::Error> {
    let mut read = Vec::new();
    while read.len() < LARGEST_ANSWER {
        let Some(frame) = body.frame().await else { break };
        if let Some(data) = frame?.data_ref() {
            read.extend_from_slice(data);
        }
    }
    read.truncate(LARGEST_ANSWER);
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn connection(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "connection", detail)
}

/// A CA does not judge the certificate of a redirect's target: it is about to issue one.
fn any_certificate() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyCertificate(Arc::clone(&provider)));
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
}
