//! Requests with everything around them: redirects of a GET, nonces, signatures, and the bounded retry.

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::{Body, Request};

use crate::account_key::AccountKey;
use crate::client::Client;
use crate::error::{Error, ErrorKind, Operation};
use crate::jws::Jws;
use crate::nonce;
use crate::patience::Patience;
use crate::problem::ProblemType;
use crate::resource_url::ResourceUrl;
use crate::transport::{Answer, JSON_LIMIT, Lost};

/// Whether a request may be sent again when its answer got lost.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It only reads, or doing it twice is doing it once.
    Always,
    /// Only when it certainly had no effect: it never left, or the CA refused it.
    OnlyIfRefused,
}

/// One signed request.
pub(crate) struct Post<'a> {
    pub(crate) operation: Operation,
    pub(crate) url: &'a ResourceUrl,
    pub(crate) key: &'a AccountKey,
    /// Without it the JWS carries the key itself.
    pub(crate) account_url: Option<&'a ResourceUrl>,
    /// Empty for a POST-as-GET.
    pub(crate) payload: String,
    pub(crate) accept: &'static str,
    pub(crate) limit: usize,
    pub(crate) repeat: Repeat,
}

impl<'a> Post<'a> {
    /// POST-as-GET of a JSON resource.
    pub(crate) fn read(
        operation: Operation,
        url: &'a ResourceUrl,
        key: &'a AccountKey,
        account_url: &'a ResourceUrl,
    ) -> Self {
        Self {
            operation,
            url,
            key,
            account_url: Some(account_url),
            payload: String::new(),
            accept: "application/json",
            limit: JSON_LIMIT,
            repeat: Repeat::Always,
        }
    }
}

impl Client {
    /// A signed request; an answer without success is an error.
    pub(crate) async fn post(&self, post: Post<'_>) -> Result<Answer, Error> {
        self.inner.transport.admit(post.operation, post.url)?;
        let mut patience = self.patience();
        let mut attempts = 0;
        let mut bad_nonces = 0;
        let mut nonce = None;
        loop {
            let this_nonce = match nonce.take() {
                Some(nonce) => nonce,
                None => self.nonce(&mut patience).await?,
            };
            let request = signed_request(&post, &this_nonce)?;
            attempts += 1;
            let outcome = self.inner.transport.exchange(post.operation, post.url, request, post.limit).await;
            if let Ok(answer) = &outcome {
                nonce = nonce::from_headers(&answer.headers);
                if answer.status.is_success() {
                    nonce.into_iter().for_each(|nonce| self.inner.nonces.put(nonce));
                    return outcome.map_err(|lost| lost.error);
                }
            }
            let failure = Failure::new(outcome, post.repeat, attempts - bad_nonces);
            // The CA judges the nonce before anything else, so the request had no effect.
            if failure.error.problem_type() == Some(&ProblemType::BadNonce) && bad_nonces < MAX_BAD_NONCES {
                bad_nonces += 1;
                continue;
            }
            // This nonce may be used by others while this call waits.
            nonce.take().into_iter().for_each(|nonce| self.inner.nonces.put(nonce));
            if !failure.may_repeat || !patience.wait(failure.error.retry_after()).await {
                return Err(failure.error);
            }
        }
    }

    /// An unsigned GET, which follows a few redirects; an answer without success is an error.
    pub(crate) async fn get(&self, operation: Operation, url: &ResourceUrl) -> Result<Answer, Error> {
        let mut patience = self.patience();
        let mut url = url.clone();
        let mut redirects = 0;
        loop {
            let answer = self.read(operation, Method::GET, &url, &mut patience).await?;
            if answer.status.is_success() {
                return Ok(answer);
            }
            let target = match answer.location() {
                Ok(Some(target)) => target,
                Ok(None) => return Err(answer.to_error()),
                Err(error) => return Err(answer.malformed(format!("the redirect cannot be followed: {error}"))),
            };
            if redirects == MAX_REDIRECTS {
                return Err(answer.malformed(format!("more than {MAX_REDIRECTS} redirects")));
            }
            redirects += 1;
            url = target;
        }
    }

    /// A nonce from the pool, or a fresh one.
    async fn nonce(&self, patience: &mut Patience<'_>) -> Result<String, Error> {
        if let Some(nonce) = self.inner.nonces.take() {
            return Ok(nonce);
        }
        let directory = self.directory().await?;
        // The semaphore is never closed; were it, going without is right.
        let _permit = self.inner.nonces.gate.acquire().await.ok();
        if let Some(nonce) = self.inner.nonces.take() {
            return Ok(nonce);
        }
        let answer = self.read(Operation::NewNonce, Method::HEAD, &directory.new_nonce, patience).await?;
        if !answer.status.is_success() {
            return Err(answer.to_error());
        }
        nonce::from_headers(&answer.headers)
            .ok_or_else(|| answer.malformed("the answer has no usable Replay-Nonce header"))
    }

    /// An unsigned GET or HEAD with retries. Redirects come back as they are.
    async fn read(
        &self,
        operation: Operation,
        method: Method,
        url: &ResourceUrl,
        patience: &mut Patience<'_>,
    ) -> Result<Answer, Error> {
        self.inner.transport.admit(operation, url)?;
        let mut attempts = 0;
        loop {
            let request = Request::new(method.clone(), url.as_url().clone());
            attempts += 1;
            let outcome = self.inner.transport.exchange(operation, url, request, JSON_LIMIT).await;
            let outcome = match outcome {
                Ok(answer) if answer.status.is_success() || answer.status.is_redirection() => return Ok(answer),
                other => other,
            };
            let failure = Failure::new(outcome, Repeat::Always, attempts);
            if !failure.may_repeat || !patience.wait(failure.error.retry_after()).await {
                return Err(failure.error);
            }
        }
    }

    fn patience(&self) -> Patience<'_> {
        Patience::new(self.inner.retry_budget, &self.inner.jitter)
    }
}

fn signed_request(post: &Post<'_>, nonce: &str) -> Result<Request, Error> {
    let kid = post.account_url.map(ResourceUrl::as_str);
    // What the CA compares is the URL as requested, which is the parsed one.
    let body = Jws::request(post.key, kid, post.url.as_url().as_str(), nonce, &post.payload)
        .and_then(|jws| jws.to_json())
        .map_err(|error| {
            Error::new(ErrorKind::Key, post.operation, "the request cannot be signed").at(post.url).with_source(error)
        })?;
    let mut request = Request::new(Method::POST, post.url.as_url().clone());
    request.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/jose+json"));
    request.headers_mut().insert(ACCEPT, http::HeaderValue::from_static(post.accept));
    *request.body_mut() = Some(Body::from(body));
    Ok(request)
}

/// A failed attempt, judged.
struct Failure {
    error: Error,
    may_repeat: bool,
}

impl Failure {
    fn new(outcome: Result<Answer, Lost>, repeat: Repeat, attempts: u32) -> Self {
        let (error, may_repeat, effect_unknown) = match outcome {
            Ok(answer) => {
                let error = answer.to_error();
                let (may_repeat, effect_unknown) = judge_answer(&error, answer.status, repeat);
                (error, may_repeat, effect_unknown)
            }
            Err(lost) => {
                let harmless = !lost.was_sent || repeat == Repeat::Always;
                (lost.error, harmless && lost.may_pass, !harmless)
            }
        };
        let error = error.with_attempts(attempts);
        Self { error: if effect_unknown { error.with_effect_unknown() } else { error }, may_repeat }
    }
}

/// May the request be repeated, and is its effect unknown?
fn judge_answer(error: &Error, status: StatusCode, repeat: Repeat) -> (bool, bool) {
    match status {
        // A limit without an end (Let's Encrypt's pause) is for a human to lift.
        StatusCode::TOO_MANY_REQUESTS if error.problem().is_some() => (error.retry_after().is_some(), false),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => (true, false),
        StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            (repeat == Repeat::Always, repeat == Repeat::OnlyIfRefused)
        }
        other => (false, other.is_server_error() && repeat == Repeat::OnlyIfRefused),
    }
}

/// Pebble refuses one good nonce in twenty on purpose, and can be told to refuse one in two. Then ten in a row are
/// nothing rare within the hundreds of requests for a certificate of a hundred names; twenty mean something else.
const MAX_BAD_NONCES: u32 = 20;
const MAX_REDIRECTS: u32 = 3;
