//! Calls to the controller: logged in once for all of them, repeated while that can help.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use certferry_core::{Clock, Error, ErrorKind, LoadBalancerName, Retry};
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::config::{AviConfig, Credential, Limits};
use super::lookup::Hosts;
use super::model::Collection;
use super::retry::{Failure, Meaning, Reaction, Refused};
use super::session::{NoSession, Session, login_form};
use super::version::ApiVersion;
use crate::http::{Answer, BaseUrl, ClientOptions, exchange, jitter, retry_after};

/// The controller, as one tenant's client.
pub(super) struct Api {
    name: LoadBalancerName,
    base: BaseUrl,
    username: String,
    credential: Credential,
    tenant: String,
    http: reqwest::Client,
    clock: Arc<dyn Clock>,
    login: Mutex<Login>,
    pub(super) hosts: Hosts,
    pub(super) limits: Limits,
    /// Whether the controller refused an answer in a security rule for the sake of its licence.
    pub(super) security_answers_refused: AtomicBool,
}

/// One call.
pub(super) struct Call {
    pub(super) method: Method,
    /// The word in the path and in errors.
    pub(super) collection: Collection,
    pub(super) uuid: Option<String>,
    pub(super) query: Vec<(&'static str, String)>,
    /// May hold a private key: never printed.
    pub(super) body: Option<Bytes>,
}

/// A call as it goes out.
struct Exchange<'a> {
    method: &'a Method,
    url: &'a Url,
    body: Option<&'a Bytes>,
    tenant: &'a str,
}

/// A call that did not succeed.
pub(super) enum Failed {
    /// It was not sent: there is no session.
    Login(Error),
    /// It was sent.
    Call(Failure),
}

/// The session, and what is known of a login that was refused.
#[derive(Default)]
struct Login {
    session: Option<Arc<Session>>,
    logins: u64,
    refused: Option<(Instant, Error)>,
}

impl Api {
    /// Prepares the client. No call is made.
    pub(super) fn new(name: LoadBalancerName, config: &AviConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let subject = format!("load balancer `{name}`");
        if config.tenant.is_empty() || HeaderValue::from_str(&config.tenant).is_err() {
            return Err(Error::new(ErrorKind::Invalid, "choosing the tenant", subject)
                .said(format!("`{}` cannot be the name of a tenant", config.tenant.escape_default()))
                .with_hint("write the tenant's name as the controller shows it"));
        }
        let options = ClientOptions {
            connect: config.limits.connect,
            request: config.limits.request,
            trusted_roots: config.trusted_roots.clone(),
            http1_only: false,
            no_proxy: config.controller.is_loopback(),
        };
        let http = options.build().map_err(|error| {
            Error::new(ErrorKind::Invalid, "making an HTTPS client", subject)
                .said(error.to_string())
                .with_hint("look at trusted-roots of the load balancer")
        })?;
        Ok(Self {
            name,
            base: config.controller.clone(),
            username: config.username.clone(),
            credential: config.credential.clone(),
            tenant: config.tenant.clone(),
            http,
            clock,
            login: Mutex::default(),
            hosts: Hosts::of(config),
            limits: config.limits,
            security_answers_refused: AtomicBool::new(false),
        })
    }

    /// The load balancer's name in the config.
    pub(super) fn name(&self) -> &LoadBalancerName {
        &self.name
    }

    /// An object of this load balancer, for people.
    pub(super) fn subject(&self, object: &str) -> String {
        format!("{object} of load balancer `{}`", self.name)
    }

    /// Whose rights count, for people.
    pub(super) fn role(&self) -> String {
        format!("the role of user `{}` in tenant `{}`", self.username, self.tenant)
    }

    /// Where the controller is.
    pub(super) fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The tenant that objects are in.
    pub(super) fn tenant_name(&self) -> &str {
        &self.tenant
    }

    /// The version of the API that is spoken. Logs in when nobody has yet.
    pub(super) async fn version(&self) -> Result<ApiVersion, Error> {
        Ok(self.session(None).await?.version)
    }

    /// The licence tier, where this user sees it. Logs in when nobody has yet.
    pub(super) async fn tier(&self) -> Result<Option<String>, Error> {
        Ok(self.session(None).await?.tier.clone())
    }

    /// Makes a call once; a session that has ended is renewed, once.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Failed> {
        let url = self.url(call);
        let tenant = call.collection.tenant(&self.tenant);
        self.exchange(&Exchange { method: &call.method, url: &url, body: call.body.as_ref(), tenant }).await
    }

    /// A read of an address that must be the controller's: the session goes with it.
    pub(super) async fn send_to(&self, method: &Method, url: &Url) -> Result<Answer, Failed> {
        self.exchange(&Exchange { method, url, body: None, tenant: &self.tenant }).await
    }

    async fn exchange(&self, call: &Exchange<'_>) -> Result<Answer, Failed> {
        let session = self.session(None).await.map_err(Failed::Login)?;
        match self.attempt(call, &session).await {
            Err(failure) if failure.meaning() == Some(Meaning::SessionEnded) => {
                let session = self.session(Some(session.number)).await.map_err(Failed::Login)?;
                self.attempt(call, &session).await.map_err(Failed::Call)
            }
            outcome => outcome.map_err(Failed::Call),
        }
    }

    /// Every object of a type that `query` finds, page by page.
    pub(super) async fn list(
        &self,
        collection: Collection,
        query: &[(&'static str, String)],
    ) -> Result<Vec<Value>, Error> {
        let mut objects: Vec<Value> = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut query = query.to_vec();
            query.extend(collection.fields().map(|fields| ("fields", fields.to_owned())));
            query.push(("page_size", PAGE_SIZE.to_string()));
            query.push(("page", page.to_string()));
            let call = Call { method: Method::GET, collection, uuid: None, query, body: None };
            let Some(mut answer) = self.read_page(&call, page).await? else { break };
            if let Some(Value::Array(results)) = answer.get_mut("results").map(Value::take) {
                objects.extend(results.into_iter().filter(Value::is_object));
            }
            if answer.get("next").is_none_or(Value::is_null) {
                break;
            }
        }
        Ok(objects)
    }

    /// `None` for a page past the end: objects may go while they are counted.
    async fn read_page(&self, call: &Call, page: u32) -> Result<Option<Value>, Error> {
        let deadline = Instant::now() + self.limits.retry;
        let mut failures = 0;
        let answer = loop {
            let failure = match self.send(call).await {
                Ok(answer) => break answer,
                Err(Failed::Login(error)) => return Err(error),
                Err(Failed::Call(failure)) => failure,
            };
            if page > 1 && failure.said().contains("no results") {
                return Ok(None);
            }
            failures += 1;
            let wait = self.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            if failure.reaction() != Reaction::Wait || Instant::now() + wait >= deadline {
                return Err(self.call_error(&call.operation(), call.collection.plural(), call, &failure));
            }
            tracing::debug!(load_balancer = %self.name, ?wait, failure = failure.said(), "sent again");
            tokio::time::sleep(wait).await;
        };
        match serde_json::from_slice::<Value>(&answer.body) {
            Ok(body) if body.get("results").is_some_and(Value::is_array) => Ok(Some(body)),
            _ => Err(Error::new(ErrorKind::Unexpected, call.operation(), self.subject(call.collection.plural()))
                .said(format!("{} is not a list of objects: {}", answer.status, answer.excerpt()))
                .with_hint(format!("is {} the controller, and not a proxy or portal?", self.base))),
        }
    }

    /// A failed call as an error.
    pub(super) fn call_error(&self, operation: &str, object: &str, call: &Call, failure: &Failure) -> Error {
        let permission = call.collection.permission();
        let error = self.failure_error(operation, object, &call.method, permission, failure);
        let tenant = call.collection.tenant(&self.tenant);
        match failure.meaning() {
            Some(Meaning::Denied) if call.collection.is_for_set_up() => error.with_hint(format!(
                "user `{}` needs {permission} with {} in tenant `{tenant}`: log in as an administrator for the set-up, or \
                 let an administrator paste what `--print` shows",
                self.username,
                access(&call.method),
            )),
            Some(Meaning::TenantUnknown) => error.with_hint(self.tenant_hint(tenant)),
            _ => error,
        }
    }

    /// A failed call that takes a permission, as an error.
    pub(super) fn failure_error(
        &self,
        operation: &str,
        object: &str,
        method: &Method,
        permission: &str,
        failure: &Failure,
    ) -> Error {
        let lost_effect =
            *method != Method::GET && matches!(failure, Failure::Lost(lost) if lost.may_have_had_effect());
        let kind = if lost_effect { ErrorKind::EffectUnknown } else { failure.kind() };
        let error = Error::new(kind, operation, self.subject(object))
            .said(failure.said())
            .with_hint(self.hint(permission, method, failure));
        match failure.asked_wait() {
            Some(wait) => error.with_retry(Retry::After(wait)),
            None => error,
        }
    }

    fn hint(&self, permission: &str, method: &Method, failure: &Failure) -> String {
        let Some(meaning) = failure.meaning() else {
            return format!("is {} reachable from here?", self.base);
        };
        match meaning {
            Meaning::AlreadyExists => {
                "another object has that name, and this user does not see it; rename or remove it".to_owned()
            }
            Meaning::Changed => "who else changes this object? The controller's configuration events tell".to_owned(),
            Meaning::Denied => format!(
                "{} needs {permission} with {} (`certferry policy {}` prints the least role)",
                self.role(),
                access(method),
                self.name
            ),
            Meaning::InUse => "take the reference away first".to_owned(),
            Meaning::NoCommonName => "the controller needs a common name: choose a profile that keeps it (Let's \
                                      Encrypt: `profile: classic`)"
                .to_owned(),
            Meaning::NotOffered => format!("is {} an Avi controller, {} or later?", self.base, ApiVersion::OLDEST),
            Meaning::SessionEnded => {
                "the controller ends each session at once: are its clock and cookies in order, and \
                                      does a proxy drop headers?"
                    .to_owned()
            }
            Meaning::TenantUnknown => self.tenant_hint(&self.tenant),
            Meaning::TooMany => "who else calls the controller so often?".to_owned(),
            Meaning::Unavailable => {
                "the controller is starting, being upgraded or changing its leader; it is tried again".to_owned()
            }
            Meaning::VersionRefused => {
                format!("certferry speaks versions {} to {}", ApiVersion::OLDEST, ApiVersion::NEWEST)
            }
            Meaning::Invalid | Meaning::NotFound | Meaning::Unexpected => {
                "what the controller says names the field or object".to_owned()
            }
        }
    }

    fn tenant_hint(&self, tenant: &str) -> String {
        format!("does tenant `{tenant}` exist, and has user `{}` a role in it?", self.username)
    }

    async fn attempt(&self, call: &Exchange<'_>, session: &Session) -> Result<Answer, Failure> {
        let mut request = self
            .http
            .request(call.method.clone(), call.url.clone())
            .headers(session.headers(call.tenant, self.base.as_url().as_str()))
            .header(ACCEPT, JSON);
        if let Some(body) = call.body {
            request = request.header(CONTENT_TYPE, JSON).body(body.clone());
        }
        let answer = exchange(request, MAX_ANSWER).await.map_err(Failure::Lost)?;
        session.absorb(&answer.headers);
        self.checked(answer)
    }

    fn checked(&self, answer: Answer) -> Result<Answer, Failure> {
        if answer.status.is_success() {
            return Ok(answer);
        }
        let asked = answer.header("retry-after").and_then(|value| retry_after(value, self.clock.now()));
        Err(Failure::Refused(Box::new(Refused::new(&answer, asked))))
    }

    fn url(&self, call: &Call) -> Url {
        let path = ["api", call.collection.key()].into_iter().chain(call.uuid.as_deref());
        let mut url = self.base.join(path);
        if !call.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&call.query);
        }
        url
    }

    /// The session; a new one when there is none, or when it is the one that `ended`.
    async fn session(&self, ended: Option<u64>) -> Result<Arc<Session>, Error> {
        let mut login = self.login.lock().await;
        if let Some(session) = login.session.as_ref().filter(|session| Some(session.number) != ended) {
            return Ok(Arc::clone(session));
        }
        login.session = None;
        if let Some((at, error)) = &login.refused
            && at.elapsed() < self.limits.refused_login
        {
            return Err(error.clone());
        }
        login.logins += 1;
        match self.log_in(login.logins).await {
            Ok(session) => {
                let session = Arc::new(session);
                login.session = Some(Arc::clone(&session));
                login.refused = None;
                Ok(session)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Denied {
                    login.refused = Some((Instant::now(), error.clone()));
                }
                Err(error)
            }
        }
    }

    /// Ends the session, if there is one: a controller allows a user only so many at once. Whether it was heard does not
    /// matter; the controller ends idle ones by itself.
    pub(super) async fn log_out(&self) {
        let Some(session) = self.login.lock().await.session.take() else { return };
        let request = self
            .http
            .post(self.base.join(["logout"]))
            .headers(session.headers(&self.tenant, self.base.as_url().as_str()))
            .timeout(LOGOUT_WITHIN);
        if let Err(lost) = exchange(request, MAX_ANSWER).await {
            tracing::debug!(load_balancer = %self.name, "no answer to the logout: {lost}");
        }
    }

    async fn log_in(&self, number: u64) -> Result<Session, Error> {
        let error = |kind, said: String| Error::new(kind, LOGIN, format!("load balancer `{}`", self.name)).said(said);
        let deadline = Instant::now() + self.limits.retry;
        let form = login_form(&self.username, &self.credential);
        let mut failures = 0;
        let answer = loop {
            let request = self
                .http
                .post(self.base.join(["login"]))
                .header(ACCEPT, JSON)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.clone());
            let outcome = exchange(request, MAX_ANSWER).await.map_err(Failure::Lost);
            let failure = match outcome.and_then(|answer| self.checked(answer)) {
                Ok(answer) => break answer,
                Err(failure) => failure,
            };
            failures += 1;
            let wait = self.limits.backoff.wait(failures, jitter(), failure.asked_wait());
            if failure.reaction() != Reaction::Wait || Instant::now() + wait >= deadline {
                let error = error(failure.kind(), failure.said()).with_hint(self.login_hint(&failure));
                return Err(match failure.asked_wait() {
                    Some(wait) => error.with_retry(Retry::After(wait)),
                    None => error,
                });
            }
            tokio::time::sleep(wait).await;
        };
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        Session::new(number, &answer.headers, &body).map_err(|problem| match problem {
            NoSession::TooOld(_) => error(ErrorKind::NotOffered, problem.to_string())
                .with_hint("upgrade the controller; the objects of older ones are of another shape"),
            _ => error(ErrorKind::Unexpected, problem.to_string())
                .with_hint(format!("is {} the controller, and not a proxy or portal?", self.base)),
        })
    }

    fn login_hint(&self, failure: &Failure) -> String {
        match failure {
            Failure::Lost(_) => format!("is {} reachable from here?", self.base),
            Failure::Refused(refused) if matches!(refused.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                let minutes = self.limits.refused_login.as_secs() / 60;
                format!(
                    "are user `{}` and its password or token right, and is the user not locked? It is not tried again for \
                     {minutes} minutes, so that the controller does not lock it",
                    self.username
                )
            }
            Failure::Refused(_) => format!("is {} an Avi controller?", self.base),
        }
    }
}

impl Call {
    /// The call, for errors.
    pub(super) fn operation(&self) -> String {
        format!("{} {}", self.method, self.collection.key())
    }
}

/// What a call takes, in a role's words.
fn access(method: &Method) -> &'static str {
    if *method == Method::GET { "READ_ACCESS" } else { "WRITE_ACCESS" }
}

const LOGOUT_WITHIN: Duration = Duration::from_secs(3);
const LOGIN: &str = "POST login";
const JSON: &str = "application/json";

/// The most that the API gives at once.
const PAGE_SIZE: u32 = 200;

/// 100,000 objects of a type are more than a controller holds.
const MAX_PAGES: u32 = 500;

/// 200 certificates with their printed text are well below 4 MiB.
const MAX_ANSWER: usize = 16 << 20;
