//! An ACME CA.
