//! The lease, between processes.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::{env, io};

use certferry_core::ErrorKind;
use certferry_core::port::Store;
use certferry_store::Sqlite;

use crate::backend::{Backend, SqliteFolder};

/// This test binary as another process, which runs one of its ignored tests. It is killed when this is dropped.
pub(crate) struct OtherProcess(Child);

impl OtherProcess {
    pub(crate) fn start(test: &str, folder: &Path) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What it says after `mark`, line by line, until it ends.
    pub(crate) fn lines(&mut self, mark: &'static str) -> impl Iterator<Item = String> + use<> {
        let output = BufReader::new(self.0.stdout.take().unwrap());
        output
            .lines()
            .map_while(Result::ok)
            .filter_map(move |line| line.split_once(mark).map(|(_, rest)| rest.trim().to_owned()))
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for OtherProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `None` when it was not [`OtherProcess`] that started this process.
pub(crate) async fn store_of_the_parent() -> Option<Sqlite> {
    let folder = env::var_os(FOLDER)?;
    let folder = Path::new(&folder);
    Some(Sqlite::open(&folder.join("certferry.db"), &folder.join("certferry.key")).await.unwrap())
}

const FOLDER: &str = "CERTFERRY_STORE_TEST_FOLDER";

#[tokio::test]
async fn another_process_keeps_it_until_it_is_killed() {
    let folder = SqliteFolder::fresh().await;
    let mut other = OtherProcess::start("lease::other_process_holds", folder.folder().path());
    assert_eq!(other.lines("lease: ").next().as_deref(), Some("held"));
    let error = folder.store.acquire_lease("the second").await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let text = error.to_string();
    assert!(text.contains(&format!("certferry daemon (process {}) works on it since 20", other.id())), "{text}");
    assert!(text.contains("certferry.db"), "{text}");
    assert!(error.hint().unwrap().contains("certferry.db.lock"), "{error}");
    folder.store.recorded().await.unwrap();

    other.kill();
    let lease = folder.store.acquire_lease("the second").await.unwrap();
    let error = folder.store.acquire_lease("the third").await.map(drop).unwrap_err().to_string();
    assert!(error.contains(&format!("the second (process {})", process::id())), "{error}");
    drop(lease);
}

#[tokio::test]
#[ignore = "the other process of another_process_keeps_it_until_it_is_killed"]
async fn other_process_holds() {
    let Some(store) = store_of_the_parent().await else { return };
    let _lease = store.acquire_lease("certferry daemon").await.unwrap();
    println!("\nlease: held");
    // Until the parent kills this process, or dies and so closes the pipe.
    let _ = io::stdin().read_line(&mut String::new());
}
