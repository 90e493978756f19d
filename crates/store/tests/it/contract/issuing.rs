//! Versions: begun, ordered, issued, abandoned.

use certferry_core::desired::{KeyHolder, VersionSpec};
use certferry_core::port::NewVersion;
use certferry_core::recorded::{BundleRecord, CertificateRecord};
use certferry_core::{ErrorKind, KeyFamily, KeyType, Secret};

use crate::backend::Backend;
use crate::fixtures::{CHAINS, at, bundle, failure, name, new_version, private_key, spec, window};

async fn record(backend: &impl Backend) -> CertificateRecord {
    backend.store().recorded().await.unwrap().certificate(&name("www")).cloned().unwrap_or_default()
}

pub(super) async fn a_begun_version_is_pending_and_keeps_its_key(backend: impl Backend) {
    let begun = backend.store().begin_version(&new_version("www")).await.unwrap();
    assert_eq!((begun.certificate.as_str(), &begun.spec, begun.created_at), ("www", &spec(), at(0)));
    assert_eq!((&begun.order_url, &begun.leaf, begun.issued_at, begun.replaces), (&None, &None, None, None));
    let record = record(&backend).await;
    assert_eq!(record.pending, Some(begun.clone()));
    assert_eq!(record.current, None);
    assert_eq!(backend.store().private_key(begun.id).await.unwrap().expose(), &private_key("www"));
    assert_eq!(backend.store().chain(begun.id).await.unwrap_err().kind(), ErrorKind::NotFound);
}

pub(super) async fn a_key_that_a_load_balancer_holds_is_not_here_and_its_csr_is(backend: impl Backend) {
    let holder = KeyHolder::LoadBalancer("edge".parse().unwrap());
    let held = VersionSpec { key_holder: holder, ..spec() };
    let new = NewVersion { spec: held.clone(), private_key: None, csr: Some(vec![0x30, 0x00]), ..new_version("www") };
    let begun = backend.store().begin_version(&new).await.unwrap();
    assert_eq!(begun.spec, held);
    assert_eq!(record(&backend).await.pending.unwrap().spec, held);
    assert_eq!(backend.store().csr(begun.id).await.unwrap(), Some(vec![0x30, 0x00]));
    assert_eq!(backend.store().private_key(begun.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    let usual = backend.store().begin_version(&new_version("shop")).await.unwrap();
    assert_eq!(backend.store().csr(usual.id).await.unwrap(), None);
}

pub(super) async fn only_an_issued_version_is_revoked(backend: impl Backend) {
    let begun = backend.store().begin_version(&new_version("www")).await.unwrap();
    assert_eq!(backend.store().save_revoked(begun.id, at(5)).await.unwrap_err().kind(), ErrorKind::Conflict);
    backend.store().save_issued(begun.id, &CHAINS[0], at(1)).await.unwrap();
    assert_eq!(record(&backend).await.current.unwrap().revoked_at, None);
    backend.store().save_revoked(begun.id, at(5)).await.unwrap();
    assert_eq!(record(&backend).await.current.unwrap().revoked_at, Some(at(5)));
}

pub(super) async fn a_second_pending_version_is_refused(backend: impl Backend) {
    let store = backend.store();
    let first = store.begin_version(&new_version("www")).await.unwrap();
    let error = store.begin_version(&new_version("www")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("certificate `www`"), "{error}");
    assert!(error.to_string().contains(&format!("version {}", first.id)), "{error}");
    let other = store.begin_version(&new_version("shop")).await.unwrap();
    assert!(other.id > first.id);
    store.abandon_version(first.id, "the order is gone").await.unwrap();
    store.begin_version(&new_version("www")).await.unwrap();
}

pub(super) async fn a_version_that_is_taken_over_is_current_at_once(backend: impl Backend) {
    let store = backend.store();
    let first = store.take_over_version(&new_version("www"), &CHAINS[0]).await.unwrap();
    assert_eq!((first.leaf.as_ref(), first.issued_at), (Some(CHAINS[0].leaf()), Some(first.created_at)));
    store.save_renewal_window(first.id, &window(1)).await.unwrap();
    store.save_issue_failure(&name("www"), &failure(1)).await.unwrap();
    let next = NewVersion { replaces: Some(first.id), ..new_version("www") };
    let second = store.take_over_version(&next, &CHAINS[1]).await.unwrap();
    let current = record(&backend).await;
    assert_eq!(current.current, Some(second.clone()));
    assert_eq!((second.replaces, current.pending, current.renewal_window), (Some(first.id), None, None));
    assert_eq!(current.issue_failure, None);
    assert_eq!(store.chain(second.id).await.unwrap(), CHAINS[1]);
    assert_eq!(store.private_key(second.id).await.unwrap().expose(), &private_key("www"));
    let pending = store.begin_version(&new_version("www")).await.unwrap();
    let error = store.take_over_version(&new_version("www"), &CHAINS[0]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("certificate `www`"), "{error}");
    let after = record(&backend).await;
    assert_eq!((after.current, after.pending), (Some(second), Some(pending)), "nothing of it is kept");
}

pub(super) async fn only_a_pending_version_moves_on(backend: impl Backend) {
    let store = backend.store();
    let begun = store.begin_version(&new_version("www")).await.unwrap();
    store.save_order(begun.id, "https://ca.some-domain.com/order/1").await.unwrap();
    store.save_order(begun.id, "https://ca.some-domain.com/order/2").await.unwrap();
    let pending = record(&backend).await.pending.unwrap();
    assert_eq!(pending.order_url.as_deref(), Some("https://ca.some-domain.com/order/2"));
    store.save_issued(begun.id, &CHAINS[0], at(9)).await.unwrap();
    let before = record(&backend).await;
    assert_eq!(store.save_order(begun.id, "https://x/").await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(store.save_issued(begun.id, &CHAINS[1], at(9)).await.unwrap_err().kind(), ErrorKind::Conflict);
    let error = store.abandon_version(begun.id, "late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("is issued, not pending"), "{error}");
    assert_eq!(record(&backend).await.current, before.current);
}

pub(super) async fn an_issued_version_is_current_and_clears_failure_and_window(backend: impl Backend) {
    let store = backend.store();
    let first = store.begin_version(&new_version("www")).await.unwrap().id;
    store.save_issued(first, &CHAINS[0], at(1)).await.unwrap();
    store.save_renewal_window(first, &window(10)).await.unwrap();
    store.save_issue_failure(&name("www"), &failure(2)).await.unwrap();
    store.save_issue_failure(&name("shop"), &failure(3)).await.unwrap();
    let renewal = NewVersion { replaces: Some(first), ..new_version("www") };
    let second = store.begin_version(&renewal).await.unwrap().id;
    let between = record(&backend).await;
    assert_eq!(between.current.map(|version| version.id), Some(first));
    assert_eq!(between.pending.map(|version| version.replaces), Some(Some(first)));
    assert_eq!((between.renewal_window, between.issue_failure), (Some(window(10)), Some(failure(2))));

    store.save_issued(second, &CHAINS[1], at(2)).await.unwrap();
    let record = record(&backend).await;
    assert_eq!((record.pending, record.renewal_window, record.issue_failure), (None, None, None));
    let current = record.current.unwrap();
    assert_eq!((current.id, current.replaces, current.issued_at), (second, Some(first), Some(at(2))));
    assert_eq!(current.leaf.as_ref(), Some(CHAINS[1].leaf()));
    assert_eq!(store.chain(first).await.unwrap(), CHAINS[0]);
    assert_eq!(store.chain(second).await.unwrap(), CHAINS[1]);
    let recorded = store.recorded().await.unwrap();
    assert_eq!(recorded.certificate(&name("shop")).unwrap().issue_failure, Some(failure(3)));
}

pub(super) async fn the_window_of_the_current_version_is_recorded(backend: impl Backend) {
    let store = backend.store();
    let id = store.begin_version(&new_version("www")).await.unwrap().id;
    store.save_issued(id, &CHAINS[0], at(1)).await.unwrap();
    store.save_renewal_window(id, &window(10)).await.unwrap();
    let mut later = window(20);
    later.explanation_url = None;
    store.save_renewal_window(id, &later).await.unwrap();
    assert_eq!(record(&backend).await.renewal_window, Some(later));
}

pub(super) async fn an_abandoned_version_is_out_of_the_record(backend: impl Backend) {
    let store = backend.store();
    let id = store.begin_version(&new_version("www")).await.unwrap().id;
    store.abandon_version(id, "order invalid").await.unwrap();
    let record = record(&backend).await;
    assert_eq!((record.current, record.pending), (None, None));
    assert_eq!(store.private_key(id).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.chain(id).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(store.save_issued(id, &CHAINS[0], at(1)).await.unwrap_err().kind(), ErrorKind::Conflict);
    let next = store.begin_version(&new_version("www")).await.unwrap().id;
    assert!(next > id, "a number is never given twice");
}

pub(super) async fn only_the_current_and_the_previous_key_are_kept(backend: impl Backend) {
    let store = backend.store();
    let mut issued = Vec::new();
    for index in 0..4 {
        let new = NewVersion { private_key: Some(Secret::new(private_key(&format!("{index}")))), ..new_version("www") };
        let id = store.begin_version(&new).await.unwrap().id;
        store.save_issued(id, &CHAINS[index % 2], at(1)).await.unwrap();
        issued.push(id);
    }
    let pending = store.begin_version(&new_version("www")).await.unwrap().id;
    for old in &issued[..2] {
        let error = store.private_key(*old).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("was removed"), "{error}");
        store.chain(*old).await.unwrap();
    }
    assert_eq!(store.private_key(issued[2]).await.unwrap().expose(), &private_key("2"));
    assert_eq!(store.private_key(issued[3]).await.unwrap().expose(), &private_key("3"));
    assert_eq!(store.private_key(pending).await.unwrap().expose(), &private_key("www"));
}

pub(super) async fn the_key_of_what_was_last_served_is_kept_however_many_are_issued(backend: impl Backend) {
    let store = backend.store();
    let issue = async || {
        let id = store.begin_version(&new_version("www")).await.unwrap().id;
        store.save_issued(id, &CHAINS[0], at(1)).await.unwrap();
        id
    };
    let kept = async |id| store.private_key(id).await.is_ok();
    let first = issue().await;
    store.save_bundle(&bundle("cf-www-old", first, Some(1))).await.unwrap();
    let second = issue().await;
    store.save_bundle(&bundle("cf-www", second, Some(2))).await.unwrap();
    let mut uploaded = second;
    for _ in 0..3 {
        uploaded = issue().await;
        let in_place = BundleRecord { served_version: Some(second), ..bundle("cf-www", uploaded, None) };
        store.save_bundle(&in_place).await.unwrap();
    }
    assert!(kept(second).await, "it can still be put back");
    assert!(!kept(first).await, "what was served before that cannot");
    store.save_bundle(&bundle("cf-www", uploaded, Some(3))).await.unwrap();
    issue().await;
    assert!(!kept(second).await, "another one has been served since");
}

pub(super) async fn an_unknown_version_is_not_found(backend: impl Backend) {
    let store = backend.store();
    let mut id = store.begin_version(&new_version("www")).await.unwrap().id;
    id.0 += 1;
    let errors = [
        store.save_order(id, "https://x/").await.unwrap_err(),
        store.save_issued(id, &CHAINS[0], at(1)).await.unwrap_err(),
        store.abandon_version(id, "?").await.unwrap_err(),
        store.private_key(id).await.unwrap_err(),
        store.chain(id).await.unwrap_err(),
        store.save_renewal_window(id, &window(1)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

pub(super) async fn every_spec_and_leaf_is_kept(backend: impl Backend) {
    let store = backend.store();
    for (index, key) in KeyType::ALL.into_iter().enumerate() {
        let mut new = new_version("www");
        new.spec.key = key;
        new.spec.profile = (index % 2 == 0).then(|| "shortlived".to_owned());
        let begun = store.begin_version(&new).await.unwrap();
        let chain = &CHAINS[index % CHAINS.len()];
        store.save_issued(begun.id, chain, at(1)).await.unwrap();
        let current = record(&backend).await.current.unwrap();
        assert_eq!(current.spec, new.spec);
        assert_eq!(current.leaf.as_ref(), Some(chain.leaf()));
    }
    assert_eq!(CHAINS[2].leaf().key_family, Some(KeyFamily::Rsa));
    assert_eq!(CHAINS[1].leaf().common_name.as_deref(), Some("www.some-domain.com"));
}
