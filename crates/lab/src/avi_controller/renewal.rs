//! What the controller does as certificates near their end: a notice on each day of
//! `ssl_certificate_expiry_warning_days`, and one attempt at renewal just before the last but one.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    certificate,
    controller::{Controller, State},
    events::Event,
    kind::{CERTIFICATE, CONTROLLER_PROPERTIES},
    script,
};

/// What is still to come for one certificate.
pub(super) struct Schedule {
    not_after: Timestamp,
    /// Days before the end, most first: as the array was when the schedule was made.
    days: Vec<u64>,
    /// The entry before whose notice the renewal is tried.
    renewal_day: Option<u64>,
}

/// One thing that has come due.
enum Due {
    Notice { certificate: String, days_left: u64 },
    Renewal { certificate: String, days_left: u64 },
}

/// Makes schedules for certificates that have none, or that have become others. Days that are past are left out: a
/// certificate that lives shorter than the smallest entries is never renewed.
pub(super) fn schedule(state: &mut State, now: Timestamp) {
    let days = warning_days(state);
    let certificates: Vec<(String, Timestamp)> = state
        .store
        .of_kind(CERTIFICATE)
        .filter(|object| super::json::text(&object.fields, "type") != "SSL_CERTIFICATE_TYPE_CA")
        .filter_map(|object| Some((object.uuid.clone(), certificate::not_after(&object.fields)?)))
        .collect();
    state.schedules.retain(|uuid, _| certificates.iter().any(|(known, _)| known == uuid));
    for (uuid, not_after) in certificates {
        if state.schedules.get(&uuid).is_some_and(|schedule| schedule.not_after == not_after) {
            continue;
        }
        let coming = days.iter().copied().filter(|day| at(not_after, *day) > now).collect();
        let renewal_day = days.len().checked_sub(2).and_then(|last_but_one| days.get(last_but_one).copied());
        state.schedules.insert(uuid, Schedule { not_after, days: coming, renewal_day });
    }
}

/// Does what has come due by the controller's clock, in the order in which it came due.
pub(super) async fn catch_up(controller: &Arc<Controller>) {
    loop {
        // Not in the condition of a loop: the state must be free again.
        let due = take_due(&mut controller.state(), controller.clock.now());
        let Some(due) = due else { return };
        match due {
            Due::Notice { certificate, days_left } => {
                notice(&mut controller.state(), &certificate, days_left, controller.clock.now())
            }
            Due::Renewal { certificate, days_left } => {
                // A renewal that works makes a new schedule; after a failure only the notices are left.
                if let Err(problem) = script::make_certificate(controller, &certificate, script::Reason::Renewal).await
                {
                    tracing::debug!(certificate, problem, "the controller's renewal failed");
                    notice(&mut controller.state(), &certificate, days_left, controller.clock.now());
                }
            }
        }
    }
}

fn take_due(state: &mut State, now: Timestamp) -> Option<Due> {
    let (uuid, day) = state
        .schedules
        .iter()
        .filter_map(|(uuid, schedule)| Some((uuid, schedule, *schedule.days.first()?)))
        .filter(|(_, schedule, day)| at(schedule.not_after, *day) <= now)
        .min_by_key(|(uuid, schedule, day)| (at(schedule.not_after, *day), (*uuid).clone()))
        .map(|(uuid, _, day)| (uuid.clone(), day))?;
    let schedule = state.schedules.get_mut(&uuid)?;
    schedule.days.remove(0);
    let is_renewal = schedule.renewal_day == Some(day);
    let managed =
        state.store.find(&uuid).is_some_and(|object| certificate::profile(&object.fields, &state.store).is_some());
    Some(if is_renewal && managed {
        Due::Renewal { certificate: uuid, days_left: day }
    } else {
        Due::Notice { certificate: uuid, days_left: day }
    })
}

fn notice(state: &mut State, uuid: &str, days_left: u64, now: Timestamp) {
    let Some(object) = state.store.find(uuid) else { return };
    let description = format!("SSL certificate {} expires in {days_left} days", object.name());
    let details = json!({"ssl_expire_details": {"name": object.name(), "days_left": days_left}});
    let event = Event::about(object, "SSL_CERT_EXPIRE", now, description, details);
    state.tell(event);
}

fn warning_days(state: &State) -> Vec<u64> {
    let days =
        state.store.setting(CONTROLLER_PROPERTIES, "ssl_certificate_expiry_warning_days").and_then(Value::as_array);
    let mut days: Vec<u64> = days.into_iter().flatten().filter_map(Value::as_u64).collect();
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    days
}

fn at(not_after: Timestamp, days_before: u64) -> Timestamp {
    let days = i64::try_from(days_before.min(36_500)).unwrap_or_default();
    not_after.checked_sub(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MIN)
}
