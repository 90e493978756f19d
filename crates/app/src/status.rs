//! How the certificates stand, computed from the config and the store alone: it needs no network, and says what is known.

use certferry_core::desired::{CertificateSpec, DeploySpec, Desired, RenewedBy};
use certferry_core::plan::{IssueDecision, PlanOptions, issue};
use certferry_core::recorded::{Deployment, DeploymentState, Recorded};
use certferry_core::renewal::renewal;
use certferry_core::{LeafFacts, ListenerName, LoadBalancerName, Overdue};
use jiff::{SignedDuration, Timestamp};

use crate::output::instant;

/// One certificate.
pub(crate) struct CertificateStatus<'a> {
    pub(crate) spec: &'a CertificateSpec,
    pub(crate) state: State,
    pub(crate) issued: Option<&'a LeafFacts>,
    pub(crate) renew_at: Option<Timestamp>,
    pub(crate) next_action: String,
    pub(crate) issue_error: Option<&'a str>,
    pub(crate) warning: Option<Overdue>,
    pub(crate) deployments: Vec<DeploymentStatus<'a>>,
}

/// One deployment: what the config wants, with what is recorded of it.
pub(crate) struct DeploymentStatus<'a> {
    pub(crate) load_balancer: &'a LoadBalancerName,
    pub(crate) listener: &'a ListenerName,
    pub(crate) record: Option<&'a Deployment>,
    pub(crate) state: DeploymentState,
    /// Until when the daemon waits with the next attempt, after the current version was put back.
    pub(crate) retry_at: Option<Timestamp>,
}

/// How a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Something is to be done.
    Due,
    /// The last attempt at something failed.
    Failing,
    /// Issued, deployed, served, and not due.
    Ok,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Failing => "failing",
            Self::Ok => "ok",
        }
    }
}

/// How every certificate of the config stands.
pub(crate) fn status<'a>(desired: &'a Desired, recorded: &'a Recorded, now: Timestamp) -> Vec<CertificateStatus<'a>> {
    desired.certificates.iter().map(|spec| certificate(spec, desired, recorded, now)).collect()
}

fn certificate<'a>(
    spec: &'a CertificateSpec,
    desired: &Desired,
    recorded: &'a Recorded,
    now: Timestamp,
) -> CertificateStatus<'a> {
    let record = recorded.certificate(&spec.name);
    let decision = issue(spec, record, now, &PlanOptions::default());
    let current = record.and_then(|record| record.current.as_ref());
    let deployments: Vec<_> = spec
        .deploy
        .iter()
        .map(|deploy| {
            let deployment = record.and_then(|record| record.deployment(&deploy.load_balancer, &deploy.listener));
            let roll_back = record.zip(deployment).and_then(|(record, deployment)| record.waits_after(deployment, now));
            let retry_at = roll_back.map(|roll_back| roll_back.retry_at);
            // What was verified was an earlier version: for this one, nothing is done yet.
            let stale = deployment.is_some_and(|record| Some(record.version) != current.map(|version| version.id));
            let state = deployment.map_or(DeploymentState::Pending, |record| match record.state {
                DeploymentState::Failed => DeploymentState::Failed,
                _ if stale => DeploymentState::Pending,
                state => state,
            });
            let DeploySpec { load_balancer, listener, .. } = deploy;
            DeploymentStatus { load_balancer, listener, record: deployment, state, retry_at }
        })
        .collect();
    let issue_error = record.and_then(|record| record.issue_failure.as_ref()).map(|failure| failure.error.as_str());
    let delivery_due = deployments.iter().any(|deployment| deployment.state != DeploymentState::Verified);
    let failing = issue_error.is_some() || deployments.iter().any(|one| one.state == DeploymentState::Failed);
    let next_action = match &decision {
        IssueDecision::Due(step) => format!("issue: {}", step.why),
        IssueDecision::Waiting { failure, .. } => format!("issue again at {}", instant(failure.retry_at)),
        IssueDecision::Elsewhere { missing: Some(missing) } => format!("wait for certbot: {missing}"),
        IssueDecision::Elsewhere { .. } | IssueDecision::NotDue { .. } if delivery_due => deliver(&deployments),
        IssueDecision::Elsewhere { missing: None } => "certbot renews it".to_owned(),
        IssueDecision::NotDue { renewal, .. } => format!("renew at {} by {}", instant(renewal.at), renewal.reason),
    };
    let issue_due = match &decision {
        IssueDecision::Due(_) | IssueDecision::Waiting { .. } => true,
        IssueDecision::Elsewhere { missing } => missing.is_some(),
        IssueDecision::NotDue { .. } => false,
    };
    let state = match (failing, issue_due || delivery_due) {
        (true, _) => State::Failing,
        (false, true) => State::Due,
        (false, false) => State::Ok,
    };
    let issued = current.and_then(|version| version.leaf.as_ref());
    let window = record.and_then(|record| record.renewal_window.as_ref());
    let own = spec.renewed_by == RenewedBy::Certferry;
    let renew_at = issued.filter(|_| own).map(|leaf| renewal(leaf, window, now, SignedDuration::ZERO).at);
    let warning = Overdue::of(spec, desired, recorded, now);
    CertificateStatus { spec, state, issued, renew_at, next_action, issue_error, warning, deployments }
}

/// What is next where a deployment is not verified.
fn deliver(deployments: &[DeploymentStatus<'_>]) -> String {
    let mut due = deployments.iter().filter(|deployment| deployment.state != DeploymentState::Verified);
    let first = due.try_fold(None, |first: Option<Timestamp>, deployment| {
        let retry_at = deployment.retry_at?;
        Some(Some(first.map_or(retry_at, |first| first.min(retry_at))))
    });
    match first.flatten() {
        Some(retry_at) => format!("deliver again at {}, by `apply` at once", instant(retry_at)),
        None => "deliver".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use certferry_core::desired::{KeyHolder, VersionSpec};
    use certferry_core::recorded::{CertificateRecord, Version, VersionId};
    use certferry_core::retry::{IssueFailure, RollBack};
    use certferry_core::{BundleName, KeyType, Sha256};

    use super::*;
    use crate::output::{StatusDocument, status_text};

    const NOW: &str = "2026-02-01T00:00:00Z";

    fn desired() -> Desired {
        let version = VersionSpec {
            names: vec!["www.some-domain.com".parse().unwrap()],
            key: KeyType::EcdsaP256,
            key_holder: KeyHolder::Store,
            issuer: "ca".parse().unwrap(),
            directory: String::new(),
            profile: None,
        };
        let deploy = DeploySpec {
            load_balancer: "front".parse().unwrap(),
            listener: "https".parse().unwrap(),
            probe: Vec::new(),
            create: false,
        };
        let spec = CertificateSpec {
            name: "www".parse().unwrap(),
            version,
            renewed_by: RenewedBy::Certferry,
            http01: Vec::new(),
            dns01: None,
            deploy: vec![deploy],
        };
        Desired { certificates: vec![spec], ..Desired::default() }
    }

    /// A record with a version that ends at `not_after`, and a deployment of version `deployed` in `state`.
    fn record(not_after: &str, deployed: i64, state: DeploymentState) -> CertificateRecord {
        let spec = desired().certificates.remove(0);
        let now: Timestamp = NOW.parse().unwrap();
        let current = Version {
            id: VersionId(2),
            certificate: spec.name.clone(),
            spec: spec.version,
            order_url: None,
            replaces: None,
            leaf: Some(LeafFacts::for_tests("2026-01-01T00:00:00Z", not_after, Sha256::of(b"leaf"))),
            created_at: now,
            issued_at: Some(now),
            revoked_at: None,
        };
        let deployment = Deployment {
            certificate: spec.name,
            load_balancer: "front".parse().unwrap(),
            listener: "https".parse().unwrap(),
            state,
            version: VersionId(deployed),
            bundle: BundleName::observed("cf-www"),
            previous_bundle: None,
            deployed_serial: None,
            served_serial: None,
            verified_at: None,
            last_error: None,
            roll_back: None,
            updated_at: now,
        };
        CertificateRecord { current: Some(current), deployments: vec![deployment], ..CertificateRecord::default() }
    }

    /// What is recorded when `record` is all that is recorded of the certificate.
    fn recorded(record: CertificateRecord) -> Recorded {
        let name = desired().certificates.remove(0).name;
        Recorded { certificates: [(name, record)].into(), ..Recorded::default() }
    }

    fn state_of(record: Option<CertificateRecord>) -> (State, Option<DeploymentState>) {
        let desired = desired();
        let recorded = record.map(recorded).unwrap_or_default();
        let status = status(&desired, &recorded, NOW.parse().unwrap());
        (status[0].state, status[0].deployments.first().map(|deployment| deployment.state))
    }

    #[test]
    fn a_certificate_is_ok_only_when_issued_deployed_served_and_not_due() {
        use DeploymentState::{Bound, Failed, Pending, Verified};
        for (not_after, deployed, recorded, expected, shown) in [
            ("2026-04-01T00:00:00Z", 2, Verified, State::Ok, Verified),
            ("2026-04-01T00:00:00Z", 2, Bound, State::Due, Bound),
            ("2026-04-01T00:00:00Z", 1, Verified, State::Due, Pending),
            ("2026-04-01T00:00:00Z", 2, Failed, State::Failing, Failed),
            ("2026-02-02T00:00:00Z", 2, Verified, State::Due, Verified),
        ] {
            let state = state_of(Some(record(not_after, deployed, recorded)));
            assert_eq!(state, (expected, Some(shown)), "{not_after} {deployed} {recorded}");
        }
        assert_eq!(state_of(None), (State::Due, Some(Pending)));
    }

    #[test]
    fn a_version_that_was_put_back_shows_when_it_is_tried_again() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let mut record = record("2026-04-01T00:00:00Z", 2, DeploymentState::Failed);
        let retry_at = at("2026-02-01T00:10:00Z");
        let roll_back = RollBack { at: at(NOW), count: 2, error: "serial 07".to_owned(), retry_at };
        record.deployments[0].roll_back = Some(roll_back);
        let (desired, recorded) = (desired(), recorded(record));
        for (now, next, json) in [
            (
                NOW,
                "deliver again at 2026-02-01T00:10:00Z, by `apply` at once",
                serde_json::json!("2026-02-01T00:10:00Z"),
            ),
            ("2026-02-01T00:10:00Z", "deliver", serde_json::Value::Null),
        ] {
            let certificates = status(&desired, &recorded, at(now));
            assert_eq!((certificates[0].state, certificates[0].next_action.as_str()), (State::Failing, next));
            let document = serde_json::to_value(StatusDocument::new(&certificates)).unwrap();
            assert_eq!(document["certificates"][0]["deployments"][0]["retry_at"], json);
        }
    }

    #[test]
    fn an_issuing_failure_shows_until_the_next_success() {
        let mut record = record("2026-04-01T00:00:00Z", 2, DeploymentState::Verified);
        let now: Timestamp = NOW.parse().unwrap();
        record.issue_failure =
            Some(IssueFailure { at: now, count: 1, error: "no".to_owned(), retry_at: now, ordered: None });
        assert_eq!(state_of(Some(record)).0, State::Failing);
    }

    #[test]
    fn why_a_certificate_fails_and_what_comes_next_is_in_the_document() {
        let now: Timestamp = NOW.parse().unwrap();
        let document = |issue_failure: Option<IssueFailure>| {
            let mut record = record("2026-02-02T00:00:00Z", 2, DeploymentState::Verified);
            record.issue_failure = issue_failure;
            let (desired, recorded) = (desired(), recorded(record));
            serde_json::to_value(StatusDocument::new(&status(&desired, &recorded, now))).unwrap()["certificates"][0]
                .take()
        };
        let retry_at = now + SignedDuration::from_mins(1);
        let failure =
            IssueFailure { at: now, count: 1, error: "www: the CA says no".to_owned(), retry_at, ordered: None };
        let failing = document(Some(failure));
        assert_eq!(failing["last_error"], "www: the CA says no");
        assert_eq!(failing["next_action"], "issue again at 2026-02-01T00:01:00Z");
        let due = document(None);
        assert_eq!(due.get("last_error"), Some(&serde_json::Value::Null), "the key is there");
        assert!(due["next_action"].as_str().unwrap().starts_with("issue: "), "{due}");
    }

    #[test]
    fn the_warning_that_is_crossed_is_in_text_and_json_whether_told_or_not() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (desired, mut recorded) =
            (desired(), recorded(record("2026-04-01T00:00:00Z", 2, DeploymentState::Verified)));
        let document = |recorded: &Recorded, now: &str| {
            let certificates = status(&desired, recorded, at(now));
            let json = serde_json::to_value(StatusDocument::new(&certificates)).unwrap();
            (json["certificates"][0]["warning"].clone(), status_text(&certificates))
        };
        let (json, text) = document(&recorded, "2026-03-01T00:00:00Z");
        assert_eq!(json, serde_json::Value::Null, "the key is there");
        assert!(!text.contains("warnings:"), "{text}");

        let (json, text) = document(&recorded, "2026-03-26T06:00:00Z");
        let words = "expires in 5 days, on 2026-04-01 00:00 UTC (the warning 7 days before the end); renewal is due since \
                     2026-03-02T00:00:00Z by its share of lifetime left";
        let expected = serde_json::json!({
            "text": words, "not_after": "2026-04-01T00:00:00Z", "threshold_days": 7.0, "days_left": 5,
        });
        assert_eq!(json, expected);
        assert!(text.ends_with(&format!("\n\nwarnings:\n  www: {words}")), "{text}");

        // Six days: the thresholds are shares of the lifetime, and no whole days.
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        let leaf = recorded.certificates.values_mut().next().unwrap().current.as_mut().unwrap().leaf.as_mut().unwrap();
        leaf.not_before = leaf.not_after - days(6);
        assert_eq!(document(&recorded, "2026-03-31T13:00:00Z").0["threshold_days"], 40_320.0 / 86_400.0);

        let leaf = recorded.certificates.values_mut().next().unwrap().current.as_mut().unwrap().leaf.as_mut().unwrap();
        leaf.not_before = leaf.not_after - days(90);
        recorded.warning_days.insert("front".parse().unwrap(), vec![29]);
        assert_eq!(
            document(&recorded, "2026-03-02T12:00:00Z").0,
            serde_json::Value::Null,
            "its load balancer warns later"
        );
        assert_eq!(document(&recorded, "2026-04-03T12:00:00Z").0["days_left"], -2);
        assert_eq!(document(&recorded, "2026-04-03T12:00:00Z").0["threshold_days"], 0.0);
    }
}
