//! Accounts, challenges, failures, history, the lease.

use certferry_core::event::Outcome;
use certferry_core::port::{AccountRecord, DnsPlace, HistoryFilter};
use certferry_core::recorded::{DeploymentState, VersionId};
use certferry_core::{ErrorKind, Secret};
use jiff::SignedDuration;

use crate::backend::Backend;
use crate::fixtures::{
    CHAINS, at, bundle, challenge, deployment, event, failure, name, new_version, private_key, window,
};

pub(super) async fn a_fresh_store_is_empty(backend: impl Backend) {
    let store = backend.store();
    let recorded = store.recorded().await.unwrap();
    assert!(recorded.certificates.is_empty() && recorded.bundles.is_empty());
    assert!(store.open_challenges().await.unwrap().is_empty());
    assert!(store.history(&HistoryFilter::default()).await.unwrap().is_empty());
    assert!(store.account(&"letsencrypt".parse().unwrap(), "https://ca/").await.unwrap().is_none());
    store.close_challenge("nothing").await.unwrap();
}

pub(super) async fn an_account_belongs_to_issuer_and_directory(backend: impl Backend) {
    let store = backend.store();
    let account = |issuer: &str, directory_url: &str, key: &str, url: Option<&str>| AccountRecord {
        issuer: issuer.parse().unwrap(),
        directory_url: directory_url.to_owned(),
        key: Secret::new(private_key(key)),
        next_key: url.map(|url| Secret::new(private_key(url))),
        url: url.map(str::to_owned),
    };
    store.save_account(&account("one", "https://ca/", "a", None)).await.unwrap();
    store.save_account(&account("one", "https://other/", "b", None)).await.unwrap();
    store.save_account(&account("two", "https://ca/", "c", None)).await.unwrap();
    store.save_account(&account("one", "https://ca/", "a", Some("https://ca/account/1"))).await.unwrap();
    for (issuer, directory_url, key, url) in [
        ("one", "https://ca/", "a", Some("https://ca/account/1")),
        ("one", "https://other/", "b", None),
        ("two", "https://ca/", "c", None),
    ] {
        let read = store.account(&issuer.parse().unwrap(), directory_url).await.unwrap().unwrap();
        assert_eq!((read.issuer.as_str(), read.directory_url.as_str()), (issuer, directory_url));
        assert_eq!((read.key.expose(), read.url.as_deref()), (&private_key(key), url));
        assert_eq!(
            read.next_key.map(|key| key.expose().clone()),
            url.map(private_key),
            "with the key that it is to get"
        );
    }
    assert!(store.account(&"two".parse().unwrap(), "https://other/").await.unwrap().is_none());
}

pub(super) async fn a_challenge_is_open_until_it_is_closed(backend: impl Backend) {
    let store = backend.store();
    let version = store.begin_version(&new_version("www")).await.unwrap().id;
    store.open_challenge(&challenge("b", version)).await.unwrap();
    store.open_challenge(&challenge("a", version)).await.unwrap();
    let mut again = challenge("b", version);
    again.load_balancers.clear();
    let record = "_acme-challenge.some-domain.com".parse().unwrap();
    again.dns = Some(DnsPlace { provider: "corp".parse().unwrap(), record });
    store.open_challenge(&again).await.unwrap();
    assert_eq!(store.open_challenges().await.unwrap(), [challenge("a", version), again.clone()]);
    store.abandon_version(version, "its challenges are still out there").await.unwrap();
    for _ in 0..2 {
        store.close_challenge("a").await.unwrap();
        assert_eq!(store.open_challenges().await.unwrap(), [again.clone()]);
    }
}

pub(super) async fn the_last_failure_counts(backend: impl Backend) {
    let store = backend.store();
    for count in [0, 1, u32::MAX] {
        store.save_issue_failure(&name("www"), &failure(count)).await.unwrap();
        let recorded = store.recorded().await.unwrap();
        assert_eq!(recorded.certificate(&name("www")).unwrap().issue_failure, Some(failure(count)));
    }
}

pub(super) async fn the_history_is_read_newest_first(backend: impl Backend) {
    let store = backend.store();
    for index in 0..205 {
        let certificate = ["www", "shop"][index % 2];
        let outcome = [Outcome::Started, Outcome::Done, Outcome::Failed, Outcome::Warned][index % 4];
        store.append_history(&event(Some(certificate), &format!("{index}"), outcome)).await.unwrap();
        store.append_history(&event(Some(certificate), "waits", Outcome::Waiting)).await.unwrap();
    }
    let last = event(None, "last", Outcome::Done);
    store.append_history(&last).await.unwrap();

    let usual = store.history(&HistoryFilter::default()).await.unwrap();
    assert_eq!(usual.len(), 200);
    assert_eq!(usual[0], last);
    assert_eq!(usual[1], event(Some("www"), "204", Outcome::Started));
    assert!(usual.iter().all(|event| event.outcome != Outcome::Waiting));
    let filter = HistoryFilter { certificate: Some(name("shop")), limit: Some(2) };
    let expected = [event(Some("shop"), "203", Outcome::Warned), event(Some("shop"), "201", Outcome::Done)];
    assert_eq!(store.history(&filter).await.unwrap(), expected);
    let all = HistoryFilter { limit: Some(u32::MAX), ..HistoryFilter::default() };
    assert_eq!(store.history(&all).await.unwrap().len(), 206);
    let none = HistoryFilter { limit: Some(0), ..HistoryFilter::default() };
    assert!(store.history(&none).await.unwrap().is_empty());
}

pub(super) async fn any_text_is_kept_as_it_is(backend: impl Backend) {
    let store = backend.store();
    for text in [
        "",
        "'; DROP TABLE history; --",
        "zero\0inside",
        "line\nline",
        "{\"a\": [1]}",
        "日本語 🚢",
        &"x".repeat(100_000),
    ] {
        let mut failure = failure(1);
        failure.error = text.to_owned();
        store.save_issue_failure(&name("www"), &failure).await.unwrap();
        let recorded = store.recorded().await.unwrap();
        assert_eq!(recorded.certificate(&name("www")).unwrap().issue_failure, Some(failure));
        let event = event(None, text, Outcome::Done);
        store.append_history(&event).await.unwrap();
        assert_eq!(store.history(&HistoryFilter { limit: Some(1), ..Default::default() }).await.unwrap(), [event]);
    }
}

pub(super) async fn one_warning_for_each_version_and_threshold(backend: impl Backend) {
    let store = backend.store();
    let www = store.begin_version(&new_version("www")).await.unwrap().id;
    let shop = store.begin_version(&new_version("shop")).await.unwrap().id;
    let (month, week) = (SignedDuration::from_hours(720), SignedDuration::from_hours(168));
    let ends = |detail: &str| event(Some("www"), detail, Outcome::Warned);
    assert!(store.append_warning(www, month, &ends("in 30 days")).await.unwrap());
    assert!(!store.append_warning(www, month, &ends("in 29 days")).await.unwrap());
    assert!(store.append_warning(shop, month, &ends("in 28 days")).await.unwrap());
    let backend = backend.reopened().await;
    let store = backend.store();
    assert!(!store.append_warning(www, month, &ends("in 27 days")).await.unwrap(), "across restarts");
    assert!(store.append_warning(www, week, &ends("in 6 days")).await.unwrap());
    assert!(store.append_warning(www, SignedDuration::ZERO, &ends("ended")).await.unwrap());
    let told = store.history(&HistoryFilter::default()).await.unwrap();
    assert_eq!(told, ["ended", "in 6 days", "in 28 days", "in 30 days"].map(ends));
    let error = store.append_warning(VersionId(99), week, &ends("of nothing")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(store.history(&HistoryFilter::default()).await.unwrap().len(), 4);
}

pub(super) async fn warning_days_are_kept_until_there_are_none(backend: impl Backend) {
    let (front, edge) = ("front".parse().unwrap(), "edge".parse().unwrap());
    let store = backend.store();
    store.save_warning_days(&front, &[30, 7, 1]).await.unwrap();
    store.save_warning_days(&edge, &[90]).await.unwrap();
    store.save_warning_days(&edge, &[60, 30, u16::MAX]).await.unwrap();
    let backend = backend.reopened().await;
    let store = backend.store();
    let days = store.recorded().await.unwrap().warning_days;
    assert_eq!(days, [(edge.clone(), vec![60, 30, u16::MAX]), (front.clone(), vec![30, 7, 1])].into());
    for _ in 0..2 {
        store.save_warning_days(&edge, &[]).await.unwrap();
        assert_eq!(store.recorded().await.unwrap().warning_days, [(front.clone(), vec![30, 7, 1])].into());
    }
}

pub(super) async fn one_lease_at_a_time(backend: impl Backend) {
    let store = backend.store();
    let lease = store.acquire_lease("the first").await.unwrap();
    let error = store.acquire_lease("the second").await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("the first"), "{error}");
    assert!(error.hint().is_some());
    store.save_issue_failure(&name("www"), &failure(1)).await.unwrap();
    drop(lease);
    drop(store.acquire_lease("the third").await.unwrap());
}

pub(super) async fn what_was_written_is_there_for_the_next_process(backend: impl Backend) {
    let store = backend.store();
    let issued = store.begin_version(&new_version("www")).await.unwrap().id;
    store.save_order(issued, "https://ca/order/1").await.unwrap();
    store.save_issued(issued, &CHAINS[0], at(1)).await.unwrap();
    store.save_renewal_window(issued, &window(1)).await.unwrap();
    let pending = store.begin_version(&new_version("www")).await.unwrap().id;
    store.save_issue_failure(&name("www"), &failure(4)).await.unwrap();
    store.open_challenge(&challenge("token", pending)).await.unwrap();
    store.save_bundle(&bundle("cf-www-1", issued, Some(1))).await.unwrap();
    store.save_deployment(&deployment("www", "https", issued, DeploymentState::Bound)).await.unwrap();
    store.append_history(&event(None, "done", Outcome::Done)).await.unwrap();
    let before = format!("{:?}", store.recorded().await.unwrap());

    let backend = backend.reopened().await;
    let store = backend.store();
    assert_eq!(format!("{:?}", store.recorded().await.unwrap()), before);
    assert_eq!(store.private_key(issued).await.unwrap().expose(), &private_key("www"));
    assert_eq!(store.private_key(pending).await.unwrap().expose(), &private_key("www"));
    assert_eq!(store.chain(issued).await.unwrap(), CHAINS[0]);
    assert_eq!(store.open_challenges().await.unwrap(), [challenge("token", pending)]);
    assert_eq!(store.history(&HistoryFilter::default()).await.unwrap(), [event(None, "done", Outcome::Done)]);
}
