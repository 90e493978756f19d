//! A process that is killed while it writes: what it was told is stored, is stored, and what it began can be continued.

use std::process;

use certferry_core::event::Outcome;
use certferry_core::port::{HistoryFilter, Store};
use certferry_store::Sqlite;

use crate::backend::{Backend, SqliteFolder};
use crate::fixtures::{CHAINS, at, event, name, new_version, private_key};
use crate::lease::{OtherProcess, store_of_the_parent};
use crate::sql;

#[tokio::test]
async fn what_a_killed_process_was_told_is_stored() {
    let folder = SqliteFolder::fresh().await;
    for written in [1, 7, 40] {
        let mut other = OtherProcess::start("crash::other_process_writes", folder.folder().path());
        let told: Vec<String> = other.lines("stored: ").take(written).collect();
        other.kill();
        assert_eq!(told.len(), written);

        let reader = Sqlite::open_to_read(&folder.database()).await.unwrap();
        let recorded = reader.recorded().await.unwrap();
        for certificate in &told {
            let version = recorded.certificates[&name(certificate)].current.as_ref().unwrap();
            assert_eq!(folder.store.private_key(version.id).await.unwrap().expose(), &private_key(certificate));
            assert_eq!(Some(reader.chain(version.id).await.unwrap().leaf()), version.leaf.as_ref());
            let filter = HistoryFilter { certificate: Some(name(certificate)), limit: None };
            assert_eq!(reader.history(&filter).await.unwrap(), [event(Some(certificate), "issued", Outcome::Done)]);
        }
        for pending in recorded.certificates.values().filter_map(|record| record.pending.as_ref()) {
            folder.store.private_key(pending.id).await.unwrap();
            folder.store.save_issued(pending.id, &CHAINS[0], at(2)).await.unwrap();
        }
        assert_eq!(sql::texts(&folder.database(), "PRAGMA integrity_check").await, ["ok"]);
        assert!(sql::texts(&folder.database(), "SELECT \"table\" FROM pragma_foreign_key_check").await.is_empty());
    }
}

#[tokio::test]
#[ignore = "the other process of what_a_killed_process_was_told_is_stored"]
async fn other_process_writes() {
    let Some(store) = store_of_the_parent().await else { return };
    let _lease = store.acquire_lease("certferry daemon").await.unwrap();
    for number in 0.. {
        let certificate = format!("c-{}-{number}", process::id());
        let version = store.begin_version(&new_version(&certificate)).await.unwrap().id;
        store.save_order(version, "https://ca/order").await.unwrap();
        store.save_issued(version, &CHAINS[0], at(1)).await.unwrap();
        store.append_history(&event(Some(&certificate), "issued", Outcome::Done)).await.unwrap();
        // A parent that died leaves a broken pipe, on which this panics and so ends.
        println!("\nstored: {certificate}");
    }
}
