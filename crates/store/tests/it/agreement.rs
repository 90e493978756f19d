//! Whatever is done in whatever order, with the process dying at any point in between: SQLite and the model agree.

use certferry_core::event::Outcome;
use certferry_core::port::{AccountRecord, HistoryFilter, NewVersion, Store};
use certferry_core::recorded::{DeploymentState, VersionId};
use certferry_core::{BundleName, Error, ErrorKind, Secret};
use jiff::SignedDuration;
use proptest::prelude::*;
use tokio::runtime;

use crate::backend::{Backend, SqliteFolder};
use crate::fixtures::{
    CHAINS, at, bundle, challenge, deployment, event, failure, name, new_version, private_key, window,
};
use crate::model::Model;

#[derive(Clone, Debug)]
enum Operation {
    Abandon(i64),
    AppendHistory(usize, Outcome),
    AppendWarning(i64, i64),
    Begin(usize, Option<i64>),
    CloseChallenge(u8),
    ForgetBundle(u8),
    ForgetDeployment(usize, u8),
    OpenChallenge(u8, i64),
    Reopen,
    SaveAccount(u8, bool),
    SaveBundle(u8, i64, Option<i64>, Option<i64>),
    SaveDeployment(usize, u8, i64, DeploymentState),
    SaveFailure(usize, u32),
    SaveIssued(i64, usize),
    SaveOrder(i64),
    SaveWarningDays(u8, Vec<u16>),
    SaveWindow(i64, i64),
    TakeOver(usize, usize),
}

const CERTIFICATES: [&str; 3] = ["www", "shop", "api"];
const HIGHEST_VERSION: i64 = 10;

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let certificate = || 0..CERTIFICATES.len();
    let version = || 1..=HIGHEST_VERSION;
    let state = prop::sample::select(&DeploymentState::ALL[..]);
    let outcome = prop::sample::select(&Outcome::ALL[..]);
    prop_oneof![
        1 => version().prop_map(Abandon),
        1 => (certificate(), outcome).prop_map(|(certificate, outcome)| AppendHistory(certificate, outcome)),
        1 => (version(), 0_i64..3).prop_map(|(version, threshold)| AppendWarning(version, threshold)),
        4 => (certificate(), prop::option::weighted(0.3, version())).prop_map(|(name, replaces)| Begin(name, replaces)),
        1 => (0_u8..3).prop_map(CloseChallenge),
        1 => (0_u8..3).prop_map(ForgetBundle),
        1 => (certificate(), 0_u8..2).prop_map(|(certificate, listener)| ForgetDeployment(certificate, listener)),
        1 => (0_u8..3, version()).prop_map(|(token, version)| OpenChallenge(token, version)),
        1 => Just(Reopen),
        1 => (0_u8..3, any::<bool>()).prop_map(|(issuer, with_url)| SaveAccount(issuer, with_url)),
        2 => (0_u8..3, version(), prop::option::of(0_i64..9), prop::option::of(version()))
            .prop_map(|(name, version, at, served)| SaveBundle(name, version, at, served)),
        2 => (certificate(), 0_u8..2, version(), state)
            .prop_map(|(certificate, listener, version, state)| SaveDeployment(certificate, listener, version, state)),
        1 => (certificate(), any::<u32>()).prop_map(|(certificate, count)| SaveFailure(certificate, count)),
        5 => (version(), 0..CHAINS.len()).prop_map(|(version, chain)| SaveIssued(version, chain)),
        1 => version().prop_map(SaveOrder),
        1 => (0_u8..3, prop::collection::vec(any::<u16>(), 0..4)).prop_map(|(name, days)| SaveWarningDays(name, days)),
        1 => (version(), 0_i64..9).prop_map(|(version, start)| SaveWindow(version, start)),
        2 => (certificate(), 0..CHAINS.len()).prop_map(|(certificate, chain)| TakeOver(certificate, chain)),
    ]
}

async fn run(operation: &Operation, store: &dyn Store) -> Result<Option<VersionId>, Error> {
    use Operation::*;
    let done = match operation.clone() {
        Abandon(version) => store.abandon_version(VersionId(version), "why not").await,
        AppendHistory(certificate, outcome) => {
            store.append_history(&event(Some(CERTIFICATES[certificate]), "detail", outcome)).await
        }
        AppendWarning(version, threshold) => {
            let event = event(Some("www"), "ends", Outcome::Warned);
            let added = store.append_warning(VersionId(version), SignedDuration::from_secs(threshold), &event).await;
            return added.map(|added| added.then_some(VersionId(version)));
        }
        Begin(certificate, replaces) => {
            let mut new = new_version(CERTIFICATES[certificate]);
            new.replaces = replaces.map(VersionId);
            return store.begin_version(&NewVersion { ..new }).await.map(|version| Some(version.id));
        }
        CloseChallenge(token) => store.close_challenge(&token.to_string()).await,
        ForgetBundle(name) => {
            store.forget_bundle(&"front".parse().unwrap(), &BundleName::observed(name.to_string())).await
        }
        ForgetDeployment(certificate, listener) => {
            let listener = listener.to_string().parse().unwrap();
            store.forget_deployment(&name(CERTIFICATES[certificate]), &"front".parse().unwrap(), &listener).await
        }
        OpenChallenge(token, version) => store.open_challenge(&challenge(&token.to_string(), VersionId(version))).await,
        Reopen => Ok(()),
        SaveAccount(issuer, with_url) => {
            let account = AccountRecord {
                issuer: issuer.to_string().parse().unwrap(),
                directory_url: "https://ca/".to_owned(),
                key: Secret::new(private_key(&issuer.to_string())),
                next_key: with_url.then(|| Secret::new(private_key("next"))),
                url: with_url.then(|| "https://ca/account".to_owned()),
            };
            store.save_account(&account).await
        }
        SaveBundle(name, version, at, served) => {
            let mut bundle = bundle(&name.to_string(), VersionId(version), at);
            bundle.served_version = served.map(VersionId);
            store.save_bundle(&bundle).await
        }
        SaveDeployment(certificate, listener, version, state) => {
            let listener = listener.to_string();
            store.save_deployment(&deployment(CERTIFICATES[certificate], &listener, VersionId(version), state)).await
        }
        SaveFailure(certificate, count) => {
            store.save_issue_failure(&name(CERTIFICATES[certificate]), &failure(count)).await
        }
        SaveIssued(version, chain) => store.save_issued(VersionId(version), &CHAINS[chain], at(version)).await,
        SaveOrder(version) => store.save_order(VersionId(version), "https://ca/order").await,
        SaveWarningDays(name, days) => store.save_warning_days(&name.to_string().parse().unwrap(), &days).await,
        TakeOver(certificate, chain) => {
            let taken = store.take_over_version(&new_version(CERTIFICATES[certificate]), &CHAINS[chain]).await;
            return taken.map(|version| Some(version.id));
        }
        SaveWindow(version, start) => store.save_renewal_window(VersionId(version), &window(start)).await,
    };
    done.map(|()| None)
}

/// All that can be read from a store, as text.
async fn everything(store: &dyn Store) -> String {
    let mut all = format!(
        "{:#?}\n{:#?}\n{:#?}",
        store.recorded().await.unwrap(),
        store.open_challenges().await.unwrap(),
        store.history(&HistoryFilter::default()).await.unwrap(),
    );
    for version in (1..=HIGHEST_VERSION).map(VersionId) {
        let key = store.private_key(version).await.map(|key| key.expose().clone());
        let chain = store.chain(version).await.map(|chain| chain.pem().to_owned());
        all += &format!("\n{version}: {:?} {:?}", kind(key), kind(chain));
    }
    for issuer in 0..3 {
        let account = store.account(&issuer.to_string().parse().unwrap(), "https://ca/").await.unwrap();
        let account = account.map(|account| (account.key.expose().clone(), account.url));
        all += &format!("\n{issuer}: {account:?}");
    }
    all
}

fn kind<T>(result: Result<T, Error>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sqlite_and_the_model_agree(operations in prop::collection::vec(operation(), 1..60)) {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let model = Model::default();
            let mut sqlite = SqliteFolder::fresh().await;
            for operation in &operations {
                if matches!(operation, Operation::Reopen) {
                    sqlite = sqlite.reopened().await;
                }
                let expected = kind(run(operation, &model).await);
                prop_assert_eq!(kind(run(operation, sqlite.store()).await), expected, "{:?}", operation);
                let (expected, got) = (model.recorded().await.unwrap(), sqlite.store.recorded().await.unwrap());
                prop_assert_eq!(format!("{got:#?}"), format!("{expected:#?}"), "{:?}", operation);
            }
            prop_assert_eq!(everything(sqlite.store()).await, everything(&model).await);
            Ok(())
        })?;
    }
}
