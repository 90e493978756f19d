//! Bundles and deployments.

use certferry_core::recorded::{BundleRecord, Deployment, DeploymentState, VersionId};
use certferry_core::{BundleName, ErrorKind};

use crate::backend::Backend;
use crate::fixtures::{CHAINS, bundle, challenge, deployment, name, new_version};

pub(super) async fn a_bundle_is_there_until_it_is_forgotten(backend: impl Backend) {
    let store = backend.store();
    let version = store.begin_version(&new_version("www")).await.unwrap().id;
    store.save_bundle(&bundle("cf-www-1", version, None)).await.unwrap();
    store.save_bundle(&bundle("cf-www-2", version, None)).await.unwrap();
    store.save_bundle(&bundle("cf-www-1", version, Some(3))).await.unwrap();
    let expected = [bundle("cf-www-1", version, Some(3)), bundle("cf-www-2", version, None)];
    assert_eq!(store.recorded().await.unwrap().bundles, expected);
    for _ in 0..2 {
        store.forget_bundle(&"front".parse().unwrap(), &BundleName::observed("cf-www-1")).await.unwrap();
        store.forget_bundle(&"edge".parse().unwrap(), &BundleName::observed("cf-www-2")).await.unwrap();
        assert_eq!(store.recorded().await.unwrap().bundles, expected[1..]);
    }
}

pub(super) async fn a_bundle_keeps_what_was_served_out_of_it_beside_what_it_holds(backend: impl Backend) {
    let store = backend.store();
    let served = store.take_over_version(&new_version("www"), &CHAINS[0]).await.unwrap().id;
    let holds = store.begin_version(&new_version("www")).await.unwrap().id;
    let saved = BundleRecord { served_version: Some(served), ..bundle("cf-www", holds, None) };
    store.save_bundle(&saved).await.unwrap();
    assert_eq!(store.recorded().await.unwrap().bundles, [saved]);
}

pub(super) async fn a_deployment_is_there_until_it_is_forgotten(backend: impl Backend) {
    let store = backend.store();
    let version = store.begin_version(&new_version("www")).await.unwrap().id;
    let [shop, www] = ["shop", "www"].map(|listener| deployment("www", listener, version, DeploymentState::Verified));
    store.save_deployment(&www).await.unwrap();
    store.save_deployment(&shop).await.unwrap();
    let bare = Deployment {
        state: DeploymentState::Pending,
        previous_bundle: None,
        deployed_serial: None,
        served_serial: None,
        verified_at: None,
        last_error: None,
        roll_back: None,
        ..www.clone()
    };
    store.save_deployment(&bare).await.unwrap();
    let deployments = async || store.recorded().await.unwrap().certificates[&name("www")].deployments.clone();
    assert_eq!(deployments().await, [shop.clone(), bare]);
    for _ in 0..2 {
        store.forget_deployment(&www.certificate, &www.load_balancer, &www.listener).await.unwrap();
        store.forget_deployment(&name("other"), &shop.load_balancer, &shop.listener).await.unwrap();
        assert_eq!(deployments().await, std::slice::from_ref(&shop));
    }
}

pub(super) async fn every_state_of_a_deployment_is_kept(backend: impl Backend) {
    let store = backend.store();
    let version = store.begin_version(&new_version("www")).await.unwrap().id;
    for state in DeploymentState::ALL {
        let saved = deployment("www", "https", version, state);
        store.save_deployment(&saved).await.unwrap();
        assert_eq!(store.recorded().await.unwrap().certificates[&name("www")].deployments, [saved]);
    }
}

pub(super) async fn what_names_an_unknown_version_is_refused(backend: impl Backend) {
    let store = backend.store();
    let unknown = VersionId(77);
    let errors = [
        store.save_bundle(&bundle("cf-www-1", unknown, None)).await.unwrap_err(),
        store.save_deployment(&deployment("www", "https", unknown, DeploymentState::Bound)).await.unwrap_err(),
        store.open_challenge(&challenge("token", unknown)).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    let recorded = store.recorded().await.unwrap();
    assert!(recorded.bundles.is_empty() && recorded.certificates.is_empty());
}
