//! Challenges: presented, checked through the load balancer (dns-01: at the zone's servers, see `dns01`), answered,
//! withdrawn. The CA is asked only when the answer is where it will look.

use std::net::SocketAddr;

use certferry_core::desired::CertificateSpec;
use certferry_core::observed::{Http01Observation, Observed};
use certferry_core::port::{
    Authorization, AuthorizationStatus, CertificateAuthority, Http01Challenge, HttpAnswer, OpenChallenge, dns01_value,
};
use certferry_core::recorded::VersionId;
use certferry_core::{Error, ErrorKind, Identifier, LoadBalancerName, Retry};
use jiff::Timestamp;

use crate::Engine;
use crate::journal::Subject;
use crate::poll::Wait;

/// What the challenges of one order have in common.
pub(crate) struct Validation<'a> {
    pub(crate) spec: &'a CertificateSpec,
    pub(crate) version: VersionId,
    /// Whether an earlier run made the order: what the CA has given just now has not expired, whatever the clock here says.
    pub(crate) is_resumed: bool,
    pub(crate) authority: &'a dyn CertificateAuthority,
    pub(crate) observed: &'a Observed,
    pub(crate) subject: &'a Subject,
}

/// The challenge that is answered.
struct Challenge {
    /// URL to answer at.
    url: String,
    /// Whether the CA has not been told yet.
    untouched: bool,
    /// What is noted of it.
    open: OpenChallenge,
    /// The whole of it, if it is answered by http-01.
    http01: Option<Http01Challenge>,
}

/// How the work on one authorization ended.
pub(crate) struct Authorized {
    validated: Result<(), Error>,
    withdrawn: Result<(), Error>,
}

impl Authorized {
    fn without_challenge(validated: Result<(), Error>) -> Self {
        Self { validated, withdrawn: Ok(()) }
    }

    /// The outcome of all of an order's. A failed validation, which ends the order, comes first whichever failed first, then
    /// whatever else the CA counts: were it hidden by what cost nothing, the next run would ask again at once. What was
    /// left behind comes last: it is noted, and swept by the next run.
    pub(crate) fn together(all: Vec<Self>) -> Result<(), Error> {
        let (validated, withdrawn): (Vec<_>, Vec<_>) =
            all.into_iter().map(|one| (one.validated, one.withdrawn)).unzip();
        for error in withdrawn.iter().filter_map(|outcome| outcome.as_ref().err()) {
            tracing::warn!("a challenge is still in place, and is taken away by the next run: {error}");
        }
        let errors = validated.into_iter().chain(withdrawn).filter_map(Result::err);
        let foremost = errors.min_by_key(|error| match error.kind() {
            ErrorKind::Validation => 0,
            kind if kind.is_counted() => 1,
            _ => 2,
        });
        foremost.map_or(Ok(()), Err)
    }
}

impl Engine {
    /// Brings one authorization to `valid`, and takes its challenge away again.
    pub(crate) async fn authorize(&self, validation: &Validation<'_>, url: &str) -> Authorized {
        let authorization = match validation.authority.authorization(url).await {
            Ok(authorization) => authorization,
            Err(error) => return Authorized::without_challenge(Err(error)),
        };
        let challenge = match authorization.status {
            AuthorizationStatus::Valid => return Authorized::without_challenge(Ok(())),
            AuthorizationStatus::Invalid => {
                return Authorized::without_challenge(Err(refused(validation.spec, &authorization)));
            }
            AuthorizationStatus::Pending if validation.is_resumed && self.is_over(authorization.expires) => {
                return Authorized::without_challenge(Err(expired(&authorization)));
            }
            AuthorizationStatus::Pending => match self.challenge(validation, authorization).await {
                Ok(challenge) => challenge,
                Err(error) => return Authorized::without_challenge(Err(error)),
            },
        };
        let begun = self.parts.clock.now();
        let validated = async {
            self.open(&challenge.open).await?;
            self.put_in_place(validation, &challenge).await?;
            if challenge.untouched {
                answer(validation, url, &challenge.url).await?;
            }
            self.wait_for_validation(validation, url).await
        }
        .await;
        let validated = match validated {
            Err(error) if error.kind() == ErrorKind::Validation => {
                Err(self.with_requests_seen(error, validation, &challenge.open.name, begun).await)
            }
            outcome => outcome,
        };
        let withdrawn = self.withdraw(&challenge.open).await;
        Authorized { validated, withdrawn }
    }

    /// Notes the challenge before it is presented. The responder knows it before that: what is noted and not known to it is
    /// what a killed run left, and is taken away by whoever sweeps just then.
    async fn open(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        let _turn = self.challenges.take(challenge.token.clone()).await;
        self.parts.responder.open(&challenge.token, &challenge.key_authorization);
        self.parts.store.open_challenge(challenge).await
    }

    fn is_over(&self, expires: Option<Timestamp>) -> bool {
        expires.is_some_and(|end| end <= self.parts.clock.now())
    }

    /// The challenge that the certificate is validated by, and where its response goes.
    async fn challenge(&self, validation: &Validation<'_>, authorization: Authorization) -> Result<Challenge, Error> {
        let open = |token: &str, key_authorization: &str| OpenChallenge {
            version: validation.version,
            name: authorization.name.clone(),
            token: token.to_owned(),
            key_authorization: key_authorization.to_owned(),
            load_balancers: Vec::new(),
            dns: None,
        };
        if let Some(provider) = &validation.spec.dns01 {
            let offered = authorization.dns01.as_ref().ok_or_else(|| not_offered(&authorization, "dns-01"))?;
            let mut open = open(&offered.token, &offered.key_authorization);
            let name = authorization.name.dns().ok_or_else(|| not_offered(&authorization, "dns-01"))?;
            open.dns = Some(self.dns01_place(provider, name).await?);
            return Ok(Challenge { url: offered.url.clone(), untouched: offered.untouched, open, http01: None });
        }
        let offered = authorization.http01.as_ref().ok_or_else(|| not_offered(&authorization, "http-01"))?;
        let mut open = open(&offered.token, &offered.key_authorization);
        open.load_balancers.clone_from(&validation.spec.http01);
        let (url, untouched) = (offered.url.clone(), offered.untouched);
        Ok(Challenge { url, untouched, open, http01: authorization.http01 })
    }

    /// Presents the response, and looks until it is where the CA will look.
    async fn put_in_place(&self, validation: &Validation<'_>, challenge: &Challenge) -> Result<(), Error> {
        if let Some(place) = &challenge.open.dns {
            return self.put_in_dns(validation, place, &dns01_value(&challenge.open.key_authorization)).await;
        }
        let Some(http01) = &challenge.http01 else { return Ok(()) };
        let name = &challenge.open.name;
        for (load_balancer, addresses) in self.present(validation, name, http01).await? {
            self.self_check(validation, load_balancer, name, http01, &addresses).await?;
        }
        Ok(())
    }

    /// Adds to a failed validation what reached the load balancers: whether the CA came at all is the first question.
    async fn with_requests_seen(
        &self,
        error: Error,
        validation: &Validation<'_>,
        name: &Identifier,
        since: Timestamp,
    ) -> Error {
        let mut error = error;
        for load_balancer in &validation.spec.http01 {
            let Ok(port) = self.load_balancer(load_balancer) else { continue };
            let seen = match port.challenge_requests(name, since).await {
                Ok(lines) if lines.is_empty() => continue,
                Ok(lines) => lines.join(", "),
                Err(unread) => format!("not readable: {unread}"),
            };
            error = error.and_said(format!("the log of load balancer `{load_balancer}`: {seen}"));
        }
        error
    }

    /// Takes away the challenges that a killed run left.
    pub(crate) async fn sweep_challenges(&self) -> Result<(), Error> {
        for challenge in self.parts.store.open_challenges().await? {
            // An order that is gone on with opens the same challenge again: not while it is being taken away.
            let _turn = self.challenges.take(challenge.token.clone()).await;
            // One that this process answers for is under way, not left.
            if self.parts.responder.is_open(&challenge.token) {
                continue;
            }
            // A load balancer that cannot be reached now is swept by a later run: the note stays until then.
            if let Err(error) = self.withdraw(&challenge).await {
                tracing::warn!(name = %challenge.name, "a challenge of an earlier run is still in place: {error}");
            }
        }
        Ok(())
    }

    /// Gives where each load balancer is to be asked for the response.
    async fn present<'a>(
        &self,
        validation: &Validation<'a>,
        name: &Identifier,
        challenge: &Http01Challenge,
    ) -> Result<Vec<(&'a LoadBalancerName, Vec<SocketAddr>)>, Error> {
        let mut presented = Vec::new();
        for load_balancer in &validation.spec.http01 {
            let port = self.load_balancer(load_balancer)?;
            let at = self.mutate(load_balancer, port.present(name, challenge)).await?;
            let at = if at.is_empty() { addresses(validation.observed, load_balancer).to_vec() } else { at };
            presented.push((load_balancer, at));
        }
        Ok(presented)
    }

    /// From everywhere, whether or not it works for another place; the note stays until it is gone from all.
    async fn withdraw(&self, challenge: &OpenChallenge) -> Result<(), Error> {
        self.parts.responder.close(&challenge.token);
        let mut outcome = match &challenge.dns {
            Some(place) => self.take_out_of_dns(place, &dns01_value(&challenge.key_authorization)).await,
            None => Ok(()),
        };
        for load_balancer in &challenge.load_balancers {
            let Some(port) = self.parts.load_balancers.get(load_balancer) else {
                tracing::warn!(
                    "what carries challenge `{}` stays: load balancer `{load_balancer}` is no longer in the config",
                    challenge.token
                );
                continue;
            };
            outcome = outcome.and(self.mutate(load_balancer, port.withdraw(&challenge.token)).await);
        }
        outcome?;
        self.parts.store.close_challenge(&challenge.token).await
    }

    /// Fetches the response as the CA will, from every address, until it is right.
    async fn self_check(
        &self,
        validation: &Validation<'_>,
        load_balancer: &LoadBalancerName,
        name: &Identifier,
        challenge: &Http01Challenge,
        addresses: &[SocketAddr],
    ) -> Result<(), Error> {
        let within = self.load_balancer_spec(load_balancer).self_check_within;
        if addresses.is_empty() {
            return Err(nothing_to_ask(load_balancer, name));
        }
        for address in addresses {
            let mut wait = Wait::new(&self.limits, within);
            loop {
                let answer = self.parts.probe.http01(*address, name, &challenge.token).await;
                let Some(seen) = difference(&answer, &challenge.key_authorization) else { break };
                let detail = format!("{name} at {address} does not give the challenge response yet: {seen}");
                self.journal.waiting(validation.subject, detail);
                if !wait.pause(None).await {
                    return Err(self_check_failed(load_balancer, name, *address, &seen));
                }
            }
        }
        Ok(())
    }

    async fn wait_for_validation(&self, validation: &Validation<'_>, url: &str) -> Result<(), Error> {
        let mut wait = Wait::new(&self.limits, self.limits.validate_within);
        let mut unheard = 0;
        loop {
            let authorization = match validation.authority.authorization(url).await {
                Ok(authorization) => authorization,
                // The CA has been told and may be looking right now. Were the response taken away because of this, the CA
                // would find nothing, the order would be lost, and the failure be counted.
                Err(error) => {
                    unheard += 1;
                    let asked = match error.retry() {
                        Retry::After(asked) => Some(asked),
                        Retry::Never | Retry::WithBackoff => None,
                    };
                    if unheard > MOST_FAILED_LOOKS || !wait.pause(asked).await {
                        return Err(error);
                    }
                    continue;
                }
            };
            match authorization.status {
                AuthorizationStatus::Valid => return Ok(()),
                AuthorizationStatus::Invalid => return Err(refused(validation.spec, &authorization)),
                AuthorizationStatus::Pending => {}
            }
            self.journal.waiting(validation.subject, format!("the CA is validating {}", authorization.name));
            if !wait.pause(authorization.retry_after).await {
                // When to come again is not for the CA to say here. The response goes with this run, and the CA finds it only
                // while one puts it in place again: the sooner, the better.
                return Err(Error::new(ErrorKind::Timeout, "authorization", format!("name {}", authorization.name))
                    .said(format!("the CA has not decided about {url}"))
                    .with_hint("run `certferry apply` again: it goes on with the same order"));
            }
        }
    }
}

/// Tells the CA. Where the answer to that is lost, the authorization tells whether it was heard.
async fn answer(validation: &Validation<'_>, url: &str, challenge_url: &str) -> Result<(), Error> {
    let mut lost = 0;
    loop {
        match validation.authority.answer(challenge_url).await {
            Err(error) if error.kind() == ErrorKind::EffectUnknown && lost < MOST_LOST_ANSWERS => {
                lost += 1;
                let authorization = validation.authority.authorization(url).await?;
                let untouched = match validation.spec.dns01 {
                    Some(_) => authorization.dns01.is_some_and(|challenge| challenge.untouched),
                    None => authorization.http01.is_some_and(|challenge| challenge.untouched),
                };
                if !untouched {
                    return Ok(());
                }
            }
            outcome => return outcome,
        }
    }
}

fn addresses<'a>(observed: &'a Observed, load_balancer: &LoadBalancerName) -> &'a [SocketAddr] {
    match observed.load_balancers.get(load_balancer) {
        Some(Ok(observation)) => match &observation.http01 {
            Some(Http01Observation { probe, .. }) => probe,
            None => &[],
        },
        Some(Err(_)) | None => &[],
    }
}

/// What is wrong with an answer, for people; `None` when it is right. Like a CA, trailing white space is let pass
/// (RFC 8555 §8.3).
fn difference(answer: &Result<HttpAnswer, String>, key_authorization: &str) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Some(error.clone()),
    };
    if answer.status == 200 && answer.body.trim_end() == key_authorization {
        return None;
    }
    let via = if answer.redirects.is_empty() {
        String::new()
    } else {
        format!(" after redirects to {}", answer.redirects.join(", "))
    };
    let server = answer.server.as_ref().map_or_else(String::new, |server| format!(" from server `{server}`"));
    let body = answer.body.chars().take(80).collect::<String>().replace(char::is_control, " ");
    Some(format!("status {}{server}{via} with `{}`", answer.status, body.trim_end()))
}

fn nothing_to_ask(load_balancer: &LoadBalancerName, name: &Identifier) -> Error {
    Error::new(ErrorKind::SelfCheck, "http-01 self-check", format!("{name} (load balancer `{load_balancer}`)"))
        .said("the load balancer has no address at which the response could be asked for")
        .with_hint("the CA was not asked; give the load balancer an address, or set `probe:` in its `http01`")
}

fn self_check_failed(load_balancer: &LoadBalancerName, name: &Identifier, address: SocketAddr, seen: &str) -> Error {
    Error::new(
        ErrorKind::SelfCheck,
        "http-01 self-check",
        format!("{name} at {address} (load balancer `{load_balancer}`)"),
    )
    .said(seen)
    .with_hint(
        "the CA was not asked, so no rate limit was touched; if this machine cannot reach the address, set `probe:` in the \
             load balancer's `http01`; otherwise something else answers on port 80 for this name, or the backend set is \
             unhealthy",
    )
}

fn refused(spec: &CertificateSpec, authorization: &Authorization) -> Error {
    let hint = match spec.dns01 {
        Some(_) => {
            "every authoritative server gave the value before the CA was asked: does the CA see other servers (split \
             horizon), or does DNSSEC or a CAA record of the zone stand in the way?"
        }
        None => "does the name resolve to this load balancer, for IPv6 too, and is port 80 open to everywhere?",
    };
    Error::new(ErrorKind::Validation, "authorization", format!("name {}", authorization.name))
        .said(authorization.error.clone().unwrap_or_else(|| "the authorization is invalid".to_owned()))
        .with_hint(hint)
}

/// No challenge of it can be answered any more, and so its order comes to nothing (RFC 8555 §7.1.4, `expires`).
fn expired(authorization: &Authorization) -> Error {
    let end = authorization.expires.map_or_else(String::new, |end| format!(" at {end}"));
    Error::new(ErrorKind::Validation, "authorization", format!("name {}", authorization.name))
        .said(format!("its time to be validated ended{end}"))
        .with_hint("the next run orders anew")
}

fn not_offered(authorization: &Authorization, kind: &str) -> Error {
    Error::new(ErrorKind::NotOffered, "authorization", format!("name {}", authorization.name))
        .said(format!("the CA offers no {kind} challenge for it"))
}

/// How often it may fail to look what has become of an authorization.
const MOST_FAILED_LOOKS: usize = 5;

/// How often the answer to one challenge may get lost.
const MOST_LOST_ANSWERS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Result<HttpAnswer, String> {
        Ok(HttpAnswer { status, body: body.to_owned(), redirects: Vec::new(), server: Some("nginx".to_owned()) })
    }

    #[test]
    fn only_the_key_authorization_with_status_200_is_right() {
        assert_eq!(difference(&answer(200, "t.k\n"), "t.k"), None);
        assert_eq!(
            difference(&answer(404, "t.k"), "t.k").as_deref(),
            Some("status 404 from server `nginx` with `t.k`")
        );
        assert!(difference(&answer(200, "other"), "t.k").is_some());
        assert_eq!(difference(&Err("refused".to_owned()), "t.k").as_deref(), Some("refused"));
    }
}
