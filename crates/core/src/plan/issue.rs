//! Must a version be issued now?

use jiff::Timestamp;

use crate::desired::{CertificateSpec, RenewedBy, VersionSpec};
use crate::error::{Error, ErrorKind};
use crate::plan::{PlanOptions, Problem, Stage};
use crate::recorded::{CertificateRecord, Version, VersionId};
use crate::renewal::{Renewal, renewal};
use crate::retry::IssueFailure;

/// The answer.
#[derive(Clone, Debug)]
pub enum IssueDecision {
    /// Yes.
    Due(IssueStep),
    /// No, and never: somebody else orders the versions and hands them over.
    Elsewhere {
        /// Why there is no version of use, for people; `None` while there is one.
        missing: Option<String>,
    },
    /// No; the current version is renewed later.
    NotDue {
        /// When and why then.
        renewal: Renewal,
        /// A pending version that was wanted before, to be given up.
        gives_up: Option<VersionId>,
    },
    /// Yes, but the last attempt failed and it is too soon for another.
    Waiting {
        /// What would be done.
        step: IssueStep,
        /// The failure that is waited out.
        failure: IssueFailure,
    },
}

/// What to issue.
#[derive(Clone, Debug)]
pub struct IssueStep {
    /// A pending version that is continued, with its key and its order.
    pub resumes: Option<Version>,
    /// A pending version that no longer is what is wanted, to be given up.
    pub gives_up: Option<VersionId>,
    /// The version that the order replaces in the CA's eyes.
    pub replaces: Option<VersionId>,
    /// Why now, for people.
    pub why: String,
}

/// Decides whether a version of `spec` must be issued at `now`.
pub fn issue(
    spec: &CertificateSpec,
    record: Option<&CertificateRecord>,
    now: Timestamp,
    options: &PlanOptions,
) -> IssueDecision {
    let current = record.and_then(|record| record.current.as_ref());
    if spec.renewed_by == RenewedBy::Certbot {
        return IssueDecision::Elsewhere { missing: missing(current, now) };
    }
    let pending = record.and_then(|record| record.pending.as_ref());
    let resumes = pending.filter(|version| version.spec == spec.version);
    let given_up = pending.filter(|_| resumes.is_none()).map(|version| version.id);
    let why = match (resumes, current) {
        (Some(version), _) => under_way(version),
        (None, None) => "there is no certificate yet".to_owned(),
        (None, Some(version)) => match due(spec, version, record, now, options) {
            Ok(why) => why,
            Err(renewal) => return IssueDecision::NotDue { renewal, gives_up: given_up },
        },
    };
    let step =
        IssueStep { resumes: resumes.cloned(), gives_up: given_up, replaces: replaced(current, &spec.version), why };
    when_waited(spec, record, step, now, options)
}

/// A step that is wanted, now or when the failure before it has been waited out.
fn when_waited(
    spec: &CertificateSpec,
    record: Option<&CertificateRecord>,
    step: IssueStep,
    now: Timestamp,
    options: &PlanOptions,
) -> IssueDecision {
    let failure = record.and_then(|record| record.issue_failure.as_ref());
    match failure.filter(|failure| failure.keeps_waiting(&spec.version, now) && !options.force_renewal) {
        Some(failure) => IssueDecision::Waiting { step, failure: failure.clone() },
        None => IssueDecision::Due(step),
    }
}

/// Why a version that somebody else orders is not there, or of no use.
fn missing(current: Option<&Version>, now: Timestamp) -> Option<String> {
    let Some(version) = current else { return Some("certbot has not handed over a version yet".to_owned()) };
    if let Some(revoked) = version.revoked_at {
        return Some(format!("the version that certbot handed over was revoked at {}", seconds(revoked)));
    }
    let ended = version.leaf.as_ref().filter(|leaf| leaf.not_after <= now)?;
    Some(format!("the version that certbot handed over last ended at {}", ended.not_after))
}

/// The problem to report while somebody else does not hand over a version of use.
pub(super) fn missing_problem(spec: &CertificateSpec, missing: &str) -> Problem {
    let error = Error::new(ErrorKind::NotFound, "take over", "the certificate's current version")
        .for_certificate(&spec.name)
        .said(missing)
        .with_hint(
            "run `certferry import certbot /etc/letsencrypt` for the lineage that is there; for the next ones, is \
             `certferry deploy-hook` the deploy hook of certbot's lineage?",
        );
    Problem { stage: Stage::Issue, certificate: spec.name.clone(), load_balancer: None, listener: None, error }
}

/// The decision for a version that is of no use whatever its age; a failure before is waited out all the same.
pub(super) fn anew(
    spec: &CertificateSpec,
    record: Option<&CertificateRecord>,
    decision: IssueDecision,
    why: String,
    now: Timestamp,
    options: &PlanOptions,
) -> IssueDecision {
    let IssueDecision::NotDue { gives_up, .. } = decision else { return decision };
    let current = record.and_then(|record| record.current.as_ref());
    let replaces = replaced(current, &spec.version);
    when_waited(spec, record, IssueStep { resumes: None, gives_up, replaces, why }, now, options)
}

/// The problem to report while a failure is waited out.
pub(crate) fn waiting_problem(
    spec: &CertificateSpec,
    failure: &IssueFailure,
    current: Option<&Version>,
    now: Timestamp,
) -> Problem {
    let left = failure.retry_at.duration_since(now).as_secs().max(1);
    let served = match current.and_then(|version| version.leaf.as_ref()) {
        Some(leaf) if leaf.not_after > now => format!("the current version is valid until {}", leaf.not_after),
        Some(leaf) => format!("the current version ended at {}", leaf.not_after),
        None => "there is no current version".to_owned(),
    };
    Problem {
        stage: Stage::Issue,
        certificate: spec.name.clone(),
        load_balancer: None,
        listener: None,
        error: Error::new(ErrorKind::RateLimited, "issue", format!("issuer `{}`", spec.version.issuer))
            .for_certificate(&spec.name)
            .said(format!("waits {left} s more after the failure of {}: {}; {served}", failure.at, failure.error))
            .with_hint(format!(
                "mend the cause, then run `certferry apply --force-renewal --only {}` to try before that",
                spec.name
            )),
    }
}

fn under_way(version: &Version) -> String {
    match &version.order_url {
        Some(_) => "an order is under way".to_owned(),
        None => "an order was about to be made".to_owned(),
    }
}

/// Why a new version is due, or when it will be.
fn due(
    spec: &CertificateSpec,
    current: &Version,
    record: Option<&CertificateRecord>,
    now: Timestamp,
    options: &PlanOptions,
) -> Result<String, Renewal> {
    if let Some(difference) = difference(&current.spec, &spec.version) {
        return Ok(difference);
    }
    let Some(leaf) = &current.leaf else {
        return Ok("the current version has no certificate".to_owned());
    };
    if let Some(revoked) = current.revoked_at {
        return Ok(format!("the current version was revoked at {}", seconds(revoked)));
    }
    if options.force_renewal {
        return Ok("renewal is forced".to_owned());
    }
    if leaf.not_after <= now {
        return Ok(format!("the current version ended at {}", leaf.not_after));
    }
    let window = record.and_then(|record| record.renewal_window.as_ref());
    let renewal = renewal(leaf, window, now, options.next_wake);
    if renewal.at > now {
        return Err(renewal);
    }
    let explanation = window.and_then(|window| window.explanation_url.as_ref());
    let explained = explanation.map_or_else(String::new, |url| format!(", see {url}"));
    Ok(format!("renewal is due since {} by {}{explained}", seconds(renewal.at), renewal.reason))
}

fn difference(current: &VersionSpec, wanted: &VersionSpec) -> Option<String> {
    if current.names != wanted.names {
        return Some("the names have changed".to_owned());
    }
    if current.key != wanted.key {
        return Some(format!("the key type has changed from {} to {}", current.key, wanted.key));
    }
    if current.key_holder != wanted.key_holder {
        return Some("the holder of the private key has changed".to_owned());
    }
    if current.issuer != wanted.issuer {
        return Some(format!("the issuer has changed from `{}` to `{}`", current.issuer, wanted.issuer));
    }
    if current.directory != wanted.directory {
        let before = if current.directory.is_empty() { "an unknown one" } else { &current.directory };
        return Some(format!(
            "the directory of issuer `{}` has changed from {before} to {}",
            wanted.issuer, wanted.directory
        ));
    }
    (current.profile != wanted.profile).then(|| "the profile has changed".to_owned())
}

/// Whether both are ordered with the same account of the same CA.
pub fn is_same_authority(current: &VersionSpec, wanted: &VersionSpec) -> bool {
    (&current.issuer, &current.directory) == (&wanted.issuer, &wanted.directory)
}

/// The version that an order for `wanted` replaces, in the sense of RFC 9773 §5: of the same account, and with at least one
/// name in common.
pub fn replaced(current: Option<&Version>, wanted: &VersionSpec) -> Option<VersionId> {
    let is_predecessor = |current: &VersionSpec| {
        is_same_authority(current, wanted) && current.names.iter().any(|name| wanted.names.contains(name))
    };
    current.filter(|version| is_predecessor(&version.spec)).map(|version| version.id)
}

pub(super) fn seconds(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
