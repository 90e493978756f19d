//! The store, from outside: one contract suite for every store, and what is special to SQLite in files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

mod agreement;
mod backend;
mod contract;
mod crash;
mod files;
mod fixtures;
mod lease;
mod load;
mod model;
mod seals;
mod sql;
