//! Instance principals: the instance's certificate gets a token for a key of its own, which signs the requests until it
//! ends. One token for all load balancers of a process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::RsaKeyPair;
use certferry_core::{Clock, Error, ErrorKind};
use tokio::sync::OnceCell;
use tokio::time::Instant;
use url::Url;

use super::super::config::Limits;
use super::super::region::{RegionInfo, Regions};
use super::super::signature::SigningKey;
use super::config::InstancePrincipal;
use super::federation::{Federation, Refusal};
use super::identity::Identity;
use super::metadata::Metadata;
use super::token::{Lifetime, Standing};
use crate::http::{BaseUrl, ClientOptions};

/// The instance's token, shared by those who are given the same `Principals`. Cloning shares it too.
#[derive(Clone, Default)]
pub struct Principals(Arc<Mutex<BTreeMap<InstancePrincipal, Arc<Instance>>>>);

impl Principals {
    /// The instance behind these addresses.
    pub(super) fn instance(
        &self,
        places: &InstancePrincipal,
        regions: &Regions,
        limits: &Limits,
        clock: &Arc<dyn Clock>,
    ) -> Result<Arc<Instance>, Error> {
        let mut instances = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(instance) = instances.get(places) {
            return Ok(Arc::clone(instance));
        }
        let instance = Arc::new(Instance::new(places, regions, limits, clock)?);
        instances.insert(places.clone(), Arc::clone(&instance));
        Ok(instance)
    }
}

/// The compute instance that the program runs on.
pub(in super::super) struct Instance {
    metadata: Metadata,
    http: reqwest::Client,
    auth_url: Option<BaseUrl>,
    regions: Regions,
    limits: Limits,
    clock: Arc<dyn Clock>,
    region: OnceCell<RegionInfo>,
    id: OnceLock<String>,
    state: tokio::sync::Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// Another tenancy in a later certificate is not this instance's.
    tenancy: Option<String>,
    /// When another token was last asked for in vain.
    failed: Option<Failed>,
}

#[derive(Clone)]
struct Current {
    key: SigningKey,
    lifetime: Lifetime,
}

struct Failed {
    at: Instant,
    error: Error,
}

impl Instance {
    fn new(
        places: &InstancePrincipal,
        regions: &Regions,
        limits: &Limits,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let auth_url = places.auth_url.as_deref().map(str::trim).filter(|url| !url.is_empty());
        let auth_url: Option<BaseUrl> = auth_url.map(str::parse).transpose().map_err(|error| {
            Error::new(ErrorKind::Invalid, "reading OCI_SDK_AUTH_CLIENT_REGION_URL", "the environment")
                .said(format!("{error}"))
                .with_hint("unset it, or write https://auth.<region>.<domain>")
        })?;
        let options = ClientOptions {
            connect: limits.connect,
            request: limits.request,
            trusted_roots: None,
            http1_only: true,
            no_proxy: auth_url.as_ref().is_some_and(BaseUrl::is_loopback),
        };
        let http = options.build().map_err(|error| {
            Error::new(ErrorKind::Unexpected, "making an HTTPS client", "the authentication service")
                .said(error.to_string())
        })?;
        Ok(Self {
            metadata: Metadata::new(places.metadata_base_url.as_deref(), limits)?,
            http,
            auth_url,
            regions: regions.clone(),
            limits: *limits,
            clock: Arc::clone(clock),
            region: OnceCell::new(),
            id: OnceLock::new(),
            state: tokio::sync::Mutex::default(),
        })
    }

    /// What to sign with: the token that is there, or another one when it is about to end. While another one cannot be had,
    /// the old one is used to its end.
    pub(super) async fn key(&self) -> Result<SigningKey, Error> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        let now = self.clock.now();
        let current = state.current.clone();
        match current.as_ref().map(|current| (current, current.lifetime.standing(now))) {
            Some((current, Standing::Fresh)) => return Ok(current.key.clone()),
            Some((current, Standing::Due)) => {
                if state.failed.as_ref().is_some_and(|failed| failed.at.elapsed() < PAUSE) {
                    return Ok(current.key.clone());
                }
                let renewed = self.federate(&mut state, None).await;
                return Ok(renewed.unwrap_or_else(|error| {
                    tracing::warn!(
                        %error, ends = %current.lifetime.until, "no new token for this instance yet; the old one is used"
                    );
                    current.key.clone()
                }));
            }
            Some((_, Standing::Ended)) | None => {}
        }
        // Whoever waited while another one tried in vain need not try for as long again.
        if let Some(failed) = state.failed.as_ref().filter(|failed| failed.at >= asked) {
            return Err(failed.error.clone());
        }
        self.federate(&mut state, Some(self.deadline())).await
    }

    /// Gets another token, unless there is one already that is not the refused one.
    pub(super) async fn renew(&self, refused: &SigningKey) -> Result<bool, Error> {
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_none_or(|current| current.key.is(refused)) {
            self.federate(&mut state, Some(self.deadline())).await?;
        }
        Ok(true)
    }

    /// Where it runs.
    pub(super) async fn region(&self) -> Result<RegionInfo, Error> {
        self.region_within(Some(self.deadline())).await.cloned()
    }

    /// Its OCID, once it is known.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
    }

    async fn region_within(&self, deadline: Option<Instant>) -> Result<&RegionInfo, Error> {
        self.region.get_or_try_init(|| self.metadata.region(&*self.clock, deadline)).await
    }

    async fn federate(&self, state: &mut State, deadline: Option<Instant>) -> Result<SigningKey, Error> {
        let outcome = self.new_token(state.tenancy.as_deref(), deadline).await;
        match outcome {
            Ok((current, tenancy)) => {
                let key = current.key.clone();
                *state = State { current: Some(current), tenancy: Some(tenancy), failed: None };
                Ok(key)
            }
            Err(error) => {
                state.failed = Some(Failed { at: Instant::now(), error: error.clone() });
                Err(error)
            }
        }
    }

    async fn new_token(&self, known: Option<&str>, deadline: Option<Instant>) -> Result<(Current, String), Error> {
        let mut refused = false;
        loop {
            let identity = self.metadata.identity(&*self.clock, deadline).await?;
            if let Some(known) = known.filter(|known| *known != identity.tenancy) {
                return Err(Error::new(ErrorKind::Denied, "reading the instance's identity", "the metadata service")
                    .said(format!("the certificate names tenancy {}, before it was {known}", identity.tenancy))
                    .with_hint("an instance does not change its tenancy: who answers for the metadata service?"));
            }
            if let Some(id) = &identity.instance {
                self.id.get_or_init(|| id.clone());
            }
            let url = self.federation_url(&identity, deadline).await?;
            let session = new_session_key().await?;
            let federation = Federation {
                http: &self.http,
                url: &url,
                backoff: &self.limits.backoff,
                clock: &*self.clock,
                deadline,
            };
            let issued = match federation.token(&identity, &session).await {
                Ok(issued) => issued,
                // The certificate may have been replaced just now.
                Err(Refusal::Certificate(_)) if !refused => {
                    refused = true;
                    continue;
                }
                Err(Refusal::Certificate(error) | Refusal::Other(error)) => return Err(error),
            };
            self.look_at(&issued.lifetime, &url)?;
            tracing::debug!(ends = %issued.lifetime.until, "a new token for this instance");
            let key = SigningKey::with_token(session, issued.token.text);
            return Ok((Current { key, lifetime: issued.lifetime }, identity.tenancy));
        }
    }

    /// A token that has ended when it comes would be asked for again without end.
    fn look_at(&self, lifetime: &Lifetime, url: &Url) -> Result<(), Error> {
        if lifetime.until > lifetime.from {
            return Ok(());
        }
        let said =
            format!("its new token ended at {}, by this machine's clock it is {}", lifetime.until, lifetime.from);
        Err(Error::new(ErrorKind::Denied, "POST /v1/x509", format!("the authentication service {url}"))
            .said(said)
            .with_hint("is this machine's clock right?"))
    }

    async fn federation_url(&self, identity: &Identity, deadline: Option<Instant>) -> Result<Url, Error> {
        if let Some(base) = &self.auth_url {
            return Ok(base.join(PATH));
        }
        let region = self.region_within(deadline).await?;
        let base = self.regions.auth_endpoint(region, identity.realm()).map_err(|problem| {
            Error::new(
                ErrorKind::Invalid,
                "finding the authentication service",
                format!("region {}", region.identifier),
            )
            .said(problem)
            .with_hint("set OCI_SDK_AUTH_CLIENT_REGION_URL to https://auth.<region>.<domain>")
        })?;
        Ok(base.join(PATH))
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.limits.retry.min(LONGEST_WAIT)
    }
}

/// RSA 2048, as the service wants it. It takes a moment of a processor.
async fn new_session_key() -> Result<RsaKeyPair, Error> {
    let made = tokio::task::spawn_blocking(|| RsaKeyPair::generate(KeySize::Rsa2048)).await;
    made.ok().and_then(Result::ok).ok_or_else(|| {
        Error::new(ErrorKind::Unexpected, "making a key", "the instance's session").said("no RSA key could be made")
    })
}

const PATH: [&str; 2] = ["v1", "x509"];

/// For metadata and token together: whoever runs elsewhere than on an instance should not wait for minutes to be told so.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Between two attempts to replace a token that still holds.
const PAUSE: Duration = Duration::from_secs(20);
