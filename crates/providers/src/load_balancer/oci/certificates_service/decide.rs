//! What to do next until a certificate holds a bundle, or is gone: a pure function of what was read.

use std::collections::BTreeMap;

use bytes::Bytes;
use certferry_core::inventory::HeldLeaf;
use certferry_core::port::Bundle;
use certferry_core::{ErrorKind, KeyType};
use serde::Serialize;

use super::super::change::Problem;
use super::model::{Certificate, OWNER, OWNER_TAG, Version};
use super::version_name::version_name;
use crate::load_balancer::pair;
use crate::load_balancer::secret_body::secret_body;

/// A certificate with all its versions.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) certificate: Certificate,
    pub(super) versions: Vec<Version>,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Next {
    /// One call, then look again.
    Act(Action),
    /// Nothing.
    Done,
    /// Look again later: the service is at it.
    Wait,
}

/// One call.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) kind: ActionKind,
    /// May hold a private key: never printed.
    pub(super) body: Body,
}

/// Which call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ActionKind {
    /// Takes back the scheduled deletion of the certificate.
    CancelDeletion,
    /// Makes the certificate, with its first version.
    Create,
    /// Imports a version, which becomes the current one.
    Import,
    /// Makes an earlier version the current one again.
    MakeCurrent(u64),
    /// Schedules the certificate's deletion.
    ScheduleDeletion,
    /// Schedules the deletion of a version.
    ScheduleVersionDeletion(u64),
}

/// The body of a call.
pub(super) enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(Bytes),
    /// `timeOfDeletion`, as early as the service lets it be.
    TimeOfDeletion,
}

impl std::fmt::Debug for Body {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "nothing",
            Self::Json(_) => "JSON",
            Self::TimeOfDeletion => "time of deletion",
        })
    }
}

/// What was done so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct SoFar {
    /// A version was imported: one that is failed now is this one.
    pub(super) imported: bool,
    /// Old versions are still cleared away; no longer once that was refused, since nothing depends on it.
    pub(super) clears: bool,
}

impl Default for SoFar {
    fn default() -> Self {
        Self { imported: false, clears: true }
    }
}

/// The next step until the certificate of the bundle's name has the bundle as its current version.
pub(super) fn upload(compartment: &str, held: Option<&Held>, bundle: &Bundle, so_far: SoFar) -> Result<Next, Problem> {
    let site = Site(bundle.name.as_str());
    check(site, bundle)?;
    let Some(held) = held.filter(|held| held.certificate.lifecycle_state != "DELETED") else {
        return create(site, compartment, bundle);
    };
    if !held.certificate.is_own() && !held.versions.iter().any(|version| version.digest().is_some()) {
        return Err(site.problem(
            "CreateCertificate",
            "a certificate of that name is there that certferry did not make",
            "certferry does not overwrite it; rename the certificate in the config, or keep certferry's in another \
             `compartment`",
        ));
    }
    match held.certificate.lifecycle_state.as_str() {
        "CREATING" | "UPDATING" | "CANCELLING_DELETION" | "SCHEDULING_DELETION" | "DELETING" => Ok(Next::Wait),
        "FAILED" => Err(site.problem(
            "CreateCertificate",
            format!("it is FAILED: {}", said(&held.certificate)),
            "schedule its deletion (`oci certs-mgmt certificate schedule-deletion`); the name is free when it is gone, a day \
             later at the earliest",
        )),
        "PENDING_DELETION" => act(ActionKind::CancelDeletion, Body::Empty),
        _ => next_version(site, held, bundle, so_far),
    }
}

fn next_version(site: Site<'_>, held: &Held, bundle: &Bundle, so_far: SoFar) -> Result<Next, Problem> {
    let leaf = bundle.chain.leaf();
    let of_this_leaf = || held.versions.iter().filter(|version| version.digest() == Some(leaf.sha256));
    let newest = of_this_leaf().max_by_key(|version| version.version_number);
    if let Some(version) = newest.filter(|version| so_far.imported && version.is("FAILED")) {
        let said = format!("{} is FAILED: {}", describe(version), said(&held.certificate));
        return Err(site.problem("UpdateCertificate", said, FAILED_VERSION));
    }
    // Both before and after the import: at the service's limit it makes room for the next one.
    if let Some(old) = held.versions.iter().find(|version| so_far.clears && is_superseded(version)) {
        return act(ActionKind::ScheduleVersionDeletion(old.version_number), Body::TimeOfDeletion);
    }
    if of_this_leaf().any(|version| version.is("CURRENT")) {
        return Ok(Next::Done);
    }
    if let Some(earlier) = of_this_leaf().find(|version| version.can_become_current()) {
        let number = earlier.version_number;
        let body = serde_json::json!({"currentVersionNumber": number}).to_string();
        return act(ActionKind::MakeCurrent(number), Body::Json(Bytes::from(body)));
    }
    let failures = of_this_leaf().filter(|version| version.is("FAILED")).count();
    if failures >= MAX_FAILURES {
        let said = format!("{failures} versions with this leaf are FAILED already: {}", said(&held.certificate));
        return Err(site.problem("UpdateCertificate", said, FAILED_VERSION));
    }
    import(site, held, bundle)
}

/// A version that certferry imported, and that the service would not take back.
fn is_superseded(version: &Version) -> bool {
    let is_in_use = ["CURRENT", "PREVIOUS", "PENDING", "LATEST"].iter().any(|stage| version.is(stage));
    version.is("DEPRECATED") && !is_in_use && version.digest().is_some() && !version.goes()
}

/// The next step until a certificate's deletion is scheduled. `users` are the places that refer to it, for people.
pub(super) fn delete(name: &str, held: Option<&Held>, users: &[String]) -> Result<Next, Problem> {
    let site = Site(name);
    let Some(held) = held else { return Ok(Next::Done) };
    match held.certificate.lifecycle_state.as_str() {
        "DELETED" | "DELETING" | "PENDING_DELETION" => return Ok(Next::Done),
        "CREATING" | "UPDATING" | "CANCELLING_DELETION" | "SCHEDULING_DELETION" => return Ok(Next::Wait),
        _ => {}
    }
    if !held.certificate.is_own() {
        let said = "certferry did not make it";
        return Err(site.problem(SCHEDULE_DELETION, said, "remove it by hand if nothing needs it"));
    }
    if !users.is_empty() {
        let said = format!("it is in use by {}", users.join(", "));
        let problem = site.problem(SCHEDULE_DELETION, said, "bind another certificate there first");
        return Err(Problem { kind: ErrorKind::Conflict, ..problem });
    }
    act(ActionKind::ScheduleDeletion, Body::TimeOfDeletion)
}

/// A certificate as the object of a call, for people.
pub(super) fn object(name: &str) -> String {
    format!("certificate `{name}`")
}

#[derive(Clone, Copy)]
struct Site<'a>(&'a str);

impl Site<'_> {
    fn problem(&self, operation: &'static str, said: impl Into<String>, hint: impl Into<String>) -> Problem {
        Problem { kind: ErrorKind::Invalid, operation, object: object(self.0), said: said.into(), hint: hint.into() }
    }
}

/// What the service would refuse is refused before it is sent.
fn check(site: Site<'_>, bundle: &Bundle) -> Result<(), Problem> {
    let refuse = |said: String, hint: &str| Err(site.problem("CreateCertificate", said, hint));
    let Some(key) = &bundle.private_key else {
        return refuse(
            "the service takes certificates with their keys only".to_owned(),
            "let certferry make the key: `key: ecdsa-p256`",
        );
    };
    if let Err(said) = pair::check(&bundle.chain, key) {
        return refuse(said, "the service would refuse the pair; issue the certificate again");
    }
    let leaf = HeldLeaf::from_der(bundle.chain.leaf_der());
    let kind = leaf.as_ref().map_or("unknown", |leaf| leaf.key.as_str());
    if !kind.parse().is_ok_and(takes_key) {
        return refuse(format!("the service has no keys of the kind {kind}"), KEY_TYPES);
    }
    if bundle.chain.leaf().common_name.is_none() {
        return refuse(
            "it has no common name, by which the service holds its versions together".to_owned(),
            "choose a profile that keeps the common name (Let's Encrypt: `profile: classic`)",
        );
    }
    if bundle.chain.certificates().len() < 2 {
        return refuse(
            "the service wants at least one certificate of the chain besides the leaf".to_owned(),
            "import it with its intermediate certificates",
        );
    }
    Ok(())
}

/// Whether the service has such keys (`CertificateKeyAlgorithm`).
pub(in super::super) fn takes_key(key: KeyType) -> bool {
    match key {
        KeyType::EcdsaP256 | KeyType::EcdsaP384 | KeyType::Rsa2048 | KeyType::Rsa4096 => true,
        KeyType::Rsa3072 => false,
    }
}

fn create(site: Site<'_>, compartment: &str, bundle: &Bundle) -> Result<Next, Problem> {
    let body = CreateCertificate {
        name: site.0,
        compartment_id: compartment,
        freeform_tags: [(OWNER_TAG, OWNER)].into(),
        certificate_config: config(bundle, version_name(bundle.chain.leaf(), 1), None),
    };
    act(ActionKind::Create, secret(site, &body, bundle)?)
}

fn import(site: Site<'_>, held: &Held, bundle: &Bundle) -> Result<Next, Problem> {
    let is_taken = |name: &str| held.versions.iter().any(|version| version.version_name.as_deref() == Some(name));
    let mut names = (1..).map(|attempt| version_name(bundle.chain.leaf(), attempt));
    let name = names.find(|name| !is_taken(name)).unwrap_or_default();
    let body = UpdateCertificate { certificate_config: config(bundle, name, Some("CURRENT")) };
    act(ActionKind::Import, secret(site, &body, bundle)?)
}

fn act(kind: ActionKind, body: Body) -> Result<Next, Problem> {
    Ok(Next::Act(Action { kind, body }))
}

fn config<'a>(bundle: &'a Bundle, version_name: String, stage: Option<&'static str>) -> ImportedConfig<'a> {
    let blocks = |ders: &[Vec<u8>]| -> String {
        let line_ends = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        ders.iter().map(|der| pem::encode_config(&pem::Pem::new("CERTIFICATE", der.as_slice()), line_ends)).collect()
    };
    let (leaf, issuers) = bundle.chain.certificates().split_at(1);
    ImportedConfig {
        config_type: "IMPORTED",
        stage,
        version_name,
        certificate_pem: blocks(leaf),
        cert_chain_pem: blocks(issuers),
        private_key_pem: bundle.private_key.as_ref().map_or("", |key| key.expose()),
    }
}

fn secret(site: Site<'_>, body: &impl Serialize, bundle: &Bundle) -> Result<Body, Problem> {
    let key = bundle.private_key.as_ref().map_or(0, |key| key.expose().len());
    let room = 2 * (bundle.chain.pem().len() + key) + 4096;
    let body = secret_body(body, room);
    body.map(Body::Json).map_err(|error| site.problem("CreateCertificate", error.to_string(), "report this"))
}

fn describe(version: &Version) -> String {
    let name = version.version_name.as_deref().unwrap_or("without a name");
    format!("version {} (`{name}`)", version.version_number)
}

fn said(certificate: &Certificate) -> &str {
    certificate.said().unwrap_or("the service does not say why")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateCertificate<'a> {
    name: &'a str,
    compartment_id: &'a str,
    freeform_tags: BTreeMap<&'static str, &'static str>,
    certificate_config: ImportedConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UpdateCertificate<'a> {
    certificate_config: ImportedConfig<'a>,
}

/// The leaf alone and the rest of the chain alone: the service refuses a whole chain where it wants the leaf.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ImportedConfig<'a> {
    config_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'static str>,
    version_name: String,
    certificate_pem: String,
    cert_chain_pem: String,
    private_key_pem: &'a str,
}

pub(super) const SCHEDULE_DELETION: &str = "ScheduleCertificateDeletion";

/// The hint for keys that the service does not have.
pub(in super::super) const KEY_TYPES: &str =
    "choose `key: ecdsa-p256`, `ecdsa-p384`, `rsa-2048` or `rsa-4096`, or `hold: load-balancer`";

const FAILED_VERSION: &str = "look at the versions in the console (Certificates). If it is about the chain, choose another one of \
                              the CA's (`preferred-chain` of the issuer); if nothing helps, `hold: load-balancer` goes on \
                              without the service";

/// Every attempt leaves a version that cannot be deleted at once, and there is a limit for versions.
const MAX_FAILURES: usize = 3;

#[cfg(test)]
mod tests;
