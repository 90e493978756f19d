//! The engine against a small world in memory: crashes and faults at every call, and scenarios by name.
//!
//! Time is tokio's paused time: limits elapse at once. Nothing here sleeps.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod account_keys;
mod avi_old_script;
mod crashes;
mod dns01;
mod faults;
mod issuing;
mod renewal_windows;
mod roll_back;
mod scenarios;
mod take_over;
mod warnings;
mod world;
