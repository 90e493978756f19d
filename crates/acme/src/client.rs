//! The client: one CA, one connection pool, one pool of nonces.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use crate::date;
use crate::directory::Directory;
use crate::error::{Error, ErrorKind, Operation};
use crate::nonce::NoncePool;
use crate::patience::Jitter;
use crate::resource_url::ResourceUrl;
use crate::tls;
use crate::transport::{Clock, Transport};

/// A client of one CA. Cheap to clone; clones share connections, nonces and the directory.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

impl Client {
    /// Starts to build a client for the CA with this directory; https, or http on loopback for tests.
    pub fn builder(directory_url: &str) -> ClientBuilder {
        ClientBuilder {
            directory_url: directory_url.to_owned(),
            clock: None,
            connect_timeout: Duration::from_secs(10),
            directory_lifetime: Duration::from_secs(60 * 60),
            jitter_seed: 0,
            request_timeout: Duration::from_secs(30),
            retry_budget: Duration::from_secs(10),
            trusted_roots: Vec::new(),
            user_agent: String::new(),
        }
    }

    /// Where the directory is.
    pub fn directory_url(&self) -> &ResourceUrl {
        &self.inner.directory_url
    }

    /// The CA's directory: from memory, or fetched when it is not there or old. When an old one cannot be renewed, it
    /// serves on: the CA's URLs hardly ever change, and its failure shows in the request itself.
    pub async fn directory(&self) -> Result<Arc<Directory>, Error> {
        let asked_at = Instant::now();
        let mut cache = self.inner.directory.lock().await;
        if let Some((directory, fresh_until)) = &cache.current
            && asked_at < *fresh_until
        {
            return Ok(Arc::clone(directory));
        }
        // Whoever waited while another caller's fetch failed shares that failure: otherwise each of hundreds of
        // orders would try in turn.
        if let Some((error, failed_at)) = &cache.failure
            && asked_at <= *failed_at
        {
            return Err(error.clone());
        }
        let answer = self.get(Operation::Directory, &self.inner.directory_url).await;
        match answer.and_then(|answer| Directory::from_answer(&answer)) {
            Ok(directory) => {
                let directory = Arc::new(directory);
                let fresh_until = Instant::now() + self.inner.directory_lifetime;
                *cache = DirectoryCache { current: Some((Arc::clone(&directory), fresh_until)), failure: None };
                Ok(directory)
            }
            Err(error) => match &mut cache.current {
                Some((directory, fresh_until)) => {
                    tracing::debug!(%error, "using the directory as it was");
                    *fresh_until = Instant::now() + STALE_DIRECTORY_LIFETIME;
                    Ok(Arc::clone(directory))
                }
                None => {
                    cache.failure = Some((error.clone(), Instant::now()));
                    Err(error)
                }
            },
        }
    }
}

impl Client {
    /// The CA's directory, fetched now, and the time that its answer says it is: `Date`, plus `Age` where a cache kept it.
    pub async fn read_directory(&self) -> Result<(Directory, Option<Timestamp>), Error> {
        let answer = self.get(Operation::Directory, &self.inner.directory_url).await?;
        Ok((Directory::from_answer(&answer)?, date::of(&answer.headers)))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Client({:?})", self.inner.directory_url)
    }
}

/// Settings of a [`Client`].
#[derive(Clone)]
pub struct ClientBuilder {
    directory_url: String,
    clock: Option<Clock>,
    connect_timeout: Duration,
    directory_lifetime: Duration,
    jitter_seed: u64,
    request_timeout: Duration,
    retry_budget: Duration,
    trusted_roots: Vec<CertificateDer<'static>>,
    user_agent: String,
}

impl ClientBuilder {
    /// Reads the wall clock where an answer has a `Retry-After` date but no `Date`. Without a clock such a date is
    /// ignored.
    pub fn clock(mut self, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(now));
        self
    }

    /// How long to wait for a connection; 10 s unless told.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a fetched directory serves; one hour unless told. More than a year counts as a year.
    pub fn directory_lifetime(mut self, lifetime: Duration) -> Self {
        self.directory_lifetime = lifetime.min(LONGEST_DIRECTORY_LIFETIME);
        self
    }

    /// Seeds the scatter of retries. Instances should differ in it; the same seed gives the same waits.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = seed;
        self
    }

    /// How long one whole HTTP exchange may take; 30 s unless told.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long one call goes on trying when the CA or the network fails for a moment; 10 s unless told, 0 for never. A
    /// longer `Retry-After` is handed to the caller at once.
    pub fn retry_budget(mut self, budget: Duration) -> Self {
        self.retry_budget = budget;
        self
    }

    /// Roots for the CA's own https, in DER, trusted beside the platform's.
    pub fn trusted_roots(mut self, roots: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        self.trusted_roots.extend(roots);
        self
    }

    /// Who asks, as `product/version` with anything after it (RFC 8555 §6.1). Required.
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// Builds the client; sends nothing.
    pub fn build(self) -> Result<Client, Error> {
        let directory_url: ResourceUrl =
            self.directory_url.parse().map_err(|error| refused(format!("directory: {error}")).with_source(error))?;
        if !names_product_and_version(&self.user_agent) {
            return Err(refused("the user agent must begin with product/version (RFC 8555 §6.1)"));
        }
        let mut http = reqwest::Client::builder()
            .user_agent(&self.user_agent)
            .connect_timeout(self.connect_timeout)
            .timeout(self.request_timeout)
            // Shorter than a server's usual keep-alive, so that a signed request rarely meets a closing connection.
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            // Caps count what arrives; a compressed body could hold much more.
            .no_gzip();
        if directory_url.is_plain_http() {
            // Loopback is never behind a proxy, and a test needs no roots.
            http = http.no_proxy();
        } else {
            let config = tls::client_config(self.trusted_roots).map_err(|error| {
                refused(format!("cannot use the trusted roots of this system and of the configuration: {error}"))
                    .with_source(error)
            })?;
            http = http.tls_backend_preconfigured(config);
        }
        let http = http.build().map_err(|error| {
            refused(format!("the HTTP client cannot be built: {error}")).with_source(error.without_url())
        })?;
        let transport = Transport {
            http,
            clock: self.clock,
            in_flight: Semaphore::new(MAX_IN_FLIGHT),
            allows_plain_http: directory_url.is_plain_http(),
        };
        let inner = Inner {
            directory_url,
            directory: Mutex::default(),
            directory_lifetime: self.directory_lifetime,
            jitter: Jitter::new(self.jitter_seed),
            nonces: NoncePool::new(),
            retry_budget: self.retry_budget,
            transport,
        };
        Ok(Client { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ClientBuilder({:?})", self.directory_url)
    }
}

pub(crate) struct Inner {
    directory_url: ResourceUrl,
    directory: Mutex<DirectoryCache>,
    directory_lifetime: Duration,
    pub(crate) jitter: Jitter,
    pub(crate) nonces: NoncePool,
    pub(crate) retry_budget: Duration,
    pub(crate) transport: Transport,
}

/// What is known of the directory.
#[derive(Default)]
struct DirectoryCache {
    /// With the time until which it is not asked for again.
    current: Option<(Arc<Directory>, Instant)>,
    /// The last failed fetch, with when it failed.
    failure: Option<(Error, Instant)>,
}

fn refused(said: impl Into<String>) -> Error {
    Error::new(ErrorKind::Configuration, Operation::Configure, said)
}

fn names_product_and_version(user_agent: &str) -> bool {
    let first = user_agent.split(' ').next().unwrap_or_default();
    let printable = user_agent.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    printable && first.split_once('/').is_some_and(|(product, version)| !product.is_empty() && !version.is_empty())
}

const MAX_IN_FLIGHT: usize = 64;
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const STALE_DIRECTORY_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_DIRECTORY_LIFETIME: Duration = Duration::from_secs(366 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_refused_before_anything_is_sent() {
        for (directory, user_agent, reason) in [
            ("http://ca.example/dir", "x/1", "plain http is allowed to loopback only"),
            ("not a url", "x/1", "it holds a space"),
            ("https://ca.example/dir", "", "product/version"),
            ("https://ca.example/dir", "certferry", "product/version"),
            ("https://ca.example/dir", "/1", "product/version"),
            ("https://ca.example/dir", "x/1\r\nHost: y", "product/version"),
        ] {
            let error = Client::builder(directory).user_agent(user_agent).build().unwrap_err();
            assert_eq!(error.kind(), &ErrorKind::Configuration);
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(error.attempts(), 0);
        }
    }

    #[test]
    fn a_broken_root_is_refused() {
        let builder = Client::builder("https://ca.example/dir").user_agent("x/1 (+https://x.example)");
        let error = builder.trusted_roots([CertificateDer::from(vec![1, 2, 3])]).build().unwrap_err();
        assert!(error.to_string().contains("trusted roots"), "{error}");
    }
}
