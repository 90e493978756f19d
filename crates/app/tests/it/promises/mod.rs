//! What is kept whatever happens to certferry, to what it talks to, and to the calls between them.
//!
//! A [`ground::Ground`] is a CA, the other services and a config; cases are played on it one after another. [`faults`] answers
//! every call of a run in every wrong way. The kills are in [`crate::killed`]. What came of it is written down in
//! docs/reliability.md by [`outcomes`].

pub(crate) mod avi;
pub(crate) mod dns01;
pub(crate) mod effect;
mod faults;
pub(crate) mod ground;
pub(crate) mod oci;
pub(crate) mod outcomes;
pub(crate) mod program;
