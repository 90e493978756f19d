//! newOrder, with `replaces` where it can be, and once more without it where the CA does not take it.

use certferry_acme::{CertificateId, NewOrder, ProblemType};
use certferry_core::port::{Order, OrderRequest};
use certferry_core::{Error, ErrorKind};

use super::config::WithoutProfile;
use super::convert;
use super::issuer::AcmeIssuer;

impl AcmeIssuer {
    pub(super) async fn order_new(&self, request: &OrderRequest) -> Result<Order, Error> {
        let account = self.account()?;
        let directory = self.client.directory().await.map_err(|error| self.failed(&error))?;
        let profile = match &request.profile {
            Some(profile) if !directory.meta.profiles.contains_key(profile) => match self.config.without_profile {
                WithoutProfile::Refuse => return Err(self.no_such_profile(profile, &directory.meta.profiles)),
                WithoutProfile::OrderAnyway => {
                    tracing::info!(issuer = %self.config.name, profile, "the CA offers no such profile, ordering without");
                    None
                }
            },
            profile => profile.clone(),
        };
        let replaced = request.replaces.as_ref().filter(|_| directory.renewal_info.is_some());
        let mut new = NewOrder {
            identifiers: request.names.iter().map(convert::identifier).collect(),
            replaces: replaced.and_then(|chain| CertificateId::from_der(chain.leaf_der()).ok()),
            profile,
        };
        let answer = match account.new_order(&new).await {
            Err(error) if new.replaces.is_some() && may_be_for_replaces(&error) => {
                tracing::info!(issuer = %self.config.name, "the CA refuses `replaces`, ordering without it: {error}");
                new.replaces = None;
                account.new_order(&new).await
            }
            answer => answer,
        };
        let answer = answer.map_err(|error| self.failed(&error))?;
        let Some(url) = answer.location.clone() else {
            return Err(Error::new(ErrorKind::Unexpected, "newOrder", self.subject()).said("the order has no URL"));
        };
        let asked = new.replaces.as_ref().map(CertificateId::as_str);
        // An open order for the same names may come back, made without `replaces` or with another one.
        let replaces = asked.is_some() && answer.value.replaces.as_deref() == asked;
        Ok(Order { replaces, ..convert::order(url.as_str(), answer) })
    }
}

/// Whether a refusal may have `replaces` for its reason, so that the order is worth asking for without it. CAs answer
/// 409 alreadyReplaced, 403 for a certificate of another account, 404 for one that they do not know, and 400 for one
/// that they cannot read; Pebble 2.6 answers 500 for a serial that begins with a zero byte, and would at every renewal.
/// What speaks about rate, account, names or profile would be refused again. An order that a 500 made all the same is
/// found again by its names, or expires.
fn may_be_for_replaces(error: &certferry_acme::Error) -> bool {
    if error.problem_type() == Some(&ProblemType::ServerInternal) {
        return error.status().is_some_and(|status| status.as_u16() == 500);
    }
    let refused = error.status().is_some_and(|status| status.is_client_error());
    let reason = match error.problem_type() {
        Some(kind) => matches!(
            kind,
            ProblemType::AlreadyReplaced
                | ProblemType::AlreadyRevoked
                | ProblemType::Conflict
                | ProblemType::Malformed
                | ProblemType::Unauthorized
                | ProblemType::Unknown(_)
        ),
        None => error.status().is_some_and(|status| matches!(status.as_u16(), 400 | 404 | 409)),
    };
    refused && reason && !error.is_rate_limited() && !error.is_effect_unknown()
}
