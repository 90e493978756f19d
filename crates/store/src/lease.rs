//! One engine per store: an exclusive lock on `<database>.lock`. The operating system ends it with the process, however
//! that dies, so there is nothing to expire and nothing to clean up.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use certferry_core::port::Lease;
use certferry_core::{Error, ErrorKind};
use jiff::{Timestamp, Unit};

use crate::file_error::file_error;

/// The lock file of a database.
pub(crate) fn lock_of(database: &Path) -> PathBuf {
    let mut lock = database.as_os_str().to_owned();
    lock.push(".lock");
    PathBuf::from(lock)
}

/// Takes the lock, and writes into it who holds it. `database` is the subject of errors.
pub(crate) fn acquire(lock: &Path, database: &str, holder: &str) -> Result<Lease, Error> {
    let lock_file = format!("lock file `{}`", lock.display());
    let failed = |error| file_error(OPERATION, &lock_file, error);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(lock)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(held(&file, lock, database)),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let holder = holder.replace(char::is_control, " ");
    file.set_len(0).map_err(failed)?;
    file.write_all(format!("{holder} (process {})\n", process::id()).as_bytes()).map_err(failed)?;
    Ok(Lease::new(Held(file)))
}

/// The lock while it is held.
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Closing the file is not enough: a program that another thread starts at this moment has the file too until its
        // exec, and flock(2) ends with the last of them, or when it is said.
        // Should that fail, the lock ends with the file all the same.
        let _ = self.0.unlock();
    }
}

fn held(file: &File, lock: &Path, database: &str) -> Error {
    let holder = holder(file).unwrap_or_else(|| "another process".to_owned());
    let since = since(file).map(|since| format!(" since {since}")).unwrap_or_default();
    Error::new(ErrorKind::Conflict, OPERATION, database).said(format!("{holder} works on it{since}")).with_hint(
        format!(
            "wait for it or stop it: one engine works on a store at a time, and its lock on `{}` ends with it. \
             `status`, `plan` and `history` work meanwhile",
            lock.display()
        ),
    )
}

/// `None` in the instant between its lock and its text.
fn holder(file: &File) -> Option<String> {
    let mut text = String::new();
    file.take(LONGEST_HOLDER).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// When the text was written, as the file system noted it.
fn since(file: &File) -> Option<Timestamp> {
    let written = file.metadata().and_then(|metadata| metadata.modified()).ok()?;
    Timestamp::try_from(written).and_then(|since| since.round(Unit::Second)).ok()
}

const OPERATION: &str = "acquire_lease";
const LONGEST_HOLDER: u64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_though_a_program_that_is_being_started_has_its_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let lock = folder.path().join("certferry.db.lock");
        let file = File::create(&lock).unwrap();
        file.lock().unwrap();
        let _inherited = file.try_clone().unwrap();
        drop(Lease::new(Held(file)));
        acquire(&lock, "certferry.db", "the next one").unwrap();
    }
}
