//! From the ACME client's error to the program's: what it means, about what, what the CA said, what to do.

use std::collections::BTreeMap;

use certferry_acme::{self as acme, Operation, ProblemType};
use certferry_core::{Error, ErrorKind, Retry};

use super::issuer::AcmeIssuer;

impl AcmeIssuer {
    pub(super) fn failed(&self, error: &acme::Error) -> Error {
        let subject = match (error.operation(), error.url()) {
            (
                Operation::Account
                | Operation::Authorization
                | Operation::Certificate
                | Operation::Challenge
                | Operation::Finalize
                | Operation::Order,
                Some(url),
            ) => format!("{url} of issuer `{}`", self.config.name),
            _ => self.subject(),
        };
        let mut failure = Error::new(kind(error), error.operation().to_string(), subject)
            .said(said(error))
            .with_hint(self.hint(error));
        if let Some(wait) = error.retry_after().filter(|_| !is_paused(error)) {
            failure = failure.with_retry(Retry::After(wait));
        }
        failure
    }

    pub(super) fn no_such_profile(&self, profile: &str, offered: &BTreeMap<String, String>) -> Error {
        let names = offered.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let (said, hint) = match offered.is_empty() {
            true => (
                format!("the CA offers no profiles, so not `{profile}` either"),
                format!("remove `profile` from issuer `{}` in the config", self.config.name),
            ),
            false => (
                format!("the CA offers no profile `{profile}`"),
                format!("write one of {names} at issuer `{}` in the config", self.config.name),
            ),
        };
        Error::new(ErrorKind::NotOffered, "newOrder", self.subject()).said(said).with_hint(hint)
    }

    /// The next thing to try (RFC 8555 §6.7 for the types).
    fn hint(&self, error: &acme::Error) -> String {
        let issuer = &self.config.name;
        if is_paused(error) {
            return "the CA has paused this name for this account after too many failures: repair what makes it fail, then \
                    open the CA's page to unpause it; its one-time link is cut from this message"
                .to_owned();
        }
        let hint = match (error.problem_type(), error.kind()) {
            (Some(problem), _) => by_type(problem).unwrap_or_else(|| by_kind(kind(error))).to_owned(),
            (None, acme::ErrorKind::Transport | acme::ErrorKind::Timeout) => format!(
                "is {} reachable from here, and is its HTTPS certificate trusted? a private CA needs \
                 `trusted-roots` at issuer `{issuer}`; HTTPS_PROXY is honoured",
                self.config.directory
            ),
            (None, acme::ErrorKind::Malformed | acme::ErrorKind::Status)
                if error.operation() == Operation::Directory =>
            {
                format!("is {} the URL of an ACME directory?", self.config.directory)
            }
            (None, _) => by_kind(kind(error)).to_owned(),
        };
        hint.replace("ISSUER", issuer.as_str())
    }
}

fn kind(error: &acme::Error) -> ErrorKind {
    if is_paused(error) {
        return ErrorKind::Paused;
    }
    if error.is_rate_limited() {
        return ErrorKind::RateLimited;
    }
    if error.is_effect_unknown() {
        return ErrorKind::EffectUnknown;
    }
    let status = error.status().map(|status| status.as_u16());
    // CAs name a missing resource `malformed` (Boulder) or `unauthorized`; the status says it.
    if is_read(error.operation()) && matches!(status, Some(404 | 410)) {
        return ErrorKind::NotFound;
    }
    match error.kind() {
        acme::ErrorKind::Problem(problem) => of_problem(problem, error.problem(), status),
        acme::ErrorKind::Status => of_status(status),
        acme::ErrorKind::Configuration | acme::ErrorKind::Key => ErrorKind::Invalid,
        acme::ErrorKind::NotOffered { .. } => ErrorKind::NotOffered,
        acme::ErrorKind::Timeout => ErrorKind::Timeout,
        acme::ErrorKind::Transport => ErrorKind::Unavailable,
        acme::ErrorKind::EffectUnknown => ErrorKind::EffectUnknown,
        _ => ErrorKind::Unexpected,
    }
}

fn is_read(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::Account
            | Operation::Authorization
            | Operation::Certificate
            | Operation::Order
            | Operation::RenewalInfo
    )
}

fn of_problem(kind: &ProblemType, problem: Option<&acme::Problem>, status: Option<u16>) -> ErrorKind {
    match kind {
        ProblemType::AccountDoesNotExist
        | ProblemType::ExternalAccountRequired
        | ProblemType::Unauthorized
        | ProblemType::UserActionRequired => ErrorKind::Denied,
        ProblemType::AlreadyReplaced | ProblemType::Conflict | ProblemType::OrderNotReady => ErrorKind::Conflict,
        ProblemType::BadCsr
        | ProblemType::BadPublicKey
        | ProblemType::RejectedIdentifier
        | ProblemType::UnsupportedIdentifier => ErrorKind::Rejected,
        ProblemType::BadNonce | ProblemType::ServerInternal => ErrorKind::Unavailable,
        ProblemType::Caa
        | ProblemType::Connection
        | ProblemType::Dns
        | ProblemType::IncorrectResponse
        | ProblemType::Tls => ErrorKind::Validation,
        ProblemType::Compound => {
            let first = problem.and_then(|problem| problem.subproblems.first());
            first
                .filter(|first| first.kind != ProblemType::Compound)
                .map_or(ErrorKind::Invalid, |first| of_problem(&first.kind, None, status))
        }
        ProblemType::InvalidProfile => ErrorKind::NotOffered,
        ProblemType::RateLimited => ErrorKind::RateLimited,
        ProblemType::Unknown(_) => of_status(status),
        _ => ErrorKind::Invalid,
    }
}

fn of_status(status: Option<u16>) -> ErrorKind {
    match status {
        Some(401 | 403) => ErrorKind::Denied,
        Some(404 | 410) => ErrorKind::NotFound,
        Some(409 | 412) => ErrorKind::Conflict,
        Some(429) => ErrorKind::RateLimited,
        Some(500..) => ErrorKind::Unavailable,
        Some(400..) => ErrorKind::Invalid,
        _ => ErrorKind::Unexpected,
    }
}

/// The CA's own words. The client's line starts with the operation and the URL and ends with the wait, all of which the
/// program's error says in its own places.
fn said(error: &acme::Error) -> String {
    let line = error.to_string();
    let head = match error.url() {
        Some(url) => format!("{} {url}: ", error.operation()),
        None => format!("{}: ", error.operation()),
    };
    let line = line.strip_prefix(&head).unwrap_or(&line);
    let tail = error.retry_after().map(|wait| format!("; retry after {} s", wait.as_secs()));
    let line = tail.and_then(|tail| line.strip_suffix(&tail)).unwrap_or(line);
    line.strip_suffix("; whether the CA acted on the request is unknown").unwrap_or(line).to_owned()
}

/// Let's Encrypt pauses a name for an account after 1152 failures in a row. The answer looks like a rate limit, but no
/// wait ends it.
fn is_paused(error: &acme::Error) -> bool {
    error.is_rate_limited()
        && error.problem().is_some_and(|problem| problem.detail().to_ascii_lowercase().contains("paused"))
}

/// Where neither the CA's problem nor the call says more.
fn by_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Conflict => "run it again: it reads what the CA has now, and goes on from there",
        ErrorKind::Denied => {
            "does something in front of the CA want to be logged in to? if the account was deactivated, give issuer \
             `ISSUER` another name in the config"
        }
        ErrorKind::EffectUnknown => "run it again: it goes on where it was",
        ErrorKind::NotFound => "run it again: what the CA does not have any more is asked for anew",
        ErrorKind::RateLimited => {
            "run it again later: the CA, or something in front of it, wants to be asked less often"
        }
        ErrorKind::Timeout | ErrorKind::Unavailable => {
            "the CA, or something in front of it, has a fault of its own; run it again later: it goes on where it was"
        }
        _ => "the CA's own words are all there is to go by; `-vv` shows each request and its answer's status",
    }
}

/// `ISSUER` stands for the issuer's name.
fn by_type(kind: &ProblemType) -> Option<&'static str> {
    Some(match kind {
        ProblemType::AccountDoesNotExist => {
            "the CA does not know this account any more; another name for issuer `ISSUER` in the config starts a new one"
        }
        ProblemType::BadCsr | ProblemType::BadPublicKey => {
            "the CA does not take this key or request; try another `key` for the certificate, such as `rsa-2048`"
        }
        ProblemType::Caa => {
            "a CAA record of the name, or of a domain above it, does not allow this CA: `dig CAA NAME` shows it, and \
             the CA's documentation says what to add"
        }
        ProblemType::Compound => "every name that is listed has a reason of its own",
        ProblemType::Connection => {
            "the CA could not connect: port 80 must be open to everywhere, over IPv6 too where there is an AAAA record"
        }
        ProblemType::Dns => "look the name up from outside: A, AAAA and CAA, and DNSSEC, which CAs check",
        ProblemType::ExternalAccountRequired => {
            "the CA wants an external account: put its `kid` and `hmac-key` under `eab` at issuer `ISSUER`"
        }
        ProblemType::IncorrectResponse => {
            "something else answered the CA: does every address of the name, IPv6 too, lead to this load balancer?"
        }
        ProblemType::InvalidContact | ProblemType::UnsupportedContact => {
            "change `contact` at issuer `ISSUER`, or leave it out"
        }
        ProblemType::InvalidProfile => "change `profile` at issuer `ISSUER`, or leave it out",
        ProblemType::RateLimited => {
            "nothing is asked again before then; Let's Encrypt's limits: https://letsencrypt.org/docs/rate-limits/"
        }
        ProblemType::RejectedIdentifier | ProblemType::UnsupportedIdentifier => {
            "this CA issues nothing for that name; remove it from `names`, or use another issuer"
        }
        ProblemType::ServerInternal => "the CA has a fault of its own; it is asked again later",
        ProblemType::Unauthorized => "if the account was deactivated, give issuer `ISSUER` another name in the config",
        ProblemType::UserActionRequired => "the CA wants its new terms of service agreed to, on the page that it names",
        _ => return None,
    })
}
