//! The only crate that knows SQL: [`Sqlite`] implements [`certferry_core::port::Store`].
//!
//! * The database is one SQLite file (0600) in WAL mode with `synchronous=FULL`: when a method that writes returns, what it
//!   wrote is on disk. Any number of readers work beside the one engine, in this process or another.
//! * Private keys are sealed by AES-256-GCM under a master key that lives in a file of its own (0600), so that a copy of
//!   the database alone gives no key away.
//! * Instants are integers, microseconds since 1970 (what is finer is cut off): they compare and index as numbers, and
//!   PostgreSQL's `timestamptz` holds them without loss. To read one: `datetime(created_at / 1000000, 'unixepoch')`.
//! * One engine per store: a lock on `<database>.lock`, which ends with the process that holds it.

#![forbid(unsafe_code)]

mod file_error;
mod key_file;
mod lease;
mod seal;
mod sqlite;

pub use sqlite::Sqlite;
