//! The CA's http-01 request, sent from here (RFC 8555 §8.3).

use std::net::SocketAddr;

use bytes::Bytes;
use certferry_core::Identifier;
use certferry_core::port::HttpAnswer;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use url::Url;

use super::NetworkProbe;
use super::connection::words;
use super::redirect::{self, Destination, MOST_REDIRECTS};

/// Bytes of a body that a CA reads; a key authorization has at most 87.
const LONGEST_BODY: usize = 128;

/// The answer to `GET http://<name>/.well-known/acme-challenge/<token>` at `address`, after redirects.
pub(super) async fn fetch(
    probe: &NetworkProbe,
    address: SocketAddr,
    name: &Identifier,
    token: &str,
) -> Result<HttpAnswer, String> {
    let mut url = Url::parse(&format!("http://{}/.well-known/acme-challenge/{token}", name.host()))
        .map_err(|error| format!("no URL can be made for {name}: {error}"))?;
    let host = name.host();
    let mut redirects = Vec::new();
    loop {
        let destination = redirect::destination(address, &host, &url)?;
        let answer = probe.request(destination, &url).await?;
        let followed = redirect::is_followed(answer.status());
        match text(answer.headers(), &header::LOCATION) {
            Some(location) if followed => {
                if redirects.len() == MOST_REDIRECTS {
                    return Err(format!("more than {MOST_REDIRECTS} redirects; the last one leads to `{location}`"));
                }
                url = redirect::target(&url, &location)?;
                redirects.push(location);
            }
            _ => return probe.read(answer, redirects).await,
        }
    }
}

impl NetworkProbe {
    async fn request(&self, destination: Destination, url: &Url) -> Result<Response<Incoming>, String> {
        // An IPv6 address stands in brackets in a URL, and nowhere else.
        let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let address = match destination {
            Destination::Address(address) => address,
            Destination::Resolved => self.resolve(host, url.port_or_known_default().unwrap_or(80)).await?,
        };
        match url.scheme() {
            "https" => self.exchange(self.handshake(address, host, None).await?, address, url).await,
            _ => self.exchange(self.connect(address).await?, address, url).await,
        }
    }

    /// As the CA does with the host of a redirect.
    async fn resolve(&self, host: &str, port: u16) -> Result<SocketAddr, String> {
        match timeout(self.limits.connect, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(mut addresses)) => addresses.next().ok_or_else(|| format!("`{host}` has no address")),
            Ok(Err(error)) => Err(format!("`{host}` does not resolve: {}", words(&error))),
            Err(_) => Err(format!("`{host}` does not resolve in time")),
        }
    }

    async fn exchange<S>(&self, stream: S, address: SocketAddr, url: &Url) -> Result<Response<Incoming>, String>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |error: hyper::Error| format!("no HTTP answer from {address} for {url}: {}", explain(&error));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let request = Request::get(path)
            .header(header::HOST, url.host_str().unwrap_or_default())
            .header(header::USER_AGENT, concat!("certferry/", env!("CARGO_PKG_VERSION"), " (self-check of http-01)"))
            .header(header::ACCEPT, "*/*")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| format!("no request can be made for {url}: {error}"))?;
        let answer = async {
            let (mut sender, connection) =
                hyper::client::conn::http1::Builder::new().handshake(TokioIo::new(stream)).await?;
            // Ends when the answer is read or dropped.
            tokio::spawn(connection);
            sender.send_request(request).await
        };
        match timeout(self.limits.answer, answer).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(self.too_late(&format!("{address} for {url}"))),
        }
    }

    async fn read(&self, answer: Response<Incoming>, redirects: Vec<String>) -> Result<HttpAnswer, String> {
        let status = answer.status().as_u16();
        let server = text(answer.headers(), &header::SERVER);
        let mut incoming = answer.into_body();
        let body = async {
            let mut body = Vec::new();
            while body.len() < LONGEST_BODY {
                let Some(frame) = incoming.frame().await else { break };
                if let Some(data) = frame?.data_ref() {
                    body.extend_from_slice(data);
                }
            }
            Ok::<_, hyper::Error>(body)
        };
        let mut body = match timeout(self.limits.answer, body).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Err(format!("the answer (status {status}) broke off: {}", explain(&error))),
            Err(_) => return Err(self.too_late(&format!("the body of status {status}"))),
        };
        body.truncate(LONGEST_BODY);
        Ok(HttpAnswer { status, body: String::from_utf8_lossy(&body).into_owned(), redirects, server })
    }

    fn too_late(&self, what: &str) -> String {
        format!("no answer from {what} within {} s", self.limits.answer.as_secs_f32())
    }
}

/// A header as text that can be shown.
fn text(headers: &HeaderMap, name: &header::HeaderName) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(name)?.as_bytes());
    Some(text.chars().take(LONGEST_HEADER).collect::<String>().replace(char::is_control, " "))
}

/// Longer than the longest redirect that is followed.
const LONGEST_HEADER: usize = 4096;

fn explain(error: &hyper::Error) -> String {
    if error.is_incomplete_message() || error.is_canceled() {
        return "the connection was closed before the answer".to_owned();
    }
    if error.is_parse() {
        return "the answer is not HTTP".to_owned();
    }
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
