//! Load balancers, one folder each.

pub mod oci;
