//! Opening: modes, schemas, readers, and files that are not what they should be.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use certferry_core::port::{AccountRecord, HistoryFilter, Store};
use certferry_core::recorded::{Deployment, DeploymentState};
use certferry_core::{ErrorKind, Outcome, Retry, Secret};
use certferry_store::Sqlite;

use crate::backend::{Backend, SqliteFolder};
use crate::fixtures::{CHAINS, at, bundle, deployment, event, failure, name, new_version};
use crate::sql;

#[tokio::test]
async fn every_file_is_for_its_owner_only() {
    let folder = SqliteFolder::fresh().await;
    folder.store.begin_version(&new_version("www")).await.unwrap();
    let _lease = folder.store.acquire_lease("test").await.unwrap();
    let mut names = Vec::new();
    for file in fs::read_dir(folder.folder().path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["certferry.db", "certferry.db-shm", "certferry.db-wal", "certferry.db.lock", "certferry.key"]);
}

#[tokio::test]
async fn opening_twice_leaves_the_schema_as_it_is() {
    let folder = SqliteFolder::fresh().await;
    let schema = async |database: &Path| {
        let steps = "SELECT version || ' ' || description || ' ' || installed_on FROM _sqlx_migrations";
        let tables = "SELECT coalesce(sql, name) FROM sqlite_master ORDER BY type, name";
        (sql::texts(database, steps).await, sql::texts(database, tables).await)
    };
    let once = schema(&folder.database()).await;
    assert!(once.1.len() > 10, "{once:?}");
    let folder = folder.reopened().await;
    assert_eq!(schema(&folder.database()).await, once);
}

/// Many times over, because what could go wrong here is a matter of instants.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_that_open_a_new_store_at_once_share_one_key() {
    for _ in 0..25 {
        let files = tempfile::tempdir().unwrap();
        let (database, key_file) = (files.path().join("certferry.db"), files.path().join("certferry.key"));
        let opening = [(); 4].map(|()| {
            let (database, key_file) = (database.clone(), key_file.clone());
            tokio::spawn(async move { Sqlite::open(&database, &key_file).await })
        });
        let mut stores = Vec::new();
        for store in opening {
            stores.push(store.await.unwrap().unwrap());
        }
        let version = stores[0].begin_version(&new_version("www")).await.unwrap().id;
        for store in &stores {
            store.private_key(version).await.unwrap();
        }
        assert_eq!(sql::texts(&database, "PRAGMA integrity_check").await, ["ok"]);
    }
}

#[tokio::test]
async fn the_schema_of_a_newer_program_is_refused() {
    let folder = SqliteFolder::fresh().await;
    let (database, key_file) = (folder.database(), folder.key_file());
    let _files = folder.into_files().await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 VALUES (9999, 'from the future', TRUE, x'00', 0)";
    sql::execute(&database, newer).await;
    let errors =
        [Sqlite::open(&database, &key_file).await.unwrap_err(), Sqlite::open_to_read(&database).await.unwrap_err()];
    for error in errors {
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Invalid, Retry::Never));
        assert!(error.to_string().contains("schema has step 9999"), "{error}");
        assert!(error.hint().unwrap().contains("newer certferry"), "{error}");
    }
}

#[tokio::test]
async fn a_schema_step_that_was_edited_is_refused() {
    let folder = SqliteFolder::fresh().await;
    sql::execute(&folder.database(), "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await;
    let error = Sqlite::open(&folder.database(), &folder.key_file()).await.unwrap_err();
    assert!(error.to_string().contains("has been modified"), "{error}");
}

#[tokio::test]
async fn a_schema_that_is_brought_up_to_date_keeps_the_history() {
    let folder = SqliteFolder::fresh().await;
    let events = ["first", "second", "third"].map(|detail| event(Some("www"), detail, Outcome::Done));
    for event in &events {
        folder.store.append_history(event).await.unwrap();
    }
    // As it is where only the third step, which copies the history, is still to be done: the later ones touch other tables.
    sql::execute(
        &folder.database(),
        "DROP TABLE expiry_warnings; DROP TABLE warning_days; DELETE FROM _sqlx_migrations WHERE version = 3;",
    )
    .await;
    let folder = folder.reopened().await;
    let next = event(None, "fourth", Outcome::Warned);
    folder.store.append_history(&next).await.unwrap();
    let [first, second, third] = events;
    assert_eq!(folder.store.history(&HistoryFilter::default()).await.unwrap(), [next, third, second, first]);
    let ids = sql::texts(&folder.database(), "SELECT CAST(id AS TEXT) FROM history ORDER BY id").await;
    assert_eq!(ids, ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn what_an_older_program_did_not_keep_of_a_leaf_is_read_out_of_its_chain() {
    let folder = SqliteFolder::fresh().await;
    let version = folder.store.begin_version(&new_version("www")).await.unwrap();
    folder.store.save_issued(version.id, &CHAINS[0], at(1)).await.unwrap();
    assert!(!CHAINS[0].leaf().extended_key_usages.is_empty());
    sql::execute(
        &folder.database(),
        "ALTER TABLE versions DROP COLUMN leaf_extended_key_usages; DELETE FROM _sqlx_migrations WHERE version = 7;",
    )
    .await;
    let folder = folder.reopened().await;
    let recorded = folder.store.recorded().await.unwrap();
    let current = recorded.certificates[&name("www")].current.as_ref().unwrap();
    assert_eq!(current.leaf.as_ref(), Some(CHAINS[0].leaf()));
}

/// As before the step that keeps what was ordered where.
const WITHOUT_DIRECTORIES: &str = "ALTER TABLE versions DROP COLUMN directory; ALTER TABLE issue_failures DROP COLUMN \
                                   ordered; DELETE FROM _sqlx_migrations WHERE version = 8;";

#[tokio::test]
async fn the_directory_of_an_older_version_is_that_of_its_issuers_only_account() {
    for (other, expected) in [(None, "https://ca.test/directory"), (Some("https://other.test/directory"), "")] {
        let folder = SqliteFolder::fresh().await;
        for directory in ["https://ca.test/directory"].into_iter().chain(other) {
            let account = AccountRecord {
                issuer: "letsencrypt".parse().unwrap(),
                directory_url: directory.to_owned(),
                key: Secret::new("a key".to_owned()),
                next_key: None,
                url: None,
            };
            folder.store.save_account(&account).await.unwrap();
        }
        folder.store.begin_version(&new_version("www")).await.unwrap();
        sql::execute(&folder.database(), WITHOUT_DIRECTORIES).await;
        let folder = folder.reopened().await;
        let recorded = folder.store.recorded().await.unwrap();
        assert_eq!(recorded.certificates[&name("www")].pending.as_ref().unwrap().spec.directory, expected);
    }
}

#[tokio::test]
async fn the_schema_is_not_changed_under_an_older_program_that_works_on_it() {
    let folder = SqliteFolder::fresh().await;
    sql::execute(&folder.database(), WITHOUT_DIRECTORIES).await;
    let lease = folder.store.acquire_lease("an older daemon").await.unwrap();
    let error = Sqlite::open(&folder.database(), &folder.key_file()).await.unwrap_err();
    assert!(error.to_string().contains("an older daemon"), "{error}");
    assert!(error.hint().unwrap().contains("start it again"), "{error}");
    drop(lease);
    Sqlite::open(&folder.database(), &folder.key_file()).await.unwrap().recorded().await.unwrap();
}

#[tokio::test]
async fn of_an_older_programs_deliveries_what_was_served_is_known_and_nothing_waits() {
    let folder = SqliteFolder::fresh().await;
    let version = folder.store.begin_version(&new_version("www")).await.unwrap().id;
    let [served, other] = [bundle("cf-www-1", version, Some(3)), bundle("cf-www-2", version, None)];
    folder.store.save_bundle(&served).await.unwrap();
    folder.store.save_bundle(&other).await.unwrap();
    let deployed = deployment("www", "https", version, DeploymentState::Failed);
    folder.store.save_deployment(&deployed).await.unwrap();
    for (table, column) in [
        ("bundles", "served_version"),
        ("deployments", "rolled_back_at"),
        ("deployments", "roll_backs"),
        ("deployments", "rolled_back_because"),
        ("deployments", "retry_at"),
    ] {
        sql::execute(&folder.database(), &format!("ALTER TABLE {table} DROP COLUMN {column}")).await;
    }
    sql::execute(&folder.database(), "DELETE FROM _sqlx_migrations WHERE version = 9").await;
    let folder = folder.reopened().await;
    let recorded = folder.store.recorded().await.unwrap();
    assert_eq!(recorded.bundles, [served, other]);
    assert_eq!(recorded.certificates[&name("www")].deployments, [Deployment { roll_back: None, ..deployed }]);
}

#[tokio::test]
async fn a_reader_of_an_older_schema_says_who_updates_it() {
    let folder = SqliteFolder::fresh().await;
    sql::execute(&folder.database(), "DELETE FROM _sqlx_migrations").await;
    let error = Sqlite::open_to_read(&folder.database()).await.unwrap_err();
    assert!(error.hint().unwrap().contains("certferry apply"), "{error}");
}

#[tokio::test]
async fn a_reader_works_beside_the_engine() {
    let folder = SqliteFolder::fresh().await;
    let _lease = folder.store.acquire_lease("the engine").await.unwrap();
    let reader = Sqlite::open_to_read(&folder.database()).await.unwrap();
    let version = folder.store.begin_version(&new_version("www")).await.unwrap();
    assert_eq!(reader.recorded().await.unwrap().certificates[&name("www")].pending, Some(version.clone()));
    folder.store.save_issued(version.id, &CHAINS[0], at(1)).await.unwrap();
    assert_eq!(reader.chain(version.id).await.unwrap(), CHAINS[0]);

    let refusals = [
        reader.begin_version(&new_version("shop")).await.map(drop),
        reader.save_issue_failure(&name("www"), &failure(1)).await,
        reader.private_key(version.id).await.map(drop),
        reader.acquire_lease("the reader").await.map(drop),
    ];
    for refusal in refusals {
        assert_eq!(refusal.unwrap_err().kind(), ErrorKind::Denied);
    }
}

#[tokio::test]
async fn a_reader_of_a_closed_store_reads_it() {
    let folder = SqliteFolder::fresh().await;
    folder.store.begin_version(&new_version("www")).await.unwrap();
    let database = folder.database();
    let _files = folder.into_files().await;
    let reader = Sqlite::open_to_read(&database).await.unwrap();
    assert_eq!(reader.recorded().await.unwrap().certificates.len(), 1);
}

#[tokio::test]
async fn a_store_that_was_never_written_reads_as_empty() {
    let files = tempfile::tempdir().unwrap();
    let (absent, blank) = (files.path().join("absent.db"), files.path().join("blank.db"));
    fs::write(&blank, "").unwrap();
    for path in [&absent, &blank] {
        let reader = Sqlite::open_to_read(path).await.unwrap();
        for _ in 0..3 {
            assert!(reader.recorded().await.unwrap().certificates.is_empty());
            assert!(reader.history(&HistoryFilter::default()).await.unwrap().is_empty());
        }
    }
    assert_eq!(fs::read_dir(files.path()).unwrap().count(), 1, "reading makes no file");
    assert_eq!(fs::metadata(&blank).unwrap().len(), 0);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_as_it_is() {
    let files = tempfile::tempdir().unwrap();
    let (database, key_file) = (files.path().join("notes.db"), files.path().join("certferry.key"));
    let content = "these are notes, not a database\n".repeat(200);
    fs::write(&database, &content).unwrap();
    for error in
        [Sqlite::open(&database, &key_file).await.unwrap_err(), Sqlite::open_to_read(&database).await.unwrap_err()]
    {
        assert!(error.to_string().contains("file is not a database"), "{error}");
        assert!(error.to_string().contains("notes.db"), "{error}");
        assert!(error.hint().unwrap().contains("backup"), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    assert_eq!(fs::read_to_string(&database).unwrap(), content);
    assert!(!key_file.exists());
}

#[tokio::test]
async fn another_programs_database_is_refused_as_it_is() {
    let files = tempfile::tempdir().unwrap();
    let (database, key_file) = (files.path().join("other.db"), files.path().join("certferry.key"));
    sql::execute(&database, "CREATE TABLE bookmarks (url TEXT)").await;
    for error in
        [Sqlite::open(&database, &key_file).await.unwrap_err(), Sqlite::open_to_read(&database).await.unwrap_err()]
    {
        assert!(error.to_string().contains("not certferry's"), "{error}");
    }
    assert_eq!(sql::texts(&database, "SELECT name FROM sqlite_master").await, ["bookmarks"]);
    assert!(!key_file.exists());
}

#[tokio::test]
async fn a_column_that_something_else_wrote_is_named() {
    let folder = SqliteFolder::fresh().await;
    folder.store.begin_version(&new_version("www")).await.unwrap();
    sql::execute(&folder.database(), "UPDATE versions SET names = 'www.some-domain.com'").await;
    let error = folder.store.recorded().await.unwrap_err();
    assert_eq!(error.operation(), "recorded");
    assert!(error.to_string().contains("versions.names"), "{error}");
    assert!(error.hint().unwrap().contains("backup"), "{error}");
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named_with_the_way_out() {
    let files = tempfile::tempdir().unwrap();
    let database = files.path().join("nowhere/certferry.db");
    let error = Sqlite::open(&database, &files.path().join("certferry.key")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("nowhere/certferry.db"), "{error}");
    assert!(error.hint().unwrap().contains("create its directory"), "{error}");
}

#[tokio::test]
async fn a_symbolic_link_does_not_make_a_second_store() {
    let folder = SqliteFolder::fresh().await;
    let link = folder.folder().path().join("link.db");
    symlink(folder.database(), &link).unwrap();
    let linked = Sqlite::open(&link, &folder.key_file()).await.unwrap();
    let _lease = folder.store.acquire_lease("the first").await.unwrap();
    assert_eq!(linked.acquire_lease("the second").await.map(drop).unwrap_err().kind(), ErrorKind::Conflict);
}
