//! What is kept on an Avi controller whatever happens to it, to certferry and to the calls between them.

mod faults;
pub(crate) mod ground;
mod old_script;
