//! Keys at rest, and the key file that they depend on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use certferry_core::port::{AccountRecord, NewVersion, Store};
use certferry_core::{ErrorKind, Secret};
use certferry_store::Sqlite;

use crate::backend::{Backend, SqliteFolder};
use crate::fixtures::{CHAINS, at, new_version};
use crate::sql;

/// Every file of the folder, one after the other.
fn all_bytes(folder: &Path) -> Vec<u8> {
    fs::read_dir(folder).unwrap().flat_map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn no_file_holds_a_private_key() {
    let folder = SqliteFolder::fresh().await;
    let [private_key, account_key, next_key] = [0, 1, 2].map(|_| rcgen::KeyPair::generate().unwrap());
    let account = AccountRecord {
        issuer: "letsencrypt".parse().unwrap(),
        directory_url: "https://ca/".to_owned(),
        key: Secret::new(account_key.serialize_pem()),
        next_key: Some(Secret::new(next_key.serialize_pem())),
        url: None,
    };
    folder.store.save_account(&account).await.unwrap();
    let new = NewVersion { private_key: Some(Secret::new(private_key.serialize_pem())), ..new_version("www") };
    let version = folder.store.begin_version(&new).await.unwrap().id;
    folder.store.save_issued(version, &CHAINS[0], at(1)).await.unwrap();

    // First with the journal beside the database, then with everything in the database.
    let in_use = all_bytes(folder.folder().path());
    let files = folder.into_files().await;
    for bytes in [in_use, all_bytes(files.path())] {
        assert!(contains(&bytes, b"-----BEGIN CERTIFICATE-----"), "the search finds what is there");
        assert!(!contains(&bytes, b"PRIVATE KEY"));
        for key in [&private_key, &account_key, &next_key] {
            let der = key.serialize_der();
            assert!(!contains(&bytes, &der[..16]) && !contains(&bytes, &der[der.len() - 16..]));
            for line in key.serialize_pem().lines().filter(|line| !line.starts_with('-')) {
                assert!(!contains(&bytes, line.as_bytes()));
            }
        }
    }
}

#[tokio::test]
async fn a_key_that_is_given_up_leaves_no_trace() {
    let folder = SqliteFolder::fresh().await;
    let version = folder.store.begin_version(&new_version("www")).await.unwrap().id;
    let database = folder.database();
    let sealed = sql::texts(&database, "SELECT hex(sealed_key) FROM versions").await.remove(0);
    let marker: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&sealed[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let folder = folder.reopened().await;
    folder.store.abandon_version(version, "order invalid").await.unwrap();
    let files = folder.into_files().await;
    assert!(!contains(&all_bytes(files.path()), &marker));
}

#[tokio::test]
async fn a_sealed_key_does_not_open_in_another_row() {
    let folder = SqliteFolder::fresh().await;
    let one = folder.store.begin_version(&new_version("www")).await.unwrap().id;
    let two = folder.store.begin_version(&new_version("shop")).await.unwrap().id;
    let swap =
        format!("UPDATE versions SET sealed_key = (SELECT sealed_key FROM versions WHERE id = {one}) WHERE id = {two}");
    sql::execute(&folder.database(), &swap).await;
    folder.store.private_key(one).await.unwrap();
    let error = folder.store.private_key(two).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert!(error.to_string().contains("copied from another row"), "{error}");
}

#[tokio::test]
async fn another_key_file_is_refused_and_nothing_is_overwritten() {
    let folder = SqliteFolder::fresh().await;
    folder.store.begin_version(&new_version("www")).await.unwrap();
    let (database, key_file) = (folder.database(), folder.key_file());
    let files = folder.into_files().await;
    let other = SqliteFolder::fresh().await;
    let own_key = fs::read(&key_file).unwrap();
    fs::copy(other.key_file(), &key_file).unwrap();
    let before = (fs::read(&database).unwrap(), fs::read(&key_file).unwrap());

    let error = Sqlite::open(&database, &key_file).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let text = format!("{error} {}", error.hint().unwrap());
    for part in ["certferry.db", "certferry.key", "another key", "restore"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!((fs::read(&database).unwrap(), fs::read(&key_file).unwrap()), before);

    fs::write(&key_file, own_key).unwrap();
    Sqlite::open(&database, &key_file).await.unwrap();
    drop(files);
}

#[tokio::test]
async fn a_lost_key_file_is_not_made_again() {
    let folder = SqliteFolder::fresh().await;
    folder.store.begin_version(&new_version("www")).await.unwrap();
    let (database, key_file) = (folder.database(), folder.key_file());
    let files = folder.into_files().await;
    fs::remove_file(&key_file).unwrap();
    let error = Sqlite::open(&database, &key_file).await.unwrap_err();
    assert!(error.to_string().contains("is not there"), "{error}");
    assert!(error.hint().unwrap().contains("restore"), "{error}");
    assert!(!key_file.exists());
    // What needs no key still works.
    let reader = Sqlite::open_to_read(&database).await.unwrap();
    assert_eq!(reader.recorded().await.unwrap().certificates.len(), 1);
    drop(files);
}

#[tokio::test]
async fn a_key_file_that_was_there_first_is_used() {
    let other = SqliteFolder::fresh().await;
    let database = other.folder().path().join("second.db");
    let before = fs::read(other.key_file()).unwrap();
    let store = Sqlite::open(&database, &other.key_file()).await.unwrap();
    let version = store.begin_version(&new_version("www")).await.unwrap().id;
    store.private_key(version).await.unwrap();
    assert_eq!(fs::read(other.key_file()).unwrap(), before);
}

#[tokio::test]
async fn a_key_file_that_others_can_read_is_refused() {
    let folder = SqliteFolder::fresh().await;
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(folder.key_file(), fs::Permissions::from_mode(mode)).unwrap();
        let error = Sqlite::open(&folder.database(), &folder.key_file()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.to_string().contains(&format!("its mode is {mode:04o}")), "{error}");
        assert_eq!(error.hint().unwrap(), format!("chmod 600 {}", folder.key_file().display()));
    }
    fs::set_permissions(folder.key_file(), fs::Permissions::from_mode(0o400)).unwrap();
    Sqlite::open(&folder.database(), &folder.key_file()).await.unwrap();
}

#[tokio::test]
async fn a_store_does_not_print_its_key() {
    let folder = SqliteFolder::fresh().await;
    let text = fs::read_to_string(folder.key_file()).unwrap();
    let key = text.lines().last().unwrap();
    let printed = format!("{:?}", folder.store);
    assert!(printed.contains("Seal(…)") && !printed.contains(key), "{printed}");
}
