//! Load balancers, one folder each.

pub mod avi;
pub mod oci;
mod pair;
mod secret_body;
