//! When is there something to do without anybody changing anything?

use jiff::{SignedDuration, Timestamp};

use crate::desired::{CertificateSpec, Desired, RenewedBy};
use crate::recorded::{CertificateRecord, Recorded};
use crate::renewal::renewal;

/// The next instant at which a certificate of the config falls due: its renewal, the end of a wait after a failure, or the
/// CA's wish to be asked for the renewal window again. `None` where nothing is known yet. The renewal of what somebody else
/// renews does not fall due here.
pub fn next_due(desired: &Desired, recorded: &Recorded, now: Timestamp) -> Option<Timestamp> {
    let own = records_of(desired, recorded).filter(|(spec, _)| spec.renewed_by == RenewedBy::Certferry);
    let due = own.filter_map(|(spec, record)| next_of(spec, record, now));
    due.chain(records_of(desired, recorded).flat_map(|(_, record)| ends_after_roll_backs(record, now))).min()
}

/// The next instant at which a wait after a failure ends: then what failed is tried again.
pub fn next_retry(desired: &Desired, recorded: &Recorded, now: Timestamp) -> Option<Timestamp> {
    let ends = records_of(desired, recorded).flat_map(|(spec, record)| {
        ends_after_failure(spec, record, now).into_iter().chain(ends_after_roll_backs(record, now))
    });
    ends.min()
}

fn records_of<'a>(
    desired: &'a Desired,
    recorded: &'a Recorded,
) -> impl Iterator<Item = (&'a CertificateSpec, &'a CertificateRecord)> {
    desired.certificates.iter().filter_map(|spec| Some((spec, recorded.certificate(&spec.name)?)))
}

fn ends_after_failure(spec: &CertificateSpec, record: &CertificateRecord, now: Timestamp) -> Option<Timestamp> {
    let failure = record.issue_failure.as_ref().filter(|failure| failure.keeps_waiting(&spec.version, now));
    failure.map(|failure| failure.retry_at)
}

fn ends_after_roll_backs(record: &CertificateRecord, now: Timestamp) -> impl Iterator<Item = Timestamp> {
    let waits = record.deployments.iter().filter_map(move |deployment| record.waits_after(deployment, now));
    waits.map(|roll_back| roll_back.retry_at)
}

fn next_of(spec: &CertificateSpec, record: &CertificateRecord, now: Timestamp) -> Option<Timestamp> {
    let waits_until = ends_after_failure(spec, record, now);
    let window = record.renewal_window.as_ref();
    let leaf = record.current.as_ref().and_then(|version| version.leaf.as_ref());
    let due = leaf.map(|leaf| renewal(leaf, window, now, SignedDuration::ZERO).at);
    // What is due and failed is due again when its wait is over.
    let due = match waits_until {
        Some(until) => due.map(|due| due.max(until)).or(Some(until)),
        None => due,
    };
    // Asked for and not given, a window is asked for again by the next run; nobody wakes for that alone.
    let next_fetch = window.map(|window| window.next_fetch).filter(|next_fetch| *next_fetch > now);
    due.into_iter().chain(next_fetch).min()
}

#[cfg(test)]
mod tests {
    use super::super::tests::world::{NOT_DUE, World, at};
    use super::*;
    use crate::renewal::RenewalWindow;
    use crate::retry::IssueFailure;

    fn next(world: &World) -> Option<Timestamp> {
        next_due(&world.desired, &world.recorded, at(NOT_DUE))
    }

    #[test]
    fn the_first_of_renewal_wait_and_window_counts() {
        let mut world = World::with_deployed(1);
        let by_lifetime = at("2026-03-02T00:00:00Z");
        assert_eq!(next(&world), Some(by_lifetime), "a third of the lifetime before its end");
        let window = |start: &str, next_fetch: &str| RenewalWindow {
            start: at(start),
            end: at(start) + SignedDuration::from_secs(1),
            explanation_url: None,
            next_fetch: at(next_fetch),
        };
        world.record("www").renewal_window = Some(window("2026-02-20T00:00:00Z", "2026-02-01T06:00:00Z"));
        assert_eq!(next(&world), Some(at("2026-02-01T06:00:00Z")), "the CA wants to be asked");
        world.record("www").renewal_window = Some(window("2026-02-20T00:00:00Z", "2026-02-28T00:00:00Z"));
        assert!(next(&world).is_some_and(|due| due < at("2026-02-21T00:00:00Z")));
        world.record("www").renewal_window = None;
        world.record("www").issue_failure = Some(IssueFailure {
            at: at(NOT_DUE),
            count: 1,
            error: "no".to_owned(),
            retry_at: at("2026-03-05T00:00:00Z"),
            ordered: None,
        });
        assert_eq!(next(&world), Some(at("2026-03-05T00:00:00Z")), "a failure is waited out");
        let ordered = world.wanted("www").version.digest();
        world.record("www").issue_failure.as_mut().unwrap().ordered = Some(ordered);
        world.want("www").version.profile = Some("other".to_owned());
        assert_eq!(next(&world), Some(by_lifetime), "but not that of what is not wanted any more");
    }

    #[test]
    fn nobody_wakes_again_for_a_window_that_was_just_asked_for_in_vain() {
        let mut world = World::with_deployed(1);
        world.record("www").renewal_window = Some(RenewalWindow {
            start: at("2026-03-10T00:00:00Z"),
            end: at("2026-03-10T00:00:00Z"),
            explanation_url: None,
            next_fetch: at(NOT_DUE) - SignedDuration::from_secs(1),
        });
        assert_eq!(next(&world), Some(at("2026-03-10T00:00:00Z")));
    }

    #[test]
    fn what_certbot_renews_does_not_fall_due() {
        let mut world = World::with_deployed(1);
        world.want("www").renewed_by = RenewedBy::Certbot;
        assert_eq!(next(&world), None);
    }

    #[test]
    fn the_end_of_a_wait_after_a_roll_back_falls_due_whoever_renews() {
        let end = at(NOT_DUE) + SignedDuration::from_mins(1);
        for renewed_by in [RenewedBy::Certferry, RenewedBy::Certbot] {
            let mut world = World::with_deployed(2);
            world.want("www").renewed_by = renewed_by;
            world.roll_back("front", "https", "www", 2, end);
            let retry = |world: &World, now| next_retry(&world.desired, &world.recorded, now);
            assert_eq!((next(&world), retry(&world, at(NOT_DUE))), (Some(end), Some(end)));
            assert_eq!(retry(&world, end), None, "it is over");
            world.issue("www", 3);
            assert_eq!(retry(&world, at(NOT_DUE)), None, "another version does not wait");
        }
    }

    #[test]
    fn of_two_waits_after_failures_the_first_end_counts() {
        let mut world = World::with_deployed(1);
        assert_eq!(next_retry(&world.desired, &world.recorded, at(NOT_DUE)), None);
        let [sooner, later] = [1, 2].map(|minutes| at(NOT_DUE) + SignedDuration::from_mins(minutes));
        world.roll_back("front", "https", "www", 1, later);
        world.record("www").issue_failure =
            Some(IssueFailure { at: at(NOT_DUE), count: 1, error: "no".to_owned(), retry_at: sooner, ordered: None });
        assert_eq!(next_retry(&world.desired, &world.recorded, at(NOT_DUE)), Some(sooner));
    }

    #[test]
    fn of_what_is_not_recorded_nothing_is_known() {
        assert_eq!(next(&World::new()), None);
    }
}
