//! Requests: found, counted, struck by faults, checked, answered (RFC 8555 §6 and §7).

use std::sync::Arc;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderValue, LINK, LOCATION, USER_AGENT};
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value, json};

use super::faults::{self, Answer, Endpoint};
use super::jws::{Jws, PublicKey, Signer, verify_binding};
use super::problem::{Problem, Reply, json_reply};
use super::resources;
use super::state::{AuthorizationStatus, Ca, Challenge, State};
use super::{ari, issuance, validation};

/// More than any client's request needs: a CSR for 100 names is under 16 KiB.
const LARGEST_BODY: usize = 256 * 1024;

const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Account(usize),
    Authorization(usize),
    Certificate(usize),
    Challenge(usize, String),
    Directory,
    Finalize(usize),
    NewAccount,
    NewNonce,
    NewOrder,
    Order(usize),
    RenewalInfo(String),
}

impl Ca {
    /// Answers a request; `None` closes the connection.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Option<Reply> {
        let Some(target) = Target::parse(request.uri().path()) else {
            return Some(self.finish(Problem::not_found("resource").reply()));
        };
        let endpoint = target.endpoint();
        let fault = {
            let mut state = self.state();
            *state.counts.entry(endpoint).or_default() += 1;
            state.faults.strike(endpoint)
        };
        match &fault {
            Some(Answer::DropBefore) => return None,
            Some(Answer::Hang) => self.hang().await,
            Some(Answer::DropAfter | Answer::HangAfter) | None => {}
            Some(other) => {
                let now = self.state().now();
                return Some(self.finish(faults::reply(other, now)?));
            }
        }
        let answered = self.handle(&target, request).await;
        match fault {
            Some(Answer::HangAfter) => self.hang().await,
            Some(_) => None,
            None => Some(self.finish(answered.unwrap_or_else(|problem| problem.reply()))),
        }
    }

    /// Never answers.
    async fn hang<T>(&self) -> T {
        self.state().hanging += 1;
        std::future::pending().await
    }

    /// Headers of every answer.
    fn finish(&self, mut reply: Reply) -> Reply {
        let mut state = self.state();
        let headers = reply.headers_mut();
        let date = httpdate::fmt_http_date(state.now().into());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, no-cache"));
        headers.extend(HeaderValue::from_str(&date).ok().map(|date| (DATE, date)));
        headers.extend(HeaderValue::from_str(&state.new_nonce()).ok().map(|nonce| (REPLAY_NONCE, nonce)));
        let index = format!("<{}/directory>;rel=\"index\"", self.base);
        headers.extend(HeaderValue::from_str(&index).ok().map(|link| (LINK, link)));
        reply
    }

    async fn handle(self: &Arc<Self>, target: &Target, request: Request<Incoming>) -> Result<Reply, Problem> {
        if !request.headers().contains_key(USER_AGENT) {
            return Err(Problem::malformed("a User-Agent is required (RFC 8555 §6.1)"));
        }
        match (target, request.method()) {
            (Target::Directory, &Method::GET) => Ok(json_reply(StatusCode::OK, &self.directory())),
            (Target::NewNonce, &Method::HEAD) => Ok(Response::new(Full::default())),
            (Target::NewNonce, &Method::GET) => {
                let mut reply = Response::new(Full::default());
                *reply.status_mut() = StatusCode::NO_CONTENT;
                Ok(reply)
            }
            (Target::RenewalInfo(_), _) if !self.state().behaviour.offers_ari => Err(Problem::not_found("resource")),
            (Target::RenewalInfo(id), &Method::GET) => ari::renewal_info(&self.state(), id),
            (Target::Directory | Target::NewNonce | Target::RenewalInfo(_), _) => Err(not_allowed()),
            (_, &Method::POST) => self.post(target, request).await,
            _ => Err(not_allowed()),
        }
    }

    async fn post(self: &Arc<Self>, target: &Target, request: Request<Incoming>) -> Result<Reply, Problem> {
        let (parts, body) = request.into_parts();
        if parts.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != "application/jose+json") {
            let detail = "the content type must be application/jose+json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "malformed", detail));
        }
        let body = Limited::new(body, LARGEST_BODY).collect().await;
        let body = body.map_err(|error| Problem::malformed(format!("the body: {error}")))?.to_bytes();
        let jws = Jws::parse(&body)?;
        if jws.url != format!("{}{}", self.base, parts.uri.path()) {
            return Err(Problem::unauthorized(format!("the JWS is for {}", jws.url)));
        }
        let mut state = self.state();
        use_nonce(&mut state, &jws.nonce)?;
        if *target == Target::NewAccount {
            let Signer::Key(key) = &jws.signer else {
                return Err(Problem::malformed("newAccount is signed with a jwk"));
            };
            jws.verify(key)?;
            return self.new_account(&mut state, key.clone(), &object(&jws.payload)?);
        }
        let account = self.signing_account(&state, &jws)?;
        match target {
            Target::Account(id) => self.account(&mut state, account, *id, &jws.payload),
            Target::Authorization(id) => {
                post_as_get(&jws)?;
                owned(&state.authorizations, *id, "authorization", |one| one.account == account)?;
                Ok(resources::authorization(self, &state, *id))
            }
            Target::Certificate(id) => {
                post_as_get(&jws)?;
                let certificate = owned(&state.certificates, *id, "certificate", |one| one.account == account)?;
                let mut reply = Response::new(Full::from(certificate.chain_pem.clone()));
                let kind = HeaderValue::from_static("application/pem-certificate-chain");
                reply.headers_mut().insert(CONTENT_TYPE, kind);
                Ok(reply)
            }
            Target::Challenge(id, kind) => {
                let authorization = owned(&state.authorizations, *id, "challenge", |one| one.account == account)?;
                let kind = authorization.offered().find(|offered| offered.as_str() == kind);
                let kind = kind.ok_or_else(|| Problem::not_found("challenge"))?;
                if !state.validates(kind) {
                    return Err(Problem::malformed(format!("the lab does not validate {}", kind.as_str())));
                }
                // An empty payload only reads (RFC 8555 §6.3).
                if !jws.payload.is_empty() {
                    object(&jws.payload)?;
                    self.respond(&mut state, account, *id, kind);
                }
                Ok(resources::challenge(self, &state, *id, kind))
            }
            Target::Finalize(id) => {
                owned(&state.orders, *id, "order", |one| one.account == account)?;
                issuance::finalize(&mut state, *id, &object(&jws.payload)?)?;
                Ok(resources::order(self, &state, *id))
            }
            Target::NewOrder => {
                let id = issuance::new_order(&mut state, account, &object(&jws.payload)?)?;
                let mut reply = resources::order(self, &state, id);
                *reply.status_mut() = StatusCode::CREATED;
                with_location(&mut reply, &format!("{}/order/{id}", self.base));
                Ok(reply)
            }
            Target::Order(id) => {
                post_as_get(&jws)?;
                owned(&state.orders, *id, "order", |one| one.account == account)?;
                let reply = resources::order(self, &state, *id);
                if let Some(reads) = &mut state.orders[*id].processing_reads {
                    *reads = reads.saturating_sub(1);
                }
                Ok(reply)
            }
            Target::Directory | Target::NewAccount | Target::NewNonce | Target::RenewalInfo(_) => Err(not_allowed()),
        }
    }

    fn directory(&self) -> Value {
        let state = self.state();
        let profiles = state.behaviour.profiles.iter().map(|(name, _)| (name.clone(), json!("a profile of the lab")));
        let mut directory = json!({
            "newNonce": format!("{}/new-nonce", self.base),
            "newAccount": format!("{}/new-account", self.base),
            "newOrder": format!("{}/new-order", self.base),
            "a key that nobody knows": "https://some-domain.test/clients-must-ignore-this",
            "meta": {
                "termsOfService": format!("{}/terms", self.base),
                "caaIdentities": ["lab.test"],
                "externalAccountRequired": !state.behaviour.external_account_keys.is_empty(),
                "profiles": profiles.collect::<Map<_, _>>(),
            },
        });
        if state.behaviour.offers_ari {
            directory["renewalInfo"] = json!(format!("{}/renewal-info", self.base));
        }
        directory
    }

    fn signing_account(&self, state: &State, jws: &Jws) -> Result<usize, Problem> {
        let Signer::Account(url) = &jws.signer else {
            return Err(Problem::malformed("this request is signed with a kid"));
        };
        let id = url.strip_prefix(&format!("{}/account/", self.base)).and_then(|id| id.parse().ok());
        let account = state.accounts.iter().find(|account| Some(account.id) == id).ok_or_else(no_account)?;
        jws.verify(&account.key)?;
        if account.deactivated {
            return Err(deactivated());
        }
        Ok(account.id)
    }

    fn new_account(&self, state: &mut State, key: PublicKey, payload: &Map<String, Value>) -> Result<Reply, Problem> {
        if let Some(account) = state.accounts.iter().find(|account| account.key == key) {
            // RFC 8555 §7.3.6: nothing that this key signs is accepted any more.
            if account.deactivated {
                return Err(deactivated());
            }
            let mut reply = resources::account(account);
            with_location(&mut reply, &format!("{}/account/{}", self.base, account.id));
            return Ok(reply);
        }
        if payload.get("onlyReturnExisting") == Some(&json!(true)) {
            return Err(no_account());
        }
        if payload.get("termsOfServiceAgreed") != Some(&json!(true)) {
            let detail = "the terms of service must be agreed to";
            return Err(Problem::new(StatusCode::FORBIDDEN, "userActionRequired", detail));
        }
        let keys = state.behaviour.external_account_keys.clone();
        if !keys.is_empty() {
            let binding = payload.get("externalAccountBinding").ok_or_else(|| {
                Problem::new(StatusCode::FORBIDDEN, "externalAccountRequired", "an external account is required")
            })?;
            let hmac_key = |kid: &str| keys.iter().find(|key| key.kid == kid).map(|key| key.hmac_key.clone());
            verify_binding(binding, &key, &format!("{}/new-account", self.base), hmac_key)?;
        }
        let contact = resources::contact(payload)?;
        let account = state.new_account(key, contact);
        let id = account.id;
        let mut reply = resources::account(account);
        *reply.status_mut() = StatusCode::CREATED;
        with_location(&mut reply, &format!("{}/account/{id}", self.base));
        Ok(reply)
    }

    fn account(&self, state: &mut State, signer: usize, id: usize, payload: &[u8]) -> Result<Reply, Problem> {
        if signer != id {
            return Err(Problem::unauthorized("the account is another one's"));
        }
        let account = state.accounts.iter_mut().find(|account| account.id == id).ok_or_else(no_account)?;
        if !payload.is_empty() {
            let payload = object(payload)?;
            if payload.contains_key("contact") {
                account.contact = resources::contact(&payload)?;
            }
            account.deactivated |= payload.get("status") == Some(&json!("deactivated"));
        }
        Ok(resources::account(account))
    }

    /// RFC 8555 §7.5.1: the client says that its response is in place.
    fn respond(self: &Arc<Self>, state: &mut State, account: usize, id: usize, kind: Challenge) {
        let Some(account) = state.accounts.iter().find(|one| one.id == account) else { return };
        let authorization = &mut state.authorizations[id];
        if authorization.status == AuthorizationStatus::Pending && !authorization.validating {
            authorization.answered = Some(kind);
            authorization.validating = true;
            let key_authorization = format!("{}.{}", authorization.token, account.key.thumbprint);
            validation::begin(self, id, kind, key_authorization);
        }
    }
}

impl Target {
    fn parse(path: &str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        Some(match segments.as_slice() {
            ["directory"] => Self::Directory,
            ["new-nonce"] => Self::NewNonce,
            ["new-account"] => Self::NewAccount,
            ["new-order"] => Self::NewOrder,
            ["account", id] => Self::Account(id.parse().ok()?),
            ["authorization", id] => Self::Authorization(id.parse().ok()?),
            ["challenge", id, kind] => Self::Challenge(id.parse().ok()?, (*kind).to_owned()),
            ["order", id] => Self::Order(id.parse().ok()?),
            ["order", id, "finalize"] => Self::Finalize(id.parse().ok()?),
            ["certificate", id] => Self::Certificate(id.parse().ok()?),
            ["renewal-info", id] => Self::RenewalInfo((*id).to_owned()),
            _ => return None,
        })
    }

    fn endpoint(&self) -> Endpoint {
        match self {
            Self::Account(_) => Endpoint::Account,
            Self::Authorization(_) => Endpoint::Authorization,
            Self::Certificate(_) => Endpoint::Certificate,
            Self::Challenge(..) => Endpoint::Challenge,
            Self::Directory => Endpoint::Directory,
            Self::Finalize(_) => Endpoint::Finalize,
            Self::NewAccount => Endpoint::NewAccount,
            Self::NewNonce => Endpoint::NewNonce,
            Self::NewOrder => Endpoint::NewOrder,
            Self::Order(_) => Endpoint::Order,
            Self::RenewalInfo(_) => Endpoint::RenewalInfo,
        }
    }
}

/// A nonce is good once, and some good ones are rejected where the lab's owner wants it.
fn use_nonce(state: &mut State, nonce: &str) -> Result<(), Problem> {
    let bad = || Problem::new(StatusCode::BAD_REQUEST, "badNonce", "the nonce is not one of ours, or was used");
    let known = state.nonces.remove(nonce);
    let rejection = u64::from(state.behaviour.nonce_rejection);
    let rejected = rejection > 0 && state.random_below(100) < rejection;
    if known && !rejected { Ok(()) } else { Err(bad()) }
}

fn post_as_get(jws: &Jws) -> Result<(), Problem> {
    if jws.payload.is_empty() { Ok(()) } else { Err(Problem::malformed("POST-as-GET has an empty payload")) }
}

fn object(payload: &[u8]) -> Result<Map<String, Value>, Problem> {
    serde_json::from_slice(payload).map_err(|error| Problem::malformed(format!("the payload: {error}")))
}

fn owned<'a, T>(all: &'a [T], id: usize, what: &str, is_own: impl FnOnce(&T) -> bool) -> Result<&'a T, Problem> {
    let one = all.get(id).ok_or_else(|| Problem::not_found(what))?;
    if is_own(one) { Ok(one) } else { Err(Problem::unauthorized(format!("the {what} is another account's"))) }
}

fn with_location(reply: &mut Reply, url: &str) {
    reply.headers_mut().extend(HeaderValue::from_str(url).ok().map(|url| (LOCATION, url)));
}

fn no_account() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "accountDoesNotExist", "there is no such account")
}

fn deactivated() -> Problem {
    Problem::unauthorized("the account is deactivated")
}

fn not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "malformed", "the method is not allowed here")
}
