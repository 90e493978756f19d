//! Promise 2: whatever a call is answered, it converges, or stops with an error that names object, call and way out.

use std::time::Duration;

use certferry_core::port::LoadBalancer;
use certferry_core::{BundleName, Error, ErrorKind, Retry};
use certferry_lab::oci_load_balancer::{
    AttachedCertificate, DuplicateName, Effect, Fault, RetryAfter, WorkRequestError,
};

use crate::oci_fixture::{Fixture, https, usual};

/// Failures that pass.
fn passing() -> Vec<Effect> {
    vec![
        Effect::answer(409, "IncorrectState", "busy"),
        Effect::answer(409, "Conflict", "busy"),
        Effect::answer(409, "InvalidatedRetryToken", "void"),
        Effect::answer(412, "NoEtagMatch", "changed"),
        Effect::too_many_requests(None),
        Effect::too_many_requests(Some(RetryAfter::Seconds(0))),
        Effect::answer(500, "InternalServerError", "oops"),
        Effect::HtmlPage { status: 503, body: "<html><body>Service Unavailable</body></html>".to_owned() },
        Effect::CloseBefore,
        Effect::CloseAfter,
        Effect::Hang,
    ]
}

async fn with_short_requests() -> Fixture {
    Fixture::with(usual(), |config| config.access.limits.request = Duration::from_millis(400)).await
}

#[tokio::test]
async fn an_upload_converges_whatever_the_first_answers_are() {
    for effect in passing() {
        let fixture = with_short_requests().await;
        fixture.lab.add_fault(Fault::new("CreateCertificate", effect.clone()).times(2));
        let outcome = fixture.front.upload(fixture.bundle()).await;
        assert!(outcome.is_ok(), "{effect:?}: {outcome:?}");
        assert_eq!(fixture.json()["certificates"].as_object().unwrap().len(), 2, "{effect:?}");
    }
}

#[tokio::test]
async fn a_binding_converges_whatever_the_first_answers_are() {
    for effect in passing() {
        let fixture = with_short_requests().await;
        fixture.front.upload(fixture.bundle()).await.unwrap();
        fixture.lab.add_fault(Fault::new("UpdateListener", effect.clone()).times(2));
        let outcome = fixture.front.bind(&https(), &fixture.bundle().name).await;
        assert!(outcome.is_ok(), "{effect:?}: {outcome:?}");
        let listener = &fixture.json()["listeners"]["https"];
        assert_eq!(listener["sslConfiguration"]["certificateName"], fixture.bundle().name.as_str(), "{effect:?}");
        assert_eq!(listener["notInventedYet"]["depth"][0], 1, "{effect:?}");
    }
}

#[tokio::test]
async fn a_deletion_converges_whatever_the_first_answers_are() {
    for effect in passing() {
        let fixture = with_short_requests().await;
        fixture.front.upload(fixture.bundle()).await.unwrap();
        fixture.lab.add_fault(Fault::new("DeleteCertificate", effect.clone()).times(2));
        let outcome = fixture.front.delete(&fixture.bundle().name).await;
        assert!(outcome.is_ok(), "{effect:?}: {outcome:?}");
        assert_eq!(fixture.json()["certificates"].as_object().unwrap().len(), 1, "{effect:?}");
    }
}

#[tokio::test]
async fn every_read_converges_whatever_the_first_answers_are() {
    let reads = ["GetLoadBalancer", "GetWorkRequest", "ListWorkRequests", "ListSSLCipherSuites"];
    assert_reads_converge(&reads, with_short_requests).await;
}

/// Each of these reads fails twice, in every way that passes: a bundle gets onto a listener all the same.
pub(crate) async fn assert_reads_converge(operations: &[&str], start: impl AsyncFn() -> Fixture) {
    for operation in operations {
        for effect in [
            Effect::too_many_requests(None),
            Effect::answer(500, "InternalServerError", "oops"),
            Effect::HtmlPage { status: 503, body: "<html>".to_owned() },
            Effect::CloseBefore,
            Effect::Hang,
        ] {
            let fixture = start().await;
            fixture.lab.add_fault(Fault::new(*operation, effect.clone()).times(2));
            fixture.front.upload(fixture.bundle()).await.unwrap();
            let outcome = fixture.front.bind(&https(), &fixture.bundle().name).await;
            assert!(outcome.is_ok(), "{operation} {effect:?}: {outcome:?}");
            assert_eq!(fixture.lab.pending_faults(), 0, "{operation} {effect:?}");
        }
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_token() {
    let fixture = Fixture::start().await;
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::CloseAfter));
    fixture.front.upload(fixture.bundle()).await.unwrap();
    let calls = fixture.calls("CreateCertificate");
    assert_eq!(calls.len(), 2);
    assert!(calls[0].retry_token.is_some() && calls[0].retry_token == calls[1].retry_token, "{calls:?}");
    assert_eq!(fixture.lab.work_requests().len(), 1, "the service did it once");
}

#[tokio::test]
async fn a_lost_race_is_started_over_with_a_fresh_token() {
    let fixture = Fixture::start().await;
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::answer(409, "IncorrectState", "busy")));
    fixture.front.upload(fixture.bundle()).await.unwrap();
    let calls = fixture.calls("CreateCertificate");
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].retry_token, calls[1].retry_token);
}

#[tokio::test]
async fn a_failed_work_request_is_no_success_and_speaks() {
    let fixture = Fixture::start().await;
    let errors = vec![WorkRequestError::bad_input("bad one"), WorkRequestError::internal_error("bad two")];
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestFails(errors)));
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
    for part in
        ["CreateCertificate", fixture.bundle().name.as_str(), "`front`", "BAD_INPUT: bad one", "bad two", "FAILED"]
    {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let errors = vec![WorkRequestError::internal_error("oops")];
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestFails(errors)));
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unavailable, Retry::WithBackoff), "{error}");
}

#[tokio::test]
async fn a_work_request_that_does_not_end_is_given_up_and_named() {
    let fixture = Fixture::with(usual(), |config| config.access.limits.work_request = Duration::from_millis(100)).await;
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestStuck));
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    let id = fixture.lab.work_requests()[0].id.clone();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains(&id) && error.to_string().contains("IN_PROGRESS"), "{error}");
    let error = fixture.front.delete(&BundleName::observed("other")).await.unwrap_err();
    assert!(error.to_string().contains(&id), "the next change waits for it, then names it: {error}");
}

#[tokio::test]
async fn a_slow_work_request_is_waited_for() {
    let fixture = Fixture::start().await;
    fixture.lab.add_fault(Fault::new("CreateCertificate", Effect::WorkRequestTakes(Duration::from_millis(300))));
    fixture.front.upload(fixture.bundle()).await.unwrap();
    assert_eq!(fixture.lab.count("CreateCertificate"), 1);
}

#[tokio::test]
async fn retry_after_is_kept_and_passed_on_when_it_is_too_long() {
    let fixture = Fixture::start().await;
    for retry_after in [RetryAfter::Seconds(1), RetryAfter::DateIn(1)] {
        fixture.lab.add_fault(Fault::new("GetLoadBalancer", Effect::too_many_requests(Some(retry_after))));
        fixture.front.observe().await.unwrap();
    }
    fixture.lab.add_fault(Fault::new("GetLoadBalancer", Effect::too_many_requests(Some(RetryAfter::Seconds(3600)))));
    let error = fixture.front.observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled, "{error}");
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(3600)));
    assert!(error.to_string().contains("User-rate limit exceeded."), "{error}");
}

#[tokio::test]
async fn what_does_not_pass_ends_within_the_limit_and_says_what_came() {
    for (effect, kind) in [
        (Effect::answer(409, "Conflict", "busy"), ErrorKind::Conflict),
        (Effect::answer(412, "NoEtagMatch", "changed"), ErrorKind::Conflict),
        (Effect::too_many_requests(None), ErrorKind::Throttled),
        (Effect::HtmlPage { status: 503, body: "<html>Down</html>".to_owned() }, ErrorKind::Unavailable),
        (Effect::CloseBefore, ErrorKind::EffectUnknown),
        (Effect::Hang, ErrorKind::EffectUnknown),
    ] {
        let fixture = Fixture::with(usual(), |config| {
            config.access.limits.retry = Duration::from_millis(300);
            config.access.limits.request = Duration::from_millis(150);
        })
        .await;
        fixture.lab.add_fault(Fault::new("CreateCertificate", effect.clone()).always());
        let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{effect:?}: {error}");
        assert_names_all(&error, "CreateCertificate", fixture.bundle().name.as_str());
        assert!(!fixture.lab.requests().is_empty() && error.hint().is_some());
    }
}

#[tokio::test]
async fn a_read_that_is_lost_has_no_effect_to_wonder_about() {
    for (effect, kind) in [(Effect::Hang, ErrorKind::Timeout), (Effect::CloseBefore, ErrorKind::Unavailable)] {
        let fixture = Fixture::with(usual(), |config| {
            config.access.limits.retry = Duration::from_millis(300);
            config.access.limits.request = Duration::from_millis(150);
        })
        .await;
        fixture.lab.add_fault(Fault::new("GetLoadBalancer", effect.clone()).always());
        let error = fixture.front.observe().await.unwrap_err();
        assert_eq!(error.kind(), kind, "{effect:?}: {error}");
        assert!(error.hint().unwrap().contains("127.0.0.1"), "{error}");
    }
}

#[tokio::test]
async fn a_refusal_is_not_repeated_and_quotes_the_service() {
    let fixture = Fixture::start().await;
    fixture.lab.set_behaviour(|behaviour| behaviour.certificate_limit = Some(1));
    let error = fixture.front.upload(fixture.bundle()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Invalid, Retry::Never), "{error}");
    assert!(error.to_string().contains("400 LimitExceeded") && error.to_string().contains("opc-request-id"), "{error}");
    assert!(error.hint().unwrap().contains("old bundles"), "{error}");
    assert_eq!(fixture.lab.count("CreateCertificate"), 1);
}

#[tokio::test]
async fn a_bundle_in_use_that_was_not_seen_is_a_conflict_in_both_forms() {
    for form in [AttachedCertificate::Conflict, AttachedCertificate::WorkRequestFails] {
        let fixture = Fixture::start().await;
        fixture.front.upload(fixture.bundle()).await.unwrap();
        fixture.lab.set_behaviour(move |behaviour| behaviour.attached_certificate = form);
        // Two writers: the reference appears between the look and the call, and goes again before the second look.
        let effect = match form {
            AttachedCertificate::Conflict => {
                Effect::answer(409, "Conflict", "Certificate 'x' is attached to one or more listeners/backendSets")
            }
            AttachedCertificate::WorkRequestFails => Effect::WorkRequestFails(vec![WorkRequestError::bad_input(
                "Certificate x is used by one or more backend sets",
            )]),
        };
        fixture.lab.add_fault(Fault::new("DeleteCertificate", effect));
        let error = fixture.front.delete(&fixture.bundle().name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{form:?}: {error}");
        assert_eq!(fixture.lab.count("DeleteCertificate"), 1, "{form:?}: it is not forced");
    }
}

#[tokio::test]
async fn a_name_that_another_process_took_first_is_compared() {
    for form in [DuplicateName::Conflict, DuplicateName::InvalidParameter] {
        let fixture = Fixture::start().await;
        fixture.lab.set_behaviour(move |behaviour| behaviour.duplicate_name = form);
        let other = crate::oci_fixture::provider(fixture.config.clone());
        let (one, two) = tokio::join!(fixture.front.upload(fixture.bundle()), other.upload(fixture.bundle()));
        assert!(one.is_ok() && two.is_ok(), "{form:?}: {one:?} {two:?}");
        assert_eq!(fixture.json()["certificates"].as_object().unwrap().len(), 2);
    }
}

fn assert_names_all(error: &Error, operation: &str, object: &str) {
    let text = error.to_string();
    for part in [operation, object, "load balancer `front`"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}
