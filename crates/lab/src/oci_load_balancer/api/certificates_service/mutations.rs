//! The POST and PUT operations: answered at once, in effect a little later.

use std::sync::Arc;

use http::{StatusCode, header::ETAG};
use serde_json::{Map, Value};

use super::{
    super::{
        super::{
            certificates_service::{Settlement, shown, time_of_deletion},
            error::ApiError,
            faults::Effect,
            fields::Fields,
            service::{Service, State},
        },
        Call, check_if_match,
        mutations::{object, remember, replayed, retry_token},
        reply::Reply,
    },
    CertificatesAction as Action,
    reads::number,
};

pub(super) fn mutate(
    service: &Arc<Service>,
    state: &mut State,
    call: &Call,
    action: &Action,
    effect: Option<Effect>,
) -> Result<Reply, ApiError> {
    let now = state.now();
    let Some(id) = action.certificate() else {
        return create(service, state, call, effect);
    };
    check_if_match(call, id, &state.certificates.certificate(id)?.etag())?;
    match action {
        Action::Update(_) => {
            let behaviour = state.behaviour.clone();
            let settlement = state.certificates.update(id, &object(call)?, &behaviour, now)?;
            service.settle_later(state, id, settlement, effect);
            return shown_certificate(state, id);
        }
        Action::ScheduleDeletion(_) => {
            let time = time_of_deletion(given_time(&object(call)?)?, now)?;
            state.certificates.schedule_deletion(id, time)?;
            service.settle_later(state, id, Settlement::PendDeletion, effect);
        }
        Action::CancelDeletion(_) => {
            let settlement = state.certificates.cancel_deletion(id)?;
            service.settle_later(state, id, settlement, effect);
        }
        Action::ScheduleVersionDeletion(_, version) => {
            let time = time_of_deletion(given_time(&object(call)?)?, now)?;
            state.certificates.schedule_version(id, number(version)?, Some(time))?;
        }
        Action::CancelVersionDeletion(_, version) => {
            state.certificates.schedule_version(id, number(version)?, None)?;
        }
        read => return Err(ApiError::not_found(format_args!("{read:?}"))),
    }
    let etag = state.certificates.certificate(id)?.etag();
    Ok(Reply::empty(StatusCode::NO_CONTENT).with(ETAG, &etag))
}

fn create(service: &Arc<Service>, state: &mut State, call: &Call, effect: Option<Effect>) -> Result<Reply, ApiError> {
    let token = retry_token(call)?;
    if let Some(id) = replayed(state, call, token)? {
        return shown_certificate(state, &id);
    }
    let (behaviour, now) = (state.behaviour.clone(), state.now());
    let id = state.certificates.create(&object(call)?, &behaviour, now)?;
    service.settle_later(state, &id, Settlement::Create, effect);
    remember(state, call, token, &id);
    shown_certificate(state, &id)
}

fn shown_certificate(state: &State, id: &str) -> Result<Reply, ApiError> {
    let certificate = state.certificates.certificate(id)?;
    let json = shown::certificate(certificate, state.behaviour.nulls);
    Ok(Reply::json(&json).with(ETAG, &certificate.etag()))
}

fn given_time(body: &Map<String, Value>) -> Result<Option<&str>, ApiError> {
    Fields::new("the deletion", body).text("timeOfDeletion")
}
