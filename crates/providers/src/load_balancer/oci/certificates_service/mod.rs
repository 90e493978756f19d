//! OCI's Certificates service (<https://docs.oracle.com/iaas/api/#/en/certificatesmanagement/20210224/>), where load balancers
//! can have their certificates from: one certificate for each certificate of the config, whose current version they serve.
//!
//! A change is decided from what was read (`decide`), sent with If-Match, and looked at again until the service has done it:
//! there are no work requests, only the certificate's state.

mod decide;
mod model;
mod version_name;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use certferry_core::port::Bundle;
use certferry_core::{BundleName, Clock, Error, ErrorKind, LoadBalancerName, Sha256};
use futures_util::{StreamExt, stream};
use http::Method;
use jiff::SignedDuration;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::Instant;

use super::auth::Principals;
use super::change::Problem;
use super::config::{Limits, LoadBalancerId, OciConfig};
use super::hint::{Caller, CertificatesPart};
use super::retry::Reaction;
use super::session::{Call, Failed, Session, Target, new_retry_token};
use super::work_request::poll_interval;
use crate::http::jitter;
use decide::{Action, ActionKind, Body, Held, Next, SoFar, object};
pub(super) use decide::{KEY_TYPES, takes_key};
pub(super) use model::Certificate;
use model::{Association, Page, PublicBundle, Version};

/// The service, on behalf of one load balancer.
pub(super) struct Service {
    name: LoadBalancerName,
    load_balancer: LoadBalancerId,
    management: Session,
    retrieval: Session,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

/// What the service holds in one compartment, as far as it matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    /// Certificates that certferry made.
    own: Vec<Certificate>,
    /// Digests of the leaves that are served, by OCID; those that could not be read are not in it.
    digests: BTreeMap<String, Sha256>,
}

impl Holdings {
    /// By what name a certificate is known here: its own where certferry made it, its OCID otherwise.
    pub(super) fn name_of(&self, id: &str) -> BundleName {
        let own = self.own.iter().find(|certificate| certificate.id == id);
        BundleName::observed(own.map_or(id, |certificate| certificate.name.as_str()))
    }

    /// Those that are there and stay, with the digest of what they serve.
    pub(super) fn bundles(&self) -> impl Iterator<Item = (BundleName, Option<Sha256>)> {
        let live = self.own.iter().filter(|certificate| certificate.is_live());
        live.map(|one| (BundleName::observed(one.name.as_str()), self.digests.get(&one.id).copied()))
    }

    /// All of certferry's, those that are about to go included.
    pub(super) fn own(&self) -> &[Certificate] {
        &self.own
    }
}

impl Service {
    /// Reads the credential and prepares the client. No call is made.
    pub(super) fn new(
        name: LoadBalancerName,
        config: &OciConfig,
        clock: Arc<dyn Clock>,
        principals: &Principals,
    ) -> Result<Self, Error> {
        let id = config.load_balancer_id.clone();
        let open = |part| {
            let caller = Caller::Certificates(name.clone(), id.clone(), part);
            Session::open(caller, &config.access, Arc::clone(&clock), principals)
        };
        let (management, retrieval) = (open(CertificatesPart::Management)?, open(CertificatesPart::Retrieval)?);
        Ok(Self { name, load_balancer: id, management, retrieval, clock, limits: config.access.limits })
    }

    /// What certferry made in a compartment.
    pub(super) async fn holdings(&self, compartment: &str) -> Result<Holdings, Error> {
        let all: Vec<Certificate> =
            self.pages("ListCertificates", "", &["certificates"], &[(COMPARTMENT, compartment)]).await?;
        let own: Vec<Certificate> =
            all.into_iter().filter(|one| one.is_own() && one.lifecycle_state != "DELETED").collect();
        let mut digests = BTreeMap::new();
        for certificate in own.iter().filter(|certificate| certificate.is_live()) {
            let known = certificate.current().and_then(Version::digest);
            let digest = match known {
                Some(digest) => Some(digest),
                None => self.digest_of_foreign(certificate).await,
            };
            digests.extend(digest.map(|digest| (certificate.id.clone(), digest)));
        }
        Ok(Holdings { own, digests })
    }

    /// A certificate of certferry's with a current version that somebody else put there.
    async fn digest_of_foreign(&self, certificate: &Certificate) -> Option<Sha256> {
        match self.leaf(&certificate.id).await {
            Ok(der) => Some(Sha256::of(&der)),
            Err(error) => {
                tracing::warn!(load_balancer = %self.name, %error, "what is served cannot be read");
                None
            }
        }
    }

    /// The leaf (DER) that a certificate serves.
    pub(super) async fn leaf(&self, id: &str) -> Result<Vec<u8>, Error> {
        let target = Target::below([VERSION, "certificateBundles", id])
            .with("stage", "CURRENT")
            .with("certificateBundleType", "CERTIFICATE_CONTENT_PUBLIC_ONLY");
        let (bundle, _) =
            self.retrieval.read::<PublicBundle>(&Call::get("GetCertificateBundle", target), &object(id)).await?;
        pem::parse(&bundle.certificate_pem).map(pem::Pem::into_contents).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "GetCertificateBundle", self.retrieval.subject(&object(id)))
                .said(format!("its certificatePem is no PEM: {error}"))
        })
    }

    /// The leaves of several certificates, each as far as it can be read.
    pub(super) async fn leaves(&self, ids: &BTreeSet<String>) -> BTreeMap<String, Result<Vec<u8>, Error>> {
        let reads = ids.iter().map(async |id| (id.clone(), self.leaf(id).await));
        let reads: Vec<_> = reads.collect();
        stream::iter(reads).buffer_unordered(READS_AT_ONCE).collect().await
    }

    /// The certificate of that name, unless it is gone.
    pub(super) async fn find(&self, compartment: &str, name: &str) -> Result<Option<Certificate>, Error> {
        let query = [(COMPARTMENT, compartment), ("name", name)];
        let all: Vec<Certificate> = self.pages("ListCertificates", &object(name), &["certificates"], &query).await?;
        Ok(all.into_iter().find(|one| one.name == name && one.lifecycle_state != "DELETED"))
    }

    /// Makes the bundle the current version of the certificate of its name.
    pub(super) async fn upload(&self, compartment: &str, bundle: &Bundle) -> Result<(), Error> {
        let decide = |held: Option<&Held>, so_far| decide::upload(compartment, held, bundle, so_far);
        self.converge(compartment, bundle.name.as_str(), decide).await
    }

    /// Schedules the deletion of a certificate. `users` are the places that refer to it on this load balancer.
    pub(super) async fn delete(&self, compartment: &str, name: &str, users: &[String]) -> Result<(), Error> {
        let Some(certificate) = self.find(compartment, name).await? else { return Ok(()) };
        let mut users = users.to_vec();
        users.extend(self.other_users(&certificate).await);
        self.converge(compartment, name, |held: Option<&Held>, _| decide::delete(name, held, &users)).await
    }

    /// What else uses a certificate. Only a check that tells more than the service would: where it is not allowed, the
    /// service refuses by itself.
    async fn other_users(&self, certificate: &Certificate) -> Vec<String> {
        let query = [("certificatesResourceId", certificate.id.as_str())];
        let object = object(&certificate.name);
        let associations = match self.pages::<Association>("ListAssociations", &object, &["associations"], &query).await
        {
            Ok(associations) => associations,
            Err(error) => {
                tracing::debug!(load_balancer = %self.name, %error, "associations cannot be read");
                return Vec::new();
            }
        };
        let is_there = |one: &Association| !matches!(one.lifecycle_state.as_deref(), Some("DELETED" | "DELETING"));
        let others = associations.into_iter().filter(is_there).map(|one| one.associated_resource_id);
        others.filter(|user| user != self.load_balancer.as_str()).collect()
    }

    /// Reads, decides and acts until nothing is left to do. Whatever interferes is read and decided again.
    async fn converge(
        &self,
        compartment: &str,
        name: &str,
        decide: impl Fn(Option<&Held>, SoFar) -> Result<Next, Problem>,
    ) -> Result<(), Error> {
        let retry_until = Instant::now() + self.limits.retry;
        let mut settled_until = Instant::now() + self.limits.work_request;
        let (mut failures, mut polls, mut unseen) = (0, 0, 0);
        let mut so_far = SoFar::default();
        let mut taken = BTreeSet::new();
        loop {
            let held = self.held(compartment, name).await?;
            let decided =
                decide(held.as_ref().map(|(held, _)| held), so_far).map_err(|problem| self.problem(problem))?;
            let action = match decided {
                Next::Done => return Ok(()),
                Next::Act(action) if !taken.contains(&action.kind) => action,
                again => {
                    // What the service has taken it may not show yet; but when it rests for long, it has given it up.
                    unseen = if matches!(again, Next::Act(_)) { unseen + 1 } else { 0 };
                    if unseen > LOOKS_AT_REST || Instant::now() >= settled_until {
                        return Err(self.not_done(name, held.as_ref().map(|(held, _)| held)));
                    }
                    tokio::time::sleep(poll_interval(polls, self.limits.first_poll)).await;
                    polls += 1;
                    continue;
                }
            };
            let kind = action.kind;
            let Err(failed) = self.carry_out(held.as_ref(), action).await else {
                taken.insert(kind);
                so_far.imported |= kind == ActionKind::Import;
                settled_until = Instant::now() + self.limits.work_request;
                polls = 0;
                continue;
            };
            failures += 1;
            let wait = self.limits.backoff.wait(failures, jitter(), None);
            let may_pass = failed.failure.reaction() == Reaction::ReadAgain || failed.effect_possible;
            let error = self.management.error(kind.operation(), &object(name), &failed);
            if may_pass && Instant::now() + wait < retry_until {
                tracing::debug!(load_balancer = %self.name, %error, "read again and decided again");
                tokio::time::sleep(wait).await;
                continue;
            }
            if let ActionKind::ScheduleVersionDeletion(number) = kind {
                tracing::warn!(load_balancer = %self.name, %error, "version {number} is not cleared away");
                so_far.clears = false;
                continue;
            }
            // It may be done all the same, by somebody else who was faster: a name that is taken is no conflict everywhere.
            // Or it is out of place now, for a reason that says more than the service did.
            let Ok(held) = self.held(compartment, name).await else { return Err(error) };
            match decide(held.as_ref().map(|(held, _)| held), so_far) {
                Ok(Next::Act(again)) if again.kind == kind => return Err(error),
                Ok(_) if Instant::now() >= retry_until => return Err(error),
                Ok(_) => {}
                Err(problem) => return Err(self.problem(problem)),
            }
        }
    }

    /// The certificate of that name with its versions, and its etag.
    async fn held(&self, compartment: &str, name: &str) -> Result<Option<(Held, String)>, Error> {
        let Some(found) = self.find(compartment, name).await? else { return Ok(None) };
        let call = Call::get("GetCertificate", Target::below([VERSION, "certificates", &found.id]));
        let (certificate, answer) = self.management.read::<Certificate>(&call, &object(name)).await?;
        let Some(etag) = answer.header("etag").map(str::to_owned) else {
            return Err(Error::new(ErrorKind::Unexpected, "GetCertificate", self.management.subject(&object(name)))
                .said("the answer has no etag")
                .with_hint("without it a change could undo another writer's; is there a proxy that drops headers?"));
        };
        let path = ["certificates", &found.id, "versions"];
        let versions = self.pages("ListCertificateVersions", &object(name), &path, &[]).await?;
        Ok(Some((Held { certificate, versions }, etag)))
    }

    async fn carry_out(&self, held: Option<&(Held, String)>, action: Action) -> Result<(), Failed> {
        let id = held.map_or("", |(held, _)| held.certificate.id.as_str());
        let number = match action.kind {
            ActionKind::ScheduleVersionDeletion(number) => number.to_string(),
            _ => String::new(),
        };
        let (method, path) = match action.kind {
            ActionKind::CancelDeletion => (Method::POST, vec![id, "actions", "cancelDeletion"]),
            ActionKind::Create => (Method::POST, vec![]),
            ActionKind::Import | ActionKind::MakeCurrent(_) => (Method::PUT, vec![id]),
            ActionKind::ScheduleDeletion => (Method::POST, vec![id, "actions", "scheduleDeletion"]),
            ActionKind::ScheduleVersionDeletion(_) => {
                (Method::POST, vec![id, "version", number.as_str(), "actions", "scheduleDeletion"])
            }
        };
        let token = (action.kind == ActionKind::Create).then(new_retry_token);
        let call = Call {
            operation: action.kind.operation(),
            method,
            target: Target::below([VERSION, "certificates"].into_iter().chain(path)),
            body: match action.body {
                Body::Empty => None,
                Body::Json(body) => Some(body),
                Body::TimeOfDeletion => Some(self.time_of_deletion()),
            },
            if_match: held.filter(|_| action.kind != ActionKind::Create).map(|(_, etag)| etag.as_str()),
            retry_token: token.as_deref(),
        };
        self.management.send(&call).await.map(|_| ())
    }

    fn time_of_deletion(&self) -> Bytes {
        let at = self.clock.now() + EARLIEST_DELETION;
        Bytes::from(json!({"timeOfDeletion": at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()}).to_string())
    }

    /// All items of a list, page by page.
    async fn pages<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        object: &str,
        path: &[&str],
        query: &[(&'static str, &str)],
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        let mut page: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let target = Target::below([VERSION].into_iter().chain(path.iter().copied())).with("limit", PAGE);
            let target = query.iter().fold(target, |target, (name, value)| target.with(name, value));
            let target = page.as_deref().into_iter().fold(target, |target, page| target.with("page", page));
            let (found, answer) = self.management.read::<Page<T>>(&Call::get(operation, target), object).await?;
            items.extend(found.items);
            page = answer.header("opc-next-page").filter(|page| !page.is_empty()).map(str::to_owned);
            if page.is_none() {
                return Ok(items);
            }
        }
        Err(Error::new(ErrorKind::Unexpected, operation, self.management.subject(object))
            .said(format!("the list does not end after {MAX_PAGES} pages"))
            .with_hint("keep certferry's certificates in a `compartment` of their own"))
    }

    fn problem(&self, problem: Problem) -> Error {
        Error::new(problem.kind, problem.operation, self.management.subject(&problem.object))
            .said(problem.said)
            .with_hint(problem.hint)
    }

    fn not_done(&self, name: &str, held: Option<&Held>) -> Error {
        let said = match held.map(|held| &held.certificate) {
            Some(certificate) => {
                let why = certificate.said().map_or_else(String::new, |why| format!(": {why}"));
                format!("it is {}, and what was asked for is not there{why}", certificate.lifecycle_state)
            }
            None => "it was made, and is not listed".to_owned(),
        };
        Error::new(ErrorKind::Timeout, "waiting for the Certificates service", self.management.subject(&object(name)))
            .said(said)
            .with_hint("look at the certificate and its versions in the console; it is tried again")
    }
}

impl ActionKind {
    /// The call's name in the API reference.
    fn operation(self) -> &'static str {
        match self {
            Self::CancelDeletion => "CancelCertificateDeletion",
            Self::Create => "CreateCertificate",
            Self::Import | Self::MakeCurrent(_) => "UpdateCertificate",
            Self::ScheduleDeletion => decide::SCHEDULE_DELETION,
            Self::ScheduleVersionDeletion(_) => "ScheduleCertificateVersionDeletion",
        }
    }
}

const VERSION: &str = "20210224";
const COMPARTMENT: &str = "compartmentId";
const PAGE: &str = "100";

/// A hundred thousand certificates.
const MAX_PAGES: usize = 1000;

/// Looks at a certificate that rests without what was asked for: half a minute with the default limits.
const LOOKS_AT_REST: u32 = 12;

/// Reads under way at once.
const READS_AT_ONCE: usize = 8;

/// The service wants a day at least; an hour more allows for clocks.
const EARLIEST_DELETION: SignedDuration = SignedDuration::from_hours(25);
