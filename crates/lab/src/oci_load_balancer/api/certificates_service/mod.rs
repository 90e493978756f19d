//! The HTTP side of the Certificates service: its two hosts, for management and for retrieval, in one.

mod mutations;
mod reads;
mod routes;

use std::sync::Arc;

pub(super) use self::routes::{BASE_PATH, CertificatesAction, offered};
use super::{
    super::{
        error::ApiError,
        faults::Effect,
        service::{Service, State},
    },
    Call,
    reply::Reply,
};

/// Answers a call.
pub(super) fn answer(
    service: &Arc<Service>,
    state: &mut State,
    call: &Call,
    action: &CertificatesAction,
    effect: Option<Effect>,
) -> Result<Reply, ApiError> {
    if !state.behaviour.certificates.allowed {
        return Err(ApiError::not_found("a policy for the Certificates service"));
    }
    let now = state.now();
    state.certificates.carry_out_deletions(now);
    if action.is_mutation() {
        return mutations::mutate(service, state, call, action, effect);
    }
    reads::read(state, call, action)
}
