//! Of which certificates people are warned: those that end soon and should have been renewed by now.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use crate::desired::{CertificateSpec, Desired};
use crate::expiry_warning::{DEFAULT_WARNING_DAYS, ExpiryWarning, crossed};
use crate::recorded::{Recorded, VersionId};
use crate::renewal::{Renewal, renewal};
use crate::retry::IssueFailure;

/// A current version that ends soon though its renewal is due. Prints as what people are told: when it ends, since when
/// its renewal is due, and why it has not happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The version. One is warned of once for each [`ExpiryWarning::threshold`].
    pub version: VersionId,
    /// That it ends, and how soon.
    pub warning: ExpiryWarning,
    /// When and why it was to be renewed.
    pub renewal: Renewal,
    /// What keeps it from being renewed, where that is known.
    pub cause: Option<String>,
}

impl Overdue {
    /// What is to be warned of at `now`; `None` for a certificate whose renewal is not due yet, however many days it is
    /// valid: one that is renewed in time is none of people's business.
    pub fn of(spec: &CertificateSpec, desired: &Desired, recorded: &Recorded, now: Timestamp) -> Option<Self> {
        let renewal = due(spec, recorded, now)?;
        let record = recorded.certificate(&spec.name)?;
        let version = record.current.as_ref()?;
        let warning = crossed(version.leaf.as_ref()?, &warning_days(spec, desired, recorded), now)?;
        let cause = record.issue_failure.as_ref().map(last_attempt);
        Some(Self { version: version.id, warning, renewal, cause })
    }
}

impl fmt::Display for Overdue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.warning)?;
        if !self.warning.is_expired() {
            write!(formatter, " (the warning {} before the end)", self.warning.threshold_in_words())?;
        }
        write!(formatter, "; renewal is due since {} by {}", second(self.renewal.at), self.renewal.reason)?;
        match &self.cause {
            Some(cause) => write!(formatter, "; {cause}"),
            None => Ok(()),
        }
    }
}

/// When and why the current version of a certificate was to be renewed; `None` when that is later, or there is none.
///
/// What a new order would be made for besides (other names, say) does not count: until its end comes near, the current
/// version is as good as it was.
pub fn due(spec: &CertificateSpec, recorded: &Recorded, now: Timestamp) -> Option<Renewal> {
    let record = recorded.certificate(&spec.name)?;
    let leaf = record.current.as_ref()?.leaf.as_ref()?;
    // As one who can wake at any instant: how often somebody looks is no reason to call it late.
    let renewal = renewal(leaf, record.renewal_window.as_ref(), now, SignedDuration::ZERO);
    (renewal.at <= now).then_some(renewal)
}

/// The days before its end at which a certificate is warned of: the config's, else those of all load balancers that it is
/// deployed to, as they last said, else [`DEFAULT_WARNING_DAYS`].
pub fn warning_days(spec: &CertificateSpec, desired: &Desired, recorded: &Recorded) -> Vec<u16> {
    if let Some(days) = &desired.warning_days {
        return days.clone();
    }
    let said = spec.deploy.iter().filter_map(|deploy| recorded.warning_days.get(&deploy.load_balancer));
    let mut days: Vec<u16> = said.flatten().copied().collect();
    days.sort_unstable_by(|one, other| other.cmp(one));
    days.dedup();
    if days.is_empty() { DEFAULT_WARNING_DAYS.to_vec() } else { days }
}

fn last_attempt(failure: &IssueFailure) -> String {
    format!("the attempt of {} failed: {}", second(failure.at), failure.error)
}

fn second(instant: Timestamp) -> String {
    instant.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::{LeafFacts, Sha256};
    use crate::desired::{DeploySpec, KeyHolder, RenewedBy, VersionSpec};
    use crate::key::KeyType;
    use crate::recorded::{CertificateRecord, Version};
    use crate::renewal::RenewalWindow;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    /// Certificate `www` on load balancers `front` and `edge`.
    fn spec() -> CertificateSpec {
        let version = VersionSpec {
            names: vec!["www.some-domain.com".parse().unwrap()],
            key: KeyType::EcdsaP256,
            key_holder: KeyHolder::Store,
            issuer: "ca".parse().unwrap(),
            directory: String::new(),
            profile: None,
        };
        let deploy = ["front", "edge"].map(|name| DeploySpec {
            load_balancer: name.parse().unwrap(),
            listener: "https".parse().unwrap(),
            probe: Vec::new(),
            create: false,
        });
        CertificateSpec {
            name: "www".parse().unwrap(),
            version,
            renewed_by: RenewedBy::Certferry,
            http01: Vec::new(),
            dns01: None,
            deploy: deploy.into(),
        }
    }

    /// Valid from 2026-01-01 to `not_after`, with the CA's wish to renew it in the hour from `window` on.
    fn recorded(not_after: &str, window: Option<&str>) -> Recorded {
        let spec = spec();
        let leaf = LeafFacts::for_tests("2026-01-01T00:00:00Z", not_after, Sha256::of(b"a leaf"));
        let current = Version {
            id: VersionId(7),
            certificate: spec.name.clone(),
            spec: spec.version,
            order_url: None,
            replaces: None,
            created_at: leaf.not_before,
            issued_at: Some(leaf.not_before),
            revoked_at: None,
            leaf: Some(leaf),
        };
        let renewal_window = window.map(|start| RenewalWindow {
            start: at(start),
            end: at(start) + SignedDuration::from_hours(1),
            explanation_url: None,
            next_fetch: at(start),
        });
        let record = CertificateRecord { current: Some(current), renewal_window, ..CertificateRecord::default() };
        Recorded { certificates: [(spec.name, record)].into(), ..Recorded::default() }
    }

    const USUAL: &str = "2026-04-01T00:00:00Z";

    #[test]
    fn a_certificate_is_warned_of_when_its_renewal_is_due_and_a_threshold_is_crossed() {
        let early = Some("2026-01-20T00:00:00Z");
        let late = Some("2026-03-12T00:00:00Z");
        let (usual, sixty) = (&[30, 7, 1][..], &[60, 30, 1][..]);
        for (not_after, window, days, now, threshold_days) in [
            // Renewal and the first warning fall on the same instant: due there, and not before.
            (USUAL, None, usual, "2026-03-01T23:59:59Z", None),
            (USUAL, None, usual, "2026-03-02T00:00:00Z", Some(30)),
            (USUAL, None, usual, "2026-03-25T00:00:00Z", Some(7)),
            (USUAL, None, usual, "2026-03-31T00:00:00Z", Some(1)),
            (USUAL, None, usual, "2026-04-02T00:00:00Z", Some(0)),
            // A second less than 90 days, as Let's Encrypt issues: the renewal is a third of a second later.
            ("2026-03-31T23:59:59Z", None, usual, "2026-03-01T23:59:59Z", None),
            ("2026-03-31T23:59:59Z", None, usual, "2026-03-02T00:00:00Z", Some(30)),
            // A threshold long before the renewal is no reason to be warned while all is well.
            (USUAL, None, sixty, "2026-02-10T00:00:00Z", None),
            (USUAL, None, sixty, "2026-03-02T00:00:00Z", Some(30)),
            // The CA wants it renewed early: the warning still comes at its own day.
            (USUAL, early, usual, "2026-02-10T00:00:00Z", None),
            (USUAL, early, sixty, "2026-02-10T00:00:00Z", Some(60)),
            // The CA wants it renewed late: until then the first threshold does not count.
            (USUAL, late, usual, "2026-03-11T00:00:00Z", None),
            (USUAL, late, usual, "2026-03-13T00:00:00Z", Some(30)),
            // No days at all: the end itself.
            (USUAL, None, &[], "2026-03-31T23:59:59Z", None),
            (USUAL, None, &[], USUAL, Some(0)),
            // Six days, renewed at half of them, warned of at a third.
            ("2026-01-07T00:00:00Z", None, usual, "2026-01-04T00:00:00Z", None),
            ("2026-01-07T00:00:00Z", None, usual, "2026-01-05T00:00:00Z", Some(2)),
        ] {
            let desired = Desired { warning_days: Some(days.to_vec()), ..Desired::default() };
            let overdue = Overdue::of(&spec(), &desired, &recorded(not_after, window), at(now));
            let threshold = overdue.as_ref().map(|overdue| overdue.warning.threshold.as_hours() / 24);
            assert_eq!(threshold, threshold_days, "{not_after} {window:?} {days:?} {now}");
            assert!(overdue.is_none_or(|overdue| overdue.version == VersionId(7)));
        }
    }

    #[test]
    fn the_days_are_the_configs_or_those_of_the_load_balancers_or_the_usual_ones() {
        let (front, edge, other) = ("front".parse().unwrap(), "edge".parse().unwrap(), "other".parse().unwrap());
        let mut said = Recorded::default();
        let mut desired = Desired::default();
        assert_eq!(warning_days(&spec(), &desired, &said), DEFAULT_WARNING_DAYS);
        said.warning_days.insert(other, vec![90]);
        assert_eq!(warning_days(&spec(), &desired, &said), DEFAULT_WARNING_DAYS, "not where it is deployed");
        said.warning_days.insert(edge, vec![60, 30, 1]);
        assert_eq!(warning_days(&spec(), &desired, &said), [60, 30, 1]);
        said.warning_days.insert(front, vec![45, 30, 7]);
        assert_eq!(warning_days(&spec(), &desired, &said), [60, 45, 30, 7, 1]);
        desired.warning_days = Some(vec![14]);
        assert_eq!(warning_days(&spec(), &desired, &said), [14]);
        desired.warning_days = Some(Vec::new());
        assert_eq!(warning_days(&spec(), &desired, &said), [0_u16; 0]);
    }

    #[test]
    fn the_text_says_what_ends_since_when_it_is_due_and_why_it_was_not_renewed() {
        let (desired, mut recorded) = (Desired::default(), recorded(USUAL, None));
        let text =
            |recorded: &Recorded, now: &str| Overdue::of(&spec(), &desired, recorded, at(now)).unwrap().to_string();
        assert_eq!(
            text(&recorded, "2026-03-26T00:00:00Z"),
            "expires in 6 days, on 2026-04-01 00:00 UTC (the warning 7 days before the end); renewal is due since \
             2026-03-02T00:00:00Z by its share of lifetime left"
        );
        let failure = IssueFailure {
            at: at("2026-03-25T12:00:00Z"),
            count: 3,
            error: "newOrder on issuer `ca`: rate limited".to_owned(),
            retry_at: at("2026-03-26T12:00:00Z"),
            ordered: None,
        };
        recorded.certificates.get_mut(&spec().name).unwrap().issue_failure = Some(failure);
        assert_eq!(
            text(&recorded, "2026-04-04T00:00:00Z"),
            "expired 3 days ago, on 2026-04-01 00:00 UTC; renewal is due since 2026-03-02T00:00:00Z by its share of \
             lifetime left; the attempt of 2026-03-25T12:00:00Z failed: newOrder on issuer `ca`: rate limited"
        );
    }

    #[test]
    fn without_a_version_there_is_nothing_to_warn_of() {
        let mut recorded = recorded(USUAL, None);
        let now = at("2026-05-01T00:00:00Z");
        recorded.certificates.get_mut(&spec().name).unwrap().current = None;
        assert_eq!(Overdue::of(&spec(), &Desired::default(), &recorded, now), None);
        assert_eq!(Overdue::of(&spec(), &Desired::default(), &Recorded::default(), now), None);
    }
}
