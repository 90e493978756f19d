//! What every load balancer must do, whatever its kind: one function a promise, over the port alone. A provider passes
//! all of them; those that do not fit its capabilities return early, and say in which case.

use certferry_core::observed::{Holds, Http01Change, Observation, Place};
use certferry_core::port::{Bundle, Http01Challenge, LoadBalancer, Replacement};
use certferry_core::{BundleName, ErrorKind, ListenerName};

/// A load balancer prepared for one case.
pub(crate) struct Subject<'a> {
    /// The provider under test.
    pub(crate) load_balancer: &'a dyn LoadBalancer,
    /// A listener that terminates TLS and serves a bundle that is none of `bundles`.
    pub(crate) listener: ListenerName,
    /// A listener that the config describes and that is not there, where the provider makes listeners.
    pub(crate) new_listener: Option<ListenerName>,
    /// Two bundles of one certificate that are not on the load balancer: in place they share a name, side by side not.
    pub(crate) bundles: [Bundle; 2],
}

impl Subject<'_> {
    fn place(&self) -> Place {
        Place::Listener(self.listener.clone())
    }

    async fn seen(&self) -> Observation {
        self.load_balancer.observe().await.unwrap()
    }

    async fn bound(&self) -> Option<BundleName> {
        self.seen().await.listeners[&self.listener].bundles.first().map(|bound| bound.name.clone())
    }
}

pub(crate) async fn uploading_twice_is_uploading_once(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    let before = subject.seen().await.bundles.len();
    subject.load_balancer.upload(bundle).await.unwrap();
    subject.load_balancer.upload(bundle).await.unwrap();
    let seen = subject.seen().await;
    assert_eq!(seen.bundles.len(), before + 1);
    assert_eq!(seen.bundles[&bundle.name], Some(bundle.chain.leaf().sha256));
}

/// In place, another content under the same name is the next version.
pub(crate) async fn another_content_under_a_name_is_never_overwritten(subject: Subject<'_>) {
    if subject.load_balancer.capabilities().replacement.is_in_place() {
        return;
    }
    let [bundle, other] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    let impostor = Bundle { name: bundle.name.clone(), ..other.clone() };
    let error = subject.load_balancer.upload(&impostor).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!(subject.seen().await.bundles[&bundle.name], Some(bundle.chain.leaf().sha256));
}

/// Side by side, the next version has another name.
pub(crate) async fn the_next_version_takes_the_place_of_the_one_before(subject: Subject<'_>) {
    if subject.load_balancer.capabilities().replacement == Replacement::SideBySide {
        return;
    }
    let [bundle, next] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap();
    let before = subject.seen().await;
    subject.load_balancer.upload(next).await.unwrap();
    let after = subject.seen().await;
    assert_eq!(after.bundles[&next.name], Some(next.chain.leaf().sha256));
    assert_eq!(after.listeners, before.listeners, "no listener is touched");
    assert_eq!(after.bundles.len(), before.bundles.len());
}

pub(crate) async fn a_pair_that_does_not_belong_together_is_refused(subject: Subject<'_>) {
    let [bundle, other] = &subject.bundles;
    let mixed = Bundle { private_key: other.private_key.clone(), ..bundle.clone() };
    let error = subject.load_balancer.upload(&mixed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(!subject.seen().await.bundles.contains_key(&bundle.name));
}

pub(crate) async fn binding_twice_is_binding_once(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    let before = subject.seen().await.listeners[&subject.listener].clone();
    subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap();
    subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap();
    let mut after = subject.seen().await.listeners[&subject.listener].clone();
    assert!(after.refers_to(&bundle.name));
    after.bundles.clone_from(&before.bundles);
    assert_eq!(after, before, "nothing but the bundle changes");
}

pub(crate) async fn the_bundle_before_can_be_put_back(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    let before = subject.bound().await.unwrap();
    subject.load_balancer.upload(bundle).await.unwrap();
    subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap();
    subject.load_balancer.bind(&subject.place(), &before).await.unwrap();
    assert_eq!(subject.bound().await, Some(before));
}

/// Where a listener serves one certificate only, there is nothing to take away.
pub(crate) async fn what_came_beside_others_can_be_taken_off_again(subject: Subject<'_>) {
    let before = subject.seen().await.listeners[&subject.listener].clone();
    if before.holds == Holds::One {
        return;
    }
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap();
    assert!(subject.seen().await.listeners[&subject.listener].bundles.len() > 1, "the subject has two kinds of keys");
    for _ in 0..2 {
        subject.load_balancer.unbind(&subject.place(), &bundle.name).await.unwrap();
        let after = subject.seen().await.listeners[&subject.listener].clone();
        assert!(!after.refers_to(&bundle.name) && !after.bundles.is_empty(), "{after:?}");
    }
    let last = subject.bound().await.unwrap();
    let error = subject.load_balancer.unbind(&subject.place(), &last).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "the last one stays: {error}");
}

pub(crate) async fn a_bundle_that_is_not_there_is_not_bound(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    let before = subject.bound().await;
    let error = subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains(bundle.name.as_str()), "{error}");
    assert_eq!(subject.bound().await, before);
}

pub(crate) async fn a_listener_that_is_not_there_is_named(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    let nowhere = Place::Listener("nowhere".parse().unwrap());
    let error = subject.load_balancer.bind(&nowhere, &bundle.name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(error.to_string().contains("listener `nowhere`"), "{error}");
}

pub(crate) async fn a_bundle_in_use_is_not_deleted(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    subject.load_balancer.bind(&subject.place(), &bundle.name).await.unwrap();
    let error = subject.load_balancer.delete(&bundle.name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let seen = subject.seen().await;
    assert!(seen.bundles.contains_key(&bundle.name));
    assert!(seen.listeners[&subject.listener].refers_to(&bundle.name));
}

pub(crate) async fn deleting_twice_is_deleting_once(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    let others = subject.seen().await.bundles.len() - 1;
    subject.load_balancer.delete(&bundle.name).await.unwrap();
    subject.load_balancer.delete(&bundle.name).await.unwrap();
    let seen = subject.seen().await;
    assert_eq!(seen.bundles.len(), others);
    assert!(!seen.bundles.contains_key(&bundle.name));
}

pub(crate) async fn a_described_listener_is_created_once(subject: Subject<'_>) {
    let Some(new_listener) = &subject.new_listener else { return };
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    subject.load_balancer.create_listener(new_listener, &bundle.name).await.unwrap();
    subject.load_balancer.create_listener(new_listener, &bundle.name).await.unwrap();
    let seen = subject.seen().await;
    let listener = &seen.listeners[new_listener];
    assert!(listener.tls);
    assert!(listener.refers_to(&bundle.name));
    assert!(!listener.addresses.is_empty());
}

pub(crate) async fn a_listener_that_is_not_described_is_not_created(subject: Subject<'_>) {
    let [bundle, _] = &subject.bundles;
    subject.load_balancer.upload(bundle).await.unwrap();
    let error = subject.load_balancer.create_listener(&"nowhere".parse().unwrap(), &bundle.name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// What was listed is made in its order; then nothing is listed any more, and doing it again changes nothing.
pub(crate) async fn the_path_of_challenges_is_made_once(subject: Subject<'_>) {
    let changes = subject.seen().await.http01.unwrap().changes;
    assert!(!changes.is_empty(), "the case needs something to make");
    for change in &changes {
        subject.load_balancer.prepare_http01(change).await.unwrap();
    }
    let complete = subject.seen().await.http01.unwrap();
    assert_eq!((complete.changes, complete.obstacle), (Vec::<Http01Change>::new(), None));
    for change in &changes {
        subject.load_balancer.prepare_http01(change).await.unwrap();
    }
    assert!(!complete.probe.is_empty());
}

pub(crate) async fn a_challenge_can_be_presented_and_withdrawn_twice(subject: Subject<'_>) {
    let challenge = Http01Challenge {
        url: "https://ca.some-domain.com/challenge/1".to_owned(),
        token: "kfYFTHtYFlYJmBbBwHUAkvmRsjSGJuzIYXv1EYSUzHc".to_owned(),
        key_authorization: "kfYFTHtYFlYJmBbBwHUAkvmRsjSGJuzIYXv1EYSUzHc.thumbprint".to_owned(),
        untouched: true,
    };
    for change in subject.seen().await.http01.unwrap().changes {
        subject.load_balancer.prepare_http01(&change).await.unwrap();
    }
    subject.load_balancer.present(&"www.some-domain.com".parse().unwrap(), &challenge).await.unwrap();
    subject.load_balancer.present(&"www.some-domain.com".parse().unwrap(), &challenge).await.unwrap();
    subject.load_balancer.withdraw(&challenge.token).await.unwrap();
    subject.load_balancer.withdraw(&challenge.token).await.unwrap();
}

/// One test per promise, for a fixture that `$prepare().await` makes and whose `subject()` is given to it.
macro_rules! load_balancer_contract {
    ($prepare:expr) => {
        load_balancer_contract! { @each $prepare;
            uploading_twice_is_uploading_once
            another_content_under_a_name_is_never_overwritten
            the_next_version_takes_the_place_of_the_one_before
            a_pair_that_does_not_belong_together_is_refused
            binding_twice_is_binding_once
            the_bundle_before_can_be_put_back
            what_came_beside_others_can_be_taken_off_again
            a_bundle_that_is_not_there_is_not_bound
            a_listener_that_is_not_there_is_named
            a_bundle_in_use_is_not_deleted
            deleting_twice_is_deleting_once
            a_described_listener_is_created_once
            a_listener_that_is_not_described_is_not_created
            the_path_of_challenges_is_made_once
            a_challenge_can_be_presented_and_withdrawn_twice
        }
    };
    (@each $prepare:expr; $($case:ident)*) => {$(
        #[tokio::test]
        async fn $case() {
            let fixture = $prepare.await;
            crate::load_balancer_contract::$case(fixture.subject()).await;
        }
    )*};
}

pub(crate) use load_balancer_contract;
