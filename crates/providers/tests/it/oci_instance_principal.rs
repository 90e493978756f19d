//! Instance principals: metadata and federation, the token's life, and what goes wrong with each.

use std::sync::Arc;
use std::time::Duration;

use certferry_core::port::LoadBalancer;
use certferry_core::{Error, ErrorKind, SystemClock};
use certferry_lab::oci_load_balancer::{Effect, Fault, Instance, InstanceOptions};
use certferry_providers::load_balancer::oci::{Auth, InstancePrincipal, OciConfig, OciLoadBalancer, Principals};
use jiff::SignedDuration;

use crate::oci_fixture::{Fixture, MovedClock};

const CERTIFICATE: &str = "identity/cert.pem";
const FEDERATION: &str = "X509Federation";
const MINUTE: i64 = 60;

/// A load balancer that is asked by an instance, whose clock and whose service's clock can be moved.
struct Principal {
    fixture: Fixture,
    instance: Instance,
    clock: Arc<MovedClock>,
    front: OciLoadBalancer,
}

impl Principal {
    /// One that gives up quickly.
    async fn start() -> Self {
        Self::with_patience(Duration::from_secs(1)).await
    }

    /// One that repeats for so long what may pass. A new session key is made in that time too: RSA, without optimisation.
    async fn with_patience(patience: Duration) -> Self {
        let fixture = Fixture::start().await;
        let instance = fixture.lab.start_instance(InstanceOptions::default()).await.unwrap();
        let clock = Arc::new(MovedClock::default());
        let mut config = config(&fixture, &instance.metadata_url());
        config.access.limits.retry = patience;
        let front = OciLoadBalancer::new("front".parse().unwrap(), config, clock.clone()).unwrap();
        Self { fixture, instance, clock, front }
    }

    /// Time passes everywhere.
    fn pass(&self, seconds: i64) {
        self.clock.set(seconds);
        self.fixture.lab.set_behaviour(move |behaviour| behaviour.clock_offset_seconds = seconds);
    }

    async fn ask(&self) -> Result<(), Error> {
        self.front.observe().await.map(|_| ())
    }

    fn count(&self, operation: &str) -> usize {
        self.fixture.lab.count(operation)
    }

    /// The statuses of the calls of an operation.
    fn statuses(&self, operation: &str) -> Vec<u16> {
        self.fixture.calls(operation).into_iter().filter_map(|call| call.status).collect()
    }
}

/// As the fixture's, but asked by the instance with this metadata service; what cannot be had is given up quickly.
fn config(fixture: &Fixture, metadata_url: &str) -> OciConfig {
    let mut config = fixture.config.clone();
    config.access.auth = Auth::InstancePrincipal(InstancePrincipal {
        metadata_base_url: Some(metadata_url.to_owned()),
        auth_url: Some(fixture.lab.endpoint()),
    });
    config.access.limits.retry = Duration::from_secs(1);
    config
}

#[tokio::test]
async fn a_token_is_used_until_shortly_before_its_end() {
    let principal = Principal::start().await;
    for (minute, tokens) in [(0, 1), (1, 1), (14, 1), (16, 2), (29, 2), (32, 3), (90, 4)] {
        principal.pass(minute * MINUTE);
        principal.ask().await.unwrap();
        assert_eq!(principal.count(FEDERATION), tokens, "after {minute} minutes");
    }
    assert!(principal.statuses("GetLoadBalancer").iter().all(|status| *status == 200), "no token was used too long");
}

#[tokio::test]
async fn changes_are_signed_too() {
    let principal = Principal::start().await;
    let bundle = principal.fixture.bundle();
    principal.front.upload(bundle).await.unwrap();
    assert!(principal.fixture.json()["certificates"].get(bundle.name.as_str()).is_some());
}

#[tokio::test]
async fn while_another_token_cannot_be_had_the_old_one_is_used_to_its_end() {
    let principal = Principal::with_patience(Duration::from_secs(5)).await;
    principal.ask().await.unwrap();
    let down = Effect::answer(503, "ServiceUnavailable", "down");
    principal.fixture.lab.add_fault(Fault::new(FEDERATION, down).always());
    principal.pass(16 * MINUTE);
    for _ in 0..3 {
        principal.ask().await.unwrap();
    }
    assert_eq!(principal.count(FEDERATION), 2, "after a failure there is a pause");
    principal.pass(21 * MINUTE);
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("POST /v1/x509") && error.to_string().contains("503"), "{error}");
    assert!(principal.count(FEDERATION) > 3, "what passes is repeated");
    principal.fixture.lab.clear_faults();
    principal.ask().await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let principal = Principal::start().await;
    principal.ask().await.unwrap();
    principal.fixture.lab.revoke_tokens();
    principal.ask().await.unwrap();
    assert_eq!(principal.statuses("GetLoadBalancer"), [200, 401, 200]);
    assert_eq!(principal.count(FEDERATION), 2);
}

#[tokio::test]
async fn a_change_whose_token_is_refused_is_made_once() {
    let principal = Principal::start().await;
    principal.ask().await.unwrap();
    let refusal = Effect::answer(401, "NotAuthenticated", "no");
    principal.fixture.lab.add_fault(Fault::new("CreateCertificate", refusal));
    principal.front.upload(principal.fixture.bundle()).await.unwrap();
    assert_eq!(principal.statuses("CreateCertificate"), [401, 204]);
    let created = principal.fixture.calls("CreateCertificate");
    assert_eq!(created[0].retry_token, created[1].retry_token, "it is the same change");
}

#[tokio::test]
async fn a_new_token_that_is_refused_too_is_an_error() {
    let principal = Principal::start().await;
    let refusal = Effect::answer(401, "NotAuthenticated", "no");
    principal.fixture.lab.add_fault(Fault::new("GetLoadBalancer", refusal).always());
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.hint().unwrap().contains("the instance's token"), "{error:?}");
    assert_eq!((principal.statuses("GetLoadBalancer"), principal.count(FEDERATION)), (vec![401, 401], 2));
    assert!(!format!("{error} {error:?}").contains("eyJ"), "no token in it: {error:?}");
}

#[tokio::test]
async fn one_token_is_enough_for_all_load_balancers_and_for_many_calls_at_once() {
    let principal = Principal::start().await;
    let config = config(&principal.fixture, &principal.instance.metadata_url());
    let principals = Principals::default();
    let front = |name: &str| {
        let clock = Arc::new(SystemClock);
        OciLoadBalancer::sharing(name.parse().unwrap(), config.clone(), clock, &principals).unwrap()
    };
    let (one, other, third) = (front("one"), front("other"), front("third"));
    let outcomes = tokio::join!(one.observe(), other.observe(), third.observe());
    assert!(outcomes.0.is_ok() && outcomes.1.is_ok() && outcomes.2.is_ok());
    assert_eq!(principal.count(FEDERATION), 1);
}

#[tokio::test]
async fn many_calls_at_once_do_not_each_wait_for_what_is_not_there() {
    let principal = Principal::start().await;
    let nothing = Effect::answer(404, "NotFound", "no");
    principal.fixture.lab.add_fault(Fault::new(CERTIFICATE, nothing).always());
    let started = tokio::time::Instant::now();
    let outcomes = tokio::join!(principal.ask(), principal.ask(), principal.ask(), principal.ask());
    let taken = started.elapsed();
    for outcome in [outcomes.0, outcomes.1, outcomes.2, outcomes.3] {
        assert!(outcome.unwrap_err().to_string().contains("identity/cert.pem"));
    }
    assert!(taken < Duration::from_secs(3), "four times the limit of one second would be four: {taken:?}");
}

#[tokio::test]
async fn a_certificate_that_is_replaced_between_the_reads_is_read_again() {
    let principal = Principal::start().await;
    principal.instance.replace_certificate_after_read_of(CERTIFICATE);
    principal.ask().await.unwrap();
    assert_eq!((principal.count(CERTIFICATE), principal.statuses(FEDERATION)), (2, vec![200]));
    principal.instance.replace_certificate().unwrap();
    principal.pass(16 * MINUTE);
    principal.ask().await.unwrap();
    assert_eq!((principal.count(CERTIFICATE), principal.statuses(FEDERATION)), (3, vec![200, 200]));
}

#[tokio::test]
async fn a_certificate_that_is_refused_is_read_again_once() {
    let principal = Principal::start().await;
    let refusal = Effect::answer(401, "NotAuthenticated", "no");
    principal.fixture.lab.add_fault(Fault::new(FEDERATION, refusal.clone()));
    principal.ask().await.unwrap();
    assert_eq!((principal.count(CERTIFICATE), principal.statuses(FEDERATION)), (2, vec![401, 200]));
    principal.fixture.lab.add_fault(Fault::new(FEDERATION, refusal).always());
    principal.pass(21 * MINUTE);
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("/v1/x509"), "{error}");
    assert!(error.hint().unwrap().contains("the instance's certificate"), "{error:?}");
    assert_eq!(principal.statuses(FEDERATION), [401, 200, 401, 401]);
}

#[tokio::test]
async fn an_expired_certificate_gets_no_token() {
    let principal = Principal::start().await;
    principal.pass(7 * 60 * MINUTE);
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    let refusals = principal.fixture.calls(FEDERATION);
    assert!(!refusals.is_empty());
    assert!(refusals.iter().all(|call| call.reason.as_ref().is_some_and(|reason| reason.contains("not valid now"))));
    principal.instance.replace_certificate().unwrap();
    principal.ask().await.unwrap();
}

#[tokio::test]
async fn another_tenancys_certificate_is_not_taken() {
    let principal = Principal::start().await;
    principal.ask().await.unwrap();
    principal.instance.move_to_tenancy("ocid1.tenancy.oc1..other");
    principal.instance.replace_certificate().unwrap();
    principal.pass(21 * MINUTE);
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert!(error.to_string().contains("ocid1.tenancy.oc1..other"), "{error}");
    assert_eq!(principal.count(FEDERATION), 1);
}

#[tokio::test]
async fn what_passes_is_repeated_at_every_step() {
    for effect in [
        Effect::answer(429, "TooManyRequests", "slower"),
        Effect::answer(500, "InternalServerError", "oops"),
        Effect::HtmlPage { status: 503, body: "<html>".to_owned() },
        Effect::CloseBefore,
    ] {
        let principal = Principal::with_patience(Duration::from_secs(60)).await;
        for step in [CERTIFICATE, "identity/key.pem", "identity/intermediate.pem", FEDERATION] {
            principal.fixture.lab.add_fault(Fault::new(step, effect.clone()));
        }
        let outcome = principal.ask().await;
        assert!(outcome.is_ok(), "{effect:?}: {outcome:?}");
        assert_eq!(principal.fixture.lab.pending_faults(), 0, "{effect:?}");
    }
    let principal = Principal::with_patience(Duration::from_secs(60)).await;
    principal.fixture.lab.add_fault(Fault::new("identity/key.pem", Effect::answer(404, "NotFound", "not yet")));
    principal.ask().await.unwrap();
}

#[tokio::test]
async fn a_metadata_service_that_is_not_there_is_named_with_the_way_out() {
    let principal = Principal::start().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/opc/v2", nobody.local_addr().unwrap());
    drop(nobody);
    let config = config(&principal.fixture, &url);
    let elsewhere = OciLoadBalancer::new("front".parse().unwrap(), config, Arc::new(SystemClock)).unwrap();
    let error = elsewhere.observe().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().starts_with("GetLoadBalancer on load balancer `front`"), "{error}");
    assert!(error.to_string().contains(&format!("GET identity/cert.pem on the metadata service {url}")), "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("a compute instance of OCI") && hint.contains("api-key"), "{hint}");

    for effect in [Effect::answer(404, "NotFound", "no"), Effect::HtmlPage { status: 200, body: "<html>".to_owned() }] {
        principal.fixture.lab.clear_faults();
        principal.fixture.lab.add_fault(Fault::new(CERTIFICATE, effect).always());
        let error = principal.ask().await.unwrap_err();
        assert!(error.to_string().contains("the metadata service") && error.hint().is_some(), "{error}");
        assert_eq!(principal.count(FEDERATION), 0);
    }
}

#[tokio::test]
async fn an_answer_without_a_token_is_told_and_not_repeated() {
    let principal = Principal::start().await;
    let page = Effect::HtmlPage { status: 200, body: "<html>hunter2".to_owned() };
    principal.fixture.lab.add_fault(Fault::new(FEDERATION, page).always());
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error}");
    assert!(error.to_string().contains("without a token") && !error.to_string().contains("hunter2"), "{error}");
    assert_eq!(principal.count(FEDERATION), 1);
}

#[tokio::test]
async fn a_clock_that_is_a_little_wrong_does_not_matter() {
    for minutes in [-4, 4] {
        let principal = Principal::start().await;
        principal.fixture.lab.set_behaviour(|behaviour| behaviour.token_lifetime = SignedDuration::from_secs(120));
        principal.clock.set(minutes * MINUTE);
        for _ in 0..3 {
            principal.ask().await.unwrap();
        }
        assert_eq!(principal.count(FEDERATION), 1, "by {minutes} minutes: the token's life is reckoned by one clock");
    }
}

#[tokio::test]
async fn a_clock_that_is_very_wrong_is_named() {
    for (minutes, direction) in [(-10, "behind"), (10, "ahead")] {
        let principal = Principal::start().await;
        principal.clock.set(minutes * MINUTE);
        let error = principal.ask().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("this machine's clock is") && hint.contains(direction), "{hint}");
        assert_eq!(principal.count(FEDERATION), 1, "another certificate would not help");
    }
}

#[tokio::test]
async fn an_instance_that_no_policy_names_is_told_which_rule_is_missing() {
    let principal = Principal::start().await;
    principal.instance.set_in_dynamic_group(false);
    let error = principal.ask().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    let hint = error.hint().unwrap();
    assert!(hint.contains("Allow dynamic-group"), "{hint}");
    assert!(hint.contains(&format!("instance.id = '{}'", principal.instance.id())), "{hint}");
    principal.instance.set_in_dynamic_group(true);
    principal.ask().await.unwrap();
}
