//! Ten thousand certificates.

use std::path::Path;
use std::time::{Duration, Instant};

use certferry_core::event::Outcome;
use certferry_core::port::Store;
use certferry_core::recorded::DeploymentState;
use certferry_store::Sqlite;

use crate::backend::{Backend, SqliteFolder};
use crate::fixtures::{CHAINS, at, bundle, deployment, event, failure, name, new_version, window};
use crate::sql;

const CERTIFICATES: usize = 10_000;

/// Far above what it takes, so that a slow machine passes; a statement per certificate, or X.509 parsing, does not.
const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn ten_thousand_certificates_are_read_at_once() {
    let folder = SqliteFolder::fresh().await;
    one_certificate_with_everything(&folder.store).await;
    multiply(&folder.database()).await;

    let began = Instant::now();
    let recorded = folder.store.recorded().await.unwrap();
    let took = began.elapsed();
    println!("recorded() of {CERTIFICATES} certificates with 3 issued versions each: {took:?}");

    assert_eq!((recorded.certificates.len(), recorded.bundles.len()), (CERTIFICATES, 2 * CERTIFICATES));
    for (certificate, record) in &recorded.certificates {
        let (current, pending) = (record.current.as_ref().unwrap(), record.pending.as_ref().unwrap());
        assert_eq!((&current.certificate, &pending.certificate), (certificate, certificate));
        assert_eq!(current.leaf.as_ref(), Some(CHAINS[2].leaf()));
        assert_eq!(pending.id.0, current.id.0 + 1);
        assert_eq!(record.renewal_window, Some(window(1)));
        assert_eq!(record.issue_failure, Some(failure(1)));
        assert_eq!(record.deployments.len(), 2);
        assert!(record.deployments.iter().all(|deployment| deployment.version == current.id));
    }
    assert!(took < LIMIT, "{took:?}");
}

/// Versions 1 to 3 are issued, 4 is pending.
async fn one_certificate_with_everything(store: &Sqlite) {
    for chain in &*CHAINS {
        let version = store.begin_version(&new_version("www")).await.unwrap().id;
        store.save_issued(version, chain, at(1)).await.unwrap();
        store.append_history(&event(Some("www"), "issued", Outcome::Done)).await.unwrap();
    }
    let current = store.recorded().await.unwrap().certificates[&name("www")].current.clone().unwrap().id;
    store.begin_version(&new_version("www")).await.unwrap();
    store.save_renewal_window(current, &window(1)).await.unwrap();
    store.save_issue_failure(&name("www"), &failure(1)).await.unwrap();
    for place in ["first", "second"] {
        store.save_bundle(&bundle(place, current, Some(1))).await.unwrap();
        store.save_deployment(&deployment("www", place, current, DeploymentState::Verified)).await.unwrap();
    }
}

/// Copies every row of the one certificate, under other names and numbers; the columns are asked for, so that this does not
/// have to know the schema.
async fn multiply(database: &Path) {
    for table in ["versions", "renewal_windows", "issue_failures", "bundles", "deployments"] {
        let columns = sql::texts(database, &format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let copied = columns.iter().map(|column| match column.as_str() {
            "certificate" | "name" => format!("{column} || '-' || n"),
            "id" | "version" => format!("{column} + n * 4"),
            _ => column.clone(),
        });
        let (copied, columns) = (copied.collect::<Vec<_>>().join(", "), columns.join(", "));
        let last = CERTIFICATES - 1;
        let insert = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
             INSERT INTO {table} ({columns}) SELECT {copied} FROM {table}, numbers"
        );
        sql::execute(database, &insert).await;
    }
}
