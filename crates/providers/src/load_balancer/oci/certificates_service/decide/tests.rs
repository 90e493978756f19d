use certferry_core::{BundleName, Chain, Secret};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::version_name::digest;
use super::*;

const COMPARTMENT: &str = "ocid1.compartment.oc1..c";

/// A version with its intermediate, as a CA hands it out.
fn bundle_with(key: &rcgen::KeyPair, common_name: Option<&str>) -> Bundle {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let mut params = rcgen::CertificateParams::new(vec!["www.some-domain.com".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    if let Some(name) = common_name {
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
    }
    let leaf = params.signed_by(key, &rcgen::Issuer::new(authority, authority_key)).unwrap();
    let chain = Chain::parse(&format!("{}{authority_pem}", leaf.pem())).unwrap();
    let name = BundleName::for_subject_and_usages(&"www".parse().unwrap(), chain.leaf());
    Bundle { name, chain, private_key: Some(Secret::new(key.serialize_pem())) }
}

fn bundle() -> Bundle {
    bundle_with(&rcgen::KeyPair::generate().unwrap(), Some("www.some-domain.com"))
}

/// Versions by number, name and stages; `+` before the stages for one whose deletion is scheduled.
fn held(bundle: &Bundle, state: &str, versions: &[(u64, &str, &str)]) -> Held {
    let certificate = json!({"id": "ocid1.certificate.x", "name": bundle.name.as_str(), "lifecycleState": state,
        "lifecycleDetails": "the service's own words", "freeformTags": {"created-by": "certferry"}});
    let version = |(number, name, stages): &(u64, &str, &str)| {
        let goes = stages.starts_with('+').then_some("2026-01-02T03:04:05.000Z");
        let stages: Vec<&str> = stages.trim_start_matches('+').split_whitespace().collect();
        serde_json::from_value(
            json!({"versionNumber": number, "versionName": name, "stages": stages, "timeOfDeletion": goes}),
        )
        .unwrap()
    };
    Held { certificate: serde_json::from_value(certificate).unwrap(), versions: versions.iter().map(version).collect() }
}

fn next(held: Option<&Held>, bundle: &Bundle) -> Result<Next, Problem> {
    upload(COMPARTMENT, held, bundle, SoFar::default())
}

/// What is done next, in a word.
fn word(next: &Result<Next, Problem>) -> String {
    match next {
        Ok(Next::Act(action)) => format!("{:?}", action.kind),
        Ok(other) => format!("{other:?}"),
        Err(problem) => format!("error: {}", problem.said),
    }
}

fn body(next: Result<Next, Problem>) -> Value {
    let Ok(Next::Act(Action { body: Body::Json(body), .. })) = next else { panic!("{next:?}") };
    serde_json::from_slice(&body).unwrap()
}

#[test]
fn every_state_has_its_next_step() {
    let bundle = bundle();
    let name = |attempt| version_name(bundle.chain.leaf(), attempt);
    let (ours, second) = (&*name(1), &*name(2));
    let old = &*format!("20250101-{}", "1".repeat(64));
    let older = &*format!("20240101-{}", "2".repeat(64));
    for (state, versions, expected) in [
        ("ACTIVE", vec![(1, ours, "CURRENT LATEST")], "Done"),
        ("ACTIVE", vec![(1, old, "CURRENT LATEST")], "Import"),
        ("ACTIVE", vec![(1, "by-hand", "CURRENT LATEST"), (2, old, "PREVIOUS")], "Import"),
        ("ACTIVE", vec![(1, ours, "PREVIOUS"), (2, old, "CURRENT LATEST")], "MakeCurrent(1)"),
        ("ACTIVE", vec![(1, old, "CURRENT"), (2, ours, "LATEST PREVIOUS")], "MakeCurrent(2)"),
        ("ACTIVE", vec![(1, ours, "+PREVIOUS"), (2, old, "CURRENT LATEST")], "Import"),
        ("ACTIVE", vec![(1, ours, "FAILED"), (2, old, "CURRENT LATEST")], "Import"),
        ("ACTIVE", vec![(1, ours, "FAILED"), (2, second, "PREVIOUS"), (3, old, "CURRENT")], "MakeCurrent(2)"),
        ("ACTIVE", vec![(1, older, "DEPRECATED"), (2, old, "CURRENT LATEST")], "ScheduleVersionDeletion(1)"),
        ("ACTIVE", vec![(1, older, "DEPRECATED"), (2, ours, "CURRENT LATEST")], "ScheduleVersionDeletion(1)"),
        ("ACTIVE", vec![(1, older, "+DEPRECATED"), (2, ours, "CURRENT LATEST")], "Done"),
        ("ACTIVE", vec![(1, "by-hand", "DEPRECATED"), (2, ours, "CURRENT LATEST")], "Done"),
        ("A_STATE_OF_NEXT_YEAR", vec![(1, old, "CURRENT LATEST")], "Import"),
        ("CREATING", vec![], "Wait"),
        ("UPDATING", vec![(1, old, "CURRENT LATEST")], "Wait"),
        ("SCHEDULING_DELETION", vec![(1, ours, "CURRENT LATEST")], "Wait"),
        ("PENDING_DELETION", vec![(1, ours, "CURRENT LATEST")], "CancelDeletion"),
        ("DELETED", vec![], "Create"),
        ("FAILED", vec![], "error: it is FAILED: the service's own words"),
    ] {
        assert_eq!(word(&next(Some(&held(&bundle, state, &versions)), &bundle)), expected, "{state} {versions:?}");
    }
    assert_eq!(word(&next(None, &bundle)), "Create");
}

#[test]
fn a_certificate_of_somebody_else_is_never_touched() {
    let bundle = bundle();
    for state in ["ACTIVE", "PENDING_DELETION", "UPDATING", "FAILED"] {
        let mut foreign = held(&bundle, state, &[(1, "by-hand", "CURRENT LATEST")]);
        foreign.certificate = serde_json::from_value(
            json!({"id": "x", "name": bundle.name.as_str(), "lifecycleState": state, "freeformTags": null}),
        )
        .unwrap();
        let problem = next(Some(&foreign), &bundle).unwrap_err();
        assert!(problem.said.contains("did not make") && problem.hint.contains("rename"), "{state}: {problem:?}");
        if state == "ACTIVE" {
            let problem = delete("x", Some(&foreign), &[]).unwrap_err();
            assert_eq!(problem.kind, ErrorKind::Invalid, "{problem:?}");
        }
    }
}

#[test]
fn the_leaf_goes_alone_and_its_issuers_beside_it() {
    let bundle = bundle();
    let first = body(next(None, &bundle));
    assert_eq!((&first["name"], &first["compartmentId"]), (&json!(bundle.name.as_str()), &json!(COMPARTMENT)));
    assert_eq!(first["freeformTags"], json!({"created-by": "certferry"}));
    let current = held(&bundle, "ACTIVE", &[(1, "by-hand", "CURRENT")]);
    let second = body(next(Some(&current), &bundle));
    assert_eq!(second["certificateConfig"]["stage"], "CURRENT");
    for body in [first, second] {
        let config = &body["certificateConfig"];
        assert_eq!(config["configType"], "IMPORTED");
        assert_eq!(config["versionName"], version_name(bundle.chain.leaf(), 1));
        let texts = ["certificatePem", "certChainPem"].map(|field| config[field].as_str().unwrap());
        assert_eq!(texts.concat(), bundle.chain.pem());
        assert_eq!(pem::parse_many(texts[0]).unwrap().len(), 1);
        assert_eq!(config["privateKeyPem"], bundle.private_key.as_ref().unwrap().expose().as_str());
    }
}

#[test]
fn a_version_that_failed_leaves_its_name_to_no_other_and_three_are_enough() {
    let bundle = bundle();
    let names: Vec<String> = (1..=4).map(|attempt| version_name(bundle.chain.leaf(), attempt)).collect();
    let mut versions = vec![(1, "by-hand", "CURRENT")];
    for number in 2..=4 {
        let next = body(next(Some(&held(&bundle, "ACTIVE", &versions)), &bundle));
        assert_eq!(next["certificateConfig"]["versionName"], names[number - 2]);
        versions.push((number as u64, names[number - 2].as_str(), "FAILED"));
    }
    let problem = next(Some(&held(&bundle, "ACTIVE", &versions)), &bundle).unwrap_err();
    assert!(problem.said.contains("3 versions") && problem.said.contains("own words"), "{problem:?}");
}

#[test]
fn a_version_that_fails_now_is_told_with_its_number_and_the_services_words() {
    let bundle = bundle();
    let name = version_name(bundle.chain.leaf(), 1);
    let held = held(&bundle, "ACTIVE", &[(1, "by-hand", "CURRENT"), (7, &name, "FAILED LATEST")]);
    let so_far = SoFar { imported: true, ..SoFar::default() };
    let problem = upload(COMPARTMENT, Some(&held), &bundle, so_far).unwrap_err();
    for piece in ["version 7", name.as_str(), "FAILED", "the service's own words"] {
        assert!(problem.said.contains(piece), "{piece}: {problem:?}");
    }
    assert!(problem.hint.contains("preferred-chain"), "{problem:?}");
}

#[test]
fn old_versions_stay_where_clearing_them_away_was_refused() {
    let bundle = bundle();
    let (old, ours) = (format!("20240101-{}", "2".repeat(64)), version_name(bundle.chain.leaf(), 1));
    let held = held(&bundle, "ACTIVE", &[(1, &old, "DEPRECATED"), (2, &ours, "CURRENT LATEST")]);
    let so_far = SoFar { clears: false, ..SoFar::default() };
    assert_eq!(word(&upload(COMPARTMENT, Some(&held), &bundle, so_far)), "Done");
}

#[test]
fn what_the_service_would_refuse_is_not_sent() {
    let whole = bundle();
    let leaf_only = Chain::parse(&pem::encode(&pem::Pem::new("CERTIFICATE", whole.chain.leaf_der()))).unwrap();
    let p521 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    let rsa = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_3072).unwrap();
    for (bundle, said) in [
        (Bundle { private_key: None, ..whole.clone() }, "with their keys only"),
        (Bundle { private_key: bundle().private_key, ..whole.clone() }, "does not belong"),
        (Bundle { chain: leaf_only, ..whole }, "besides the leaf"),
        (bundle_with(&rcgen::KeyPair::generate().unwrap(), None), "no common name"),
        (bundle_with(&p521, Some("a.test")), "ecdsa-p521"),
        (bundle_with(&rsa, Some("a.test")), "rsa-3072"),
    ] {
        let problem = next(None, &bundle).unwrap_err();
        assert!(problem.said.contains(said) && !problem.hint.is_empty(), "{said}: {problem:?}");
        assert!(!format!("{problem:?}").contains("PRIVATE KEY"), "{problem:?}");
    }
}

#[test]
fn a_deletion_is_scheduled_once_and_only_of_what_nothing_uses() {
    let bundle = bundle();
    let at = |state: &str| held(&bundle, state, &[(1, "x", "CURRENT")]);
    for (state, expected) in [
        ("ACTIVE", "ScheduleDeletion"),
        ("FAILED", "ScheduleDeletion"),
        ("UPDATING", "Wait"),
        ("CANCELLING_DELETION", "Wait"),
        ("SCHEDULING_DELETION", "Wait"),
        ("PENDING_DELETION", "Done"),
        ("DELETING", "Done"),
        ("DELETED", "Done"),
    ] {
        assert_eq!(word(&delete(bundle.name.as_str(), Some(&at(state)), &[])), expected, "{state}");
    }
    assert_eq!(word(&delete("gone", None, &[])), "Done");
    let problem = delete("x", Some(&at("ACTIVE")), &["listener `https`".to_owned()]).unwrap_err();
    assert_eq!((problem.kind, problem.said.as_str()), (ErrorKind::Conflict, "it is in use by listener `https`"));
}

/// Any versions at all, one of them current.
fn any_versions() -> impl Strategy<Value = Vec<(usize, &'static str)>> {
    let stages = prop::sample::select(vec!["PREVIOUS", "PENDING", "DEPRECATED", "+DEPRECATED", "FAILED", "LATEST", ""]);
    (prop::collection::vec((0_usize..4, stages), 0..8), 0_usize..4).prop_map(|(mut versions, current)| {
        versions.push((current, "CURRENT"));
        versions
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Followed to its end the decision ends, with the leaf current and nothing of somebody else's scheduled for deletion.
    #[test]
    fn whatever_versions_there_are_it_ends_with_the_leaf_current(versions in any_versions()) {
        let bundle = bundle();
        let names = [
            "by-hand".to_owned(),
            format!("20250101-{}", "1".repeat(64)),
            version_name(bundle.chain.leaf(), 1),
            version_name(bundle.chain.leaf(), 2),
        ];
        let mut versions: Vec<(u64, String, String)> = versions
            .into_iter()
            .enumerate()
            .map(|(index, (name, stages))| (index as u64 + 1, names[name].clone(), stages.to_owned()))
            .collect();
        for _ in 0..versions.len() + 3 {
            let given: Vec<(u64, &str, &str)> =
                versions.iter().map(|(number, name, stages)| (*number, name.as_str(), stages.as_str())).collect();
            let become_current = |number: u64, versions: &mut Vec<(u64, String, String)>| {
                for (other, _, stages) in versions.iter_mut() {
                    if stages == "CURRENT" {
                        *stages = "PREVIOUS".to_owned();
                    }
                    if *other == number {
                        *stages = "CURRENT".to_owned();
                    }
                }
            };
            match next(Some(&held(&bundle, "ACTIVE", &given)), &bundle) {
                Ok(Next::Done) => {
                    let current = versions.iter().find(|(_, _, stages)| stages == "CURRENT").unwrap();
                    prop_assert_eq!(digest(&current.1), Some(bundle.chain.leaf().sha256));
                    return Ok(());
                }
                Ok(Next::Act(Action { kind: ActionKind::ScheduleVersionDeletion(number), .. })) => {
                    let version = versions.iter_mut().find(|(one, ..)| *one == number).unwrap();
                    prop_assert!(version.1 != "by-hand" && version.2 == "DEPRECATED", "{version:?}");
                    version.2 = "+DEPRECATED".to_owned();
                }
                Ok(Next::Act(Action { kind: ActionKind::MakeCurrent(number), .. })) => {
                    become_current(number, &mut versions);
                }
                Ok(Next::Act(Action { kind: ActionKind::Import, body: Body::Json(body) })) => {
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    let name = body["certificateConfig"]["versionName"].as_str().unwrap().to_owned();
                    prop_assert!(versions.iter().all(|(_, other, _)| *other != name), "a name is given once");
                    let number = versions.len() as u64 + 1;
                    versions.push((number, name, String::new()));
                    become_current(number, &mut versions);
                }
                Err(problem) => {
                    prop_assert!(problem.said.contains("FAILED already"), "{problem:?}");
                    return Ok(());
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert!(false, "it does not end");
    }
}
